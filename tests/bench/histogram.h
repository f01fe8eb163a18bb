/* SPDX-License-Identifier: Apache-2.0
 *
 * Latencies of one run: 64 buckets for each power of two, so a percentile is right within 1.6 %.
 */
#pragma once
#include <stdint.h>

#define HISTOGRAM_SUB 64u
#define HISTOGRAM_BUCKETS (HISTOGRAM_SUB * 40u)

typedef struct histogram {
    uint64_t n, largest;
    uint64_t count[HISTOGRAM_BUCKETS];
} histogram;

void histogram_add(histogram *h, uint64_t ns);
void histogram_merge(histogram *into, const histogram *h);
/* The value below which the given share (0…1) lies; 0 when empty. */
uint64_t histogram_at(const histogram *h, double share);
