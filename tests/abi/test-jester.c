/* SPDX-License-Identifier: Apache-2.0
 *
 * The mesh above the jester's store: whatever it plays, each publish has one result, each event
 * that was stored reaches the subscriber, and what nobody published reaches nobody.
 */
#include "harness/mesh.h"

#include <string.h>

const emesh_plugin *emesh_plugin_entry_1(uint32_t host_minor); /* jester-store.c */

#define BATCH 40u
#define BATCHES 10u

static void
mark_seen(mesh_sub *sub, uint32_t from, uint32_t to, uint8_t *seen, uint32_t *distinct)
{
    for (uint32_t i = from; i < to; i++) {
        const char *id = mesh_delivered(sub, i);
        guint64 n = g_ascii_strtoull(id + 3, NULL, 10);
        guint64 batch = g_ascii_strtoull((char[]){ id[1], id[2], '\0' }, NULL, 10);
        g_assert_true(id[0] == 'b' && batch < BATCHES && n < BATCH);
        *distinct += seen[batch * BATCH + n] == 0;
        seen[batch * BATCH + n] = 1;
    }
}

/* Two publishers on two lanes, a subscriber who acknowledges all. */
static void
carry(const char *topic)
{
    mesh *m = mesh_new(emesh_plugin_entry_1(0), NULL, 2, NULL, NULL);
    mesh_client *p[] = { mesh_client_new(m, 0), mesh_client_new(m, 1) };
    mesh_client *s = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(s, topic, "g", EMESH_SUB_SHARED, 7, true);
    uint8_t seen[BATCHES * BATCH] = { 0 };
    uint32_t sent[2] = { 0 }, distinct = 0, read = 0;

    g_assert_cmpint(mesh_sub_code(sub), ==, EMESH_OK);
    for (uint32_t i = 0; i < BATCHES; i++) {
        g_autofree char *prefix = g_strdup_printf("b%02u", i);
        g_assert_cmpuint(mesh_publish(p[i % 2], topic, prefix, BATCH, 100), ==, BATCH);
        sent[i % 2] += BATCH;
        g_assert_cmpuint(mesh_results(p[i % 2], sent[i % 2]), ==, sent[i % 2]);
    }
    while (distinct < BATCHES * BATCH) {
        mesh_deliveries(sub, read + 1);
        uint32_t n = mesh_n_deliveries(sub);
        mark_seen(sub, read, n, seen, &distinct);
        read = n;
    }
    /* a last result behind whatever else came: had one come twice, the sums would differ */
    mesh_publish(p[0], topic, "b00", 1, 1);
    g_assert_cmpuint(mesh_results(p[0], sent[0] + 1), ==, sent[0] + 1);
    mesh_client_close(p[0], EMESH_LEFT_ORDERLY);
    mesh_client_close(p[1], EMESH_LEFT_CUT);
    mesh_client_close(s, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

static void
test_inside(void)
{
    carry("inside");
}

static void
test_late(void)
{
    carry("late");
}

static void
test_twice(void)
{
    carry("twice");
}

static void
test_lost(void)
{
    carry("lost");
}

static void
test_shy(void)
{
    carry("shy");
}

/* Refused, unknown, broken, and codes that nobody has defined: each publish is told, once. */
static void
test_no(void)
{
    mesh *m = mesh_new(emesh_plugin_entry_1(0), NULL, 2, NULL, NULL);
    mesh_client *c = mesh_client_new(m, 0);

    g_assert_cmpuint(mesh_publish(c, "no", "x", 100, 10), ==, 100);
    g_assert_cmpuint(mesh_results(c, 100), ==, 0);
    g_assert_cmpuint(mesh_publish(c, "inside", "x", 1, 10), ==, 1);
    g_assert_cmpuint(mesh_results(c, 101), ==, 1);
    mesh_client_close(c, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

/* A store that can do less than its topic promises is not published to: refused for now. The event
 * that met the change was taken before it. */
static void
test_weak(void)
{
    mesh *m = mesh_new(emesh_plugin_entry_1(0), NULL, 2, NULL, NULL);
    mesh_client *c = mesh_client_new(m, 0);

    g_assert_cmpuint(mesh_publish(c, "weak", "x", 1, 10), ==, 1);
    g_assert_cmpuint(mesh_results(c, 1), ==, 1);
    g_assert_cmpuint(mesh_publish(c, "weak", "y", 1, 10), ==, 1);
    g_assert_cmpuint(mesh_results(c, 2), ==, 1);
    g_assert_cmpint(mesh_last_code(c), ==, EMESH_E_UNAVAILABLE);
    g_assert_cmpuint(mesh_publish(c, "strong", "x", 1, 10), ==, 1); /* opens it */
    g_assert_cmpuint(mesh_results(c, 3), ==, 2);
    g_assert_cmpuint(mesh_publish(c, "weak", "z", 1, 10), ==, 1);
    g_assert_cmpuint(mesh_results(c, 4), ==, 3);
    mesh_client_close(c, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

/* No answer ever: other topics go on, the session may leave, the mesh ends. */
static void
test_never(void)
{
    mesh *m = mesh_new(emesh_plugin_entry_1(0), NULL, 2, NULL, NULL);
    mesh_client *c = mesh_client_new(m, 0), *d = mesh_client_new(m, 1);

    g_assert_cmpuint(mesh_publish(c, "never", "x", 50, 10), ==, 50);
    g_assert_cmpuint(mesh_publish(d, "inside", "x", 50, 10), ==, 50);
    g_assert_cmpuint(mesh_results(d, 50), ==, 50);
    g_assert_cmpuint(mesh_publish(c, "late", "x", 50, 10), ==, 50);
    g_assert_cmpuint(mesh_results(c, 50), ==, 50);
    mesh_client_close(d, EMESH_LEFT_ORDERLY);
    mesh_client_close(c, EMESH_LEFT_CUT);
    mesh_free(m);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/abi/jester/inside", test_inside);
    g_test_add_func("/abi/jester/late", test_late);
    g_test_add_func("/abi/jester/twice", test_twice);
    g_test_add_func("/abi/jester/lost", test_lost);
    g_test_add_func("/abi/jester/shy", test_shy);
    g_test_add_func("/abi/jester/no", test_no);
    g_test_add_func("/abi/jester/weak", test_weak);
    g_test_add_func("/abi/jester/never", test_never);
    return g_test_run();
}
