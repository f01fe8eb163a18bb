/* SPDX-License-Identifier: Apache-2.0
 *
 * Members, on the session's lane.
 *
 *   subscribe → (topic) → JOIN … OFFER, SETTLE, WINDOW … LEAVE → GONE → FREE
 *
 * After GONE the owner writes no more, after FREE the member does not: so neither end is ever
 * written to when it is not there.
 */
#include "delivery/member.h"
#include "config/pattern.h"
#include "bus/note.h"
#include "delivery/adopt.h"
#include "delivery/patterns.h"
#include "delivery/rest.h"
#include "event/event.h"

#include <string.h>

#define REASON_MAX 256u
#define PUSH_TO_MAX 2048u
#define MAX_MEMBERS 4096u /* 12 bits of a delivery id */

/* ---- what members have in common ---- */

static emesh_terms *
terms_of(emesh_session *s, const emesh_terms *like, const char *group, size_t len)
{
    emesh_terms *t;

    for (t = s->terms; t != NULL; t = t->next)
        if (t->mode == like->mode && t->flags == like->flags &&
            t->ack_timeout_ns == like->ack_timeout_ns && t->window_bytes == like->window_bytes &&
            strlen(t->group) == len && memcmp(t->group, group, len) == 0)
            break;
    if (t == NULL) {
        t = g_malloc(sizeof *t + len + 1);
        *t = *like;
        t->refs = 0;
        t->next = s->terms;
        memcpy(t->group, group, len);
        t->group[len] = '\0';
        s->terms = t;
    }
    t->refs++;
    return t;
}

static void
terms_free(emesh_session *s, emesh_terms *t)
{
    emesh_terms **at = &s->terms;

    if (--t->refs > 0)
        return;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    g_free(t);
}

static void
set_window(emesh_member *m, uint32_t events, uint64_t bytes)
{
    emesh_terms *old = m->terms, like = *old;

    __atomic_store_n(&m->window_events, events, __ATOMIC_RELAXED);
    like.window_bytes = bytes != 0 ? bytes : UINT64_MAX;
    if (like.window_bytes == old->window_bytes)
        return;
    m->terms = terms_of(m->session, &like, old->group, strlen(old->group));
    terms_free(m->session, old);
}

/* ---- what a member has while it is busy ---- */

static void tell(emesh_phased *item);

static void
busy_new(emesh_member *m)
{
    m->busy = g_new0(emesh_member_busy, 1);
    m->busy->of = m;
    m->busy->call.run = tell;
}

static void
busy_free(emesh_member *m)
{
    emesh_member_busy *b = g_steal_pointer(&m->busy);

    emesh_worker_unphase(m->session->lane->worker, EMESH_PHASE_DELIVER, &b->call);
    for (uint32_t i = 0; i < b->n_items; i++)
        emesh_event_unref(b->items[i].event);
    g_free(b->items);
    g_free(b->topic_name);
    g_free(b->answer_text);
    g_free(b);
}

void
emesh_member_free(emesh_member *m)
{
    emesh_session *session = m->session;

    if (m->busy != NULL && m->busy->parent != NULL)
        emesh_pattern_lost(m);
    if (m->busy != NULL && m->busy->adopted)
        emesh_adopt_lost(m);
    if (m->busy != NULL)
        busy_free(m);
    session->members->pdata[m->attach] = NULL;
    session->n_members--;
    __atomic_sub_fetch(&session->credit->members, 1, __ATOMIC_RELAXED);
    emesh_bus_topic_unref(m->topic);
    terms_free(session, m->terms);
    g_free(m);
    emesh_session_unref(session);
}

void
emesh_member_deliver(emesh_member *m, void *ctx, uint32_t n)
{
    emesh_session *s = m->session;
    uint32_t stride = s->inst->layout.delivery, rest = m->busy->n_items - n;
    emesh_delivery *items = m->busy->items;
    g_autofree char *wide = NULL;

    m->busy->items = NULL;
    m->busy->n_items = m->busy->room_items = 0;
    if (rest > 0) { /* the plugin has no room for them yet */
        m->busy->items = g_memdup2(items + n, rest * sizeof *items);
        m->busy->n_items = m->busy->room_items = rest;
    }
    s->unsettled += n;
    s->delivered += n;
    s->lane->counts.delivered += n;
    if (stride != sizeof *items) {
        wide = g_malloc0((size_t)stride * n);
        for (uint32_t i = 0; i < n; i++)
            memcpy(emesh_at(wide, stride, i), &items[i], MIN(stride, sizeof *items));
    }
    s->inst->client.deliver(s->loop->lane, ctx,
                            wide != NULL ? (const emesh_delivery *)wide : items, n);
    for (uint32_t i = 0; i < n; i++)
        emesh_event_unref(items[i].event);
    if (m->busy->items == NULL) {
        m->busy->items = items;
        m->busy->room_items = n;
    } else {
        g_free(items);
    }
}

