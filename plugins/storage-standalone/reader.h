/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading back from disk: where records lie, and the records themselves. Blocks: for pool threads.
 */
#ifndef SA_READER_H
#define SA_READER_H
#include "tail.h"

#define SA_PLACES 256u

typedef struct sa_places { /* neighbours of one partition in one segment, offsets without gap */
    sa_segment *seg; /* in use until sa_places_leave */
    int fd;
    uint64_t offset; /* of the first */
    uint32_t size;   /* of a record on disk, on average */
    uint32_t n;
    uint32_t place8[SA_PLACES]; /* 0: lost with a damaged index */
} sa_places;

typedef enum sa_look {
    SA_LOOK_FOUND,
    SA_LOOK_NONE,  /* no record from offset on below end */
    SA_LOOK_GONE,  /* a segment was deleted meanwhile */
    SA_LOOK_ERROR, /* could not be told: memory, descriptors, LMDB */
} sa_look;

/* Where the records from offset on lie, below end, in the oldest segment that has one: FOUND, NONE
 * or ERROR. */
sa_look sa_lookup(struct sa_store *store, sa_partition *part, uint64_t offset, uint64_t end,
                  uint32_t max, sa_places *places);
void sa_places_leave(struct sa_store *store, sa_places *places);

/* What a reader asked the system to fetch before it is read. */
typedef struct sa_ahead {
    uint64_t to;   /* offsets below it are asked for */
    uint64_t end;  /* none from it on is */
    uint64_t waits; /* of the thread, as last looked at */
    uint32_t cold; /* so many more records count as not in the page cache: the last ones were not */
} sa_ahead;

/* Up to max records from offset on, below end, as references. *next: where to go on; == end when
 * there are no more. ahead: of the reader, or NULL: nothing is fetched ahead. */
uint32_t sa_read(struct sa_store *store, sa_partition *part, uint64_t offset, uint64_t end,
                 sa_got *out, uint32_t max, uint64_t max_bytes, uint64_t *next, sa_ahead *ahead);

/* ahead.c: one read is [places[i], + the result), up to the last neighbour that is near; *after: the
 * first place beyond it. */
size_t sa_places_span(const sa_places *places, uint32_t i, uint32_t *after);
/* [the thread that reads] Before some reads. */
void sa_ahead_begin(sa_ahead *ahead);
/* A read of n bytes took so long: was it from the disk? */
void sa_ahead_note(sa_ahead *ahead, uint64_t took_ns, size_t n);
/* Of a cold reader: what is still to be read of places behind number i is asked for. */
void sa_ahead_places(struct sa_store *store, sa_ahead *ahead, const sa_places *places, uint32_t i);
/* What a cold reader at offset will want, two runs, and is not asked for yet: offsets [*from, *to),
 * which count as asked for from now on. */
void sa_ahead_plan(sa_ahead *ahead, uint64_t offset, uint64_t *from, uint64_t *to);
/* Asks for them. When the reader has its answer: the next one is read meanwhile. */
void sa_ahead_fetch(struct sa_store *store, sa_partition *part, uint64_t from, uint64_t to);
/* Some ms, before what memory or descriptors were short for is tried again. */
void sa_read_pause(void);

/* The event at a place of a segment in use; NULL when there is none or it is damaged. Given. */
const emesh_event *sa_read_place(struct sa_store *store, sa_segment *seg, int fd, uint64_t place,
                                 sa_rec_head *head);
/* The trailer of a sealed segment in use. False: damaged. */
bool sa_seg_trailer(struct sa_store *store, sa_segment *seg, int fd, sa_trailer *trailer);

/* Oldest offset that was stored at or after time_us, or end. timefind.c */
uint64_t sa_find_time(struct sa_store *store, sa_partition *part, uint64_t time_us);

/* Records kept and their bytes from offset on. For listings. */
void sa_measure(struct sa_store *store, sa_partition *part, uint64_t offset, uint64_t *records,
                uint64_t *bytes);

#endif
