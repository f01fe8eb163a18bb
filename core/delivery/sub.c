/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a subscription, and its pump: what is to be told to the store is never told inside a
 * call the store made, but at the end of the wake-up.
 */
#include "delivery/check.h"
#include "delivery/rest.h"
#include "delivery/browse.h"
#include "delivery/forget.h"

#include <string.h>

static char *
key_of(const char *topic, const char *group, size_t *len)
{
    size_t t = strlen(topic), g = strlen(group);
    char *key = g_malloc(t + g + 2);

    memcpy(key, topic, t + 1);
    memcpy(key + t + 1, group, g + 1);
    *len = t + g + 2;
    return key;
}

static unsigned
key_hash(const void *data)
{
    const emesh_sub_key *key = data;
    unsigned h = 5381;

    for (size_t i = 0; i < key->len; i++)
        h = h * 33 + (unsigned char)key->text[i];
    return h;
}

static gboolean
key_equal(const void *a, const void *b)
{
    const emesh_sub_key *x = a, *y = b;

    return x->len == y->len && memcmp(x->text, y->text, x->len) == 0;
}

emesh_delivery_lane *
emesh_delivery_lane_new(emesh_bus_lane *lane)
{
    emesh_delivery_lane *delivery = g_new0(emesh_delivery_lane, 1);

    delivery->lane = lane;
    delivery->subs = g_hash_table_new(key_hash, key_equal);
    delivery->alone = g_ptr_array_new();
    delivery->all = g_ptr_array_new();
    delivery->changes = g_ptr_array_new();
    delivery->browses = g_ptr_array_new();
    return delivery;
}

void
emesh_delivery_lane_free(emesh_delivery_lane *delivery)
{
    g_hash_table_unref(delivery->subs);
    g_ptr_array_unref(delivery->alone);
    emesh_check_end(delivery);
    emesh_rests_clear(delivery);
    g_ptr_array_unref(delivery->changes);
    emesh_tombs_clear(delivery);
    g_ptr_array_unref(delivery->browses);
    g_free(delivery);
}

emesh_bus_lane *
emesh_delivery_owner(emesh_bus *bus, const emesh_store *store, const char *group, size_t len)
{
    uint32_t hash = 2166136261u;
    emesh_loop *loop;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)group[i]) * 16777619u;
    loop = store->inst->loops[hash % store->inst->n_loops];
    for (uint32_t i = 0; i < __atomic_load_n(&bus->n_lanes, __ATOMIC_ACQUIRE); i++)
        if (bus->lanes[i]->worker == loop->worker)
            return bus->lanes[i];
    return emesh_bus_lane_add(bus, loop->worker); /* a store on GLIB lanes, first time */
}

static void pump(emesh_phased *item);
static void revoked_in_time(emesh_alarm *alarm);
static void ask_again(emesh_alarm *alarm);

emesh_sub *
emesh_sub_find(emesh_delivery_lane *owner, const char *topic, const char *group)
{
    emesh_sub_key key;
    g_autofree char *text = key_of(topic, group, &key.len);

    key.text = text;
    return g_hash_table_lookup(owner->subs, &key);
}

emesh_sub *
emesh_sub_new(emesh_delivery_lane *owner, emesh_bus_topic *topic, const char *group, bool alone)
{
    emesh_sub *sub = g_new0(emesh_sub, 1);

    sub->owner = owner;
    topic = emesh_topic_current(topic); /* a reload may have come between */
    sub->topic = emesh_bus_topic_ref(topic);
    sub->store = topic->store;
    sub->group = g_strdup(group);
    sub->alone = alone;
    sub->keeps = !alone && !emesh_store_can(sub->store, EMESH_STORE_CAN_GROUPS);
    sub->reader = (emesh_reader){ .ears = &emesh_sub_ears, .lane = owner->lane, .inst = sub->store->inst };
    sub->windows = g_ptr_array_new_with_free_func(emesh_window_free);
    sub->consumers = g_ptr_array_new();
    sub->commits = g_array_new(FALSE, FALSE, sizeof(emesh_commit));
    sub->waiting = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    sub->ended = g_array_new(FALSE, FALSE, sizeof(emesh_sub_ended));
    sub->stows = g_ptr_array_new();
    sub->unfit = g_array_new(FALSE, FALSE, sizeof(emesh_unfit));
    sub->overdue.due = emesh_sub_overdue;
    sub->probe.due = emesh_sub_probe;
    sub->due.due = emesh_sub_due;
    sub->next_turn.due = emesh_sub_next_turn;
    sub->save.due = emesh_positions_save;
    sub->revoked.due = revoked_in_time;
    sub->again.due = ask_again;
    sub->pump.run = pump;
    if (alone) {
        g_ptr_array_add(owner->alone, sub);
    } else {
        sub->key.text = key_of(topic->name, group, &sub->key.len);
        g_hash_table_insert(owner->subs, &sub->key, sub);
    }
    sub->state = EMESH_SUB_PLACING;
    emesh_check_add(sub);
    return sub;
}