/* At rest it is busy no more. Leaves and adopted ones, which are few, keep what they have. */
static void
let_go(emesh_member *m)
{
    const emesh_member_busy *b = m->busy;

    if (m->rest != NULL && b->n_items == 0 && !b->call.queued && b->adopt == NULL &&
        b->parent == NULL)
        busy_free(m);
}

static void
tell(emesh_phased *item)
{
    emesh_member *m = ((emesh_member_busy *)((char *)item - offsetof(emesh_member_busy, call)))->of;
    emesh_session *s = m->session;

    if (m->left)
        return;
    if (m->busy->parent != NULL) {
        emesh_pattern_tell(m);
        return;
    }
    if (m->joining == false && (!m->told || m->ended)) {
        emesh_error err = { .size = sizeof err, .code = m->busy->answer };
        bool failed = m->busy->answer != EMESH_OK;
        if (m->told && !failed)
            return;
        m->told = true;
        m->ended = false;
        if (failed && m->busy->answer_text != NULL)
            g_strlcpy(err.text, m->busy->answer_text, sizeof err.text);
        s->inst->client.subscribed(s->loop->lane, m->ctx, m->busy->answer, failed ? &err : NULL);
        if (!m->left && m->busy->pattern != NULL)
            emesh_pattern_told(m);
    }
    if (!m->left && m->busy->n_items > 0)
        emesh_member_deliver(m, m->ctx, m->busy->n_items);
    else if (m->rest != NULL && !m->left)
        let_go(m);
}

void
emesh_member_call(emesh_member *m)
{
    emesh_worker_phase(m->session->lane->worker, EMESH_PHASE_DELIVER, &m->busy->call);
}

void
emesh_member_answer(emesh_member *m, int32_t code, const char *why)
{
    m->joining = false;
    m->busy->answer = code;
    if (code != EMESH_OK) {
        g_free(m->busy->answer_text);
        m->busy->answer_text = g_strdup(why);
    }
    if (m->busy->adopted)
        emesh_adopt_answered(m, code, why);
    emesh_member_call(m);
}

/* Refused before anybody owned it. */
void
emesh_member_refused(emesh_member *m, int32_t code, const char *why)
{
    char who[EMESH_WHO_TEXT];
    emesh_note note = { .code = EMESH_WHY_SUBSCRIBE_REFUSED,
                        .topic = m->busy->topic_name,
                        .group = m->terms->group,
                        .who = emesh_session_who(m->session, who),
                        .words = why,
                        .more = (uint64_t)code };

    emesh_note_down(m->session->lane->notes, &note);
    emesh_member_answer(m, code, why);
}

static void
gone_self(emesh_bus_lane *here, const emesh_mail *mail)
{
    (void)here;
    emesh_member_free(mail->to);
}

/* Its other end, which the owner is told of. */
static emesh_consumer *
consumer_new(emesh_member *m)
{
    emesh_consumer *c = m->peer = g_new0(emesh_consumer, 1);

    c->home = m->session->lane;
    c->member = m;
    c->attach = m->attach;
    c->inst = m->session->inst;
    c->session = m->session->id;
    c->credit = emesh_credit_ref(m->session->credit);
    c->ordered = (m->terms->flags & EMESH_SUB_ORDERED) != 0;
    c->ack_timeout_ns = m->terms->ack_timeout_ns;
    c->window_events = m->window_events;
    c->window_bytes = m->terms->window_bytes;
    return c;
}

