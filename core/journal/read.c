/* SPDX-License-Identifier: Apache-2.0
 *
 * See read.h. A block is read with a dictionary of its own; a line whose names were lost with
 * damaged ones is told without them. Whatever the file holds, memory is bounded by what is asked
 * for.
 */
#include "journal/read.h"
#include "event/event.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MOST 512u

typedef struct dict_event {
    uint64_t hash;
    const char *id; /* in the block's texts */
    uint16_t source;
} dict_event;

typedef struct dict { /* of one block */
    const char *names[EMESH_BLOCK_LINES];
    GHashTable *events; /* hash → dict_event */
    GStringChunk *texts;
    char part[TEXT_MOST]; /* of a text over several lines */
    uint64_t part_key;
    uint8_t part_kind;
    uint16_t part_have;
    uint64_t wanted; /* hash of id and source, if both are asked for */
} dict;

static void
dict_reset(dict *d)
{
    memset(d->names, 0, sizeof d->names);
    g_hash_table_remove_all(d->events);
    d->part_kind = 0;
}

/* Is it the id that is asked for? One that was cut is compared as far as it goes. */
static bool
id_wanted(const emesh_journal_query *query, const char *id, size_t len, bool cut)
{
    if (query->id == NULL)
        return true;
    return cut ? strncmp(query->id, id, len) == 0
               : strlen(query->id) == len && memcmp(query->id, id, len) == 0;
}

static void
learn(dict *d, const emesh_journal_query *query, const emesh_line *line)
{
    char *text = d->part;
    size_t len = d->part_have;
    dict_event *event;

    text[len] = '\0';
    if (line->kind == EMESH_LINE_NAME) {
        if (line->key < EMESH_BLOCK_LINES)
            d->names[line->key] = g_string_chunk_insert(d->texts, text);
        return;
    }
    if (!id_wanted(query, text, len, line->cut))
        return;
    event = g_new0(dict_event, 1);
    event->hash = line->key;
    event->id = g_string_chunk_insert(d->texts, text);
    event->source = line->source;
    g_hash_table_replace(d->events, &event->hash, event);
}

/* A part of a text; with the last one the whole is known. */
static void
take_text(dict *d, const emesh_journal_query *query, const emesh_line *line)
{
    bool goes_on = line->at > 0 && d->part_kind == line->kind && d->part_key == line->key &&
                   d->part_have == line->at;

    if ((line->at > 0 && !goes_on) || (size_t)line->at + line->n >= TEXT_MOST) {
        d->part_kind = 0; /* its beginning was damaged */
        return;
    }
    memcpy(d->part + line->at, line->text, line->n);
    d->part_kind = line->kind;
    d->part_key = line->key;
    d->part_have = (uint16_t)(line->at + line->n);
    if (d->part_have == line->total)
        learn(d, query, line);
}

static const char *
name(const dict *d, uint16_t number)
{
    return number < EMESH_BLOCK_LINES ? d->names[number] : NULL;
}

static bool
is(const char *wanted, const char *have)
{
    return wanted == NULL || (have != NULL && strcmp(wanted, have) == 0);
}

static const char *
keep(emesh_reading *r, const char *text)
{
    return text != NULL ? g_string_chunk_insert_const(r->texts, text) : NULL;
}

static void
take_decision(emesh_reading *r, const dict *d, const emesh_journal_query *query,
              const emesh_line *line, uint64_t order)
{
    const dict_event *event = line->hash != 0 ? g_hash_table_lookup(d->events, &line->hash) : NULL;
    const char *source = event != NULL ? name(d, event->source) : NULL;
    bool range = line->kind == EMESH_LINE_RANGE;
    emesh_told told = {
        .time_us = line->time_us,
        .order = order,
        .code = line->code,
        .attempt = line->attempt,
        .level = line->level,
        .range = range,
        .position = line->position,
        .first = line->first,
        .hash = line->hash,
        .more = line->more,
    };

    if (line->time_us < query->since_us || !is(query->topic, name(d, line->topic)) ||
        !is(query->group, name(d, line->group)))
        return;
    if (query->id != NULL && !range && event == NULL && (d->wanted == 0 || d->wanted != line->hash))
        return;
    if (query->source != NULL && !range && line->hash != d->wanted && !is(query->source, source))
        return;
    told.topic = keep(r, name(d, line->topic));
    told.group = keep(r, name(d, line->group));
    told.partition = keep(r, name(d, line->partition));
    told.who = keep(r, name(d, line->who));
    told.words = keep(r, name(d, line->words));
    told.source = keep(r, source != NULL ? source : d->wanted != 0 ? query->source : NULL);
    told.id = keep(r, event != NULL ? event->id : query->id != NULL && !range ? query->id : NULL);
    g_array_append_val(r->told, told);
    if (r->told->len >= 4 * EMESH_TOLD_MOST)
        emesh_reading_trim(r, query->last);
}

