/* SPDX-License-Identifier: Apache-2.0
 *
 * Pub/Sub mode, as the Java mesh uses Redis: an event is one PUBLISH of its JSON to the channel of
 * its topic's name. Nothing is kept, everybody who listens gets all; what comes while nobody wants
 * it is held up to a bound, and then dropped with a line in the journal.
 */
#include "redis.h"

#include <string.h>

#define BUFFER_BYTES (UINT64_C(16) << 20)
#define BUFFER_EVENTS 65536u

typedef struct held {
    const emesh_event *event;
    uint64_t bytes, stored_ms, number;
    bool foreign, gap;
} held;

/* ---- out ---- */

static void
published(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    static const char lost[] = "the connection to the server broke off";

    if (r == NULL)
        rs_result(s, cmd->a, EMESH_E_LOST, lost, sizeof lost - 1, (emesh_position){ 0 }, 0);
    else if (rs_is_error(r))
        rs_result(s, cmd->a, rs_reply_code(r), r->str, r->len, (emesh_position){ 0 }, 0);
    else
        rs_result(s, cmd->a, EMESH_OK, NULL, 0, (emesh_position){ 0 }, 0);
}

void
rs_pubsub_append(rs_store *s, const emesh_append *item)
{
    static const char broken[] = "the event cannot be written as JSON";
    const rs_topic *topic = (const rs_topic *)(const void *)item->topic;
    emesh_part json = { 0 };

    if (s->ev->encode(s->host, EMESH_FORM_JSON, &item->event, 1, &json) != EMESH_OK) {
        rs_result(s, item->cookie, EMESH_E_INVALID, broken, sizeof broken - 1,
                  (emesh_position){ 0 }, 0);
        return;
    }
    rs_args_begin(s->args, "PUBLISH");
    rs_args_text(s->args, topic->name);
    rs_args_bytes(s->args, json.ptr, json.len);
    rs_link_send(&s->data, s->args, (rs_command){ .done = published, .a = item->cookie });
    s->ev->buf_unref(json.owner);
}

/* ---- in ---- */

static void
drop_oldest(rs_cursor *c)
{
    held *h = g_queue_pop_head(&c->buffer);
    held *next = g_queue_peek_head(&c->buffer);

    c->buffered -= h->bytes;
    if (next != NULL)
        next->gap = true;
    c->s->mt->add(c->s->m_lost, 1);
    c->s->ev->unref(&h->event, 1);
    g_free(h);
}

static const emesh_event *
foreign_event(rs_store *s, const char *topic, const char *text, size_t len)
{
    g_autofree char *source = g_uri_escape_string(topic, NULL, FALSE);
    g_autofree char *path = g_strconcat("/redis/", source, NULL);
    g_autofree char *id = g_uuid_string_random();
    emesh_attr attrs[] = {
        { "id", id, 2, (uint32_t)strlen(id), 0, 0 },
        { "source", path, 6, (uint32_t)strlen(path), 0, 0 },
        { "type", "redis.message", 4, 13, 0, 0 },
    };
    emesh_part part = { .ptr = text, .len = len };
    emesh_event_view spec = { .size = sizeof spec,
                              .data_form = EMESH_DATA_BYTES,
                              .attrs = attrs,
                              .n_attrs = 3,
                              .data = &part,
                              .data_len = len,
                              .n_data = 1 };
    const emesh_event *event = NULL;

    return s->ev->build(s->host, &spec, NULL, &event, NULL) == EMESH_OK ? event : NULL;
}

void
rs_pubsub_heard(rs_store *s, const char *channel, const char *text, size_t len)
{
    GPtrArray *parts = g_hash_table_lookup(s->channels, channel);
    emesh_part in = { .ptr = text, .len = len };
    const emesh_event *event = NULL;
    bool foreign = false;
    uint32_t n = 0;

    if (parts == NULL)
        return;
    if (s->ev->decode(s->host, EMESH_FORM_JSON, &in, 1, &event, 1, &n, NULL) != EMESH_OK ||
        n != 1) {
        event = foreign_event(s, channel, text, len);
        foreign = true;
    }
    for (guint i = 0; event != NULL && i < parts->len; i++) {
        rs_cursor *c = ((rs_part *)parts->pdata[i])->c;
        held *h = g_new(held, 1);
        *h = (held){ .event = s->ev->ref(event),
                     .bytes = len,
                     .stored_ms = rs_wall(s),
                     .number = ++c->counted,
                     .foreign = foreign };
        g_queue_push_tail(&c->buffer, h);
        c->buffered += len;
        while (c->buffer.length > BUFFER_EVENTS ||
               (c->buffered > BUFFER_BYTES && c->buffer.length > 1))
            drop_oldest(c);
        rs_pubsub_feed(c);
    }
    s->ev->unref(&event, 1);
}

void
rs_pubsub_feed(rs_cursor *c)
{
    rs_part *p = c->parts->len > 0 ? c->parts->pdata[0] : NULL;

    while (p != NULL && p->phase == RS_NEW && c->want > 0 && c->buffer.length > 0 &&
           (!c->bytes_given || c->want_bytes > 0)) {
        held *h = g_queue_pop_head(&c->buffer);
        emesh_record r = { .event = h->event,
                           .position = { c->boot_ms, h->number },
                           .stored_ms = h->stored_ms,
                           .partition = 0,
                           .epoch = p->epoch,
                           .attempt = 1,
                           .flags = (h->foreign ? EMESH_RECORD_FOREIGN : 0u) };
        if (h->gap && h->number > 0) {
            emesh_record gap = { .position = { c->boot_ms, h->number - 1 },
                                 .epoch = p->epoch,
                                 .attempt = 1,
                                 .flags = EMESH_RECORD_TRIMMED };
            c->s->st->records(c->reader, &gap, 1);
        }
        c->buffered -= h->bytes;
        rs_hand(p, &r, 1, rs_event_bytes(c->s, h->event));
        g_free(h);
    }
}

/* ---- cursors ---- */

void
rs_pubsub_open(rs_cursor *c)
{
    rs_store *s = c->s;
    GPtrArray *parts = g_hash_table_lookup(s->channels, c->topic->name);
    rs_part *p;

    g_queue_init(&c->buffer);
    c->boot_ms = rs_wall(s); /* so that a place is never used twice */
    if (parts == NULL) {
        parts = g_ptr_array_new();
        g_hash_table_insert(s->channels, g_strdup(c->topic->name), parts);
        rs_ear_follow(s, c->topic->name, true);
    }
    p = rs_pubsub_part(c);
    g_ptr_array_add(parts, p);
}

void
rs_pubsub_begin(rs_part *p)
{
    p->phase = RS_NEW;
    rs_pubsub_feed(p->c);
}

void
rs_pubsub_close(rs_cursor *c)
{
    GPtrArray *parts = g_hash_table_lookup(c->s->channels, c->topic->name);

    while (c->buffer.length > 0) {
        held *h = g_queue_pop_head(&c->buffer);
        c->s->ev->unref(&h->event, 1);
        g_free(h);
    }
    if (parts == NULL || c->parts->len == 0)
        return;
    g_ptr_array_remove_fast(parts, c->parts->pdata[0]);
    if (parts->len == 0) {
        rs_ear_follow(c->s, c->topic->name, false);
        g_hash_table_remove(c->s->channels, c->topic->name);
    }
}

void
rs_pubsub_again(rs_store *s)
{
    GHashTableIter iter;
    void *name;

    g_hash_table_iter_init(&iter, s->channels);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        rs_ear_follow(s, name, true);
}
