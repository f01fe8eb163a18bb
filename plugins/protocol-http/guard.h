/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses may be pushed to: lists of networks, each with the line of conf.d it stands on.
 * Constant once made; any thread.
 */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H
#include <gio/gio.h>
#include <stdbool.h>

typedef struct http_rule {
    GInetAddressMask *mask;
    char *text, *origin;
} http_rule;

typedef struct http_guard {
    GPtrArray *allow; /* http_rule; empty: every address */
    GPtrArray *deny;  /* wins over allow */
} http_guard;

void http_guard_init(http_guard *g);
void http_guard_clear(http_guard *g);
/* "10.0.0.0/8", "::1". false: it is no network. */
bool http_guard_add(GPtrArray *list, const char *text, const char *origin);
/* NULL: it may be; else why not, given. */
char *http_guard_refuses(const http_guard *g, GInetAddress *address);

#endif
