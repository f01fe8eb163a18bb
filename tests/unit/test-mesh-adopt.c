/* SPDX-License-Identifier: Apache-2.0
 *
 * push_to: what one instance asks for and another one does, across lanes. The other one is a fixture
 * that acknowledges what it gets, and refuses URLs that have "no" in them at once, "later" after a
 * look, and "gone" with the first event.
 */
#include "delivery/adopt.h"
#include "event/event.h"
#include "harness/mesh.h"
#include "plugin/inst.h"

#include <string.h>

const emesh_plugin *emesh_plugin_entry_1(uint32_t host_minor); /* of the store linked in */

typedef struct pushed {
    emesh_session *session;
    emesh_member *member;
    char *url;
    bool gone;
} pushed;

typedef struct fixture {
    uint32_t adopted, delivered, closed; /* atomic */
} fixture;

static fixture *
of(emesh_lane *lane)
{
    return (fixture *)lane;
}

static void
add(uint32_t *counter, uint32_t n)
{
    __atomic_add_fetch(counter, n, __ATOMIC_RELEASE);
    g_main_context_wakeup(NULL);
}

static void
end(emesh_lane *lane, pushed *p)
{
    emesh_client_service.close(p->session, EMESH_LEFT_ORDERLY);
    g_free(p->url);
    g_free(p);
    add(&of(lane)->closed, 1);
}

static void
refuse(emesh_member *member, const char *words)
{
    emesh_error err = { .size = sizeof err, .code = EMESH_E_DENIED };

    g_strlcpy(err.text, words, sizeof err.text);
    emesh_client_service.refuse(member, err.code, &err);
}

static int32_t
on_adopt(emesh_lane *lane, emesh_session *session, emesh_member *member,
         const emesh_subscribe *spec, void **ctx)
{
    g_autofree char *url = g_strndup(spec->push_to.ptr, spec->push_to.len);
    pushed *p;

    add(&of(lane)->adopted, 1);
    if (strstr(url, "no") != NULL) {
        refuse(member, "the guard says no");
        return EMESH_E_DENIED;
    }
    if (strstr(url, "mute") != NULL)
        return EMESH_E_DENIED;
    p = g_new0(pushed, 1);
    *p = (pushed){ session, member, g_steal_pointer(&url), false };
    if (strstr(p->url, "later") == NULL)
        emesh_client_service.window(member, 8, 0);
    *ctx = p;
    return EMESH_OK;
}

static void
on_subscribed(emesh_lane *lane, void *member, int32_t code, const emesh_error *err)
{
    pushed *p = member;

    (void)err;
    if (code == EMESH_OK && strstr(p->url, "later") != NULL) {
        refuse(p->member, "the guard says no, later");
        end(lane, p);
    } else if (code != EMESH_OK) {
        end(lane, p);
    }
}

static void
on_deliver(emesh_lane *lane, void *member, const emesh_delivery *items, uint32_t n)
{
    pushed *p = member;

    if (strstr(p->url, "gone") != NULL) {
        refuse(p->member, "the target is gone");
        end(lane, p);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        emesh_settle done = { .id = items[i].id, .outcome = EMESH_SETTLE_DONE };
        emesh_client_service.settle(p->session, &done, 1);
    }
    add(&of(lane)->delivered, n);
}

static void
on_published(emesh_lane *lane, void *session, const emesh_published *results, uint32_t n)
{
    (void)lane, (void)session, (void)results, (void)n;
}

static void
on_opened(emesh_lane *lane, void *session, int32_t code, const emesh_error *err)
{
    (void)lane, (void)session, (void)code, (void)err;
    g_error("opened() of an adopted session");
}

static void
on_room(emesh_lane *lane, void *session)
{
    (void)lane, (void)session;
}

static void
on_ask(emesh_lane *lane, void *session, const emesh_ask *what)
{
    (void)what;
    end(lane, session);
}

static int32_t
create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out, emesh_error *err)
{
    (void)host, (void)cfg, (void)err;
    *out = (emesh_instance *)g_new0(fixture, 1);
    return EMESH_OK;
}

static int32_t
attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out, emesh_error *err)
{
    (void)loop, (void)index, (void)err;
    *out = (emesh_lane *)self; /* all lanes count in one place */
    return EMESH_OK;
}

static void
destroy(emesh_instance *self)
{
    g_free(self);
}

static const emesh_life_ops life = { .size = sizeof life, .create = create, .attach = attach,
                                     .destroy = destroy };
