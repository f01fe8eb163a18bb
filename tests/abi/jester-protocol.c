/* SPDX-License-Identifier: Apache-2.0
 *
 * A protocol that ends things in the middle of things. Each byte of the peer is a command, and in each
 * call of the host it may, by dice, close its session, its connection or both, unsubscribe, settle what
 * is not its own, or publish from where nobody would. It keeps the rules all the same: nothing is
 * touched after the call that ended it. And it watches over one of the host's: no call comes while one
 * of its own is under way on the lane.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "eventmesh/eventmesh.h"

struct jester {
    const emesh_host *host;
    const emesh_event_api *ev;
    const emesh_net_api *net;
    const emesh_client_api *cl;
};
struct lane {
    struct jester *jester;
    emesh_loop *loop;
    uint32_t dice;
    int inside; /* a call into the host is under way */
};

/* Every call of the host. An assignment in it keeps the result. */
#define HOST(lane, call) ((lane)->inside++, (void)(call), (lane)->inside--)
/* Every call by the host. */
#define CALLED(lane) assert((lane)->inside == 0)

struct peer {
    struct lane *lane;
    emesh_conn *conn;
    emesh_session *session; /* NULL: closed */
    emesh_member *member;   /* NULL: none, or unsubscribed */
    uint64_t cookie, last_id;
    int open, closing;
};

static int
one_of(struct lane *lane, uint32_t n)
{
    lane->dice = lane->dice * 1664525u + 1013904223u;
    return (lane->dice >> 16) % n == 0;
}

static void
end_session(struct peer *p)
{
    uint32_t how = one_of(p->lane, 2) ? EMESH_LEFT_CUT : EMESH_LEFT_ORDERLY;

    if (p->session != NULL) {
        p->lane->inside++;
        p->lane->jester->cl->close(p->session, how);
        p->lane->inside--;
    }
    p->session = NULL;
    p->member = NULL;
}

static void
end_conn(struct peer *p)
{
    uint32_t how = one_of(p->lane, 2) ? EMESH_CLOSE_ABORT : EMESH_CLOSE_FLUSH;

    p->closing = 1;
    p->lane->inside++;
    p->lane->jester->net->close(p->conn, how);
    p->lane->inside--;
}

static void
publish(struct peer *p)
{
    const struct jester *j = p->lane->jester;
    emesh_attr attrs[] = { { "id", "1", 2, 1, 0, 0 }, { "source", "/jester", 6, 7, 0, 0 },
                           { "type", "j", 4, 1, 0, 0 } };
    emesh_event_view spec = { .size = sizeof spec, .attrs = attrs, .n_attrs = 3 };
    static const char *const topics[] = { "inside", "late", "lost", "no" };
    const char *topic = topics[p->cookie % 4];
    emesh_publish item = { .topic = { topic, strlen(topic) }, .cookie = ++p->cookie };
    const emesh_event *event = NULL;

    if (p->session == NULL || !p->open ||
        j->ev->build(j->host, &spec, NULL, &event, NULL) != EMESH_OK)
        return;
    item.event = event;
    HOST(p->lane, j->cl->publish(p->session, &item, 1));
    j->ev->unref(&event, 1);
}

static void
subscribe(struct peer *p)
{
    static const char *const topics[] = { "inside", "late", "lost" };
    const char *topic = topics[p->cookie % 3];
    emesh_subscribe spec = { .size = sizeof spec, .topic = { topic, strlen(topic) },
                             .group = { "g", 1 }, .window_events = 4, .window_bytes = 1u << 20 };

    if (p->session != NULL && p->open && p->member == NULL)
        HOST(p->lane, p->member = p->lane->jester->cl->subscribe(p->session, &spec, p));
}

static void
unsubscribe(struct peer *p)
{
    p->lane->inside++;
    if (p->member != NULL)
        p->lane->jester->cl->unsubscribe(p->member, 0);
    p->lane->inside--;
    p->member = NULL;
}

