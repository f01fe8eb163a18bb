/* SPDX-License-Identifier: Apache-2.0
 *
 * Places of groups moved and forgotten while members come and go. Built twice: over the smallest
 * honest store, whose positions core keeps, and, with MESH_OPTIONS, over the embedded one, which
 * keeps its own.
 */
#include "bus/topic.h"
#include "delivery/change.h"
#include "delivery/groups.h"
#include "delivery/letters.h"
#include "harness/mesh.h"

#include <string.h>

#ifndef MESH_OPTIONS
#define MESH_OPTIONS NULL
#endif

const emesh_plugin *emesh_plugin_entry_1(uint32_t host_minor); /* of the store linked in */

static mesh *
up(const char *conf)
{
    return mesh_new(emesh_plugin_entry_1(0), MESH_OPTIONS, 2, conf, NULL);
}

/* ---- a change, awaited ---- */

typedef struct change {
    bool done;
    int32_t code;
    char *why;
} change;

static void
changed(void *ctx, int32_t code, const char *why)
{
    change *c = ctx;

    c->done = true;
    c->code = code;
    c->why = g_strdup(why);
}

static bool
is_changed(void *ctx)
{
    return ((change *)ctx)->done;
}

static void
begin_change(mesh *m, change *c, const char *topic, const char *group, const emesh_start *to)
{
    emesh_bus *bus = mesh_bus(m);
    emesh_change_spec spec = { .store = bus->stores->pdata[0], .topic = topic, .group = group,
                               .to = to };

    *c = (change){ .done = false };
    emesh_group_change(bus, &spec, changed, c);
}

static int32_t
change_place(mesh *m, const char *topic, const char *group, const emesh_start *to)
{
    change c;

    begin_change(m, &c, topic, group, to);
    mesh_wait(is_changed, &c);
    g_free(c.why);
    return c.code;
}

static emesh_start
start_at(uint32_t kind, uint64_t after)
{
    return (emesh_start){ .size = sizeof(emesh_start), .kind = kind, .position = { 0, after } };
}

typedef struct places {
    bool done;
    uint32_t n;
} places;

static void
listed(void *ctx, GArray *rows)
{
    places *p = ctx;

    p->n = rows->len;
    p->done = true;
}

static bool
is_listed(void *ctx)
{
    return ((places *)ctx)->done;
}

static uint32_t
n_places(mesh *m, const char *group)
{
    places p = { .done = false };

    emesh_groups_list(mesh_bus(m), &(emesh_groups_query){ .group = group }, listed, &p);
    mesh_wait(is_listed, &p);
    return p.n;
}

static void
leave(mesh_client *c, mesh_sub *sub)
{
    mesh_unsubscribe(sub);
    while (mesh_members(c) > 0) /* nothing tells when */
        g_usleep(500);
}

/* ---- tests ---- */

static void
test_reset_with_a_member(void)
{
    mesh *m = up(NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false);
    emesh_start earliest = start_at(EMESH_START_EARLIEST, 0);
    emesh_start after = start_at(EMESH_START_AFTER, 6);

    mesh_publish(c, "t", "a", 10, 50);
    mesh_deliveries(sub, 10);
    mesh_settle_many(sub, 0, 4, EMESH_SETTLE_DONE);
    g_assert_cmpint(change_place(m, "t", "g", &earliest), ==, EMESH_OK);
    mesh_deliveries(sub, 20);
    for (uint32_t i = 0; i < 10; i++)
        g_assert_cmpstr(mesh_delivered(sub, 10 + i), ==, mesh_delivered(sub, i));
    mesh_settle_many(sub, 4, 6, EMESH_SETTLE_DONE); /* of before: nothing */
    g_assert_cmpuint(mesh_stale(m), ==, 6);
    g_assert_cmpint(change_place(m, "t", "g", &after), ==, EMESH_OK);
    mesh_deliveries(sub, 23);
    g_assert_cmpstr(mesh_delivered(sub, 20), ==, "a7");
    mesh_settle_many(sub, 20, 3, EMESH_SETTLE_DONE);
    mesh_publish(c, "t", "b", 1, 50);
    mesh_deliveries(sub, 24);
    g_assert_cmpstr(mesh_delivered(sub, 23), ==, "b0");
    mesh_free(m);
}

