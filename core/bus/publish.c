/* SPDX-License-Identifier: Apache-2.0
 *
 * The way in on one lane: a prefix is accepted, each accepted item gets exactly one result. Slots
 * of publishes under way come from slabs, so that publishing allocates nothing of its own.
 */
#include "bus/append.h"
#include "bus/note.h"
#include "bus/request.h"
#include "event/event.h"

#include <string.h>

#define SLAB 256u

static void
slab_add(emesh_bus_lane *lane)
{
    emesh_pending *slab = g_new0(emesh_pending, SLAB);
    uint32_t base = lane->n_pending_slabs * SLAB;

    lane->pending_slabs =
        g_renew(emesh_pending *, lane->pending_slabs, lane->n_pending_slabs + 1);
    lane->pending_slabs[lane->n_pending_slabs++] = slab;
    for (uint32_t i = SLAB; i-- > 0;) {
        slab[i].index = base + i;
        slab[i].next_free = lane->pending_free;
        lane->pending_free = base + i + 1;
    }
}

emesh_pending *
emesh_pending_at(emesh_bus_lane *lane, uint32_t index)
{
    return index / SLAB < lane->n_pending_slabs ? &lane->pending_slabs[index / SLAB][index % SLAB]
                                                : NULL;
}

static emesh_pending *
pending_take(emesh_bus_lane *lane)
{
    emesh_pending *p;

    if (lane->pending_free == 0)
        slab_add(lane);
    p = emesh_pending_at(lane, lane->pending_free - 1);
    lane->pending_free = p->next_free;
    return p;
}

/* lane 8 bits, generation 24, index 32: a result that comes twice finds another generation */
uint64_t
emesh_pending_cookie(const emesh_bus_lane *lane, const emesh_pending *pending)
{
    return (uint64_t)lane->id << 56 | (uint64_t)(pending->generation & 0xffffffu) << 32 |
           pending->index;
}

static void
room_check(emesh_session *s)
{
    const emesh_daemon_options *limits = &s->lane->bus->limits;

    if (s->room_wanted && s->unacked <= limits->publisher_events / 2 &&
        s->unacked_bytes <= limits->publisher_bytes / 2) {
        s->room_wanted = false;
        s->room_due = true;
        emesh_session_call(s);
    }
}

static void
pending_give(emesh_bus_lane *lane, emesh_pending *p)
{
    emesh_event_unref(p->event);
    p->event = NULL;
    p->session = NULL;
    p->own = NULL;
    p->topic = NULL;
    p->generation++;
    p->next_free = lane->pending_free;
    lane->pending_free = p->index + 1;
}

static void
own_end(emesh_bus_lane *lane, emesh_pending *p, int32_t code, emesh_position position,
        const char *why)
{
    emesh_own_append *own = p->own;

    pending_give(lane, p); /* first: done may queue the next */
    own->done(own, lane, code, position, why);
}

void
emesh_own_append_queue(emesh_bus_lane *lane, emesh_own_append *own)
{
    emesh_pending *p = pending_take(lane);

    p->own = own;
    p->event = emesh_event_ref(own->event);
    p->topic = own->topic;
    p->level = own->level;
    p->bytes = (uint32_t)emesh_event_size(own->event);
    emesh_append_queue(lane, p);
}

void
emesh_pending_end(emesh_bus_lane *lane, emesh_pending *p, int32_t code, uint32_t level,
                  const char *why)
{
    emesh_session *session = p->session;

    if (p->own != NULL) {
        own_end(lane, p, code, (emesh_position){ 0 }, why);
        return;
    }
    if (p->deadline_ns != 0)
        g_queue_unlink(&lane->with_deadline, &p->in_deadlines);
    if (p->request != 0)
        emesh_request_stored(lane, p->request, code, why);
    else if (!p->answered)
        emesh_session_result(session, p->cookie, code, level, why);
    session->unacked--;
    lane->publishing--;
    session->unacked_bytes -= p->bytes;
    __atomic_sub_fetch(&lane->bus->queue_bytes, p->bytes, __ATOMIC_RELAXED);
    room_check(session);
    g_free(p->key);
    p->key = NULL;
    p->deadline_ns = p->deliver_at_ms = p->request = 0;
    p->answered = false;
    pending_give(lane, p);
    emesh_session_unref(session);
}

