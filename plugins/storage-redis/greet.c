/* SPDX-License-Identifier: Apache-2.0
 *
 * The first words on a connection: who we are, which database; then the server's facts and the
 * scripts. Only when all of it was answered the connection is up.
 */
#include "redis.h"
#include "scripts.h"

#include <string.h>

static void
send(rs_link *link, rs_done done)
{
    rs_link_send(link, link->s->args, (rs_command){ .done = done, .ctx = link });
}

static void
failed(rs_link *link, const char *what, const redisReply *r)
{
    char why[200];

    if (r == NULL)
        return;
    g_snprintf(why, sizeof why, "%s: %s", what, r->str);
    rs_link_cut(link, why, false);
}

static void
secret_read(emesh_task *task, int32_t code)
{
    rs_store *s = (rs_store *)(void *)((char *)task - offsetof(rs_store, password_task));

    (void)code;
    s->reading_secret = false;
    if (s->secret != NULL) {
        explicit_bzero(s->opt.password, s->opt.password != NULL ? strlen(s->opt.password) : 0);
        g_free(s->opt.password);
        s->opt.password = g_steal_pointer(&s->secret);
    }
}

/* [pool] */
static void
read_secret(emesh_task *task, int32_t code)
{
    rs_store *s = (rs_store *)(void *)((char *)task - offsetof(rs_store, password_task));
    char *text = NULL;

    (void)code;
    if (g_file_get_contents(s->opt.password_file, &text, NULL, NULL))
        s->secret = g_strchomp(text);
    task->run = secret_read;
    s->lp->post(s->loop, task);
}

static void
authed(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    if (!rs_is_error(r))
        return;
    if (s->opt.password_file != NULL && !s->reading_secret && !s->ending) {
        s->reading_secret = true; /* it may have changed: the next try has what stands there then */
        s->password_task.run = read_secret;
        s->lp->work(s->host, &s->password_task);
    }
    failed(cmd->ctx, "authentication was refused", r);
}

static void
selected(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    (void)s;
    if (rs_is_error(r))
        failed(cmd->ctx, "the database cannot be selected", r);
}

static void
named(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    (void)s, (void)cmd, (void)r; /* for CLIENT LIST only */
}

static void
informed(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    emesh_error err = { .size = sizeof err };
    uint32_t was = s->facts.levels;

    if (r == NULL)
        return;
    if (r->type != REDIS_REPLY_STRING) {
        failed(cmd->ctx, "INFO was refused", r);
        return;
    }
    rs_facts_init(&s->facts);
    s->facts.levels = was;
    rs_facts_info(&s->facts, r->str, r->len);
    if (rs_facts_judge(s, &s->facts, &err) != EMESH_OK)
        rs_link_cut(cmd->ctx, err.text, false);
}

static void
configured(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    (void)cmd;
    if (r != NULL && !rs_is_error(r))
        rs_facts_config(&s->facts, r);
    else if (r != NULL)
        s->facts.levels = 1u << EMESH_LEVEL_MEMORY; /* it may not be asked: nothing is assumed */
}

static void
loaded(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    rs_link *link = cmd->ctx;

    (void)s;
    if (rs_is_error(r))
        failed(link, "a script was refused", r);
    else if (r != NULL && cmd->a != 0)
        rs_link_ready(link);
}

static void
ask_facts(rs_link *link)
{
    static const char *const settings[] = { "appendfsync", "no-appendfsync-on-rewrite",
                                            "proto-max-bulk-len", "maxmemory-policy" };
    rs_args *a = link->s->args;

    rs_args_begin(a, "INFO");
    send(link, informed);
    for (guint i = 0; i < G_N_ELEMENTS(settings); i++) {
        rs_args_begin(a, "CONFIG");
        rs_args_text(a, "GET");
        rs_args_text(a, settings[i]);
        send(link, configured);
    }
    for (uint32_t i = 0; i < RS_SCRIPTS; i++) {
        rs_args_begin(a, "SCRIPT");
        rs_args_text(a, "LOAD");
        rs_args_text(a, rs_scripts[i].text);
        rs_link_send(link, a,
                     (rs_command){ .done = loaded, .ctx = link, .a = i + 1 == RS_SCRIPTS });
    }
}

static void
ear_ready(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    (void)s;
    if (rs_is_error(r))
        failed(cmd->ctx, "PING was refused", r);
    else if (r != NULL)
        rs_link_ready(cmd->ctx);
}

void
rs_greet(rs_link *link)
{
    rs_store *s = link->s;
    rs_args *a = s->args;

    if (s->opt.password != NULL) {
        rs_args_begin(a, "AUTH");
        if (s->opt.user != NULL)
            rs_args_text(a, s->opt.user);
        rs_args_text(a, s->opt.password);
        send(link, authed);
    }
    rs_args_begin(a, "CLIENT");
    rs_args_text(a, "SETNAME");
    rs_args_text(a, "eventmesh");
    send(link, named);
    if (s->opt.database != 0) {
        rs_args_begin(a, "SELECT");
        rs_args_number(a, s->scratch, s->opt.database);
        send(link, selected);
    }
    if (link == &s->data) {
        ask_facts(link);
    } else {
        rs_args_begin(a, "PING");
        send(link, ear_ready);
    }
}
