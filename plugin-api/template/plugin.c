/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole protocol plugin, to be copied: every line that a client sends becomes an event on one topic,
 * and is answered by "ok" or "error CODE", in order of completion. It shows options, listeners,
 * sessions, publishing with back-pressure, and the end of everything. Rename what is called lines.
 *
 * All calls for one connection come on one thread, so nothing here needs a lock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <eventmesh/eventmesh.h>

/* ---- what the plugin keeps ---- */

struct instance { /* one conf.d file */
    const emesh_host *host;
    const emesh_config_api *config;
    const emesh_event_api *events;
    const emesh_net_api *net;
    const emesh_client_api *client;
    char topic[250];
    size_t max_line;
};

struct lane { /* one worker thread of the host */
    struct instance *instance;
    emesh_loop *loop;
};

struct peer { /* one connection with its session */
    struct lane *lane;
    emesh_conn *conn;
    emesh_session *session;
    uint64_t lines; /* number of the last one published; its cookie, and part of its id */
    int open;       /* the session may be used */
};

/* ---- publishing ---- */

static int32_t
publish_line(struct peer *peer, const emesh_part *in, const char *line, size_t len)
{
    struct instance *self = peer->lane->instance;
    char id[32];
    int n = snprintf(id, sizeof id, "%llu", (unsigned long long)peer->lines + 1);
    emesh_attr attrs[] = {
        { "id", id, 2, (uint32_t)n, EMESH_ATTR_TEXT, 0 },
        { "source", "/lines", 6, 6, EMESH_ATTR_URI_REF, 0 },
        { "type", "org.example.line", 4, 16, EMESH_ATTR_TEXT, 0 },
    };
    emesh_part data = { line, len, in->owner }; /* with its owner: kept, not copied */
    emesh_event_view spec = { .size = sizeof spec, .data_form = EMESH_DATA_TEXT, .attrs = attrs,
                              .n_attrs = 3, .data = &data, .n_data = 1, .data_len = len };
    emesh_publish item = { .topic = { self->topic, strlen(self->topic) },
                           .cookie = peer->lines + 1 };
    const emesh_event *event = NULL;

    int32_t code = self->events->build(self->host, &spec, NULL, &event, NULL);
    if (code != EMESH_OK)
        return code;
    item.event = event;
    code = self->client->publish(peer->session, &item, 1);
    self->events->unref(&event, 1); /* the mesh has its own reference, or has not */
    if (code == 1)
        peer->lines++;
    return code == 1 ? EMESH_OK : code == 0 ? EMESH_E_BUSY : code;
}

static void
answer(struct peer *peer, int32_t code)
{
    char text[32];
    int n = code == EMESH_OK ? snprintf(text, sizeof text, "ok\n")
                             : snprintf(text, sizeof text, "error %d\n", (int)code);
    emesh_part part = { text, (size_t)n, NULL };

    /* Never BUSY here: above its output mark the host stops reading from this peer first. */
    (void)peer->lane->instance->net->write(peer->conn, &part, 1);
}

/* ---- the connection ---- */

/* Returns how much was consumed; the rest comes again, together with what follows it. */
static size_t
peer_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    struct peer *peer = ctx;
    const struct instance *self = peer->lane->instance;
    const char *at = in->ptr, *end = at + in->len, *newline;

    while (peer->open && (newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        int32_t code = publish_line(peer, in, at, (size_t)(newline - at));
        if (code == EMESH_E_BUSY) { /* the mesh is full: read no more until room() */
            self->net->pause(conn, 1);
            return (size_t)(at - (const char *)in->ptr);
        }
        if (code != EMESH_OK)
            answer(peer, code);
        at = newline + 1;
    }
    if ((size_t)(end - at) > self->max_line)
        self->net->close(conn, EMESH_CLOSE_FLUSH);
    return (size_t)(at - (const char *)in->ptr);
}

static void
peer_closed(void *ctx, emesh_conn *conn, int32_t code, const emesh_error *err)
{
    struct peer *peer = ctx;

    (void)conn;
    (void)err;
    /* No call for the session follows, so the peer may go with it. */
    peer->lane->instance->client->close(peer->session, code == EMESH_E_LOST ? EMESH_LEFT_CUT
                                                                            : EMESH_LEFT_ORDERLY);
    free(peer);
}

static const emesh_conn_ops conn_ops = { .size = sizeof conn_ops, .data = peer_data,
                                         .closed = peer_closed };

static int32_t
lines_accept(emesh_lane *lane, emesh_conn *conn, const emesh_conn_ops **ops, void **ctx)
{
    struct lane *mine = (struct lane *)lane;
    emesh_attr labels[] = { { "protocol", "lines", 8, 5, EMESH_ATTR_TEXT, 0 } };
    emesh_who who = { .size = sizeof who, .conn = conn, .labels = labels, .n_labels = 1 };
    struct peer *peer = calloc(1, sizeof *peer);

    if (peer == NULL)
        return EMESH_E_NO_MEMORY;
    peer->lane = mine;
    peer->conn = conn;
    peer->session = mine->instance->client->open(mine->loop, &who, peer);
    if (peer->session == NULL) {
        free(peer);
        return EMESH_E_NO_MEMORY;
    }
    *ops = &conn_ops;
    *ctx = peer;
    return EMESH_OK;
}

/* ---- the session ---- */

