/* SPDX-License-Identifier: Apache-2.0
 *
 * stats: what lies in a store. Closed segments tell by their directories, without their records being
 * read; what is not closed is scanned.
 */
#include "hold.h"
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct segment_sum { /* one file */
    tool *t;
    tool_file *f;
    uint64_t records, live;
} segment_sum;

/* Events of a run that retention has left. */
static void
count_run(segment_sum *sum, const sa_entry *e)
{
    tool_part *part = tool_names_part(&sum->t->names, e->partition);
    if (e->partition == 0 || e->last < part->first
        || (part->topic != NULL && part->topic->deleted))
        return;
    uint64_t from = MAX(e->base, part->first), n = e->last - from + 1;
    uint64_t bytes = n == e->count ? e->bytes : (uint64_t)((double)e->bytes * (double)n / e->count);
    part->lowest = part->events == 0 ? from : MIN(part->lowest, from);
    part->events += n;
    part->bytes += bytes;
    part->oldest_us = part->oldest_us == 0 ? e->min_us : MIN(part->oldest_us, e->min_us);
    part->newest_us = MAX(part->newest_us, e->max_us);
    part->last_end = MAX(part->last_end, e->last + 1);
    sum->live += bytes;
}

static bool
count_record(void *ctx, const sa_found *found)
{
    segment_sum *sum = ctx;
    const sa_rec_head *head = &found->head;
    if (!found->whole)
        return true;
    sum->records++;
    if (head->type != SA_EVENT || head->offset < tool_names_part(&sum->t->names,
                                                                 head->partition)->last_end)
        return true; /* a copy that recovery made, too */
    sa_entry one = { .partition = head->partition, .count = 1, .base = head->offset,
                     .last = head->offset, .min_us = head->time_us, .max_us = head->time_us,
                     .bytes = found->size };
    count_run(sum, &one);
    return true;
}

/* Live held events belong to the file that has them. */
static void
count_held(tool *t)
{
    for (guint i = 0; t->index.holds != NULL && i < t->index.holds->len; i++) {
        const sa_hold_row_value *row = &g_array_index(t->index.holds, sa_hold_row_value, i);
        tool_file *f = tool_file_at(t, row->lsn);
        if (f != NULL)
            f->held += row->size;
    }
}

static const char *
state_of(const tool_file *f)
{
    if (f->gone)
        return "gone";
    if (f->unused)
        return "unused";
    if (f->sealed)
        return f->inputs != NULL ? "cleaned" : "sealed";
    return f->empty ? "prepared" : "active";
}

/* Counts one file; its row goes into the table. */
static int
count_file(tool *t, tool_file *f, GPtrArray *cells)
{
    segment_sum sum = { .t = t, .f = f };
    uint32_t n = 0;
    g_autofree sa_entry *dir = tool_dir_load(t, f, &n);
    sa_scan scan;
    for (uint32_t i = 0; i < n; i++) {
        sum.records += dir[i].count;
        if (!f->unused)
            count_run(&sum, &dir[i]);
    }
    int rc = dir == NULL && !f->unused ? tool_scan(t, f, &scan, count_record, &sum) : 0;
    if (rc < 0)
        return t->failed != 0 ? t->failed : tool_say("%s/log/%s could not be read: %s", t->path,
                                                     f->name, g_strerror(-rc));
    uint64_t bytes = f->end > f->base + SA_SEGMENT_HEAD ? f->end - f->base - SA_SEGMENT_HEAD : 0;
    uint64_t live = sum.live + f->held;
    guint share = bytes > 0 ? (guint)(100.0 * (double)MIN(live, bytes) / (double)bytes) : 0;
    if (t->opt.json) {
        GString *row = tool_row("segment");
        tool_row_text(row, "file", f->name);
        tool_row_text(row, "state", state_of(f));
        tool_row_count(row, "base", f->base);
        tool_row_count(row, "end", f->end);
        tool_row_count(row, "size", f->size);
        tool_row_count(row, "records", sum.records);
        tool_row_count(row, "bytes", bytes);
        tool_row_count(row, "live_bytes", live);
        if (f->state == SA_HEAD_OK)
            tool_row_time(row, "created", f->head.created);
        tool_row_end(t, row);
        return 0;
    }
    g_ptr_array_add(cells, g_strdup(f->name));
    g_ptr_array_add(cells, g_strdup(state_of(f)));
    g_ptr_array_add(cells, tool_size_text(f->size));
    g_ptr_array_add(cells, tool_count_text(sum.records));
    g_ptr_array_add(cells, bytes > 0 ? g_strdup_printf("%u %%", share) : g_strdup(""));
    g_ptr_array_add(cells, f->state == SA_HEAD_OK ? tool_time_text(f->head.created)
                                                  : g_strdup("header unreadable"));
    return 0;
}

