/* SPDX-License-Identifier: Apache-2.0
 *
 * Listings: the rows of a script as rows of the host. Counting is bounded in the script; what it
 * did not count to the end is unknown.
 */
#include "redis.h"

#include <string.h>

enum { TOPIC, PARTITION, GROUP, COUNT, FIRST, LAST, AT, OLDEST, BYTES, SOURCE };

static emesh_slice
slice_of(const redisReply *r)
{
    return (emesh_slice){ r->str != NULL ? r->str : "", r->str != NULL ? r->len : 0 };
}

static uint64_t
count_of(const redisReply *r)
{
    return r->type == REDIS_REPLY_INTEGER && r->integer >= 0 ? (uint64_t)r->integer : UINT64_MAX;
}

static emesh_position
place(const redisReply *r)
{
    emesh_position at = { 0 };

    if (r->type == REDIS_REPLY_STRING)
        rs_position_of(r->str + (r->str[0] == '<'), &at);
    return at;
}

/* What lies right before a place. */
static emesh_position
before(emesh_position at)
{
    if (at.lo > 0)
        return (emesh_position){ at.hi, at.lo - 1 };
    return at.hi > 0 ? (emesh_position){ at.hi - 1, UINT64_MAX } : at;
}

static emesh_row
row_of(const redisReply *r, uint32_t what)
{
    emesh_position oldest = place(r->element[OLDEST]);
    emesh_row row = {
        .topic = slice_of(r->element[TOPIC]),
        .group = slice_of(r->element[GROUP]),
        .partition = slice_of(r->element[PARTITION]),
        .first = place(r->element[FIRST]),
        .last = place(r->element[LAST]),
        .committed = place(r->element[AT]),
        .count = count_of(r->element[COUNT]),
        .bytes = count_of(r->element[BYTES]),
        .stored_ms = oldest.hi,
    };

    if (what == EMESH_LIST_GROUPS && r->element[OLDEST]->str != NULL &&
        r->element[OLDEST]->str[0] == '<')
        row.committed = before(oldest); /* the floor: what is before the oldest that is open */
    if (what == EMESH_LIST_GROUPS && row.committed.hi == 0 && row.committed.lo == 0)
        row.flags = EMESH_ROW_UNREAD;
    if (what == EMESH_LIST_EVENT && r->elements > SOURCE)
        row.source = slice_of(r->element[SOURCE]);
    if (what == EMESH_LIST_TOPICS)
        row.partition = (emesh_slice){ 0 };
    return row;
}

static bool
same_topic(const emesh_row *a, const emesh_row *b)
{
    return a->topic.len == b->topic.len && memcmp(a->topic.ptr, b->topic.ptr, a->topic.len) == 0;
}

static uint64_t
sum(uint64_t a, uint64_t b)
{
    return a == UINT64_MAX || b == UINT64_MAX ? UINT64_MAX : a + b;
}

static void
listed(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    rs_ask *ask = cmd->ctx;
    g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(emesh_row));
    emesh_rows out = { .size = sizeof out };

    (void)s;
    if (rs_ask_failed(ask, r, "cannot list"))
        return;
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
        emesh_row row, *had = rows->len > 0 ? &g_array_index(rows, emesh_row, rows->len - 1) : NULL;
        if (r->element[i]->type != REDIS_REPLY_ARRAY || r->element[i]->elements < SOURCE)
            continue;
        row = row_of(r->element[i], ask->what);
        if (ask->what == EMESH_LIST_TOPICS && had != NULL && same_topic(had, &row)) {
            had->count = sum(had->count, row.count);
            had->bytes = sum(had->bytes, row.bytes);
            continue;
        }
        g_array_append_val(rows, row);
    }
    out.rows = (const emesh_row *)(void *)rows->data;
    out.n = rows->len;
    rs_ask_end(ask, EMESH_OK, NULL, &out);
}

void
rs_list(rs_ask *ask)
{
    rs_store *s = ask->s;
    rs_args *a = s->args;
    char from[64] = "";

    if (ask->start.kind == EMESH_START_AFTER)
        g_snprintf(from, sizeof from, "(%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
                   ask->start.position.hi, ask->start.position.lo);
    else if (ask->start.kind == EMESH_START_TIME)
        g_snprintf(from, sizeof from, "%" G_GUINT64_FORMAT "-0", ask->start.time_ms);
    else if (ask->start.kind == EMESH_START_LATEST)
        g_strlcpy(from, "+", sizeof from);
    rs_eval(s, ask->what == EMESH_LIST_EVENT ? RS_SCRIPT_FIND : RS_SCRIPT_LIST, NULL);
    rs_args_text(a, s->opt.prefix);
    if (ask->what == EMESH_LIST_EVENT) {
        rs_args_text(a, ask->topic);
        rs_args_text(a, ask->id);
        rs_args_text(a, ask->source);
    } else {
        rs_args_text(a, ask->what == EMESH_LIST_GROUPS ? "groups" : "partitions");
        rs_args_text(a, ask->topic);
        rs_args_text(a, ask->group);
        rs_args_text(a, from);
    }
    rs_link_send(&s->data, a, (rs_command){ .done = listed, .ctx = ask });
}
