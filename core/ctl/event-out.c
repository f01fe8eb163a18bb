/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents in JSON format: built from the flags of publish, shown by subscribe.
 */
#include "ctl/event-out.h"
#include "admin/json.h"
#include "ctl/table.h"

#include <string.h>

static bool
media_is_json(const char *type)
{
    g_autofree char *bare = g_strndup(type, strcspn(type, "; "));
    g_autofree char *low = g_ascii_strdown(bare, -1);
    return strcmp(low, "application/json") == 0 || g_str_has_suffix(low, "+json");
}

/* Objects and arrays are taken for JSON; a number or a word is text as well, so it stays text. */
static const char *
guess_media(const char *data, gsize len)
{
    gsize at = 0;
    while (at < len && g_ascii_isspace(data[at]))
        at++;
    if (at < len && (data[at] == '{' || data[at] == '[')) {
        g_autoptr(JsonNode) node = emesh_json_parse(data, len, NULL);
        if (node != NULL)
            return "application/json";
    }
    return g_utf8_validate_len(data, len, NULL) ? "text/plain" : "application/octet-stream";
}

static bool
add_attrs(JsonObject *event, char *const *attrs, GError **error)
{
    for (; attrs != NULL && *attrs != NULL; attrs++) {
        const char *sep = strchr(*attrs, '=');
        if (sep == NULL || sep == *attrs) {
            g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                        "--attr wants NAME=VALUE, not '%s'", *attrs);
            return false;
        }
        g_autofree char *name = g_strndup(*attrs, (gsize)(sep - *attrs));
        if (json_object_has_member(event, name) || g_str_has_prefix(name, "data")) {
            g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                        "--attr %s: this attribute has a flag of its own or is given twice", name);
            return false;
        }
        json_object_set_string_member(event, name, sep + 1);
    }
    return true;
}

/* The data member: JSON goes in as it is written, so that no number loses a digit. */
static bool
append_data(GString *json, const char *media, const char *data, gsize len, GError **error)
{
    g_string_truncate(json, json->len - 1); /* the closing brace */
    if (media_is_json(media)) {
        g_autoptr(JsonNode) node = emesh_json_parse(data, len, error);
        if (node == NULL) {
            g_prefix_error(error, "the data: ");
            return false;
        }
        g_string_append(json, ",\"data\":");
        g_string_append_len(json, data, (gssize)len);
    } else if (g_utf8_validate_len(data, len, NULL) && memchr(data, 0, len) == NULL) {
        g_autoptr(JsonNode) node = json_node_new(JSON_NODE_VALUE);
        g_autofree char *text = g_strndup(data, len);
        json_node_set_string(node, text);
        g_autofree char *quoted = emesh_json_text(node, false, NULL);
        g_string_append_printf(json, ",\"data\":%s", quoted);
    } else {
        g_autofree char *base64 = g_base64_encode((const guchar *)data, len);
        g_string_append_printf(json, ",\"data_base64\":\"%s\"", base64);
    }
    g_string_append_c(json, '}');
    return true;
}

GString *
ctl_event_json(const ctl *c, GBytes *data, GError **error)
{
    gsize len = 0;
    const char *bytes = data == NULL ? NULL : g_bytes_get_data(data, &len);
    const char *media = c->opt.content_type;
    g_autofree char *uuid = g_uuid_string_random();
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ");
    g_autoptr(JsonObject) event = json_object_new();
    if (bytes == NULL)
        bytes = "";
    if (media == NULL && data != NULL)
        media = guess_media(bytes, len);
    json_object_set_string_member(event, "specversion", "1.0");
    json_object_set_string_member(event, "id", c->opt.id != NULL ? c->opt.id : uuid);
    json_object_set_string_member(event, "source",
                                  c->opt.source != NULL ? c->opt.source : "/eventmeshctl");
    json_object_set_string_member(event, "type",
                                  c->opt.type != NULL ? c->opt.type : "eventmeshctl.publish");
    json_object_set_string_member(event, "time", time);
    if (media != NULL)
        json_object_set_string_member(event, "datacontenttype", media);
    if (!add_attrs(event, c->opt.attrs, error))
        return NULL;
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    json_node_set_object(node, event);
    g_autofree char *text = emesh_json_text(node, false, NULL);
    GString *json = g_string_new(text);
    if (data != NULL && !append_data(json, media, bytes, len, error)) {
        g_string_free(json, TRUE);
        return NULL;
    }
    return json;
}

/* The data as text, whatever form they came in. Given. */
static char *
data_text(JsonObject *event)
{
    JsonNode *node = json_object_get_member(event, "data");
    if (node != NULL && JSON_NODE_HOLDS_VALUE(node) &&
        json_node_get_value_type(node) == G_TYPE_STRING)
        return g_strdup(json_node_get_string(node));
    if (node != NULL)
        return emesh_json_text(node, false, NULL);
    const char *base64 = json_object_get_string_member_with_default(event, "data_base64", NULL);
    if (base64 == NULL)
        return NULL;
    gsize len = 0;
    g_autofree guchar *raw = g_base64_decode(base64, &len);
    return g_strdup_printf("(%" G_GSIZE_FORMAT " bytes)", len);
}

/* Local time of the event, to the millisecond; of now when it has none. Given. */
static char *
time_text(JsonObject *event)
{
    const char *text = json_object_get_string_member_with_default(event, "time", NULL);
    g_autoptr(GDateTime) when = text == NULL ? NULL : g_date_time_new_from_iso8601(text, NULL);
    g_autoptr(GDateTime) local =
        when == NULL ? g_date_time_new_now_local() : g_date_time_to_local(when);
    g_autofree char *seconds = g_date_time_format(local, "%H:%M:%S");
    return g_strdup_printf("%s.%03d", seconds, g_date_time_get_microsecond(local) / 1000);
}

/* Several lines of data are shown below, indented. */
static void
append_shown(GString *out, const char *data)
{
    g_auto(GStrv) lines = g_strsplit(data, "\n", -1);
    if (lines[0] != NULL && lines[1] == NULL) {
        g_autofree char *clean = ctl_clean(lines[0], -1);
        g_string_append_printf(out, "  %s", clean);
        return;
    }
    for (char **line = lines; *line != NULL; line++) {
        g_autofree char *clean = ctl_clean(*line, -1);
        g_string_append_printf(out, "\n    %s", clean);
    }
}

char *
ctl_event_text(const ctl *c, const char *topic, const char *json, gsize len)
{
    g_autoptr(JsonNode) root = emesh_json_parse(json, len, NULL);
    if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root))
        return ctl_clean(json, (gssize)len);
    JsonObject *event = json_node_get_object(root);
    g_autofree char *time = time_text(event);
    g_autofree char *id = ctl_field(event, "id");
    g_autofree char *type = ctl_field(event, "type");
    g_autofree char *data = data_text(event);
    g_autofree char *name = ctl_clean(topic, -1);
    GString *out = g_string_new(NULL);
    g_string_append_printf(out, "%s%s%s  %s%s%s  %s  %s", ctl_dim(c->colour), time,
                           ctl_plain(c->colour), ctl_bold(c->colour), name, ctl_plain(c->colour),
                           id, type);
    if (data != NULL)
        append_shown(out, data);
    return g_string_free(out, FALSE);
}
