/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a subscription, and its pump: what is to be told to the store is never told inside a
 * call the store made, but at the end of the wake-up.
 */
#include "delivery/check.h"
#include "delivery/forget.h"
#include "delivery/rest.h"

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
    sub->revoked.due = emesh_sub_revoked;
    sub->again.due = emesh_sub_ask_again;
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
bool
emesh_sub_is_wanted(const emesh_sub *sub)
{
    return sub->consumers->len > 0 || sub->users > 0 || sub->waking != NULL;
}

/* Whoever waited for the reader to be closed. */
void
emesh_sub_tell_ended(emesh_sub *sub)
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
    emesh_sub_tell_ended(sub);
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
void
emesh_sub_tell_end(emesh_sub *sub, int32_t code, const char *why)
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
    emesh_sub_tell_end(sub, code, why);
    emesh_sub_touch(sub);
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
        (sub->ending || !emesh_sub_is_wanted(sub)))
        sub->state = EMESH_SUB_OPEN; /* nobody asks for the topic any more: it ends */
    if (sub->state == EMESH_SUB_PLACING || sub->state == EMESH_SUB_CLOSING ||
        sub->state == EMESH_SUB_PAUSED || sub->state == EMESH_SUB_CHANGING)
        return; /* whatever is under way comes back to here */
    if (sub->cursor != NULL) {
        emesh_sub_begin_windows(sub);
        if (!draining)
            take_turn(sub);
        emesh_sub_commit(sub);
        emesh_sub_release_windows(sub, false);
    }
    emesh_sub_count(sub);
    if (sub->consumers->len > 0)
        sub->empty_ns = 0;
    if (sub->ending || sub->pausing || sub->change != NULL || sub->cursor == NULL ||
        (!emesh_sub_is_wanted(sub) && !must_stay(sub) && !lingers(sub))) {
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