static const emesh_client_ops client = {
    .size = sizeof client, .opened = on_opened,         .published = on_published,
    .room = on_room,       .subscribed = on_subscribed, .deliver = on_deliver,
    .ask = on_ask,         .adopt = on_adopt,
};
static const emesh_protocol_ops ops = { .size = sizeof ops, .client = &client };
static const emesh_component component = {
    .size = sizeof component,
    .option_size = sizeof(emesh_option),
    .kind = EMESH_PROTOCOL_KIND,
    .name = "pusher",
    .summary = "adopts what others ask for",
    .claims = EMESH_PROTOCOL_CAN_SUBSCRIBE | EMESH_PROTOCOL_CAN_PUSH_HTTP,
    .life = &life,
    .ops = &ops,
    .lanes = EMESH_LANES_WORKERS,
};
static const emesh_component *const components[] = { &component };
static const emesh_layout layout = EMESH_LAYOUT;
static const emesh_plugin plugin = {
    .size = sizeof plugin, .abi_minor = EMESH_ABI_MINOR, .n_components = 1,
    .id = "eventmesh.pusher", .version = "1.0.0", .licence = "Apache-2.0",
    .vendor = "EventMesh", .summary = "for tests", .components = components,
    .layout = &layout,
};

typedef struct counting {
    const uint32_t *counter;
    uint32_t least;
} counting;

static bool
reached(void *ctx)
{
    const counting *c = ctx;

    return __atomic_load_n(c->counter, __ATOMIC_ACQUIRE) >= c->least;
}

static void
await(const uint32_t *counter, uint32_t least)
{
    counting c = { counter, least };

    mesh_wait(reached, &c);
    g_assert_cmpuint(__atomic_load_n(counter, __ATOMIC_ACQUIRE), ==, least);
}

/* Each look is a turn of its lane, so nothing has to wake us. */
static void
await_no_members(mesh_client *c)
{
    int64_t until = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    while (mesh_members(c) > 0)
        g_assert_cmpint(g_get_monotonic_time(), <, until);
}

static void
assert_words(mesh_sub *s, const char *part)
{
    g_autofree char *words = mesh_sub_words(s);

    if (strstr(words, part) == NULL)
        g_error("\"%s\" does not say \"%s\"", words, part);
}

static mesh *
up(void)
{
    return mesh_new(emesh_plugin_entry_1(0), MESH_OPTIONS, 2, NULL, NULL);
}

static void
test_nobody_pushes(void)
{
    mesh *m = up();
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *s = mesh_subscribe_to(c, "t", "g", EMESH_SUB_SHARED, "http://x/");

    g_assert_cmpint(mesh_sub_code(s), ==, EMESH_E_UNSUPPORTED);
    assert_words(s, "no running instance pushes to URLs");
    mesh_unsubscribe(s);
    await_no_members(c);
    mesh_protocol(m, &plugin, "pusher");
    s = mesh_subscribe_to(c, "t", "g", EMESH_SUB_SHARED, "ftp://x/");
    g_assert_cmpint(mesh_sub_code(s), ==, EMESH_E_UNSUPPORTED);
    assert_words(s, "neither http:// nor https://");
    mesh_free(m);
}

/* Askers on both lanes, groups on both lanes: each event comes, and ends with its asker. */
static void
test_pushed(void)
{
    mesh *m = up();
    fixture *f = (fixture *)mesh_protocol(m, &plugin, "pusher")->self;
    mesh_client *c[2] = { mesh_client_new(m, 0), mesh_client_new(m, 1) };
    mesh_sub *s[8];

    for (uint32_t i = 0; i < 8; i++) {
        g_autofree char *group = g_strdup_printf("g%u", i);
        s[i] = mesh_subscribe_to(c[i % 2], "t", group,
                                 i < 6 ? EMESH_SUB_SHARED : EMESH_SUB_EVERY, "http://x/");
        g_assert_cmpint(mesh_sub_code(s[i]), ==, EMESH_OK);
    }
    mesh_publish(c[0], "t", "a", 20, 50);
    await(&f->delivered, 160);
    mesh_unsubscribe(s[0]);
    await(&f->closed, 1);
    mesh_publish(c[0], "t", "b", 10, 50);
    await(&f->delivered, 230);
    mesh_client_close(c[1], EMESH_LEFT_CUT); /* four at once */
    await(&f->closed, 5);
    mesh_publish(c[0], "t", "c", 10, 50);
    await(&f->delivered, 260);
    g_assert_cmpuint(mesh_members(c[0]), ==, 3);
    mesh_client_close(c[0], EMESH_LEFT_ORDERLY);
    await(&f->closed, 8);
    mesh_free(m);
}

