/* SPDX-License-Identifier: Apache-2.0
 *
 * Events and entries. Pure but for the host's event service. See codec.h.
 */
#include "codec.h"

#include <string.h>

#define TYPES "emesh_types"
#define FORM "emesh_form"
#define MOST_ATTRS 512u

static const char *const type_names[] = { "text", "integer",       "boolean", "binary",
                                          "uri",  "uri-reference", "time" };
static const char *const form_names[] = { "none", "bytes", "text", "json", "proto" };

/* ---- to fields ---- */

static bool
is(const char *name, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(name, text, len) == 0;
}

/* Its type follows from its name. */
static bool
type_is_known(const emesh_attr *attr)
{
    return attr->type == EMESH_ATTR_TEXT || is(attr->name, attr->name_len, "source") ||
           is(attr->name, attr->name_len, "time") || is(attr->name, attr->name_len, "dataschema");
}

static void
add_name(rs_args *out, GStringChunk *chunk, const char *name, size_t len)
{
    char text[160];
    int n;

    if (is(name, len, "datacontenttype")) {
        rs_args_text(out, "content-type");
        return;
    }
    n = g_snprintf(text, sizeof text, "ce_%.*s", (int)MIN(len, 140u), name);
    rs_args_bytes(out, g_string_chunk_insert_len(chunk, text, n), (size_t)n);
}

static void
add_data(const emesh_event_view *view, GStringChunk *chunk, rs_args *out)
{
    rs_args_text(out, "data");
    if (view->n_data == 1) {
        rs_args_bytes(out, view->data[0].ptr, view->data[0].len);
    } else {
        g_autofree char *all = g_malloc(view->data_len + 1);
        size_t at = 0;
        for (uint32_t i = 0; i < view->n_data; i++) {
            memcpy(all + at, view->data[i].ptr, view->data[i].len);
            at += view->data[i].len;
        }
        rs_args_bytes(out, at > 0 ? g_string_chunk_insert_len(chunk, all, (gssize)at) : "", at);
    }
    if (view->data_form != EMESH_DATA_BYTES && view->data_form < G_N_ELEMENTS(form_names)) {
        rs_args_text(out, FORM);
        rs_args_text(out, form_names[view->data_form]);
    }
}

void
rs_words_of(const emesh_event_api *ev, const emesh_event *event, GStringChunk *chunk, rs_args *out)
{
    emesh_event_view view = { .size = sizeof view };
    g_autoptr(GString) types = NULL;

    ev->view(event, &view);
    rs_args_text(out, "ce_specversion");
    rs_args_text(out, "1.0");
    for (uint32_t i = 0; i < view.n_attrs; i++) {
        const emesh_attr *attr = &view.attrs[i];
        add_name(out, chunk, attr->name, attr->name_len);
        rs_args_bytes(out, attr->value, attr->value_len);
        if (type_is_known(attr) || attr->type >= G_N_ELEMENTS(type_names))
            continue;
        if (types == NULL)
            types = g_string_new(NULL);
        g_string_append_printf(types, "%s%.*s=%s", types->len > 0 ? "," : "", (int)attr->name_len,
                               attr->name, type_names[attr->type]);
    }
    if (types != NULL) {
        rs_args_text(out, TYPES);
        rs_args_bytes(out, g_string_chunk_insert_len(chunk, types->str, (gssize)types->len),
                      types->len);
    }
    if (view.data_form != EMESH_DATA_NONE)
        add_data(&view, chunk, out);
}

/* ---- from fields ---- */

static uint32_t
number_of(const char *const *names, uint32_t n, const char *text, size_t len, uint32_t otherwise)
{
    for (uint32_t i = 0; i < n; i++)
        if (is(text, len, names[i]))
            return i;
    return otherwise;
}

/* type of a name in "a=integer,b=uri" */
static uint32_t
type_in(const redisReply *types, const char *name, size_t len)
{
    const char *at = types != NULL ? types->str : NULL;
    const char *end = at != NULL ? at + types->len : NULL;

    while (at != NULL && at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        const char *mark = memchr(at, '=', (size_t)(stop - at));
        if (mark != NULL && (size_t)(mark - at) == len && memcmp(at, name, len) == 0)
            return number_of(type_names, G_N_ELEMENTS(type_names), mark + 1,
                             (size_t)(stop - mark - 1), EMESH_ATTR_TEXT);
        at = comma != NULL ? comma + 1 : NULL;
    }
    return EMESH_ATTR_TEXT;
}

