/* SPDX-License-Identifier: Apache-2.0
 *
 * application/x-www-form-urlencoded, decoded where it lies. Pure; any thread.
 */
#ifndef HTTP_FORM_H
#define HTTP_FORM_H
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define HTTP_FIELDS_MAX 128u

typedef struct http_field {
    const char *name, *value; /* no NUL behind them */
    size_t name_len, len;
} http_field;

typedef struct http_form {
    http_field fields[HTTP_FIELDS_MAX];
    unsigned n;
    bool first_wins; /* of fields of one name; else the last */
} http_form;

/* NULL: fine, fields point into text; else what is wrong. */
const char *http_form_parse(http_form *form, char *text, size_t len);
const char *http_form_add(http_form *form, const char *name, size_t name_len, const char *value,
                          size_t len);
const http_field *http_form_field(const http_form *form, const char *name);
/* The text, given; NULL: absent, or with a NUL in it, or no UTF-8. */
char *http_form_text(const http_form *form, const char *name);

#endif