/* A URL that gets every event is a group of its own: it misses nothing between two who ask for it, and
 * two URLs of one group get all of it each. */
static void
test_every_is_durable(void)
{
    mesh *m = up();
    fixture *f = (fixture *)mesh_protocol(m, &plugin, "pusher")->self;
    mesh_client *c = mesh_client_new(m, 0), *d = mesh_client_new(m, 1);
    mesh_sub *one = mesh_subscribe_to(c, "t", "g", EMESH_SUB_EVERY, "http://x/1");
    mesh_sub *two = mesh_subscribe_to(c, "t", "g", EMESH_SUB_EVERY, "http://x/2");

    g_assert_cmpint(mesh_sub_code(one), ==, EMESH_OK);
    g_assert_cmpint(mesh_sub_code(two), ==, EMESH_OK);
    mesh_publish(d, "t", "a", 10, 50);
    await(&f->delivered, 20);
    mesh_client_close(c, EMESH_LEFT_CUT);
    await(&f->closed, 2);
    mesh_publish(d, "t", "b", 7, 50);
    one = mesh_subscribe_to(d, "t", "g", EMESH_SUB_EVERY, "http://x/1");
    g_assert_cmpint(mesh_sub_code(one), ==, EMESH_OK);
    await(&f->delivered, 27);
    mesh_free(m);
}

static void
test_refused(void)
{
    mesh *m = up();
    fixture *f = (fixture *)mesh_protocol(m, &plugin, "pusher")->self;
    mesh_client *c = mesh_client_new(m, 1);
    mesh_sub *s = mesh_subscribe_to(c, "t", "g", EMESH_SUB_SHARED, "http://no/");

    g_assert_cmpint(mesh_sub_code(s), ==, EMESH_E_DENIED);
    assert_words(s, "the guard says no");
    mesh_unsubscribe(s);
    s = mesh_subscribe_to(c, "t", "g", EMESH_SUB_SHARED, "http://mute/");
    g_assert_cmpint(mesh_sub_code(s), ==, EMESH_E_DENIED);
    assert_words(s, "pusher does not push there");
    mesh_unsubscribe(s);
    s = mesh_subscribe_to(c, "t", "g", EMESH_SUB_SHARED, "http://later/");
    g_assert_cmpint(mesh_sub_code(s), ==, EMESH_E_DENIED);
    assert_words(s, "no, later");
    mesh_unsubscribe(s);
    await_no_members(c);
    s = mesh_subscribe_to(c, "t", "g", EMESH_SUB_SHARED, "http://gone/");
    g_assert_cmpint(mesh_sub_code(s), ==, EMESH_OK);
    mesh_publish(c, "t", "a", 1, 50);
    mesh_sub_ended(s);
    assert_words(s, "the target is gone");
    mesh_unsubscribe(s);
    await_no_members(c);
    await(&f->adopted, 4);
    await(&f->closed, 2);
    s = mesh_subscribe_to(c, "t", "g", EMESH_SUB_SHARED, "http://x/"); /* what was not acked */
    await(&f->delivered, 1);
    mesh_free(m);
}

/* Who asks and leaves before the answer leaves nothing behind. */
static void
ask_and_leave(void *ctx)
{
    emesh_subscribe spec = { .size = sizeof spec, .topic = { "t", 1 }, .group = { "g", 1 },
                             .push_to = { "http://x/", 9 } };

    for (uint32_t i = 0; i < 50; i++) {
        emesh_member *m = emesh_client_service.subscribe(mesh_session(ctx), &spec, NULL);
        emesh_client_service.unsubscribe(m, 0);
    }
}

static void
test_left_at_once(void)
{
    mesh *m = up();
    fixture *f = (fixture *)mesh_protocol(m, &plugin, "pusher")->self;

    for (uint32_t lane = 0; lane < 2; lane++) {
        mesh_client *c = mesh_client_new(m, lane);
        mesh_on_lane(m, lane, ask_and_leave, c);
        await_no_members(c);
        await(&f->closed, 50 * (lane + 1));
    }
    g_assert_cmpuint(f->adopted, ==, 100);
    mesh_free(m);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mesh/adopt/nobody", test_nobody_pushes);
    g_test_add_func("/mesh/adopt/pushed", test_pushed);
    g_test_add_func("/mesh/adopt/every-is-durable", test_every_is_durable);
    g_test_add_func("/mesh/adopt/refused", test_refused);
    g_test_add_func("/mesh/adopt/left", test_left_at_once);
    return g_test_run();
}