void
emesh_publish_done(emesh_bus_lane *lane, uint64_t cookie, int32_t code, uint32_t level,
                   emesh_position position, const char *reason, size_t reason_len)
{
    emesh_pending *p = emesh_pending_at(lane, (uint32_t)cookie);
    g_autofree char *why = NULL;

    if (p == NULL || !emesh_pending_busy(p) || emesh_pending_cookie(lane, p) != cookie)
        return; /* the store answered twice: its conformance test says so, here it does no harm */
    if (code != EMESH_OK && reason_len > 0)
        why = g_strndup(reason, MIN(reason_len, 255u));
    if (p->own != NULL) {
        own_end(lane, p, code, position, why);
        return;
    }
    if (code == EMESH_OK) {
        lane->counts.appended++;
        if (p->deliver_at_ms == 0)
            __atomic_add_fetch(&p->topic->appended, 1, __ATOMIC_RELAXED);
        if (emesh_sampled(lane->notes, p->event))
            emesh_note_stored(lane, p, level, position);
    } else if (EMESH_CLASS(code) == 4) {
        lane->counts.unknown++;
        emesh_note_publish(lane, p, NULL, EMESH_WHY_UNKNOWN, code, why);
    } else {
        lane->counts.failed++;
        emesh_note_publish(lane, p, NULL, EMESH_WHY_REFUSED_STORE, code, why);
    }
    emesh_pending_end(lane, p, code, level, why);
}

static void
refuse(emesh_bus_lane *lane, emesh_pending *p, const char *topic, int32_t error, emesh_why why)
{
    lane->counts.refused++;
    emesh_note_publish(lane, p, topic, why.code, error, why.text); /* some codes have several */
    emesh_pending_end(lane, p, error, 0, why.text);
}

static void
pending_with_topic(emesh_bus_lane *lane, emesh_pending *p, emesh_bus_topic *topic)
{
    emesh_why why = { 0 };
    int32_t code = p->request != 0 ? emesh_request_stamp(lane, p, topic, &why) : EMESH_OK;
    emesh_staged item = { .session = p->session, .topic = topic, .event = p->event,
                          .level = p->level, .deliver_at_ms = p->deliver_at_ms };

    if (code == EMESH_OK)
        code = emesh_stages_with_topic(&item, &why);
    p->deliver_at_ms = item.deliver_at_ms;
    if (code != EMESH_OK) {
        refuse(lane, p, topic->name, code, why);
        return;
    }
    if (emesh_sampled(lane->notes, p->event))
        emesh_note_publish(lane, p, topic->name, EMESH_WHY_ACCEPTED, 0, NULL);
    if (p->deliver_at_ms != 0 && emesh_store_ladders(topic->store)) {
        emesh_append_ladder(lane, p, topic);
        return;
    }
    p->topic = topic;
    emesh_append_queue(lane, p);
}

static void
topic_ready(emesh_topic_waiter *waiter, emesh_bus_lane *lane, emesh_bus_topic *topic, int32_t code,
            const char *why)
{
    emesh_pending *p = (emesh_pending *)((char *)waiter - offsetof(emesh_pending, waiter));
    g_autofree char *wanted = g_steal_pointer(&p->wanted);

    if (topic != NULL) {
        pending_with_topic(lane, p, topic);
        return;
    }
    emesh_note_publish(lane, p, wanted, EMESH_WHY_REFUSED_TOPIC, code, why);
    emesh_pending_end(lane, p, code, 0, why);
}

static emesh_bus_topic *
topic_of(emesh_session *s, emesh_slice name)
{
    emesh_bus_topic *topic = s->last_topic;

    if (topic != NULL && topic->name_len == name.len &&
        memcmp(topic->name, name.ptr, name.len) == 0)
        return topic;
    topic = emesh_topic_find(s->lane, name.ptr, name.len);
    if (topic != NULL)
        s->last_topic = topic;
    return topic;
}

/* Before a stop nothing new comes in; a reply is not new, somebody waits for it. */
static int32_t
before_topic(const emesh_bus_lane *lane, const emesh_publish *item, emesh_why *why)
{
    if (!lane->draining || item->what == EMESH_PUB_REPLY)
        return emesh_stages_before_topic(item, why);
    *why = (emesh_why){ EMESH_WHY_REFUSED_STOPPING, "the daemon is stopping" };
    return EMESH_E_UNAVAILABLE;
}

