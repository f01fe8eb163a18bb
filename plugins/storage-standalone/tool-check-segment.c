/* SPDX-License-Identifier: Apache-2.0
 *
 * check, one file: its header, every record with its unit and its offset, its footer against the
 * records, its end. The rules are those of recovery: below the durable mark everything must be there.
 */
#include "hash.h"
#include "recovery.h"
#include "tool.h"

#include <string.h>

typedef struct walk {
    tool *t;
    tool_file *f;
    tool_done *done;
    tool_footer foot;
    bool have_foot;
    uint64_t records;
    uint64_t named; /* records that the footer names, found or damaged */
    uint64_t copies, torn, above;
    bool gap;       /* the record before is damaged */
    bool open;      /* a unit goes on */
    uint16_t follow;
    uint64_t unit;  /* place of its first record */
    uint64_t place; /* of the progress */
} walk;

static void
damaged(const walk *w, const char *what, const char *text, uint64_t place, uint64_t size,
        const sa_rec_head *head)
{
    tool_damage d = { .what = what, .text = text, .f = w->f, .place = place, .size = size };
    if (head != NULL) {
        d.record = true;
        d.type = head->type;
        d.partition = head->partition;
        d.offset = head->offset;
    }
    tool_damaged(w->t, &d);
}

/* ---- the footer's view ---- */

/* Is this control record in the list of them, whose places rise? */
static bool
names_control(const walk *w, uint64_t place)
{
    uint32_t place8 = (uint32_t)(place / 8);
    for (uint32_t i = 0; i < w->foot.t.n_dir && w->foot.dir[i].partition == 0; i++) {
        uint32_t low = 0, high = w->foot.dir[i].count;
        while (low < high) {
            uint32_t mid = low + (high - low) / 2;
            if (tool_footer_place8(&w->foot, i, mid) < place8)
                low = mid + 1;
            else
                high = mid;
        }
        if (low < w->foot.dir[i].count && tool_footer_place8(&w->foot, i, low) == place8)
            return true;
    }
    return false;
}

static bool
names_event(const walk *w, const sa_rec_head *head, uint64_t place)
{
    uint32_t i = tool_footer_find(&w->foot, head->partition, head->offset);
    if (i == w->foot.t.n_dir)
        return false;
    uint64_t k = head->offset - w->foot.dir[i].base;
    return k < w->foot.dir[i].count
           && tool_footer_place8(&w->foot, i, (uint32_t)k) == place / 8;
}

/* The footer still knows what lay in a stretch that cannot be read. False: nothing. */
static bool
lost_records(walk *w, uint64_t place, uint64_t size, const char *text)
{
    bool any = false;
    for (uint32_t i = 0; w->have_foot && i < w->foot.t.n_dir; i++) {
        const sa_entry *e = &w->foot.dir[i];
        for (uint32_t k = 0; k < e->count; k++) {
            uint64_t at = 8ull * tool_footer_place8(&w->foot, i, k);
            if (at == 0 || at < place || at >= place + size)
                continue;
            sa_rec_head head = { .type = e->partition != 0 ? SA_EVENT : 0,
                                 .partition = e->partition, .offset = e->base + k };
            damaged(w, "record", text, at, place + size - at, &head);
            w->named++;
            any = true;
        }
    }
    return any;
}

static void
bad_stretch(walk *w, const sa_found *found)
{
    uint64_t end = w->f->sealed ? w->f->end - w->f->base : w->f->size;
    uint64_t size = found->size > 0 ? found->size : end - MIN(end, found->place);
    w->gap = true;
    w->open = false;
    if (!w->f->sealed && w->f->base + found->place >= w->t->durable) {
        w->torn++;
        return;
    }
    if (found->head_good) {
        damaged(w, "record", "its body does not match its check sum, or is cut", found->place,
                size, &found->head);
        w->named += w->have_foot && (found->head.type == SA_EVENT
                                         ? names_event(w, &found->head, found->place)
                                         : names_control(w, found->place));
    } else if (!lost_records(w, found->place, size, "its header is not readable")) {
        damaged(w, "record", "no record is readable up to the next one", found->place, size, NULL);
    }
}

/* ---- a whole record ---- */

