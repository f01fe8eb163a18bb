/* SPDX-License-Identifier: Apache-2.0
 *
 * See store-host.h. Readers: what comes on their lanes, waiting for it, acknowledging it.
 */
#include "harness/store-host-inside.h"

#include <string.h>

void
store_host_note_records(emesh_reader *reader, const emesh_record *records, uint32_t n)
{
    store_reader *r = (store_reader *)(void *)reader;
    if (r->h->on_records != NULL) { /* without the lock: a benchmark counts itself */
        r->h->on_records(r->h->on_records_ctx, r, records, n);
        return;
    }
    pthread_mutex_lock(&r->h->lock);
    for (uint32_t i = 0; i < n; i++) {
        store_seen one = { .offset = records[i].position.lo, .due = records[i].position.hi,
                           .flags = records[i].flags, .attempt = records[i].attempt,
                           .partition = records[i].partition };
        if (records[i].event != NULL) {
            const emesh_attr *id = emesh_event_attr(records[i].event, "id", 2);
            memcpy(one.id, id->value, MIN(id->value_len, sizeof one.id - 1));
            if (r->check && !store_host_event_ok(records[i].event, r->size))
                r->bad++;
        }
        g_array_append_val(r->seen, one);
        if (r->h->on_seen != NULL)
            r->h->on_seen(r->h->on_seen_ctx, r, one.id, one.offset);
    }
    pthread_cond_broadcast(&r->h->wake);
    pthread_mutex_unlock(&r->h->lock);
}

void
store_host_note_partition(emesh_reader *reader, uint32_t change, uint32_t partition,
                          const char *name, size_t len, const emesh_error *err)
{
    store_reader *r = (store_reader *)(void *)reader;
    (void)err;
    pthread_mutex_lock(&r->h->lock);
    if (change == EMESH_PARTITION_ASSIGNED && r->n_parts < G_N_ELEMENTS(r->numbers)) {
        r->numbers[r->n_parts] = partition;
        if (len == 5 && memcmp(name, "inbox", 5) == 0)
            r->inbox = partition;
    }
    r->n_parts += change == EMESH_PARTITION_ASSIGNED;
    r->caught_up += change == EMESH_PARTITION_CAUGHT_UP;
    pthread_cond_broadcast(&r->h->wake);
    pthread_mutex_unlock(&r->h->lock);
}

void
store_host_on_records(store_host *h,
                      void (*fn)(void *ctx, store_reader *r, const emesh_record *records,
                                 uint32_t n),
                      void *ctx)
{
    h->on_records = fn;
    h->on_records_ctx = ctx;
}

void
store_host_on_seen(store_host *h,
                   void (*fn)(void *ctx, const store_reader *r, const char *id, uint64_t offset),
                   void *ctx)
{
    pthread_mutex_lock(&h->lock);
    h->on_seen = fn;
    h->on_seen_ctx = ctx;
    pthread_mutex_unlock(&h->lock);
}

typedef struct reading {
    store_reader *r;
    emesh_read_spec spec;
    const emesh_start *start;
    emesh_commit commit;
    uint32_t records, epoch;
    uint64_t bytes;
    store_op op;
} reading;

static void
read_open(void *ctx)
{
    reading *o = ctx;
    store_reader *r = o->r;
    r->cursor = sa_cursor_open(r->h->lanes[r->lane], &o->spec, (emesh_reader *)(void *)r);
    for (uint32_t i = 0; i < r->n_parts; i++)
        sa_cursor_begin(r->cursor, r->numbers[i], 1, o->start);
}

store_reader *
store_host_read(store_host *h, uint32_t lane, struct emesh_topic *topic, const char *group,
                const emesh_start *start)
{
    store_reader *r = g_new0(store_reader, 1);
    reading o = { .r = r, .start = start,
                  .spec = { .size = sizeof o.spec, .topic = topic,
                            .mode = group != NULL ? EMESH_READ_SHARED : EMESH_READ_ALONE,
                            .group = { group, group != NULL ? strlen(group) : 0 } } };
    r->h = h;
    r->lane = lane;
    r->inbox = UINT32_MAX;
    r->seen = g_array_new(FALSE, FALSE, sizeof(store_seen));
    r->ids = g_string_chunk_new(4096);
    g_ptr_array_add(h->readers, r);
    store_host_on_lane(h, lane, read_open, &o);
    return r;
}

static void
read_want(void *ctx)
{
    reading *o = ctx;
    sa_cursor_want(o->r->cursor, o->records, o->bytes);
}

void
store_host_want(store_reader *r, uint32_t records, uint64_t bytes)
{
    reading o = { .r = r, .records = records, .bytes = bytes };
    store_host_on_lane(r->h, r->lane, read_want, &o);
}

typedef struct seeing {
    store_reader *r;
    uint32_t n;
} seeing;

