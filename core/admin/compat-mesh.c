/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics, events, configuration and counters as the reference's admin server shows them. [lane]
 */
#include "admin/compat.h"
#include "emesh-build.h"

#include <stdlib.h>
#include <string.h>

#define EVENTS_MOST 1000u

static bool
failed(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    if (code != EMESH_OK)
        emesh_compat_failed(request, code, err);
    return code != EMESH_OK;
}

static void
string(JsonBuilder *b, const char *name, const char *value)
{
    json_builder_set_member_name(b, name);
    json_builder_add_string_value(b, value);
}

static void
number(JsonBuilder *b, const char *name, int64_t value)
{
    json_builder_set_member_name(b, name);
    json_builder_add_int_value(b, value);
}

static void
flag(JsonBuilder *b, const char *name, bool value)
{
    json_builder_set_member_name(b, name);
    json_builder_add_boolean_value(b, value);
}

/* ---- registry ---- */

/* There is no registry of servers here, which is what the reference says when it has none. */
void
emesh_compat_recommend(emesh_admin_request *request)
{
    const char *group = emesh_compat_field(request, "group");
    const char *purpose = emesh_compat_field(request, "purpose");
    static const char text[] = "registry enable config is false, not support";
    if (group == NULL || *group == '\0' || purpose == NULL ||
        (strcmp(purpose, "pub") != 0 && strcmp(purpose, "sub") != 0))
        emesh_compat_text(request, g_strdup("params illegal!"));
    else
        emesh_request_answer(request, 500, "text/plain; charset=utf-8", g_strdup(text),
                             sizeof text - 1);
}

void
emesh_compat_meta(emesh_admin_request *request)
{
    g_autoptr(JsonBuilder) b = json_builder_new();
    json_builder_begin_array(b);
    json_builder_end_array(b);
    emesh_compat_json(request, json_builder_get_root(b));
}

/* ---- configuration ---- */

typedef struct server { /* what listens for one protocol; port 0: nothing */
    int64_t port;
    bool tls;
} server;

/* The first listener of an instance of component. */
static server
server_of(JsonArray *rows, const char *component)
{
    g_autofree char *instance = NULL;
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        const char *kind = emesh_row_member(row, "kind");
        if (instance == NULL && strcmp(kind, "instance") == 0 &&
            strcmp(emesh_row_member(row, "component"), component) == 0)
            instance = g_strdup(emesh_row_member(row, "instance"));
        if (instance == NULL || strcmp(kind, "listener") != 0 ||
            strcmp(emesh_row_member(row, "instance"), instance) != 0)
            continue;
        const char *colon = strrchr(emesh_row_member(row, "address"), ':');
        return (server){ colon != NULL ? strtol(colon + 1, NULL, 10) : 0,
                         json_object_get_boolean_member_with_default(row, "tls", FALSE) };
    }
    return (server){ 0, false };
}

static const char *
node_of(JsonArray *rows)
{
    JsonObject *row =
        json_array_get_length(rows) > 0 ? json_array_get_object_element(rows, 0) : NULL;
    return row != NULL ? emesh_row_member(row, "node") : "";
}

static void
configured(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    g_autoptr(JsonBuilder) b = json_builder_new();
    if (failed(request, code, err))
        return;
    server tcp = server_of(request->rows, "protocol-tcp");
    server http = server_of(request->rows, "protocol-http");
    server grpc = server_of(request->rows, "protocol-grpc");
    json_builder_begin_object(b);
    string(b, "sysID", "");
    string(b, "namesrvAddr", "");
    string(b, "eventMeshEnv", "");
    string(b, "eventMeshIDC", "");
    string(b, "eventMeshCluster", "");
    string(b, "eventMeshServerIp", "");
    string(b, "eventMeshName", node_of(request->rows));
    string(b, "eventMeshWebhookOrigin", "");
    flag(b, "eventMeshServerSecurityEnable", false);
    flag(b, "eventMeshServerRegistryEnable", false);
    number(b, "eventMeshTcpServerPort", tcp.port);
    number(b, "eventMeshHttpServerPort", http.port);
    flag(b, "eventMeshHttpServerUseTls", http.tls);
    number(b, "eventMeshGrpcServerPort", grpc.port);
    flag(b, "eventMeshGrpcServerUseTls", grpc.tls);
    json_builder_end_object(b);
    emesh_compat_json(request, json_builder_get_root(b));
}

