/* SPDX-License-Identifier: Apache-2.0
 *
 * Administrative commands about topics and clients.
 */
#include "bus/commands.h"
#include "bus/gather.h"
#include "bus/own-topic.h"
#include "bus/session.h"
#include "bus/topic.h"
#include "daemon/daemon.h"

#include <stdlib.h>
#include <string.h>

/* ---- topics ---- */

typedef struct listing {
    emesh_bus *bus;
    bool own; /* the daemon's own topics too */
    emesh_command_reply *reply;
} listing;

static void
topic_row(listing *l, const char *name, const emesh_listed *listed)
{
    emesh_bus_topic *open = g_hash_table_lookup(l->bus->topics, name);
    emesh_store *store = listed != NULL ? listed->store : open->store;
    emesh_row_builder *row = emesh_row_new();
    emesh_topic_rule rule;

    emesh_conf_topic(l->bus->conf, name, strlen(name), &rule);
    emesh_row_text(row, "topic", name, -1);
    emesh_row_text(row, "store", store->inst->name, -1);
    emesh_row_text(row, "durability",
                   emesh_level_name(open != NULL                       ? open->level
                                    : rule.level != EMESH_LEVEL_TOPIC ? rule.level
                                                                      : store->max_level),
                   -1);
    emesh_row_number(row, "partitions", open != NULL ? open->partitions : rule.partitions);
    if (listed != NULL) {
        g_autofree char *first = emesh_position_text(listed->first);
        g_autofree char *last = emesh_position_text(listed->last);
        if (listed->count != UINT64_MAX)
            emesh_row_number(row, "events", listed->count);
        if (listed->bytes != UINT64_MAX)
            emesh_row_number(row, "bytes", listed->bytes);
        emesh_row_text(row, "first", first, -1);
        emesh_row_text(row, "last", last, -1);
    }
    emesh_row_number(row, "retention-ms", rule.retention_ms);
    emesh_row_number(row, "published",
                     open != NULL ? __atomic_load_n(&open->published, __ATOMIC_RELAXED) : 0);
    emesh_row_send(row, l->reply);
}

static int
by_topic(const void *a, const void *b)
{
    const emesh_listed *x = a, *y = b;
    int order = strcmp(x->topic, y->topic);

    return order != 0 ? order : strcmp(x->group, y->group);
}

static bool
shows(const listing *l, const char *name)
{
    return l->own || !emesh_is_closed_topic(name, strlen(name));
}

/* In the store it has another name. */
static bool
is_listed(GHashTable *seen, const emesh_bus_topic *topic)
{
    g_autofree char *name = g_strndup(topic->name, topic->store_len);

    return g_hash_table_contains(seen, name);
}

static void
topics_listed(void *ctx, GArray *rows)
{
    listing *l = ctx;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter iter;
    void *name;

    g_array_sort(rows, by_topic);
    for (uint32_t i = 0; i < rows->len; i++) {
        const emesh_listed *listed = &g_array_index(rows, emesh_listed, i);
        if (!g_hash_table_add(seen, listed->topic) || !shows(l, listed->topic))
            continue;
        topic_row(l, listed->topic, listed);
    }
    g_hash_table_iter_init(&iter, l->bus->topics);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        if (!g_hash_table_contains(seen, name) && shows(l, name) &&
            !is_listed(seen, g_hash_table_lookup(l->bus->topics, name)))
            topic_row(l, name, NULL);
    l->reply->end(l->reply, EMESH_OK, NULL);
    g_free(l);
}

static listing *
listing_new(emesh_daemon *daemon, emesh_command_reply *reply)
{
    listing *l = g_new0(listing, 1);

    l->bus = emesh_daemon_bus(daemon);
    l->reply = reply;
    return l;
}

static void
topic_list(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    listing *l = listing_new(daemon, reply);

    l->own = emesh_command_arg(args, n, "all").len > 0;
    emesh_list_stores(l->bus, EMESH_LIST_TOPICS, NULL, topics_listed, l);
}

static void
created(void *ctx, emesh_bus_topic *topic, int32_t code, const char *why)
{
    listing *l = ctx;

    if (topic == NULL) {
        emesh_command_fail(l->reply, code, "%s", why != NULL ? why : "refused");
    } else {
        topic_row(l, topic->name, NULL);
        l->reply->end(l->reply, EMESH_OK, NULL);
    }
    g_free(l);
}

static void
topic_create(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    emesh_slice name = emesh_command_arg(args, n, "topic");

    if (emesh_is_closed_topic(name.ptr, name.len))
        emesh_command_fail(reply, EMESH_E_DENIED, "the daemon makes these topics itself");
    else if (!emesh_name_ok(name.ptr, name.len))
        emesh_command_refuse(reply, "topic",
             "a topic name is 1 to 249 bytes of printable ASCII without *, ?, [ and ]");
    else
        emesh_topic_open_main(emesh_daemon_bus(daemon), name.ptr, name.len, NULL, created,
                              listing_new(daemon, reply));
}

