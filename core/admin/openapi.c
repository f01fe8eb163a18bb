/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenAPI 3.0 of /v1/… and the probes. Every command of the registry is in it by construction.
 */
#include "admin/openapi.h"
#include "admin/command.h"
#include "admin/json.h"
#include "emesh-build.h"

#include <string.h>

/* What arguments of a name mean, whatever the command. One that is not here is a text. */
static const struct {
    const char *name, *type, *help;
} arguments[] = {
    { "data", "boolean", "true: show the whole events" },
    { "dry-run", "boolean", "true: only tell what would be done" },
    { "from", "string", "a place: earliest, latest, a time, or a position" },
    { "group", "string", "name of a group" },
    { "id", "string", "id, as the list shows it" },
    { "instance", "string", "name of an instance" },
    { "level", "string", "error, warning, notice, info or debug" },
    { "limit", "integer", "most rows, 1 to 10000" },
    { "name", "string", "name of an instance or plugin" },
    { "partition", "integer", "number of a partition" },
    { "rate", "integer", "events a second" },
    { "reason", "string", "told to the peer and logged" },
    { "to", "string", "a place, or ADDRESS:PORT of another server" },
    { "topic", "string", "name of a topic" },
    { "where", "string", "a condition, NAME=VALUE" },
};

static void
text(JsonBuilder *b, const char *name, const char *value)
{
    json_builder_set_member_name(b, name);
    json_builder_add_string_value(b, value);
}

static void
begin(JsonBuilder *b, const char *name)
{
    json_builder_set_member_name(b, name);
    json_builder_begin_object(b);
}

static void
schema_ref(JsonBuilder *b, const char *name)
{
    g_autofree char *ref = g_strconcat("#/components/schemas/", name, NULL);
    begin(b, "schema");
    text(b, "$ref", ref);
    json_builder_end_object(b);
}

static void
response(JsonBuilder *b, const char *status, const char *help, const char *type,
         const char *schema)
{
    begin(b, status);
    text(b, "description", help);
    begin(b, "content");
    begin(b, type);
    schema_ref(b, schema);
    json_builder_end_object(b);
    json_builder_end_object(b);
    json_builder_end_object(b);
}

static void
refusals(JsonBuilder *b)
{
    static const struct {
        const char *status, *help;
    } all[] = {
        { "400", "an argument is missing or wrong; the error names it" },
        { "401", "no token, or a wrong one" },
        { "403", "this user or session may not" },
        { "404", "what is named does not exist" },
        { "405", "the method is another one; Allow names it" },
        { "409", "it exists already" },
        { "413", "the body is over the limit" },
        { "429", "busy, or too many wrong tokens; Retry-After tells" },
        { "500", "a fault of the daemon" },
        { "501", "this store or protocol has no way to do it" },
        { "503", "not now: starting, stopping, or a store is away" },
        { "504", "the outcome is not known" },
        { "507", "no space" },
    };
    for (uint32_t i = 0; i < G_N_ELEMENTS(all); i++)
        response(b, all[i].status, all[i].help, "application/json", "Error");
}

static uint32_t
known(const char *name)
{
    uint32_t i = 0;
    while (i < G_N_ELEMENTS(arguments) && strcmp(arguments[i].name, name) != 0)
        i++;
    return i;
}

/* In a query everything is text on the way; the type says what it has to look like. */
static void
parameter(JsonBuilder *b, const char *name, bool required, const char *type, const char *help)
{
    json_builder_begin_object(b);
    text(b, "name", name);
    text(b, "in", "query");
    json_builder_set_member_name(b, "required");
    json_builder_add_boolean_value(b, required);
    if (help != NULL)
        text(b, "description", help);
    begin(b, "schema");
    text(b, "type", type);
    json_builder_end_object(b);
    json_builder_end_object(b);
}

static void
parameters(JsonBuilder *b, char *const *words)
{
    json_builder_set_member_name(b, "parameters");
    json_builder_begin_array(b);
    for (; *words != NULL; words++) {
        bool optional = g_str_has_suffix(*words, "?");
        g_autofree char *name = g_strndup(*words, strlen(*words) - optional);
        uint32_t i = known(name);
        if (name[0] != '\0')
            parameter(b, name, !optional,
                      i < G_N_ELEMENTS(arguments) ? arguments[i].type : "string",
                      i < G_N_ELEMENTS(arguments) ? arguments[i].help : NULL);
    }
    json_builder_end_array(b);
}