static void
topic_ready(emesh_topic_waiter *waiter, emesh_bus_lane *lane, emesh_bus_topic *topic,
            int32_t code, const char *why)
{
    emesh_member *m =
        ((emesh_member_busy *)((char *)waiter - offsetof(emesh_member_busy, waiter)))->of;
    emesh_consumer *c;

    m->busy->waiter.ready = NULL;
    if (m->left) {
        emesh_member_free(m);
        return;
    }
    if (topic == NULL) {
        emesh_member_refused(m, code, why);
        return;
    }
    if (m->busy->parent != NULL && !emesh_store_can(topic->store, EMESH_STORE_CAN_REPLAY))
        m->busy->start.kind = EMESH_START_STORED; /* of a topic that is new, its end is its beginning */
    if (m->busy->start.kind > EMESH_START_LATEST &&
        !emesh_store_can(topic->store, EMESH_STORE_CAN_REPLAY)) {
        emesh_member_refused(m, EMESH_E_UNSUPPORTED,
                             "the store of this topic can only read from the end");
        return;
    }
    m->topic = emesh_bus_topic_ref(topic);
    c = consumer_new(m);
    c->alone = m->terms->mode == EMESH_SUB_EVERY;
    c->group = g_strdup(m->terms->group);
    c->topic = emesh_bus_topic_ref(topic);
    c->start = m->busy->start;
    m->busy->owner = c->alone && emesh_inst_loop(topic->store->inst, lane->worker) != NULL
                   ? lane
                   : emesh_delivery_owner(lane->bus, topic->store, c->group, strlen(c->group));
    m->owner_id = (uint16_t)m->busy->owner->id;
    emesh_mail_to(lane, m->busy->owner, emesh_consumer_join, c);
}

static bool
pattern_ok(const emesh_slice *text)
{
    char copy[250];

    if (text->len == 0 || text->len >= sizeof copy)
        return false;
    memcpy(copy, text->ptr, text->len);
    copy[text->len] = '\0';
    return strlen(copy) == text->len && emesh_pattern_ok(copy);
}

static const char *
refuse(const emesh_bus_lane *lane, const emesh_subscribe *spec, int32_t *code)
{
    *code = EMESH_E_UNAVAILABLE;
    if (lane->draining)
        return "the daemon is stopping";
    *code = EMESH_E_DENIED;
    if (emesh_is_closed_topic(spec->topic.ptr, spec->topic.len))
        return "the delay ladder and the inboxes of groups are read by the daemon alone";
    *code = EMESH_E_INVALID;
    if ((spec->flags & EMESH_SUB_PATTERN) != 0 && !pattern_ok(&spec->topic))
        return "a pattern of topics is 1 to 249 bytes of printable ASCII without [ and ]";
    if ((spec->flags & EMESH_SUB_PATTERN) == 0 &&
        !emesh_name_ok(spec->topic.ptr, spec->topic.len))
        return "a topic name is 1 to 249 bytes of printable ASCII without *, ?, [ and ]";
    if (spec->mode == EMESH_SUB_SHARED && !emesh_name_ok(spec->group.ptr, spec->group.len))
        return "a group name is 1 to 249 bytes of printable ASCII without *, ?, [ and ]";
    *code = EMESH_E_UNSUPPORTED;
    if (spec->mode > EMESH_SUB_EVERY)
        return "unknown mode of subscription";
    if (spec->filter.len > 0)
        return "this daemon does not filter yet";
    if (spec->push_to.len > PUSH_TO_MAX)
        return "a URL to push to is at most 2,048 bytes";
    *code = EMESH_OK;
    return NULL;
}

static bool
attach(emesh_session *s, emesh_member *m)
{
    uint32_t i;

    for (i = 0; i < s->members->len && s->members->pdata[i] != NULL; i++)
        ;
    if (i == MAX_MEMBERS)
        return false;
    if (i == s->members->len)
        g_ptr_array_add(s->members, m);
    s->members->pdata[i] = m;
    m->attach = (uint16_t)i;
    s->n_members++;
    return true;
}

/* Into the session's list, with what all have. False: it is full. */
static bool
enter(emesh_session *session, emesh_member *m)
{
    if (!attach(session, m))
        return false;
    m->session = session;
    emesh_session_ref(session);
    if (session->credit == NULL)
        session->credit = emesh_credit_new(session->lane->bus->limits.credit_events);
    __atomic_add_fetch(&session->credit->members, 1, __ATOMIC_RELAXED);
    m->joining = true;
    return true;
}

static void
find_topic(emesh_member *m)
{
    emesh_bus_lane *lane = m->session->lane;
    size_t len = strlen(m->busy->topic_name);
    emesh_bus_topic *topic = emesh_topic_find(lane, m->busy->topic_name, len);

    m->busy->waiter.ready = topic_ready;
    if (topic != NULL)
        topic_ready(&m->busy->waiter, lane, topic, EMESH_OK, NULL);
    else
        emesh_topic_await(lane, m->busy->topic_name, len, &m->busy->waiter);
}

emesh_member *
emesh_member_leaf(emesh_member *parent, const char *topic, const emesh_start *start)
{
    emesh_member *m = g_new0(emesh_member, 1);
    emesh_terms like = *parent->terms;

    if (!enter(parent->session, m)) {
        g_free(m);
        return NULL;
    }
    like.flags &= ~EMESH_SUB_PATTERN;
    like.window_bytes = UINT64_MAX; /* its share is told when it is counted */
    m->terms = terms_of(m->session, &like, parent->terms->group, strlen(parent->terms->group));
    busy_new(m);
    m->busy->parent = parent;
    m->busy->topic_name = g_strdup(topic);
    m->busy->start = *start;
    find_topic(m);
    return m;
}

