/* SPDX-License-Identifier: Apache-2.0
 *
 * See browse.h. A reader of its own on the lane that owns the group (or the topic's name, by
 * hash); what is to be told to the store is never told inside a call that it made, but in the
 * APPEND phase.
 */
#include "delivery/browse.h"
#include "delivery/sub.h"
#include "event/event.h"

#include <string.h>

#define IDLE_NS (1000u * 1000000ull) /* nothing came, and the store said no end: it is the end */
#define IDLES_BEFORE_PARTS 15u       /* so much longer where not even a partition came */

typedef struct part {
    uint32_t number, epoch; /* 0: not begun */
    const char *name;
    bool left_out, caught_up;
} part;

typedef struct end_waiter {
    void (*done)(void *ctx);
    void *ctx;
} end_waiter;

struct emesh_browse {
    emesh_job job;
    emesh_bus_lane *lane;
    emesh_bus_topic *topic; /* a reference */
    emesh_bus_topic *opened;
    emesh_inst *inst;
    emesh_cursor *cursor;
    emesh_reader reader;
    const emesh_browse_ops *ops;
    void *ctx;
    char *group, *partition;
    emesh_start start;
    emesh_phased step;
    emesh_alarm idle;
    GArray *parts; /* of part */
    GArray *bite;  /* of emesh_browsed */
    GArray *waits; /* of end_waiter */
    uint32_t epochs, asked, held, idles;
    bool keeps;    /* core keeps the place of the group: plain store */
    bool wanted;   /* the next bite is */
    bool closing, close_sent;
    int32_t code;
    char *why;
};

emesh_bus_lane *
emesh_browse_lane(const emesh_browse *b)
{
    return b->lane;
}

emesh_store *
emesh_browse_store(const emesh_browse *b)
{
    return b->topic->store;
}

emesh_cursor *
emesh_browse_cursor(const emesh_browse *b)
{
    return b->closing ? NULL : b->cursor;
}

static void on_touch(emesh_reader *reader);

static void
touch(emesh_browse *b)
{
    emesh_worker_phase(b->lane->worker, EMESH_PHASE_APPEND, &b->step);
}

static void
bite_clear(emesh_browse *b)
{
    for (uint32_t i = 0; i < b->bite->len; i++)
        emesh_event_unref(g_array_index(b->bite, emesh_browsed, i).event);
    g_array_set_size(b->bite, 0);
}

static void
browse_free(emesh_browse *b)
{
    g_autoptr(GArray) waits = g_steal_pointer(&b->waits);

    emesh_worker_unphase(b->lane->worker, EMESH_PHASE_APPEND, &b->step);
    emesh_worker_alarm(b->lane->worker, &b->idle, 0);
    g_ptr_array_remove_fast(b->lane->delivery->browses, b);
    b->ops->closed(b->ctx, b->code, b->why);
    for (uint32_t i = 0; i < waits->len; i++) {
        end_waiter *w = &g_array_index(waits, end_waiter, i);
        w->done(w->ctx);
    }
    bite_clear(b);
    g_array_unref(b->bite);
    g_array_unref(b->parts);
    emesh_topic_reading(NULL, b->opened);
    emesh_bus_topic_unref(b->topic);
    g_free(b->group);
    g_free(b->partition);
    g_free(b->why);
    g_free(b);
}

static void
close_with(emesh_browse *b, int32_t code, const char *why)
{
    if (b->closing)
        return;
    b->closing = true;
    b->code = code;
    b->why = g_strdup(why);
    touch(b);
}

void
emesh_browse_close(emesh_browse *b)
{
    close_with(b, EMESH_OK, NULL);
}

void
emesh_browse_hold(emesh_browse *b)
{
    b->held++;
}

void
emesh_browse_release(emesh_browse *b)
{
    if (--b->held == 0 && b->closing)
        touch(b);
}

void
emesh_browse_more(emesh_browse *b)
{
    b->wanted = true;
    on_touch(&b->reader);
}

/* ---- what the store tells ---- */

static part *
part_of(emesh_browse *b, uint32_t number)
{
    for (uint32_t i = 0; i < b->parts->len; i++) {
        part *p = &g_array_index(b->parts, part, i);
        if (p->number == number)
            return p;
    }
    return NULL;
}

