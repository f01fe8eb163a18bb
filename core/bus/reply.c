/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies: whose request is it, and who waits for that? A reply to this daemon is mail to one of its
 * lanes; one to another daemon is appended to a store that routes it. None is kept anywhere.
 */
#include "bus/append.h"
#include "bus/note.h"
#include "bus/request.h"
#include "delivery/member.h"
#include "delivery/sub.h"
#include "event/event.h"

#include <string.h>

#define REPLY_MOST (8u << 20)   /* bytes of one */
#define OUT_MOST 4096u          /* replies on their way to other daemons, of one lane and store */
#define OUT_BYTES_MOST (16u << 20)

bool
emesh_request_is(const emesh_event *event, emesh_slice *correlation, emesh_slice *address)
{
    const emesh_attr *id = emesh_event_attr(event, EMESH_CORRELATION, strlen(EMESH_CORRELATION));
    const emesh_attr *to;

    if (id == NULL)
        return false;
    to = emesh_event_attr(event, EMESH_REPLY_ADDRESS, strlen(EMESH_REPLY_ADDRESS));
    *correlation = (emesh_slice){ id->value, id->value_len };
    *address = to != NULL ? (emesh_slice){ to->value, to->value_len } : (emesh_slice){ NULL, 0 };
    return true;
}

void
emesh_reply_dropped(emesh_bus_lane *here, const emesh_event *reply, const char *why)
{
    emesh_note note = { .code = EMESH_WHY_REPLY_DROPPED, .event = reply, .words = why };

    here->counts.replies_dropped++;
    emesh_note_down(here->notes, &note);
}

/* ---- to this daemon ---- */

static const char *
too_late(emesh_request_end how)
{
    static const char *const texts[] = {
        [EMESH_REQUEST_UNKNOWN] = "its request is not known",
        [EMESH_REQUEST_ANSWERED] = "its request has been answered",
        [EMESH_REQUEST_FAILED] = "its request has been refused",
        [EMESH_REQUEST_TIMEOUT] = "its request has run out of time",
        [EMESH_REQUEST_GONE] = "who asked is gone",
    };

    return texts[how];
}

/* id: number of the request; event: the reply */
static void
answer_mail(emesh_bus_lane *here, const emesh_mail *mail)
{
    bool awaited;
    emesh_request_end how = emesh_request_replied(here, mail->id, mail->event, &awaited);

    if (awaited)
        return; /* it has the reference */
    emesh_reply_dropped(here, mail->event, too_late(how));
    emesh_event_unref(mail->event);
}

/* Which request of this life of this daemon? False: none, and *why. */
static bool
read_number(const emesh_bus *bus, emesh_slice id, uint64_t *number, bool *ours, const char **why)
{
    const char *p = id.ptr;

    *ours = id.len > 17 && memcmp(p, bus->correlation, 17) == 0;
    *number = 0;
    if (!*ours)
        return false;
    *why = "its request is of an earlier life of this daemon";
    if (id.len != EMESH_CORRELATION_LEN || memcmp(p, bus->correlation, 26) != 0)
        return false;
    *why = "its correlation is malformed";
    for (uint32_t i = 26; i < EMESH_CORRELATION_LEN; i++) {
        int digit = g_ascii_xdigit_value(p[i]);
        if (digit < 0)
            return false;
        *number = *number << 4 | (uint64_t)digit;
    }
    return (*number >> 56) < __atomic_load_n(&bus->n_lanes, __ATOMIC_ACQUIRE);
}

/* ---- to another one ---- */

typedef struct outgoing {
    emesh_own_append append;
    emesh_store *store;
} outgoing;

static void
out_done(emesh_own_append *append, emesh_bus_lane *lane, int32_t code, emesh_position position,
         const char *why)
{
    outgoing *out = (outgoing *)append;

    (void)position;
    __atomic_sub_fetch(&out->store->replies_out, 1, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&out->store->replies_out_bytes, emesh_event_size(append->event),
                       __ATOMIC_RELAXED);
    if (code != EMESH_OK)
        emesh_reply_dropped(lane, append->event, why != NULL ? why : "its store did not carry it");
    else
        lane->counts.replies_out++;
    emesh_event_unref(append->event);
    g_free(out);
}