static bool
is_empty(const uint8_t *line)
{
    for (uint32_t i = 0; i < EMESH_LINE; i++)
        if (line[i] != 0)
            return false;
    return true;
}

void
emesh_reading_block(emesh_reading *r, const emesh_journal_query *query, const uint8_t *block,
                    size_t n)
{
    uint64_t number = n >= EMESH_LINE ? emesh_block_number(block) : 0;
    uint32_t lines = (uint32_t)(MIN(n, EMESH_BLOCK_BYTES) / EMESH_LINE);
    g_autofree dict *d = NULL;

    if (number == 0) {
        r->damaged += lines > 0 && !is_empty(block);
        return;
    }
    d = g_new0(dict, 1);
    d->events = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    d->texts = g_string_chunk_new(4096);
    if (query->id != NULL && query->source != NULL)
        d->wanted =
            emesh_event_hash_of(query->source, strlen(query->source), query->id, strlen(query->id));
    for (uint32_t i = 1; i < lines; i++) {
        emesh_line line;
        if (!emesh_line_read(block + (size_t)i * EMESH_LINE, &line, i, number)) {
            /* of the lap before, empty, or torn: the last cannot be told from the first */
            continue;
        }
        r->lines++;
        if (line.kind == EMESH_LINE_NAME || line.kind == EMESH_LINE_EVENT)
            take_text(d, query, &line);
        else if (line.kind == EMESH_LINE_RESUMED)
            dict_reset(d);
        if (line.kind != EMESH_LINE_DECISION && line.kind != EMESH_LINE_RANGE)
            continue;
        if (r->oldest_us == 0 || line.time_us < r->oldest_us)
            r->oldest_us = line.time_us;
        take_decision(r, d, query, &line, number << 12 | i);
    }
    g_hash_table_unref(d->events);
    g_string_chunk_free(d->texts);
}

emesh_reading *
emesh_reading_new(void)
{
    emesh_reading *r = g_new0(emesh_reading, 1);

    r->told = g_array_new(FALSE, FALSE, sizeof(emesh_told));
    r->texts = g_string_chunk_new(4096);
    return r;
}

void
emesh_reading_free(emesh_reading *r)
{
    if (r == NULL)
        return;
    g_array_unref(r->told);
    g_string_chunk_free(r->texts);
    g_free(r);
}

static int
by_time(const void *a, const void *b)
{
    const emesh_told *x = a, *y = b;

    if (x->time_us != y->time_us)
        return x->time_us < y->time_us ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

void
emesh_reading_trim(emesh_reading *r, uint32_t most)
{
    if (most == 0 || most > EMESH_TOLD_MOST)
        most = EMESH_TOLD_MOST;
    g_array_sort(r->told, by_time);
    if (r->told->len > most) {
        g_array_remove_range(r->told, 0, r->told->len - most);
        r->more = true;
    }
}

emesh_reading *
emesh_journal_read(const char *path, const emesh_journal_query *query, GError **error)
{
    g_autofree uint8_t *block = g_malloc(EMESH_BLOCK_BYTES);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    emesh_reading *r;
    off_t at = EMESH_RING_HEAD;
    ssize_t got;

    if (fd < 0) {
        g_set_error(error, G_FILE_ERROR, 0, "cannot read the journal %s: %s", path,
                    g_strerror(errno));
        return NULL;
    }
    r = emesh_reading_new();
    while ((got = pread(fd, block, EMESH_BLOCK_BYTES, at)) > 0) {
        emesh_reading_block(r, query, block, (size_t)got);
        at += EMESH_BLOCK_BYTES;
    }
    close(fd);
    emesh_reading_trim(r, query->last);
    return r;
}