void
emesh_compat_configuration(emesh_admin_request *request)
{
    emesh_compat_run(request, configured, "status", NULL);
}

static void
begin(JsonBuilder *b, const char *name)
{
    json_builder_set_member_name(b, name);
    json_builder_begin_object(b);
}

static void
common_2(JsonBuilder *b, JsonArray *rows, bool bean)
{
    g_autoptr(GString) protocols = g_string_new(NULL);
    static const char *const known[][2] = { { "protocol-http", "HTTP" },
                                            { "protocol-tcp", "TCP" },
                                            { "protocol-grpc", "GRPC" } };
    for (guint i = 0; i < G_N_ELEMENTS(known); i++)
        if (server_of(rows, known[i][0]).port != 0)
            g_string_append_printf(protocols, "%s%s", protocols->len > 0 ? "," : "", known[i][1]);
    begin(b, "commonConfiguration");
    string(b, bean ? "eventMeshName" : "eventMesh.server.name", node_of(rows));
    string(b, bean ? "eventMeshEnv" : "eventMesh.server.env", "");
    string(b, bean ? "eventMeshIDC" : "eventMesh.server.idc", "");
    string(b, bean ? "eventMeshCluster" : "eventMesh.server.cluster", "");
    string(b, bean ? "sysID" : "eventMesh.sysid", "");
    string(b, bean ? "eventMeshServerIp" : "eventMesh.server.hostIp", "");
    string(b, bean ? "eventMeshProvideServerProtocols" : "eventMesh.server.provide.protocols",
           protocols->str);
    flag(b, bean ? "eventMeshServerSecurityEnable" : "eventMesh.server.security.enabled", false);
    flag(b, bean ? "eventMeshServerMetaStorageEnable" : "eventMesh.metaStorage.plugin.enabled",
         false);
    json_builder_end_object(b);
}

static void
configured_2(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    g_autoptr(JsonBuilder) b = json_builder_new();
    if (failed(request, code, err))
        return;
    const bool bean = g_strcmp0(emesh_request_param(request, "format"), "bean") == 0;
    server tcp = server_of(request->rows, "protocol-tcp");
    server http = server_of(request->rows, "protocol-http");
    server grpc = server_of(request->rows, "protocol-grpc");
    json_builder_begin_object(b);
    begin(b, "data");
    common_2(b, request->rows, bean);
    begin(b, "eventMeshGrpcConfiguration");
    number(b, bean ? "grpcServerPort" : "eventMesh.server.grpc.port", grpc.port);
    json_builder_end_object(b);
    begin(b, "eventMeshHTTPConfiguration");
    number(b, bean ? "httpServerPort" : "eventMesh.server.http.port", http.port);
    flag(b, bean ? "eventMeshServerUseTls" : "eventMesh.server.useTls.enabled", http.tls);
    json_builder_set_member_name(b, bean ? "eventMeshIpv4BlackList"
                                         : "eventMesh.server.blacklist.ipv4");
    json_builder_begin_array(b);
    json_builder_end_array(b);
    json_builder_set_member_name(b, bean ? "eventMeshIpv6BlackList"
                                         : "eventMesh.server.blacklist.ipv6");
    json_builder_begin_array(b);
    json_builder_end_array(b);
    json_builder_end_object(b);
    begin(b, "eventMeshTCPConfiguration");
    number(b, bean ? "eventMeshTcpServerPort" : "eventMesh.server.tcp.port", tcp.port);
    json_builder_end_object(b);
    string(b, "eventMeshVersion", "v" EMESH_VERSION);
    json_builder_end_object(b);
    string(b, "message", "Success");
    json_builder_end_object(b);
    emesh_compat_json(request, json_builder_get_root(b));
}

