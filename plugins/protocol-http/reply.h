/* SPDX-License-Identifier: Apache-2.0
 *
 * What a webhook answers on a connection of ours: libsoup parses the head, this finds the body.
 * Pure, any thread.
 */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H
#include <libsoup/soup.h>
#include <stdbool.h>
#include <stdint.h>

#define HTTP_REPLY_MAX (64u << 10) /* bytes of a body, and of a head, that anybody needs */

typedef enum http_reply_state {
    HTTP_REPLY_MORE,  /* there is more to come */
    HTTP_REPLY_ENDS,  /* the same, and only the end of the connection ends it; the body so far */
    HTTP_REPLY_WHOLE, /* or as much as anybody needs */
    HTTP_REPLY_BROKEN,
} http_reply_state;

typedef struct http_reply {
    guint status;
    SoupMessageHeaders *head;
    size_t len;     /* of text that it takes; with keep */
    bool keep;      /* the connection may be used again */
    GString *lines; /* the head as text */
    GString *plain; /* the body, if it came in chunks */
    const char *body;
    size_t body_len;
} http_reply;

void http_reply_init(http_reply *r);
void http_reply_clear(http_reply *r);
/* text is all that came for this answer; it is read anew each time. */
http_reply_state http_reply_read(http_reply *r, const char *text, size_t len);

#endif