static void
body_properties(JsonBuilder *b, char *const *words, GPtrArray *required)
{
    begin(b, "properties");
    for (; *words != NULL; words++) {
        bool optional = g_str_has_suffix(*words, "?");
        g_autofree char *name = g_strndup(*words, strlen(*words) - optional);
        uint32_t i = known(name);
        if (name[0] == '\0')
            continue;
        begin(b, name);
        text(b, "type", i < G_N_ELEMENTS(arguments) ? arguments[i].type : "string");
        if (i < G_N_ELEMENTS(arguments))
            text(b, "description", arguments[i].help);
        json_builder_end_object(b);
        if (!optional)
            g_ptr_array_add(required, g_steal_pointer(&name));
    }
    json_builder_end_object(b);
}

static void
body(JsonBuilder *b, char *const *words)
{
    g_autoptr(GPtrArray) required = g_ptr_array_new_with_free_func(g_free);
    begin(b, "requestBody");
    begin(b, "content");
    begin(b, "application/json");
    begin(b, "schema");
    text(b, "type", "object");
    json_builder_set_member_name(b, "additionalProperties");
    json_builder_add_boolean_value(b, FALSE);
    body_properties(b, words, required);
    if (required->len > 0) {
        json_builder_set_member_name(b, "required");
        json_builder_begin_array(b);
        for (guint i = 0; i < required->len; i++)
            json_builder_add_string_value(b, required->pdata[i]);
        json_builder_end_array(b);
    }
    json_builder_end_object(b);
    json_builder_end_object(b);
    json_builder_end_object(b);
    json_builder_set_member_name(b, "required");
    json_builder_add_boolean_value(b, required->len > 0);
    json_builder_end_object(b);
}

static void
command(JsonBuilder *b, const emesh_command *c, const char *method)
{
    g_autofree char *lower = g_ascii_strdown(method, -1);
    g_auto(GStrv) words = g_strsplit(c->args, " ", -1);
    begin(b, lower);
    text(b, "operationId", c->verb);
    text(b, "summary", c->help);
    if (strcmp(method, "POST") == 0)
        body(b, words);
    else
        parameters(b, words);
    begin(b, "responses");
    response(b, g_str_has_suffix(c->verb, ".create") ? "201" : "200", "the rows of the answer",
             "application/json", "Rows");
    refusals(b);
    json_builder_end_object(b);
    json_builder_end_object(b);
}

/* All commands that share the path of the first one, which is told once. */
static void
command_path(JsonBuilder *b, const char *path)
{
    const emesh_command *const *tables = emesh_command_tables();
    begin(b, path);
    for (uint32_t t = 0; tables[t] != NULL; t++) {
        for (const emesh_command *c = tables[t]; c->verb != NULL; c++) {
            g_autofree char *own = NULL;
            const char *method = emesh_command_route(c, &own);
            if (strcmp(own, path) == 0)
                command(b, c, method);
        }
    }
    json_builder_end_object(b);
}

static void
command_paths(JsonBuilder *b)
{
    const emesh_command *const *tables = emesh_command_tables();
    g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (uint32_t t = 0; tables[t] != NULL; t++) {
        for (const emesh_command *c = tables[t]; c->verb != NULL; c++) {
            char *path = NULL;
            emesh_command_route(c, &path);
            if (g_hash_table_add(told, path)) /* freed by the table when it was there */
                command_path(b, path);
        }
    }
}

static void
probe(JsonBuilder *b, const char *path, const char *summary, const char *good, const char *bad)
{
    begin(b, path);
    begin(b, "get");
    text(b, "operationId", path + 1);
    text(b, "summary", summary);
    json_builder_set_member_name(b, "parameters");
    json_builder_begin_array(b);
    if (strcmp(path, "/readyz") == 0)
        parameter(b, "strict", false, "boolean", "true: degraded is not ready either");
    json_builder_end_array(b);
    begin(b, "responses");
    response(b, "200", good, "application/json", "Probe");
    response(b, "503", bad, "application/json", "Probe");
    response(b, "401", "no token, or a wrong one", "application/json", "Error");
    response(b, "429", "too many wrong tokens", "application/json", "Error");
    json_builder_end_object(b);
    json_builder_end_object(b);
    json_builder_end_object(b);
}

static void
publish(JsonBuilder *b)
{
    begin(b, "/v1/publish");
    begin(b, "post");
    text(b, "operationId", "publish");
    text(b, "summary", "publishes one event; answered when the store has it");
    json_builder_set_member_name(b, "parameters");
    json_builder_begin_array(b);
    parameter(b, "topic", true, "string", "name of a topic");
    parameter(b, "key", false, "string", "events of one key stay in order");
    parameter(b, "level", false, "string", "memory, os, synced or quorum");
    json_builder_end_array(b);
    begin(b, "requestBody");
    json_builder_set_member_name(b, "required");
    json_builder_add_boolean_value(b, TRUE);
    begin(b, "content");
    begin(b, "application/cloudevents+json");
    schema_ref(b, "Event");
    json_builder_end_object(b);
    json_builder_end_object(b);
    json_builder_end_object(b);
    begin(b, "responses");
    response(b, "200", "stored at this level", "application/json", "Published");
    refusals(b);
    json_builder_end_object(b);
    json_builder_end_object(b);
    json_builder_end_object(b);
}