/* The event says itself whom it answers, also when the responder's did not. */
static const emesh_event *
addressed(const emesh_event *reply, emesh_slice correlation, emesh_slice address)
{
    emesh_attr attrs[2] = {
        { .name = EMESH_CORRELATION, .name_len = sizeof EMESH_CORRELATION - 1,
          .value = correlation.ptr, .value_len = (uint32_t)correlation.len },
        { .name = EMESH_REPLY_ADDRESS, .name_len = sizeof EMESH_REPLY_ADDRESS - 1,
          .value = address.ptr, .value_len = (uint32_t)address.len },
    };
    emesh_event_view spec = { .size = sizeof spec, .attrs = attrs, .n_attrs = 2 };
    const emesh_event *made = NULL;

    return emesh_event_build(&spec, reply, &made, NULL) == EMESH_OK ? made : NULL;
}

static emesh_store *
store_for(const emesh_bus *bus, emesh_store *hint)
{
    if (hint != NULL && emesh_store_reply_topic(hint) != NULL)
        return hint;
    for (uint32_t i = 0; i < G_N_ELEMENTS(bus->routers); i++) {
        emesh_store *store = __atomic_load_n(&bus->routers[i], __ATOMIC_ACQUIRE);
        if (store != NULL && emesh_store_reply_topic(store) != NULL)
            return store;
    }
    return NULL;
}

static int32_t
route_out(emesh_bus_lane *here, const emesh_event *reply, emesh_slice correlation,
          emesh_slice address, emesh_store *hint, const char **why)
{
    emesh_store *store = store_for(here->bus, hint);
    const emesh_event *event;
    outgoing *out;

    *why = "its request is of another daemon, and no store here routes replies";
    if (store == NULL)
        return EMESH_E_UNSUPPORTED;
    *why = "its request is of another daemon and has no address for replies";
    if (address.len == 0)
        return EMESH_E_NOT_FOUND;
    *why = "too many replies wait for the store that routes them";
    if (__atomic_load_n(&store->replies_out, __ATOMIC_RELAXED) >= OUT_MOST ||
        __atomic_load_n(&store->replies_out_bytes, __ATOMIC_RELAXED) >= OUT_BYTES_MOST)
        return EMESH_E_BUSY;
    *why = "it has no room for its correlation";
    event = addressed(reply, correlation, address);
    if (event == NULL)
        return EMESH_E_TOO_LARGE;
    *why = "it is larger than its store takes";
    if (emesh_event_size(event) > __atomic_load_n(&store->max_event_bytes, __ATOMIC_RELAXED)) {
        emesh_event_unref(event);
        return EMESH_E_TOO_LARGE;
    }
    out = g_new0(outgoing, 1);
    out->store = store;
    out->append = (emesh_own_append){ .event = event, .topic = emesh_store_reply_topic(store),
                                      .level = EMESH_LEVEL_MEMORY, .reply = true,
                                      .done = out_done };
    __atomic_add_fetch(&store->replies_out, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&store->replies_out_bytes, emesh_event_size(event), __ATOMIC_RELAXED);
    emesh_own_append_queue(here, &out->append);
    return EMESH_OK;
}

int32_t
emesh_reply_route(emesh_bus_lane *here, const emesh_event *reply, emesh_slice correlation,
                  emesh_slice address, emesh_store *store, const char **why)
{
    int32_t code = EMESH_E_NOT_FOUND;
    uint64_t number;
    bool ours;

    if (read_number(here->bus, correlation, &number, &ours, why)) {
        emesh_mail *mail = emesh_mail_to(here, here->bus->lanes[number >> 56], answer_mail, NULL);
        mail->id = number;
        mail->event = reply; /* with the reference */
        return EMESH_OK;
    }
    if (!ours)
        code = route_out(here, reply, correlation, address, store, why);
    if (code != EMESH_OK)
        emesh_reply_dropped(here, reply, *why);
    emesh_event_unref(reply);
    return code;
}