static void
test_reset_without_a_member(void)
{
    mesh *m = up(NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);
    emesh_start earliest = start_at(EMESH_START_EARLIEST, 0);
    emesh_start after = start_at(EMESH_START_AFTER, 2);

    mesh_publish(c, "t", "a", 5, 50);
    mesh_deliveries(sub, 5);
    leave(c, sub);
    while (n_places(m, "g") == 0) /* core writes them down lazily */
        g_usleep(1000);
    g_assert_cmpint(change_place(m, "t", "g", &after), ==, EMESH_OK);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);
    mesh_deliveries(sub, 2);
    g_assert_cmpstr(mesh_delivered(sub, 0), ==, "a3");
    leave(c, sub);
    g_assert_cmpint(change_place(m, "t", "g", &earliest), ==, EMESH_OK);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);
    mesh_deliveries(sub, 5);
    g_assert_cmpstr(mesh_delivered(sub, 0), ==, "a0");
    mesh_free(m);
}

/* Members that come while a place is being moved wait, and miss nothing of what is behind it. */
static void
test_joining_meanwhile(void)
{
    mesh *m = up(NULL);
    mesh_client *c = mesh_client_new(m, 0), *d = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 100, true);
    emesh_start earliest = start_at(EMESH_START_EARLIEST, 0);

    mesh_publish(c, "t", "a", 20, 50);
    mesh_deliveries(sub, 20);
    leave(c, sub);
    for (uint32_t i = 0; i < 50; i++) {
        change done;
        mesh_sub *other;
        begin_change(m, &done, "t", "g", &earliest);
        other = mesh_subscribe(d, "t", "g", EMESH_SUB_SHARED, 100, true);
        g_assert_cmpint(mesh_sub_code(other), ==, EMESH_OK);
        mesh_wait(is_changed, &done);
        g_assert_cmpint(done.code, ==, EMESH_OK);
        mesh_deliveries(other, 20);
        g_assert_cmpstr(mesh_delivered(other, 0), ==, "a0");
        leave(d, other);
    }
    mesh_free(m);
}

static void
test_forget(void)
{
    mesh *m = up(NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);
    emesh_start earliest = start_at(EMESH_START_EARLIEST, 0);
    change first, second;

    mesh_publish(c, "t", "a", 3, 50);
    mesh_deliveries(sub, 3);
    g_assert_cmpint(change_place(m, "t", "g", NULL), ==, EMESH_E_BUSY); /* a member is here */
    leave(c, sub);
    begin_change(m, &first, "t", "g", &earliest);
    begin_change(m, &second, "t", "g", NULL);
    mesh_wait(is_changed, &second);
    mesh_wait(is_changed, &first);
    g_assert_cmpint(first.code, ==, EMESH_OK);
    g_assert_cmpint(second.code, ==, EMESH_E_BUSY); /* one at a time */
    g_free(second.why);
    g_assert_cmpint(change_place(m, "t", "g", NULL), ==, EMESH_OK);
    g_assert_cmpuint(n_places(m, "g"), ==, 0);
    mesh_publish(c, "t", "b", 1, 50);
    mesh_results(c, 4);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true); /* a new group: at the end */
    mesh_publish(c, "t", "c", 1, 50);
    mesh_deliveries(sub, 1);
    g_assert_cmpstr(mesh_delivered(sub, 0), ==, "c0");
    mesh_free(m);
}

/* ---- dead letters ---- */

static void
begun(void *ctx, int32_t code, const char *why)
{
    changed(ctx, code, why);
}

