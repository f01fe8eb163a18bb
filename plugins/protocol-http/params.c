/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields of a request: of its query, of a form, of a multipart form, or members of a JSON object.
 * [lane]
 */
#include "api.h"
#include "ce.h"
#include "json.h"
#include <string.h>

static const char *
read_object(http_params *p)
{
    http_json j;
    http_value key, value;
    const char *flaw = NULL;
    bool first = true;

    p->json = true;
    http_json_begin(&j, p->body.ptr, p->body.len);
    if (!http_json_open(&j, '{'))
        return j.flaw;
    for (; flaw == NULL && http_json_key(&j, first, &key); first = false) {
        g_autofree char *name = http_json_text(&key);
        g_autofree char *text = NULL;
        if (!http_json_value(&j, &value))
            break;
        if (value.type == HTTP_JSON_NULL)
            continue; /* as if it were absent */
        text = value.type == HTTP_JSON_STRING ? http_json_text(&value)
                                              : g_strndup(value.ptr, value.len);
        if (name == NULL || text == NULL)
            return "a NUL in a string";
        flaw = http_form_add(&p->form, g_string_chunk_insert(p->texts, name), strlen(name),
                             g_string_chunk_insert(p->texts, text), strlen(text));
    }
    if (flaw != NULL)
        return flaw;
    return http_json_end(&j) ? NULL : j.flaw;
}

/* The texts of a multipart form; files in it are left out. */
static const char *
read_multipart(http_params *p, http_request *r)
{
    g_autoptr(GBytes) bytes = g_bytes_new(p->body.ptr, p->body.len);
    SoupMultipart *parts = soup_multipart_new_from_message(r->head, bytes);
    const char *flaw = NULL;

    if (parts == NULL)
        return "the multipart body is malformed";
    for (int i = 0; flaw == NULL && i < soup_multipart_get_length(parts); i++) {
        g_autoptr(GHashTable) of = NULL;
        g_autofree char *kind = NULL;
        SoupMessageHeaders *head = NULL;
        GBytes *data = NULL;
        if (!soup_multipart_get_part(parts, i, &head, &data) ||
            !soup_message_headers_get_content_disposition(head, &kind, &of))
            continue;
        const char *name = g_hash_table_lookup(of, "name");
        if (name == NULL || g_hash_table_lookup(of, "filename") != NULL)
            continue;
        size_t len = 0;
        const char *text = g_bytes_get_data(data, &len);
        flaw = http_form_add(&p->form, g_string_chunk_insert(p->texts, name), strlen(name),
                             g_string_chunk_insert_len(p->texts, text, (gssize)len), len);
    }
    soup_multipart_free(parts);
    return flaw;
}

const char *
http_params_read(http_params *p, http_request *r)
{
    const char *type = http_request_header(r, "Content-Type");
    bool get = strcmp(r->method, "GET") == 0;

    *p = (http_params){ .texts = g_string_chunk_new(512) };
    if (get) {
        const char *query = r->query != NULL ? r->query : "";
        char *copy = g_string_chunk_insert(p->texts, query);
        p->form.first_wins = true;
        return http_form_parse(&p->form, copy, strlen(copy));
    }
    if (!http_request_take_body(r, &p->body))
        return "out of memory";
    if (p->body.len == 0)
        return NULL;
    if (type != NULL && http_type_is_json(type))
        return read_object(p);
    if (type != NULL && g_ascii_strncasecmp(type, "multipart/form-data", 19) == 0)
        return read_multipart(p, r);
    /* nobody else has seen the buffer yet: it is decoded where it lies */
    return http_form_parse(&p->form, (char *)(uintptr_t)p->body.ptr, p->body.len);
}

void
http_params_clear(http_params *p, const http_lane *lane)
{
    lane->http->event->buf_unref(p->body.owner);
    g_string_chunk_free(p->texts);
}
