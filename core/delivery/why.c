/* SPDX-License-Identifier: Apache-2.0
 *
 * `why`: what became of an event. The journal is read on the pool, stores are asked where events of
 * this id lie and where the groups of their topics stand, lanes whether it is in a window now.
 * [main]
 */
#include "delivery/why.h"
#include "bus/note.h"
#include "daemon/daemon.h"
#include "delivery/groups.h"
#include "delivery/sub.h"

#include <stdlib.h>
#include <string.h>

static void
live_clear(void *data)
{
    emesh_why_live *l = data;

    g_free(l->topic);
    g_free(l->group);
    g_free(l->text);
}

static void
listed_free(void *data)
{
    emesh_listed *row = data;

    g_free(row->topic);
    g_free(row->group);
    g_free(row->partition);
    g_free(row->source);
}

static void
found_free(emesh_why_found *f)
{
    emesh_reading_free(f->reading);
    g_array_unref(f->places);
    g_array_unref(f->floors);
    g_array_unref(f->live);
    g_ptr_array_unref(f->topics);
    g_hash_table_unref(f->hashes);
    g_free(f->id);
    g_free(f->source);
    g_free(f->topic);
    g_free(f->group);
    g_free(f->error);
    g_free(f);
}

static void
answer(emesh_why_found *f)
{
    emesh_why_answer(f);
    found_free(f);
}

/* ---- is it in a window now? ---- */

static char *
state_text(const emesh_sub *sub, const emesh_slot *slot)
{
    uint64_t now = emesh_worker_now(sub->owner->lane->worker);
    char who[EMESH_WHO_TEXT];

    switch (slot->state) {
    case EMESH_SLOT_READY:
        return g_strdup("ready: it waits for a member with credit");
    case EMESH_SLOT_HELD:
        return g_strdup("held: an earlier event of its key is not through yet");
    case EMESH_SLOT_OFFERED:
        return g_strdup_printf("offered to %s since %u ms%s",
                               emesh_session_who(slot->consumer->member->session, who),
                               (uint32_t)(now / 1000000u) - slot->offered_ms,
                               (slot->flags & EMESH_SLOT_CUSTODY) != 0 ? ", in custody" : "");
    case EMESH_SLOT_WAITING:
        return g_strdup_printf("waiting: its next attempt is in %" G_GUINT64_FORMAT " ms",
                               slot->due_ns > now ? (slot->due_ns - now) / 1000000u : 0);
    case EMESH_SLOT_PARKING:
        return g_strdup("parking: it is being written to the group's inbox");
    case EMESH_SLOT_BURYING:
        return g_strdup("burying: its dead letter is being written");
    default:
        return g_strdup("settled: the floor waits for earlier events");
    }
}

static void
look_at(emesh_why_found *f, const emesh_sub *sub)
{
    for (uint32_t i = 0; i < sub->slots.n_slabs * 64u; i++) {
        const emesh_slot *slot = emesh_slot_at(&sub->slots, i);
        emesh_why_live live;
        uint64_t hash;

        if (slot->state == EMESH_SLOT_FREE || slot->event == NULL)
            continue;
        hash = emesh_event_hash(slot->event);
        if (!g_hash_table_contains(f->hashes, &hash))
            continue;
        live = (emesh_why_live){ hash, g_strdup(sub->topic->name), g_strdup(sub->group),
                                 state_text(sub, slot), slot->attempt };
        g_array_append_val(f->live, live);
    }
}

static void
visit(void *ctx, emesh_bus_lane *lane)
{
    emesh_why_found *f = ctx;
    GHashTableIter iter;
    void *sub;

    g_hash_table_iter_init(&iter, lane->delivery->subs);
    while (g_hash_table_iter_next(&iter, NULL, &sub))
        look_at(f, sub);
    for (uint32_t i = 0; i < lane->delivery->alone->len; i++)
        look_at(f, lane->delivery->alone->pdata[i]);
}

static void
visited(void *ctx)
{
    answer(ctx);
}

static void
add_hash(emesh_why_found *f, uint64_t hash)
{
    int64_t *key = g_memdup2(&hash, sizeof hash);

    if (hash != 0)
        g_hash_table_add(f->hashes, key);
    else
        g_free(key);
}

static void
look_at_windows(emesh_why_found *f)
{
    for (uint32_t i = 0; i < f->reading->told->len; i++)
        add_hash(f, g_array_index(f->reading->told, emesh_told, i).hash);
    for (uint32_t i = 0; i < f->places->len; i++) {
        const emesh_listed *place = &g_array_index(f->places, emesh_listed, i);
        add_hash(f,
                 emesh_event_hash_of(place->source, strlen(place->source), f->id, strlen(f->id)));
    }
    emesh_gather(f->bus, visit, visited, f);
}

/* ---- where it lies, and where its groups stand ---- */

/* Moves what a listing brought into ours. */
static void
take(GArray *into, GArray *rows)
{
    if (rows->len > 0)
        g_array_append_vals(into, rows->data, rows->len);
    g_array_set_clear_func(rows, NULL);
    g_array_set_size(rows, 0);
}

