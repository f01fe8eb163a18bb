/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two halves of the cleaner's copying share, see clean.h: clean-copy.c reads inputs and
 * writes the new segment, clean-control.c decides what control records still mean. [keeper]
 */
#ifndef SA_CLEAN_COPY_H
#define SA_CLEAN_COPY_H
#include "clean.h"
#include "format.h"
#include "vector.h"

/* A descriptor of an input, until sa_seg_leave; or a negative errno. */
int sa_clean_use(struct sa_store *store, struct sa_segment *seg);
/* The i-th record of a vector, whole and good; *body lies in the window. */
bool sa_clean_record(struct sa_store *store, const struct sa_segment *seg, int fd,
                     const sa_vector *v, uint32_t i, sa_rec_head *head, const uint8_t **body);
/* File and header of the new segment, for so many bytes behind the header. */
int sa_clean_create(struct sa_store *store, uint64_t bytes);
/* A record as it will lie in the new segment: a unit of its own, and durable before it counts. */
void sa_clean_put(struct sa_store *store, sa_rec_head *head, const uint8_t *body);
/* Writes the buffer. 0 or a negative errno. */
int sa_clean_flush(struct sa_store *store);
/* clean-control.c: HOLDs that lie before the inputs, whose HOLD_DONEs have to stay. */
void sa_clean_older(struct sa_store *store);

#endif