emesh_sub *
emesh_sub_get(emesh_delivery_lane *owner, emesh_consumer *c)
{
    emesh_sub *sub = c->alone ? NULL : emesh_rest_find(owner, c->topic->name, c->group);

    if (sub != NULL)
        return sub;
    sub = emesh_sub_new(owner, c->topic, c->group, c->alone);
    sub->start = c->start;
    sub->fresh = true;
    emesh_sub_place(sub);
    return sub;
}

emesh_sub *
emesh_sub_own(emesh_delivery_lane *owner, emesh_bus_topic *topic, const char *group,
              const emesh_sub_role *role)
{
    emesh_sub *sub = emesh_sub_find(owner, topic->name, group);

    if (sub == NULL) {
        sub = emesh_sub_new(owner, topic, group, false);
        sub->role = role;
        sub->start.kind = emesh_store_can(sub->store, EMESH_STORE_CAN_REPLAY)
                              ? EMESH_START_EARLIEST
                              : EMESH_START_LATEST;
        emesh_sub_place(sub);
    }
    sub->users++;
    emesh_sub_touch(sub);
    return sub;
}

/* Does anybody want it to go on? */
static bool
is_wanted(const emesh_sub *sub)
{
    return sub->consumers->len > 0 || sub->users > 0 || sub->waking != NULL;
}

/* Whoever waited for the reader to be closed. */
static void
tell_ended(emesh_sub *sub)
{
    g_autoptr(GArray) ended = g_steal_pointer(&sub->ended);

    sub->ended = g_array_new(FALSE, FALSE, sizeof(emesh_sub_ended));
    for (uint32_t i = 0; i < ended->len; i++) {
        emesh_sub_ended *e = &g_array_index(ended, emesh_sub_ended, i);
        e->done(e->ctx);
    }
}

void
emesh_sub_free(emesh_sub *sub)
{
    emesh_worker *worker = sub->owner->lane->worker;

    emesh_check_remove(sub);
    emesh_rest_cancel(sub);
    emesh_rest_orphan(sub);
    if (sub->custody_ns != 0)
        emesh_sub_finding(sub, "custody-blocked", NULL);
    emesh_worker_unphase(worker, EMESH_PHASE_APPEND, &sub->pump);
    emesh_worker_alarm(worker, &sub->due, 0);
    emesh_worker_alarm(worker, &sub->overdue, 0);
    emesh_worker_alarm(worker, &sub->probe, 0);
    emesh_worker_alarm(worker, &sub->save, 0);
    emesh_worker_alarm(worker, &sub->next_turn, 0);
    emesh_worker_alarm(worker, &sub->revoked, 0);
    emesh_worker_alarm(worker, &sub->again, 0);
    if (sub->alone)
        g_ptr_array_remove_fast(sub->owner->alone, sub);
    else
        g_hash_table_remove(sub->owner->subs, &sub->key);
    if (sub->enrolled)
        emesh_forget_left(sub->owner->lane->bus, sub->group);
    if (sub->role != NULL)
        emesh_inbox_gone(sub);
    tell_ended(sub);
    if (sub->loans != NULL)
        g_hash_table_unref(sub->loans);
    g_free(sub->letters);
    emesh_slots_clear(&sub->slots);
    emesh_sub_count(sub);
    g_ptr_array_unref(sub->windows);
    g_ptr_array_unref(sub->consumers);
    g_array_unref(sub->commits);
    g_array_unref(sub->waiting);
    g_array_unref(sub->ended);
    g_ptr_array_unref(sub->stows);
    g_array_unref(sub->unfit);
    emesh_order_clear(sub);
    g_free((char *)(uintptr_t)sub->rule.dead_letter_store);
    if (sub->options != NULL)
        emesh_config_unref(sub->options);
    emesh_bus_topic_unref(sub->topic);
    g_free(sub->key.text);
    g_free(sub->group);
    g_free(sub);
}

