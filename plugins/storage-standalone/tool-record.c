/* SPDX-License-Identifier: Apache-2.0
 *
 * What a record says, as JSON and for people: attributes of events by name, places of groups, names
 * of the catalogue. Bodies come from disk: every length is checked although their sums are right.
 */
#include "catalog.h"
#include "eventmesh/event.h"
#include "groups.h"
#include "le.h"
#include "tool.h"

#include <string.h>

static const char *const types[] = { NULL, "event", "commit", "hold", "hold-done", "catalog",
                                     "start" };
static const char *const forms[] = { "none", "bytes", "text", "json", "proto" };
static const char *const commits[] = { "ack", "tried", "seek", "create", "delete" };
static const char *const changes[] = { NULL, "made", "changed", "deleted" };
static const char *const holds[] = { "topic", "inbox", "prepared" };

#define NAME_OF(table, i) ((i) < G_N_ELEMENTS(table) ? (table)[i] : NULL)

const char *
tool_type_name(uint8_t type)
{
    return NAME_OF(types, type);
}

/* ---- events ---- */

typedef struct image { /* of an event, as core/event/image.c writes it */
    const uint8_t *entry, *text;
    uint32_t n, form;
    const uint8_t *data;
    size_t data_len;
} image;

/* p: the body, without the head of a HOLD. */
static bool
image_read(const uint8_t *p, size_t n, uint32_t attrs, image *im)
{
    uint64_t texts = 0;
    if (attrs > n || attrs < 8 || p[0] != 1)
        return false;
    im->form = p[1];
    im->n = sa_get16(p + 2);
    im->entry = p + 8;
    if (8ull + 8ull * im->n > attrs)
        return false;
    im->text = im->entry + 8ull * im->n;
    for (uint32_t i = 0; i < im->n; i++)
        texts += (uint64_t)sa_get32(im->entry + 8 * i) + sa_get16(im->entry + 8 * i + 4);
    im->data = p + attrs;
    im->data_len = n - attrs;
    return 8ull + 8ull * im->n + texts <= attrs;
}

typedef struct attr {
    const char *name, *value;
    uint32_t name_len, value_len, type;
} attr;

/* Moves on by one attribute. */
static attr
image_next(image *im)
{
    attr a = { .value_len = sa_get32(im->entry), .name_len = sa_get16(im->entry + 4),
               .type = sa_get16(im->entry + 6) };
    a.name = (const char *)im->text;
    a.value = a.name + a.name_len;
    im->text += a.name_len + (size_t)a.value_len;
    im->entry += 8;
    im->n--;
    return a;
}

static bool
event_of(const sa_rec_head *head, const uint8_t *body, image *im)
{
    if (head->type == SA_HOLD)
        return head->body >= SA_HOLD_HEAD
               && image_read(body + SA_HOLD_HEAD, head->body - SA_HOLD_HEAD, head->attrs, im);
    return head->type == SA_EVENT && image_read(body, head->body, head->attrs, im);
}

static void
put_text_or_base64(GString *row, const char *key, const void *bytes, size_t n)
{
    if (g_utf8_validate(bytes, (gssize)n, NULL)) {
        tool_row_bytes(row, key, bytes, n);
        return;
    }
    g_autofree char *name = g_strconcat(key, "_base64", NULL);
    g_autofree char *text = g_base64_encode(bytes, n);
    tool_row_text(row, name, text);
}

static void
event_row(tool *t, GString *row, image *im)
{
    tool_row_open(row, "attributes", '{');
    while (im->n > 0) {
        attr a = image_next(im);
        g_autofree char *name = tool_clean(a.name, a.name_len);
        if (a.type == EMESH_ATTR_BINARY) {
            g_autofree char *text = g_base64_encode((const guchar *)a.value, a.value_len);
            tool_row_text(row, name, text);
        } else {
            put_text_or_base64(row, name, a.value, a.value_len);
        }
    }
    tool_row_close(row, '}');
    tool_row_text(row, "data_form", NAME_OF(forms, im->form));
    tool_row_count(row, "data_size", im->data_len);
    if (t->opt.data && im->form != EMESH_DATA_NONE)
        put_text_or_base64(row, "data", im->data, im->data_len);
}

static void
event_text(tool *t, GString *out, image *im)
{
    uint32_t form = im->form;
    const uint8_t *data = im->data;
    size_t n = im->data_len;
    while (im->n > 0) {
        attr a = image_next(im);
        g_autofree char *name = tool_clean(a.name, a.name_len);
        g_autofree char *value = tool_clean(a.value, a.value_len);
        g_string_append_printf(out, "%s=%s ", name, value);
    }
    g_autofree char *size = tool_size_text(n);
    g_string_append_printf(out, "(%s %s)", NAME_OF(forms, form) != NULL ? forms[form] : "data",
                           size);
    if (t->opt.data && form != EMESH_DATA_NONE) {
        g_autofree char *clean = tool_clean(data, n);
        g_string_append_printf(out, "\n    %s", clean);
    }
}