static void
check_unit(walk *w, const sa_found *found)
{
    const sa_rec_head *head = &found->head;
    bool joined = (head->flags & SA_REC_JOINED) != 0;
    if (joined && !w->gap && (!w->open || head->follow + 1u != w->follow))
        damaged(w, "unit", "it belongs to a unit that does not go on like this", found->place,
                found->size, head);
    if (!joined && w->open)
        damaged(w, "unit", "the unit before it is not whole", found->place, found->size, head);
    w->open = head->follow > 0;
    w->follow = head->follow;
    w->gap = false;
}

/* A record that recovery wrote again lies there twice until the old file is closed at the mark; an
 * event of a deleted topic is not in the index any more. */
static void
check_event(walk *w, const sa_found *found, bool named)
{
    const sa_rec_head *head = &found->head;
    tool_part *part = tool_names_part(&w->t->names, head->partition);
    bool rises = w->f->unused || head->offset >= part->seen;
    bool gone = part->topic == NULL || part->topic->deleted;
    if (!rises)
        w->copies++;
    else if (!w->f->unused)
        part->seen = head->offset + 1;
    if (!w->have_foot)
        return;
    if (!rises && named)
        damaged(w, "offset", "its offset is not above the one before it", found->place,
                found->size, head);
    if (rises && !named && !gone)
        damaged(w, "footer", "the footer of its file does not name it", found->place, found->size,
                head);
    uint64_t hash = sa_image_fingerprint(found->body, head->attrs);
    if (named && hash != 0 && w->foot.prints_ok
        && !tool_footer_print(&w->foot, hash, (uint32_t)(found->place / 8))
        && !tool_footer_print(&w->foot, sa_image_fingerprint_1(found->body, head->attrs),
                              (uint32_t)(found->place / 8)))
        damaged(w, "footer", "its fingerprint is not in the footer of its file", found->place,
                found->size, head);
}

static void
check_record(walk *w, const sa_found *found)
{
    const sa_rec_head *head = &found->head;
    bool named = w->have_foot && (head->type == SA_EVENT ? names_event(w, head, found->place)
                                                         : names_control(w, found->place));
    w->named += named;
    if (head->type > SA_START && (head->flags & SA_REC_STOP) != 0)
        w->t->failed = tool_say("%s/log/%s holds a record of type %u that this version must not "
                                "skip: take the eventmeshctl of a newer version", w->t->path,
                                w->f->name, head->type);
    if (!tool_record_ok(head, found->body))
        damaged(w, "record", "its body is not what its type says", found->place, found->size, head);
    check_unit(w, found);
    if (head->type == SA_EVENT)
        check_event(w, found, named);
    else if (w->have_foot && !named)
        damaged(w, "footer", "the footer of its file does not name it", found->place, found->size,
                head);
    if (head->type == SA_HOLD_DONE && head->lsn >= w->t->index.meta.applied) {
        uint64_t token = head->offset;
        g_hash_table_add(w->done->tokens, g_memdup2(&token, sizeof token));
    }
}

static bool
each(void *ctx, const sa_found *found)
{
    walk *w = ctx;
    uint64_t to = found->place + found->size;
    if (to > w->place) {
        tool_bar_add(w->t, to - w->place);
        w->place = to;
    }
    if (!found->whole) {
        bad_stretch(w, found);
        return true;
    }
    if (!w->f->sealed && w->f->base + found->place >= w->t->durable) {
        w->above++;
        return true; /* not judged: it may be half a unit, or a copy */
    }
    w->records++;
    check_record(w, found);
    return true;
}

/* ---- header and end ---- */

static void
check_head(walk *w, const tool_file *next)
{
    tool_file *f = w->f;
    tool *t = w->t;
    if (t->live && f->state != SA_HEAD_OK)
        tool_head_again(t, f);
    if (f->gone)
        return;
    if (f->state == SA_HEAD_OK) {
        if (f->head.salt != t->salt || memcmp(f->head.store, t->id, sizeof t->id) != 0)
            damaged(w, "header", "it belongs to another store", 0, SA_SEGMENT_HEAD, NULL);
        else if (f->head.base != f->base)
            damaged(w, "header", "its name does not say where it lies in the log", 0,
                    SA_SEGMENT_HEAD, NULL);
        return;
    }
    if (f->empty && !f->sealed && next == NULL)
        tool_note(t, f, "no header and no record: it was being made, or was cut");
    else if (f->empty && !f->sealed)
        damaged(w, "header", "header and records are gone", 0, f->size, NULL);
    else
        damaged(w, "header", "its header is not readable", 0, SA_SEGMENT_HEAD, NULL);
}

