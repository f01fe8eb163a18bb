/* SPDX-License-Identifier: Apache-2.0
 *
 * Replay and purge of dead letters: a browse of what EMESH_LETTERS_GROUP has not done; each letter
 * goes into the inbox of the group that failed, with no attempt counted, and is done with that: in
 * one unit where the store can. So a replay that is cut goes on where it was, and sends none
 * twice. What is buried while it runs is not its business. Begins and ends on main, works on the
 * lane of the browse.
 */
#include "bus/gather.h"
#include "bus/own-topic.h"
#include "bus/publish.h"
#include "delivery/letters.h"
#include "delivery/rest.h"
#include "delivery/where.h"
#include "event/event.h"

#include <string.h>

#define UNDER_WAY 32u /* writes at a time */

typedef struct letter_write {
    emesh_own_append append;
    emesh_topic_waiter waiter;
    emesh_replay *replay;
    emesh_browsed item; /* without event */
    bool unit, boxed;
} letter_write;

struct emesh_replay {
    emesh_job job;
    emesh_bus *bus;
    emesh_store *store; /* of the letters */
    char *group, *topic;
    emesh_where *where;
    bool purge;
    bool each; /* the store settles single records */
    uint64_t rate, begun_ms;
    GHashTable *lasts;  /* partition → emesh_position */
    GHashTable *topics; /* names there are: none is made anew; NULL: the store does not tell */
    void (*begun)(void *ctx, int32_t code, const char *why);
    void *ctx;
    /* atomic */
    uint64_t total, done, left, twice, stuck, ended_ms;
    uint32_t state, stop;
    char *why; /* [main] at the end */
    /* the lane's */
    emesh_browse *browse;
    emesh_alarm pace;
    GHashTable *seen;
    GArray *items; /* of emesh_browsed: the bite */
    uint32_t at, under_way;
    uint64_t next_ns;
    bool last, closed;
    char *broken; /* a write failed */
};

static void go(emesh_replay *r);

void
emesh_replay_free(void *data)
{
    emesh_replay *r = data;

    g_free(r->group);
    g_free(r->topic);
    g_free(r->why);
    g_free(r->broken);
    emesh_where_free(r->where);
    g_clear_pointer(&r->lasts, g_hash_table_unref);
    g_clear_pointer(&r->topics, g_hash_table_unref);
    g_clear_pointer(&r->seen, g_hash_table_unref);
    g_clear_pointer(&r->items, g_array_unref);
    g_free(r);
}

