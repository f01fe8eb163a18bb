/* SPDX-License-Identifier: Apache-2.0
 *
 * Little-endian numbers at any address: how everything in the log is written. Any thread.
 */
#ifndef SA_LE_H
#define SA_LE_H
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define SA_LE16(v) __builtin_bswap16(v)
#define SA_LE32(v) __builtin_bswap32(v)
#define SA_LE64(v) __builtin_bswap64(v)
#else
#define SA_LE16(v) (v)
#define SA_LE32(v) (v)
#define SA_LE64(v) (v)
#endif

static inline void
sa_put16(uint8_t *at, uint32_t value)
{
    uint16_t le = SA_LE16((uint16_t)value);
    memcpy(at, &le, sizeof le);
}

static inline void
sa_put32(uint8_t *at, uint32_t value)
{
    uint32_t le = SA_LE32(value);
    memcpy(at, &le, sizeof le);
}

static inline void
sa_put64(uint8_t *at, uint64_t value)
{
    uint64_t le = SA_LE64(value);
    memcpy(at, &le, sizeof le);
}

static inline uint16_t
sa_get16(const uint8_t *at)
{
    uint16_t le;
    memcpy(&le, at, sizeof le);
    return SA_LE16(le);
}

static inline uint32_t
sa_get32(const uint8_t *at)
{
    uint32_t le;
    memcpy(&le, at, sizeof le);
    return SA_LE32(le);
}

static inline uint64_t
sa_get64(const uint8_t *at)
{
    uint64_t le;
    memcpy(&le, at, sizeof le);
    return SA_LE64(le);
}

/* Rounded up to the log's alignment. */
static inline uint64_t
sa_pad8(uint64_t n)
{
    return (n + 7u) & ~(uint64_t)7u;
}

#endif
