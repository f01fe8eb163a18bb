/* SPDX-License-Identifier: Apache-2.0
 *
 * The hashes of the store. The fingerprints are part of the disk format and never change;
 * sa_key_hash decides the partition of a key and never changes either, else keys would lose their
 * order. Any thread.
 */
#ifndef SA_HASH_H
#define SA_HASH_H
#include <stddef.h>
#include <stdint.h>

/* FNV-1a, 64 bit. */
uint64_t sa_key_hash(const void *key, size_t n);
/* Of the source and the id of an event: the id's own in the upper half, so that prints in order find
 * an id whatever its source. */
uint64_t sa_fingerprint(const void *source, size_t n_source, const void *id, size_t n_id);
uint32_t sa_id_print(const void *id, size_t n_id);
/* The fingerprint of format 1.0 and 1.1, whose files stay as they are. */
uint64_t sa_fingerprint_1(const void *source, size_t n_source, const void *id, size_t n_id);

#endif
