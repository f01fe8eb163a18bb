/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of storage-shaped: one line for each thing that happened, events as hexadecimal image and
 * data. It is read once at start, and then only written, each line before its result is told.
 *
 *   T topic partitions    E topic partition position ms image data    H topic partition position
 *   P group topic partition floor    D group topic partition position    G group topic   F group topic
 *   X topic
 */
#include "shaped.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- topics and groups in memory ---- */

static void
record_clear(void *data)
{
    shaped_record *r = data;

    g_free(r->key);
}

shaped_topic *
shaped_topic_get(shaped *s, const char *name)
{
    return g_hash_table_lookup(s->topics, name);
}

static shaped_topic *
topic_new(shaped *s, const char *name, uint32_t partitions)
{
    shaped_topic *topic = g_new0(shaped_topic, 1);

    topic->name = g_strdup(name);
    topic->partitions = CLAMP(partitions, 1u, SHAPED_MOST_PARTITIONS);
    topic->groups = g_ptr_array_new();
    for (uint32_t i = 0; i < topic->partitions; i++) {
        topic->records[i] = g_array_new(FALSE, FALSE, sizeof(shaped_record));
        g_array_set_clear_func(topic->records[i], record_clear);
        topic->next[i] = 1;
    }
    g_hash_table_insert(s->topics, topic->name, topic);
    return topic;
}

static void
place_clear(shaped_place *place)
{
    if (place->done != NULL)
        g_hash_table_unref(place->done);
    *place = (shaped_place){ 0 };
}

static void
group_free(shaped_group *group)
{
    for (uint32_t i = 0; i < SHAPED_MOST_PARTITIONS; i++)
        place_clear(&group->places[i]);
    g_free(group->name);
    g_free(group);
}

static void
topic_free(shaped *s, shaped_topic *topic)
{
    for (uint32_t i = 0; i < topic->partitions; i++) {
        for (guint k = 0; k < topic->records[i]->len; k++) {
            const emesh_event *event = g_array_index(topic->records[i], shaped_record, k).event;
            s->events->unref(&event, 1);
        }
        g_array_unref(topic->records[i]);
    }
    for (guint i = 0; i < topic->groups->len; i++)
        group_free(topic->groups->pdata[i]);
    g_ptr_array_unref(topic->groups);
    g_free(topic->name);
    g_free(topic);
}

shaped_group *
shaped_group_get(shaped_topic *topic, const char *name)
{
    for (guint i = 0; i < topic->groups->len; i++)
        if (strcmp(((shaped_group *)topic->groups->pdata[i])->name, name) == 0)
            return topic->groups->pdata[i];
    return NULL;
}

static shaped_group *
group_new(shaped_topic *topic, const char *name)
{
    shaped_group *group = shaped_group_get(topic, name);

    if (group != NULL)
        return group;
    group = g_new0(shaped_group, 1);
    group->name = g_strdup(name);
    g_ptr_array_add(topic->groups, group);
    return group;
}

static void
group_drop(shaped_topic *topic, const char *name)
{
    shaped_group *group = shaped_group_get(topic, name);

    if (group == NULL)
        return;
    g_ptr_array_remove(topic->groups, group);
    group_free(group);
}

/* ---- lines ---- */

static void
hex(GString *out, const void *data, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++) {
        g_string_append_c(out, digits[p[i] >> 4]);
        g_string_append_c(out, digits[p[i] & 15]);
    }
}

static GByteArray *
unhex(const char *text)
{
    GByteArray *out = g_byte_array_new();

    for (; text[0] != '\0' && text[1] != '\0'; text += 2) {
        uint8_t byte = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
        g_byte_array_append(out, &byte, 1);
    }
    return out;
}

static void G_GNUC_PRINTF(2, 3)
line(shaped *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(s->log, format, args);
    va_end(args);
    fputc('\n', s->log);
}