static void
tell_topics(tool *t, GPtrArray *cells)
{
    g_autoptr(GPtrArray) parts = tool_names_parts(&t->names);
    for (guint i = 0; i < parts->len; i++) {
        const tool_part *p = parts->pdata[i];
        if (p->id == 0 || (p->topic != NULL && p->topic->deleted)
            || (p->topic == NULL && p->events == 0))
            continue;
        uint64_t next = MAX(p->next, p->last_end), first = p->events > 0 ? p->lowest : p->first;
        g_autofree char *lost = g_strdup_printf("(partition id %u)", p->id);
        const char *name = p->topic != NULL ? p->topic->name : lost;
        if (t->opt.json) {
            GString *row = tool_row("partition");
            tool_row_text(row, "topic", p->topic != NULL ? p->topic->name : NULL);
            tool_row_count(row, "partition", p->number);
            tool_row_count(row, "partition_id", p->id);
            tool_row_count(row, "events", p->events);
            tool_row_count(row, "first", first);
            tool_row_count(row, "next", next);
            tool_row_count(row, "bytes", p->bytes);
            tool_row_time(row, "oldest", p->oldest_us);
            tool_row_time(row, "newest", p->newest_us);
            tool_row_end(t, row);
            continue;
        }
        g_ptr_array_add(cells, g_strdup(name));
        g_ptr_array_add(cells, g_strdup_printf("%u", p->number));
        g_ptr_array_add(cells, tool_count_text(p->events));
        g_ptr_array_add(cells, g_strdup_printf("%" G_GUINT64_FORMAT, first));
        g_ptr_array_add(cells, g_strdup_printf("%" G_GUINT64_FORMAT, next));
        g_ptr_array_add(cells, tool_size_text(p->bytes));
        g_ptr_array_add(cells, p->oldest_us ? tool_time_text(p->oldest_us) : g_strdup(""));
        g_ptr_array_add(cells, p->newest_us ? tool_time_text(p->newest_us) : g_strdup(""));
    }
}

typedef struct place_sum { /* what is above a floor */
    uint64_t acked, tried;
} place_sum;

static void
tell_group(tool *t, const tool_place *place, GPtrArray *cells)
{
    const tool_part *part = tool_names_find(&t->names, place->partition);
    const char *group = tool_names_group(&t->names, place->group);
    const sa_ranges *ranges = &place->pair.more->ranges;
    place_sum sum = { 0 };
    for (uint32_t i = 0; i < ranges->n; i++) {
        sum.acked += ranges->at[i].state == SA_RANGE_ACKED ? ranges->at[i].count : 0;
        sum.tried += ranges->at[i].state == SA_RANGE_TRIED ? ranges->at[i].count : 0;
    }
    if (part == NULL || part->topic == NULL || group == NULL || part->topic->deleted)
        return; /* deleted; its row goes with the next checkpoint */
    uint64_t next = MAX(part->next, part->last_end);
    if (t->opt.json) {
        GString *row = tool_row("group");
        tool_row_text(row, "group", group);
        tool_row_text(row, "topic", part->topic->name);
        tool_row_count(row, "partition", part->number);
        tool_row_count(row, "floor", place->pair.floor);
        tool_row_count(row, "next", next);
        tool_row_count(row, "ranges", ranges->n);
        tool_row_count(row, "acknowledged_above", sum.acked);
        tool_row_count(row, "tried", sum.tried);
        tool_row_count(row, "epoch", place->pair.epoch);
        tool_row_end(t, row);
        return;
    }
    g_ptr_array_add(cells, g_strdup(group));
    g_ptr_array_add(cells, g_strdup(part->topic->name));
    g_ptr_array_add(cells, g_strdup_printf("%u", part->number));
    g_ptr_array_add(cells, g_strdup_printf("%" G_GUINT64_FORMAT, place->pair.floor));
    g_ptr_array_add(cells, g_strdup_printf("%" G_GUINT64_FORMAT, next));
    g_ptr_array_add(cells, tool_count_text(ranges->n));
    g_ptr_array_add(cells, tool_count_text(sum.acked));
    g_ptr_array_add(cells, tool_count_text(sum.tried));
}