void
emesh_sub_touch(emesh_sub *sub)
{
    emesh_worker_phase(sub->owner->lane->worker, EMESH_PHASE_APPEND, &sub->pump);
}

/* Everybody who joined and was not answered yet hears that the subscription stands. */
void
emesh_sub_answer(emesh_sub *sub)
{
    for (uint32_t i = 0; i < sub->consumers->len; i++) {
        emesh_consumer *c = sub->consumers->pdata[i];
        if (c->answered)
            continue;
        c->answered = true;
        emesh_mail_to(sub->owner->lane, c->home, emesh_member_joined, c->member);
    }
}

/* Tells all members that it is over, with the reason; they leave and the subscription closes. */
static void
tell_end(emesh_sub *sub, int32_t code, const char *why)
{
    for (uint32_t i = 0; i < sub->consumers->len; i++) {
        emesh_consumer *c = sub->consumers->pdata[i];
        emesh_mail *mail;

        emesh_consumer_return_all(c, false);
        mail = emesh_mail_to(sub->owner->lane, c->home,
                             c->answered ? emesh_member_ended : emesh_member_joined, c->member);
        c->answered = true;
        c->sub = NULL;
        mail->code = code;
        mail->from = g_strdup(why);
    }
    g_ptr_array_set_size(sub->consumers, 0);
}

void
emesh_sub_failed(emesh_sub *sub, int32_t code, const char *why)
{
    if (sub->role != NULL) {
        emesh_bus_warn(sub->owner->lane->bus, "delivery", "the daemon cannot read \"%s\": %s",
                       sub->topic->name, why != NULL ? why : "the store did not say why");
        sub->hurt = sub->pausing = true;
    } else {
        emesh_sub_note(sub, NULL, EMESH_WHY_SUBSCRIPTION_OVER, (uint64_t)code, why);
    }
    tell_end(sub, code, why);
    emesh_sub_touch(sub);
}

/* ---- the reader ---- */

static void
open_reader(emesh_sub *sub)
{
    emesh_inst *inst = sub->store->inst;
    emesh_read_spec spec = {
        .size = sizeof spec,
        .mode = sub->alone || sub->keeps ? EMESH_READ_ALONE : EMESH_READ_SHARED,
        .topic = sub->topic->handle,
        .group = { sub->group, strlen(sub->group) },
        .options = sub->options,
        .flags = sub->ordered ? EMESH_READ_ORDERED : 0u,
    };

    sub->loop = emesh_inst_loop(inst, sub->owner->lane->worker);
    sub->opened = emesh_topic_reading(sub->topic, sub->opened);
    sub->state = EMESH_SUB_OPENING;
    sub->asked = 0;
    sub->asked_bytes = 0;
    sub->cursor = inst->storage.open(sub->loop->lane, &spec, &sub->reader);
    if (sub->cursor == NULL) {
        emesh_sub_failed(sub, EMESH_E_NO_MEMORY, "the store could not open a reader");
        return;
    }
    if (!sub->alone && !sub->keeps)
        emesh_sub_answer(sub); /* the place is durable: what is published now will come */
    emesh_inbox_enter(sub);
    emesh_sub_touch(sub);
}

void
emesh_sub_placed(emesh_sub *sub, int32_t code, const char *why)
{
    if (code != EMESH_OK)
        emesh_sub_failed(sub, code, why);
    else if (is_wanted(sub) && !sub->ending && !sub->pausing && sub->change == NULL)
        open_reader(sub);
    else
        emesh_sub_touch(sub);
    if (sub->cursor == NULL)
        sub->state = EMESH_SUB_OPEN; /* without a reader: the pump ends or reopens it */
}