static void
event_line(shaped *s, const shaped_topic *topic, uint32_t partition, const shaped_record *r)
{
    g_autoptr(GString) image = g_string_new(NULL), data = g_string_new("-");
    emesh_event_view view = { .size = sizeof view };
    emesh_part part = { 0 };

    s->events->encode(s->host, EMESH_FORM_IMAGE, &r->event, 1, &part);
    s->events->view(r->event, &view);
    hex(image, part.ptr, part.len);
    for (uint32_t i = 0; i < view.n_data; i++)
        hex(data, view.data[i].ptr, view.data[i].len);
    line(s, "E %s %u %" PRIu64 " %" PRIu64 " %s %s", topic->name, partition, r->at, r->stored_ms,
         image->str, data->str);
}

static char *
key_of(shaped *s, const emesh_event *event)
{
    emesh_event_view view = { .size = sizeof view };

    s->events->view(event, &view);
    for (uint32_t i = 0; i < view.n_attrs; i++)
        if (view.attrs[i].name_len == 12 && memcmp(view.attrs[i].name, "partitionkey", 12) == 0)
            return g_strndup(view.attrs[i].value, view.attrs[i].value_len);
    return NULL;
}

/* ---- what happens ---- */

shaped_topic *
shaped_topic_make(shaped *s, const char *name, uint32_t partitions)
{
    shaped_topic *topic = topic_new(s, name, partitions);

    line(s, "T %s %u", name, topic->partitions);
    fflush(s->log);
    return topic;
}

void
shaped_topic_delete(shaped *s, shaped_topic *topic)
{
    line(s, "X %s", topic->name);
    fflush(s->log);
    g_hash_table_remove(s->topics, topic->name);
    topic_free(s, topic);
}

static void
hole(shaped *s, shaped_topic *topic, uint32_t partition)
{
    shaped_record r = { .at = topic->next[partition]++ };

    g_array_append_val(topic->records[partition], r);
    line(s, "H %s %u %" PRIu64, topic->name, partition, r.at);
}

static bool
turn(int64_t each, uint64_t n)
{
    return each > 0 && n % (uint64_t)each == 0;
}

uint64_t
shaped_add(shaped *s, shaped_topic *topic, uint32_t partition, const emesh_event *event)
{
    uint64_t n = ++s->appends;
    shaped_record r = { .stored_ms = (uint64_t)g_get_real_time() / 1000u,
                        .event = s->events->ref(event),
                        .key = key_of(s, event) };

    if (turn(s->aborts, n)) /* a transaction that did not come to its end, and its mark */
        for (uint32_t i = 0; i < 3; i++)
            hole(s, topic, partition);
    if (turn(s->gap, n))
        topic->next[partition] += 5;
    r.at = topic->next[partition]++;
    g_array_append_val(topic->records[partition], r);
    event_line(s, topic, partition, &r);
    if (turn(s->marks, n))
        hole(s, topic, partition);
    fflush(s->log);
    return r.at;
}

