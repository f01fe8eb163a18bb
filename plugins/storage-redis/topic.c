/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics: opened and closed by main, known on the lane. And the operations of main on their way:
 * they hop to the lane, and while the first connection is being made they wait for it.
 */
#include "redis.h"

#include <string.h>

/* ---- operations ---- */

static void
ask_run(emesh_task *task, int32_t code)
{
    rs_ask *ask = (rs_ask *)(void *)task;
    rs_store *s = ask->s;
    emesh_error err = { .size = sizeof err };

    if (code != EMESH_OK || s->ending) {
        rs_ask_end(ask, EMESH_E_CANCELED, NULL, NULL);
    } else if (rs_link_is_up(&s->data)) {
        ask->go(ask);
        rs_link_flush(&s->data);
    } else if (s->data.state == RS_LINK_DIAL || s->data.state == RS_LINK_GREET) {
        g_ptr_array_add(s->asks, ask);
    } else {
        rs_error(&err, EMESH_E_UNAVAILABLE, "redis at %s is away", s->opt.address);
        rs_ask_end(ask, EMESH_E_UNAVAILABLE, &err, NULL);
    }
}

rs_ask *
rs_ask_new(rs_store *s, emesh_op *op, void (*go)(rs_ask *ask))
{
    rs_ask *ask = g_new0(rs_ask, 1);

    ask->s = s;
    ask->op = op;
    ask->go = go;
    ask->task.run = ask_run;
    return ask;
}

void
rs_ask_post(rs_ask *ask)
{
    ask->s->lp->post(ask->s->loop, &ask->task);
}

void
rs_ask_end(rs_ask *ask, int32_t code, const emesh_error *err, const void *result)
{
    const emesh_host *host = ask->s->host;
    emesh_op *op = ask->op;

    g_free(ask->topic);
    g_free(ask->group);
    g_free(ask->partition);
    g_free(ask->source);
    g_free(ask->id);
    g_free(ask);
    host->complete(host, op, code, err, result);
}

bool
rs_ask_failed(rs_ask *ask, const redisReply *r, const char *what)
{
    emesh_error err = { .size = sizeof err };
    int32_t code = rs_reply_code(r);

    if (code == EMESH_OK)
        return false;
    rs_error(&err, code, "%s topic %s in redis at %s: %s", what,
             ask->topic != NULL ? ask->topic : "", ask->s->opt.address,
             r != NULL ? r->str : "the connection broke off");
    rs_ask_end(ask, code, &err, NULL);
    return true;
}

/* ---- topics ---- */

void
rs_topic_free(void *data)
{
    rs_topic *topic = data;

    g_strfreev(topic->keys);
    g_free(topic->name);
    g_free(topic);
}

static void
set_partitions(rs_topic *topic, uint32_t n)
{
    if (n <= topic->partitions)
        return;
    topic->keys = g_renew(char *, topic->keys, n + 1);
    for (uint32_t i = topic->partitions; i < n; i++)
        topic->keys[i] =
            g_strdup_printf("%sstream:%s:%u", topic->store->opt.prefix, topic->name, i);
    topic->keys[n] = NULL;
    topic->partitions = n;
    for (guint i = 0; i < topic->store->cursors->len; i++) {
        rs_cursor *c = topic->store->cursors->pdata[i];
        if (c->topic == topic)
            rs_cursor_grow(c);
    }
}

static rs_topic *
topic_of(rs_store *s, const char *name)
{
    rs_topic *topic = g_hash_table_lookup(s->topics, name);

    if (topic != NULL)
        return topic;
    topic = g_new0(rs_topic, 1);
    topic->name = g_strdup(name);
    topic->store = s;
    g_hash_table_insert(s->topics, topic->name, topic);
    return topic;
}

static void
open_with(rs_ask *ask, uint32_t partitions)
{
    rs_topic *topic = topic_of(ask->s, ask->topic);

    topic->handles++;
    topic->retention_ms = ask->spec.retention_ms;
    topic->retention_bytes = ask->spec.retention_bytes;
    set_partitions(topic, partitions);
    rs_ask_end(ask, EMESH_OK, NULL, topic);
}