static void
tell_groups(tool *t, GPtrArray *cells)
{
    g_autoptr(GPtrArray) list = tool_places_list(t);
    for (guint i = 0; i < list->len; i++)
        tell_group(t, list->pdata[i], cells);
}

/* Held events by topic and group. Rows are sorted by (group, topic, due). */
static void
tell_holds(tool *t, GPtrArray *cells)
{
    const GArray *holds = t->index.holds;
    for (guint i = 0, k; holds != NULL && i < holds->len; i = k) {
        const sa_hold_row_value *row = &g_array_index(holds, sa_hold_row_value, i);
        uint64_t bytes = 0;
        for (k = i; k < holds->len; k++) {
            const sa_hold_row_value *other = &g_array_index(holds, sa_hold_row_value, k);
            if (other->group != row->group || other->partition != row->partition)
                break;
            bytes += other->size;
        }
        const tool_part *part = tool_names_find(&t->names, row->partition);
        const char *group = row->kind == SA_HOLD_INBOX ? tool_names_group(&t->names, row->group)
                                                       : NULL;
        const char *topic = part != NULL && part->topic != NULL ? part->topic->name : "?";
        if (t->opt.json) {
            GString *json = tool_row("held");
            tool_row_text(json, "topic", topic);
            tool_row_text(json, "group", group);
            tool_row_count(json, "events", k - i);
            tool_row_count(json, "bytes", bytes);
            tool_row_time(json, "next_due", row->due);
            tool_row_end(t, json);
            continue;
        }
        g_ptr_array_add(cells, g_strdup(topic));
        g_ptr_array_add(cells, g_strdup(group != NULL ? group : ""));
        g_ptr_array_add(cells, tool_count_text(k - i));
        g_ptr_array_add(cells, tool_size_text(bytes));
        g_ptr_array_add(cells, tool_time_text(row->due));
    }
}

