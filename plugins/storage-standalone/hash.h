/* SPDX-License-Identifier: Apache-2.0
 *
 * The two hashes of the store. sa_fingerprint is part of the disk format and never changes;
 * sa_key_hash decides the partition of a key and never changes either, else keys would lose their
 * order. Any thread.
 */
#ifndef SA_HASH_H
#define SA_HASH_H
#include <stddef.h>
#include <stdint.h>

/* FNV-1a, 64 bit. */
uint64_t sa_key_hash(const void *key, size_t n);
/* Of the source and the id of an event. */
uint64_t sa_fingerprint(const void *source, size_t n_source, const void *id, size_t n_id);

#endif
