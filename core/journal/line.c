/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines and the head of the ring, packed and read. Pure. Any thread.
 *
 *   0 u32 checksum · 4 u32 index · 8 u64 time, or key · 16 u16 code, or bytes of the text · 18 u8
 * kind 19 u8 level, or bytes here · then DECISION  20 u16 topic, group, partition, who, attempt,
 * words · 32 u64 position hi, lo · 48 u64 hash · 56 u64 more      (RANGE: 48 u64 first hi, lo)
 *   NAME, EVENT  20 u16 source · 22 u16 place in the text · 24 40 B text
 *   BLOCK     32 u64 number
 */
#include "journal/line.h"

#include <string.h>

#define HEAD_MAGIC UINT64_C(0x314e524a48534d45) /* "EMSHJRN1" */
#define MAJOR 1u
#define MINOR 0u

static void
put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void
put32(uint8_t *p, uint32_t v)
{
    put16(p, (uint16_t)v);
    put16(p + 2, (uint16_t)(v >> 16));
}

static void
put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

static uint16_t
get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t
get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t
get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* Of the 60 bytes behind it. Against tears and rot, not against people. */
static uint32_t
sum(const uint8_t line[EMESH_LINE], uint64_t seed)
{
    uint64_t h = seed * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x6a6f75726e616c31);

    for (uint32_t i = 8; i < EMESH_LINE; i += 8) {
        h = (h ^ get64(line + i)) * UINT64_C(0xd6e8feb86659fd93);
        h ^= h >> 32;
    }
    h = (h ^ get32(line + 4)) * UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(h ^ h >> 32);
}

static void
pack_text(uint8_t *p, const emesh_line *line)
{
    put64(p + 8, line->key);
    put16(p + 16, line->total);
    p[19] = line->n;
    put16(p + 20, line->source);
    put16(p + 22, line->at);
    memcpy(p + 24, line->text, line->n);
}

static void
pack_decision(uint8_t *p, const emesh_line *line)
{
    const uint16_t names[] = { line->topic, line->group,   line->partition,
                               line->who,   line->attempt, line->words };

    put64(p + 8, line->time_us);
    put16(p + 16, line->code);
    p[19] = line->level;
    for (uint32_t i = 0; i < 6; i++)
        put16(p + 20 + 2 * i, names[i]);
    put64(p + 32, line->position.hi);
    put64(p + 40, line->position.lo);
    put64(p + 48, line->kind == EMESH_LINE_RANGE ? line->first.hi : line->hash);
    put64(p + 56, line->kind == EMESH_LINE_RANGE ? line->first.lo : line->more);
}

void
emesh_line_sign(uint8_t line[EMESH_LINE], uint32_t index, uint64_t block)
{
    put32(line + 4, index);
    put32(line, sum(line, block));
}

void
emesh_line_pack(uint8_t out[EMESH_LINE], const emesh_line *line, uint32_t index, uint64_t block)
{
    memset(out, 0, EMESH_LINE);
    out[18] = (uint8_t)(line->kind | (line->cut ? EMESH_LINE_CUT : 0));
    switch (line->kind) {
    case EMESH_LINE_NAME:
    case EMESH_LINE_EVENT:
        pack_text(out, line);
        break;
    case EMESH_LINE_DECISION:
    case EMESH_LINE_RANGE:
        pack_decision(out, line);
        break;
    default:
        put64(out + 8, line->time_us);
        put64(out + 32, block);
        break;
    }
    emesh_line_sign(out, index, block);
}

static bool
read_text(const uint8_t *p, emesh_line *line)
{
    line->key = get64(p + 8);
    line->total = get16(p + 16);
    line->n = p[19];
    line->source = get16(p + 20);
    line->at = get16(p + 22);
    if (line->n > EMESH_TEXT || line->at + line->n > line->total)
        return false;
    memcpy(line->text, p + 24, line->n);
    return true;
}

static void
read_decision(const uint8_t *p, emesh_line *line)
{
    line->time_us = get64(p + 8);
    line->code = get16(p + 16);
    line->level = p[19];
    line->topic = get16(p + 20);
    line->group = get16(p + 22);
    line->partition = get16(p + 24);
    line->who = get16(p + 26);
    line->attempt = get16(p + 28);
    line->words = get16(p + 30);
    line->position = (emesh_position){ get64(p + 32), get64(p + 40) };
    if (line->kind == EMESH_LINE_RANGE) {
        line->first = (emesh_position){ get64(p + 48), get64(p + 56) };
    } else {
        line->hash = get64(p + 48);
        line->more = get64(p + 56);
    }
}

bool
emesh_line_read(const uint8_t in[EMESH_LINE], emesh_line *line, uint32_t index, uint64_t block)
{
    memset(line, 0, sizeof *line);
    if (get32(in + 4) != index || get32(in) != sum(in, block))
        return false;
    line->kind = in[18] & (uint8_t)~EMESH_LINE_CUT;
    line->cut = (in[18] & EMESH_LINE_CUT) != 0;
    switch (line->kind) {
    case EMESH_LINE_NAME:
    case EMESH_LINE_EVENT:
        return read_text(in, line);
    case EMESH_LINE_DECISION:
    case EMESH_LINE_RANGE:
        read_decision(in, line);
        return true;
    case EMESH_LINE_BLOCK:
    case EMESH_LINE_RESUMED:
        line->time_us = get64(in + 8);
        line->key = get64(in + 32);
        return line->key == block;
    default: /* of a newer version: it is there, and says nothing here */
        return true;
    }
}

uint64_t
emesh_block_number(const uint8_t in[EMESH_LINE])
{
    emesh_line line;
    uint64_t number = get64(in + 32);

    if (in[18] != EMESH_LINE_BLOCK || !emesh_line_read(in, &line, 0, number))
        return 0;
    return number;
}

void
emesh_ring_head_pack(uint8_t out[EMESH_LINE], const emesh_ring_head *head)
{
    memset(out, 0, EMESH_LINE);
    put64(out + 8, HEAD_MAGIC);
    put16(out + 16, MAJOR);
    put16(out + 20, MINOR);
    put64(out + 32, head->next);
    put32(out + 40, head->place);
    put32(out, sum(out, HEAD_MAGIC));
}

int
emesh_ring_head_read(const uint8_t in[EMESH_LINE], emesh_ring_head *head)
{
    if (get64(in + 8) != HEAD_MAGIC || get32(in) != sum(in, HEAD_MAGIC))
        return -1;
    if (get16(in + 16) != MAJOR)
        return get16(in + 16);
    head->next = get64(in + 32);
    head->place = get32(in + 40);
    return 0;
}
