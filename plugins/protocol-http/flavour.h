/* SPDX-License-Identifier: Apache-2.0
 *
 * What the request-code API calls messages, in each flavour, as events. [lane]
 */
#ifndef HTTP_FLAVOUR_H
#define HTTP_FLAVOUR_H
#include "api.h"

typedef struct http_sent {
    const emesh_event *event; /* given; NULL: refused */
    char *topic;              /* given */
    char *ttl;                /* given; NULL: none */
    int ret;                  /* retCode of the refusal */
    char why[200];            /* appended to its text */
} http_sent;

/* content: name of the field that carries the message. */
void http_flavour_read(http_request *r, http_params *p, const char *content, http_sent *out);
void http_sent_clear(http_sent *s, const http_lane *lane);
/* One entry of 102. */
void http_flavour_entry(http_request *r, const char *seq, const char *topic, const char *text,
                        const char *tag, const char *ttl, const char *group, http_sent *out);

#endif
