/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers of CloudEvents in binary mode, one a line: what is taken becomes attributes that the
 * event room takes or refuses, never more, and values survive the way out and in again.
 */
#include "ce.h"
#include "event/event.h"
#include "fuzz.h"
#include "percent.h"
#include <string.h>

static void
check_value(const emesh_attr *attr)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *again = NULL;
    size_t n = 0;

    http_percent_put_header(text, attr->value, attr->value_len);
    for (size_t i = 0; i < text->len; i++)
        g_assert_true(text->str[i] > 0x20 && text->str[i] < 0x7f && text->str[i] != '"');
    again = g_malloc(text->len + 1);
    g_assert_null(http_percent_header(text->str, text->len, again, &n));
    g_assert_cmpmem(again, n, attr->value, attr->value_len);
}

static void
check_event(const http_attrs *attrs, const uint8_t *data, size_t size)
{
    emesh_part part = { data, size, NULL };
    emesh_event_view spec = { .size = sizeof spec,
                              .data_form = EMESH_DATA_BYTES,
                              .attrs = (const emesh_attr *)(void *)attrs->list->data,
                              .n_attrs = attrs->list->len,
                              .data = &part,
                              .n_data = 1,
                              .data_len = size };
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };

    if (emesh_event_build(&spec, NULL, &event, &err) != EMESH_OK) {
        g_assert_cmpint(err.text[0], !=, '\0');
        return;
    }
    emesh_event_unref(event);
}

static void
check_mode(const char *type)
{
    http_ce_mode with = http_ce_mode_of(type, true), without = http_ce_mode_of(type, false);

    /* a header never turns a structured message into a binary one */
    g_assert_true(with == without || (with == HTTP_CE_BINARY && without == HTTP_CE_NONE));
    http_type_is_json(type);
    http_type_is_text(type);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", 700);
    http_ce_flaw flaw = { .text = "" };
    http_attrs attrs;
    uint32_t taken = 0;
    bool good = true;

    http_attrs_init(&attrs);
    for (char **line = lines; *line != NULL && good; line++) {
        char *colon = strchr(*line, ':');
        check_mode(*line);
        if (colon == NULL)
            continue;
        *colon = '\0';
        good = http_ce_take_header(&attrs, *line, colon + 1, size % 2 == 0, &taken, &flaw);
    }
    good = good && http_ce_take_end(&attrs, &flaw);
    g_assert_true(good == (flaw.text[0] == '\0'));
    g_assert_cmpuint(attrs.list->len, <=, HTTP_ATTRS_MAX);
    for (guint i = 0; i < attrs.list->len; i++) {
        const emesh_attr *attr = &g_array_index(attrs.list, emesh_attr, i);
        g_assert_true(http_name_ok(attr->name, attr->name_len));
        g_assert_true(g_utf8_validate_len(attr->value, attr->value_len, NULL));
        check_value(attr);
    }
    if (good)
        check_event(&attrs, data, size);
    http_attrs_clear(&attrs);
    return 0;
}
