/* SPDX-License-Identifier: Apache-2.0
 *
 * See groups.h: floors and ranges.
 */
#include "groups.h"

#include "store.h"
#include <stdlib.h>

static void
pair_free(gpointer data)
{
    sa_pair *pair = data;
    g_free(pair->ranges.at);
    g_free(pair->news.at);
    g_free(pair);
}

sa_pair *
sa_pair_find(sa_group *group, uint32_t partition)
{
    return group->pairs != NULL
               ? g_hash_table_lookup(group->pairs, GUINT_TO_POINTER(partition)) : NULL;
}

sa_pair *
sa_pair_make(sa_group *group, sa_partition *part, uint64_t floor)
{
    sa_pair *pair = sa_pair_find(group, part->id);
    if (pair != NULL)
        return pair;
    if (group->pairs == NULL)
        group->pairs = g_hash_table_new_full(NULL, NULL, NULL, pair_free);
    pair = g_new0(sa_pair, 1);
    pair->group = group;
    pair->part = part;
    pair->floor = floor;
    g_hash_table_insert(group->pairs, GUINT_TO_POINTER(part->id), pair);
    return pair;
}

void
sa_pair_forget(struct sa_store *store, sa_group *group, uint32_t partition)
{
    sa_pair *pair = sa_pair_find(group, partition);
    if (pair == NULL)
        return;
    g_hash_table_steal(group->pairs, GUINT_TO_POINTER(partition));
    pair->dead_next = group->dead;
    group->dead = pair;
    pair->gone = true;
    sa_pair_row(store, pair);
}

void
sa_group_clear(sa_group *group)
{
    if (group->pairs != NULL)
        g_hash_table_unref(group->pairs);
    group->pairs = NULL;
    for (sa_pair *pair = group->dead, *next; pair != NULL; pair = next) {
        next = pair->dead_next;
        pair_free(pair);
    }
    group->dead = NULL;
}

