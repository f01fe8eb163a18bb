/* SPDX-License-Identifier: Apache-2.0
 *
 * What a group keeps over a restart of the whole mesh, on a store that keeps positions itself: its
 * floor, what was settled above it, and nothing of a late answer.
 */
#include "harness/mesh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const emesh_plugin *emesh_plugin_entry_1(uint32_t host_minor); /* of the store linked in */

static mesh *
up(const char *data)
{
    return mesh_new(emesh_plugin_entry_1(0), MESH_OPTIONS, 2, NULL, data);
}

static char *
new_folder(void)
{
    g_autoptr(GError) error = NULL;
    char *data = g_dir_make_tmp("emesh-kept-XXXXXX", &error);

    g_assert_no_error(error);
    return data;
}

static void
test_floor_survives(void)
{
    g_autofree char *data = new_folder();
    mesh *m = up(data);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);

    mesh_publish(c, "t", "a", 100, 50);
    mesh_deliveries(sub, 100);
    mesh_unsubscribe(sub);
    mesh_publish(c, "t", "b", 20, 50); /* while nobody is there */
    mesh_results(c, 120);
    mesh_free(m);

    for (uint32_t life = 0; life < 2; life++) {
        m = up(data);
        c = mesh_client_new(m, life);
        sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);
        if (life == 0) {
            mesh_deliveries(sub, 20);
            g_assert_cmpstr(mesh_delivered(sub, 0), ==, "b0");
            g_assert_cmpstr(mesh_delivered(sub, 19), ==, "b19");
        }
        mesh_publish(c, "t", "c", 1, 50);
        mesh_deliveries(sub, life == 0 ? 21 : 1);
        g_assert_cmpuint(mesh_n_deliveries(sub), ==, life == 0 ? 21 : 1);
        mesh_free(m);
    }
    mesh_remove_tree(data);
}

/* 2 … 100 are settled while 1 is held: only 1 comes again. */
static void
test_out_of_order(void)
{
    g_autofree char *data = new_folder();
    mesh *m = up(data);
    mesh_client *c = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 200, false);

    mesh_publish(c, "t", "a", 100, 50);
    for (uint32_t done = 1, have; done < 100; done = have) { /* as its credit allows */
        mesh_deliveries(sub, done + 1);
        have = mesh_n_deliveries(sub);
        for (uint32_t i = have; i-- > done;)
            mesh_settle(sub, i, EMESH_SETTLE_DONE, 0);
    }
    mesh_free(m);

    m = up(data);
    c = mesh_client_new(m, 0);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 200, true);
    mesh_publish(c, "t", "b", 1, 50); /* behind all that could come again */
    mesh_deliveries(sub, 2);
    g_assert_cmpuint(mesh_n_deliveries(sub), ==, 2);
    g_assert_cmpstr(mesh_delivered(sub, 0), ==, "a0");
    g_assert_cmpstr(mesh_delivered(sub, 1), ==, "b0");
    mesh_free(m);

    m = up(data); /* and now nothing is left */
    c = mesh_client_new(m, 0);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 200, true);
    mesh_publish(c, "t", "c", 1, 50);
    mesh_deliveries(sub, 1);
    g_assert_cmpstr(mesh_delivered(sub, 0), ==, "c0");
    mesh_free(m);
    mesh_remove_tree(data);
}

/* An answer to what was offered in an earlier life, or given back already, settles nothing. */
static void
test_late_settle(void)
{
    g_autofree char *data = new_folder();
    mesh *m = up(data);
    mesh_client *c = mesh_client_new(m, 0), *d = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false), *other;
    uint64_t late;

    mesh_publish(c, "t", "a", 1, 50);
    mesh_deliveries(sub, 1);
    mesh_unsubscribe(sub);
    other = mesh_subscribe(d, "t", "g", EMESH_SUB_SHARED, 10, false);
    mesh_settle(sub, 0, EMESH_SETTLE_RETURN, 0);
    mesh_deliveries(other, 1); /* it is the other's now */
    late = mesh_delivery_id(other, 0);
    g_assert_cmpuint(mesh_stale(m), ==, 0);
    mesh_settle(sub, 0, EMESH_SETTLE_DONE, 0);
    mesh_free(m);

    m = up(data);
    c = mesh_client_new(m, 1);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 0, true);
    mesh_settle_id(c, late, EMESH_SETTLE_DONE, 0); /* nothing is offered to it */
    mesh_window(sub, 10);
    mesh_deliveries(sub, 1);
    g_assert_cmpstr(mesh_delivered(sub, 0), ==, "a0");
    g_assert_cmpuint(mesh_stale(m), ==, 1);
    mesh_free(m);
    mesh_remove_tree(data);
}

/* Whoever holds everything when the daemon stops loses nothing. */
static void
test_held_over_a_restart(void)
{
    g_autofree char *data = new_folder();
    mesh *m = up(data);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 1000, false);

    mesh_publish(c, "t", "a", 200, 50);
    mesh_deliveries(sub, 32); /* the credit of one who never acknowledged */
    mesh_free(m);

    m = up(data);
    c = mesh_client_new(m, 1);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 16, true);
    mesh_deliveries(sub, 200);
    for (uint32_t i = 0; i < 200; i++)
        g_assert_cmpint(atoi(mesh_delivered(sub, i) + 1), ==, i);
    mesh_free(m);
    mesh_remove_tree(data);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mesh-kept/floor-survives", test_floor_survives);
    g_test_add_func("/mesh-kept/out-of-order", test_out_of_order);
    g_test_add_func("/mesh-kept/late-settle", test_late_settle);
    g_test_add_func("/mesh-kept/held-over-a-restart", test_held_over_a_restart);
    return g_test_run();
}