void
emesh_compat_configuration_2(emesh_admin_request *request)
{
    static const char *const params[][3] = { { "format", "properties", "bean" },
                                             { "configs", "exclusive", "all" } };
    for (guint i = 0; i < G_N_ELEMENTS(params); i++) {
        const char *value = emesh_request_param(request, params[i][0]);
        if (value == NULL || strcmp(value, params[i][1]) == 0 || strcmp(value, params[i][2]) == 0)
            continue;
        g_autofree char *text = g_strdup_printf("Invalid param '%s': %.100s", params[i][0], value);
        emesh_compat_error(request, 400, text);
        return;
    }
    emesh_compat_run(request, configured_2, "status", NULL);
}

/* ---- metrics ---- */

/* Names of the reference, and our counter that means the same; NULL: nothing is counted so here,
 * and 0 is what a fresh reference says. */
static const char *const metric_names[][2] = {
    { "maxHTTPTPS", NULL },
    { "avgHTTPTPS", NULL },
    { "maxHTTPCost", NULL },
    { "avgHTTPCost", NULL },
    { "avgHTTPBodyDecodeCost", NULL },
    { "httpDiscard", "protocol_http_requests_refused" },
    { "maxBatchSendMsgTPS", NULL },
    { "avgBatchSendMsgTPS", NULL },
    { "sendBatchMsgNumSum", NULL },
    { "sendBatchMsgFailNumSum", NULL },
    { "sendBatchMsgFailRate", NULL },
    { "sendBatchMsgDiscardNumSum", NULL },
    { "maxSendMsgTPS", NULL },
    { "avgSendMsgTPS", NULL },
    { "sendMsgNumSum", "bus_published" },
    { "sendMsgFailNumSum", "bus_failed" },
    { "sendMsgFailRate", NULL },
    { "replyMsgNumSum", "bus_replies" },
    { "replyMsgFailNumSum", "bus_replies_dropped" },
    { "maxPushMsgTPS", NULL },
    { "avgPushMsgTPS", NULL },
    { "pushHTTPMsgNumSum", "protocol_http_pushes" },
    { "pushHTTPMsgFailNumSum", "protocol_http_pushes_failed" },
    { "pushHTTPMsgFailRate", NULL },
    { "maxHTTPPushLatency", NULL },
    { "avgHTTPPushLatency", NULL },
    { "batchMsgQueueSize", NULL },
    { "sendMsgQueueSize", NULL },
    { "pushMsgQueueSize", NULL },
    { "retryHTTPQueueSize", NULL },
    { "avgBatchSendMsgCost", NULL },
    { "avgSendMsgCost", NULL },
    { "avgReplyMsgCost", NULL },
    { "retryTCPQueueSize", NULL },
    { "client2eventMeshTCPTPS", NULL },
    { "eventMesh2mqTCPTPS", NULL },
    { "mq2eventMeshTCPTPS", NULL },
    { "eventMesh2clientTCPTPS", NULL },
    { "allTCPTPS", NULL },
    { "allTCPConnections", "" }, /* counted from the sessions */
    { "subTopicTCPNum", "" },
};

typedef struct counters {
    GHashTable *by_name; /* name → int64_t, summed over instances */
} counters;

static void
counters_free(void *data)
{
    counters *c = data;
    g_hash_table_unref(c->by_name);
    g_free(c);
}

static int64_t
rate(const counters *c, const char *part, const char *whole, double *out)
{
    const int64_t *a = g_hash_table_lookup(c->by_name, part);
    const int64_t *b = g_hash_table_lookup(c->by_name, whole);
    *out = a != NULL && b != NULL && *b > 0 ? (double)*a / (double)*b : 0.0;
    return a != NULL;
}