static void
topic_deleted(void *ctx, int32_t code, const char *why)
{
    emesh_command_reply *reply = ctx;

    if (code != EMESH_OK)
        emesh_command_fail(reply, code, "%s", why != NULL ? why : "refused");
    else
        reply->end(reply, EMESH_OK, NULL);
}

typedef struct deleting {
    emesh_bus *bus;
    emesh_command_reply *reply;
    char *name;
} deleting;

/* Opening makes what is absent, so look before deleting. */
static void
delete_listed(void *ctx, GArray *rows)
{
    deleting *d = ctx;
    bool known = g_hash_table_contains(d->bus->topics, d->name);

    for (uint32_t i = 0; i < rows->len && !known; i++)
        known = strcmp(g_array_index(rows, emesh_listed, i).topic, d->name) == 0;
    if (known)
        emesh_topic_delete_main(d->bus, d->name, strlen(d->name), topic_deleted, d->reply);
    else
        emesh_command_fail(d->reply, EMESH_E_NOT_FOUND, "there is no such topic");
    g_free(d->name);
    g_free(d);
}

static void
topic_delete(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    emesh_slice name = emesh_command_arg(args, n, "topic");
    deleting *d;

    if (emesh_is_closed_topic(name.ptr, name.len)) {
        emesh_command_fail(reply, EMESH_E_DENIED, "this topic holds events for later; an inbox goes "
                                                  "with its group, see group.delete");
        return;
    }

    if (!emesh_name_ok(name.ptr, name.len)) {
        emesh_command_refuse(reply, "topic",
             "a topic name is 1 to 249 bytes of printable ASCII without *, ?, [ and ]");
        return;
    }
    d = g_new0(deleting, 1);
    d->bus = emesh_daemon_bus(daemon);
    d->reply = reply;
    d->name = g_strndup(name.ptr, name.len);
    emesh_list_stores(d->bus, EMESH_LIST_TOPICS, NULL, delete_listed, d);
}

/* ---- clients ---- */

typedef struct clients {
    emesh_command_reply *reply;
    GPtrArray *rows;      /* emesh_row_builder */
    bool asks;            /* else it lists */
    uint64_t id;          /* who is asked: this one, */
    char *name, *value;   /* or all with this label */
    uint32_t what;        /* EMESH_ASK_* */
    char *reason, *target;
    uint32_t asked, unable;
} clients;

static void
client_row(clients *c, const emesh_session *s)
{
    emesh_row_builder *row = emesh_row_new();

    emesh_row_text(row, "id", s->key, 16);
    emesh_row_text(row, "instance", s->inst->name, -1);
    emesh_row_text(row, "peer", s->peer != NULL ? s->peer : "", -1);
    emesh_row_text(row, "client", s->client != NULL ? s->client : "", -1);
    emesh_row_text(row, "principal", s->principal, -1);
    emesh_row_number(row, "subscriptions", s->n_members);
    emesh_row_number(row, "unacked", s->unacked);
    emesh_row_number(row, "open", s->unsettled);
    emesh_row_number(row, "published", s->published);
    emesh_row_number(row, "delivered", s->delivered);
    emesh_row_number(row, "since-ms", s->since_ms);
    for (uint32_t i = 0; i < s->labels->len; i++) {
        emesh_label *label = &g_array_index(s->labels, emesh_label, i);
        emesh_row_text(row, label->name, label->value, -1);
    }
    g_ptr_array_add(c->rows, row);
}

/* NAME=VALUE against what client.list shows; a peer without port is its host. */
static bool
client_matches(const clients *c, const emesh_session *s)
{
    size_t len;

    if (c->id != 0)
        return s->id == c->id;
    len = strlen(c->value);
    if (strcmp(c->name, "instance") == 0)
        return strcmp(s->inst->name, c->value) == 0;
    if (strcmp(c->name, "client") == 0)
        return s->client != NULL && strcmp(s->client, c->value) == 0;
    if (strcmp(c->name, "peer") == 0)
        return s->peer != NULL && strncmp(s->peer, c->value, len) == 0 &&
               (s->peer[len] == '\0' || (s->peer[len] == ':' && strchr(s->peer + len + 1, ':') == NULL));
    for (uint32_t i = 0; i < s->labels->len; i++) {
        const emesh_label *label = &g_array_index(s->labels, emesh_label, i);
        if (strcmp(label->name, c->name) == 0 && strcmp(label->value, c->value) == 0)
            return true;
    }
    return false;
}

static void
client_ask(clients *c, emesh_session *s)
{
    if (c->what == EMESH_ASK_REDIRECT &&
        (s->inst->component->claims & EMESH_PROTOCOL_CAN_REDIRECT) == 0) {
        c->unable++;
        return;
    }
    c->asked++;
    g_free(s->ask_reason);
    g_free(s->ask_target);
    s->ask_reason = g_strdup(c->reason);
    s->ask_target = g_strdup(c->target);
    s->ask_what = c->what;
    s->ask_wanted = true;
    emesh_session_call(s);
}

static void
client_visit(void *ctx, emesh_bus_lane *lane)
{
    clients *c = ctx;

    for (GList *link = lane->sessions.head; link != NULL; link = link->next) {
        emesh_session *s = link->data;
        if (!c->asks)
            client_row(c, s);
        else if (client_matches(c, s))
            client_ask(c, s);
    }
}

