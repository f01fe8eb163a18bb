/* SPDX-License-Identifier: Apache-2.0
 *
 * Ring of un-acked pushes. [lane]
 */
#include "ring.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define PROBES 16u /* counts skipped for a place before the ring is made larger */

static bool
grow(tcp_ring *r)
{
    uint32_t n = r->n > 0 ? r->n * 2 : 16;
    tcp_ring_slot *slots = calloc(n, sizeof *slots);
    if (slots == NULL)
        return false;
    /* counts that differ modulo the old size differ modulo the new one */
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->slots[i].count != 0)
            slots[r->slots[i].count & (n - 1)] = r->slots[i];
    }
    free(r->slots);
    r->slots = slots;
    r->n = n;
    return true;
}

static tcp_ring_slot *
place(tcp_ring *r)
{
    for (uint32_t i = 0; r->n > 0 && i < PROBES; i++) {
        tcp_ring_slot *slot = &r->slots[++r->last & (r->n - 1)];
        if (slot->count == 0)
            return slot;
    }
    return NULL;
}

uint64_t
tcp_ring_add(tcp_ring *r, uint64_t id)
{
    tcp_ring_slot *slot = NULL;
    if (r->n > 0 && (r->open * 4 < r->n * 3 || r->n == TCP_RING_MAX))
        slot = place(r);
    while (slot == NULL && r->n < TCP_RING_MAX && grow(r))
        slot = place(r);
    if (slot == NULL && r->n < TCP_RING_MAX)
        return 0;
    if (slot == NULL) {
        slot = &r->slots[++r->last & (r->n - 1)];
        r->open -= slot->count != 0;
    }
    *slot = (tcp_ring_slot){ .count = r->last, .id = id };
    r->open++;
    return r->last;
}

bool
tcp_ring_peek(const tcp_ring *r, uint64_t count, uint64_t *id)
{
    if (count == 0 || r->n == 0 || r->slots[count & (r->n - 1)].count != count)
        return false;
    *id = r->slots[count & (r->n - 1)].id;
    return true;
}

bool
tcp_ring_take(tcp_ring *r, uint64_t count, uint64_t *id)
{
    if (count == 0 || r->n == 0 || r->slots[count & (r->n - 1)].count != count)
        return false;
    tcp_ring_slot *slot = &r->slots[count & (r->n - 1)];
    *id = slot->id;
    slot->count = 0;
    r->open--;
    return true;
}

void
tcp_ring_free(tcp_ring *r)
{
    free(r->slots);
    *r = (tcp_ring){ 0 };
}

uint64_t
tcp_seq_first(void)
{
    uint64_t n = 0;
    if (getrandom(&n, sizeof n, GRND_NONBLOCK) != (ssize_t)sizeof n) {
        struct timespec now = { 0, 0 };
        clock_gettime(CLOCK_REALTIME, &now);
        n = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        n <<= 17; /* of now, what changes soonest counts */
    }
    return (n >> 17) + 1;
}

size_t
tcp_seq_write(uint64_t count, char out[TCP_SEQ_MAX])
{
    static const char hex[] = "0123456789abcdef";
    char text[16];
    size_t n = 0, len = 1;
    out[0] = 's';
    do
        text[n++] = hex[count & 15];
    while ((count >>= 4) > 0);
    while (n > 0)
        out[len++] = text[--n];
    return len;
}

uint64_t
tcp_seq_read(const char *seq, size_t len)
{
    static const int8_t digits[256] = { /* 1 + value */
        ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8,
        ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15,
        ['f'] = 16,
    };
    uint64_t count = 0;
    if (len < 2 || len > 17 || seq[0] != 's' || seq[1] == '0')
        return 0;
    for (size_t i = 1; i < len; i++) {
        int digit = digits[(uint8_t)seq[i]];
        if (digit == 0)
            return 0;
        count = count << 4 | (uint64_t)(digit - 1);
    }
    return count;
}