emesh_member *
emesh_member_make(emesh_session *session, const emesh_subscribe *spec, void *ctx)
{
    emesh_member *m = g_new0(emesh_member, 1);
    const emesh_terms like = {
        .mode = spec->mode,
        .flags = spec->flags,
        .ack_timeout_ns = spec->ack_timeout_ns,
        .window_bytes = spec->window_bytes != 0 ? spec->window_bytes : UINT64_MAX,
    };

    if (!enter(session, m)) {
        g_free(m);
        return NULL;
    }
    m->ctx = ctx;
    m->terms = terms_of(session, &like, spec->group.ptr, MIN(spec->group.len, 249u));
    busy_new(m);
    m->busy->topic_name = g_strndup(spec->topic.ptr, MIN(spec->topic.len, 249u));
    m->window_events = spec->window_events;
    if (spec->start != NULL)
        memcpy(&m->busy->start, spec->start, MIN(spec->start->size, sizeof m->busy->start));
    return m;
}

void
emesh_member_start(emesh_member *m)
{
    if ((m->terms->flags & EMESH_SUB_PATTERN) != 0)
        emesh_pattern_begin(m);
    else
        find_topic(m);
}

emesh_member *
emesh_member_subscribe(emesh_session *session, const emesh_subscribe *given, void *ctx)
{
    emesh_subscribe spec = { 0 };
    emesh_member *m;
    const char *why;
    int32_t code;

    memcpy(&spec, given, MIN(given->size, sizeof spec));
    m = session->closed ? NULL : emesh_member_make(session, &spec, ctx);
    if (m == NULL)
        return NULL;
    why = refuse(session->lane, &spec, &code);
    if (why != NULL)
        emesh_member_refused(m, code, why);
    else if (spec.push_to.len > 0)
        emesh_adopt_begin(m, &spec);
    else
        emesh_member_start(m);
    return m;
}

void
emesh_member_leave(emesh_member *m, bool over, uint32_t how)
{
    emesh_bus_lane *lane = m->session->lane;
    bool first = !m->left;

    if (m->busy != NULL && m->busy->pattern != NULL) {
        emesh_pattern_leave(m, over, how);
        return;
    }
    if (m->busy != NULL && m->busy->adopt != NULL && !m->busy->adopted) {
        emesh_adopt_leave(m);
        return;
    }
    m->left = true;
    if (m->peer != NULL) {
        emesh_mail *mail = emesh_mail_to(lane, m->busy->owner, emesh_consumer_leave, m->peer);
        mail->x = how;
        mail->y = over;
        mail->n = m->forget;
    } else if (first && m->rest != NULL) {
        emesh_mail *mail =
            emesh_mail_to(lane, lane->bus->lanes[m->owner_id], emesh_rest_leave, m->rest);
        mail->from = m;
        mail->n = m->forget;
    } else if (first && m->busy->waiter.ready == NULL) {
        emesh_mail_to(lane, lane, gone_self, m); /* never joined: nobody else knows it */
    }
    /* what came but was not handed over goes back; with the session over the owner knows */
    for (uint32_t i = 0; m->busy != NULL && i < m->busy->n_items; i++) {
        if (!over && m->peer != NULL) {
            emesh_mail *mail = emesh_mail_to(lane, m->busy->owner, emesh_consumer_settle, m->peer);
            mail->id = m->busy->items[i].id;
            mail->x = EMESH_SETTLE_RETURN;
        }
        emesh_event_unref(m->busy->items[i].event);
    }
    if (m->busy != NULL)
        m->busy->n_items = 0;
}

void
emesh_member_unsubscribe(emesh_member *member, uint32_t forget)
{
    if (member->left)
        return;
    member->forget = forget != 0;
    emesh_member_leave(member, false, EMESH_LEFT_ORDERLY);
}

void
emesh_members_leave(emesh_session *session, uint32_t how)
{
    for (uint32_t i = 0; i < session->members->len; i++)
        if (session->members->pdata[i] != NULL)
            emesh_member_leave(session->members->pdata[i], true, how);
}

