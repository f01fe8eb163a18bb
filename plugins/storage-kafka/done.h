/* SPDX-License-Identifier: Apache-2.0
 *
 * What a group has done in a partition: all below the floor, and ranges above it. It travels as the
 * metadata of the offset that is committed, so that whoever goes on skips what is done. Plain memory.
 */
#ifndef KF_DONE_H
#define KF_DONE_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct kf_range { /* [first, end) */
    int64_t first, end;
} kf_range;

typedef struct kf_done {
    int64_t floor;  /* the first offset that is not done */
    GArray *ranges; /* kf_range, above the floor, in order, not touching */
} kf_done;

#define KF_DONE_TEXT 4000u /* the most that write() gives; brokers take 4,096 bytes */
#define KF_DONE_BITS 16384u

void kf_done_init(kf_done *done, int64_t floor);
void kf_done_clear(kf_done *done);
/* All before offset are done. False: they were. */
bool kf_done_up_to(kf_done *done, int64_t offset);
/* offset is done. False: it was. */
bool kf_done_one(kf_done *done, int64_t offset);
bool kf_done_has(const kf_done *done, int64_t offset);
/* How many in [floor, end) are done. */
int64_t kf_done_count(const kf_done *done, int64_t end);
/* The ranges as text of at most KF_DONE_TEXT bytes; what does not fit is left out. Given. */
char *kf_done_write(const kf_done *done);
/* Ranges from such a text, above done->floor. False: it is none, and none was taken. */
bool kf_done_read(kf_done *done, const char *text, size_t len);

#endif