static void
subscribe(JsonBuilder *b)
{
    begin(b, "/v1/subscribe");
    begin(b, "get");
    text(b, "operationId", "subscribe");
    text(b, "summary", "a stream of events, one JSON text a line, done once written");
    json_builder_set_member_name(b, "parameters");
    json_builder_begin_array(b);
    parameter(b, "topic", true, "string", "name of a topic, or a pattern");
    parameter(b, "group", false, "string", "name of a group");
    parameter(b, "mode", false, "string", "shared or every");
    parameter(b, "from", false, "string", "earliest or latest");
    parameter(b, "max", false, "integer", "ends the stream after so many events");
    json_builder_end_array(b);
    begin(b, "responses");
    response(b, "200", "the stream", "application/x-ndjson", "Event");
    refusals(b);
    json_builder_end_object(b);
    json_builder_end_object(b);
    json_builder_end_object(b);
}

static void
schemas(JsonBuilder *b)
{
    /* constant, so as text */
    static const char all[] =
        "{\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{"
        "\"type\":\"object\",\"required\":[\"code\",\"name\",\"text\"],\"properties\":{"
        "\"code\":{\"type\":\"integer\"},\"name\":{\"type\":\"string\"},"
        "\"argument\":{\"type\":\"string\",\"description\":\"the argument that is wrong\"},"
        "\"text\":{\"type\":\"string\"}}}}},"
        "\"Rows\":{\"type\":\"object\",\"required\":[\"rows\"],\"properties\":{\"rows\":{"
        "\"type\":\"array\",\"items\":{\"type\":\"object\"}}}},"
        "\"Probe\":{\"type\":\"object\",\"required\":[\"status\"],\"properties\":{\"status\":{"
        "\"type\":\"string\",\"enum\":[\"alive\",\"stuck\",\"ready\",\"degraded\",\"failed\","
        "\"starting\",\"stopping\"]}}},"
        "\"Published\":{\"type\":\"object\",\"required\":[\"id\",\"topic\",\"level\"],"
        "\"properties\":{\"id\":{\"type\":\"string\"},\"topic\":{\"type\":\"string\"},"
        "\"level\":{\"type\":\"string\"}}},"
        "\"Event\":{\"type\":\"object\",\"required\":[\"specversion\",\"id\",\"source\","
        "\"type\"],\"properties\":{\"specversion\":{\"type\":\"string\",\"enum\":[\"1.0\"]},"
        "\"id\":{\"type\":\"string\",\"minLength\":1},\"source\":{\"type\":\"string\","
        "\"minLength\":1},\"type\":{\"type\":\"string\",\"minLength\":1}}}}";
    begin(b, "components");
    begin(b, "securitySchemes");
    begin(b, "token");
    text(b, "type", "http");
    text(b, "scheme", "bearer");
    json_builder_end_object(b);
    json_builder_end_object(b);
    json_builder_set_member_name(b, "schemas");
    json_builder_add_value(b, json_from_string(all, NULL));
    json_builder_end_object(b);
    json_builder_set_member_name(b, "security");
    json_builder_begin_array(b);
    json_builder_begin_object(b);
    json_builder_set_member_name(b, "token");
    json_builder_begin_array(b);
    json_builder_end_array(b);
    json_builder_end_object(b);
    json_builder_end_array(b);
}

char *
emesh_openapi_text(gsize *len)
{
    g_autoptr(JsonBuilder) b = json_builder_new();
    json_builder_begin_object(b);
    text(b, "openapi", "3.0.3");
    begin(b, "info");
    text(b, "title", "eventmeshd administration");
    text(b, "description", "The commands of eventmeshctl over HTTP. The operator guide tells how "
                           "to open it.");
    text(b, "version", EMESH_VERSION);
    begin(b, "license");
    text(b, "name", "Apache-2.0");
    json_builder_end_object(b);
    json_builder_end_object(b);
    begin(b, "paths");
    probe(b, "/healthz", "does every loop of the process turn?", "yes", "no, or not in time");
    probe(b, "/readyz", "does every instance run, and is the daemon not stopping?",
          "ready, or degraded", "not ready");
    publish(b);
    subscribe(b);
    command_paths(b);
    json_builder_end_object(b);
    schemas(b);
    json_builder_end_object(b);
    g_autoptr(JsonNode) root = json_builder_get_root(b);
    return emesh_json_text(root, true, len);
}
