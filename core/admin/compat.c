/* SPDX-License-Identifier: Apache-2.0
 *
 * The paths of the reference's admin server, and the frame of its answers. [lane]
 */
#include "admin/compat.h"
#include "admin/command.h"

#include <string.h>

#define ANY NULL
#define FIELDS_KEY "emesh-compat-fields"
#define MAX_FIELDS (64u << 10)

typedef struct endpoint {
    const char *path, *method;
    void (*serve)(emesh_admin_request *request);
} endpoint;

static const endpoint endpoints[] = {
    { "/clientManage/showClient", ANY, emesh_compat_show },
    { "/clientManage/showClientBySystem", ANY, emesh_compat_show_system },
    { "/clientManage/showListenClientByTopic", ANY, emesh_compat_show_topic },
    { "/clientManage/rejectAllClient", ANY, emesh_compat_reject_all },
    { "/clientManage/rejectClientByIpPort", ANY, emesh_compat_reject_port },
    { "/clientManage/rejectClientBySubSystem", ANY, emesh_compat_reject_system },
    { "/clientManage/redirectClientBySubSystem", ANY, emesh_compat_redirect_system },
    { "/clientManage/redirectClientByPath", ANY, emesh_compat_redirect_path },
    { "/clientManage/redirectClientByIpPort", ANY, emesh_compat_redirect_port },
    { "/eventMesh/recommend", ANY, emesh_compat_recommend },
    { "/client/tcp", "GET", emesh_compat_tcp },
    { "/client/tcp", "DELETE", emesh_compat_tcp_delete },
    { "/client/http", "GET", emesh_compat_http },
    { "/client/http", "DELETE", emesh_compat_http_delete },
    { "/client/grpc", "GET", emesh_compat_grpc },
    { "/client/grpc", "DELETE", emesh_compat_grpc_delete },
    { "/configuration", "GET", emesh_compat_configuration },
    { "/v2/configuration", "GET", emesh_compat_configuration_2 },
    { "/metrics", "GET", emesh_compat_metrics },
    { "/registry", "GET", emesh_compat_meta },
    { "/meta", "GET", emesh_compat_meta },
    { "/topic", "GET", emesh_compat_topics },
    { "/topic", "POST", emesh_compat_topic_create },
    { "/topic", "DELETE", emesh_compat_topic_delete },
    { "/event", "GET", emesh_compat_events },
    { "/event", "POST", emesh_compat_publish },
};

static void
header(emesh_admin_request *request, const char *name, const char *value)
{
    if (request->msg != NULL)
        soup_message_headers_replace(soup_server_message_get_response_headers(request->msg), name,
                                     value);
}

/* A browser's question before it sends the real request. "*" does not cover Authorization. */
static void
answer_options(emesh_admin_request *request)
{
    header(request, "Access-Control-Allow-Methods", "*");
    header(request, "Access-Control-Allow-Headers", "*, Authorization");
    header(request, "Access-Control-Max-Age", "86400");
    emesh_compat_empty(request);
}

bool
emesh_compat_serve(emesh_admin_request *request, const char *path, const char *method)
{
    g_autoptr(GString) allowed = g_string_new(NULL);
    for (uint32_t i = 0; i < G_N_ELEMENTS(endpoints); i++) {
        const endpoint *e = &endpoints[i];
        if (strcmp(path, e->path) != 0)
            continue;
        header(request, "Access-Control-Allow-Origin", "*");
        request->compat = true;
        if (e->method == ANY ? strcmp(method, "OPTIONS") != 0 : strcmp(method, e->method) == 0) {
            e->serve(request);
            return true;
        }
        g_string_append_printf(allowed, "%s, ", e->method != ANY ? e->method : "GET, POST");
    }
    if (allowed->len == 0)
        return false;
    g_string_append(allowed, "OPTIONS");
    if (strcmp(method, "OPTIONS") == 0)
        answer_options(request);
    else
        emesh_request_405(request, path, allowed->str);
    return true;
}

void
emesh_compat_text(emesh_admin_request *request, char *text)
{
    /* names that clients chose are in it: no browser is to run them */
    header(request, "Content-Security-Policy", "default-src 'none'; sandbox");
    emesh_request_answer(request, 200, "text/html; charset=utf-8", text, (gssize)strlen(text));
}

