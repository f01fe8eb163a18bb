/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer of `why`: for each event its places, the decisions about it, and how each group stands
 * to it. [main]
 */
#include "admin/json.h"
#include "delivery/why.h"
#include "journal/codes.h"

#include "bus/store.h"
#include <string.h>

static bool
above(emesh_position a, emesh_position b)
{
    return a.hi != b.hi ? a.hi > b.hi : a.lo > b.lo;
}

static emesh_row_builder *
row_of(const char *kind, const char *id, const char *source)
{
    emesh_row_builder *row = emesh_row_new();

    emesh_row_text(row, "kind", kind, -1);
    if (id != NULL)
        emesh_row_text(row, "id", id, -1);
    if (source != NULL)
        emesh_row_text(row, "source", source, -1);
    return row;
}

static void
text(emesh_row_builder *row, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0')
        emesh_row_text(row, name, value, -1);
}

static void
position(emesh_row_builder *row, const char *name, emesh_position at)
{
    g_autofree char *value = emesh_position_text(at);

    emesh_row_text(row, name, value, -1);
}

/* What the code counts. */
static void
more(emesh_row_builder *row, const emesh_code_row *code, uint64_t value)
{
    if (code->more == EMESH_MORE_WAIT)
        emesh_row_number(row, "wait-ms", value);
    else if (code->more == EMESH_MORE_COUNT)
        emesh_row_number(row, "events", value);
    else if (code->more == EMESH_MORE_ERROR)
        emesh_row_text(row, "error", emesh_code_name((int32_t)value), -1);
}

static void
told_row(emesh_command_reply *reply, const emesh_told *t)
{
    const emesh_code_row *code = emesh_code_find(t->code);
    emesh_row_builder *row = row_of("decision", t->id, t->source);
    bool placed = t->partition != NULL || t->code == EMESH_WHY_STORED;

    emesh_row_number(row, "time", t->time_us / 1000);
    emesh_row_text(row, "decision", code != NULL ? code->word : "unknown-code", -1);
    emesh_row_text(row, "text", code != NULL ? code->sentence : "noted by a newer version", -1);
    text(row, "topic", t->topic);
    text(row, "group", t->group);
    text(row, "partition", t->partition);
    if (t->range)
        position(row, "behind", t->first);
    if (placed)
        position(row, "position", t->position);
    if (t->attempt != 0)
        emesh_row_number(row, "attempt", t->attempt);
    if (t->level != 0)
        emesh_row_text(row, "level", emesh_level_name(t->level), -1);
    text(row, "who", t->who);
    text(row, "words", t->words);
    if (code != NULL && !t->range)
        more(row, code, t->more);
    emesh_row_send(row, reply);
}

static void
place_row(emesh_command_reply *reply, const char *id, const emesh_listed *place)
{
    emesh_row_builder *row = row_of("place", id, place->source);

    emesh_row_text(row, "topic", place->topic, -1);
    text(row, "partition", place->partition);
    position(row, "position", place->first);
    emesh_row_text(row, "store", place->store->inst->name, -1);
    if (place->stored_ms != 0)
        emesh_row_number(row, "stored", place->stored_ms);
    emesh_row_send(row, reply);
}

static const emesh_why_live *
live_of(const emesh_why_found *f, uint64_t hash, const char *topic, const char *group)
{
    for (uint32_t i = 0; i < f->live->len; i++) {
        const emesh_why_live *live = &g_array_index(f->live, emesh_why_live, i);
        if (live->hash == hash && strcmp(live->topic, topic) == 0 &&
            strcmp(live->group, group) == 0)
            return live;
    }
    return NULL;
}

/* How a group stands to an event of this place. */
static void
verdict_row(emesh_why_found *f, const emesh_listed *place, const emesh_listed *floor, uint64_t hash)
{
    const emesh_why_live *live = live_of(f, hash, floor->topic, floor->group);
    emesh_row_builder *row = row_of("group", f->id, place->source);
    g_autofree char *at = emesh_position_text(floor->committed);
    g_autofree char *words = NULL;
    const char *verdict = "not-settled";
    bool none = (floor->flags & EMESH_ROW_UNREAD) != 0;

    if (live != NULL) {
        verdict = "open";
        words = g_strdup_printf("%s (attempt %u)", live->text, live->attempt);
    } else if (!none && !above(place->first, floor->committed)) {
        verdict = "settled";
        words = g_strdup_printf("settled by %s before its floor %s, or stored before the group "
                                "began",
                                floor->group, at);
    } else {
        words = g_strdup_printf("%s%s%s: acknowledged ahead of it, or still to be read",
                                none ? "nothing is settled by " : "above the floor ",
                                none ? floor->group : at, none ? " yet" : " of this group");
    }
    emesh_row_text(row, "topic", floor->topic, -1);
    emesh_row_text(row, "group", floor->group, -1);
    emesh_row_text(row, "verdict", verdict, -1);
    emesh_row_text(row, "text", words, -1);
    emesh_row_send(row, f->reply);
}

