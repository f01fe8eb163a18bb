/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/publish?topic=T[&key=K][&level=L]: one CloudEvent in JSON format in, answered when the
 * store has it at its level. [lane]
 */
#include "admin/face.h"

#include <string.h>

#define PUBLISH_DEADLINE_NS (30u * (uint64_t)G_USEC_PER_SEC * 1000u)

static const char *const level_names[] = { "topic", "memory", "os", "synced", "quorum" };

static const char *
level_name(uint32_t level)
{
    return level < G_N_ELEMENTS(level_names) ? level_names[level] : "unknown";
}

void
emesh_http_published(emesh_admin_request *request, const emesh_published *result)
{
    if (request->finish != NULL) {
        request->finish(request, result->code, result->err);
        return;
    }
    if (result->code != EMESH_OK) {
        emesh_request_error(request, result->code, result->err);
        return;
    }
    g_autoptr(JsonBuilder) b = json_builder_new();
    gsize len = 0;
    json_builder_begin_object(b);
    json_builder_set_member_name(b, "id");
    json_builder_add_string_value(b, request->event_id);
    json_builder_set_member_name(b, "topic");
    json_builder_add_string_value(b, request->topic);
    json_builder_set_member_name(b, "level");
    json_builder_add_string_value(b, level_name(result->level));
    json_builder_end_object(b);
    g_autoptr(JsonNode) root = json_builder_get_root(b);
    char *body = emesh_json_text(root, false, &len);
    emesh_request_answer(request, 200, "application/json", body, len);
}

static void
publish_start(emesh_admin_caller *caller, emesh_admin_request *request)
{
    const emesh_face *admin = request->lane->admin;
    emesh_caller_add(caller, request);
    request->publish.cookie = request->cookie;
    request->publish.deadline_ns =
        admin->loop->time(request->lane->loop, EMESH_CLOCK_MONOTONIC) + PUBLISH_DEADLINE_NS;
    int32_t taken = admin->cl->publish(emesh_caller_session(caller), &request->publish, 1);
    admin->ev->unref(&request->publish.event, 1);
    request->publish.event = NULL;
    if (taken == 1)
        return;
    if (taken == 0)
        emesh_request_fail(request, EMESH_E_BUSY, "too many publishes are under way: try again");
    else
        emesh_request_fail(request, taken, "the publish was refused (%s)", emesh_code_name(taken));
    emesh_caller_remove(caller, request);
}

/* The JSON body as an event, its id kept for the answer. Answers itself on failure. */
static bool
publish_decode(emesh_admin_request *request)
{
    const emesh_face *admin = request->lane->admin;
    emesh_error err = { .size = sizeof err };
    emesh_event_view view = { .size = sizeof view };
    uint32_t n = 0;
    void *mem = NULL;
    emesh_buf *buf = admin->ev->buf(admin->host, MAX(request->body->len, 1u), &mem);
    if (buf == NULL) {
        emesh_request_fail(request, EMESH_E_NO_MEMORY, "no memory for %u bytes",
                           request->body->len);
        return false;
    }
    if (request->body->len > 0)
        memcpy(mem, request->body->data, request->body->len);
    emesh_part part = { mem, request->body->len, buf };
    int32_t code = admin->ev->decode(admin->host, EMESH_FORM_JSON, &part, 1,
                                     &request->publish.event, 1, &n, &err);
    admin->ev->buf_unref(buf);
    if (code != EMESH_OK || n != 1) {
        emesh_request_error(request, code != EMESH_OK ? code : EMESH_E_INVALID, &err);
        return false;
    }
    admin->ev->view(request->publish.event, &view);
    request->event_id = g_strndup(view.attrs[0].value, view.attrs[0].value_len);
    return true;
}

void
emesh_http_publish(emesh_admin_request *request)
{
    const char *topic = emesh_request_param(request, "topic");
    const char *key = emesh_request_param(request, "key");
    const char *level = emesh_request_param(request, "level");
    if (topic == NULL || *topic == '\0') {
        emesh_request_refuse(request, "topic", "publish needs ?topic=NAME");
        return;
    }
    if (level != NULL) {
        while (request->publish.level < G_N_ELEMENTS(level_names) &&
               strcmp(level, level_names[request->publish.level]) != 0)
            request->publish.level++;
        if (request->publish.level == G_N_ELEMENTS(level_names)) {
            emesh_request_refuse(request, "level",
                                 "unknown level '%.40s' (memory, os, synced, quorum)", level);
            return;
        }
    }
    if (key != NULL) /* lives in the query table, as long as the request */
        request->publish.key = (emesh_slice){ key, strlen(key) };
    emesh_http_publish_to(request, topic);
}

void
emesh_http_publish_to(emesh_admin_request *request, const char *topic)
{
    if (!publish_decode(request))
        return;
    request->topic = g_strdup(topic);
    request->publish.topic = (emesh_slice){ request->topic, strlen(topic) };
    request->start = publish_start;
    emesh_caller_start(request);
}