/* ---- the store is away ---- */

#define ASK_AGAIN_NS (500u * 1000000ull)
#define HURT_NS (5 * UINT64_C(1000000000)) /* one of the daemon's own that failed */

static void
topic_back(emesh_topic_waiter *waiter, emesh_bus_lane *lane, emesh_bus_topic *topic, int32_t code,
           const char *why)
{
    emesh_sub *sub = (emesh_sub *)((char *)waiter - offsetof(emesh_sub, waiter));

    sub->waiter.ready = NULL;
    if (sub->ending || !is_wanted(sub)) {
        sub->state = EMESH_SUB_OPEN; /* without a reader: the pump ends it */
        emesh_sub_touch(sub);
    } else if (topic != NULL) {
        emesh_bus_topic_unref(sub->topic);
        sub->topic = emesh_bus_topic_ref(topic);
        sub->store = topic->store;
        sub->reader.inst = topic->store->inst;
        sub->state = EMESH_SUB_PLACING;
        emesh_sub_place(sub);
    } else if (EMESH_CLASS(code) == 3) {
        emesh_worker_alarm(lane->worker, &sub->again,
                           emesh_worker_now(lane->worker) + ASK_AGAIN_NS);
    } else {
        sub->state = EMESH_SUB_OPEN;
        emesh_sub_failed(sub, code, why);
    }
}

static void
ask_again(emesh_alarm *alarm)
{
    emesh_sub *sub = (emesh_sub *)((char *)alarm - offsetof(emesh_sub, again));
    emesh_bus_lane *lane = sub->owner->lane;
    emesh_bus_topic *known = emesh_topic_find(lane, sub->topic->name, sub->topic->name_len);

    sub->waiter.ready = topic_back;
    if (known != NULL && known != sub->topic)
        topic_back(&sub->waiter, lane, known, EMESH_OK, NULL);
    else
        emesh_topic_await(lane, sub->topic->name, sub->topic->name_len, &sub->waiter);
}

/* The reader is closed and nothing of it is under way: read on, wait for the store, or end. */
static void
after_reader(emesh_sub *sub)
{
    sub->closed = false;
    if (sub->watch != NULL && emesh_rest_make(sub))
        return;
    if (sub->change != NULL && !sub->ending && !sub->pausing) {
        sub->state = EMESH_SUB_CHANGING;
        emesh_change_begin(sub->change);
        return;
    }
    if (sub->change != NULL)
        emesh_change_refuse(g_steal_pointer(&sub->change),
                            "the topic goes, or its store, or the daemon is stopping");
    if (is_wanted(sub) && sub->pausing && !sub->ending) {
        sub->pausing = false;
        sub->state = EMESH_SUB_PAUSED;
        tell_ended(sub);
        if (sub->hurt)
            emesh_worker_alarm(sub->owner->lane->worker, &sub->again,
                               emesh_worker_now(sub->owner->lane->worker) + HURT_NS);
        else if (!sub->owner->lane->draining)
            ask_again(&sub->again);
        sub->hurt = false;
        return;
    }
    if (is_wanted(sub) && !sub->ending) {
        sub->state = EMESH_SUB_PLACING;
        emesh_sub_place(sub);
        return;
    }
    if (sub->ending)
        tell_end(sub, EMESH_E_NOT_FOUND, "the topic has been deleted or the daemon is stopping");
    if (sub->forget && !sub->alone && !sub->keeps)
        emesh_group_forget(sub->topic, sub->group);
    emesh_sub_free(sub);
}

void
emesh_sub_changed(emesh_sub *sub)
{
    sub->change = NULL;
    after_reader(sub);
}

void
emesh_sub_saved(emesh_sub *sub)
{
    if (sub->closed)
        after_reader(sub);
}

static void
reader_closed(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    emesh_sub *sub = ctx;

    (void)value;
    if (code != EMESH_OK)
        emesh_bus_warn(sub->owner->lane->bus, "delivery",
                       "closing the reader of group \"%s\" on \"%s\": %s", sub->group,
                       sub->topic->name, err != NULL ? err->text : "failed");
    sub->cursor = NULL;
    sub->opened = emesh_topic_reading(NULL, sub->opened);
    sub->closed = true;
    if (sub->saving == 0)
        after_reader(sub);
}

