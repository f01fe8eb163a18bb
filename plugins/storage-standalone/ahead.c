/* SPDX-License-Identifier: Apache-2.0
 *
 * What is read together, and what is asked for before it is read: neighbours less than 64 KiB apart
 * share one read of at most 256 KiB; of a reader that finds its records on the disk, the reads that
 * come next are told to the system, so that the disk works on all of them at once. A reader whose
 * records are in the page cache pays a look at the clock. Blocks: for pool threads.
 */
#include "reader.h"
#include "store.h"
#include <sys/resource.h>

#define SA_READ_WINDOW (256u << 10)
#define SA_READ_GAP (64u << 10)
#define SA_COLD_NS 40000u    /* memory is faster; and a further ns for each two bytes */
#define SA_COLD_RECORDS 4096u /* ahead for so many before time counts again: it hides the disk */
#define SA_AHEAD (2 * SA_PLACES)

size_t
sa_places_span(const sa_places *p, uint32_t i, uint32_t *after)
{
    uint64_t from = 8ull * p->place8[i], to = from;
    /* The last one is about as large as all of them, and ends before the one behind it. */
    uint64_t last = MAX(sa_pad8(p->size + p->size / 4u), 2u * SA_RECORD_HEAD);
    uint32_t k = i + 1;
    for (; k < p->n; k++) {
        uint64_t at = 8ull * p->place8[k];
        if (at <= to || at - to > SA_READ_GAP || at - from > SA_READ_WINDOW) {
            last = at > to ? MIN(last, at - to) : last;
            break;
        }
        to = at;
    }
    *after = k;
    uint64_t end = atomic_load(&p->seg->end) - p->seg->base;
    if (from >= end)
        return SA_RECORD_HEAD;
    return (size_t)MIN(to - from + last, MIN(end - from, SA_READ_WINDOW + SA_READ_GAP));
}

/* How often this thread gave up the processor by itself: to wait for a disk, mostly. */
static uint64_t
waits(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (uint64_t)usage.ru_nvcsw : 0;
}

void
sa_ahead_begin(sa_ahead *ahead)
{
    ahead->waits = waits();
}

void
sa_ahead_note(sa_ahead *ahead, uint64_t took_ns, size_t n)
{
    if (took_ns <= SA_COLD_NS + n / 2)
        return;
    uint64_t now = waits();
    if (now != ahead->waits) /* else others had the processor meanwhile */
        ahead->cold = SA_COLD_RECORDS;
    ahead->waits = now;
}

/* Offsets from it on are not asked for yet. */
static uint64_t
asked_to(const sa_ahead *ahead, uint64_t offset)
{
    bool here = ahead->to > offset && ahead->to - offset <= SA_AHEAD + SA_PLACES;
    return here ? ahead->to : offset; /* else: from before a jump */
}

/* Reads of places behind number i; to: of the last offset, not included. */
static void
ask(struct sa_store *store, const sa_places *p, uint32_t i, uint64_t to)
{
    while (i < p->n && p->offset + i < to) {
        uint32_t at = i;
        if (p->place8[i] == 0) {
            i++;
            continue;
        }
        size_t n = sa_places_span(p, i, &i);
        store->io->ahead(store->io->ctx, p->fd, 8ull * p->place8[at], n);
    }
}

void
sa_ahead_places(struct sa_store *store, sa_ahead *ahead, const sa_places *p, uint32_t i)
{
    if (ahead->cold == 0 || i >= p->n || store->io->ahead == NULL)
        return;
    uint64_t from = asked_to(ahead, p->offset + i), to = p->offset + p->n;
    if (from < to)
        ask(store, p, (uint32_t)(from - p->offset), to);
    ahead->to = MAX(from, to);
}

void
sa_ahead_plan(sa_ahead *ahead, uint64_t offset, uint64_t *from, uint64_t *to)
{
    *from = asked_to(ahead, offset);
    *to = MIN(offset + SA_AHEAD, ahead->end);
    if (ahead->cold == 0 || *from - offset > SA_PLACES || *from >= *to)
        *to = *from;
    else
        ahead->to = *to;
}

void
sa_ahead_fetch(struct sa_store *store, sa_partition *part, uint64_t from, uint64_t to)
{
    sa_places places;
    while (from < to && store->io->ahead != NULL
           && sa_lookup(store, part, from, to, SA_PLACES, &places) == SA_LOOK_FOUND) {
        ask(store, &places, 0, to);
        sa_places_leave(store, &places);
        from = places.offset + places.n;
    }
}
