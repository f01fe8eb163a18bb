/* SPDX-License-Identifier: Apache-2.0
 *
 * What a group has done in a partition, and the text in which it travels: against a plain set of
 * offsets.
 */
#include "done.h"
#include <string.h>

#define SPAN 40000

static void
check_same(const kf_done *done, const bool *set, int64_t n)
{
    int64_t count = 0;

    for (int64_t i = 0; i < n; i++) {
        g_assert_cmpint(kf_done_has(done, i), ==, set[i]);
        count += set[i] && i >= done->floor;
    }
    g_assert_false(kf_done_has(done, done->floor));
    g_assert_cmpint(kf_done_count(done, n), ==, count);
}

static void
test_against_a_set(void)
{
    static const int64_t n = 600;
    bool set[600] = { false };
    kf_done done;

    kf_done_init(&done, 0);
    for (int i = 0; i < 2000; i++) {
        int64_t at = g_test_rand_int_range(0, (gint32)n - 1);
        if (i % 50 == 49 && at < 300) {
            kf_done_up_to(&done, at);
            for (int64_t k = 0; k < at; k++)
                set[k] = true;
        } else {
            g_assert_cmpint(kf_done_one(&done, at), ==, !set[at]);
            set[at] = true;
        }
        if (i % 100 == 0)
            check_same(&done, set, n);
    }
    check_same(&done, set, n);
    kf_done_clear(&done);
}

/* Written and read: the same, except what had no room, which is never what is not done. */
static void
round_trip(const kf_done *done, bool whole)
{
    g_autofree char *text = kf_done_write(done);
    kf_done again;

    g_assert_cmpuint(strlen(text), <=, KF_DONE_TEXT);
    g_assert_true(g_utf8_validate(text, -1, NULL));
    kf_done_init(&again, done->floor);
    g_assert_cmpint(kf_done_read(&again, text, strlen(text)), ==, text[0] != '\0');
    g_assert_cmpint(again.floor, ==, done->floor);
    for (int64_t i = done->floor; i < done->floor + SPAN; i++) {
        if (whole || kf_done_has(&again, i))
            g_assert_cmpint(kf_done_has(done, i), ==, kf_done_has(&again, i));
    }
    kf_done_clear(&again);
}

static void
test_text_of_one_hole(void)
{
    kf_done done;

    kf_done_init(&done, 0);
    round_trip(&done, true);
    for (int64_t i = 1; i < 100; i++)
        g_assert_true(kf_done_one(&done, i));
    g_assert_cmpint(done.floor, ==, 0);
    g_assert_cmpint(kf_done_count(&done, 100), ==, 99);
    round_trip(&done, true);
    g_assert_true(kf_done_one(&done, 0));
    g_assert_cmpint(done.floor, ==, 100);
    kf_done_clear(&done);
}

static void
test_text_of_many_holes(void)
{
    kf_done done;

    kf_done_init(&done, 1000000);
    for (int64_t i = 1; i < 8000; i += 2) /* more runs than have room: bits */
        kf_done_one(&done, 1000000 + i);
    round_trip(&done, true);
    for (int64_t i = 20001; i < 30000; i += 5) /* behind the bits: as many runs as fit */
        kf_done_one(&done, 1000000 + i);
    round_trip(&done, false);
    kf_done_clear(&done);
}

static void
test_text_of_others(void)
{
    static const char *const bad[] = { "", "hello", "em1:", "em1:zz", "em2:AA==:AA==", "em1:!:!",
                                       "em1::////////////////////" };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        kf_done done;
        kf_done_init(&done, 7);
        kf_done_read(&done, bad[i], strlen(bad[i]));
        g_assert_cmpint(done.floor, >=, 7);
        kf_done_clear(&done);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kafka/done/against-a-set", test_against_a_set);
    g_test_add_func("/kafka/done/text-of-one-hole", test_text_of_one_hole);
    g_test_add_func("/kafka/done/text-of-many-holes", test_text_of_many_holes);
    g_test_add_func("/kafka/done/text-of-others", test_text_of_others);
    return g_test_run();
}
