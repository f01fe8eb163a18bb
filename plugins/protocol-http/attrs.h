/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes of an event that is being made: texts are borrowed, or kept here. Any thread.
 */
#ifndef HTTP_ATTRS_H
#define HTTP_ATTRS_H
#include "eventmesh/event.h"
#include <glib.h>
#include <stdbool.h>

#define HTTP_ATTRS_MAX 512u

typedef struct http_attrs {
    GArray *list; /* emesh_attr */
    GStringChunk *texts;
} http_attrs;

void http_attrs_init(http_attrs *a);
void http_attrs_clear(http_attrs *a);
/* Replaces an attribute of the same name. NULL: nothing is added. */
void http_attrs_set(http_attrs *a, const char *name, const char *value);
void http_attrs_set_len(http_attrs *a, const char *name, const char *value, size_t len);
bool http_attrs_has(const http_attrs *a, const char *name);
/* A copy that lives as long as a. */
const char *http_attrs_keep(http_attrs *a, const char *text, size_t len);

const emesh_attr *http_view_attr(const emesh_event_view *view, const char *name);
/* Does the attribute read text? */
bool http_view_is(const emesh_event_view *view, const char *name, const char *text);

bool http_name_ok(const char *name, size_t len); /* a-z, 0-9 */
/* Of the specification: no extension may be called so. */
bool http_name_reserved(const char *name, size_t len);

#endif