static void
on_record(emesh_reader *reader, const emesh_record *record)
{
    emesh_browse *b = (emesh_browse *)((char *)reader - offsetof(emesh_browse, reader));
    const part *p = part_of(b, record->partition);
    emesh_browsed item = { .position = record->position, .stored_ms = record->stored_ms,
                           .number = record->partition, .epoch = record->epoch,
                           .flags = record->flags };

    b->asked -= b->asked > 0;
    if (p == NULL || p->epoch != record->epoch || b->closing)
        return;
    item.event = record->event != NULL ? emesh_event_ref(record->event) : NULL;
    item.partition = p->name;
    g_array_append_val(b->bite, item);
}

static void
on_partition(emesh_reader *reader, uint32_t change, uint32_t number, const char *name, int32_t code,
             const char *why)
{
    emesh_browse *b = (emesh_browse *)((char *)reader - offsetof(emesh_browse, reader));
    part *p = part_of(b, number), fresh = { .number = number, .name = name };

    switch (change) {
    case EMESH_PARTITION_ASSIGNED:
        fresh.left_out = (b->group != NULL && strcmp(name, "inbox") == 0) ||
                         (b->partition != NULL && strcmp(name, b->partition) != 0);
        if (p != NULL)
            *p = fresh;
        else
            g_array_append_val(b->parts, fresh);
        break;
    case EMESH_PARTITION_CAUGHT_UP:
        if (p != NULL)
            p->caught_up = true;
        break;
    case EMESH_PARTITION_REVOKING:
    case EMESH_PARTITION_LOST:
        if (p != NULL)
            p->left_out = true;
        break;
    case EMESH_PARTITION_END:
        close_with(b, code != EMESH_OK ? code : EMESH_E_LOST, why);
        break;
    default:
        break;
    }
}

static void
on_touch(emesh_reader *reader)
{
    emesh_browse *b = (emesh_browse *)((char *)reader - offsetof(emesh_browse, reader));

    emesh_worker_alarm(b->lane->worker, &b->idle, emesh_worker_now(b->lane->worker) + IDLE_NS);
    touch(b);
}

static const emesh_reader_ears ears = { on_record, on_partition, on_touch };

/* ---- steps ---- */

static void
closed(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    (void)code, (void)err, (void)value;
    browse_free(ctx);
}

static void
begin_parts(emesh_browse *b)
{
    for (uint32_t i = 0; i < b->parts->len; i++) {
        part *p = &g_array_index(b->parts, part, i);
        emesh_start start = b->start;

        if (p->epoch != 0 || p->left_out)
            continue;
        p->epoch = ++b->epochs;
        if (b->keeps && !emesh_positions_find(b->lane->bus, b->inst->name, b->topic->name, b->group,
                                              p->name, &start))
            start = (emesh_start){ .kind = EMESH_START_EARLIEST };
        if (b->group != NULL && !b->keeps)
            start = (emesh_start){ .kind = EMESH_START_STORED };
        start.size = sizeof start;
        b->inst->storage.begin(b->cursor, p->number, p->epoch, &start);
    }
}

static bool
at_end(const emesh_browse *b)
{
    for (uint32_t i = 0; i < b->parts->len; i++) {
        const part *p = &g_array_index(b->parts, part, i);
        if (!p->left_out && !p->caught_up)
            return false;
    }
    return b->parts->len > 0;
}

static void
hand_over(emesh_browse *b, bool last)
{
    g_autoptr(GArray) bite = b->bite;

    b->wanted = false;
    b->bite = g_array_new(FALSE, FALSE, sizeof(emesh_browsed));
    b->ops->bite(b->ctx, b, (const emesh_browsed *)(void *)bite->data, bite->len, last);
    for (uint32_t i = 0; i < bite->len; i++)
        emesh_event_unref(g_array_index(bite, emesh_browsed, i).event);
}

static void
step(emesh_phased *item)
{
    emesh_browse *b = (emesh_browse *)((char *)item - offsetof(emesh_browse, step));

    if (b->closing) {
        if (b->close_sent || b->held > 0)
            return;
        b->close_sent = true;
        if (b->cursor != NULL)
            b->inst->storage.close(b->cursor,
                                   emesh_op_new(b->inst, b->lane->worker, NULL, closed, b));
        else
            browse_free(b);
        return;
    }
    begin_parts(b);
    if (!b->wanted)
        return;
    if (b->bite->len > 0 && (b->asked == 0 || b->bite->len >= EMESH_BITE_RECORDS / 2)) {
        hand_over(b, false);
    } else if (at_end(b)) {
        hand_over(b, true);
    } else if (b->asked == 0) {
        b->asked = EMESH_BITE_RECORDS;
        b->inst->storage.want(b->cursor, EMESH_BITE_RECORDS, EMESH_BITE_BYTES);
    }
}

