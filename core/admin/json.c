/* SPDX-License-Identifier: Apache-2.0
 *
 * Between JSON and attributes. Control plane only: trees are fine here. [any]
 */
#include "admin/json.h"
#include "admin/command.h"

#include <string.h>

#define MAX_DEPTH 32 /* json-glib recurses: a stranger's nesting must not eat the stack */

static const struct {
    int32_t code;
    const char *name;
} code_names[] = {
    { EMESH_OK, "ok" },
    { EMESH_E_INVALID, "invalid" },
    { EMESH_E_UNSUPPORTED, "unsupported" },
    { EMESH_E_TOO_NEW, "too-new" },
    { EMESH_E_STATE, "wrong-state" },
    { EMESH_E_STALE, "stale" },
    { EMESH_E_DENIED, "denied" },
    { EMESH_E_NOT_FOUND, "not-found" },
    { EMESH_E_EXISTS, "exists" },
    { EMESH_E_TOO_LARGE, "too-large" },
    { EMESH_E_CONFIG, "config" },
    { EMESH_E_BUSY, "busy" },
    { EMESH_E_UNAVAILABLE, "unavailable" },
    { EMESH_E_NO_MEMORY, "no-memory" },
    { EMESH_E_NO_SPACE, "no-space" },
    { EMESH_E_TIMEOUT, "timeout" },
    { EMESH_E_LOST, "lost" },
    { EMESH_E_CANCELED, "canceled" },
    { EMESH_E_CLOSED, "closed" },
    { EMESH_E_CORRUPT, "corrupt" },
    { EMESH_E_IO, "io" },
    { EMESH_E_PROTOCOL, "protocol" },
    { EMESH_E_INTERNAL, "internal" },
};

static const char *const class_names[] = {
    "ok", "invalid", "refused", "refused-for-now", "unknown-outcome", "canceled", "broken"
};

const char *
emesh_code_name(int32_t code)
{
    for (gsize i = 0; i < G_N_ELEMENTS(code_names); i++)
        if (code_names[i].code == code)
            return code_names[i].name;
    int32_t group = EMESH_CLASS(code);
    return group >= 0 && group < (int32_t)G_N_ELEMENTS(class_names) ? class_names[group] : "failed";
}

JsonObject *
emesh_json_row(const emesh_attr *attrs, uint32_t n)
{
    JsonObject *object = json_object_new();
    for (uint32_t i = 0; i < n; i++) {
        g_autofree char *name = g_strndup(attrs[i].name, attrs[i].name_len);
        g_autofree char *raw = g_strndup(attrs[i].value, attrs[i].value_len);
        if (attrs[i].type == EMESH_ATTR_INTEGER) {
            json_object_set_int_member(object, name, g_ascii_strtoll(raw, NULL, 10));
        } else if (attrs[i].type == EMESH_ATTR_BOOLEAN) {
            json_object_set_boolean_member(object, name, strcmp(raw, "true") == 0);
        } else {
            g_autofree char *text = g_utf8_make_valid(raw, -1);
            json_object_set_string_member(object, name, text);
        }
    }
    return object;
}

/* Levels of nesting, counted outside of strings. */
static uint32_t
json_depth(const char *text, size_t len)
{
    uint32_t depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        if (in_string) {
            if (text[i] == '\\')
                i++;
            else if (text[i] == '"')
                in_string = false;
        } else if (text[i] == '"') {
            in_string = true;
        } else if (text[i] == '{' || text[i] == '[') {
            depth++;
            deepest = MAX(deepest, depth);
        } else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

JsonNode *
emesh_json_parse(const char *text, size_t len, GError **error)
{
    if (!g_utf8_validate_len(text, len, NULL)) {
        g_set_error_literal(error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_INVALID_DATA,
                            "the JSON is not valid UTF-8");
        return NULL;
    }
    if (json_depth(text, len) > MAX_DEPTH) {
        g_set_error(error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_INVALID_DATA,
                    "the JSON is nested deeper than %d levels", MAX_DEPTH);
        return NULL;
    }
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) why = NULL;
    if (!json_parser_load_from_data(parser, text, (gssize)len, &why)) {
        g_set_error(error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_PARSE, "not JSON: %s",
                    why->message);
        return NULL;
    }
    JsonNode *root = json_parser_get_root(parser);
    if (root == NULL) {
        g_set_error_literal(error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_PARSE, "empty");
        return NULL;
    }
    return json_node_ref(root);
}