static void
session_opened(emesh_lane *lane, void *session, int32_t code, const emesh_error *err)
{
    struct peer *peer = session;

    (void)lane;
    (void)err;
    peer->open = code == EMESH_OK;
    if (peer->open)
        peer->lane->instance->net->pause(peer->conn, 0); /* data() comes again with what waits */
    else
        peer->lane->instance->net->close(peer->conn, EMESH_CLOSE_FLUSH);
}

static void
session_published(emesh_lane *lane, void *session, const emesh_published *results, uint32_t n)
{
    (void)lane;
    for (uint32_t i = 0; i < n; i++)
        answer(session, results[i].code);
}

static void
session_room(emesh_lane *lane, void *session)
{
    struct peer *peer = session;

    (void)lane;
    peer->lane->instance->net->pause(peer->conn, 0);
}

static void
session_ask(emesh_lane *lane, void *session, const emesh_ask *ask)
{
    struct peer *peer = session;

    (void)lane;
    (void)ask; /* a redirect is a close for a protocol that cannot redirect */
    peer->lane->instance->net->close(peer->conn, EMESH_CLOSE_FLUSH);
}

/* ---- the life of an instance ---- */

static int32_t
lines_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out,
             emesh_error *err)
{
    struct instance *self = calloc(1, sizeof *self);
    emesh_value value = { .size = sizeof value };

    (void)err;
    if (self == NULL)
        return EMESH_E_NO_MEMORY;
    *out = (emesh_instance *)self; /* destroy() gets it, whatever is returned */
    self->host = host;
    self->config = host->service(host, EMESH_CONFIG_ID); /* what is in needs is never NULL */
    self->events = host->service(host, EMESH_EVENT_ID);
    self->net = host->service(host, EMESH_NET_ID);
    self->client = host->service(host, EMESH_CLIENT_ID);
    if (self->config->get(cfg, "topic", 0, &value) != EMESH_OK ||
        value.text.len >= sizeof self->topic)
        return EMESH_E_CONFIG;
    memcpy(self->topic, value.text.ptr, value.text.len); /* cfg is borrowed: copy */
    if (self->config->get(cfg, "max-line", 0, &value) != EMESH_OK)
        return EMESH_E_CONFIG;
    self->max_line = (size_t)value.i;
    return EMESH_OK;
}

static int32_t
lines_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
             emesh_error *err)
{
    struct lane *lane = calloc(1, sizeof *lane);

    (void)index;
    (void)err;
    if (lane == NULL)
        return EMESH_E_NO_MEMORY;
    lane->instance = (struct instance *)self;
    lane->loop = loop;
    *out = (emesh_lane *)lane;
    return EMESH_OK;
}

static void
lines_detach(emesh_lane *lane, emesh_op *op)
{
    const emesh_host *host = ((struct lane *)lane)->instance->host;

    free(lane); /* the host has closed the connections: closed() ended each peer */
    host->complete(host, op, EMESH_OK, NULL, NULL);
}

static void
lines_destroy(emesh_instance *self)
{
    free(self);
}

/* ---- what the file tells about itself ---- */

static const emesh_life_ops life = { .size = sizeof life, .create = lines_create,
                                     .attach = lines_attach, .detach = lines_detach,
                                     .destroy = lines_destroy };
static const emesh_client_ops client = { .size = sizeof client, .opened = session_opened,
                                         .published = session_published, .room = session_room,
                                         .ask = session_ask };
static const emesh_protocol_ops ops = { .size = sizeof ops, .client = &client,
                                        .accept = lines_accept };
static const emesh_option options[] = {
    { .name = "topic", .value = "lines", .type = EMESH_OPT_TEXT, .since = 100,
      .help = "Topic the lines are published to." },
    { .name = "max-line", .value = "64KiB", .type = EMESH_OPT_SIZE, .min = 1, .max = 1048576,
      .since = 100, .help = "Longest line; a longer one ends the connection." },
};
static const emesh_option_group groups[] = { { "emesh.listen/1", "" } };
static const emesh_need needs[] = {
    EMESH_NEED(EMESH_CONFIG_ID, emesh_config_api, get),
    EMESH_NEED(EMESH_EVENT_ID, emesh_event_api, unref),
    EMESH_NEED(EMESH_NET_ID, emesh_net_api, pause),
    EMESH_NEED(EMESH_CLIENT_ID, emesh_client_api, publish),
};
static const emesh_component component = {
    .size = sizeof component,
    .option_size = sizeof(emesh_option),
    .kind = EMESH_PROTOCOL_KIND,
    .name = "protocol-lines",
    .summary = "Lines of text over TCP become events.",
    .life = &life,
    .ops = &ops,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .groups = groups,
    .n_groups = 1,
    .needs = needs,
    .n_needs = sizeof needs / sizeof needs[0],
    .lanes = EMESH_LANES_WORKERS,
};
static const emesh_component *const components[] = { &component };
static const emesh_layout layout = EMESH_LAYOUT;
static const emesh_plugin plugin = {
    .size = sizeof plugin,
    .abi_minor = EMESH_ABI_MINOR,
    .abi_min = 0,
    .n_components = 1,
    .id = "org.example.protocol-lines",
    .version = "0.1.0",
    .licence = "Apache-2.0",
    .vendor = "Example",
    .summary = "Lines of text over TCP become events.",
    .components = components,
    .layout = &layout,
};
EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    (void)host_minor;
    return &plugin;
}