static void
floors_listed(void *ctx, GArray *rows)
{
    emesh_why_found *f = ctx;

    if (rows != NULL)
        take(f->floors, rows);
    if (f->topics->len == 0) {
        look_at_windows(f);
        return;
    }
    emesh_groups_list(f->bus,
                      &(emesh_groups_query){
                          .topic = g_ptr_array_remove_index_fast(f->topics, f->topics->len - 1) },
                      floors_listed, f);
}

static void
places_listed(void *ctx, GArray *rows)
{
    emesh_why_found *f = ctx;

    take(f->places, rows);
    for (uint32_t i = 0; i < f->places->len; i++) {
        emesh_listed *place = &g_array_index(f->places, emesh_listed, i);
        bool known = false;
        for (uint32_t k = 0; k < f->topics->len; k++)
            known |= strcmp(f->topics->pdata[k], place->topic) == 0;
        if (place->source[0] == '\0' && f->source != NULL) { /* a store that does not say */
            g_free(place->source);
            place->source = g_strdup(f->source);
        }
        if (!known)
            g_ptr_array_add(f->topics, place->topic);
    }
    floors_listed(f, NULL);
}

/* ---- the journal ---- */

static void
read_done(emesh_job *job) /* main */
{
    emesh_why_found *f = (emesh_why_found *)((char *)job - offsetof(emesh_why_found, job));
    emesh_admin ask = { .size = sizeof ask, .what = EMESH_LIST_EVENT };

    if (f->reading == NULL || f->id == NULL) {
        answer(f);
        return;
    }
    ask.id = (emesh_slice){ f->id, strlen(f->id) };
    if (f->source != NULL)
        ask.source = (emesh_slice){ f->source, strlen(f->source) };
    if (f->topic != NULL)
        ask.topic = (emesh_slice){ f->topic, strlen(f->topic) };
    emesh_list_ask(f->bus, NULL, &ask, places_listed, f);
}

static void
read_journal(emesh_job *job) /* pool */
{
    emesh_why_found *f = (emesh_why_found *)((char *)job - offsetof(emesh_why_found, job));
    g_autoptr(GError) error = NULL;

    f->reading = emesh_journal_read(emesh_journal_path(f->bus->journal), &f->query, &error);
    if (f->reading == NULL)
        f->error = g_strdup(error->message);
    f->job = (emesh_job){ .run = read_done };
    emesh_worker_post(f->bus->main, &f->job);
}

static emesh_why_found *
found_new(emesh_daemon *daemon, emesh_command_reply *reply)
{
    emesh_why_found *f = g_new0(emesh_why_found, 1);

    f->bus = emesh_daemon_bus(daemon);
    f->reply = reply;
    f->places = g_array_new(FALSE, FALSE, sizeof(emesh_listed));
    g_array_set_clear_func(f->places, listed_free);
    f->floors = g_array_new(FALSE, FALSE, sizeof(emesh_listed));
    g_array_set_clear_func(f->floors, listed_free);
    f->live = g_array_new(FALSE, FALSE, sizeof(emesh_why_live));
    g_array_set_clear_func(f->live, live_clear);
    f->topics = g_ptr_array_new();
    f->hashes = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    return f;
}

/* NULL, or what is wrong with the arguments. */
static const char *
parse(emesh_why_found *f, const char *since, const char *last)
{
    uint64_t ms = 0;
    char *end = NULL;

    if ((f->id == NULL) == (f->group == NULL))
        return "why needs the id of an event, or a group";
    if (since != NULL && !emesh_time_read(since, strlen(since), &ms))
        return "since is a time like 2025-01-31T08:00:00Z, or milliseconds since 1970";
    f->query = (emesh_journal_query){ .id = f->id,
                                      .source = f->source,
                                      .topic = f->topic,
                                      .group = f->group,
                                      .since_us = ms * 1000 };
    if (last != NULL) {
        unsigned long long n = strtoull(last, &end, 10);
        if (*end != '\0' || n < 1 || n > EMESH_TOLD_MOST)
            return "last is a number from 1 to 10000";
        f->query.last = (uint32_t)n;
    }
    return NULL;
}

static void
why(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    emesh_why_found *f = found_new(daemon, reply);
    g_autofree char *since = emesh_command_text(args, n, "since");
    g_autofree char *last = emesh_command_text(args, n, "last");
    const char *wrong;

    f->id = emesh_command_text(args, n, "id");
    f->source = emesh_command_text(args, n, "source");
    f->topic = emesh_command_text(args, n, "topic");
    f->group = emesh_command_text(args, n, "group");
    wrong = parse(f, since, last);
    if (wrong != NULL) {
        emesh_command_fail(reply, EMESH_E_INVALID, "%s", wrong);
        found_free(f);
        return;
    }
    f->job.run = read_journal;
    emesh_journal_work(f->bus->journal, &f->job);
}

const emesh_command emesh_why_commands[] = {
    { "why", "id? source? topic? since? group? last?",
      "what became of an event, or the last decisions about a group", false, why },
    { NULL, NULL, NULL, false, NULL },
};