static void
accept_one(emesh_session *s, const emesh_publish *item)
{
    emesh_bus_lane *lane = s->lane;
    emesh_pending *p = pending_take(lane);
    emesh_why why = { 0 };
    emesh_bus_topic *topic;
    int32_t code;

    p->session = s;
    emesh_session_ref(s);
    p->event = emesh_event_ref(item->event);
    p->cookie = item->cookie;
    p->level = item->level;
    p->bytes = (uint32_t)emesh_event_size(item->event);
    p->deadline_ns = item->what == EMESH_PUB_REQUEST ? 0 : item->deadline_ns;
    p->deliver_at_ms = item->deliver_at_ms;
    if (item->key.len > 0) {
        p->key = g_strndup(item->key.ptr, item->key.len);
        p->key_len = (uint32_t)item->key.len;
    }
    s->unacked++;
    lane->publishing++;
    s->unacked_bytes += p->bytes;
    s->published++;
    lane->counts.published++;
    __atomic_add_fetch(&lane->bus->queue_bytes, p->bytes, __ATOMIC_RELAXED);
    if (p->deadline_ns != 0) {
        p->in_deadlines = (GList){ .data = p };
        g_queue_push_tail_link(&lane->with_deadline, &p->in_deadlines);
        if (lane->deadlines.place == 0 || lane->deadlines.at_ns > p->deadline_ns)
            emesh_worker_alarm(lane->worker, &lane->deadlines, p->deadline_ns);
    }
    code = before_topic(lane, item, &why);
    if (code == EMESH_OK && item->what == EMESH_PUB_REQUEST)
        code = emesh_request_begin(lane, p, item, &why);
    if (code != EMESH_OK) {
        g_autofree char *name = g_strndup(item->topic.ptr, MIN(item->topic.len, 249u));
        refuse(lane, p, name, code, why);
        return;
    }
    topic = topic_of(s, item->topic);
    if (topic != NULL) {
        pending_with_topic(lane, p, topic);
        return;
    }
    p->waiter.ready = topic_ready;
    p->wanted = g_strndup(item->topic.ptr, item->topic.len);
    emesh_topic_await(lane, item->topic.ptr, item->topic.len, &p->waiter);
}

static void
refuse_newer(emesh_session *s, const emesh_publish *item, int32_t code)
{
    emesh_pending none = { .session = s, .event = item->event };
    g_autofree char *name = g_strndup(item->topic.ptr, MIN(item->topic.len, 249u));

    emesh_note_publish(s->lane, &none, name, EMESH_WHY_REFUSED_NEWER, code, NULL);
    emesh_session_result(s, item->cookie, code, 0, "a newer kind of publish than this host");
}

#define LOOK_AGAIN_NS 1000000u

static bool
queue_is_full(const emesh_bus *bus)
{
    return __atomic_load_n(&bus->queue_bytes, __ATOMIC_RELAXED) >= bus->limits.append_queue;
}

static bool
has_room(const emesh_session *s)
{
    const emesh_bus *bus = s->lane->bus;

    return s->unacked < bus->limits.publisher_events &&
           (s->unacked == 0 || s->unacked_bytes < bus->limits.publisher_bytes) &&
           !queue_is_full(bus);
}

/* The queue of the whole daemon was full, and a session with nothing under way hears of no result. */
void
emesh_publish_look(emesh_alarm *alarm)
{
    emesh_bus_lane *lane = (emesh_bus_lane *)((char *)alarm - offsetof(emesh_bus_lane, queue_room));

    if (queue_is_full(lane->bus)) {
        emesh_worker_alarm(lane->worker, alarm, emesh_worker_now(lane->worker) + LOOK_AGAIN_NS);
        return;
    }
    for (GList *l = lane->sessions.head; l != NULL; l = l->next)
        room_check(l->data);
}

static void
await_room(emesh_session *s)
{
    emesh_bus_lane *lane = s->lane;

    s->room_wanted = true;
    if (s->unacked == 0 && lane->queue_room.place == 0)
        emesh_worker_alarm(lane->worker, &lane->queue_room,
                           emesh_worker_now(lane->worker) + LOOK_AGAIN_NS);
}

int32_t
emesh_publish_items(emesh_session *s, const emesh_publish *items, uint32_t n)
{
    uint32_t stride, i;

    if (s->closed || !s->opened_told)
        return EMESH_E_STATE;
    stride = s->inst->layout.publish;
    for (i = 0; i < n; i++) {
        emesh_publish copy;
        const emesh_publish *item = emesh_at(items, stride, i);
        int32_t code = EMESH_OK;

        if (stride != sizeof copy) {
            code = emesh_take(&copy, sizeof copy, items, stride, i);
            item = &copy;
        }
        if (code == EMESH_OK && item->what == EMESH_PUB_REPLY) {
            emesh_reply_publish(s, item); /* takes no room: it is answered at once */
            continue;
        }
        if (!has_room(s)) {
            await_room(s);
            break;
        }
        if (code != EMESH_OK)
            refuse_newer(s, &copy, code);
        else
            accept_one(s, item);
    }
    return (int32_t)i;
}
