/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames on their way out: composed one behind the other in one growing buffer, large payloads
 * kept between them by reference, then given to net.write in one call. One per lane, [lane].
 */
#ifndef TCP_OUT_H
#define TCP_OUT_H
#include "eventmesh/net.h"
#include "frame.h"

#include <stdbool.h>
#include <string.h>

typedef struct tcp_out {
    char *mem;
    size_t len, cap;
    size_t run;        /* own bytes from here are in no part yet */
    emesh_part *parts; /* owner NULL: ptr is an offset into mem */
    emesh_buf **given; /* references to drop after the write */
    uint32_t n_parts, cap_parts, n_given, cap_given;
    size_t head, body; /* the frame being composed: where it and its body begin */
    size_t refs;       /* bytes by reference in it */
    size_t head_run;   /* what to go back to when it is cancelled */
    uint32_t head_parts;
    bool copies; /* nothing by reference: what is composed may be kept for later */
    bool failed; /* no memory: nothing is written */
} tcp_out;

void tcp_out_grow(tcp_out *o, const void *text, size_t len);
/* Inline, so that constant texts become a few stores. */
static inline void
tcp_out_put(tcp_out *o, const void *text, size_t len)
{
    if (o->failed || o->cap - o->len < len) {
        tcp_out_grow(o, text, len);
    } else if (len > 0) {
        memcpy(o->mem + o->len, text, len);
        o->len += len;
    }
}
#define TCP_OUT_TEXT(o, text) tcp_out_put(o, text, sizeof(text) - 1)
void tcp_out_number(tcp_out *o, uint64_t value);
/* As the inside of a JSON string. */
void tcp_out_escaped(tcp_out *o, const void *text, size_t len);
/* By reference; given: the buffer's reference is the out's from now on. */
void tcp_out_ref(tcp_out *o, const emesh_part *part, bool given);

void tcp_out_begin(tcp_out *o);     /* a frame's header begins */
void tcp_out_body_here(tcp_out *o); /* its body begins */
size_t tcp_out_body_len(const tcp_out *o);
/* How long the body is as a JSON string, which is how clients send it back. */
size_t tcp_out_echo_len(const tcp_out *o);
/* Ends the frame. false: it is longer than clients may be sent; it has been taken back. */
bool tcp_out_end(tcp_out *o, tcp_convention convention);
void tcp_out_cancel(tcp_out *o); /* takes the frame being composed back */

size_t tcp_out_total(const tcp_out *o); /* bytes of all frames */
bool tcp_out_empty(const tcp_out *o);
/* All of it in one net.write, or nothing of it; empty afterwards in any case. */
int32_t tcp_out_write(tcp_out *o, const emesh_net_api *net, const emesh_event_api *event,
                      emesh_conn *conn);
void tcp_out_clear(tcp_out *o, const emesh_event_api *event);
void tcp_out_free(tcp_out *o, const emesh_event_api *event);

#endif
