/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal on disk, to the byte. A file of a head page and blocks; a block is an array of lines
 * of 64 bytes that one lane fills, with a dictionary of its own: whatever a line names was told
 * earlier in its block. So a ring that has wrapped is read block by block, and what was overwritten
 * takes no name away from what was not. Numbers are little-endian. Pure.
 */
#pragma once
#include "eventmesh/base.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EMESH_LINE 64u
#define EMESH_RING_HEAD 4096u   /* bytes before the first block */
#define EMESH_BLOCK_LINES 4096u /* of a block, the first is its head */
#define EMESH_BLOCK_BYTES (EMESH_LINE * EMESH_BLOCK_LINES)
#define EMESH_TEXT 40u /* bytes of a text in one line */

typedef enum emesh_line_kind {
    EMESH_LINE_BLOCK = 1,   /* first line: number of the block */
    EMESH_LINE_RESUMED = 2, /* another daemon goes on here: the dictionary begins anew */
    EMESH_LINE_NAME = 3,    /* part of a name: number → text */
    EMESH_LINE_EVENT = 4,   /* part of an event's id: hash → source, id */
    EMESH_LINE_DECISION = 5,
    EMESH_LINE_RANGE = 6, /* a decision about all from first to position */
} emesh_line_kind;

#define EMESH_LINE_CUT 0x80u /* of kind: the text was longer */

typedef struct emesh_line { /* of whichever kind; unused members are 0 */
    uint8_t kind;
    /* BLOCK, RESUMED; DECISION, RANGE: */
    uint64_t time_us;
    /* NAME, EVENT: */
    uint64_t key;    /* number of the name, hash of the event; of a BLOCK its number */
    uint16_t total;  /* bytes of the text */
    uint16_t at;     /* of which these begin here */
    uint16_t source; /* EVENT: name of its source */
    uint8_t n;
    bool cut;
    char text[EMESH_TEXT];
    /* DECISION, RANGE: names are 0 for none */
    uint16_t code, topic, group, partition, who, words, attempt;
    uint8_t level;
    emesh_position position, first;
    uint64_t hash, more;
} emesh_line;

/* index: of the line in its block; block: its number. Both are in the checksum, so that a line of
 * an earlier lap is none here. */
void emesh_line_pack(uint8_t out[EMESH_LINE], const emesh_line *line, uint32_t index,
                     uint64_t block);
/* The checksum of a line whose other bytes stand. */
void emesh_line_sign(uint8_t line[EMESH_LINE], uint32_t index, uint64_t block);
/* False: no line, or damaged. */
bool emesh_line_read(const uint8_t in[EMESH_LINE], emesh_line *line, uint32_t index,
                     uint64_t block);
/* The number of a block by its first line; 0: it is none. */
uint64_t emesh_block_number(const uint8_t in[EMESH_LINE]);

/* The head page: where the ring goes on. A hint: block heads say it as well. */
typedef struct emesh_ring_head {
    uint64_t next;  /* number of the next block, from 1 */
    uint32_t place; /* where it goes */
} emesh_ring_head;
void emesh_ring_head_pack(uint8_t out[EMESH_LINE], const emesh_ring_head *head);
/* 0; -1: damaged or empty; else the major version of whoever wrote it. */
int emesh_ring_head_read(const uint8_t in[EMESH_LINE], emesh_ring_head *head);
