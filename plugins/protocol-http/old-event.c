/* SPDX-License-Identifier: Apache-2.0
 *
 * See old-event.h. Any thread.
 */
#include "old-event.h"
#include "json.h"

typedef struct old {
    GString *out;
    http_value data;
    bool is_old, base64;
} old;

static void
put(old *o, const char *name, const http_value *value)
{
    size_t quotes = value->type == HTTP_JSON_STRING;
    g_string_append_printf(o->out, "%s\"%s\":", o->out->len > 1 ? "," : "", name);
    g_string_append_len(o->out, value->ptr - quotes, (gssize)(value->len + 2 * quotes));
}

static void
take(old *o, const http_value *key, const http_value *value)
{
    static const http_value now = { "1.0", 3, HTTP_JSON_STRING, false };

    if (http_json_is(key, "specversion")) {
        o->is_old = http_json_is(value, "0.3");
        g_string_append_printf(o->out, "%s\"specversion\":\"%s\"", o->out->len > 1 ? "," : "",
                               now.ptr);
    } else if (http_json_is(key, "schemaurl")) {
        put(o, "dataschema", value);
    } else if (http_json_is(key, "datacontentencoding")) {
        o->base64 = http_json_is(value, "base64");
    } else if (http_json_is(key, "data")) {
        o->data = *value;
    } else {
        g_autofree char *name = g_strndup(key->ptr, key->len);
        put(o, name, value); /* as written: what is no name is refused later */
    }
}

char *
http_old_event(const char *text, size_t len)
{
    old o = { .out = g_string_new("{") };
    http_json j;
    http_value key, value;
    bool first = true;

    http_json_begin(&j, text, len);
    if (http_json_open(&j, '{')) {
        for (; http_json_key(&j, first, &key); first = false) {
            if (http_json_value(&j, &value))
                take(&o, &key, &value);
        }
    }
    if (o.data.type != HTTP_JSON_BAD)
        put(&o, o.base64 && o.data.type == HTTP_JSON_STRING ? "data_base64" : "data", &o.data);
    g_string_append_c(o.out, '}');
    return g_string_free(o.out, !http_json_end(&j) || !o.is_old);
}