static void
check_footer(walk *w)
{
    const char *bad = tool_footer_load(w->t, w->f, &w->foot);
    uint64_t place = w->f->end - w->f->base;
    w->have_foot = w->foot.places_ok; /* with wrong places nothing can be held against it */
    if (bad != NULL && !w->f->gone)
        damaged(w, "footer", bad, place, w->f->size - place, NULL);
}

/* Places of events that the cleaner found damaged. */
static uint64_t
left_out(const walk *w)
{
    uint64_t n = 0;
    for (uint32_t i = 0; w->have_foot && w->f->inputs != NULL && i < w->foot.t.n_dir; i++) {
        for (uint32_t k = 0; k < w->foot.dir[i].count; k++)
            n += tool_footer_place8(&w->foot, i, k) == 0;
    }
    return n;
}

/* The rules of sa_recover_mark(), but for a cut above the mark, which is no torn end: a file has its
 * size before it is used. */
static void
check_end(walk *w, const sa_scan *scan, const tool_file *next)
{
    tool_file *f = w->f;
    uint64_t stop = scan->stop - f->base;
    /* until its footer is whole a file has the size that its header says */
    bool other = f->state == SA_HEAD_OK && f->size != f->last - f->base;
    if (f->sealed) {
        uint64_t lost = left_out(w);
        if (lost > 0)
            tool_note(w->t, f, "%" G_GUINT64_FORMAT " events were damaged when it was cleaned, and "
                      "are gone", lost);
        if (w->have_foot && w->named + lost < w->foot.t.records)
            damaged(w, "footer", "the footer names records that are not there", f->end - f->base,
                    0, NULL);
        if (w->open)
            damaged(w, "unit", "its last unit is not whole", stop, 0, NULL);
        return;
    }
    if (w->torn > 0)
        tool_note(w->t, f, w->t->live ? "its end is being written"
                                      : "a torn end, which the next start drops");
    if (scan->footer && !other)
        return; /* being closed, or its closing was cut off: done again at the next start */
    if (scan->footer)
        damaged(w, "footer", "the end of its footer is damaged or cut", f->size, 0, NULL);
    else if (other)
        damaged(w, "file", "the file is cut here", f->size,
                f->last - f->base - MIN(f->size, f->last - f->base), NULL);
    else if (next != NULL && w->t->durable >= f->last && !scan->closed
             && f->state == SA_HEAD_OK) /* only the closing record tells */
        damaged(w, "file", "the end of its records is missing", stop, 0, NULL);
}

int
tool_check_segment(tool *t, tool_file *f, const tool_file *next, tool_done *done,
                   tool_sum *sum)
{
    walk w = { .t = t, .f = f, .done = done, .place = 0 };
    sa_scan scan;
    check_head(&w, next);
    if (f->unused)
        tool_note(t, f, f->inputs != NULL ? "made by the cleaner and not used yet"
                                          : "a cleaned file has taken its place");
    if (f->gone || (f->state != SA_HEAD_OK && f->empty && !f->sealed))
        return t->failed;
    if (f->sealed)
        check_footer(&w);
    int rc = tool_scan(t, f, &scan, each, &w);
    if (rc == 0 && !f->gone && t->failed == 0)
        check_end(&w, &scan, next);
    if (w.copies > 0)
        tool_note(t, f, "%" G_GUINT64_FORMAT " events that are there twice: a start wrote them "
                  "again", w.copies);
    tool_footer_clear(&w.foot);
    sum->records += w.records;
    sum->above += w.above;
    if (rc < 0 && t->failed == 0)
        t->failed = tool_say("%s/log/%s could not be read: %s", t->path, f->name, g_strerror(-rc));
    return t->failed;
}