void
emesh_member_window(emesh_member *member, uint32_t events, uint64_t bytes)
{
    set_window(member, events, bytes);
    if (member->busy == NULL)
        return; /* at rest: told when it is not */
    if (member->busy->adopted)
        emesh_adopt_window(member);
    if (member->busy->pattern != NULL) {
        emesh_pattern_window(member);
        return;
    }
    if (member->peer != NULL && !member->left) {
        emesh_mail *mail = emesh_mail_to(member->session->lane, member->busy->owner,
                                         emesh_consumer_window, member->peer);
        mail->x = events;
        mail->a = member->terms->window_bytes;
    }
}

void
emesh_member_settle(emesh_session *session, const emesh_settle *items, uint32_t n)
{
    uint32_t stride;

    if (session->closed)
        return;
    stride = session->inst->layout.settle;
    for (uint32_t i = 0; i < n; i++) {
        emesh_settle item;
        uint32_t place;
        emesh_member *m;
        emesh_mail *mail;

        if (emesh_take(&item, sizeof item, items, stride, i) != EMESH_OK)
            item.outcome = EMESH_SETTLE_RETRY;
        place = (uint32_t)(item.id >> 52);
        m = place < session->members->len ? session->members->pdata[place] : NULL;
        if (m == NULL || m->peer == NULL || session->closed) {
            session->lane->counts.stale_settles++;
            continue;
        }
        if (item.outcome != EMESH_SETTLE_MORE && session->unsettled > 0)
            session->unsettled--;
        session->settled += item.outcome == EMESH_SETTLE_DONE;
        if (m->busy->parent != NULL && item.outcome != EMESH_SETTLE_MORE)
            emesh_pattern_settled(m);
        mail = emesh_mail_to(session->lane, m->busy->owner, emesh_consumer_settle, m->peer);
        mail->id = item.id;
        mail->x = item.outcome;
        mail->a = item.delay_ms;
        if (item.outcome != EMESH_SETTLE_DONE && item.reason.len > 0)
            mail->from = g_strndup(item.reason.ptr, MIN(item.reason.len, REASON_MAX));
    }
}

/* ---- mail from the owner ---- */

void
emesh_member_joined(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_member *m = mail->to;
    g_autofree char *why = mail->from;

    (void)here;
    if (m->left || m->ended)
        return;
    emesh_member_answer(m, mail->code, why);
    if (mail->code == EMESH_OK) /* the window may have changed while it joined */
        emesh_member_window(m, m->window_events, m->terms->window_bytes);
}

void
emesh_member_ended(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_member *m = mail->to;
    g_autofree char *why = mail->from;

    (void)here;
    if (m->left)
        return;
    m->ended = true;
    emesh_member_answer(m, mail->code, why);
}

void
emesh_member_offer(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_member *m = mail->to;
    emesh_delivery *item;
    const char *partition = mail->from;

    if (m->left) {
        if (!m->session->closed) {
            emesh_mail *back = emesh_mail_to(here, m->busy->owner, emesh_consumer_settle, m->peer);
            back->id = mail->id;
            back->x = EMESH_SETTLE_RETURN;
        }
        emesh_event_unref(mail->event);
        return;
    }
    if (m->busy->n_items == m->busy->room_items) {
        m->busy->room_items = MAX(16u, m->busy->room_items * 2);
        m->busy->items = g_renew(emesh_delivery, m->busy->items, m->busy->room_items);
    }
    item = &m->busy->items[m->busy->n_items++];
    *item = (emesh_delivery){
        .id = mail->id,
        .event = mail->event,
        .topic = { m->topic->name, m->topic->name_len },
        .partition = { partition, strlen(partition) },
        .position = mail->position,
        .stored_ms = mail->stored_ms,
        .attempt = mail->n,
        .flags = mail->y,
    };
    emesh_member_call(m);
}

void
emesh_member_gone(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_member *m = mail->to;

    if (m->peer != NULL)
        emesh_mail_to(here, m->busy->owner, emesh_consumer_free, m->peer);
    emesh_member_free(m);
}

/* One that leaves has said so already, to the end it had. */
void
emesh_member_rest(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_member *m = mail->to;

    if (m->left)
        return;
    emesh_mail_to(here, m->busy->owner, emesh_consumer_free, g_steal_pointer(&m->peer));
    m->rest = mail->from;
    let_go(m);
}

void
emesh_member_wake(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_member *m = mail->to;
    emesh_consumer *c;

    if (m->left)
        return;
    m->rest = NULL;
    if (m->busy == NULL) {
        busy_new(m);
        m->busy->owner = here->bus->lanes[m->owner_id];
    }
    c = consumer_new(m);
    c->answered = true;
    emesh_mail_to(here, m->busy->owner, emesh_rest_rejoin, c)->from = mail->from;
}