guint
tool_quarantine(tool *t, GPtrArray *cells)
{
    int fd = openat(t->dir, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    guint n = 0;
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        struct stat st;
        g_autofree char *name = tool_clean(entry->d_name, strlen(entry->d_name));
        if (entry->d_name[0] == '.' || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        n++;
        if (t->opt.json) {
            GString *row = tool_row("quarantine");
            tool_row_text(row, "file", name);
            tool_row_count(row, "size", (uint64_t)st.st_size);
            tool_row_end(t, row);
            continue;
        }
        g_ptr_array_add(cells, g_strdup(name));
        g_ptr_array_add(cells, tool_size_text((uint64_t)st.st_size));
    }
    if (dir != NULL)
        closedir(dir);
    return n;
}

static void
tell_store(tool *t)
{
    struct stat st;
    uint64_t reserve = fstatat(t->dir, "reserve", &st, 0) == 0 ? (uint64_t)st.st_size : 0, size = 0;
    char id[33];
    for (int i = 0; i < 16; i++)
        g_snprintf(id + 2 * i, 3, "%02x", t->id[i]);
    for (guint i = 0; i < t->files->len; i++)
        size += ((const tool_file *)t->files->pdata[i])->size;
    const char *index = t->live ? "in use, not read" : !t->index.there ? "none"
                        : !t->index.good || t->index.bad->len > 0 ? "damaged" : "good";
    if (t->opt.json) {
        GString *row = tool_row("store");
        tool_row_text(row, "folder", t->path);
        tool_row_flag(row, "in_use", t->live);
        g_autofree char *format = g_strdup_printf("%u.%u", SA_MAJOR, t->minor);
        tool_row_text(row, "format", format);
        tool_row_text(row, "id", id);
        tool_row_count(row, "files", t->files->len);
        tool_row_count(row, "size", size);
        tool_row_count(row, "durable", t->durable);
        tool_row_text(row, "index", index);
        if (t->index.have_meta) {
            tool_row_count(row, "applied", t->index.meta.applied);
            tool_row_count(row, "epoch", t->index.meta.epoch);
            tool_row_flag(row, "clean", t->index.meta.clean != 0);
        }
        tool_row_count(row, "reserve", reserve);
        tool_row_end(t, row);
        return;
    }
    g_autofree char *text = tool_size_text(size);
    g_autofree char *kept = tool_size_text(reserve);
    fprintf(t->out, "folder   %s (%s)\nstore    %s, format %u.%u\nlog      %u file%s, %s, durable "
            "up to %016" G_GINT64_MODIFIER "x\n", t->path,
            t->live ? "in use" : t->index.have_meta && t->index.meta.clean ? "closed in order"
                                                                           : "not in use",
            id, SA_MAJOR, t->minor, t->files->len, t->files->len == 1 ? "" : "s", text, t->durable);
    fprintf(t->out, "index    %s\nreserve  %s\n", index, kept);
}

static void
table(tool *t, const char *title, const char *const *headings, guint columns, GPtrArray *cells)
{
    if (!t->opt.json && cells->len > 0) {
        fprintf(t->out, "\n%s\n", title);
        tool_table(t->out, headings, columns, cells);
    }
    g_ptr_array_set_size(cells, 0);
}

int
tool_stats(tool *t)
{
    static const char *const topics[] = { "TOPIC", ">PARTITION", ">EVENTS", ">FIRST", ">NEXT",
                                          ">BYTES", "OLDEST", "NEWEST" };
    static const char *const groups[] = { "GROUP", "TOPIC", ">PARTITION", ">FLOOR", ">NEXT",
                                          ">RANGES", ">ACKED ABOVE", ">TRIED" };
    static const char *const segments[] = { "FILE", "STATE", ">SIZE", ">RECORDS", ">LIVE",
                                            "CREATED" };
    static const char *const held[] = { "TOPIC", "GROUP", ">EVENTS", ">BYTES", "NEXT DUE" };
    static const char *const set_aside[] = { "FILE", ">SIZE" };
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    tell_store(t);
    count_held(t);
    for (int sealed = 1; sealed >= 0; sealed--) { /* what is not sealed may repeat what is */
        for (guint i = 0; i < t->files->len; i++) {
            tool_file *f = t->files->pdata[i];
            int code = f->sealed == (sealed == 1) ? count_file(t, f, files) : 0;
            if (code != 0)
                return code;
        }
    }
    int rc = tool_places_replay(t);
    if (rc < 0)
        return t->failed != 0 ? t->failed : tool_say("%s/log could not be read: %s", t->path,
                                                     g_strerror(-rc));
    tell_topics(t, cells);
    table(t, "Topics", topics, G_N_ELEMENTS(topics), cells);
    tell_groups(t, cells);
    table(t, "Groups", groups, G_N_ELEMENTS(groups), cells);
    tell_holds(t, cells);
    table(t, "Held events", held, G_N_ELEMENTS(held), cells);
    table(t, "Segments", segments, G_N_ELEMENTS(segments), files);
    tool_quarantine(t, cells);
    table(t, "Quarantine", set_aside, G_N_ELEMENTS(set_aside), cells);
    if (t->opt.json)
        tool_rows_print(t);
    else if (t->live)
        fputs("\nA daemon uses the folder: places of groups and held events are in its index, which "
              "is not read now.\n", t->out);
    return t->failed;
}
