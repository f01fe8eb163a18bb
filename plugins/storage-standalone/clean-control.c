/* SPDX-License-Identifier: Apache-2.0
 *
 * The cleaner's control records, see clean.h. Catalogue and first offsets are not copied: the footer
 * tells them newer. COMMITs become entries that tell where each pair they name stands now, unless a
 * newer record tells it whole (tell.c). Live HOLDs move, with the attempts they have had; dead ones
 * go. A HOLD_DONE stays as long as its HOLD may lie in an older file. Only an index made anew, or an
 * older one that came back, reads what is kept.
 */
#include "clean-copy.h"

#include "crc32c.h"
#include "store.h"
#include <errno.h>

typedef struct sa_older { /* HOLDs of a file before the inputs */
    sa_tokens tokens;
    uint64_t pure;
} sa_older;

void
sa_clean_older(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    const sa_segs *segs = &store->segs;
    const sa_segment *oldest = g_ptr_array_index(c->inputs, 0);
    c->pure = atomic_load(&store->log.written); /* what is done below it is known to be */
    pthread_mutex_lock(&store->segs.lock);
    c->oldest = segs->n > 0 && segs->all[0] == oldest;
    for (uint32_t i = 0; i < segs->n && segs->all[i]->base < oldest->base; i++) {
        const sa_segment *seg = segs->all[i];
        sa_older older = { seg->holds, seg->pure };
        if (seg->holds.last != 0)
            g_array_append_val(c->older, older);
    }
    pthread_mutex_unlock(&store->segs.lock);
}

/* ---- what is kept ---- */

/* May the HOLD of a done token lie before the inputs? seg: where its HOLD_DONE is. */
static bool
is_older(const sa_cleaner *c, const sa_segment *seg, uint64_t token)
{
    for (guint i = 0; i < c->older->len; i++) {
        const sa_older *older = &g_array_index(c->older, sa_older, i);
        if (older->tokens.first <= token && token <= older->tokens.last && older->pure < seg->last)
            return true;
    }
    return false;
}

static bool
wanted(struct sa_store *store, const sa_segment *seg, const sa_rec_head *head, const uint8_t *body)
{
    sa_cleaner *c = &store->cleaner;
    bool told = head->body >= SA_HOLD_HEAD;
    if (head->type == SA_HOLD)
        return told && sa_hold_live(store, head, body, NULL);
    if (head->type != SA_HOLD_DONE)
        return false;
    if (head->own > 0) /* attempts: a HOLD that moves takes them along */
        return told && !g_hash_table_contains(c->held, &head->offset)
               && sa_hold_live(store, head, body, NULL);
    return is_older(c, seg, head->offset);
}

static void
keep(sa_cleaner *c, const sa_rec_head *head)
{
    sa_kept kept = { c->at, c->record };
    g_array_append_val(c->kept, kept);
    c->kept_bytes += sa_rec_size(head->body);
    if (head->type == SA_HOLD)
        g_hash_table_add(c->held, g_memdup2(&head->offset, sizeof head->offset));
}

/* Pairs that a COMMIT names, and whether one was ever deleted. */
static void
note_commit(sa_cleaner *c, const uint8_t *body, size_t n)
{
    sa_commit_entry e;
    for (; n > 0 && sa_commit_read(body, n, &e); body += e.size, n -= e.size) {
        gint64 key = (gint64)((uint64_t)e.group << 32 | e.partition);
        bool deleted = e.op == SA_OP_DELETE
                       || GPOINTER_TO_UINT(g_hash_table_lookup(c->pairs, &key)) != 0;
        g_hash_table_replace(c->pairs, g_memdup2(&key, sizeof key), GUINT_TO_POINTER(deleted));
    }
}

static void
put_delete(GByteArray *body, uint32_t group, uint32_t partition)
{
    uint8_t raw[SA_COMMIT_HEAD] = { 0 };
    sa_put32(raw, group);
    sa_put32(raw + 4, partition);
    sa_put32(raw + 8, UINT32_MAX); /* whatever epoch it had */
    sa_put16(raw + 14, SA_OP_DELETE);
    g_byte_array_append(body, raw, sizeof raw);
}

/* Where the pair stands now, unless that is told behind the inputs; a deletion that the inputs told
 * stays told while there is anything older. */