static void
opened(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    rs_ask *ask = cmd->ctx;
    emesh_error err = { .size = sizeof err };

    (void)s;
    if (rs_ask_failed(ask, r, "cannot open"))
        return;
    if (r->type != REDIS_REPLY_INTEGER || r->integer < 1 || r->integer > RS_MOST_PARTITIONS) {
        rs_error(&err, EMESH_E_CONFIG,
                 "topic %s in redis at %s has no number of partitions from 1 to "
                 "%u",
                 ask->topic, ask->s->opt.address, RS_MOST_PARTITIONS);
        rs_ask_end(ask, EMESH_E_CONFIG, &err, NULL);
        return;
    }
    open_with(ask, (uint32_t)r->integer);
}

static void
ask_topic(rs_store *s, const char *name, uint32_t partitions, bool create, rs_command cmd)
{
    rs_eval(s, RS_SCRIPT_TOPIC, NULL);
    rs_args_text(s->args, s->opt.prefix);
    rs_args_text(s->args, name);
    rs_args_number(s->args, s->scratch, partitions);
    rs_args_text(s->args, create ? "1" : "0");
    rs_link_send(&s->data, s->args, cmd);
}

static void
go_open(rs_ask *ask)
{
    rs_store *s = ask->s;
    emesh_error err = { .size = sizeof err };

    if (ask->spec.level != 0 && rs_levels(s) >> ask->spec.level == 0) {
        rs_error(&err, EMESH_E_BUSY,
                 "topic %s was promised more than redis at %s turned out to give "
                 "(appendfsync %s)",
                 ask->topic, s->opt.address, s->facts.appendfsync);
        rs_ask_end(ask, EMESH_E_BUSY, &err, NULL);
        return;
    }
    if (s->opt.mode == RS_MODE_PUBSUB) {
        open_with(ask, 1);
        return;
    }
    ask_topic(s, ask->topic, MAX(1u, ask->spec.partitions), ask->spec.create != 0,
              (rs_command){ .done = opened, .ctx = ask });
}

void
rs_topic_open(emesh_instance *self, const emesh_topic_spec *spec, emesh_op *op)
{
    rs_ask *ask = rs_ask_new(RS_STORE(self), op, go_open);
    emesh_error err = { .size = sizeof err };

    ask->topic = g_strndup(spec->name.ptr, spec->name.len);
    ask->spec = *spec;
    if (spec->partitions > RS_MOST_PARTITIONS || spec->name.len > RS_NAME_MOST) {
        rs_error(&err, EMESH_E_CONFIG, "topic %s: a topic in redis has at most %u partitions",
                 ask->topic, RS_MOST_PARTITIONS);
        rs_ask_end(ask, EMESH_E_CONFIG, &err, NULL);
        return;
    }
    rs_ask_post(ask);
}

static void
close_run(emesh_task *task, int32_t code)
{
    rs_ask *ask = (rs_ask *)(void *)task;
    rs_topic *topic = ask->handle;

    (void)code;
    if (--topic->handles == 0)
        g_hash_table_remove(ask->s->topics, topic->name);
    g_free(ask);
}

void
rs_topic_close(emesh_instance *self, emesh_topic *topic)
{
    rs_ask *ask = rs_ask_new(RS_STORE(self), NULL, NULL);

    ask->handle = (rs_topic *)(void *)topic;
    ask->task.run = close_run;
    rs_ask_post(ask);
}

static void
mended(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    g_autofree char *name = cmd->ctx;

    if (rs_is_error(r))
        rs_say(s, EMESH_LOG_WARNING, "the streams of topic %s are gone and cannot be made: %s",
               name, r->str);
}

void
rs_topic_mend(rs_store *s, rs_topic *topic)
{
    ask_topic(s, topic->name, topic->partitions, false,
              (rs_command){ .done = mended, .ctx = g_strdup(topic->name) });
}
