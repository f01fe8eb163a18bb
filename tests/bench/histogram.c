/* SPDX-License-Identifier: Apache-2.0
 *
 * Latencies of one run; see histogram.h. One thread.
 */
#include "histogram.h"

static uint32_t
bucket_of(uint64_t ns)
{
    if (ns < HISTOGRAM_SUB)
        return (uint32_t)ns;
    uint32_t exponent = 63u - (uint32_t)__builtin_clzll(ns); /* >= 6 */
    uint32_t sub = (uint32_t)(ns >> (exponent - 6)) & (HISTOGRAM_SUB - 1);
    uint32_t at = (exponent - 5) * HISTOGRAM_SUB + sub;
    return at < HISTOGRAM_BUCKETS ? at : HISTOGRAM_BUCKETS - 1;
}

/* The middle of a bucket. */
static uint64_t
value_of(uint32_t bucket)
{
    if (bucket < HISTOGRAM_SUB)
        return bucket;
    uint32_t exponent = bucket / HISTOGRAM_SUB + 5;
    uint64_t step = UINT64_C(1) << (exponent - 6);
    return (UINT64_C(1) << exponent) + (bucket % HISTOGRAM_SUB) * step + step / 2;
}

void
histogram_add(histogram *h, uint64_t ns)
{
    h->n++;
    h->count[bucket_of(ns)]++;
    if (ns > h->largest)
        h->largest = ns;
}

void
histogram_merge(histogram *into, const histogram *h)
{
    into->n += h->n;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->count[i] += h->count[i];
    if (h->largest > into->largest)
        into->largest = h->largest;
}

uint64_t
histogram_at(const histogram *h, double share)
{
    uint64_t rank = (uint64_t)(share * (double)h->n), below = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += h->count[i];
        if (below > rank)
            return value_of(i) < h->largest ? value_of(i) : h->largest;
    }
    return h->largest;
}