static void
settle(struct peer *p, uint64_t id)
{
    emesh_settle item = { .id = id, .outcome = p->lane->dice % 7 }; /* one of them is unknown */

    p->lane->inside++;
    if (p->session != NULL)
        p->lane->jester->cl->settle(p->session, &item, 1);
    p->lane->inside--;
}

/* What may happen in any call. The peer outlives it: closed() comes later, from the host. */
static void
prank(struct peer *p)
{
    struct lane *l = p->lane;

    if (one_of(l, 6))
        publish(p);
    if (one_of(l, 6))
        subscribe(p);
    if (one_of(l, 8))
        settle(p, p->last_id ^ 1);
    if (one_of(l, 8))
        settle(p, p->last_id);
    if (one_of(l, 8))
        unsubscribe(p);
    if (p->member != NULL && one_of(l, 8))
        l->jester->cl->window(p->member, l->dice % 3, 100);
    if (one_of(l, 12))
        end_session(p);
    if (one_of(l, 12))
        end_conn(p);
    if (!p->closing && p->session == NULL && one_of(l, 2))
        end_conn(p);
}

/* ---- connection ---- */

static size_t
jester_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    struct peer *p = ctx;
    const unsigned char *bytes = in->ptr;

    (void)conn;
    CALLED(p->lane);
    for (size_t i = 0; i < in->len && !p->closing; i++) {
        if (bytes[i] % 4 == 0)
            publish(p);
        else if (bytes[i] % 4 == 1)
            subscribe(p);
        else if (bytes[i] % 4 == 2)
            settle(p, p->last_id);
        else
            prank(p);
    }
    return in->len;
}

static void
jester_room(void *ctx, emesh_conn *conn)
{
    (void)conn;
    CALLED(((struct peer *)ctx)->lane);
    prank(ctx);
}

static void
jester_closed(void *ctx, emesh_conn *conn, int32_t code, const emesh_error *err)
{
    struct peer *p = ctx;

    (void)conn, (void)code, (void)err;
    CALLED(p->lane);
    publish(p); /* into a session that goes at once */
    end_session(p);
    free(p);
}

static const emesh_conn_ops conn_ops = { .size = sizeof conn_ops, .data = jester_data,
                                         .room = jester_room, .closed = jester_closed };

static int32_t
jester_accept(emesh_lane *lane, emesh_conn *conn, const emesh_conn_ops **ops, void **ctx)
{
    struct lane *l = (struct lane *)lane;
    emesh_who who = { .size = sizeof who, .conn = conn };
    struct peer *p;

    CALLED(l);
    if (one_of(l, 16))
        return EMESH_E_DENIED;
    p = calloc(1, sizeof *p);
    if (p == NULL)
        return EMESH_E_NO_MEMORY;
    p->lane = l;
    p->conn = conn;
    HOST(l, p->session = l->jester->cl->open(l->loop, &who, p));
    if (one_of(l, 8))
        end_session(p); /* before it is opened */
    if (p->session == NULL) {
        free(p);
        return EMESH_E_NO_MEMORY;
    }
    *ops = &conn_ops;
    *ctx = p;
    if (one_of(l, 8))
        end_conn(p); /* before it is accepted */
    return EMESH_OK;
}

/* ---- session ---- */

static void
jester_opened(emesh_lane *lane, void *session, int32_t code, const emesh_error *err)
{
    struct peer *p = session;

    (void)lane, (void)err;
    CALLED(p->lane);
    p->open = code == EMESH_OK;
    prank(p);
}

static void
jester_published(emesh_lane *lane, void *session, const emesh_published *results, uint32_t n)
{
    (void)results, (void)n;
    CALLED((struct lane *)lane);
    prank(session);
}

static void
jester_session_room(emesh_lane *lane, void *session)
{
    CALLED((struct lane *)lane);
    prank(session);
}

static void
jester_subscribed(emesh_lane *lane, void *member, int32_t code, const emesh_error *err)
{
    struct peer *p = member;

    (void)err;
    CALLED((struct lane *)lane);
    if (code != EMESH_OK)
        unsubscribe(p);
    prank(p);
}