/* One member as the text of an attribute; NULL when it is no string, integer or boolean. Given. */
static char *
arg_text(JsonNode *node, uint32_t *type)
{
    if (!JSON_NODE_HOLDS_VALUE(node))
        return NULL;
    GType held = json_node_get_value_type(node);
    if (held == G_TYPE_STRING) {
        *type = EMESH_ATTR_TEXT;
        return g_strdup(json_node_get_string(node));
    }
    if (held == G_TYPE_INT64) {
        *type = EMESH_ATTR_INTEGER;
        return g_strdup_printf("%" G_GINT64_FORMAT, json_node_get_int(node));
    }
    if (held == G_TYPE_BOOLEAN) {
        *type = EMESH_ATTR_BOOLEAN;
        return g_strdup(json_node_get_boolean(node) ? "true" : "false");
    }
    return NULL;
}

emesh_attr *
emesh_json_args(const char *text, size_t len, uint32_t *n, GError **error)
{
    *n = 0;
    if (len == 0)
        return emesh_attrs_dup(NULL, 0, NULL);
    g_autoptr(JsonNode) root = emesh_json_parse(text, len, error);
    if (root == NULL)
        return NULL;
    if (!JSON_NODE_HOLDS_OBJECT(root)) {
        g_set_error_literal(error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_INVALID_DATA,
                            "the arguments are not a JSON object");
        return NULL;
    }
    g_autoptr(GArray) attrs = g_array_new(FALSE, TRUE, sizeof(emesh_attr));
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;
    json_object_iter_init(&iter, json_node_get_object(root));
    while (json_object_iter_next(&iter, &name, &node)) {
        uint32_t type = 0;
        char *value = arg_text(node, &type);
        if (value == NULL) {
            g_set_error(error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_INVALID_DATA,
                        "the argument '%.60s' is neither text, whole number nor true or false",
                        name);
            return NULL;
        }
        g_ptr_array_add(texts, value);
        emesh_attr attr = { name, value, (uint32_t)strlen(name), (uint32_t)strlen(value), type, 0 };
        g_array_append_val(attrs, attr);
    }
    *n = attrs->len;
    return emesh_attrs_dup((const emesh_attr *)(const void *)attrs->data, attrs->len, NULL);
}

char *
emesh_json_text(JsonNode *node, bool pretty, gsize *len)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    json_generator_set_root(generator, node);
    json_generator_set_pretty(generator, pretty);
    return json_generator_to_data(generator, len);
}

char *
emesh_json_error_of(int32_t code, const emesh_error *err, gsize *len)
{
    g_autoptr(JsonBuilder) b = json_builder_new();
    g_autofree char *text = g_utf8_make_valid(err->text, -1);
    g_autofree char *argument = g_utf8_make_valid(err->option, -1);
    json_builder_begin_object(b);
    json_builder_set_member_name(b, "error");
    json_builder_begin_object(b);
    json_builder_set_member_name(b, "code");
    json_builder_add_int_value(b, code);
    json_builder_set_member_name(b, "name");
    json_builder_add_string_value(b, emesh_code_name(code));
    if (argument[0] != '\0') {
        json_builder_set_member_name(b, "argument");
        json_builder_add_string_value(b, argument);
    }
    json_builder_set_member_name(b, "text");
    json_builder_add_string_value(b, text);
    json_builder_end_object(b);
    json_builder_end_object(b);
    g_autoptr(JsonNode) root = json_builder_get_root(b);
    return emesh_json_text(root, false, len);
}

char *
emesh_json_error(int32_t code, const char *text, gsize *len)
{
    emesh_error err = { .size = sizeof err, .code = code };
    g_strlcpy(err.text, text != NULL ? text : "", sizeof err.text);
    return emesh_json_error_of(code, &err, len);
}
