/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin op: changes of topics and of groups' places, each one script.
 */
#include "redis.h"

#include <string.h>

static void
changed(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    rs_ask *ask = cmd->ctx;

    (void)s;
    if (!rs_ask_failed(ask, r, "cannot change"))
        rs_ask_end(ask, EMESH_OK, NULL, NULL);
}

static void
forgotten(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    rs_ask *ask = cmd->ctx;
    emesh_error err = { .size = sizeof err };

    (void)s;
    if (rs_ask_failed(ask, r, "cannot forget a group of"))
        return;
    if (r->integer > 0) {
        rs_ask_end(ask, EMESH_OK, NULL, NULL);
        return;
    }
    rs_error(&err, EMESH_E_NOT_FOUND, "there is no group %s in topic %s", ask->group, ask->topic);
    rs_ask_end(ask, EMESH_E_NOT_FOUND, &err, NULL);
}

static void
send(rs_ask *ask, rs_done done)
{
    rs_link_send(&ask->s->data, ask->s->args, (rs_command){ .done = done, .ctx = ask });
}

static void
begin(rs_ask *ask, uint32_t script)
{
    rs_eval(ask->s, script, NULL);
    rs_args_text(ask->s->args, ask->s->opt.prefix);
}

static void
go_place(rs_ask *ask)
{
    rs_args *a = ask->s->args;
    char id[64];

    rs_start_text(&ask->start, id, sizeof id);
    begin(ask, RS_SCRIPT_PLACE);
    rs_args_text(a, ask->what == EMESH_CHANGE_SEEK ? "seek" : "place");
    rs_args_text(a, ask->topic);
    rs_args_text(a, ask->group);
    rs_args_text(a, id);
    rs_args_text(a, ask->partition);
    send(ask, changed);
}

static void
go_forget(rs_ask *ask)
{
    begin(ask, RS_SCRIPT_FORGET);
    rs_args_text(ask->s->args, ask->topic);
    rs_args_text(ask->s->args, ask->group);
    send(ask, forgotten);
}

static void
go_delete(rs_ask *ask)
{
    begin(ask, RS_SCRIPT_DELETE);
    rs_args_text(ask->s->args, ask->topic);
    send(ask, changed);
}

static void
go_trim(rs_ask *ask)
{
    rs_args *a = ask->s->args;
    char id[64];

    g_snprintf(id, sizeof id, "%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, ask->position.hi,
               ask->position.lo);
    begin(ask, RS_SCRIPT_TRIM);
    rs_args_text(a, ask->topic);
    rs_args_text(a, ask->partition[0] != '\0' ? ask->partition : "0");
    rs_args_text(a, id);
    rs_args_text(a, "0");
    send(ask, changed);
}

static char *
text_of(const emesh_slice *slice)
{
    return g_strndup(slice->ptr != NULL ? slice->ptr : "", slice->len);
}

static void (*way_of(uint32_t what))(rs_ask *ask)
{
    switch (what) {
    case EMESH_CHANGE_DELETE:
        return go_delete;
    case EMESH_CHANGE_TRIM:
        return go_trim;
    case EMESH_CHANGE_FORGET:
        return go_forget;
    case EMESH_CHANGE_PLACE:
    case EMESH_CHANGE_SEEK:
        return go_place;
    case EMESH_LIST_TOPICS:
    case EMESH_LIST_PARTITIONS:
    case EMESH_LIST_GROUPS:
    case EMESH_LIST_EVENT:
        return rs_list;
    default:
        return NULL;
    }
}

void
rs_admin(emesh_instance *self, const emesh_admin *what, emesh_op *op)
{
    rs_store *s = RS_STORE(self);
    void (*go)(rs_ask *) = s->opt.mode == RS_MODE_STREAMS ? way_of(what->what) : NULL;
    rs_ask *ask = rs_ask_new(s, op, go);
    emesh_error err = { .size = sizeof err };

    ask->what = what->what;
    ask->topic = text_of(&what->topic);
    ask->group = text_of(&what->group);
    ask->partition = text_of(&what->partition);
    ask->source = text_of(&what->source);
    ask->id = text_of(&what->id);
    ask->position = what->position;
    ask->start.kind = EMESH_START_STORED;
    if (what->start != NULL)
        ask->start = *what->start;
    if (go == NULL) {
        rs_error(&err, EMESH_E_UNSUPPORTED, "%s cannot do what is asked%s", s->name,
                 s->opt.mode == RS_MODE_PUBSUB ? ": in Pub/Sub mode nothing is kept" : "");
        rs_ask_end(ask, EMESH_E_UNSUPPORTED, &err, NULL);
        return;
    }
    rs_ask_post(ask);
}
