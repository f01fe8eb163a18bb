/* SPDX-License-Identifier: Apache-2.0
 *
 * Error replies as codes, and the words of this store's own errors.
 */
#include "redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct word {
    const char *begin;
    int32_t code;
} word;

static const word words[] = {
    { "OOM", EMESH_E_NO_SPACE },
    { "MISCONF", EMESH_E_NO_SPACE },
    { "LOADING", EMESH_E_UNAVAILABLE },
    { "READONLY", EMESH_E_UNAVAILABLE },
    { "MASTERDOWN", EMESH_E_UNAVAILABLE },
    { "NOREPLICAS", EMESH_E_UNAVAILABLE },
    { "BUSY ", EMESH_E_UNAVAILABLE },
    { "TRYAGAIN", EMESH_E_UNAVAILABLE },
    { "NOSCRIPT", EMESH_E_UNAVAILABLE },
    { "CLUSTERDOWN", EMESH_E_UNAVAILABLE },
    { "MOVED", EMESH_E_UNSUPPORTED },
    { "ASK", EMESH_E_UNSUPPORTED },
    { "CROSSSLOT", EMESH_E_UNSUPPORTED },
    { "NOAUTH", EMESH_E_DENIED },
    { "NOPERM", EMESH_E_DENIED },
    { "WRONGPASS", EMESH_E_DENIED },
    { "WRONGTYPE", EMESH_E_DENIED },
    { "NOGROUP", EMESH_E_NOT_FOUND },
    { "STALE", EMESH_E_STALE },
    { "GONE", EMESH_E_NOT_FOUND },
    { "UNBLOCKED", EMESH_E_UNAVAILABLE },
    { "NOTOPIC", EMESH_E_NOT_FOUND },
};

/* An error that a script raised comes behind words of the server in 6.2. */
static const char *
begin_of(const char *text)
{
    const char *behind = strstr(text, "user_script");

    for (guint i = 0; behind != NULL && i < G_N_ELEMENTS(words); i++) {
        const char *found = strstr(behind, words[i].begin);
        if (found != NULL)
            return found;
    }
    return text;
}

int32_t
rs_reply_code(const redisReply *r)
{
    const char *text;

    if (r == NULL)
        return EMESH_E_LOST;
    if (r->type != REDIS_REPLY_ERROR)
        return EMESH_OK;
    text = begin_of(r->str);
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        if (g_str_has_prefix(text, words[i].begin))
            return words[i].code;
    return EMESH_E_DENIED; /* refused, without effect */
}

uint64_t
rs_number_of(const redisReply *r)
{
    return r->type == REDIS_REPLY_INTEGER ? (uint64_t)r->integer
           : r->str != NULL               ? strtoull(r->str, NULL, 10)
                                          : 0;
}

bool
rs_is_error(const redisReply *r)
{
    return r != NULL && r->type == REDIS_REPLY_ERROR;
}

int32_t
rs_error(emesh_error *err, int32_t code, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    err->code = code;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return code;
}

void
rs_say(const rs_store *s, uint32_t level, const char *format, ...)
{
    char text[512];
    va_list args;

    if (!s->host->log_on(s->host, level))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->host->log(s->host, level, text, strlen(text), NULL, 0);
}