/* What one of the daemon's own lent out comes back before it goes. */
static void
recall(emesh_sub *sub)
{
    for (uint32_t i = 0; sub->role != NULL && i < sub->windows->len; i++) {
        const emesh_window *window = sub->windows->pdata[i];
        for (uint32_t k = 0; k < window->order.n; k++)
            sub->role->drop(sub, window->order.at[(window->order.head + k) &
                                                  (window->order.room - 1)]);
    }
}

void
emesh_sub_close_reader(emesh_sub *sub)
{
    emesh_inst *inst = sub->store->inst;

    if (sub->keeps)
        emesh_positions_save(&sub->save);
    sub->state = EMESH_SUB_CLOSING;
    for (uint32_t i = 0; i < sub->consumers->len; i++)
        emesh_consumer_return_all(sub->consumers->pdata[i], false); /* before their slots go */
    emesh_inbox_leave(sub);
    recall(sub);
    emesh_order_clear(sub);
    for (uint32_t i = 0; i < sub->windows->len; i++)
        emesh_slots_forget(&sub->slots, sub->windows->pdata[i]);
    g_array_set_size(sub->waiting, 0);
    g_array_set_size(sub->unfit, 0);
    g_ptr_array_set_size(sub->windows, 0);
    emesh_sub_count(sub);
    if (sub->cursor == NULL) {
        reader_closed(sub, EMESH_OK, NULL, NULL);
        return;
    }
    inst->storage.close(sub->cursor,
                        emesh_op_new(inst, sub->owner->lane->worker, NULL, reader_closed, sub));
}

/* A partition that appeared while others were read already begins at its first event. */
static void
begin_windows(emesh_sub *sub)
{
    bool reading = sub->state == EMESH_SUB_OPEN;

    for (uint32_t i = 0; i < sub->windows->len; i++) {
        emesh_window *window = sub->windows->pdata[i];
        emesh_start start = sub->start;

        if (window->epoch != 0 || window->revoking || window->number == UINT32_MAX)
            continue;
        window->epoch = ++sub->epochs;
        window->offered = false;
        start.size = sizeof start;
        if (sub->keeps && emesh_positions_load(sub, window, &start))
            start.size = sizeof start;
        else if ((sub->alone || sub->keeps) && reading && i >= sub->opened->partitions)
            start.kind = EMESH_START_EARLIEST;
        else if (sub->alone || sub->keeps)
            start.kind = start.kind == EMESH_START_STORED ? EMESH_START_LATEST : start.kind;
        else
            start.kind = EMESH_START_STORED;
        sub->store->inst->storage.begin(sub->cursor, window->number, window->epoch, &start);
        if (sub->state == EMESH_SUB_OPENING) {
            sub->state = EMESH_SUB_OPEN;
            emesh_sub_answer(sub);
        }
    }
}

/* Gives back partitions whose offers are settled, or whose time is over. */
static void
release_windows(emesh_sub *sub, bool now)
{
    for (uint32_t i = 0; i < sub->windows->len; i++) {
        emesh_window *window = sub->windows->pdata[i];
        uint32_t open = 0, number = window->number, epoch = window->epoch;

        if (!window->revoking || window->number == UINT32_MAX)
            continue;
        for (uint32_t k = 0; k < window->order.n; k++) {
            uint32_t at = window->order.at[(window->order.head + k) & (window->order.room - 1)];
            open += emesh_slot_at(&sub->slots, at)->state == EMESH_SLOT_OFFERED ||
                    emesh_slot_at(&sub->slots, at)->state == EMESH_SLOT_LENT;
        }
        if (open > 0 && !now)
            continue;
        emesh_sub_commit(sub);
        emesh_sub_drop_window(sub, window); /* first: it may come back inside the call */
        sub->store->inst->storage.release(sub->cursor, number, epoch);
    }
}

static void
revoked_in_time(emesh_alarm *alarm)
{
    release_windows((emesh_sub *)((char *)alarm - offsetof(emesh_sub, revoked)), true);
}