static bool
saw_n(void *ctx)
{
    const seeing *s = ctx;
    return s->r->seen->len >= s->n;
}

void
store_host_records(store_reader *r, uint32_t n)
{
    seeing s = { r, n };
    store_host_wait(r->h, saw_n, &s);
}

static bool
at_end(void *ctx)
{
    const store_reader *r = ctx;
    return r->caught_up >= r->n_parts;
}

void
store_host_caught_up(store_reader *r)
{
    store_host_wait(r->h, at_end, r);
}

store_reader *
store_host_read_all(store_host *h, struct emesh_topic *topic, const char *group, size_t size)
{
    emesh_start start = { .size = sizeof start,
                          .kind = group != NULL ? EMESH_START_STORED : EMESH_START_EARLIEST };
    store_reader *r = store_host_read(h, 0, topic, group, &start);
    if (size > 0)
        store_host_check_data(r, size);
    store_host_want(r, 1000000, 1ull << 40);
    store_host_caught_up(r);
    return r;
}

uint32_t
store_host_n(store_reader *r)
{
    pthread_mutex_lock(&r->h->lock);
    uint32_t n = r->seen->len;
    pthread_mutex_unlock(&r->h->lock);
    return n;
}

static store_seen
seen_at(store_reader *r, uint32_t i)
{
    pthread_mutex_lock(&r->h->lock);
    g_assert_cmpuint(i, <, r->seen->len);
    store_seen one = g_array_index(r->seen, store_seen, i);
    pthread_mutex_unlock(&r->h->lock);
    return one;
}

const char *
store_host_id(store_reader *r, uint32_t i)
{
    store_seen one = seen_at(r, i);
    return g_string_chunk_insert(r->ids, one.id);
}

uint64_t
store_host_offset(store_reader *r, uint32_t i)
{
    return seen_at(r, i).offset;
}

uint32_t
store_host_flags(store_reader *r, uint32_t i)
{
    return seen_at(r, i).flags;
}

uint32_t
store_host_attempt(store_reader *r, uint32_t i)
{
    return seen_at(r, i).attempt;
}

uint32_t
store_host_bad(store_reader *r)
{
    pthread_mutex_lock(&r->h->lock);
    uint32_t bad = r->bad;
    pthread_mutex_unlock(&r->h->lock);
    return bad;
}

void
store_host_check_data(store_reader *r, size_t size)
{
    pthread_mutex_lock(&r->h->lock);
    r->check = true;
    r->size = size;
    pthread_mutex_unlock(&r->h->lock);
}

static void
read_commit(void *ctx)
{
    reading *o = ctx;
    sa_cursor_commit(o->r->cursor, &o->commit, 1);
}

void
store_host_commit(store_reader *r, uint64_t offset, uint32_t outcome, uint32_t attempts,
                  uint32_t epoch)
{
    reading o = { .r = r, .commit = { .position = { 0, offset }, .epoch = epoch,
                                      .outcome = outcome, .attempts = attempts } };
    store_host_on_lane(r->h, r->lane, read_commit, &o);
}

uint64_t
store_host_due(store_reader *r, uint32_t i)
{
    return seen_at(r, i).due;
}

bool
store_host_in_inbox(store_reader *r, uint32_t i)
{
    return seen_at(r, i).partition == r->inbox;
}

void
store_host_commit_inbox(store_reader *r, emesh_position position, uint32_t outcome,
                        uint32_t attempts, uint32_t epoch)
{
    reading o = { .r = r, .commit = { .position = position, .partition = r->inbox, .epoch = epoch,
                                      .outcome = outcome, .attempts = attempts } };
    store_host_on_lane(r->h, r->lane, read_commit, &o);
}

uint32_t
store_host_inbox(const store_reader *r)
{
    return r->inbox;
}

emesh_cursor *
store_host_cursor(store_reader *r)
{
    return r->cursor;
}

static void
read_begin(void *ctx)
{
    reading *o = ctx;
    sa_cursor_begin(o->r->cursor, 0, o->epoch, o->start);
}

void
store_host_begin(store_reader *r, uint32_t epoch, const emesh_start *start)
{
    reading o = { .r = r, .start = start, .epoch = epoch };
    store_host_on_lane(r->h, r->lane, read_begin, &o);
}

static void
read_close(void *ctx)
{
    reading *o = ctx;
    sa_cursor_close(o->r->cursor, (emesh_op *)(void *)&o->op);
}

void
store_host_reader_close(store_reader *r)
{
    reading o = { .r = r, .op.h = r->h };
    store_host_on_lane(r->h, r->lane, read_close, &o);
    store_host_op_wait(&o.op);
    g_ptr_array_remove(r->h->readers, r);
    g_array_unref(r->seen);
    g_string_chunk_free(r->ids);
    g_free(r);
}
