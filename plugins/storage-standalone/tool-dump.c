/* SPDX-License-Identifier: Apache-2.0
 *
 * dump: the records of the log as lines, in its order. Files whose directory has nothing that is
 * asked for are not read.
 */
#include "tool.h"

#include <string.h>

typedef struct dump {
    tool *t;
    tool_file *f;
    uint8_t type; /* 0: all */
    uint64_t shown;
    bool full;    /* the limit is reached */
    bool damaged;
} dump;

static bool
limited(const dump *d)
{
    return d->t->opt.limit >= 0 && d->shown >= (uint64_t)d->t->opt.limit;
}

static bool
wanted(const dump *d, const sa_rec_head *head, const uint8_t *body)
{
    const tool_options *opt = &d->t->opt;
    if (d->type != 0 && head->type != d->type)
        return false;
    if (opt->from >= 0 && (head->type != SA_EVENT || head->offset < (uint64_t)opt->from))
        return false;
    if (opt->to >= 0 && (head->type != SA_EVENT || head->offset > (uint64_t)opt->to))
        return false;
    return tool_record_about(d->t, head, body, opt->topic, opt->partition);
}

/* What an offset of this type is called. */
static const char *
offset_name(uint8_t type)
{
    switch (type) {
    case SA_EVENT:
        return "offset";
    case SA_HOLD:
    case SA_HOLD_DONE:
        return "token";
    case SA_START:
        return "first";
    default:
        return NULL;
    }
}

static void
print_row(const dump *d, const sa_found *found)
{
    const sa_rec_head *head = &found->head;
    const tool_part *part = tool_names_find(&d->t->names, head->partition);
    const char *name = tool_type_name(head->type), *offset = offset_name(head->type);
    GString *row = tool_row(name != NULL ? name : "unknown");
    if (name == NULL)
        tool_row_count(row, "type", head->type);
    tool_row_count(row, "lsn", head->lsn);
    tool_row_text(row, "file", d->f->name);
    tool_row_time(row, "time", head->time_us);
    tool_row_count(row, "epoch", head->epoch);
    tool_row_count(row, "size", found->size);
    if (head->partition != 0 && part != NULL && part->topic != NULL) {
        tool_row_text(row, "topic", part->topic->name);
        tool_row_count(row, "partition", part->number);
    }
    if (head->partition != 0)
        tool_row_count(row, "partition_id", head->partition);
    if (offset != NULL)
        tool_row_count(row, offset, head->offset);
    if (head->follow > 0 || (head->flags & SA_REC_JOINED) != 0) {
        tool_row_flag(row, "joined", (head->flags & SA_REC_JOINED) != 0);
        tool_row_count(row, "unit_follows", head->follow);
    }
    tool_record_row(d->t, row, head, found->body);
    tool_row_line(d->t, row);
}

static void
print_text(const dump *d, const sa_found *found)
{
    const sa_rec_head *head = &found->head;
    const char *name = tool_type_name(head->type), *offset = offset_name(head->type);
    const tool_part *part = tool_names_find(&d->t->names, head->partition);
    g_autofree char *time = tool_time_text(head->time_us);
    g_autofree char *text = tool_record_text(d->t, head, found->body);
    g_autofree char *unknown = g_strdup_printf("type-%u", head->type);
    fprintf(d->t->out, "%016" G_GINT64_MODIFIER "x  %s  %-9s  ", head->lsn, time,
            name != NULL ? name : unknown);
    if (head->partition != 0 && part != NULL && part->topic != NULL)
        fprintf(d->t->out, "%s/%u ", part->topic->name, part->number);
    else if (head->partition != 0)
        fprintf(d->t->out, "(partition id %u) ", head->partition);
    if (offset != NULL)
        fprintf(d->t->out, "%s %" G_GUINT64_FORMAT "  ", offset, head->offset);
    fprintf(d->t->out, "%s\n", text);
}

/* Below the mark it is damage, above it a torn end, or being written: not a word. */
static void
print_gap(dump *d, const sa_found *found)
{
    uint64_t lsn = d->f->base + found->place;
    if (lsn >= d->t->durable)
        return;
    d->damaged = true;
    if (d->t->opt.json) {
        GString *row = tool_row("damaged");
        tool_row_count(row, "lsn", lsn);
        tool_row_text(row, "file", d->f->name);
        tool_row_count(row, "size", found->size);
        tool_row_line(d->t, row);
        return;
    }
    fprintf(d->t->out, "%016" G_GINT64_MODIFIER "x  damaged: %" G_GUINT64_FORMAT " bytes of %s; "
            "`check` tells more\n", lsn, found->size, d->f->name);
}

static bool
each(void *ctx, const sa_found *found)
{
    dump *d = ctx;
    if (!found->whole) {
        print_gap(d, found);
        return true;
    }
    if (!wanted(d, &found->head, found->body))
        return true;
    if (d->t->opt.json)
        print_row(d, found);
    else
        print_text(d, found);
    d->shown++;
    d->full = limited(d);
    return !d->full;
}

/* Is there anything in this closed file? Control records are not told apart by its directory. */
static bool
has_wanted(dump *d)
{
    const tool_options *opt = &d->t->opt;
    uint32_t n = 0;
    if (!d->f->sealed || (d->type != SA_EVENT && opt->from < 0 && opt->to < 0))
        return true;
    g_autofree sa_entry *dir = tool_dir_load(d->t, d->f, &n);
    for (uint32_t i = 0; i < n; i++) {
        sa_rec_head head = { .type = SA_EVENT, .partition = dir[i].partition };
        if (dir[i].partition != 0 && (opt->from < 0 || dir[i].last >= (uint64_t)opt->from)
            && (opt->to < 0 || dir[i].base <= (uint64_t)opt->to)
            && tool_record_about(d->t, &head, NULL, opt->topic, opt->partition))
            return true;
    }
    return dir == NULL;
}

static int
prepare(dump *d)
{
    const tool_options *opt = &d->t->opt;
    if (opt->type != NULL) {
        for (uint8_t type = SA_EVENT; type <= SA_START; type++) {
            if (strcmp(tool_type_name(type), opt->type) == 0)
                d->type = type;
        }
        if (d->type == 0)
            return tool_say("there is no type '%s': event, commit, hold, hold-done, catalog or "
                            "start", opt->type);
    }
    GHashTableIter iter;
    gpointer topic;
    g_hash_table_iter_init(&iter, d->t->names.topics);
    while (opt->topic != NULL && g_hash_table_iter_next(&iter, NULL, &topic)) {
        if (strcmp(((const tool_topic *)topic)->name, opt->topic) == 0)
            return 0;
    }
    return opt->topic == NULL ? 0 : tool_say("there is no topic '%s' in %s", opt->topic,
                                             d->t->path);
}

int
tool_dump(tool *t)
{
    dump d = { .t = t };
    int code = prepare(&d);
    sa_scan scan;
    guint gone = 0;
    d.full = limited(&d);
    for (guint i = 0; i < t->files->len && code == 0 && !d.full; i++) {
        d.f = t->files->pdata[i];
        int rc = !d.f->unused && has_wanted(&d) ? tool_scan(t, d.f, &scan, each, &d) : 0;
        if (rc < 0)
            code = t->failed != 0 ? t->failed
                                  : tool_say("%s/log/%s could not be read: %s", t->path,
                                             d.f->name, g_strerror(-rc));
        gone += d.f->gone;
    }
    if (gone > 0)
        tool_say("%u files went meanwhile: retention or the cleaner took them", gone);
    return code != 0 ? code : d.damaged ? TOOL_DAMAGE : TOOL_OK;
}
