/* SPDX-License-Identifier: Apache-2.0
 *
 * See scan.h.
 */
#include "scan.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define SA_WINDOW (1u << 20)

/* Makes n bytes at place available, or as many as the file has. */
static int
want(sa_scan *s, uint64_t place, size_t n)
{
    if (place >= s->at && place - s->at + n <= s->have)
        return 0;
    size_t keep = place >= s->at && place - s->at < s->have ? s->have - (size_t)(place - s->at) : 0;
    if (s->eof && keep > 0)
        return 0;
    if (n > s->cap || s->window == NULL) {
        size_t cap = n > SA_WINDOW ? sa_pad8(n) : SA_WINDOW;
        uint8_t *window = malloc(cap);
        if (window == NULL)
            return -ENOMEM;
        if (keep > 0)
            memcpy(window, s->window + (place - s->at), keep);
        free(s->window);
        s->window = window;
        s->cap = cap;
    } else if (keep > 0) {
        memmove(s->window, s->window + (place - s->at), keep);
    }
    s->at = place;
    s->have = keep;
    size_t take = s->cap - keep;
    if (s->end != 0 && s->base + place + keep + take > s->end)
        take = s->base + place + keep < s->end ? (size_t)(s->end - s->base - place - keep) : 0;
    ssize_t got = take > 0 ? sa_read_all(s->io, s->fd, s->window + keep, take, place + keep) : 0;
    if (got < 0)
        return (int)got;
    s->eof = (size_t)got < take || take == 0;
    s->have += (size_t)got;
    if (s->counter != NULL)
        atomic_fetch_add(s->counter, (uint64_t)got);
    return 0;
}

/* The next place behind from with data on disk; the same place when the system cannot tell. */
static uint64_t
next_data(const sa_scan *s, uint64_t from)
{
    off_t at = lseek(s->fd, (off_t)from, SEEK_DATA);
    if (at < 0)
        return errno == ENXIO ? UINT64_MAX : from;
    return (uint64_t)at & ~(uint64_t)7;
}

static bool
all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0)
            return false;
    }
    return true;
}

/* From a place without record to the next with one, or to a footer, or to the end. *zero: nothing
 * but zeros in between. */
static int
search(sa_scan *s, uint64_t place, uint64_t *next, bool *zero)
{
    uint64_t at = place;
    *zero = true;
    while (true) {
        uint64_t data = next_data(s, at);
        if (data == UINT64_MAX) {
            *next = UINT64_MAX;
            return 0;
        }
        if (data > at)
            at = data; /* a hole reads as zeros */
        int rc = want(s, at, 2 * SA_RECORD_HEAD);
        if (rc < 0)
            return rc;
        size_t have = (s->have - (size_t)(at - s->at)) & ~(size_t)7;
        const uint8_t *p = s->window + (at - s->at);
        sa_rec_head head;
        for (size_t i = 0; i + SA_RECORD_HEAD <= have; i += 8) {
            if (sa_get64(p + i) == 0)
                continue;
            if (sa_rec_head_read(p + i, have - i, s->base + at + i, s->salt, &head)) {
                *next = at + i;
                return 0;
            }
            sa_step step = SA_STEP_NONE;
            size_t need;
            if (p[i] == 'E')
                step = sa_step_at(p + i, have - i, s->base + at + i, s->salt, &head, &need);
            if (step == SA_STEP_FOOTER) {
                *next = at + i;
                return 0;
            }
            *zero = false;
        }
        if (s->eof) {
            size_t rest = have < SA_RECORD_HEAD ? 0 : have - SA_RECORD_HEAD + 8;
            *zero = *zero && all_zero(p + rest, s->have - (size_t)(at - s->at) - rest);
            *next = UINT64_MAX;
            return 0;
        }
        at += have - SA_RECORD_HEAD + 8; /* the last header may be cut */
    }
}

static int
run(sa_scan *s, bool (*each)(void *ctx, const sa_found *found), void *ctx)
{
    uint64_t place = s->from != 0 ? s->from : SA_SEGMENT_HEAD;
    size_t need = SA_RECORD_HEAD;
    while (true) {
        int rc = want(s, place, need);
        if (rc < 0)
            return rc;
        size_t have = place - s->at < s->have ? s->have - (size_t)(place - s->at) : 0;
        const uint8_t *p = s->window + (place - s->at);
        sa_found found = { .place = place, .ctx2 = s->ctx2 };
        size_t asked = need;
        sa_step step = sa_step_at(p, have, s->base + place, s->salt, &found.head, &need);
        if (step == SA_STEP_MORE && have >= asked && need > have && !s->eof)
            continue;
        asked = need;
        need = SA_RECORD_HEAD;
        s->stop = s->base + place;
        if (step == SA_STEP_FOOTER) {
            s->footer = true;
            return 0;
        }
        if (step == SA_STEP_RECORD && (found.head.flags & SA_REC_CLOSE) != 0) {
            s->closed = true;
            s->stop += SA_RECORD_HEAD;
            place += SA_RECORD_HEAD; /* a footer may follow; another record may not */
            continue;
        }
        if (step == SA_STEP_RECORD || step == SA_STEP_BAD_BODY) {
            found.whole = step == SA_STEP_RECORD;
            found.head_good = true;
            found.size = sa_rec_size(found.head.body);
            found.body = found.whole ? p + SA_RECORD_HEAD : NULL;
            if (!each(ctx, &found))
                return 0;
            place += found.size;
            continue;
        }
        if (s->end != 0 && s->base + place >= s->end)
            return 0;
        uint64_t next = UINT64_MAX;
        bool zero = true;
        /* A header whose body the file no longer has: cut in the middle. */
        found.head_good = step == SA_STEP_MORE && have >= SA_RECORD_HEAD && asked > have;
        rc = search(s, found.head_good ? place + 8 : place, &next, &zero);
        if (rc < 0)
            return rc;
        s->torn = next == UINT64_MAX && !zero && s->closed;
        if (next == UINT64_MAX && (zero || s->torn) && !found.head_good)
            return 0;
        found.size = next == UINT64_MAX ? 0 : next - place;
        if (!each(ctx, &found) || next == UINT64_MAX)
            return 0;
        place = next;
    }
}

int
sa_scan_run(sa_scan *s, bool (*each)(void *ctx, const sa_found *found), void *ctx)
{
    s->window = NULL;
    s->cap = s->have = 0;
    s->at = 0;
    s->eof = false;
    s->footer = s->closed = false;
    s->stop = s->base + (s->from != 0 ? s->from : SA_SEGMENT_HEAD);
    int rc = run(s, each, ctx);
    free(s->window);
    s->window = NULL;
    return rc;
}