/* In a window, of a group that has no place, or by a copy in its inbox. */
static void
live_rows(emesh_why_found *f, uint64_t hash, const char *source)
{
    for (uint32_t i = 0; i < f->live->len; i++) {
        const emesh_why_live *live = &g_array_index(f->live, emesh_why_live, i);
        emesh_row_builder *row;
        bool told = live->hash != hash;

        for (uint32_t k = 0; k < f->floors->len && !told; k++) {
            const emesh_listed *floor = &g_array_index(f->floors, emesh_listed, k);
            told = strcmp(floor->topic, live->topic) == 0 && strcmp(floor->group, live->group) == 0;
        }
        if (told)
            continue;
        row = row_of("group", f->id, source);
        emesh_row_text(row, "topic", live->topic, -1);
        text(row, "group", live->group);
        emesh_row_text(row, "verdict", "open", -1);
        emesh_row_text(row, "text", live->text, -1);
        emesh_row_send(row, f->reply);
    }
}

static bool
same(const char *a, const char *b)
{
    return g_strcmp0(a, b) == 0;
}

/* Does the range hold a place of this event? */
static bool
holds_it(const emesh_why_found *f, const emesh_told *range, uint64_t hash, const char *source)
{
    for (uint32_t i = 0; i < f->places->len; i++) {
        const emesh_listed *p = &g_array_index(f->places, emesh_listed, i);
        if (same(p->source, source) && same(p->topic, range->topic) &&
            same(p->partition, range->partition) && above(p->first, range->first) &&
            !above(p->first, range->position))
            return true;
    }
    for (uint32_t i = 0; i < f->reading->told->len; i++) {
        const emesh_told *t = &g_array_index(f->reading->told, emesh_told, i);
        if (t->hash == hash && t->code == EMESH_WHY_STORED && same(t->topic, range->topic) &&
            above(t->position, range->first) && !above(t->position, range->position))
            return true;
    }
    return false;
}

static void
event_rows(emesh_why_found *f, uint64_t hash, const char *source)
{
    emesh_row_builder *row = row_of("event", f->id, source);

    emesh_row_flag(row, "sampled",
                   emesh_journal_sample(f->bus->journal) != 0 &&
                       (hash & (emesh_journal_sample(f->bus->journal) - 1)) == 0);
    emesh_row_send(row, f->reply);
    for (uint32_t i = 0; i < f->places->len; i++) {
        const emesh_listed *place = &g_array_index(f->places, emesh_listed, i);
        if (same(place->source, source))
            place_row(f->reply, f->id, place);
    }
    for (uint32_t i = 0; i < f->reading->told->len; i++) {
        const emesh_told *t = &g_array_index(f->reading->told, emesh_told, i);
        if (t->range ? holds_it(f, t, hash, source) : t->hash == hash)
            told_row(f->reply, t);
    }
    for (uint32_t i = 0; i < f->places->len; i++) {
        const emesh_listed *place = &g_array_index(f->places, emesh_listed, i);
        for (uint32_t k = 0; same(place->source, source) && k < f->floors->len; k++) {
            const emesh_listed *floor = &g_array_index(f->floors, emesh_listed, k);
            if (strcmp(floor->topic, place->topic) == 0 &&
                strcmp(floor->partition, place->partition) == 0)
                verdict_row(f, place, floor, hash);
        }
    }
    live_rows(f, hash, source);
}

/* One answer for each source of the id. */
static uint32_t
events(emesh_why_found *f)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);

    for (uint32_t i = 0; i < f->places->len; i++) {
        const emesh_listed *place = &g_array_index(f->places, emesh_listed, i);
        uint64_t hash =
            emesh_event_hash_of(place->source, strlen(place->source), f->id, strlen(f->id));
        if (g_hash_table_contains(seen, &hash))
            continue;
        g_hash_table_add(seen, g_hash_table_lookup(f->hashes, &hash));
        event_rows(f, hash, place->source);
    }
    for (uint32_t i = 0; i < f->reading->told->len; i++) {
        emesh_told *t = &g_array_index(f->reading->told, emesh_told, i);
        if (t->hash != 0 && g_hash_table_add(seen, &t->hash))
            event_rows(f, t->hash, t->source);
    }
    return g_hash_table_size(seen);
}

void
emesh_why_answer(emesh_why_found *f)
{
    uint64_t oldest = f->reading != NULL ? f->reading->oldest_us / 1000 : 0;
    emesh_row_builder *row;

    if (f->reading == NULL) {
        emesh_command_fail(f->reply, EMESH_E_UNAVAILABLE, "%s", f->error);
        return;
    }
    if (f->id == NULL)
        for (uint32_t i = 0; i < f->reading->told->len; i++)
            told_row(f->reply, &g_array_index(f->reading->told, emesh_told, i));
    else if (events(f) == 0) {
        emesh_command_fail(f->reply, EMESH_E_NOT_FOUND,
                           "no store here holds an event with the id \"%.100s\", and the journal "
                           "has nothing about it",
                           f->id);
        return;
    }
    row = row_of("journal", NULL, NULL);
    if (oldest != 0)
        emesh_row_number(row, "oldest", oldest);
    emesh_row_number(row, "lines", f->reading->lines);
    emesh_row_flag(row, "more", f->reading->more);
    emesh_row_send(row, f->reply);
    f->reply->end(f->reply, EMESH_OK, NULL);
}