static const redisReply *
field(const redisReply *const *fields, size_t n, const char *name)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        if (is(fields[i]->str, fields[i]->len, name))
            return fields[i + 1];
    return NULL;
}

/* Name of the attribute that a field has, or NULL. */
static const char *
attr_name(const redisReply *name, size_t *len)
{
    static const char content[] = "datacontenttype";

    if (is(name->str, name->len, "content-type")) {
        *len = sizeof content - 1;
        return content;
    }
    if (name->len <= 3 || memcmp(name->str, "ce_", 3) != 0 ||
        is(name->str, name->len, "ce_specversion"))
        return NULL;
    *len = name->len - 3;
    return name->str + 3;
}

static void
put(emesh_attr *at, const char *name, size_t len, const redisReply *value, uint32_t type)
{
    *at = (emesh_attr){ .name = name,
                        .value = value->str,
                        .name_len = (uint32_t)len,
                        .value_len = (uint32_t)value->len,
                        .type = type };
}

static bool
sound(const redisReply *const *fields, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fields[i]->type != REDIS_REPLY_STRING)
            return false;
    return n >= 2 && n % 2 == 0;
}

static const emesh_event *
build(const emesh_host *host, const emesh_event_api *ev, const emesh_attr *attrs, uint32_t n_attrs,
      const redisReply *data, uint32_t form)
{
    emesh_part part = { .ptr = data != NULL ? data->str : "", .len = data != NULL ? data->len : 0 };
    emesh_event_view spec = { .size = sizeof spec,
                              .data_form = form,
                              .attrs = attrs,
                              .n_attrs = n_attrs,
                              .data = &part,
                              .data_len = part.len,
                              .n_data = form != EMESH_DATA_NONE };
    const emesh_event *event = NULL;

    return ev->build(host, &spec, NULL, &event, NULL) == EMESH_OK ? event : NULL;
}

static const emesh_event *
cloud_event(const emesh_host *host, const emesh_event_api *ev, const redisReply *const *fields,
            size_t n)
{
    static const char *const first[] = { "ce_id", "ce_source", "ce_type" };
    const redisReply *types = field(fields, n, TYPES), *form = field(fields, n, FORM);
    const redisReply *data = field(fields, n, "data"),
                     *version = field(fields, n, "ce_specversion");
    emesh_attr attrs[MOST_ATTRS];
    uint32_t n_attrs = 0, how = data != NULL ? EMESH_DATA_BYTES : EMESH_DATA_NONE;

    if (version == NULL || !is(version->str, version->len, "1.0") || n / 2 > MOST_ATTRS)
        return NULL;
    for (; n_attrs < G_N_ELEMENTS(first); n_attrs++) {
        const redisReply *value = field(fields, n, first[n_attrs]);
        if (value == NULL)
            return NULL;
        put(&attrs[n_attrs], first[n_attrs] + 3, strlen(first[n_attrs]) - 3, value,
            EMESH_ATTR_TEXT);
    }
    for (size_t i = 0; i + 1 < n; i += 2) {
        size_t len = 0;
        const char *name = attr_name(fields[i], &len);
        if (name == NULL || is(name, len, "id") || is(name, len, "source") || is(name, len, "type"))
            continue;
        put(&attrs[n_attrs++], name, len, fields[i + 1], type_in(types, name, len));
    }
    if (data != NULL && form != NULL)
        how = number_of(form_names, G_N_ELEMENTS(form_names), form->str, form->len, how);
    if (how == EMESH_DATA_NONE)
        data = NULL;
    return build(host, ev, attrs, n_attrs, data, how);
}

/* ---- what is no CloudEvent ---- */

static void
json_text(GString *out, const redisReply *value)
{
    g_string_append_c(out, '"');
    for (size_t i = 0; i < value->len; i++) {
        unsigned char c = (unsigned char)value->str[i];
        if (c == '"' || c == '\\')
            g_string_append_printf(out, "\\%c", c);
        else if (c < 0x20)
            g_string_append_printf(out, "\\u%04x", c);
        else
            g_string_append_c(out, (char)c);
    }
    g_string_append_c(out, '"');
}

