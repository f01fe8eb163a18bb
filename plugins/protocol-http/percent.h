/* SPDX-License-Identifier: Apache-2.0
 *
 * Percent-encoding: of ce- header values as the CloudEvents HTTP binding has it, of forms, of
 * paths. Pure functions over (pointer, length); any thread.
 */
#ifndef HTTP_PERCENT_H
#define HTTP_PERCENT_H
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* A header value into out (room for len bytes), unquoted if it is quoted, decoded once. NULL:
 * fine, *n bytes of UTF-8 without NUL; else what is wrong. */
const char *http_percent_header(const char *text, size_t len, char *out, size_t *n);
/* Appends value as a header value: printable ASCII, with all else, space, '"' and '%' encoded. */
void http_percent_put_header(GString *to, const char *value, size_t len);

/* application/x-www-form-urlencoded: decodes in place; returns the new length, or -1: a bad
 * escape. */
gssize http_percent_form(char *text, size_t len);
void http_percent_put_form(GString *to, const char *value, size_t len);
/* A part of a path: as form, but + is itself. Given; NULL: a bad escape, a NUL, no UTF-8. */
char *http_percent_path(const char *text, size_t len);

#endif