static emesh_replay_report
replay(mesh *m, const char *group, bool purge, int32_t wanted)
{
    emesh_replay_report report = { .state = EMESH_REPLAY_RUNNING };
    change c = { .done = false };

    emesh_replay_begin(mesh_bus(m), &(emesh_replay_spec){ .group = group, .purge = purge }, begun,
                       &c);
    mesh_wait(is_changed, &c);
    g_assert_cmpint(c.code, ==, wanted);
    g_free(c.why);
    while (wanted == EMESH_OK && report.state == EMESH_REPLAY_RUNNING) {
        g_main_context_iteration(NULL, FALSE);
        emesh_replay_look(emesh_replay_find(mesh_bus(m), group), &report);
        g_usleep(500);
    }
    return report;
}

/* What was buried comes once more, to the group that failed, also where its inbox is a topic. */
static void
test_replay(void)
{
    mesh *m = up("[group g]\nattempts = 1\n[group admin]\nstart = earliest\n");
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false), *letters;
    emesh_replay_report report;

    mesh_publish(c, "t", "a", 3, 50);
    mesh_deliveries(sub, 3);
    mesh_settle(sub, 0, EMESH_SETTLE_DONE, 0);
    mesh_settle_why(sub, 1, EMESH_SETTLE_DEAD, "no");
    mesh_settle_why(sub, 2, EMESH_SETTLE_DEAD, "no");
    letters = mesh_subscribe(c, "%DLQ%g", "admin", EMESH_SUB_SHARED, 10, true);
    mesh_deliveries(letters, 2);
    report = replay(m, "g", false, EMESH_OK);
    g_assert_cmpint(report.state, ==, EMESH_REPLAY_DONE);
    g_assert_cmpuint(report.done, ==, 2);
    mesh_deliveries(sub, 5);
    for (uint32_t i = 3; i < 5; i++) {
        g_autofree char *left = mesh_attr(sub, i, "dlcause");
        g_assert_null(left);
        g_assert_cmpuint(mesh_attempt(sub, i), ==, 1);
    }
    mesh_settle(sub, 3, EMESH_SETTLE_DONE, 0);
    mesh_settle_why(sub, 4, EMESH_SETTLE_DEAD, "no"); /* again: it is a letter of its own */
    mesh_deliveries(letters, 3);
    report = replay(m, "g", true, EMESH_OK);
    g_assert_cmpuint(report.done, ==, 1);
    mesh_publish(c, "t", "b", 1, 50);
    mesh_deliveries(sub, 6);
    g_assert_cmpstr(mesh_delivered(sub, 5), ==, "b0");
    mesh_free(m);
}

/* What is no CloudEvent goes to the dead letters of the group, where the topic says so; a broadcasting
 * member does not get it. Only the smallest store brings such. */
static void
test_foreign(void)
{
    mesh *m = up("[topic t]\nforeign = dead-letter\n[topic as-it-is]\n[group admin]\n"
                 "start = earliest\n");
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true), *letters;
    mesh_sub *every = mesh_subscribe(c, "t", "g", EMESH_SUB_EVERY, 10, true);
    mesh_sub *other = mesh_subscribe(c, "as-it-is", "g", EMESH_SUB_SHARED, 10, true);
    g_autofree char *cause = NULL;

    mesh_publish_attr(c, "t", "strange", "foreign", "yes");
    mesh_publish(c, "t", "good", 1, 50);
    mesh_publish_attr(c, "as-it-is", "strange", "foreign", "yes");
    mesh_deliveries(sub, 1);
    mesh_deliveries(every, 1);
    mesh_deliveries(other, 1);
    g_assert_cmpstr(mesh_delivered(sub, 0), ==, "good0");
    g_assert_cmpstr(mesh_delivered(every, 0), ==, "good0");
    g_assert_cmpstr(mesh_delivered(other, 0), ==, "strange0");
    letters = mesh_subscribe(c, "%DLQ%g", "admin", EMESH_SUB_SHARED, 10, true);
    mesh_deliveries(letters, 1);
    g_assert_cmpstr(mesh_delivered(letters, 0), ==, "strange0");
    cause = mesh_attr(letters, 0, "dlcause");
    g_assert_cmpstr(cause, ==, "foreign");
    mesh_free(m);
}

