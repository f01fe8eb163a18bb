/* SPDX-License-Identifier: Apache-2.0
 *
 * A lane's notes: decisions become lines, names they use are told before them in the same block.
 * [lane]
 */
#include "journal/private.h"

#include <string.h>

#define BUFFER 256u /* lines */
#define MOST 48u    /* lines of one note: six names, an id, itself */
#define TOLD 512u   /* events whose id was told in this block, by hash */

#define NAME_MAX_BYTES 249u
#define WHO_MAX 120u
#define WORDS_MAX 120u
#define SOURCE_MAX 200u
#define ID_MAX 160u

struct emesh_notes {
    struct emesh_notes_head head; /* first */
    emesh_journal *journal;
    emesh_worker *worker;
    emesh_phased item;
    emesh_block block; /* number 0: none yet */
    uint8_t *lines;    /* BUFFER lines; made with the first */
    GHashTable *names; /* text → number, of this block */
    uint64_t told[TOLD];
    uint16_t n_names;
};

static void
flush_item(emesh_phased *item)
{
    emesh_notes_flush((emesh_notes *)((char *)item - offsetof(emesh_notes, item)));
}

emesh_notes *
emesh_notes_new(emesh_journal *journal, emesh_worker *worker)
{
    emesh_notes *notes = g_new0(emesh_notes, 1);

    notes->journal = journal;
    notes->worker = worker;
    notes->item.run = flush_item;
    notes->head.mask = journal != NULL && journal->sample != 0 ? journal->sample - 1 : UINT64_MAX;
    return notes;
}

static void
leave_block(emesh_notes *notes)
{
    if (notes->block.number != 0)
        emesh_ring_leave(notes->journal->ring, &notes->block);
    notes->block.number = 0;
}

void
emesh_notes_free(emesh_notes *notes)
{
    if (notes == NULL)
        return;
    emesh_notes_flush(notes);
    leave_block(notes);
    if (notes->names != NULL)
        g_hash_table_unref(notes->names);
    g_free(notes->lines);
    g_free(notes);
}

void
emesh_notes_write(emesh_notes *notes)
{
    emesh_journal *journal = notes->journal;
    uint32_t n = notes->head.n;

    notes->head.n = 0;
    if (n == 0)
        return;
    if (emesh_ring_write(journal->ring, &notes->block, notes->lines, n)) {
        emesh_journal_wrote(journal, n);
        return;
    }
    emesh_journal_lost(journal, n, errno);
    leave_block(notes); /* names told in it may be missing */
}

/* A block with room for one note, whatever it takes. */
static bool
room(emesh_notes *notes)
{
    if (notes->lines == NULL) {
        notes->lines = g_malloc((size_t)BUFFER * EMESH_LINE);
        notes->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    if (notes->head.n + MOST > BUFFER)
        emesh_notes_write(notes);
    if (notes->block.number != 0 && notes->block.used + notes->head.n + MOST <= EMESH_BLOCK_LINES)
        return true;
    emesh_notes_flush(notes);
    leave_block(notes);
    g_hash_table_remove_all(notes->names);
    memset(notes->told, 0, sizeof notes->told);
    notes->n_names = 0;
    if (emesh_ring_take(notes->journal->ring, &notes->block))
        return true;
    notes->block.number = 0;
    emesh_journal_lost(notes->journal, 1, errno);
    return false;
}

static void
put(emesh_notes *notes, const emesh_line *line)
{
    emesh_line_pack(notes->lines + (size_t)notes->head.n * EMESH_LINE, line,
                    notes->block.used + notes->head.n, notes->block.number);
    notes->head.n++;
}

/* Lines of a text, as many as it needs up to max bytes. */
static void
put_text(emesh_notes *notes, emesh_line *line, const char *text, size_t len, size_t max)
{
    line->cut = len > max;
    line->total = (uint16_t)MIN(len, max);
    do {
        line->n = (uint8_t)MIN((uint32_t)(line->total - line->at), EMESH_TEXT);
        memcpy(line->text, text + line->at, line->n);
        put(notes, line);
        line->at = (uint16_t)(line->at + line->n);
    } while (line->at < line->total);
}

static uint16_t
name(emesh_notes *notes, const char *text, size_t len, size_t max)
{
    emesh_line line = { .kind = EMESH_LINE_NAME };
    g_autofree char *key = NULL;
    uint16_t number;

    if (text == NULL || len == 0)
        return 0;
    key = g_strndup(text, len);
    number = (uint16_t)GPOINTER_TO_UINT(g_hash_table_lookup(notes->names, key));
    if (number != 0)
        return number;
    number = ++notes->n_names;
    line.key = number;
    put_text(notes, &line, text, len, max);
    g_hash_table_insert(notes->names, g_steal_pointer(&key), GUINT_TO_POINTER(number));
    return number;
}

static uint16_t
name_text(emesh_notes *notes, const char *text, size_t max)
{
    return text != NULL ? name(notes, text, strlen(text), max) : 0;
}

/* Which event it is about, unless this block knows. */
static uint64_t
tell_event(emesh_notes *notes, const emesh_event *event)
{
    const emesh_attr *attrs = emesh_event_peek(event)->attrs; /* id, source */
    uint64_t hash = emesh_event_hash(event);
    uint64_t *told = &notes->told[hash % 0x1ffffu % TOLD];
    emesh_line line = { .kind = EMESH_LINE_EVENT, .key = hash };

    if (*told == hash)
        return hash;
    *told = hash;
    line.source = name(notes, attrs[1].value, attrs[1].value_len, SOURCE_MAX);
    put_text(notes, &line, attrs[0].value, attrs[0].value_len, ID_MAX);
    return hash;
}

void
emesh_note_down(emesh_notes *notes, const emesh_note *note)
{
    emesh_line line = {
        .kind = note->range ? EMESH_LINE_RANGE : EMESH_LINE_DECISION,
        .time_us = (uint64_t)g_get_real_time(),
        .code = (uint16_t)note->code,
        .level = note->level,
        .attempt = note->attempt,
        .position = note->position,
        .first = note->first,
        .more = note->more,
    };

    if (notes == NULL || notes->journal == NULL || !room(notes))
        return;
    line.topic = name_text(notes, note->topic, NAME_MAX_BYTES);
    line.group = name_text(notes, note->group, NAME_MAX_BYTES);
    line.partition = name_text(notes, note->partition, NAME_MAX_BYTES);
    line.who = name_text(notes, note->who, WHO_MAX);
    line.words = name_text(notes, note->words, WORDS_MAX);
    if (note->event != NULL)
        line.hash = tell_event(notes, note->event);
    put(notes, &line);
    emesh_worker_phase(notes->worker, EMESH_PHASE_APPEND, &notes->item);
}
