/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /healthz and /readyz: the command `health` as a status that probes understand. A main loop
 * that does not answer is the answer, too. [lane]
 */
#include "admin/command.h"
#include "admin/face.h"

#include <string.h>

#define WAIT_MS 2500u /* main waits a second for the workers */

/* What probe and finish know of a request, in its status: which of the two was asked. */
#define HEALTHZ 0u
#define READYZ 1u

static const char *
text_in(JsonObject *row, const char *name)
{
    return json_object_get_string_member_with_default(row, name, "");
}

static void
member(JsonBuilder *b, const char *name, const char *value)
{
    json_builder_set_member_name(b, name);
    json_builder_add_string_value(b, value);
}

/* One instance or loop; who shows no token learns no reasons, which may name paths and hosts. */
static void
add_row(JsonBuilder *b, JsonObject *row, bool brief)
{
    json_builder_begin_object(b);
    if (strcmp(text_in(row, "kind"), "loop") == 0) {
        member(b, "name", text_in(row, "loop"));
        json_builder_set_member_name(b, "answered");
        json_builder_add_boolean_value(
            b, json_object_get_boolean_member_with_default(row, "answered", FALSE));
    } else {
        member(b, "name", text_in(row, "instance"));
        member(b, "is", text_in(row, "is"));
        member(b, "state", text_in(row, "state"));
        member(b, "health", text_in(row, "health"));
        if (!brief && text_in(row, "reason")[0] != '\0')
            member(b, "reason", text_in(row, "reason"));
    }
    json_builder_end_object(b);
}

static void
add_rows(JsonBuilder *b, JsonArray *rows, const char *kind, const char *name, bool brief)
{
    json_builder_set_member_name(b, name);
    json_builder_begin_array(b);
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        if (strcmp(text_in(row, "kind"), kind) == 0)
            add_row(b, row, brief);
    }
    json_builder_end_array(b);
}

static void
answer(emesh_admin_request *request, bool good, const char *status, JsonArray *rows,
       const char *kind, const char *name)
{
    g_autoptr(JsonBuilder) b = json_builder_new();
    gsize len = 0;
    json_builder_begin_object(b);
    member(b, "status", status);
    if (rows != NULL)
        add_rows(b, rows, kind, name, request->brief);
    json_builder_end_object(b);
    g_autoptr(JsonNode) root = json_builder_get_root(b);
    char *body = emesh_json_text(root, false, &len);
    emesh_request_answer(request, good ? 200 : 503, "application/json", body, len);
}

static void
end_wait(emesh_admin_request *request)
{
    if (request->late == NULL)
        return;
    g_source_destroy(request->late);
    g_clear_pointer(&request->late, g_source_unref);
}

static void
probe_done(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    JsonArray *rows = request->rows;
    guint n = rows != NULL ? json_array_get_length(rows) : 0;
    (void)err;
    if (request->late == NULL)
        return; /* answered when it was late */
    end_wait(request);
    if (code != EMESH_OK || n == 0) {
        answer(request, false, "stopping", NULL, NULL, NULL);
        return;
    }
    JsonObject *last = json_array_get_object_element(rows, n - 1);
    bool alive = json_object_get_boolean_member_with_default(last, "alive", FALSE);
    bool ready = json_object_get_boolean_member_with_default(last, "ready", FALSE);
    bool degraded = json_object_get_int_member_with_default(last, "degraded", 0) > 0;
    if (request->status == HEALTHZ) {
        answer(request, alive, alive ? "alive" : "stuck", rows, "loop", "loops");
        return;
    }
    const char *strict = emesh_request_param(request, "strict");
    const char *state = text_in(last, "state"), *status = "failed";
    if (!alive)
        status = "stuck";
    else if (strcmp(state, "ready") != 0)
        status = state; /* starting, stopping */
    else if (ready)
        status = degraded ? "degraded" : "ready";
    if (ready && degraded && strict != NULL && strcmp(strict, "true") == 0)
        ready = false;
    answer(request, ready, status, rows, "instance", "instances");
}

static gboolean
on_late(gpointer data)
{
    emesh_admin_request *request = data;
    g_clear_pointer(&request->late, g_source_unref);
    answer(request, false, "stuck", NULL, NULL, NULL);
    return G_SOURCE_REMOVE;
}

void
emesh_http_probe(emesh_admin_request *request, bool ready)
{
    request->args = emesh_attrs_dup(NULL, 0, NULL);
    request->status = ready ? READYZ : HEALTHZ;
    request->finish = probe_done;
    request->late = g_timeout_source_new(WAIT_MS);
    g_source_set_callback(request->late, on_late, request, NULL);
    g_source_attach(request->late, request->lane->context);
    emesh_command_begin(request, "health");
}