static void
jester_deliver(emesh_lane *lane, void *member, const emesh_delivery *items, uint32_t n)
{
    struct peer *p = member;
    struct lane *l = (struct lane *)lane;

    CALLED(l);
    for (uint32_t i = 0; i < n && p->session != NULL; i++) {
        emesh_part part = { "!", 1, NULL };
        p->last_id = items[i].id;
        HOST(l, l->jester->net->write(p->conn, &part, 1));
        if (!one_of(l, 3))
            settle(p, items[i].id);
        if (one_of(l, 4))
            prank(p);
    }
}

static void
jester_ask(emesh_lane *lane, void *session, const emesh_ask *ask)
{
    struct peer *p = session;

    (void)ask;
    CALLED((struct lane *)lane);
    end_session(p);
    if (!p->closing)
        end_conn(p);
}

/* ---- life ---- */

static int32_t
jester_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out,
              emesh_error *err)
{
    struct jester *j = calloc(1, sizeof *j);

    (void)cfg, (void)err;
    if (j == NULL)
        return EMESH_E_NO_MEMORY;
    j->host = host;
    j->ev = host->service(host, EMESH_EVENT_ID);
    j->net = host->service(host, EMESH_NET_ID);
    j->cl = host->service(host, EMESH_CLIENT_ID);
    *out = (emesh_instance *)j;
    return EMESH_OK;
}

static int32_t
jester_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
              emesh_error *err)
{
    struct lane *l = calloc(1, sizeof *l);

    (void)err;
    if (l == NULL)
        return EMESH_E_NO_MEMORY;
    l->jester = (struct jester *)self;
    l->loop = loop;
    l->dice = index * 7919 + 1;
    *out = (emesh_lane *)l;
    return EMESH_OK;
}

static void
jester_detach(emesh_lane *lane, emesh_op *op)
{
    const emesh_host *host = ((struct lane *)lane)->jester->host;

    free(lane);
    host->complete(host, op, EMESH_OK, NULL, NULL);
}

static void
jester_destroy(emesh_instance *self)
{
    free(self);
}

static const emesh_life_ops life = { .size = sizeof life, .create = jester_create,
                                     .attach = jester_attach, .detach = jester_detach,
                                     .destroy = jester_destroy };
static const emesh_client_ops client = { .size = sizeof client, .opened = jester_opened,
                                         .published = jester_published,
                                         .room = jester_session_room,
                                         .subscribed = jester_subscribed,
                                         .deliver = jester_deliver, .ask = jester_ask };
static const emesh_protocol_ops ops = { .size = sizeof ops, .client = &client,
                                        .accept = jester_accept };
static const emesh_option_group groups[] = { { "emesh.listen/1", "" } };
static const emesh_need needs[] = { EMESH_NEED(EMESH_EVENT_ID, emesh_event_api, view),
                                    EMESH_NEED(EMESH_NET_ID, emesh_net_api, pause),
                                    EMESH_NEED(EMESH_CLIENT_ID, emesh_client_api, settle) };
static const emesh_component jester = { .size = sizeof jester,
                                        .option_size = sizeof(emesh_option),
                                        .kind = EMESH_PROTOCOL_KIND,
                                        .name = "jester-protocol",
                                        .summary = "a protocol with odd habits, for tests",
                                        .claims = EMESH_PROTOCOL_CAN_SUBSCRIBE,
                                        .life = &life,
                                        .ops = &ops,
                                        .groups = groups,
                                        .n_groups = 1,
                                        .needs = needs,
                                        .n_needs = 3,
                                        .lanes = EMESH_LANES_WORKERS };
static const emesh_component *const components[] = { &jester };
static const emesh_layout layout = EMESH_LAYOUT;
static const emesh_plugin plugin = { .size = sizeof plugin, .abi_minor = EMESH_ABI_MINOR,
                                     .n_components = 1, .id = "eventmesh.jester-protocol",
                                     .version = "1.0.0", .licence = "Apache-2.0",
                                     .vendor = "EventMesh", .summary = "a protocol with odd habits",
                                     .components = components, .layout = &layout };
EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    (void)host_minor;
    return &plugin;
}