static void
put_pair(struct sa_store *store, GByteArray *body, uint64_t key, bool deleted, bool ranges)
{
    sa_cleaner *c = &store->cleaner;
    const sa_segment *newest = g_ptr_array_index(c->inputs, c->inputs->len - 1);
    uint32_t group_id = (uint32_t)(key >> 32), part_id = (uint32_t)key;
    const sa_partition *part = sa_catalog_part(&store->cat, part_id);
    pthread_mutex_lock(&store->cat.lock);
    sa_group *group = sa_catalog_group_id(&store->cat, group_id);
    pthread_mutex_unlock(&store->cat.lock);
    if (group == NULL || part == NULL || part->topic == NULL || part->topic->deleted)
        return; /* ids are never used again */
    pthread_mutex_lock(&group->lock);
    sa_pair *pair = sa_pair_find(group, part_id);
    if ((deleted || pair == NULL) && !c->oldest) {
        put_delete(body, group_id, part_id);
        c->deletes = true;
    }
    if (pair != NULL && pair->told < newest->last)
        sa_commit_put(body, pair, SA_OP_ACK, ranges ? &pair->more->ranges : NULL);
    pthread_mutex_unlock(&group->lock);
}

/* COMMIT bodies of what the pairs are now, none too large. Returns their bytes on disk. */
static uint64_t
pair_bodies(struct sa_store *store, GPtrArray *bodies, bool ranges)
{
    sa_cleaner *c = &store->cleaner;
    GHashTableIter iter;
    gpointer key, deleted;
    uint64_t bytes = 0;
    g_ptr_array_set_size(bodies, 0);
    g_hash_table_iter_init(&iter, c->pairs);
    while (g_hash_table_iter_next(&iter, &key, &deleted)) {
        GByteArray *body = bodies->len > 0 ? g_ptr_array_index(bodies, bodies->len - 1) : NULL;
        if (body == NULL || body->len >= 65536) {
            body = g_byte_array_new();
            g_ptr_array_add(bodies, body);
        }
        put_pair(store, body, *(const uint64_t *)key, deleted != NULL, ranges);
    }
    if (bodies->len > 0 && ((GByteArray *)g_ptr_array_index(bodies, bodies->len - 1))->len == 0)
        g_ptr_array_set_size(bodies, (gint)bodies->len - 1); /* all of it is told elsewhere */
    for (guint i = 0; i < bodies->len; i++)
        bytes += sa_rec_size(((GByteArray *)g_ptr_array_index(bodies, i))->len);
    return bytes;
}

static void
put_commit(struct sa_store *store, GByteArray *body)
{
    sa_rec_head head = { .type = SA_COMMIT, .body = body->len, .epoch = store->epoch,
                         .time_us = sa_wall_us(store) };
    guint padded = (guint)sa_pad8(body->len);
    g_byte_array_set_size(body, padded);
    memset(body->data + head.body, 0, padded - head.body);
    head.body_crc = sa_crc32c(0, body->data, padded);
    sa_clean_put(store, &head, body->data);
}

/* All control records are looked at: file, header, and where groups stand. */
static int
end_control(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    const sa_segment *oldest = g_ptr_array_index(c->inputs, 0);
    const sa_segment *newest = g_ptr_array_index(c->inputs, c->inputs->len - 1);
    g_autoptr(GPtrArray) bodies = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    uint64_t room = newest->last - oldest->base, rest = SA_SEGMENT_HEAD + c->kept_bytes;
    for (guint i = 0; i < c->pieces->len; i++)
        rest += g_array_index(c->pieces, sa_piece, i).entry.bytes;
    uint64_t bytes = pair_bodies(store, bodies, true);
    if (rest + bytes > room) /* ranges grew meanwhile: floors alone repeat some, no more */
        bytes = pair_bodies(store, bodies, false);
    if (rest + bytes > room)
        return -ECANCELED;
    int rc = sa_clean_create(store, rest - SA_SEGMENT_HEAD + bytes);
    for (guint i = 0; i < bodies->len && rc == 0; i++)
        put_commit(store, g_ptr_array_index(bodies, i));
    if (rc == 0) {
        c->out->kept_commits = bytes;
        c->out->deletes = c->deletes;
    }
    return rc;
}

/* A control record that cannot be read: where a held event lies, nothing may be moved. */
static int
unreadable(struct sa_store *store, sa_segment *seg)
{
    pthread_mutex_lock(&store->segs.lock);
    bool held = seg->held > 0;
    seg->uncleanable |= held;
    pthread_mutex_unlock(&store->segs.lock);
    if (!held)
        return 0;
    sa_count(&store->stats.damaged, 1);
    sa_say(store, EMESH_LOG_ERROR, "a control record in %s/log/" SA_SEG_NAME " is damaged, and held "
           "events lie there: the file is not cleaned", store->path, SA_SEG_ARGS(seg));
    return -ECANCELED;
}

