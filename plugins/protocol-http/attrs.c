/* SPDX-License-Identifier: Apache-2.0
 *
 * See attrs.h. Any thread.
 */
#include "attrs.h"
#include <string.h>

void
http_attrs_init(http_attrs *a)
{
    a->list = g_array_sized_new(FALSE, TRUE, sizeof(emesh_attr), 24);
    a->texts = g_string_chunk_new(256);
}

void
http_attrs_clear(http_attrs *a)
{
    g_clear_pointer(&a->list, g_array_unref);
    g_clear_pointer(&a->texts, g_string_chunk_free);
}

static emesh_attr *
find(const http_attrs *a, const char *name, size_t len)
{
    for (guint i = 0; i < a->list->len; i++) {
        emesh_attr *attr = &g_array_index(a->list, emesh_attr, i);
        if (attr->name_len == len && memcmp(attr->name, name, len) == 0)
            return attr;
    }
    return NULL;
}

void
http_attrs_set_len(http_attrs *a, const char *name, const char *value, size_t len)
{
    emesh_attr attr = {
        .name = name, .name_len = (uint32_t)strlen(name), .value = value, .value_len = (uint32_t)len
    };
    emesh_attr *old = find(a, name, attr.name_len);
    if (old != NULL)
        *old = attr;
    else
        g_array_append_val(a->list, attr);
}

void
http_attrs_set(http_attrs *a, const char *name, const char *value)
{
    if (value != NULL)
        http_attrs_set_len(a, name, value, strlen(value));
}

bool
http_attrs_has(const http_attrs *a, const char *name)
{
    return find(a, name, strlen(name)) != NULL;
}

const char *
http_attrs_keep(http_attrs *a, const char *text, size_t len)
{
    return g_string_chunk_insert_len(a->texts, text, (gssize)len);
}

const emesh_attr *
http_view_attr(const emesh_event_view *view, const char *name)
{
    size_t len = strlen(name);
    for (uint32_t i = 0; i < view->n_attrs; i++) {
        if (view->attrs[i].name_len == len && memcmp(view->attrs[i].name, name, len) == 0)
            return &view->attrs[i];
    }
    return NULL;
}

bool
http_view_is(const emesh_event_view *view, const char *name, const char *text)
{
    const emesh_attr *attr = http_view_attr(view, name);
    return attr != NULL && attr->value_len == strlen(text) &&
           memcmp(attr->value, text, attr->value_len) == 0;
}

bool
http_name_ok(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_islower(name[i]) && !g_ascii_isdigit(name[i]))
            return false;
    }
    return len > 0;
}

bool
http_name_reserved(const char *name, size_t len)
{
    static const char *const names[] = { "id",          "source",          "type",
                                         "specversion", "subject",         "time",
                                         "dataschema",  "datacontenttype", "data" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return true;
    }
    return false;
}