static void
idle(emesh_alarm *alarm)
{
    emesh_browse *b = (emesh_browse *)((char *)alarm - offsetof(emesh_browse, idle));

    if (b->closing || !b->wanted)
        return;
    if (b->parts->len == 0 && b->idles++ < IDLES_BEFORE_PARTS)
        on_touch(&b->reader); /* a broker has not said yet which partitions are ours */
    else
        hand_over(b, b->bite->len == 0);
}

void
emesh_browse_commit(emesh_browse *b, const emesh_browsed *item, uint32_t outcome)
{
    emesh_commit commit = { .position = item->position, .partition = item->number,
                            .epoch = item->epoch, .outcome = outcome };
    uint32_t stride = b->inst->layout.commit;
    g_autofree char *wide = g_malloc0(MAX(stride, (uint32_t)sizeof commit));

    if (b->closing)
        return;
    if (b->keeps) {
        emesh_positions_put(b->lane->bus, b->lane->worker, b->inst->name, b->topic->name, b->group,
                            item->partition, item->position);
        return;
    }
    memcpy(wide, &commit, MIN(stride, sizeof commit));
    b->inst->storage.commit(b->cursor, (const emesh_commit *)(void *)wide, 1);
}

uint32_t
emesh_browses_end(emesh_bus_lane *lane, const emesh_bus_topic *topic, void (*done)(void *ctx),
                  void *ctx)
{
    GPtrArray *all = lane->delivery->browses;
    end_waiter waiter = { done, ctx };
    uint32_t n = 0;

    for (uint32_t i = 0; i < all->len; i++) {
        emesh_browse *b = all->pdata[i];
        if (strcmp(b->topic->name, topic->name) != 0)
            continue;
        g_array_append_val(b->waits, waiter);
        close_with(b, EMESH_E_CLOSED, "the topic goes, or its store, or the daemon is stopping");
        n++;
    }
    return n;
}

static void
open_run(emesh_job *job)
{
    emesh_browse *b = (emesh_browse *)job;
    emesh_loop *loop = emesh_inst_loop(b->inst, b->lane->worker);
    emesh_read_spec spec = {
        .size = sizeof spec,
        .mode = b->group != NULL && !b->keeps ? EMESH_READ_SHARED : EMESH_READ_ALONE,
        .topic = emesh_topic_current(b->topic)->handle,
        .group = { b->group, b->group != NULL ? strlen(b->group) : 0 },
    };

    g_ptr_array_add(b->lane->delivery->browses, b);
    b->opened = emesh_topic_reading(emesh_topic_current(b->topic), NULL);
    b->cursor = b->inst->storage.open(loop->lane, &spec, &b->reader);
    if (b->cursor == NULL)
        close_with(b, EMESH_E_NO_MEMORY, "the store could not open a reader");
    b->wanted = true;
    on_touch(&b->reader);
}

void
emesh_browse_open(emesh_bus *bus, const emesh_browse_spec *spec)
{
    emesh_browse *b = g_new0(emesh_browse, 1);
    const char *by = spec->group != NULL ? spec->group : spec->topic->name;

    b->job.run = open_run;
    b->topic = emesh_bus_topic_ref(spec->topic);
    b->inst = spec->topic->store->inst;
    b->lane = emesh_delivery_owner(bus, spec->topic->store, by, strlen(by));
    b->reader = (emesh_reader){ .ears = &ears, .lane = b->lane, .inst = b->inst };
    b->ops = spec->ops;
    b->ctx = spec->ctx;
    b->group = g_strdup(spec->group);
    b->keeps = spec->group != NULL &&
               !emesh_store_can(spec->topic->store, EMESH_STORE_CAN_GROUPS);
    b->partition = g_strdup(spec->partition);
    b->start = spec->start;
    b->step.run = step;
    b->idle.due = idle;
    b->parts = g_array_new(FALSE, FALSE, sizeof(part));
    b->bite = g_array_new(FALSE, FALSE, sizeof(emesh_browsed));
    b->waits = g_array_new(FALSE, FALSE, sizeof(end_waiter));
    emesh_worker_post(b->lane->worker, &b->job);
}