void
emesh_compat_json(emesh_admin_request *request, JsonNode *root)
{
    gsize len = 0;
    char *body = emesh_json_text(root, false, &len);
    json_node_unref(root);
    emesh_request_answer(request, 200, "application/json", body, len);
}

void
emesh_compat_empty(emesh_admin_request *request)
{
    emesh_request_answer(request, 200, "text/plain", g_strdup(""), 0);
}

void
emesh_compat_error(emesh_admin_request *request, uint32_t status, const char *message)
{
    g_autoptr(JsonBuilder) b = json_builder_new();
    g_autofree char *valid = g_utf8_make_valid(message, -1);
    gsize len = 0;
    json_builder_begin_object(b);
    json_builder_set_member_name(b, "data");
    json_builder_add_null_value(b);
    json_builder_set_member_name(b, "message");
    json_builder_add_string_value(b, valid);
    json_builder_end_object(b);
    g_autoptr(JsonNode) root = json_builder_get_root(b);
    char *body = emesh_json_text(root, false, &len);
    emesh_request_answer(request, status, "application/json", body, len);
}

/* The reference knows 400 for what was asked wrongly and 500 for the rest. */
void
emesh_compat_failed(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    uint32_t status = emesh_http_status(code);
    emesh_compat_error(request, status < 500 && status != 429 ? 400 : status == 503 ? 503 : 500,
                       err != NULL && err->text[0] != '\0' ? err->text : emesh_code_name(code));
}

void
emesh_compat_run(emesh_admin_request *request, emesh_compat_then then, const char *verb, ...)
{
    emesh_attr args[4];
    uint32_t n = 0;
    va_list ap;
    va_start(ap, verb);
    for (const char *name; n < G_N_ELEMENTS(args) && (name = va_arg(ap, const char *)) != NULL;) {
        const char *value = va_arg(ap, const char *);
        args[n++] = (emesh_attr){ name, value, (uint32_t)strlen(name), (uint32_t)strlen(value),
                                  EMESH_ATTR_TEXT, 0 };
    }
    va_end(ap);
    g_free(request->args);
    request->args = emesh_attrs_dup(args, n, NULL);
    request->n_args = n;
    request->finish = then;
    emesh_command_begin(request, verb);
}

/* name → value, both given to the table. */
static GHashTable *
read_fields(const emesh_admin_request *request)
{
    GHashTable *fields = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const char *body = (const char *)request->body->data;
    guint len = MIN(request->body->len, MAX_FIELDS);
    g_autofree char *text = g_strndup(len > 0 ? body : "", len);
    uint32_t n = 0;
    g_autofree emesh_attr *json = emesh_json_args(text, len, &n, NULL);
    if (json == NULL && text[0] != '{' && text[0] != '[') {
        g_autoptr(GHashTable) form = soup_form_decode(text);
        GHashTableIter iter;
        gpointer name, value;
        g_hash_table_iter_init(&iter, form);
        while (g_hash_table_iter_next(&iter, &name, &value))
            g_hash_table_insert(fields, g_strdup(name), g_strdup(value));
    }
    for (uint32_t i = 0; i < n; i++)
        g_hash_table_insert(fields, g_strndup(json[i].name, json[i].name_len),
                            g_strndup(json[i].value, json[i].value_len));
    return fields;
}

const char *
emesh_compat_field(emesh_admin_request *request, const char *name)
{
    GObject *msg = G_OBJECT(request->msg);
    GHashTable *fields = g_object_get_data(msg, FIELDS_KEY);
    if (fields == NULL) {
        fields = read_fields(request);
        g_object_set_data_full(msg, FIELDS_KEY, fields, (GDestroyNotify)g_hash_table_unref);
    }
    const char *value = g_hash_table_lookup(fields, name);
    return value != NULL ? value : emesh_request_param(request, name);
}

const char *
emesh_row_member(JsonObject *row, const char *name)
{
    return json_object_get_string_member_with_default(row, name, "");
}

int64_t
emesh_row_count(JsonObject *row, const char *name)
{
    return json_object_get_int_member_with_default(row, name, 0);
}
