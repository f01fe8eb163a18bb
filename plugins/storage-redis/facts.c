/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server says about itself, and what follows for durability. Pure.
 */
#include "redis.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_VERSION 60200u
#define MARGIN 65536u /* what stands around the data of an event in one command */

void
rs_facts_init(rs_facts *facts)
{
    *facts = (rs_facts){ .max_value = UINT64_C(512) << 20, .levels = 1u << EMESH_LEVEL_MEMORY };
}

static bool
field(const char *text, size_t len, const char *name, char *out, size_t room)
{
    size_t n = strlen(name);

    for (size_t at = 0; at < len;) {
        const char *line = text + at;
        const char *end = memchr(line, '\n', len - at);
        size_t size = end != NULL ? (size_t)(end - line) : len - at;
        at += size + 1;
        while (size > 0 && line[size - 1] == '\r')
            size--;
        if (size <= n || memcmp(line, name, n) != 0 || line[n] != ':')
            continue;
        size = MIN(size - n - 1, room - 1);
        memcpy(out, line + n + 1, size);
        out[size] = '\0';
        return true;
    }
    return false;
}

static bool
says(const char *text, size_t len, const char *name, const char *value)
{
    char found[32];

    return field(text, len, name, found, sizeof found) && strcmp(found, value) == 0;
}

void
rs_facts_info(rs_facts *facts, const char *text, size_t len)
{
    char value[32];
    unsigned major = 0, minor = 0, patch = 0;

    if (field(text, len, "redis_version", value, sizeof value) &&
        sscanf(value, "%5u.%3u.%3u", &major, &minor, &patch) >= 2)
        facts->version = major * 10000 + minor * 100 + patch;
    facts->cluster =
        says(text, len, "redis_mode", "cluster") || says(text, len, "cluster_enabled", "1");
    facts->replica = says(text, len, "role", "slave");
    facts->loading = says(text, len, "loading", "1") || says(text, len, "async_loading", "1");
    facts->levels = 1u << EMESH_LEVEL_MEMORY;
    if (says(text, len, "aof_enabled", "1"))
        facts->levels |= 1u << EMESH_LEVEL_OS; /* unless appendfsync takes it back */
}

static const char *
value_of(const redisReply *reply, const char *name)
{
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2)
        if (reply->element[i]->type == REDIS_REPLY_STRING &&
            reply->element[i + 1]->type == REDIS_REPLY_STRING &&
            strcmp(reply->element[i]->str, name) == 0)
            return reply->element[i + 1]->str;
    return NULL;
}

/* everysec may answer up to two seconds before it has written, while the disk is busy: of that no
 * more is promised than of memory. */
void
rs_facts_config(rs_facts *facts, const redisReply *reply)
{
    const char *value;

    if (reply->type == REDIS_REPLY_ARRAY)
        facts->asked = true;
    if ((value = value_of(reply, "appendfsync")) != NULL) {
        g_strlcpy(facts->appendfsync, value, sizeof facts->appendfsync);
        if ((facts->levels & 1u << EMESH_LEVEL_OS) != 0 && strcmp(value, "always") == 0)
            facts->levels |= 1u << EMESH_LEVEL_SYNCED;
        else if (strcmp(value, "no") != 0)
            facts->levels = 1u << EMESH_LEVEL_MEMORY;
    }
    value = value_of(reply, "no-appendfsync-on-rewrite");
    if (value != NULL && strcmp(value, "yes") == 0) /* no sync while the log is rewritten */
        facts->levels &= ~(1u << EMESH_LEVEL_SYNCED);
    value = value_of(reply, "proto-max-bulk-len");
    if (value != NULL)
        facts->max_value = strtoull(value, NULL, 10);
    value = value_of(reply, "maxmemory-policy");
    if (value != NULL)
        facts->evicts = g_str_has_prefix(value, "allkeys-");
}

int32_t
rs_facts_judge(const rs_store *s, const rs_facts *facts, emesh_error *err)
{
    const char *at = s->opt.address;

    if (facts->version == 0)
        return rs_error(err, EMESH_E_UNAVAILABLE, "%s does not say which version it is", at);
    if (facts->version < LEAST_VERSION)
        return rs_error(err, EMESH_E_UNSUPPORTED, "redis at %s is %u.%u.%u, 6.2 is the least", at,
                        facts->version / 10000, facts->version / 100 % 100, facts->version % 100);
    if (facts->cluster && s->opt.mode == RS_MODE_STREAMS)
        return rs_error(err, EMESH_E_UNSUPPORTED,
                        "redis at %s is a cluster: events and groups are changed together, which "
                        "one server alone can do; use a server without cluster mode",
                        at);
    if (facts->loading)
        return rs_error(err, EMESH_E_UNAVAILABLE, "redis at %s is still loading its data", at);
    if (facts->replica)
        return rs_error(err, EMESH_E_UNAVAILABLE, "redis at %s is a replica and takes no events",
                        at);
    return EMESH_OK;
}

uint32_t
rs_levels(const rs_store *s)
{
    uint32_t levels = s->facts.levels;

    if (s->opt.mode == RS_MODE_PUBSUB)
        return 1u << EMESH_LEVEL_MEMORY;
    if (s->opt.assume != 0)
        levels = (2u << s->opt.assume) - 2u; /* that and all below, from memory on */
    else if (s->facts.evicts)
        levels = 1u << EMESH_LEVEL_MEMORY;
    if (s->opt.quorum > 0)
        levels |= 1u << EMESH_LEVEL_QUORUM;
    return levels;
}

void
rs_tell_ready(rs_store *s)
{
    bool streams = s->opt.mode == RS_MODE_STREAMS;
    g_autofree char *address = g_strconcat(s->opt.prefix, "reply:", s->me, NULL);
    emesh_store_info info = {
        .size = sizeof info,
        .levels = rs_levels(s),
        .can = streams ? RS_CLAIMS : EMESH_STORE_ANY_NAME,
        .max_event_bytes =
            s->facts.max_value > 2 * MARGIN ? s->facts.max_value - MARGIN : s->facts.max_value / 2,
        .window_bytes = UINT64_C(32) << 20,
        .window_events = 8192,
        .reply_address = { address, streams ? strlen(address) : 0 },
    };

    s->st->ready(s->host, &info);
}
