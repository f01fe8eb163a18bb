/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows: named values on their way from a handler to whoever asked. [any]
 */
#include "admin/command.h"
#include "eventmesh/event.h"

#include <string.h>

struct emesh_row_builder {
    GArray *attrs;  /* emesh_attr; pointers are set when sent */
    GString *texts; /* name and value of each, in turn */
};

emesh_row_builder *
emesh_row_new(void)
{
    emesh_row_builder *row = g_new0(emesh_row_builder, 1);
    row->attrs = g_array_new(FALSE, TRUE, sizeof(emesh_attr));
    row->texts = g_string_new(NULL);
    return row;
}

static void
row_add(emesh_row_builder *row, const char *name, const char *value, size_t len, uint32_t type)
{
    emesh_attr attr = { .name_len = (uint32_t)strlen(name),
                        .value_len = (uint32_t)len,
                        .type = type };
    g_string_append_len(row->texts, name, attr.name_len);
    g_string_append_len(row->texts, value, (gssize)len);
    g_array_append_val(row->attrs, attr);
}

void
emesh_row_text(emesh_row_builder *row, const char *name, const char *value, gssize len)
{
    if (value == NULL)
        value = "", len = 0;
    row_add(row, name, value, len < 0 ? strlen(value) : (size_t)len, EMESH_ATTR_TEXT);
}

void
emesh_row_number(emesh_row_builder *row, const char *name, uint64_t value)
{
    char text[24];
    g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, value);
    row_add(row, name, text, strlen(text), EMESH_ATTR_INTEGER);
}

void
emesh_row_flag(emesh_row_builder *row, const char *name, bool value)
{
    const char *text = value ? "true" : "false";
    row_add(row, name, text, strlen(text), EMESH_ATTR_BOOLEAN);
}

void
emesh_row_send(emesh_row_builder *row, emesh_command_reply *reply)
{
    const char *at = row->texts->str;
    emesh_attr *attrs = (emesh_attr *)(void *)row->attrs->data;
    for (uint32_t i = 0; i < row->attrs->len; i++) {
        attrs[i].name = at;
        attrs[i].value = at + attrs[i].name_len;
        at += (size_t)attrs[i].name_len + attrs[i].value_len;
    }
    reply->row(reply, attrs, row->attrs->len);
    g_array_free(row->attrs, TRUE);
    g_string_free(row->texts, TRUE);
    g_free(row);
}

emesh_attr *
emesh_attrs_dup(const emesh_attr *attrs, uint32_t n, size_t *size)
{
    size_t bytes = sizeof(emesh_attr) * n;
    for (uint32_t i = 0; i < n; i++)
        bytes += (size_t)attrs[i].name_len + attrs[i].value_len;
    emesh_attr *copy = g_malloc(bytes + 1); /* never NULL, also for no attribute */
    char *at = (char *)(copy + n);
    for (uint32_t i = 0; i < n; i++) {
        copy[i] = attrs[i];
        copy[i].name = at;
        if (attrs[i].name_len > 0)
            memcpy(at, attrs[i].name, attrs[i].name_len);
        at += attrs[i].name_len;
        copy[i].value = at;
        if (attrs[i].value_len > 0)
            memcpy(at, attrs[i].value, attrs[i].value_len);
        at += attrs[i].value_len;
    }
    if (size != NULL)
        *size = bytes;
    return copy;
}