/* ---- from a session ---- */

/* id: of the delivery, event: the reply. On the owner's lane: the slot has the request. */
static void
owner_mail(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_consumer *c = mail->to;
    const emesh_event *request = emesh_consumer_open_event(c, mail->id);
    emesh_slice correlation, address;
    const char *why;

    if (request != NULL && emesh_request_is(request, &correlation, &address)) {
        emesh_reply_route(here, mail->event, correlation, address, c->sub->store, &why);
        return;
    }
    if (emesh_request_is(mail->event, &correlation, &address)) {
        emesh_reply_route(here, mail->event, correlation, address,
                          c->sub != NULL ? c->sub->store : NULL, &why);
        return;
    }
    if (request == NULL)
        emesh_reply_dropped(here, mail->event,
                            "what it answers is acknowledged, or goes to somebody else");
    else /* to an event that asked for nothing: hooks that return something do that */
        here->counts.replies_stray++;
    emesh_event_unref(mail->event);
}

static int32_t
publish(emesh_session *s, const emesh_publish *item, const char **why)
{
    emesh_bus_lane *lane = s->lane;
    uint32_t place = (uint32_t)(item->reply_to >> 52);
    emesh_member *m = NULL;
    emesh_slice correlation, address;
    emesh_bus_topic *topic;

    *why = "a reply is larger than 8 MiB";
    if (emesh_event_size(item->event) > REPLY_MOST)
        return EMESH_E_TOO_LARGE;
    if (item->reply_to != 0 && place < s->members->len)
        m = s->members->pdata[place];
    if (m != NULL && m->peer != NULL) {
        emesh_mail *mail = emesh_mail_to(lane, m->busy->owner, owner_mail, m->peer);
        mail->id = item->reply_to;
        mail->event = emesh_event_ref(item->event);
        return EMESH_OK;
    }
    *why = "it names no request";
    if (!emesh_request_is(item->event, &correlation, &address)) {
        lane->counts.replies_stray++;
        return EMESH_E_NOT_FOUND;
    }
    topic = item->topic.len > 0 ? emesh_topic_find(lane, item->topic.ptr, item->topic.len) : NULL;
    return emesh_reply_route(lane, emesh_event_ref(item->event), correlation, address,
                             topic != NULL ? topic->store : NULL, why);
}

void
emesh_reply_publish(emesh_session *session, const emesh_publish *item)
{
    const char *why = NULL;
    int32_t code = publish(session, item, &why);

    emesh_session_result(session, item->cookie, code, EMESH_LEVEL_MEMORY, why);
}

/* ---- from a store ---- */

void
emesh_store_replied(const emesh_host *host, const emesh_event *const *events, uint32_t n)
{
    emesh_bus *bus = emesh_inst_of(host)->mesh;
    emesh_mail_box *box = NULL;

    for (uint32_t i = 0; i < n; i++) {
        emesh_slice correlation, address;
        const char *why = NULL;
        uint64_t number;
        bool ours;

        if (!emesh_request_is(events[i], &correlation, &address) ||
            !read_number(bus, correlation, &number, &ours, &why)) {
            __atomic_add_fetch(&bus->replies_strange, 1, __ATOMIC_RELAXED);
            continue; /* another daemon's, or of an earlier life: who asked is not here */
        }
        if (box != NULL && box->dest != bus->lanes[number >> 56]) {
            emesh_mail_box_send(box);
            box = NULL;
        }
        if (box == NULL)
            box = emesh_mail_box_new(bus->lanes[number >> 56], n - i);
        emesh_mail *mail = emesh_mail_box_add(box, answer_mail, NULL);
        mail->id = number;
        mail->event = emesh_event_ref(events[i]);
    }
    if (box != NULL)
        emesh_mail_box_send(box);
}
