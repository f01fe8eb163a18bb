/* SPDX-License-Identifier: Apache-2.0
 *
 * Floors and ranges of groups against a model that keeps one flag per offset; and COMMIT entries
 * that bring the same state back.
 */
#include "groups.h"

#include <stdlib.h>

#define N 300u

typedef struct model {
    bool done[N];
    uint32_t attempts[N];
} model;

static void
compare(const sa_pair *pair, const model *m)
{
    for (uint32_t i = 0; i < N; i++) {
        uint64_t open = sa_pair_open(pair, i);
        uint32_t want = i;
        while (want < N && m->done[want])
            want++;
        g_assert_cmpuint(MIN(open, N), ==, want);
        if (!m->done[i])
            g_assert_cmpuint(sa_pair_attempts(pair, i), ==, m->attempts[i]);
    }
    for (uint32_t i = 1; i < pair->more->ranges.n; i++) {
        const sa_range *a = &pair->more->ranges.at[i - 1], *b = &pair->more->ranges.at[i];
        g_assert_cmpuint(a->first + a->count, <=, b->first);
        if (a->state == SA_RANGE_ACKED && b->state == SA_RANGE_ACKED)
            g_assert_cmpuint(a->first + a->count, <, b->first); /* neighbours are joined */
    }
    if (pair->more->ranges.n > 0)
        g_assert_cmpuint(pair->more->ranges.at[0].first, >=, pair->floor);
}

static void
step(sa_pair *pair, model *m)
{
    uint32_t o = (uint32_t)g_test_rand_int_range(0, N);
    switch (g_test_rand_int_range(0, 12)) {
    case 0:
        if (g_test_rand_int_range(0, 6) == 0) {
            sa_pair_up_to(pair, o / 4);
            for (uint32_t i = 0; i <= o / 4; i++)
                m->done[i] = true;
        }
        break;
    case 1:
    case 2:
    case 3:
        sa_pair_tried(pair, o, 1 + o % 7);
        if (!m->done[o])
            m->attempts[o] = 1 + o % 7;
        break;
    default:
        sa_pair_ack(pair, o);
        m->done[o] = true;
        break;
    }
}

static void
test_model(void)
{
    for (int round = 0; round < 200; round++) {
        sa_group group = { 0 };
        sa_partition part = { .id = 5 };
        model m = { 0 };
        sa_pair *pair = sa_pair_make(&group, &part, 0);
        for (int i = 0; i < 400; i++)
            step(pair, &m);
        compare(pair, &m);
        sa_group_clear(&group);
    }
}

/* Deltas in entries, applied to a copy in order, are the whole. */
static void
test_entries(void)
{
    sa_group group = { .id = 3 }, other = { .id = 3 };
    sa_partition part = { .id = 5 };
    model m = { 0 };
    sa_pair *pair = sa_pair_make(&group, &part, 0), *copy = sa_pair_make(&other, &part, 0);
    for (int round = 0; round < 100; round++) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        sa_commit_entry e;
        for (int i = 0; i < 5; i++)
            step(pair, &m);
        sa_commit_put(out, pair, SA_OP_ACK, &pair->more->news);
        sa_pair_told(pair);
        g_assert_true(sa_commit_read(out->data, out->len, &e));
        g_assert_false(sa_commit_read(out->data, out->len - 1, &e) && e.n > 0);
        g_assert_true(sa_commit_read(out->data, out->len, &e));
        g_assert_cmpuint(e.size, ==, out->len);
        for (uint32_t i = 0; i < e.n; i++) {
            sa_range range;
            sa_commit_range(&e, i, &range);
            sa_ranges_add(&sa_pair_more_of(copy)->ranges, range);
        }
        if (e.floor > 0)
            sa_pair_up_to(copy, e.floor - 1);
    }
    compare(copy, &m);
    sa_group_clear(&group);
    sa_group_clear(&other);
}

static void
test_seek(void)
{
    sa_group group = { 0 };
    sa_partition part = { .id = 5 };
    sa_pair *pair = sa_pair_make(&group, &part, 10);
    sa_pair_ack(pair, 12);
    sa_pair_ack(pair, 5); /* below the floor */
    g_assert_cmpuint(pair->more->ranges.n, ==, 1);
    uint32_t epoch = pair->epoch;
    sa_pair_seek(pair, 4);
    g_assert_cmpuint(pair->epoch, ==, epoch + 1);
    g_assert_cmpuint(sa_pair_open(pair, 0), ==, 4);
    g_assert_cmpuint(sa_pair_open(pair, 12), ==, 12);
    sa_group_clear(&group);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-groups/model", test_model);
    g_test_add_func("/store-groups/entries", test_entries);
    g_test_add_func("/store-groups/seek", test_seek);
    return g_test_run();
}