static void
clients_asked(clients *c)
{
    emesh_row_builder *row;

    if (c->asked == 0 && c->unable > 0) {
        emesh_command_fail(c->reply, EMESH_E_UNSUPPORTED,
                           "the protocol of these clients has no way to redirect them");
        return;
    }
    if (c->asked == 0) {
        emesh_command_fail(c->reply, EMESH_E_NOT_FOUND,
                           c->id != 0 ? "no client has this id; see client.list"
                                      : "no client has this label; see client.list");
        return;
    }
    row = emesh_row_new();
    emesh_row_number(row, "asked", c->asked);
    emesh_row_number(row, "unable", c->unable);
    emesh_row_send(row, c->reply);
    c->reply->end(c->reply, EMESH_OK, NULL);
}

static void
clients_done(void *ctx)
{
    clients *c = ctx;

    for (uint32_t i = 0; i < c->rows->len; i++)
        emesh_row_send(c->rows->pdata[i], c->reply);
    if (c->asks)
        clients_asked(c);
    else
        c->reply->end(c->reply, EMESH_OK, NULL);
    g_ptr_array_unref(c->rows);
    g_free(c->name);
    g_free(c->value);
    g_free(c->reason);
    g_free(c->target);
    g_free(c);
}

static clients *
clients_new(emesh_command_reply *reply)
{
    clients *c = g_new0(clients, 1);

    c->reply = reply;
    c->rows = g_ptr_array_new();
    return c;
}

static void
client_list(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    (void)args, (void)n;
    emesh_gather(emesh_daemon_bus(daemon), client_visit, clients_done, clients_new(reply));
}

/* Who is meant: id, or where = NAME=VALUE. False: answered. */
static bool
read_who(clients *c, const emesh_attr *args, uint32_t n)
{
    g_autofree char *id = emesh_command_text(args, n, "id");
    g_autofree char *where = emesh_command_text(args, n, "where");
    char *end = NULL, *equals = where != NULL ? strchr(where, '=') : NULL;

    if ((id == NULL) == (where == NULL)) {
        emesh_command_fail(c->reply, EMESH_E_INVALID, "who is meant: give id, or where");
        return false;
    }
    if (id != NULL) {
        c->id = strtoull(id, &end, 16);
        if (*id != '\0' && *end == '\0' && c->id != 0)
            return true;
        emesh_command_refuse(c->reply, "id",
                           "id is the hexadecimal number that client.list shows");
        return false;
    }
    if (equals == NULL || equals == where || equals[1] == '\0') {
        emesh_command_refuse(c->reply, "where",
                           "where is NAME=VALUE, as client.list shows it: group=orders, peer=10.0.0.5");
        return false;
    }
    c->name = g_strndup(where, (gsize)(equals - where));
    c->value = g_strdup(equals + 1);
    return true;
}

static void
clients_end(clients *c)
{
    g_ptr_array_unref(c->rows);
    g_free(c->target);
    g_free(c);
}

static void
ask_clients(emesh_daemon *daemon, clients *c, const emesh_attr *args, uint32_t n, uint32_t what,
            const char *otherwise)
{
    c->asks = true;
    c->what = what;
    if (!read_who(c, args, n)) {
        clients_end(c);
        return;
    }
    c->reason = emesh_command_text(args, n, "reason");
    if (c->reason == NULL || c->reason[0] == '\0') {
        g_free(c->reason);
        c->reason = g_strdup(otherwise);
    }
    emesh_gather(emesh_daemon_bus(daemon), client_visit, clients_done, c);
}

static void
client_kick(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    ask_clients(daemon, clients_new(reply), args, n, EMESH_ASK_CLOSE,
                "closed by the administrator");
}

static void
client_redirect(emesh_daemon *daemon, const emesh_attr *args, uint32_t n,
                emesh_command_reply *reply)
{
    clients *c = clients_new(reply);
    char *colon, *end = NULL;

    c->target = emesh_command_text(args, n, "to");
    colon = c->target != NULL ? strrchr(c->target, ':') : NULL;
    if (colon == NULL || colon == c->target || strtoul(colon + 1, &end, 10) - 1 >= 65535 ||
        *end != '\0') {
        emesh_command_refuse(reply, "to", "to is ADDRESS:PORT, IPv6 in brackets");
        clients_end(c);
        return;
    }
    ask_clients(daemon, c, args, n, EMESH_ASK_REDIRECT, "redirected by the administrator");
}

const emesh_command emesh_bus_commands[] = {
    { "topic.list", "all?", "topics of all stores", false, topic_list },
    { "topic.create", "topic", "makes a topic", true, topic_create },
    { "topic.delete", "topic", "deletes a topic with all its events", true, topic_delete },
    { "client.list", "", "sessions of all protocols", false, client_list },
    { "client.kick", "id? where? reason?", "closes sessions", true, client_kick },
    { "client.redirect", "id? where? to reason?", "sends sessions to another server", true,
      client_redirect },
    { NULL, NULL, NULL, false, NULL },
};
