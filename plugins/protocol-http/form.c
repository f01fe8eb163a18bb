/* SPDX-License-Identifier: Apache-2.0
 *
 * See form.h. Any thread.
 */
#include "form.h"
#include "percent.h"
#include <string.h>

const char *
http_form_add(http_form *form, const char *name, size_t name_len, const char *value, size_t len)
{
    if (form->n == HTTP_FIELDS_MAX)
        return "there are more than 128 fields";
    form->fields[form->n++] = (http_field){ name, value, name_len, len };
    return NULL;
}

const char *
http_form_parse(http_form *form, char *text, size_t len)
{
    char *at = text, *end = text + len;
    const char *flaw = NULL;

    while (at < end && flaw == NULL) {
        char *next = memchr(at, '&', (size_t)(end - at));
        next = next != NULL ? next : end;
        char *equals = memchr(at, '=', (size_t)(next - at));
        char *name_end = equals != NULL ? equals : next;
        char *value = equals != NULL ? equals + 1 : next;
        gssize name_len = http_percent_form(at, (size_t)(name_end - at));
        gssize value_len = http_percent_form(value, (size_t)(next - value));
        if (name_len < 0 || value_len < 0)
            flaw = "a % has no two hex digits behind it";
        else if (name_len > 0)
            flaw = http_form_add(form, at, (size_t)name_len, value, (size_t)value_len);
        at = next + 1;
    }
    return flaw;
}

const http_field *
http_form_field(const http_form *form, const char *name)
{
    const http_field *found = NULL;
    size_t len = strlen(name);

    for (unsigned i = 0; i < form->n && !(found != NULL && form->first_wins); i++) {
        const http_field *f = &form->fields[i];
        if (f->name_len == len && memcmp(f->name, name, len) == 0)
            found = f;
    }
    return found;
}

char *
http_form_text(const http_form *form, const char *name)
{
    const http_field *f = http_form_field(form, name);
    if (f == NULL || !g_utf8_validate_len(f->value, f->len, NULL))
        return NULL;
    return g_strndup(f->value, f->len);
}
