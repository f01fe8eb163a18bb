/* SPDX-License-Identifier: Apache-2.0
 *
 * Table of publishes under way; as large as the mesh lets them be. [lane]
 */
#include "slots.h"

#include <stdlib.h>
#include <string.h>

static bool
grow(tcp_slots *s)
{
    uint32_t n = s->n > 0 ? s->n * 2 : 8;
    tcp_slot *all = realloc(s->all, n * sizeof *all);
    if (all == NULL)
        return false;
    s->all = all;
    for (uint32_t i = n; i-- > s->n;) {
        all[i].taken = false;
        all[i].long_seq = NULL;
        all[i].next = s->free;
        s->free = i + 1;
    }
    s->n = n;
    return true;
}

int64_t
tcp_slots_take(tcp_slots *s, const char *seq, size_t len, tcp_command answer)
{
    char *long_seq = NULL;
    if (s->free == 0 && !grow(s))
        return -1;
    if (len > TCP_SEQ_INLINE && (long_seq = malloc(len)) == NULL)
        return -1;
    uint32_t index = s->free - 1;
    tcp_slot *slot = &s->all[index];
    s->free = slot->next;
    s->taken++;
    slot->next = 0;
    slot->taken = true;
    slot->long_seq = long_seq;
    slot->seq_len = (uint32_t)len;
    slot->has_seq = seq != NULL;
    slot->command = (uint8_t)answer;
    slot->flavour = 0;
    if (len > 0)
        memcpy(long_seq != NULL ? long_seq : slot->seq, seq, len);
    return index;
}

tcp_slot *
tcp_slots_at(tcp_slots *s, uint64_t index)
{
    return index < s->n && s->all[index].taken ? &s->all[index] : NULL;
}

const char *
tcp_slot_seq(const tcp_slot *slot)
{
    if (!slot->has_seq)
        return NULL;
    return slot->long_seq != NULL ? slot->long_seq : slot->seq;
}

void
tcp_slots_give(tcp_slots *s, tcp_slot *slot)
{
    free(slot->long_seq);
    slot->long_seq = NULL;
    slot->taken = false;
    slot->next = s->free;
    s->free = (uint32_t)(slot - s->all) + 1;
    s->taken--;
}

void
tcp_slots_free(tcp_slots *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        free(s->all[i].long_seq);
    free(s->all);
    *s = (tcp_slots){ 0 };
}
