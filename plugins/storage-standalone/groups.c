/* SPDX-License-Identifier: Apache-2.0
 *
 * See groups.h: floors and ranges.
 */
#include "groups.h"

#include "store.h"
#include <stdlib.h>

static const sa_pair_more nothing; /* of all pairs without ranges */

sa_pair_more *
sa_pair_more_of(sa_pair *pair)
{
    if (pair->more == &nothing)
        pair->more = g_new0(sa_pair_more, 1);
    return pair->more;
}

void
sa_pair_told(sa_pair *pair)
{
    if (pair->more->news.n > 0)
        pair->more->news.n = 0;
    pair->floor_new = pair->whole = false;
}

void
sa_pair_init(sa_pair *pair)
{
    pair->more = (sa_pair_more *)(uintptr_t)&nothing;
}

void
sa_pair_clear(sa_pair *pair)
{
    if (pair->more == &nothing)
        return;
    g_free(pair->more->ranges.at);
    g_free(pair->more->news.at);
    g_free(pair->more);
    sa_pair_init(pair);
}

static void
pair_free(gpointer data)
{
    sa_pair_clear(data);
    g_free(data);
}

/* Number of the first pair whose partition is not before this one. */
static uint32_t
pair_at(const sa_group *group, uint32_t partition)
{
    uint32_t low = 0, high = group->n_pairs;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (group->pairs[mid]->part->id < partition)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

sa_pair *
sa_pair_find(sa_group *group, uint32_t partition)
{
    uint32_t at = pair_at(group, partition);
    return at < group->n_pairs && group->pairs[at]->part->id == partition ? group->pairs[at] : NULL;
}

sa_pair *
sa_pair_make(sa_group *group, sa_partition *part, uint64_t floor)
{
    uint32_t at = pair_at(group, part->id);
    if (at < group->n_pairs && group->pairs[at]->part->id == part->id)
        return group->pairs[at];
    if (group->n_pairs == group->room_pairs) {
        group->room_pairs += MAX(4, group->room_pairs / 8);
        group->pairs = g_renew(sa_pair *, group->pairs, group->room_pairs);
    }
    sa_pair *pair = g_new0(sa_pair, 1);
    pair->group = group;
    pair->part = part;
    pair->floor = floor;
    sa_pair_init(pair);
    memmove(group->pairs + at + 1, group->pairs + at, (group->n_pairs - at) * sizeof *group->pairs);
    group->pairs[at] = pair;
    group->n_pairs++;
    return pair;
}

void
sa_pair_forget(struct sa_store *store, sa_group *group, uint32_t partition)
{
    uint32_t at = pair_at(group, partition);
    if (at == group->n_pairs || group->pairs[at]->part->id != partition)
        return;
    sa_pair *pair = group->pairs[at];
    group->n_pairs--;
    memmove(group->pairs + at, group->pairs + at + 1, (group->n_pairs - at) * sizeof *group->pairs);
    if (group->dead == NULL)
        group->dead = g_ptr_array_new_with_free_func(pair_free);
    g_ptr_array_add(group->dead, pair);
    pair->gone = true;
    sa_pair_row(store, pair);
}

void
sa_group_clear(sa_group *group)
{
    for (uint32_t i = 0; i < group->n_pairs; i++)
        pair_free(group->pairs[i]);
    g_clear_pointer(&group->pairs, g_free);
    group->n_pairs = group->room_pairs = 0;
    g_clear_pointer(&group->dead, g_ptr_array_unref);
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
    pair->floor_new = true;
    if (pair->more == &nothing)
        return;
    sa_ranges_cut(&pair->more->ranges, floor);
    while (pair->more->ranges.n > 0 && pair->more->ranges.at[0].state == SA_RANGE_ACKED
           && pair->more->ranges.at[0].first == pair->floor) {
        pair->floor += pair->more->ranges.at[0].count;
        remove_at(&pair->more->ranges, 0, 1);
    }
    sa_ranges_cut(&pair->more->news, pair->floor);
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
    if (!sa_ranges_add(&sa_pair_more_of(pair)->ranges, range))
        return false;
    sa_ranges_add(&pair->more->news, range);
    return true;
}

bool
sa_pair_tried(sa_pair *pair, uint64_t offset, uint32_t attempts)
{
    if (offset < pair->floor)
        return false;
    sa_range range = { offset, 1, (uint16_t)MIN(attempts, UINT16_MAX), SA_RANGE_TRIED };
    if (!sa_ranges_add(&sa_pair_more_of(pair)->ranges, range))
        return false;
    sa_ranges_add(&pair->more->news, range);
    return true;
}

void
sa_pair_seek(sa_pair *pair, uint64_t offset)
{
    pair->floor = offset;
    if (pair->more != &nothing)
        pair->more->ranges.n = pair->more->news.n = 0;
    pair->whole = false;
    pair->floor_new = true;
    pair->epoch++;
}

uint64_t
sa_pair_open(const sa_pair *pair, uint64_t offset)
{
    if (offset < pair->floor)
        offset = pair->floor;
    for (uint32_t i = range_at(&pair->more->ranges, offset); i < pair->more->ranges.n; i++) {
        const sa_range *r = &pair->more->ranges.at[i];
        if (r->first > offset || r->state != SA_RANGE_ACKED)
            break;
        offset = r->first + r->count;
    }
    return offset;
}

uint32_t
sa_pair_attempts(const sa_pair *pair, uint64_t offset)
{
    uint32_t i = range_at(&pair->more->ranges, offset);
    if (i == pair->more->ranges.n || pair->more->ranges.at[i].first > offset
        || pair->more->ranges.at[i].state != SA_RANGE_TRIED)
        return 0;
    return pair->more->ranges.at[i].attempts;
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