static void
add(uint64_t *counter)
{
    __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

/* ---- the end ---- */

static void
over(emesh_job *job)
{
    emesh_replay *r = (emesh_replay *)job;
    uint32_t state = r->broken != NULL ? EMESH_REPLAY_FAILED
                     : r->last         ? EMESH_REPLAY_DONE
                                       : EMESH_REPLAY_STOPPED;

    g_free(r->why);
    r->why = g_steal_pointer(&r->broken);
    g_clear_pointer(&r->seen, g_hash_table_unref);
    __atomic_store_n(&r->ended_ms, (uint64_t)g_get_real_time() / 1000u, __ATOMIC_RELAXED);
    __atomic_store_n(&r->state, state, __ATOMIC_RELAXED);
}

static void
items_clear(emesh_replay *r)
{
    for (uint32_t i = 0; i < r->items->len; i++)
        emesh_event_unref(g_array_index(r->items, emesh_browsed, i).event);
    g_array_set_size(r->items, 0);
    r->at = 0;
}

static void
on_closed(void *ctx, int32_t code, const char *why)
{
    emesh_replay *r = ctx;

    emesh_worker_alarm(emesh_browse_lane(r->browse)->worker, &r->pace, 0);
    items_clear(r);
    if (code != EMESH_OK && r->broken == NULL)
        r->broken = g_strdup(why != NULL ? why : "the topic could not be read");
    r->job = (emesh_job){ .run = over };
    emesh_worker_post(r->bus->main, &r->job);
}

/* ---- one letter ---- */

/* Was it there when the replay began? */
static bool
is_new(const emesh_replay *r, const emesh_browsed *item)
{
    const emesh_position *last = g_hash_table_lookup(r->lasts, item->partition);

    return last != NULL ? emesh_position_compare(item->position, *last) > 0
                        : item->stored_ms >= r->begun_ms;
}

/* Done, one way or the other: nobody gets it by the next replay. */
static void
settle(emesh_replay *r, const emesh_browsed *item)
{
    if (r->each)
        emesh_browse_commit(r->browse, item, EMESH_COMMIT_ONE);
}

/* The store settles no single records: all of the bite are done. */
static void
settle_bite(emesh_replay *r)
{
    for (uint32_t i = 0; !r->each && i < r->items->len; i++)
        if (!is_new(r, &g_array_index(r->items, emesh_browsed, i)))
            emesh_browse_commit(r->browse, &g_array_index(r->items, emesh_browsed, i),
                                EMESH_COMMIT_UP_TO);
}

static void
write_end(letter_write *w, int32_t code, const char *why)
{
    emesh_replay *r = w->replay;

    r->under_way--;
    if (code == EMESH_OK) {
        add(&r->done);
        if (!w->unit)
            settle(r, &w->item);
    } else if (r->broken == NULL) {
        r->broken = g_strdup(why != NULL ? why : "the store could not write it and did not say why");
    }
    emesh_event_unref(w->append.event);
    g_free(w);
    emesh_browse_release(r->browse);
    go(r);
}

static void
written(emesh_own_append *append, emesh_bus_lane *lane, int32_t code, emesh_position position,
        const char *why)
{
    letter_write *w = (letter_write *)((char *)append - offsetof(letter_write, append));

    (void)position;
    if (code == EMESH_OK && append->group.len > 0)
        emesh_rest_rouse(lane, append->topic, w->replay->group);
    write_end((letter_write *)((char *)append - offsetof(letter_write, append)), code, why);
}

static void topic_there(emesh_topic_waiter *waiter, emesh_bus_lane *lane, emesh_bus_topic *topic,
                        int32_t code, const char *why);

/* The inbox of the group is a topic in this store, and the event says whose it is. */
static void
to_box(letter_write *w, emesh_bus_lane *lane, const emesh_bus_topic *origin)
{
    g_autofree char *name = emesh_inbox_topic(origin->store, w->replay->group);
    emesh_bus_topic *box = emesh_topic_find(lane, name, strlen(name));
    emesh_rung rung = { .topic = origin->name, .group = w->replay->group };
    const emesh_event *event = emesh_rung_put(w->append.event, &rung, NULL);

    w->boxed = true;
    if (event == NULL) {
        write_end(w, EMESH_E_NO_MEMORY, "no memory for the event");
        return;
    }
    emesh_event_unref(w->append.event);
    w->append.event = event;
    w->waiter.ready = topic_there;
    if (box != NULL)
        topic_there(&w->waiter, lane, box, EMESH_OK, NULL);
    else
        emesh_topic_await_in(lane, name, strlen(name), origin->store->inst->name, &w->waiter);
}

static void
write_to(letter_write *w, emesh_bus_lane *lane, emesh_bus_topic *topic)
{
    emesh_replay *r = w->replay;
    emesh_store *store = topic->store;
    emesh_cursor *cursor = emesh_browse_cursor(r->browse);

    if (!w->boxed && !emesh_store_can(store, EMESH_STORE_CAN_INBOX)) {
        to_box(w, lane, topic);
        return;
    }
    if (cursor == NULL) {
        write_end(w, EMESH_E_CLOSED, "the topic goes, or its store");
        return;
    }
    w->unit = r->each && store == emesh_browse_store(r->browse) &&
              emesh_store_can(store, EMESH_STORE_CAN_UNIT);
    w->append.topic = topic;
    w->append.level = emesh_store_gives(store, EMESH_LEVEL_SYNCED)
                          ? MAX(topic->level, EMESH_LEVEL_SYNCED)
                          : topic->level;
    if (!w->boxed)
        w->append.group = (emesh_slice){ r->group, strlen(r->group) };
    w->append.cursor = w->unit ? cursor : NULL;
    w->append.commit = (emesh_commit){ .position = w->item.position,
                                       .partition = w->item.number,
                                       .epoch = w->item.epoch,
                                       .outcome = EMESH_COMMIT_ONE };
    emesh_own_append_queue(lane, &w->append);
}

static void
topic_there(emesh_topic_waiter *waiter, emesh_bus_lane *lane, emesh_bus_topic *topic, int32_t code,
            const char *why)
{
    letter_write *w = (letter_write *)((char *)waiter - offsetof(letter_write, waiter));

    if (topic != NULL)
        write_to(w, lane, topic);
    else
        write_end(w, code != EMESH_OK ? code : EMESH_E_LOST, why);
}

static void
send(emesh_replay *r, const emesh_browsed *item, const char *origin)
{
    emesh_bus_lane *lane = emesh_browse_lane(r->browse);
    emesh_bus_topic *topic = emesh_topic_find(lane, origin, strlen(origin));
    const emesh_event *event = emesh_letter_open(item->event);
    letter_write *w;

    if (event == NULL) {
        r->broken = g_strdup("no memory for the event");
        return;
    }
    w = g_new0(letter_write, 1);
    w->replay = r;
    w->item = *item;
    w->item.event = NULL;
    w->append.event = event;
    w->append.done = written;
    r->under_way++;
    emesh_browse_hold(r->browse);
    if (topic != NULL) {
        write_to(w, lane, topic);
        return;
    }
    w->waiter.ready = topic_there;
    emesh_topic_await(lane, origin, strlen(origin), &w->waiter);
}

static void
one(emesh_replay *r, const emesh_browsed *item)
{
    g_autofree char *origin = NULL, *group = NULL;

    if (is_new(r, item))
        return;
    if (item->event == NULL) {
        settle(r, item);
        return;
    }
    if (r->where != NULL && !emesh_where_matches(r->where, item->event)) {
        add(&r->left);
        return;
    }
    if (!emesh_letters_first(r->seen, item->event)) {
        add(&r->twice);
        settle(r, item);
        return;
    }
    if (r->purge) {
        add(&r->done);
        settle(r, item);
        return;
    }
    origin = emesh_letter_text(item->event, "dltopic");
    group = emesh_letter_text(item->event, "dlgroup");
    if (origin == NULL || g_strcmp0(group, r->group) != 0 ||
        (r->topics != NULL && !g_hash_table_contains(r->topics, origin))) {
        add(&r->stuck);
        if (!r->each)
            r->broken = g_strdup("the topic of a dead letter is gone, and their store cannot leave "
                                 "a single one; purge them, or make the topic again");
    } else
        send(r, item, origin);
}

/* ---- the bite ---- */

static bool
must_pause(emesh_replay *r)
{
    emesh_worker *worker = emesh_browse_lane(r->browse)->worker;
    uint64_t now = emesh_worker_now(worker);

    if (r->rate == 0)
        return false;
    if (r->next_ns > now) {
        emesh_worker_alarm(worker, &r->pace, r->next_ns);
        return true;
    }
    r->next_ns = MAX(r->next_ns, now - MIN(now, UINT64_C(100000000)));
    r->next_ns += UINT64_C(1000000000) / r->rate;
    return false;
}

static void
go(emesh_replay *r)
{
    bool stop = __atomic_load_n(&r->stop, __ATOMIC_RELAXED) != 0;

    if (r->closed)
        return;
    while (!stop && r->broken == NULL && r->at < r->items->len && r->under_way < UNDER_WAY) {
        if (must_pause(r))
            return;
        one(r, &g_array_index(r->items, emesh_browsed, r->at++));
    }
    if (r->under_way > 0)
        return;
    if (stop || r->broken != NULL || (r->last && r->at == r->items->len)) {
        if (r->broken == NULL && r->at == r->items->len)
            settle_bite(r);
        r->last &= !stop;
        r->closed = true;
        emesh_browse_close(r->browse);
    } else if (r->at == r->items->len && r->items->len > 0) {
        settle_bite(r);
        items_clear(r);
        emesh_browse_more(r->browse);
    }
}

static void
pace_due(emesh_alarm *alarm)
{
    go((emesh_replay *)((char *)alarm - offsetof(emesh_replay, pace)));
}

static void
on_bite(void *ctx, emesh_browse *browse, const emesh_browsed *items, uint32_t n, bool last)
{
    emesh_replay *r = ctx;

    r->browse = browse;
    r->last = last;
    if (r->closed)
        return;
    g_array_append_vals(r->items, items, n);
    for (uint32_t i = 0; i < n; i++)
        if (items[i].event != NULL)
            emesh_event_ref(items[i].event);
    if (n == 0 && !last)
        emesh_browse_more(browse);
    else
        go(r);
}

static const emesh_browse_ops ops = { on_bite, on_closed };

/* ---- the begin ---- */

static void
refuse(emesh_replay *r, int32_t code, const char *why)
{
    r->begun(r->ctx, code, why);
    emesh_replay_free(r);
}

static void
opened(void *ctx, emesh_bus_topic *topic, int32_t code, const char *why)
{
    emesh_replay *r = ctx;
    emesh_browse_spec spec = { .topic = topic, .group = EMESH_LETTERS_GROUP, .ops = &ops,
                               .ctx = r };
    emesh_replay *before = emesh_replay_find(r->bus, r->group);

    if (topic == NULL) {
        refuse(r, code, why);
        return;
    }
    if (before != NULL &&
        __atomic_load_n(&before->state, __ATOMIC_RELAXED) == EMESH_REPLAY_RUNNING) {
        refuse(r, EMESH_E_BUSY, "a replay or purge of them is under way");
        return;
    }
    if (before != NULL)
        g_ptr_array_remove(r->bus->replays, before);
    g_ptr_array_add(r->bus->replays, r);
    emesh_browse_open(r->bus, &spec);
    r->begun(r->ctx, EMESH_OK, NULL);
}

static void
placed(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    emesh_replay *r = ctx;

    (void)value;
    if (code != EMESH_OK)
        refuse(r, code, err != NULL ? err->text : NULL);
    else
        emesh_topic_open_main(r->bus, r->topic, strlen(r->topic), NULL, opened, r);
}

static void
topics_listed(void *ctx, GArray *rows)
{
    emesh_replay *r = ctx;
    emesh_start earliest = { .size = sizeof earliest, .kind = EMESH_START_EARLIEST };
    emesh_admin place = { .size = sizeof place, .what = EMESH_CHANGE_PLACE,
                          .topic = { r->topic, strlen(r->topic) },
                          .group = { EMESH_LETTERS_GROUP, sizeof EMESH_LETTERS_GROUP - 1 },
                          .start = &earliest };

    if (rows->len > 0)
        r->topics = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (uint32_t i = 0; i < rows->len; i++)
        g_hash_table_add(r->topics, g_strdup(g_array_index(rows, emesh_listed, i).topic));
    if (!emesh_store_can(r->store, EMESH_STORE_CAN_GROUPS)) {
        placed(r, EMESH_OK, NULL, NULL);
        return;
    }
    r->store->inst->storage.admin(r->store->inst->self, &place,
                                  emesh_op_new(r->store->inst, r->bus->main, NULL, placed, r));
}

static void
copy_last(void *partition, void *last, void *ctx)
{
    g_hash_table_insert(ctx, g_strdup(partition), g_memdup2(last, sizeof(emesh_position)));
}

static void
found(void *ctx, const emesh_letters *letters)
{
    emesh_replay *r = ctx;

    if (letters->store == NULL || letters->left == 0) {
        refuse(r, EMESH_E_NOT_FOUND, "the group has no dead letters");
        return;
    }
    r->store = letters->store;
    r->each = emesh_store_can(r->store, EMESH_STORE_CAN_GROUPS) &&
              emesh_store_can(r->store, EMESH_STORE_CAN_ACK_EACH);
    if (!r->each && emesh_where_has_any(r->where)) {
        refuse(r, EMESH_E_UNSUPPORTED, "their store cannot remember single ones as done: leave the "
                                       "conditions out");
        return;
    }
    r->topic = g_strdup(letters->topic);
    r->total = letters->left;
    r->lasts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_foreach(letters->lasts, copy_last, r->lasts);
    emesh_list_stores(r->bus, EMESH_LIST_TOPICS, NULL, topics_listed, r);
}

void
emesh_replay_begin(emesh_bus *bus, const emesh_replay_spec *spec,
                   void (*begun)(void *ctx, int32_t code, const char *why), void *ctx)
{
    emesh_replay *r = g_new0(emesh_replay, 1);

    r->bus = bus;
    r->group = g_strdup(spec->group);
    r->where = spec->where;
    r->rate = spec->rate;
    r->purge = spec->purge;
    r->begun_ms = (uint64_t)g_get_real_time() / 1000u;
    r->seen = emesh_letters_seen_new();
    r->items = g_array_new(FALSE, FALSE, sizeof(emesh_browsed));
    r->pace.due = pace_due;
    r->begun = begun;
    r->ctx = ctx;
    emesh_letters_find(bus, spec->group, found, r);
}

emesh_replay *
emesh_replay_find(emesh_bus *bus, const char *group)
{
    for (uint32_t i = 0; i < bus->replays->len; i++) {
        emesh_replay *r = bus->replays->pdata[i];
        if (strcmp(r->group, group) == 0)
            return r;
    }
    return NULL;
}

void
emesh_replay_stop(emesh_replay *r)
{
    __atomic_store_n(&r->stop, 1, __ATOMIC_RELAXED);
}

void
emesh_replay_look(const emesh_replay *r, emesh_replay_report *out)
{
    *out = (emesh_replay_report){
        .state = __atomic_load_n(&r->state, __ATOMIC_RELAXED),
        .purge = r->purge,
        .total = r->total,
        .done = __atomic_load_n(&r->done, __ATOMIC_RELAXED),
        .left = __atomic_load_n(&r->left, __ATOMIC_RELAXED),
        .twice = __atomic_load_n(&r->twice, __ATOMIC_RELAXED),
        .stuck = __atomic_load_n(&r->stuck, __ATOMIC_RELAXED),
        .begun_ms = r->begun_ms,
        .ended_ms = __atomic_load_n(&r->ended_ms, __ATOMIC_RELAXED),
        .why = r->why,
    };
}