guint
shaped_after(const shaped_topic *topic, uint32_t partition, uint64_t floor)
{
    const GArray *records = topic->records[partition];
    guint low = 0, high = records->len;

    while (low < high) {
        guint middle = (low + high) / 2;
        if (g_array_index(records, shaped_record, middle).at <= floor)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

guint
shaped_first(const shaped_topic *topic, uint32_t partition, const emesh_start *start)
{
    const GArray *records = topic->records[partition];
    guint at = 0;

    switch (start->kind) {
    case EMESH_START_EARLIEST:
        return 0;
    case EMESH_START_AFTER:
        return shaped_after(topic, partition, start->position.lo);
    case EMESH_START_TIME:
        while (at < records->len && (g_array_index(records, shaped_record, at).event == NULL ||
                                     g_array_index(records, shaped_record, at).stored_ms <
                                         start->time_ms))
            at++;
        return at;
    default:
        return records->len;
    }
}

static void
set_floor(shaped *s, shaped_topic *topic, shaped_group *group, uint32_t partition, uint64_t floor)
{
    place_clear(&group->places[partition]);
    group->places[partition].floor = floor;
    line(s, "P %s %s %u %" PRIu64, group->name, topic->name, partition, floor);
}

void
shaped_group_seek(shaped *s, shaped_topic *topic, shaped_group *group, uint32_t partition,
                  const emesh_start *start)
{
    guint first = shaped_first(topic, partition, start);

    set_floor(s, topic, group, partition,
              first > 0 ? g_array_index(topic->records[partition], shaped_record, first - 1).at
                        : 0);
    fflush(s->log);
}

shaped_group *
shaped_group_make(shaped *s, shaped_topic *topic, const char *name, const emesh_start *start)
{
    shaped_group *group = shaped_group_get(topic, name);
    emesh_start from = *start;

    if (group != NULL)
        return group;
    group = group_new(topic, name);
    line(s, "G %s %s", name, topic->name);
    if (from.kind == EMESH_START_STORED)
        from.kind = EMESH_START_LATEST;
    for (uint32_t i = 0; i < topic->partitions; i++)
        shaped_group_seek(s, topic, group, i, &from);
    return group;
}

void
shaped_group_forget(shaped *s, shaped_topic *topic, const char *name)
{
    group_drop(topic, name);
    line(s, "F %s %s", name, topic->name);
    fflush(s->log);
}

static gboolean
is_below(void *key, void *value, void *floor)
{
    (void)value;
    return *(uint64_t *)key <= *(uint64_t *)floor;
}

static void
settle_one(shaped_place *place, uint64_t at)
{
    if (place->done == NULL)
        place->done = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    g_hash_table_add(place->done, g_memdup2(&at, sizeof at));
}

void
shaped_commit(shaped *s, shaped_topic *topic, shaped_group *group, const emesh_commit *commit)
{
    shaped_place *place = &group->places[commit->partition];
    uint64_t at = commit->position.lo;

    if (commit->outcome == EMESH_COMMIT_UP_TO && at > place->floor) {
        place->floor = at;
        if (place->done != NULL)
            g_hash_table_foreach_remove(place->done, is_below, &at);
        line(s, "P %s %s %u %" PRIu64, group->name, topic->name, commit->partition, at);
    } else if (commit->outcome == EMESH_COMMIT_ONE && shaped_can(s, EMESH_STORE_CAN_ACK_EACH)) {
        settle_one(place, at);
        line(s, "D %s %s %u %" PRIu64, group->name, topic->name, commit->partition, at);
    }
    fflush(s->log);
}

/* ---- reading the file ---- */

static void
load_event(shaped *s, shaped_topic *topic, uint32_t partition, char **w)
{
    g_autoptr(GByteArray) image = unhex(w[5]), data = unhex(w[6] + 1);
    shaped_record r = { .at = g_ascii_strtoull(w[3], NULL, 10),
                        .stored_ms = g_ascii_strtoull(w[4], NULL, 10) };
    emesh_part parts[2] = { { .ptr = image->data, .len = image->len },
                            { .ptr = data->data, .len = data->len } };
    uint32_t n = 0;

    if (s->events->decode(s->host, EMESH_FORM_IMAGE, parts, 2, &r.event, 1, &n, NULL) != EMESH_OK)
        g_error("storage-shaped: an event of %s cannot be read back", topic->name);
    r.key = key_of(s, r.event);
    g_array_append_val(topic->records[partition], r);
    topic->next[partition] = r.at + 1;
}

static void
load_place(shaped_topic *topic, char **w)
{
    shaped_group *group = group_new(topic, w[1]);
    uint32_t partition = (uint32_t)atoi(w[3]);
    uint64_t at = g_ascii_strtoull(w[4], NULL, 10);

    if (w[0][0] == 'D') {
        settle_one(&group->places[partition], at);
    } else { /* also back: a seek */
        if (at < group->places[partition].floor)
            place_clear(&group->places[partition]);
        group->places[partition].floor = at;
    }
}

static void
load_line(shaped *s, const char *text)
{
    g_auto(GStrv) w = g_strsplit(text, " ", 0);
    const char *kind = w[0];
    shaped_topic *topic;

    if (kind == NULL || g_strv_length(w) < 2)
        return;
    topic = shaped_topic_get(s, strchr("PDGF", kind[0]) != NULL ? w[2] : w[1]);
    if (kind[0] == 'T')
        topic_new(s, w[1], (uint32_t)atoi(w[2]));
    else if (topic == NULL)
        return;
    else if (kind[0] == 'X') {
        g_hash_table_remove(s->topics, topic->name);
        topic_free(s, topic);
    } else if (kind[0] == 'E') {
        load_event(s, topic, (uint32_t)atoi(w[2]), w);
    } else if (kind[0] == 'H') {
        shaped_record r = { .at = g_ascii_strtoull(w[3], NULL, 10) };
        g_array_append_val(topic->records[atoi(w[2])], r);
        topic->next[atoi(w[2])] = r.at + 1;
    } else if (kind[0] == 'G') {
        group_new(topic, w[1]);
    } else if (kind[0] == 'F') {
        group_drop(topic, w[1]);
    } else {
        load_place(topic, w);
    }
}

/* Of each key the last event stays; aborted records and marks are gone, but for the very end. */
static void
compact(shaped *s, shaped_topic *topic, uint32_t partition)
{
    GArray *records = topic->records[partition];
    g_autoptr(GHashTable) later = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = records->len; i-- > 0;) {
        shaped_record *r = &g_array_index(records, shaped_record, i);
        bool goes = r->event == NULL ? i + 1 < records->len
                                     : r->key != NULL && g_hash_table_contains(later, r->key);
        if (!goes) {
            if (r->key != NULL)
                g_hash_table_add(later, g_strdup(r->key));
            continue;
        }
        if (r->event != NULL)
            s->events->unref(&r->event, 1);
        g_array_remove_index(records, i);
    }
}

bool
shaped_load(shaped *s)
{
    g_autofree char *path = g_build_filename(s->folder, "shaped.log", NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    GHashTableIter iter;
    void *topic;
    gsize len = 0;

    s->topics = g_hash_table_new(g_str_hash, g_str_equal);
    g_mkdir_with_parents(s->folder, 0700);
    if (g_file_get_contents(path, &text, &len, NULL)) {
        char *end = strrchr(text, '\n');
        if (end != NULL && truncate(path, end + 1 - text) != 0)
            return false; /* half a line was no result yet */
        if (end != NULL)
            end[1] = '\0';
        lines = g_strsplit(end != NULL ? text : "", "\n", 0);
        for (uint32_t i = 0; lines[i] != NULL; i++)
            load_line(s, lines[i]);
    }
    g_hash_table_iter_init(&iter, s->topics);
    while (s->compact && g_hash_table_iter_next(&iter, NULL, &topic))
        for (uint32_t i = 0; i < ((shaped_topic *)topic)->partitions; i++)
            compact(s, topic, i);
    s->log = fopen(path, "a");
    return s->log != NULL;
}

void
shaped_unload(shaped *s)
{
    GHashTableIter iter;
    void *topic;

    if (s->topics == NULL)
        return;
    g_hash_table_iter_init(&iter, s->topics);
    while (g_hash_table_iter_next(&iter, NULL, &topic))
        topic_free(s, topic);
    g_hash_table_unref(s->topics);
    s->topics = NULL;
    if (s->log != NULL)
        fclose(s->log);
    s->log = NULL;
}

/* ---- switches ---- */

shaped_switches
shaped_switches_read(const shaped *s)
{
    g_autofree char *path = g_build_filename(s->folder, "switches", NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    shaped_switches out = { 0 };

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return out;
    lines = g_strsplit(text, "\n", 0);
    for (uint32_t i = 0; lines[i] != NULL; i++) {
        if (g_str_has_prefix(lines[i], "fail "))
            out.fail = g_strdup(lines[i] + 5);
        else if (g_str_has_prefix(lines[i], "lose "))
            out.lose = g_strdup(lines[i] + 5);
        else if (g_str_has_prefix(lines[i], "deny "))
            out.deny = g_strdup(lines[i] + 5);
        else if (g_str_has_prefix(lines[i], "revoke "))
            out.revoke = g_strdup(lines[i] + 7);
        else if (g_str_has_prefix(lines[i], "slow "))
            out.slow_ms = g_ascii_strtoull(lines[i] + 5, NULL, 10);
    }
    return out;
}

void
shaped_switches_clear(shaped_switches *sw)
{
    g_free(sw->fail);
    g_free(sw->lose);
    g_free(sw->deny);
    g_free(sw->revoke);
    *sw = (shaped_switches){ 0 };
}
