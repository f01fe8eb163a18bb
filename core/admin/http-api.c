/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry of commands as /v1/…: GET shows, POST changes, DELETE takes away. Arguments come in
 * the query, those of POST and DELETE in a JSON object or a form as well. [lane]
 */
#include "admin/command.h"
#include "admin/face.h"

#include <string.h>

#define MAX_ARGS_BODY (64u << 10)

typedef struct arg_list {
    GArray *attrs; /* emesh_attr; names and values of the tables below */
    const char *wrong;
} arg_list;

static void
add_pairs(arg_list *list, GHashTable *pairs)
{
    GHashTableIter iter;
    gpointer name, value;
    g_hash_table_iter_init(&iter, pairs);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        emesh_attr attr = { name,      value, (uint32_t)strlen(name), (uint32_t)strlen(value),
                            EMESH_ATTR_TEXT, 0 };
        if (!g_utf8_validate(name, -1, NULL) || !g_utf8_validate(value, -1, NULL))
            list->wrong = name;
        g_array_append_val(list->attrs, attr);
    }
}

static bool
is_form(const emesh_admin_request *request)
{
    const char *type = soup_message_headers_get_content_type(
        soup_server_message_get_request_headers(request->msg), NULL);
    return type != NULL && g_ascii_strcasecmp(type, "application/x-www-form-urlencoded") == 0;
}

/* The body's arguments behind those of the query; false: answered. form and json: given, they hold
 * what list points to. */
static bool
add_body(emesh_admin_request *request, arg_list *list, GHashTable **form, emesh_attr **json)
{
    const char *body = (const char *)request->body->data;
    guint len = request->body->len;
    g_autoptr(GError) error = NULL;
    if (len == 0)
        return true;
    if (len > MAX_ARGS_BODY) {
        emesh_request_fail(request, EMESH_E_TOO_LARGE,
                           "the arguments of a command may have %u bytes, these are %u",
                           MAX_ARGS_BODY, len);
        return false;
    }
    if (is_form(request) && body[0] != '{') { /* curl -d says form whatever follows */
        g_autofree char *text = g_strndup(body, len);
        *form = soup_form_decode(text);
        add_pairs(list, *form);
        return true;
    }
    uint32_t n = 0;
    *json = emesh_json_args(body, len, &n, &error);
    if (*json == NULL) {
        emesh_request_fail(request, EMESH_E_INVALID, "%s", error->message);
        return false;
    }
    g_array_append_vals(list->attrs, *json, n);
    return true;
}

static void
serve(emesh_admin_request *request, const emesh_command *command, const char *method)
{
    arg_list list = { .attrs = g_array_new(FALSE, FALSE, sizeof(emesh_attr)) };
    g_autoptr(GHashTable) form = NULL;
    g_autofree emesh_attr *json = NULL;
    if (request->query != NULL)
        add_pairs(&list, request->query);
    bool good = strcmp(method, "GET") == 0 || add_body(request, &list, &form, &json);
    if (good && list.wrong != NULL)
        emesh_request_refuse(request, list.wrong, "the argument '%.60s' is not UTF-8", list.wrong);
    else if (good) {
        request->n_args = list.attrs->len;
        request->args = emesh_attrs_dup((const emesh_attr *)(const void *)list.attrs->data,
                                        list.attrs->len, NULL);
        request->status = g_str_has_suffix(command->verb, ".create") ? 201 : 200;
        emesh_command_begin(request, command->verb);
    }
    g_array_free(list.attrs, TRUE);
}

bool
emesh_http_api(emesh_admin_request *request, const char *path, const char *method)
{
    g_autoptr(GString) allowed = g_string_new(NULL);
    if (!g_str_has_prefix(path, "/v1/"))
        return false;
    const emesh_command *const *tables = emesh_command_tables();
    for (uint32_t t = 0; tables[t] != NULL; t++) {
        for (const emesh_command *c = tables[t]; c->verb != NULL; c++) {
            g_autofree char *at = NULL;
            const char *wants = emesh_command_route(c, &at);
            if (strcmp(path, at) != 0)
                continue;
            if (strcmp(method, wants) == 0) {
                serve(request, c, method);
                return true;
            }
            g_string_append_printf(allowed, "%s%s", allowed->len > 0 ? ", " : "", wants);
        }
    }
    if (allowed->len == 0)
        return false;
    emesh_request_405(request, path, allowed->str);
    return true;
}
