/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies: forms, JSON, CloudEvents 0.3. What our reader calls JSON is JSON to the event room as
 * well, and the other way round; what is written reads back.
 */
#include "event/json-scan.h"
#include "form.h"
#include "fuzz.h"
#include "json.h"
#include "old-event.h"
#include "percent.h"
#include <string.h>

static bool
has_lone_surrogate(const char *text, size_t len)
{
    for (size_t i = 0; i + 3 < len; i++) {
        if (text[i] == '\\' && text[i + 1] == 'u' && (text[i + 2] == 'd' || text[i + 2] == 'D'))
            return true; /* perhaps: the event room looks at them when it decodes */
    }
    return false;
}

static void
check_json(const char *text, size_t len)
{
    emesh_json other;
    bool ours = http_json_valid(text, len);

    emesh_json_init(&other, text, len);
    bool theirs = emesh_json_is_one_value(&other);
    if (ours)
        g_assert_true(theirs);
    else if (theirs)
        g_assert_true(memchr(text, 0, len) != NULL || has_lone_surrogate(text, len));
}

static void
check_put(const char *text, size_t len)
{
    g_autoptr(GString) out = g_string_new(NULL);
    http_json j;
    http_value value;

    http_json_put(out, text, len);
    http_json_begin(&j, out->str, out->len);
    g_assert_true(http_json_value(&j, &value) && http_json_end(&j));
    if (!g_utf8_validate_len(text, len, NULL))
        return;
    g_autofree char *again = http_json_text(&value);
    g_assert_nonnull(again);
    g_assert_cmpmem(again, strlen(again), text, len);
}

static void
check_form(const char *text, size_t len)
{
    http_form form = { .n = 0 };
    g_autofree char *copy = g_memdup2(text, len + 1);
    g_autoptr(GString) out = g_string_new(NULL);

    if (http_form_parse(&form, copy, len) != NULL)
        return;
    for (unsigned i = 0; i < form.n; i++) {
        const http_field *f = &form.fields[i];
        g_assert_true(f->name >= copy && f->name + f->name_len <= copy + len);
        g_assert_true(f->value >= copy && f->value + f->len <= copy + len);
    }
    http_percent_put_form(out, text, len);
    gssize n = http_percent_form(out->str, out->len);
    g_assert_cmpmem(out->str, (size_t)n, text, len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_malloc(size + 1);

    memcpy(text, data, size);
    text[size] = '\0';
    check_json(text, size);
    check_put(text, size);
    check_form(text, size);
    g_autofree char *newer = http_old_event(text, size);
    if (newer != NULL)
        g_assert_true(http_json_valid(newer, strlen(newer)));
    g_autofree char *path = http_percent_path(text, strlen(text));
    if (path != NULL)
        g_assert_true(g_utf8_validate(path, -1, NULL));
    return 0;
}
