/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that wait, by number: lane, a word that only this use of the slot has, slot. First reply
 * wins; at the deadline the requester is answered by us. [lane]
 */
#include "bus/request.h"
#include "bus/wheel.h"
#include "event/event.h"

#include <string.h>

#define SLAB 256u
#define SLOT_BITS 24u

struct emesh_request {
    emesh_session *session;       /* a reference; NULL: free */
    emesh_request *prev, *next;   /* of the session */
    emesh_wheel_entry deadline;
    uint64_t cookie;              /* the plugin's */
    uint64_t expires_ms;          /* wall clock */
    uint32_t index;
    uint32_t word;
    uint32_t next_free;           /* 1 + index */
    uint32_t ended;               /* emesh_request_end of the last use, whose word it still has */
};

struct emesh_requests {
    emesh_bus_lane *lane;
    emesh_request **slabs;
    uint32_t n_slabs;
    uint32_t free; /* 1 + index */
    uint64_t seed; /* of words */
    emesh_wheel wheel;
};

static emesh_request *
request_at(const emesh_requests *all, uint32_t index)
{
    return index / SLAB < all->n_slabs ? &all->slabs[index / SLAB][index % SLAB] : NULL;
}

static void
slab_add(emesh_requests *all)
{
    emesh_request *slab = g_new0(emesh_request, SLAB);
    uint32_t base = all->n_slabs * SLAB;

    all->slabs = g_renew(emesh_request *, all->slabs, all->n_slabs + 1);
    all->slabs[all->n_slabs++] = slab;
    for (uint32_t i = SLAB; i-- > 0;) {
        slab[i].index = base + i;
        slab[i].next_free = all->free;
        all->free = base + i + 1;
    }
}

/* xorshift: no word comes twice in a slot for long, and none is guessed by chance */
static uint32_t
new_word(emesh_requests *all)
{
    all->seed ^= all->seed << 13;
    all->seed ^= all->seed >> 7;
    all->seed ^= all->seed << 17;
    return (uint32_t)(all->seed >> 32);
}

static uint64_t
number_of(const emesh_requests *all, const emesh_request *r)
{
    return (uint64_t)all->lane->id << 56 | (uint64_t)r->word << SLOT_BITS | r->index;
}

static emesh_request *
take(emesh_requests *all, emesh_session *session)
{
    emesh_request *r;

    if (all->free == 0)
        slab_add(all);
    r = request_at(all, all->free - 1);
    all->free = r->next_free;
    r->word = new_word(all);
    r->session = session;
    r->prev = NULL;
    r->next = session->requests;
    if (r->next != NULL)
        r->next->prev = r;
    session->requests = r;
    session->n_requests++;
    emesh_session_ref(session);
    __atomic_add_fetch(&all->lane->bus->requests, 1, __ATOMIC_RELAXED);
    return r;
}

static void
give(emesh_requests *all, emesh_request *r, emesh_request_end how)
{
    emesh_session *session = r->session;

    emesh_wheel_remove(&all->wheel, &r->deadline);
    if (r->next != NULL)
        r->next->prev = r->prev;
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        session->requests = r->next;
    session->n_requests--;
    r->session = NULL;
    r->ended = how;
    r->next_free = all->free;
    all->free = r->index + 1;
    __atomic_sub_fetch(&all->lane->bus->requests, 1, __ATOMIC_RELAXED);
    emesh_session_unref(session);
}

static void
end(emesh_requests *all, emesh_request *r, emesh_request_end how, int32_t code, const char *why)
{
    emesh_session_result(r->session, r->cookie, code, 0, why);
    give(all, r, how);
}

static void
request_due(emesh_wheel_entry *entry)
{
    emesh_request *r = (emesh_request *)((char *)entry - offsetof(emesh_request, deadline));
    emesh_bus_lane *lane = r->session->lane;

    lane->counts.request_timeouts++;
    end(lane->requests, r, EMESH_REQUEST_TIMEOUT, EMESH_E_TIMEOUT, "no reply came in time");
}

emesh_requests *
emesh_requests_new(emesh_bus_lane *lane)
{
    emesh_requests *all = g_new0(emesh_requests, 1);

    all->lane = lane;
    all->seed = (uint64_t)g_random_int() << 32 | g_random_int() | 1u;
    emesh_wheel_init(&all->wheel, lane->worker, request_due);
    return all;
}

void
emesh_requests_free(emesh_requests *all)
{
    emesh_wheel_end(&all->wheel);
    for (uint32_t i = 0; i < all->n_slabs; i++)
        g_free(all->slabs[i]);
    g_free(all->slabs);
    g_free(all);
}

/* ---- the way out ---- */

/* Milliseconds in the attribute ttl. False: it is no number. */
static bool
read_ttl(const emesh_event *event, uint64_t otherwise_ms, uint64_t *ms)
{
    const emesh_attr *attr = emesh_event_attr(event, "ttl", 3);
    const char *p = attr != NULL ? attr->value : NULL;
    uint64_t value = 0;

    *ms = otherwise_ms;
    if (attr == NULL || attr->value_len == 0)
        return true;
    for (uint32_t i = 0; i < attr->value_len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        value = MIN(value * 10 + (uint64_t)(p[i] - '0'), UINT64_C(1) << 50);
    }
    if (value > 0)
        *ms = value;
    return true;
}

