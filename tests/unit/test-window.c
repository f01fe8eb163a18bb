/* SPDX-License-Identifier: Apache-2.0
 *
 * The window of a subscription: floors, order of offers, what comes back, what is forgotten. One
 * test drives it with random settles against a model.
 */
#include "delivery/window.h"

#include <string.h>

static const emesh_event *
event_new(void)
{
    const emesh_attr attrs[] = { { "id", "1", 2, 1, 0, 0 }, { "source", "/t", 6, 2, 5, 0 },
                                 { "type", "t", 4, 1, 0, 0 } };
    emesh_event_view view = { .size = sizeof view, .attrs = attrs, .n_attrs = 3 };
    const emesh_event *event = NULL;

    g_assert_cmpint(emesh_event_build(&view, NULL, &event, NULL), ==, EMESH_OK);
    return event;
}

static uint32_t
add(emesh_slots *slots, emesh_window *window, const emesh_event *event, uint64_t at)
{
    emesh_record record = { .event = event, .position = { 0, at }, .attempt = 1 };

    return emesh_slots_add(slots, window, 0, &record);
}

static void
done(emesh_slots *slots, emesh_window *window)
{
    emesh_slots_forget(slots, window);
    g_assert_cmpuint(slots->used, ==, 0);
    g_assert_cmpuint(slots->bytes, ==, 0);
    g_assert_cmpuint(slots->ready, ==, 0);
    emesh_slots_clear(slots);
    emesh_window_free(window);
}

/* Where there is an order: what comes back goes before what is later, also before one that could not
 * be offered a moment ago. */
static void
test_sorted(void)
{
    emesh_slots slots = { .sorted = true };
    emesh_window *window = g_new0(emesh_window, 1);
    const emesh_event *event = event_new();
    uint32_t taken[4];

    for (uint64_t i = 0; i < 5; i++)
        add(&slots, window, event, i);
    for (uint32_t i = 0; i < 4; i++)
        taken[i] = emesh_slots_pop_ready(&slots) - 1;
    emesh_slots_unpop(&slots, taken[3]);
    emesh_slots_return(&slots, taken[1]);
    emesh_slots_return(&slots, taken[2]);
    emesh_slots_return(&slots, taken[0]);
    g_assert_cmpuint(slots.ready, ==, 5);
    for (uint64_t i = 0; i < 5; i++) {
        uint32_t found = emesh_slots_pop_ready(&slots);
        g_assert_cmpuint(emesh_slot_at(&slots, found - 1)->position.lo, ==, i);
    }
    g_assert_cmpuint(emesh_slots_pop_ready(&slots), ==, 0);
    emesh_event_unref(event);
    done(&slots, window);
}

static void
test_order(void)
{
    emesh_slots slots = { 0 };
    emesh_window *window = g_new0(emesh_window, 1);
    const emesh_event *event = event_new();

    for (uint64_t i = 0; i < 200; i++)
        add(&slots, window, event, i * 10);
    g_assert_cmpuint(slots.ready, ==, 200);
    for (uint64_t i = 0; i < 200; i++) {
        uint32_t found = emesh_slots_pop_ready(&slots);
        g_assert_cmpuint(emesh_slot_at(&slots, found - 1)->position.lo, ==, i * 10);
    }
    g_assert_cmpuint(emesh_slots_pop_ready(&slots), ==, 0);
    emesh_event_unref(event);
    done(&slots, window);
}

static void
test_floor_waits_for_the_hole(void)
{
    emesh_slots slots = { 0 };
    emesh_window *window = g_new0(emesh_window, 1);
    const emesh_event *event = event_new();
    uint32_t at[3];

    for (uint32_t i = 0; i < 3; i++) {
        add(&slots, window, event, i);
        at[i] = emesh_slots_pop_ready(&slots) - 1;
    }
    g_assert_false(emesh_slots_settle(&slots, window, at[1]));
    g_assert_false(emesh_slots_settle(&slots, window, at[2]));
    g_assert_false(window->has_floor);
    g_assert_true(emesh_slots_settle(&slots, window, at[0]));
    g_assert_cmpuint(window->floor.lo, ==, 2);
    g_assert_cmpuint(slots.used, ==, 0);
    emesh_event_unref(event);
    done(&slots, window);
}

static void
test_returned_go_first(void)
{
    emesh_slots slots = { 0 };
    emesh_window *window = g_new0(emesh_window, 1);
    const emesh_event *event = event_new();
    uint32_t first;

    add(&slots, window, event, 1);
    add(&slots, window, event, 2);
    first = emesh_slots_pop_ready(&slots) - 1;
    emesh_slots_return(&slots, first);
    g_assert_cmpuint(emesh_slots_pop_ready(&slots) - 1, ==, first);
    emesh_event_unref(event);
    done(&slots, window);
}

static void
test_holes_move_the_floor(void)
{
    emesh_slots slots = { 0 };
    emesh_window *window = g_new0(emesh_window, 1);
    uint32_t hole = add(&slots, window, NULL, 7);

    g_assert_cmpuint(slots.ready, ==, 0);
    g_assert_true(emesh_slots_settle(&slots, window, hole));
    g_assert_cmpuint(window->floor.lo, ==, 7);
    done(&slots, window);
}

static void
test_random_against_model(void)
{
    emesh_slots slots = { 0 };
    emesh_window *window = g_new0(emesh_window, 1);
    const emesh_event *event = event_new();
    g_autoptr(GArray) open = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    bool settled[2000] = { false };
    uint64_t next = 0;

    for (uint32_t step = 0; step < 20000; step++) {
        if (next < G_N_ELEMENTS(settled) && g_test_rand_bit())
            add(&slots, window, event, next++);
        if (g_test_rand_bit()) {
            uint32_t found = emesh_slots_pop_ready(&slots);
            uint32_t index = found - 1;
            if (found != 0)
                g_array_append_val(open, index);
        }
        if (open->len > 0 && g_test_rand_bit()) {
            uint32_t pick = (uint32_t)g_test_rand_int_range(0, (int)open->len);
            uint32_t index = g_array_index(open, uint32_t, pick);
            g_array_remove_index_fast(open, pick);
            if (g_test_rand_int_range(0, 4) == 0) {
                emesh_slots_return(&slots, index);
            } else {
                uint64_t floor = 0;
                settled[emesh_slot_at(&slots, index)->position.lo] = true;
                emesh_slots_settle(&slots, window, index);
                while (floor < next && settled[floor])
                    floor++;
                g_assert_cmpint(window->has_floor, ==, floor > 0);
                if (floor > 0)
                    g_assert_cmpuint(window->floor.lo, ==, floor - 1);
                g_assert_cmpuint(slots.used, ==, next - floor);
            }
        }
    }
    emesh_event_unref(event);
    done(&slots, window);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/window/offers-in-order", test_order);
    g_test_add_func("/window/returned-in-order", test_sorted);
    g_test_add_func("/window/floor-waits-for-the-hole", test_floor_waits_for_the_hole);
    g_test_add_func("/window/returned-go-first", test_returned_go_first);
    g_test_add_func("/window/holes-move-the-floor", test_holes_move_the_floor);
    g_test_add_func("/window/random-against-model", test_random_against_model);
    return g_test_run();
}