/* {"field": "value"}; a value that is no UTF-8 as {"base64": "…"}. */
static GString *
json_of(const redisReply *const *fields, size_t n)
{
    GString *out = g_string_new("{");

    for (size_t i = 0; i + 1 < n; i += 2) {
        bool text = g_utf8_validate(fields[i + 1]->str, (gssize)fields[i + 1]->len, NULL);
        if (!g_utf8_validate(fields[i]->str, (gssize)fields[i]->len, NULL))
            continue; /* a name that JSON cannot hold */
        if (out->len > 1)
            g_string_append_c(out, ',');
        json_text(out, fields[i]);
        g_string_append_c(out, ':');
        if (text) {
            json_text(out, fields[i + 1]);
        } else {
            g_autofree char *base =
                g_base64_encode((const guchar *)fields[i + 1]->str, fields[i + 1]->len);
            g_string_append_printf(out, "{\"base64\":\"%s\"}", base);
        }
    }
    g_string_append_c(out, '}');
    return out;
}

static void
made_up(emesh_attr *at, const char *name, const char *value)
{
    *at = (emesh_attr){ .name = name,
                        .value = value,
                        .name_len = (uint32_t)strlen(name),
                        .value_len = (uint32_t)strlen(value) };
}

/* One field: its value is the data. Several: a JSON object of them. */
static const emesh_event *
foreign_event(const emesh_host *host, const emesh_event_api *ev, const redisReply *const *fields,
              size_t n, const char *topic, const char *id)
{
    g_autofree char *source = g_uri_escape_string(topic, NULL, FALSE);
    g_autofree char *path = g_strconcat("/redis/", source, NULL);
    g_autoptr(GString) json = n > 2 ? json_of(fields, n) : NULL;
    redisReply all = { .str = json != NULL ? json->str : NULL,
                       .len = json != NULL ? json->len : 0 };
    emesh_attr attrs[4];

    made_up(&attrs[0], "id", id);
    made_up(&attrs[1], "source", path);
    made_up(&attrs[2], "type", "redis.stream.entry");
    made_up(&attrs[3], "datacontenttype",
            json != NULL ? "application/json" : "application/octet-stream");
    return build(host, ev, attrs, 4, json != NULL ? &all : fields[1],
                 json != NULL ? EMESH_DATA_JSON : EMESH_DATA_BYTES);
}

const emesh_event *
rs_event_of(const emesh_host *host, const emesh_event_api *ev, const redisReply *const *fields,
            size_t n, const char *topic, const char *id, bool *foreign)
{
    const emesh_event *event;

    *foreign = false;
    if (!sound(fields, n))
        return NULL;
    event = cloud_event(host, ev, fields, n);
    if (event != NULL)
        return event;
    *foreign = true;
    return foreign_event(host, ev, fields, n, topic, id);
}

/* ---- msgpack ---- */

static void
big_endian(GByteArray *out, uint8_t mark, uint32_t n)
{
    uint8_t head[5] = { mark, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                        (uint8_t)n };

    g_byte_array_append(out, head, sizeof head);
}

void
rs_pack_array(GByteArray *out, uint32_t n)
{
    big_endian(out, 0xdd, n);
}

void
rs_pack_bytes(GByteArray *out, const void *bytes, size_t len)
{
    big_endian(out, 0xdb, (uint32_t)len);
    g_byte_array_append(out, bytes, (guint)len);
}

void
rs_pack_text(GByteArray *out, const char *text)
{
    rs_pack_bytes(out, text, strlen(text));
}

void
rs_pack_words(GByteArray *out, const rs_args *words, uint32_t from)
{
    for (uint32_t i = from; i < words->n; i++)
        rs_pack_bytes(out, words->v[i], words->len[i]);
}

/* Only what rs_pack_… writes. */
static bool
head_of(const uint8_t **at, const uint8_t *end, uint8_t mark, uint32_t *n)
{
    const uint8_t *p = *at;

    if (end - p < 5 || p[0] != mark)
        return false;
    *n = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    *at = p + 5;
    return true;
}

bool
rs_unpack_array(const uint8_t **at, const uint8_t *end, uint32_t *n)
{
    return head_of(at, end, 0xdd, n);
}

bool
rs_unpack_bytes(const uint8_t **at, const uint8_t *end, const char **bytes, size_t *len)
{
    uint32_t n;

    if (!head_of(at, end, 0xdb, &n) || n > (size_t)(end - *at))
        return false;
    *bytes = (const char *)*at;
    *len = n;
    *at += n;
    return true;
}