static void
metrics_all(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    const counters *c = request->plan;
    g_autoptr(JsonBuilder) b = json_builder_new();
    int64_t connections = 0, subscriptions = 0;
    if (failed(request, code, err))
        return;
    for (guint i = 0; i < json_array_get_length(request->rows); i++) {
        JsonObject *row = json_array_get_object_element(request->rows, i);
        if (strcmp(emesh_row_member(row, "protocol"), "tcp") != 0)
            continue;
        connections++;
        subscriptions += emesh_row_count(row, "subscriptions");
    }
    json_builder_begin_object(b);
    for (guint i = 0; i < G_N_ELEMENTS(metric_names); i++) {
        const char *name = metric_names[i][0], *ours = metric_names[i][1];
        const int64_t *value = ours != NULL ? g_hash_table_lookup(c->by_name, ours) : NULL;
        double part = 0;
        if (ours != NULL && *ours == '\0') {
            number(b, name, name[0] == 'a' ? connections : subscriptions);
        } else if (g_str_has_suffix(name, "Rate")) {
            if (strcmp(name, "sendMsgFailRate") == 0)
                rate(c, "bus_failed", "bus_published", &part);
            else if (strcmp(name, "pushHTTPMsgFailRate") == 0)
                rate(c, "protocol_http_pushes_failed", "protocol_http_pushes", &part);
            json_builder_set_member_name(b, name);
            json_builder_add_double_value(b, part);
        } else {
            number(b, name, value != NULL ? *value : 0);
        }
    }
    json_builder_end_object(b);
    emesh_compat_json(request, json_builder_get_root(b));
}

static void
metrics_read(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    if (failed(request, code, err))
        return;
    counters *c = g_new0(counters, 1);
    c->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    request->plan = c;
    request->forget = counters_free;
    for (guint i = 0; i < json_array_get_length(request->rows); i++) {
        JsonObject *row = json_array_get_object_element(request->rows, i);
        const char *name = emesh_row_member(row, "name");
        const int64_t *before = g_hash_table_lookup(c->by_name, name);
        int64_t *sum = g_new(int64_t, 1);
        *sum = emesh_row_count(row, "value") + (before != NULL ? *before : 0);
        g_hash_table_insert(c->by_name, g_strdup(name), sum);
    }
    emesh_compat_run(request, metrics_all, "client.list", NULL);
}

void
emesh_compat_metrics(emesh_admin_request *request)
{
    emesh_compat_run(request, metrics_read, "metrics", NULL);
}

/* ---- topics ---- */

static void
topics_listed(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    g_autoptr(JsonBuilder) b = json_builder_new();
    if (failed(request, code, err))
        return;
    json_builder_begin_array(b);
    for (guint i = 0; i < json_array_get_length(request->rows); i++) {
        JsonObject *row = json_array_get_object_element(request->rows, i);
        json_builder_begin_object(b);
        string(b, "name", emesh_row_member(row, "topic"));
        number(b, "messageCount", emesh_row_count(row, "events"));
        json_builder_end_object(b);
    }
    json_builder_end_array(b);
    emesh_compat_json(request, json_builder_get_root(b));
}

void
emesh_compat_topics(emesh_admin_request *request)
{
    emesh_compat_run(request, topics_listed, "topic.list", NULL);
}

static void
changed(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    if (!failed(request, code, err))
        emesh_compat_empty(request);
}

static void
topic_change(emesh_admin_request *request, const char *verb)
{
    const char *name = emesh_compat_field(request, "name");
    if (name == NULL || *name == '\0')
        emesh_compat_error(request, 400, "the body has to name the topic: name");
    else
        emesh_compat_run(request, changed, verb, "topic", name, NULL);
}

void
emesh_compat_topic_create(emesh_admin_request *request)
{
    topic_change(request, "topic.create");
}

void
emesh_compat_topic_delete(emesh_admin_request *request)
{
    topic_change(request, "topic.delete");
}

/* ---- events ---- */

/* A number in the query; false: answered. */
static bool
count_in(emesh_admin_request *request, const char *name, uint64_t otherwise, uint64_t *out)
{
    const char *text = emesh_request_param(request, name);
    g_autofree char *why = NULL;
    *out = otherwise;
    if (text == NULL || g_ascii_string_to_unsigned(text, 10, 0, EVENTS_MOST, out, NULL))
        return true;
    why = g_strdup_printf("%s is a number from 0 to %u", name, EVENTS_MOST);
    emesh_compat_error(request, 400, why);
    return false;
}