/* ---- patterns of topics ---- */

static void
test_pattern(void)
{
    mesh *m = up(NULL);
    mesh_client *c = mesh_client_new(m, 0), *d = mesh_client_new(m, 1);
    mesh_sub *sub, *every;

    mesh_publish(c, "a.old", "o", 3, 50);
    mesh_results(c, 3);
    sub = mesh_subscribe(d, "a.*", "g", EMESH_SUB_SHARED, 4, true);
    every = mesh_subscribe(d, "a.*", "g", EMESH_SUB_EVERY, 4, true);
    g_assert_cmpint(mesh_sub_code(sub), ==, EMESH_OK);
    g_assert_cmpint(mesh_sub_code(every), ==, EMESH_OK);
    mesh_publish(c, "a.old", "n", 1, 50);
    mesh_deliveries(sub, 1);
    mesh_deliveries(every, 1);
    g_assert_cmpstr(mesh_delivered(sub, 0), ==, "n0");
    for (uint32_t i = 0; i < 40; i++) { /* more topics than its window has room for */
        g_autofree char *topic = g_strdup_printf("a.%u", i);
        mesh_publish(c, topic, "first", 2, 50);
        mesh_publish(c, "b.other", "not", 1, 50);
    }
    mesh_deliveries(sub, 81);
    mesh_deliveries(every, 81);
    g_assert_cmpuint(mesh_n_deliveries(sub), ==, 81);
    mesh_free(m);
}

/* Its window holds for all topics together; what it holds goes to others when it leaves. */
static void
test_pattern_window(void)
{
    mesh *m = up(NULL);
    mesh_client *c = mesh_client_new(m, 0), *d = mesh_client_new(m, 1);
    mesh_sub *sub, *other;

    for (uint32_t i = 0; i < 10; i++) {
        g_autofree char *topic = g_strdup_printf("w.%u", i);
        mesh_publish(c, topic, "x", 1, 50);
    }
    mesh_results(c, 10);
    sub = mesh_subscribe(d, "w.*", "g", EMESH_SUB_SHARED, 3, false);
    for (uint32_t i = 0; i < 10; i++) {
        g_autofree char *topic = g_strdup_printf("w.%u", i);
        mesh_publish(c, topic, "y", 2, 50);
    }
    mesh_deliveries(sub, 3);
    mesh_results(c, 30);
    g_usleep(50000);
    g_assert_cmpuint(mesh_n_deliveries(sub), ==, 3);
    mesh_settle(sub, 0, EMESH_SETTLE_DONE, 0);
    mesh_deliveries(sub, 4);
    mesh_window(sub, 5);
    mesh_deliveries(sub, 6);
    g_usleep(50000);
    g_assert_cmpuint(mesh_n_deliveries(sub), ==, 6);
    mesh_client_close(d, EMESH_LEFT_ORDERLY);
    other = mesh_subscribe(c, "w.*", "g", EMESH_SUB_SHARED, 100, true);
    mesh_deliveries(other, 19); /* twenty, but for the one that was acknowledged */
    mesh_free(m);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/groups/reset-with-a-member", test_reset_with_a_member);
    g_test_add_func("/groups/reset-without-a-member", test_reset_without_a_member);
    g_test_add_func("/groups/joining-meanwhile", test_joining_meanwhile);
    g_test_add_func("/groups/forget", test_forget);
    g_test_add_func("/groups/replay", test_replay);
    g_test_add_func("/groups/pattern", test_pattern);
    g_test_add_func("/groups/pattern-window", test_pattern_window);
    if (MESH_OPTIONS == NULL)
        g_test_add_func("/groups/foreign", test_foreign);
    return g_test_run();
}