/* ---- places of groups, the catalogue, holds ---- */

char *
tool_part_text(const tool *t, uint32_t id)
{
    const tool_part *part = tool_names_find(&t->names, id);
    if (part == NULL || part->topic == NULL)
        return g_strdup_printf("partition id %u", id);
    return g_strdup_printf("topic %s, partition %u", part->topic->name, part->number);
}

static void
place_row(tool *t, GString *row, uint32_t id)
{
    const tool_part *part = tool_names_find(&t->names, id);
    if (part != NULL && part->topic != NULL) {
        tool_row_text(row, "topic", part->topic->name);
        tool_row_count(row, "partition", part->number);
    }
    tool_row_count(row, "partition_id", id);
}

static void
commit_row(tool *t, GString *row, const uint8_t *p, size_t n)
{
    sa_commit_entry e;
    tool_row_open(row, "entries", '[');
    for (; n > 0 && sa_commit_read(p, n, &e); p += e.size, n -= e.size) {
        tool_row_open(row, NULL, '{');
        tool_row_text(row, "op", NAME_OF(commits, e.op));
        tool_row_text(row, "group", tool_names_group(&t->names, e.group));
        tool_row_count(row, "group_id", e.group);
        place_row(t, row, e.partition);
        tool_row_count(row, "epoch", e.epoch);
        tool_row_count(row, "floor", e.floor);
        tool_row_open(row, "ranges", '[');
        for (uint32_t i = 0; i < e.n; i++) {
            sa_range range;
            sa_commit_range(&e, i, &range);
            tool_row_open(row, NULL, '{');
            tool_row_count(row, "first", range.first);
            tool_row_count(row, "count", range.count);
            tool_row_text(row, "state", range.state == SA_RANGE_ACKED ? "acknowledged" : "tried");
            if (range.state == SA_RANGE_TRIED)
                tool_row_count(row, "attempts", range.attempts);
            tool_row_close(row, '}');
        }
        tool_row_close(row, ']');
        tool_row_close(row, '}');
    }
    tool_row_close(row, ']');
}

#define RANGES_SHOWN 8u

static void
commit_text(tool *t, GString *out, const uint8_t *p, size_t n)
{
    sa_commit_entry e;
    const char *gap = "";
    for (; n > 0 && sa_commit_read(p, n, &e); p += e.size, n -= e.size, gap = "; ") {
        const char *group = tool_names_group(&t->names, e.group);
        g_autofree char *part = tool_part_text(t, e.partition);
        g_string_append_printf(out, "%s%s ", gap, NAME_OF(commits, e.op));
        if (group != NULL)
            g_string_append_printf(out, "group %s, %s, ", group, part);
        else
            g_string_append_printf(out, "group id %u, %s, ", e.group, part);
        g_string_append_printf(out, "floor %" G_GUINT64_FORMAT, e.floor);
        for (uint32_t i = 0; i < MIN(e.n, RANGES_SHOWN); i++) {
            sa_range range;
            sa_commit_range(&e, i, &range);
            g_string_append_printf(out, ", %s %" G_GUINT64_FORMAT,
                                   range.state == SA_RANGE_ACKED ? "acked" : "tried", range.first);
            if (range.count > 1)
                g_string_append_printf(out, "-%" G_GUINT64_FORMAT, range.first + range.count - 1);
        }
        if (e.n > RANGES_SHOWN)
            g_string_append_printf(out, " and %u ranges more", e.n - RANGES_SHOWN);
    }
}

static void
catalog_row(GString *row, const uint8_t *p, size_t n)
{
    sa_cat_entry e;
    tool_row_open(row, "entries", '[');
    for (; n > 0 && sa_cat_read(p, n, &e); p += e.size, n -= e.size) {
        g_autofree char *name = tool_clean(e.name, e.name_len);
        tool_row_open(row, NULL, '{');
        tool_row_text(row, "op", NAME_OF(changes, e.op));
        tool_row_text(row, e.kind == SA_CAT_TOPIC ? "topic" : "group", name);
        tool_row_count(row, "id", e.id);
        if (e.kind == SA_CAT_TOPIC) {
            tool_row_count(row, "partitions", e.n_parts);
            tool_row_count(row, "level", e.level);
            tool_row_count(row, "retention_ms", e.retention_ms);
            tool_row_count(row, "retention_bytes", e.retention_bytes);
        }
        tool_row_close(row, '}');
    }
    tool_row_close(row, ']');
}

static void
catalog_text(GString *out, const uint8_t *p, size_t n)
{
    sa_cat_entry e;
    const char *gap = "";
    for (; n > 0 && sa_cat_read(p, n, &e); p += e.size, n -= e.size, gap = "; ") {
        const char *change = NAME_OF(changes, e.op);
        g_autofree char *name = tool_clean(e.name, e.name_len);
        g_string_append_printf(out, "%s%s %s %s", gap, e.kind == SA_CAT_TOPIC ? "topic" : "group",
                               name, change != NULL ? change : "?");
        if (e.kind == SA_CAT_TOPIC)
            g_string_append_printf(out, ", %u partition%s", e.n_parts, e.n_parts == 1 ? "" : "s");
    }
}