/* Number of the first range that ends behind offset. */
static uint32_t
range_at(const sa_ranges *ranges, uint64_t offset)
{
    uint32_t low = 0, high = ranges->n;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (ranges->at[mid].first + ranges->at[mid].count <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void
remove_at(sa_ranges *ranges, uint32_t at, uint32_t n)
{
    memmove(ranges->at + at, ranges->at + at + n, (ranges->n - at - n) * sizeof *ranges->at);
    ranges->n -= n;
}

static void
insert_at(sa_ranges *ranges, uint32_t at, sa_range range)
{
    if (ranges->n == ranges->cap) {
        ranges->cap = ranges->cap ? ranges->cap * 2 : 4;
        ranges->at = g_renew(sa_range, ranges->at, ranges->cap);
    }
    memmove(ranges->at + at + 1, ranges->at + at, (ranges->n - at) * sizeof *ranges->at);
    ranges->at[at] = range;
    ranges->n++;
}

/* Takes [first, first + count) out of the ranges at and behind number at; parts that stick out
 * stay. Returns where the hole is. */
static uint32_t
clear_span(sa_ranges *ranges, uint32_t at, uint64_t first, uint64_t end)
{
    while (at < ranges->n && ranges->at[at].first < end) {
        sa_range *r = &ranges->at[at];
        uint64_t r_end = r->first + r->count;
        if (r->first < first && r_end > end) {
            sa_range rest = *r;
            r->count = (uint32_t)(first - r->first);
            rest.first = end;
            rest.count = (uint32_t)(r_end - end);
            insert_at(ranges, at + 1, rest);
            return at + 1;
        }
        if (r->first < first) {
            r->count = (uint32_t)(first - r->first);
            at++;
        } else if (r_end > end) {
            r->first = end;
            r->count = (uint32_t)(r_end - end);
            return at;
        } else {
            remove_at(ranges, at, 1);
        }
    }
    return at;
}

static bool
joins(const sa_range *a, const sa_range *b)
{
    return a->state == SA_RANGE_ACKED && b->state == SA_RANGE_ACKED
           && a->first + a->count == b->first && (uint64_t)a->count + b->count <= UINT32_MAX;
}

bool
sa_ranges_add(sa_ranges *ranges, sa_range range)
{
    if (range.count == 0)
        return false;
    uint32_t at = range_at(ranges, range.first);
    if (at < ranges->n && ranges->at[at].state == SA_RANGE_ACKED
        && ranges->at[at].first <= range.first
        && ranges->at[at].first + ranges->at[at].count >= range.first + range.count)
        return false; /* done already; what is done stays done */
    at = clear_span(ranges, at, range.first, range.first + range.count);
    if (at > 0 && joins(&ranges->at[at - 1], &range)) {
        at--;
        ranges->at[at].count += range.count;
    } else {
        insert_at(ranges, at, range);
    }
    if (at + 1 < ranges->n && joins(&ranges->at[at], &ranges->at[at + 1])) {
        ranges->at[at].count += ranges->at[at + 1].count;
        remove_at(ranges, at + 1, 1);
    }
    return true;
}

void
sa_ranges_cut(sa_ranges *ranges, uint64_t floor)
{
    uint32_t at = range_at(ranges, floor);
    if (at > 0)
        remove_at(ranges, 0, at);
    if (ranges->n > 0 && ranges->at[0].first < floor) {
        ranges->at[0].count -= (uint32_t)(floor - ranges->at[0].first);
        ranges->at[0].first = floor;
    }
}

/* Moves the floor to offset and over what is acknowledged right there. */
static void
set_floor(sa_pair *pair, uint64_t floor)
{
    pair->floor = floor;
    sa_ranges_cut(&pair->ranges, floor);
    while (pair->ranges.n > 0 && pair->ranges.at[0].state == SA_RANGE_ACKED
           && pair->ranges.at[0].first == pair->floor) {
        pair->floor += pair->ranges.at[0].count;
        remove_at(&pair->ranges, 0, 1);
    }
    sa_ranges_cut(&pair->news, pair->floor);
    pair->floor_new = true;
}

bool
sa_pair_up_to(sa_pair *pair, uint64_t offset)
{
    if (offset < pair->floor)
        return false;
    set_floor(pair, offset + 1);
    return true;
}

bool
sa_pair_ack(sa_pair *pair, uint64_t offset)
{
    if (offset < pair->floor)
        return false;
    if (offset == pair->floor)
        return sa_pair_up_to(pair, offset);
    sa_range range = { offset, 1, 0, SA_RANGE_ACKED };
    if (!sa_ranges_add(&pair->ranges, range))
        return false;
    sa_ranges_add(&pair->news, range);
    return true;
}

bool
sa_pair_tried(sa_pair *pair, uint64_t offset, uint32_t attempts)
{
    if (offset < pair->floor)
        return false;
    sa_range range = { offset, 1, (uint16_t)MIN(attempts, UINT16_MAX), SA_RANGE_TRIED };
    if (!sa_ranges_add(&pair->ranges, range))
        return false;
    sa_ranges_add(&pair->news, range);
    return true;
}

void
sa_pair_seek(sa_pair *pair, uint64_t offset)
{
    pair->floor = offset;
    pair->ranges.n = 0;
    pair->news.n = 0;
    pair->whole = false;
    pair->floor_new = true;
    pair->epoch++;
}

uint64_t
sa_pair_open(const sa_pair *pair, uint64_t offset)
{
    if (offset < pair->floor)
        offset = pair->floor;
    for (uint32_t i = range_at(&pair->ranges, offset); i < pair->ranges.n; i++) {
        const sa_range *r = &pair->ranges.at[i];
        if (r->first > offset || r->state != SA_RANGE_ACKED)
            break;
        offset = r->first + r->count;
    }
    return offset;
}

uint32_t
sa_pair_attempts(const sa_pair *pair, uint64_t offset)
{
    uint32_t i = range_at(&pair->ranges, offset);
    if (i == pair->ranges.n || pair->ranges.at[i].first > offset
        || pair->ranges.at[i].state != SA_RANGE_TRIED)
        return 0;
    return pair->ranges.at[i].attempts;
}

void
sa_groups_forget_topic(struct sa_store *store, sa_topic *topic)
{
    sa_catalog *cat = &store->cat;
    pthread_mutex_lock(&cat->lock);
    guint n = cat->every_group->len;
    pthread_mutex_unlock(&cat->lock);
    for (guint i = 0; i < n; i++) {
        pthread_mutex_lock(&cat->lock);
        sa_group *group = g_ptr_array_index(cat->every_group, i);
        pthread_mutex_unlock(&cat->lock);
        pthread_mutex_lock(&group->lock);
        for (uint32_t k = 0; k < topic->n_parts; k++)
            sa_pair_forget(store, group, topic->parts[k]->id);
        pthread_mutex_unlock(&group->lock);
    }
}

void
sa_pair_row(struct sa_store *store, sa_pair *pair)
{
    sa_keeper *keeper = &store->keeper;
    if (pair->row_dirty)
        return;
    pair->row_dirty = true;
    pthread_mutex_lock(&keeper->lock);
    g_ptr_array_add(keeper->pairs, pair);
    pthread_mutex_unlock(&keeper->lock);
    atomic_store(&keeper->dirty, true);
}
