/* SPDX-License-Identifier: Apache-2.0
 *
 * The footer of a sealed segment: its own index. Behind the last record come
 *
 *   head 64 B · u32 place/8 of each record, by directory entry · fingerprints 12 B, by hash ·
 *   directory 64 B an entry, by (partition, base offset) · catalog · trailer 64 B, the file's end
 *
 * Each part begins at a multiple of 8. Pure functions. Any thread.
 */
#ifndef SA_FOOTER_H
#define SA_FOOTER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SA_FOOT_HEAD 64u
#define SA_FOOT_TRAILER 64u
#define SA_FOOT_ENTRY 64u
#define SA_FOOT_PRINT 12u

typedef struct sa_entry { /* a run of records of one partition without a gap in offsets */
    uint32_t partition; /* 0: control records, "offsets" count them */
    uint32_t count;
    uint64_t base, last; /* offsets */
    uint64_t min_us, max_us;
    uint32_t index; /* place/8 of its u32 vector */
    uint32_t index_crc;
    uint64_t bytes; /* of the records on disk */
    uint64_t clock_us; /* in a cleaned segment: of the segment it came from; 0: this one's */
} sa_entry;

typedef struct sa_print { /* where an event of this source and id lies */
    uint64_t hash;
    uint32_t place8;
} sa_print;

typedef struct sa_foot_head {
    uint64_t base;     /* of the segment */
    uint64_t lsn;      /* of the footer: end of the records */
    uint64_t clock_us; /* the store's clock when the segment was closed: what age is counted from */
    uint64_t wall_us;
    uint32_t epoch;
} sa_foot_head;

typedef struct sa_trailer {
    uint64_t base;
    uint32_t foot; /* place/8 of head, fingerprints, directory, catalog */
    uint32_t prints, n_prints;
    uint32_t dir, n_dir, dir_crc;
    uint32_t cat, cat_bytes, cat_crc;
    uint32_t prints_crc;
    uint32_t records;
} sa_trailer;

/* Does a footer of this store begin at p, which is at lsn? */
bool sa_footer_begins(const uint8_t *p, size_t n, uint64_t lsn, uint32_t salt);
bool sa_foot_head_read(const uint8_t *p, size_t n, uint32_t salt, sa_foot_head *head);
/* p: the file's last 64 bytes; size: of the file. False: not sealed, or damaged. */
bool sa_trailer_read(const uint8_t *p, uint64_t size, uint32_t salt, sa_trailer *trailer);
void sa_entry_read(const uint8_t *p, sa_entry *entry);
void sa_print_read(const uint8_t *p, sa_print *print);
/* Is the directory what was written, and every entry within the file? p: n_dir entries. */
bool sa_dir_ok(const uint8_t *p, const sa_trailer *trailer);

/* What a footer is made of. Places come by callback, entry by entry. */
typedef struct sa_foot_spec {
    sa_foot_head head;
    uint32_t salt;
    sa_entry *entries; /* sorted; index and index_crc are filled here */
    uint32_t n_entries;
    void (*places)(void *ctx, uint32_t entry, uint32_t *out); /* entries[entry].count numbers */
    void *ctx;
    sa_print *prints; /* sorted here */
    uint32_t n_prints;
    const uint8_t *cat;
    uint32_t cat_bytes;
} sa_foot_spec;

/* A footer as one block (free), NULL: no memory. */
uint8_t *sa_footer_build(sa_foot_spec *spec, size_t *size);

#endif
