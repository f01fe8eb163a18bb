/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/command/VERB: a JSON object of arguments in, {"rows":[…]} out. [lane]
 */
#include "admin/face.h"

#define MAX_ARGS_BODY (64u << 10)

typedef struct command_call {
    emesh_admin_caller *caller;
    emesh_admin_request *request; /* borrowed: in the caller's table until the end */
} command_call;

void
emesh_request_rows(emesh_admin_request *request, uint32_t status)
{
    g_autoptr(JsonObject) object = json_object_new();
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    gsize len = 0;
    json_object_set_array_member(object, "rows", json_array_ref(request->rows));
    json_node_set_object(root, object);
    char *body = emesh_json_text(root, false, &len);
    emesh_request_answer(request, status, "application/json", body, len);
}

static void
command_done(void *ctx, int32_t code, const emesh_error *err, const emesh_attr *row, uint32_t n_row,
             uint32_t more)
{
    command_call *call = ctx;
    emesh_admin_request *request = call->request;
    if (more != 0) {
        json_array_add_object_element(request->rows, emesh_json_row(row, n_row));
        return;
    }
    emesh_request_ref(request);
    emesh_caller_remove(call->caller, request);
    g_clear_pointer(&request->call, g_free);
    if (request->finish != NULL)
        request->finish(request, code, err);
    else if (code == EMESH_OK)
        emesh_request_rows(request, request->status != 0 ? request->status : 200);
    else
        emesh_request_error(request, code, err);
    emesh_request_unref(request);
}

static void
command_start(emesh_admin_caller *caller, emesh_admin_request *request)
{
    command_call *call = g_new(command_call, 1);
    *call = (command_call){ caller, request };
    request->call = call;
    g_clear_pointer(&request->rows, json_array_unref);
    request->rows = json_array_new();
    emesh_caller_add(caller, request);
    request->lane->admin->cl->command(emesh_caller_session(caller), request->verb, request->args,
                                      request->n_args, command_done, call);
}

void
emesh_http_command(emesh_admin_request *request, const char *verb)
{
    g_autoptr(GError) error = NULL;
    if (request->body->len > MAX_ARGS_BODY) {
        emesh_request_fail(request, EMESH_E_TOO_LARGE,
                           "the arguments of a command may have %u "
                           "bytes, these are %u",
                           MAX_ARGS_BODY, request->body->len);
        return;
    }
    request->args = emesh_json_args((const char *)request->body->data, request->body->len,
                                    &request->n_args, &error);
    if (request->args == NULL) {
        emesh_request_fail(request, EMESH_E_INVALID, "%s: %s", verb, error->message);
        return;
    }
    emesh_command_begin(request, verb);
}

void
emesh_command_begin(emesh_admin_request *request, const char *verb)
{
    g_free(request->verb);
    request->verb = g_strdup(verb);
    request->start = command_start;
    emesh_caller_start(request);
}
