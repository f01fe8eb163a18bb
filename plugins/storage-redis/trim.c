/* SPDX-License-Identifier: Apache-2.0
 *
 * Retention: what is too old, or too much, is removed from the streams of open topics. A group that
 * had not read it is told so (and its journal), see the script.
 */
#include "redis.h"

#include <string.h>

static void
trimmed(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    g_autofree char *name = cmd->ctx;

    if (r == NULL)
        return;
    if (rs_is_error(r)) {
        rs_say(s, EMESH_LOG_WARNING, "what is over its retention in topic %s stays: %s", name,
               r->str);
        return;
    }
    if (r->type != REDIS_REPLY_ARRAY || r->elements == 0)
        return;
    s->mt->add(s->m_trimmed, r->element[0]->integer);
    for (size_t i = 1; i < r->elements; i++)
        rs_say(s, EMESH_LOG_WARNING,
               "retention of topic %s, partition %u, took entries that a group "
               "had not read: %s",
               name, cmd->b, r->element[i]->str != NULL ? r->element[i]->str : "");
}

static void
trim(rs_store *s, const rs_topic *topic, uint32_t partition)
{
    rs_args *a = s->args;
    uint64_t now = rs_wall(s);
    char id[64];

    g_snprintf(id, sizeof id, "%" G_GUINT64_FORMAT "-0",
               topic->retention_ms != 0 && topic->retention_ms < now ? now - topic->retention_ms
                                                                     : 0);
    rs_eval(s, RS_SCRIPT_TRIM, NULL);
    rs_args_text(a, s->opt.prefix);
    rs_args_text(a, topic->name);
    rs_args_number(a, s->scratch, partition);
    rs_args_text(a, id);
    rs_args_number(a, s->scratch, topic->retention_bytes);
    rs_link_send(&s->data, a,
                 (rs_command){ .done = trimmed, .ctx = g_strdup(topic->name), .b = partition });
}

void
rs_trim(void *store)
{
    rs_store *s = store;
    GHashTableIter iter;
    void *value;

    s->lp->timer_set(s->trim, rs_now(s) + s->opt.trim_ns);
    if (!rs_link_is_up(&s->data) || s->opt.mode == RS_MODE_PUBSUB)
        return;
    g_hash_table_iter_init(&iter, s->topics);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const rs_topic *topic = value;
        for (uint32_t i = 0; i < topic->partitions; i++)
            if (topic->retention_ms != 0 || topic->retention_bytes != 0)
                trim(s, topic, i);
    }
    rs_link_flush(&s->data);
}