void
emesh_sub_drop_slot(emesh_sub *sub, uint32_t at)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, at);

    if (sub->role != NULL)
        sub->role->drop(sub, at);
    if (slot->state == EMESH_SLOT_OFFERED)
        emesh_consumer_close_offer(sub, slot);
    if (sub->ordered)
        emesh_order_forget(sub, at);
    emesh_slot_unfit_forget(sub, at);
    if (slot->state == EMESH_SLOT_PARKING || slot->state == EMESH_SLOT_BURYING ||
        (slot->flags & EMESH_SLOT_KEEPING) != 0)
        emesh_stow_forget(sub, at);
    if (slot->state == EMESH_SLOT_WAITING)
        emesh_sub_wait_no_more(sub, at);
}

/* Forgets what a window held; its place in the table stays, for the slots' sake. */
void
emesh_sub_drop_window(emesh_sub *sub, emesh_window *window)
{
    for (uint32_t k = 0; k < window->order.n; k++)
        emesh_sub_drop_slot(
            sub, window->order.at[(window->order.head + k) & (window->order.room - 1)]);
    emesh_slots_forget(&sub->slots, window);
    window->number = UINT32_MAX;
    window->revoking = false;
    window->epoch = 0;
}

emesh_window *
emesh_sub_window(emesh_sub *sub, uint32_t number, uint16_t *place)
{
    for (uint32_t i = 0; i < sub->windows->len; i++) {
        emesh_window *window = sub->windows->pdata[i];
        if (window->number == number) {
            *place = (uint16_t)i;
            return window;
        }
    }
    return NULL;
}

/* A group on a plain store that has settled nothing yet has no position to come back to: what it was
 * offered stays in the window until somebody joins. */
static bool
must_stay(const emesh_sub *sub)
{
    for (uint32_t i = 0; sub->keeps && i < sub->windows->len; i++) {
        const emesh_window *window = sub->windows->pdata[i];
        if (window->order.n > 0 && !window->has_floor)
            return true;
    }
    return false;
}

#define LINGER_NS (30 * UINT64_C(1000000000))

static bool
has_suspect(const emesh_sub *sub)
{
    for (uint32_t i = 0; i < sub->windows->len; i++) {
        const emesh_window *window = sub->windows->pdata[i];
        for (uint32_t k = 0; k < window->order.n; k++) {
            uint32_t at = window->order.at[(window->order.head + k) & (window->order.room - 1)];
            const emesh_slot *slot = emesh_slot_at(&sub->slots, at);
            if (slot->state != EMESH_SLOT_SETTLED && (slot->flags & EMESH_SLOT_SUSPECT) != 0)
                return true;
        }
    }
    return false;
}

/* What is suspect must be known as such to the next who comes, if somebody does soon. */
static bool
lingers(emesh_sub *sub)
{
    emesh_worker *worker = sub->owner->lane->worker;
    uint64_t now = emesh_worker_now(worker);

    if (!has_suspect(sub))
        return false;
    if (sub->empty_ns == 0)
        sub->empty_ns = now;
    if (now >= sub->empty_ns + LINGER_NS)
        return false;
    emesh_worker_alarm(worker, &sub->probe, sub->empty_ns + LINGER_NS);
    return true;
}

static void
take_turn(emesh_sub *sub)
{
    if (sub->role != NULL) {
        sub->role->turn(sub);
        return;
    }
    emesh_sub_offer(sub);
    emesh_sub_custody(sub);
}

#define AWAKE 1024u /* so many of a lane may be idle and read all the same, until the next look */

static void
rest_at_once(emesh_sub *sub)
{
    sub->fresh = sub->read == 0;
    if (sub->fresh && sub->owner->all->len > AWAKE)
        emesh_rest_try(sub);
}

