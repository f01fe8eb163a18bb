/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions. All on their own lane; the plugin is told at the end of a wake-up, never inside a call
 * that it made.
 */
#include "bus/session.h"
#include "bus/request.h"
#include "bus/topic.h"
#include "delivery/member.h"
#include "event/event.h"

#include <string.h>

static char *
text_of(emesh_slice slice)
{
    return slice.len > 0 ? g_strndup(slice.ptr, MIN(slice.len, 1024)) : NULL;
}

static void
label_clear(void *data)
{
    emesh_label *label = data;
    g_free(label->name);
    g_free(label->value);
}

static void
take_who(emesh_session *s, const emesh_who *who)
{
    emesh_conn_info info = { .size = sizeof info };

    s->peer = text_of(who->peer);
    if (who->conn != NULL && s->peer == NULL) {
        emesh_net_service.info(who->conn, &info);
        s->peer = text_of(info.peer);
    }
    s->client = text_of(who->client);
    s->labels = g_array_new(FALSE, FALSE, sizeof(emesh_label));
    g_array_set_clear_func(s->labels, label_clear);
    for (uint32_t i = 0; i < who->n_labels && i < 16; i++) {
        const emesh_attr *a = &who->labels[i];
        emesh_label label = { g_strndup(a->name, MIN(a->name_len, 64u)),
                              g_strndup(a->value, MIN(a->value_len, 256u)) };
        g_array_append_val(s->labels, label);
    }
}

emesh_session *
emesh_session_open(emesh_loop *loop, const emesh_who *who, void *ctx)
{
    emesh_bus_lane *lane = emesh_bus_lane_of(loop);
    emesh_session *s;

    if (lane == NULL)
        return NULL;
    s = g_new0(emesh_session, 1);
    s->lane = lane;
    s->loop = loop;
    s->inst = loop->inst;
    s->instance = g_intern_string(loop->inst->name);
    s->ctx = ctx;
    s->refs = 1;
    s->id = (uint64_t)(lane->id + 1) << 48 | (++lane->next_session & 0xffffffffffffu);
    g_snprintf(s->key, sizeof s->key, "%016" G_GINT64_MODIFIER "x", s->id);
    s->since_ms = (uint64_t)(g_get_real_time() / 1000);
    s->principal = g_strdup("anonymous"); /* until an auth plugin is asked here */
    s->members = g_ptr_array_new();
    take_who(s, who);
    s->in_lane.data = s->in_calls.data = s;
    g_queue_push_tail_link(&lane->sessions, &s->in_lane);
    emesh_session_call(s);
    return s;
}

void
emesh_session_ref(emesh_session *session)
{
    session->refs++;
}

void
emesh_session_unref(emesh_session *session)
{
    if (--session->refs > 0)
        return;
    g_ptr_array_unref(session->members);
    emesh_credit_unref(session->credit);
    g_array_unref(session->labels);
    g_free(session->results);
    g_free(session->peer);
    g_free(session->client);
    g_free(session->principal);
    g_free(session->ask_reason);
    g_free(session->ask_target);
    g_free(session);
}

static void
result_clear(const emesh_published *result)
{
    g_free((void *)(uintptr_t)result->err);
    if (result->reply != NULL)
        emesh_event_unref(result->reply);
}

static void
results_drop(emesh_session *session)
{
    for (uint32_t i = 0; i < session->n_results; i++)
        result_clear(&session->results[i]);
    session->n_results = 0;
}

void
emesh_session_close(emesh_session *session, uint32_t how)
{
    if (session->closed)
        return;
    session->closed = true;
    results_drop(session);
    emesh_members_leave(session, how);
    emesh_requests_leave(session);
    session->inst = NULL; /* what is still under way outlives it */
    g_queue_unlink(&session->lane->sessions, &session->in_lane);
    emesh_session_unref(session);
}

