/* SPDX-License-Identifier: Apache-2.0
 *
 * See hash.h. The fingerprint eats eight bytes a step: it runs once per event.
 */
#include "hash.h"

#include "le.h"

uint64_t
sa_key_hash(const void *key, size_t n)
{
    const uint8_t *p = key;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static uint64_t
mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 32);
}

static uint64_t
eat(uint64_t h, const uint8_t *p, size_t n)
{
    uint8_t tail[8] = { 0 };
    h = mix(h, n);
    for (; n >= 8; n -= 8, p += 8)
        h = mix(h, sa_get64(p));
    if (n > 0)
        memcpy(tail, p, n);
    return mix(h, sa_get64(tail));
}

static uint64_t
last(uint64_t h)
{
    h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9u;
    return h ^ (h >> 32);
}

uint32_t
sa_id_print(const void *id, size_t n_id)
{
    return (uint32_t)last(eat(0x454d455348u, id, n_id));
}

uint64_t
sa_fingerprint(const void *source, size_t n_source, const void *id, size_t n_id)
{
    uint64_t h = eat(0x454d455348u, id, n_id);
    return (uint64_t)(uint32_t)last(h) << 32 | (uint32_t)last(eat(h, source, n_source));
}

uint64_t
sa_fingerprint_1(const void *source, size_t n_source, const void *id, size_t n_id)
{
    return last(eat(eat(0x454d455348u, source, n_source), id, n_id));
}