static void
pump(emesh_phased *item)
{
    emesh_sub *sub = (emesh_sub *)((char *)item - offsetof(emesh_sub, pump));

    bool draining = sub->owner->lane->draining;

    if (sub->state == EMESH_SUB_PAUSED && draining && sub->waiter.ready == NULL &&
        (sub->ending || !is_wanted(sub)))
        sub->state = EMESH_SUB_OPEN; /* nobody asks for the topic any more: it ends */
    if (sub->state == EMESH_SUB_PLACING || sub->state == EMESH_SUB_CLOSING ||
        sub->state == EMESH_SUB_PAUSED || sub->state == EMESH_SUB_CHANGING)
        return; /* whatever is under way comes back to here */
    if (sub->cursor != NULL) {
        begin_windows(sub);
        if (!draining)
            take_turn(sub);
        emesh_sub_commit(sub);
        release_windows(sub, false);
    }
    emesh_sub_count(sub);
    if (sub->consumers->len > 0)
        sub->empty_ns = 0;
    if (sub->ending || sub->pausing || sub->change != NULL || sub->cursor == NULL ||
        (!is_wanted(sub) && !must_stay(sub) && !lingers(sub))) {
        if (emesh_stows_quiet(sub)) /* else the last result touches it again */
            emesh_sub_close_reader(sub);
    } else if (!draining && sub->role != NULL)
        emesh_sub_want_own(sub);
    else if (!draining) {
        emesh_sub_want(sub);
        if (sub->fresh)
            rest_at_once(sub);
    }
}

/* ---- a topic goes ---- */

typedef struct end_topic {
    uint32_t left;
    void (*done)(void *ctx);
    void *ctx;
} end_topic;

static void
one_ended(void *ctx)
{
    end_topic *e = ctx;

    if (--e->left > 0)
        return;
    e->done(e->ctx);
    g_free(e);
}

static void
end_sub(emesh_sub *sub, end_topic *e, bool pause)
{
    emesh_sub_ended ended = { one_ended, e };

    e->left++;
    g_array_append_val(sub->ended, ended);
    if (pause)
        sub->pausing = true;
    else
        sub->ending = true;
    if (sub->state == EMESH_SUB_PAUSED) { /* nothing is open: it ends, or just goes on waiting */
        tell_ended(sub);
        sub->pausing = false;
    }
    emesh_sub_touch(sub);
}

/* topic NULL: of all */
static void
end_subs(emesh_delivery_lane *delivery, const emesh_bus_topic *topic, bool pause,
         void (*done)(void *ctx), void *ctx)
{
    end_topic *e = g_new0(end_topic, 1);
    GHashTableIter iter;
    void *value;

    e->left = 1;
    e->done = done;
    e->ctx = ctx;
    e->left += emesh_rests_end(delivery, topic, one_ended, e);
    g_hash_table_iter_init(&iter, delivery->subs);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (topic == NULL || ((emesh_sub *)value)->topic == topic)
            end_sub(value, e, pause);
    for (uint32_t i = 0; i < delivery->alone->len; i++)
        if (topic == NULL || ((emesh_sub *)delivery->alone->pdata[i])->topic == topic)
            end_sub(delivery->alone->pdata[i], e, pause);
    e->left += emesh_browses_end(delivery->lane, topic, one_ended, e);
    one_ended(e);
}

void
emesh_delivery_end_topic(emesh_delivery_lane *delivery, emesh_bus_topic *topic, bool pause,
                         void (*done)(void *ctx), void *ctx)
{
    end_subs(delivery, topic, pause, done, ctx);
}

void
emesh_delivery_end_all(emesh_delivery_lane *delivery, void (*done)(void *ctx), void *ctx)
{
    end_subs(delivery, NULL, true, done, ctx);
}

static void
swap(emesh_sub *sub, const emesh_bus_topic *old, emesh_bus_topic *fresh)
{
    if (sub->topic != old)
        return;
    emesh_bus_topic_unref(sub->topic);
    sub->topic = emesh_bus_topic_ref(fresh);
}

void
emesh_delivery_swap_topic(emesh_delivery_lane *delivery, const emesh_bus_topic *old,
                          emesh_bus_topic *fresh)
{
    GHashTableIter iter;
    void *value;

    emesh_rests_swap(delivery, old, fresh);
    g_hash_table_iter_init(&iter, delivery->subs);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        swap(value, old, fresh);
    for (uint32_t i = 0; i < delivery->alone->len; i++)
        swap(delivery->alone->pdata[i], old, fresh);
}