void
emesh_session_call(emesh_session *session)
{
    if (session->queued || session->closed)
        return;
    session->queued = true;
    emesh_session_ref(session);
    g_queue_push_tail_link(&session->lane->calls, &session->in_calls);
    emesh_worker_phase(session->lane->worker, EMESH_PHASE_RESULT, &session->lane->result_item);
}

static emesh_published *
result_add(emesh_session *session)
{
    if (session->n_results == session->room_results) {
        session->room_results = MAX(8u, session->room_results * 2);
        session->results = g_renew(emesh_published, session->results, session->room_results);
    }
    emesh_session_call(session);
    return &session->results[session->n_results++];
}

void
emesh_session_reply(emesh_session *session, uint64_t cookie, const emesh_event *reply)
{
    if (session->closed)
        emesh_event_unref(reply);
    else
        *result_add(session) = (emesh_published){ .cookie = cookie, .reply = reply };
}

void
emesh_session_result(emesh_session *session, uint64_t cookie, int32_t code, uint32_t level,
                     const char *err_text)
{
    emesh_published *result;

    if (session->closed)
        return;
    result = result_add(session);
    *result = (emesh_published){ .cookie = cookie, .code = code, .level = level };
    if (code != EMESH_OK && err_text != NULL) {
        emesh_error *err = g_new0(emesh_error, 1);
        err->size = sizeof *err;
        err->code = code;
        g_strlcpy(err->text, err_text, sizeof err->text);
        result->err = err;
    }
}

/* Results in the plugin's stride; the host's own array when that is the same. */
static void
tell_results(emesh_session *s)
{
    uint32_t stride = s->inst->layout.published, n = s->n_results;
    emesh_published *results = s->results;
    g_autofree char *wide = NULL;

    s->results = NULL;
    s->n_results = s->room_results = 0;
    if (stride != sizeof *results) {
        wide = g_malloc0((size_t)stride * n);
        for (uint32_t i = 0; i < n; i++)
            memcpy(emesh_at(wide, stride, i), &results[i], MIN(stride, sizeof *results));
    }
    s->inst->client.published(s->loop->lane, s->ctx,
                              wide != NULL ? (const emesh_published *)wide : results, n);
    for (uint32_t i = 0; i < n; i++)
        result_clear(&results[i]);
    if (s->results == NULL && !s->closed) { /* keep the array for the next time */
        s->results = results;
        s->room_results = n;
    } else {
        g_free(results);
    }
}

static void
tell(emesh_session *s)
{
    const emesh_client_ops *ops;

    if (s->closed)
        return;
    ops = &s->inst->client;
    if (!s->opened_told) {
        s->opened_told = true;
        ops->opened(s->loop->lane, s->ctx, EMESH_OK, NULL);
    }
    if (!s->closed && s->n_results > 0)
        tell_results(s);
    if (!s->closed && s->room_due) {
        s->room_due = false;
        ops->room(s->loop->lane, s->ctx);
    }
    if (!s->closed && s->ask_wanted) {
        emesh_ask ask = { .size = sizeof ask, .what = s->ask_what };
        s->ask_wanted = false;
        if (s->ask_reason != NULL)
            ask.reason = (emesh_slice){ s->ask_reason, strlen(s->ask_reason) };
        if (s->ask_target != NULL)
            ask.target = (emesh_slice){ s->ask_target, strlen(s->ask_target) };
        ops->ask(s->loop->lane, s->ctx, &ask);
    }
}

void
emesh_session_tell_all(emesh_phased *item)
{
    emesh_bus_lane *lane =
        (emesh_bus_lane *)((char *)item - offsetof(emesh_bus_lane, result_item));
    uint32_t n = lane->calls.length; /* those queued meanwhile come in the next round */

    emesh_notes_flush(lane->notes);
    while (n-- > 0) {
        GList *link = g_queue_pop_head_link(&lane->calls);
        emesh_session *s = link->data;
        s->queued = false;
        tell(s);
        emesh_session_unref(s);
    }
    if (lane->calls.length > 0)
        emesh_worker_phase(lane->worker, EMESH_PHASE_RESULT, item);
}