static void
hold_row(tool *t, GString *row, const sa_rec_head *head, const uint8_t *body)
{
    if (head->body < SA_HOLD_HEAD)
        return; /* a HOLD_DONE of format 1.0 */
    tool_row_time(row, "due", sa_get64(body));
    tool_row_text(row, "hold", NAME_OF(holds, sa_get32(body + 8)));
    if (sa_get32(body + 8) == SA_HOLD_INBOX)
        tool_row_text(row, "group", tool_names_group(&t->names, sa_get32(body + 12)));
    if (head->type == SA_HOLD_DONE && head->own > 0)
        tool_row_count(row, "attempts", head->own);
}

static void
hold_text(tool *t, GString *out, const sa_rec_head *head, const uint8_t *body)
{
    if (head->body < SA_HOLD_HEAD)
        return;
    uint32_t kind = sa_get32(body + 8);
    g_autofree char *due = tool_time_text(sa_get64(body));
    g_string_append_printf(out, "due %s", due);
    if (kind == SA_HOLD_INBOX) {
        const char *group = tool_names_group(&t->names, sa_get32(body + 12));
        g_string_append_printf(out, ", for group %s", group != NULL ? group : "?");
    }
    if (head->type == SA_HOLD_DONE && head->own > 0)
        g_string_append_printf(out, ", tried %u times", head->own);
    g_string_append_c(out, ' ');
}

/* ---- a record ---- */

void
tool_record_row(tool *t, GString *row, const sa_rec_head *head, const uint8_t *body)
{
    image im;
    if (head->type == SA_COMMIT)
        commit_row(t, row, body, head->body);
    if (head->type == SA_CATALOG)
        catalog_row(row, body, head->body);
    if (head->type == SA_HOLD || head->type == SA_HOLD_DONE)
        hold_row(t, row, head, body);
    if (event_of(head, body, &im))
        event_row(t, row, &im);
}

char *
tool_record_text(tool *t, const sa_rec_head *head, const uint8_t *body)
{
    GString *out = g_string_new(NULL);
    image im;
    if (head->type == SA_COMMIT)
        commit_text(t, out, body, head->body);
    if (head->type == SA_CATALOG)
        catalog_text(out, body, head->body);
    if (head->type == SA_HOLD || head->type == SA_HOLD_DONE)
        hold_text(t, out, head, body);
    if (event_of(head, body, &im))
        event_text(t, out, &im);
    return g_string_free(out, FALSE);
}

static bool
entries_ok(const sa_rec_head *head, const uint8_t *body)
{
    size_t n = head->body;
    sa_commit_entry commit;
    sa_cat_entry cat;
    while (n > 0) {
        bool commits_ = head->type == SA_COMMIT;
        if (commits_ ? !sa_commit_read(body, n, &commit) : !sa_cat_read(body, n, &cat))
            return false;
        size_t size = commits_ ? commit.size : cat.size;
        body += size;
        n -= size;
    }
    return true;
}

bool
tool_record_ok(const sa_rec_head *head, const uint8_t *body)
{
    image im;
    switch (head->type) {
    case SA_EVENT:
        return event_of(head, body, &im);
    case SA_HOLD: /* format 1.0 could write one without an event, nobody did */
        return head->body >= SA_HOLD_HEAD;
    case SA_COMMIT:
    case SA_CATALOG:
        return entries_ok(head, body);
    default:
        return true;
    }
}

static bool
part_is(tool *t, uint32_t id, const char *topic, gint64 partition)
{
    const tool_part *part = tool_names_find(&t->names, id);
    if (part == NULL || id == 0)
        return false;
    return (topic == NULL || (part->topic != NULL && strcmp(part->topic->name, topic) == 0))
           && (partition < 0 || part->number == (uint64_t)partition);
}

bool
tool_record_about(tool *t, const sa_rec_head *head, const uint8_t *body, const char *topic,
                  gint64 partition)
{
    size_t n = head->body;
    sa_commit_entry commit;
    sa_cat_entry cat;
    if (topic == NULL && partition < 0)
        return true;
    if (head->type == SA_COMMIT) {
        for (; n > 0 && sa_commit_read(body, n, &commit); body += commit.size, n -= commit.size) {
            if (part_is(t, commit.partition, topic, partition))
                return true;
        }
        return false;
    }
    if (head->type == SA_CATALOG) {
        for (; topic != NULL && n > 0 && sa_cat_read(body, n, &cat); body += cat.size,
             n -= cat.size) {
            if (cat.kind == SA_CAT_TOPIC && cat.name_len == strlen(topic)
                && memcmp(cat.name, topic, cat.name_len) == 0)
                return true;
        }
        return false;
    }
    return part_is(t, head->partition, topic, partition);
}