int32_t
emesh_request_begin(emesh_bus_lane *lane, emesh_pending *p, const emesh_publish *item,
                    emesh_why *why)
{
    const emesh_daemon_options *limits = &lane->bus->limits;
    uint64_t now = emesh_worker_now(lane->worker), ms, wait;
    emesh_request *r;

    if (!read_ttl(p->event, limits->request_wait_ns / 1000000u, &ms)) {
        *why = (emesh_why){ EMESH_WHY_REFUSED_REQUEST, "the ttl of a request is a number of milliseconds" };
        return EMESH_E_INVALID;
    }
    wait = ms * 1000000u;
    if (item->deadline_ns != 0)
        wait = item->deadline_ns > now ? item->deadline_ns - now : 0;
    wait = MIN(wait, limits->request_wait_most_ns);
    if (p->session->n_requests >= limits->session_requests) {
        *why = (emesh_why){ EMESH_WHY_REFUSED_REQUEST, "too many requests of this session wait for their replies" };
        return EMESH_E_BUSY;
    }
    if (__atomic_load_n(&lane->bus->requests, __ATOMIC_RELAXED) >= limits->requests) {
        *why = (emesh_why){ EMESH_WHY_REFUSED_REQUEST, "too many requests wait for their replies" };
        return EMESH_E_BUSY;
    }
    r = take(lane->requests, p->session);
    r->cookie = item->cookie;
    r->expires_ms = (uint64_t)g_get_real_time() / 1000u + wait / 1000000u;
    emesh_wheel_add(&lane->requests->wheel, &r->deadline, now + wait);
    p->request = number_of(lane->requests, r);
    lane->counts.requests++;
    return EMESH_OK;
}

static emesh_request *
request_find(emesh_requests *all, uint64_t number)
{
    emesh_request *r = request_at(all, (uint32_t)number & ((1u << SLOT_BITS) - 1));

    return r != NULL && r->session != NULL && number_of(all, r) == number ? r : NULL;
}

static emesh_attr
text_attr(const char *name, const char *value, size_t len)
{
    return (emesh_attr){ .name = name, .name_len = (uint32_t)strlen(name), .value = value,
                         .value_len = (uint32_t)len };
}

int32_t
emesh_request_stamp(emesh_bus_lane *lane, emesh_pending *p, const emesh_bus_topic *topic,
                    emesh_why *why)
{
    emesh_request *r = request_find(lane->requests, p->request);
    const char *address = emesh_store_reply_address(topic->store);
    const emesh_attr *own = emesh_event_attr(p->event, "expirytime", 10);
    const emesh_event *stamped = NULL;
    emesh_event_view spec = { .size = sizeof spec };
    emesh_attr attrs[4];
    char id[64], expires[EMESH_TIME_MAX];
    uint64_t own_ms = 0;

    if (r == NULL) { /* its time was over while the topic was being opened */
        *why = (emesh_why){ EMESH_WHY_REFUSED_REQUEST, "no reply came in time" };
        return EMESH_E_TIMEOUT;
    }
    g_snprintf(id, sizeof id, "%s%016" G_GINT64_MODIFIER "x", lane->bus->correlation, p->request);
    if (address == NULL)
        address = lane->bus->daemon_id;
    attrs[spec.n_attrs++] = text_attr(EMESH_CORRELATION, id, strlen(id));
    attrs[spec.n_attrs++] = text_attr(EMESH_REPLY_ADDRESS, address, strlen(address));
    if (emesh_event_attr(p->event, "cluster", 7) == NULL)
        attrs[spec.n_attrs++] = text_attr("cluster", "eventmesh", 9);
    if (own == NULL || !emesh_time_read(own->value, own->value_len, &own_ms) ||
        own_ms > r->expires_ms) {
        size_t n = emesh_time_write(r->expires_ms, expires);
        attrs[spec.n_attrs] = text_attr("expirytime", expires, n);
        attrs[spec.n_attrs++].type = EMESH_ATTR_TIME;
    }
    spec.attrs = attrs;
    if (emesh_event_build(&spec, p->event, &stamped, NULL) != EMESH_OK) {
        *why = (emesh_why){ EMESH_WHY_REFUSED_REQUEST, "the request has no room for its correlation" };
        return EMESH_E_TOO_LARGE;
    }
    emesh_event_unref(p->event);
    p->event = stamped;
    return EMESH_OK;
}

/* ---- how it ends ---- */

void
emesh_request_stored(emesh_bus_lane *lane, uint64_t number, int32_t code, const char *why)
{
    emesh_request *r = request_find(lane->requests, number);

    /* perhaps stored is perhaps answered: the deadline decides */
    if (r != NULL && code != EMESH_OK && EMESH_CLASS(code) != 4)
        end(lane->requests, r, EMESH_REQUEST_FAILED, code, why);
}

emesh_request_end
emesh_request_replied(emesh_bus_lane *lane, uint64_t number, const emesh_event *reply,
                     bool *awaited)
{
    emesh_request *r = request_at(lane->requests, (uint32_t)number & ((1u << SLOT_BITS) - 1));

    *awaited = false;
    if (r == NULL || number_of(lane->requests, r) != number)
        return EMESH_REQUEST_UNKNOWN;
    if (r->session == NULL)
        return r->ended;
    *awaited = true;
    lane->counts.replies++;
    emesh_session_reply(r->session, r->cookie, reply);
    give(lane->requests, r, EMESH_REQUEST_ANSWERED);
    return EMESH_REQUEST_ANSWERED;
}

void
emesh_requests_leave(emesh_session *session)
{
    while (session->requests != NULL)
        give(session->lane->requests, session->requests, EMESH_REQUEST_GONE);
}

void
emesh_requests_end(emesh_bus_lane *lane, int32_t code, const char *why)
{
    for (GList *l = lane->sessions.head; l != NULL; l = l->next) {
        emesh_session *session = l->data;
        while (session->requests != NULL)
            end(lane->requests, session->requests, EMESH_REQUEST_FAILED, code, why);
    }
}