static int
look_at(struct sa_store *store, const sa_piece *piece, int fd, const sa_vector *v)
{
    sa_cleaner *c = &store->cleaner;
    sa_rec_head head;
    const uint8_t *body;
    bool good = sa_clean_record(store, piece->seg, fd, v, c->record, &head, &body);
    if (c->read_error != 0)
        return c->read_error;
    if (!good)
        return unreadable(store, piece->seg);
    if (head.type == SA_COMMIT)
        note_commit(c, body, head.body);
    else if (wanted(store, piece->seg, &head, body))
        keep(c, &head);
    return 0;
}

int
sa_clean_control(struct sa_store *store, bool *done)
{
    sa_cleaner *c = &store->cleaner;
    int rc = 0;
    if (c->at == c->controls->len) {
        *done = true;
        return end_control(store);
    }
    const sa_piece *piece = &g_array_index(c->controls, sa_piece, c->at);
    int fd = sa_clean_use(store, piece->seg);
    if (fd < 0)
        return fd;
    sa_vector *v = sa_vector_get(store, piece->seg, fd, &piece->entry);
    c->window_have = 0; /* of another file */
    uint32_t end = v != NULL ? MIN(v->count, c->record + 4096) : 0;
    for (; c->record < end && rc == 0; c->record++)
        rc = look_at(store, piece, fd, v);
    if (v != NULL && rc == 0 && c->record == v->count) {
        c->at++;
        c->record = 0;
    }
    if (v != NULL)
        sa_vector_unref(store, v);
    sa_seg_leave(store, piece->seg);
    return v != NULL ? rc : -ENOMEM;
}

/* ---- held events ---- */

static void
note_token(sa_tokens *tokens, uint64_t token)
{
    if (tokens->last == 0 || token < tokens->first)
        tokens->first = token;
    tokens->last = MAX(tokens->last, token);
}

static int
copy_kept(struct sa_store *store, const sa_piece *piece, int fd, const sa_vector *v, uint32_t i,
          uint64_t *bytes)
{
    sa_cleaner *c = &store->cleaner;
    sa_rec_head head;
    const uint8_t *body;
    if (!sa_clean_record(store, piece->seg, fd, v, i, &head, &body))
        return c->read_error != 0 ? c->read_error : -ECANCELED; /* it was good a moment ago */
    *bytes += sa_rec_size(head.body);
    if (head.type == SA_HOLD_DONE) {
        sa_clean_put(store, &head, body);
        c->out->kept_marks += sa_rec_size(head.body);
        note_token(&c->out->dones, head.offset);
    } else if (sa_hold_live(store, &head, body, &head.own)) {
        sa_hold_move move = { .token = head.offset, .size = (uint32_t)sa_rec_size(head.body) };
        if (sa_hold_key(store, &head, body, move.key)) {
            sa_clean_put(store, &head, body);
            move.lsn = head.lsn;
            g_array_append_val(c->moves, move);
            note_token(&c->out->holds, head.offset);
        }
    }
    return c->buffer->len >= SA_CLEAN_SLICE ? sa_clean_flush(store) : 0;
}

/* Kept records of one input, from kept_at on. */
static int
copy_some(struct sa_store *store, uint64_t *bytes)
{
    sa_cleaner *c = &store->cleaner;
    guint at = g_array_index(c->kept, sa_kept, c->kept_at).piece;
    const sa_piece *piece = &g_array_index(c->controls, sa_piece, at);
    int fd = sa_clean_use(store, piece->seg);
    if (fd < 0)
        return fd;
    sa_vector *v = sa_vector_get(store, piece->seg, fd, &piece->entry);
    int rc = v != NULL ? 0 : -ENOMEM;
    c->window_have = 0; /* of another file */
    while (rc == 0 && c->kept_at < c->kept->len && *bytes < SA_CLEAN_SLICE) {
        const sa_kept *kept = &g_array_index(c->kept, sa_kept, c->kept_at);
        if (kept->piece != at)
            break;
        rc = copy_kept(store, piece, fd, v, kept->record, bytes);
        c->kept_at++;
    }
    if (v != NULL)
        sa_vector_unref(store, v);
    sa_seg_leave(store, piece->seg);
    return rc;
}

int
sa_clean_held(struct sa_store *store, uint64_t *bytes, bool *done)
{
    sa_cleaner *c = &store->cleaner;
    int rc = 0;
    while (rc == 0 && c->kept_at < c->kept->len && *bytes < SA_CLEAN_SLICE)
        rc = copy_some(store, bytes);
    *done = rc == 0 && c->kept_at == c->kept->len;
    if (!*done)
        return rc;
    sa_entry entry = { .count = c->places->len, .last = c->places->len - 1u,
                       .bytes = c->place + c->buffer->len - SA_SEGMENT_HEAD,
                       .min_us = sa_wall_us(store), .max_us = sa_wall_us(store) };
    if (entry.count > 0)
        g_array_append_val(c->entries, entry);
    c->at = c->record = 0;
    return 0;
}