static void
events_read(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    g_autoptr(JsonBuilder) b = json_builder_new();
    uint64_t offset = 0, seen = 0;
    if (failed(request, code, err))
        return;
    const char *text = emesh_request_param(request, "offset");
    if (text != NULL)
        g_ascii_string_to_unsigned(text, 10, 0, EVENTS_MOST, &offset, NULL);
    json_builder_begin_array(b);
    for (guint i = 0; i < json_array_get_length(request->rows); i++) {
        JsonObject *row = json_array_get_object_element(request->rows, i);
        const char *event = emesh_row_member(row, "event");
        if (*event != '\0' && seen++ >= offset)
            json_builder_add_string_value(b, event);
    }
    json_builder_end_array(b);
    emesh_compat_json(request, json_builder_get_root(b));
}

void
emesh_compat_events(emesh_admin_request *request)
{
    const char *topic = emesh_request_param(request, "topicName");
    uint64_t offset, length;
    if (request->query == NULL || g_hash_table_size(request->query) == 0) {
        emesh_compat_error(request, 401, "the query has to name topicName, offset and length");
        return;
    }
    if (topic == NULL || *topic == '\0') {
        emesh_compat_error(request, 400, "the query has to name topicName");
        return;
    }
    if (!count_in(request, "offset", 0, &offset) || !count_in(request, "length", 10, &length))
        return;
    if (length == 0) {
        emesh_compat_meta(request); /* none */
        return;
    }
    g_autofree char *limit = g_strdup_printf("%" G_GUINT64_FORMAT, offset + length);
    emesh_compat_run(request, events_read, "topic.browse", "topic", topic, "limit", limit, "data",
                     "true", "from", "earliest", NULL);
}

/* The fields of a form become the members of the event. */
static void
form_to_json(emesh_admin_request *request)
{
    g_autofree char *text = g_strndup((const char *)request->body->data, request->body->len);
    g_autoptr(GHashTable) form = soup_form_decode(text);
    g_autoptr(JsonBuilder) b = json_builder_new();
    GHashTableIter iter;
    gpointer name, value;
    gsize len = 0;
    json_builder_begin_object(b);
    g_hash_table_iter_init(&iter, form);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        g_autofree char *valid = g_utf8_make_valid(value, -1);
        g_autofree char *key = g_utf8_make_valid(name, -1);
        string(b, key, valid);
    }
    json_builder_end_object(b);
    g_autoptr(JsonNode) root = json_builder_get_root(b);
    g_autofree char *json = emesh_json_text(root, false, &len);
    g_byte_array_set_size(request->body, 0);
    g_byte_array_append(request->body, (const guint8 *)json, (guint)len);
}

/* The reference takes the subject of an event for its topic. */
void
emesh_compat_publish(emesh_admin_request *request)
{
    g_autoptr(GError) error = NULL;
    const char *type = soup_message_headers_get_content_type(
        soup_server_message_get_request_headers(request->msg), NULL);
    if (type != NULL && g_ascii_strcasecmp(type, "application/x-www-form-urlencoded") == 0 &&
        request->body->len > 0 && request->body->data[0] != '{')
        form_to_json(request);
    g_autoptr(JsonNode) root = emesh_json_parse((const char *)request->body->data,
                                                request->body->len, &error);
    JsonNode *node = root != NULL && JSON_NODE_HOLDS_OBJECT(root)
                         ? json_object_get_member(json_node_get_object(root), "subject")
                         : NULL;
    const char *subject = root != NULL && JSON_NODE_HOLDS_OBJECT(root) ? "" : NULL;
    if (node != NULL && JSON_NODE_HOLDS_VALUE(node) &&
        json_node_get_value_type(node) == G_TYPE_STRING)
        subject = json_node_get_string(node);
    if (subject == NULL) {
        emesh_compat_error(request, 400,
                           error != NULL ? error->message : "the body is no CloudEvent in JSON");
        return;
    }
    if (*subject == '\0') {
        emesh_compat_error(request, 400, "the event needs a subject, which is its topic");
        return;
    }
    request->finish = changed;
    emesh_http_publish_to(request, subject);
}
