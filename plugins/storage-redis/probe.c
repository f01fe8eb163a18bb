/* SPDX-License-Identifier: Apache-2.0
 *
 * One look at the server before the start is over, on a pool thread where it may block: what the
 * store can is told before the rules of conf.d are held against it. With TLS only the address is
 * tried; the facts come with the first connection of the lane.
 */
#include "redis.h"

#include <stdlib.h>
#include <string.h>

static redisReply *
ask(redisContext *c, int argc, const char **argv)
{
    return redisCommandArgv(c, argc, argv, NULL);
}

static int32_t
authenticate(rs_store *s, redisContext *c, emesh_error *err)
{
    const char *argv[3] = { "AUTH" };
    int argc = 1;
    redisReply *r;
    int32_t code;

    if (s->opt.password == NULL)
        return EMESH_OK;
    if (s->opt.user != NULL)
        argv[argc++] = s->opt.user;
    argv[argc++] = s->opt.password;
    r = ask(c, argc, argv);
    code = rs_reply_code(r);
    if (code != EMESH_OK)
        rs_error(err, code, "redis at %s refuses the authentication: %s", s->opt.address,
                 r != NULL ? r->str : c->errstr);
    if (r != NULL)
        freeReplyObject(r);
    return code;
}

static int32_t
inform(rs_store *s, redisContext *c, rs_facts *facts, emesh_error *err)
{
    static const char *const settings[] = { "appendfsync", "no-appendfsync-on-rewrite",
                                            "proto-max-bulk-len", "maxmemory-policy" };
    const char *info[] = { "INFO" };
    redisReply *r = ask(c, 1, info);

    if (r == NULL || r->type != REDIS_REPLY_STRING) {
        rs_error(err, r != NULL ? rs_reply_code(r) : EMESH_E_UNAVAILABLE,
                 "redis at %s does not answer INFO: %s", s->opt.address,
                 r != NULL && r->str != NULL ? r->str : c->errstr);
        if (r != NULL)
            freeReplyObject(r);
        return err->code != EMESH_OK ? err->code : EMESH_E_PROTOCOL;
    }
    rs_facts_info(facts, r->str, r->len);
    freeReplyObject(r);
    for (guint i = 0; i < G_N_ELEMENTS(settings); i++) {
        const char *argv[] = { "CONFIG", "GET", settings[i] };
        r = ask(c, 3, argv);
        if (r == NULL)
            break;
        if (rs_is_error(r))
            facts->levels = 1u << EMESH_LEVEL_MEMORY;
        else
            rs_facts_config(facts, r);
        freeReplyObject(r);
    }
    return rs_facts_judge(s, facts, err);
}

/* "host:port", "[v6]:port" */
static char *
host_of(const char *address, int *port)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon != NULL ? (size_t)(colon - address) : strlen(address);

    *port = colon != NULL ? atoi(colon + 1) : 6379;
    if (len >= 2 && address[0] == '[')
        return g_strndup(address + 1, len - 2);
    return g_strndup(address, len);
}

int32_t
rs_probe(rs_store *s, rs_facts *facts, emesh_error *err)
{
    struct timeval wait = { (time_t)(s->opt.connect_ns / RS_SECOND),
                            (suseconds_t)(s->opt.connect_ns % RS_SECOND / 1000) };
    int port;
    g_autofree char *host = host_of(s->opt.address, &port);
    redisContext *c = redisConnectWithTimeout(host, port, wait);
    int32_t code = EMESH_OK;

    if (c == NULL || c->err != 0) {
        code = rs_error(err, EMESH_E_UNAVAILABLE, "cannot connect to redis at %s: %s",
                        s->opt.address, c != NULL ? c->errstr : "no memory");
    } else if (!s->opt.tls) {
        redisSetTimeout(c, wait);
        code = authenticate(s, c, err);
        if (code == EMESH_OK)
            code = inform(s, c, facts, err);
    }
    if (c != NULL)
        redisFree(c);
    return code;
}
