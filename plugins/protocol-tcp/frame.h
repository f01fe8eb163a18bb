/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame: magic, version, two lengths, header, body; both length conventions. Pure functions
 * over (pointer, length); any thread.
 */
#ifndef TCP_FRAME_H
#define TCP_FRAME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_FRAME_HEAD 21u         /* bytes before the header */
#define TCP_FRAME_MAX_IN 4194304u  /* most a peer may announce */
#define TCP_FRAME_MAX_OUT 4194296u /* most a client of 1.11 and later reads */

/* What the announced length counts besides header and body. */
typedef enum tcp_convention {
    TCP_CONVENTION_UNKNOWN = 0,
    TCP_C8 = 8,   /* SDKs up to 1.8, and Go */
    TCP_C13 = 13, /* SDKs since 1.9 */
} tcp_convention;

typedef enum tcp_frame_state { TCP_FRAME_COMPLETE, TCP_FRAME_SHORT, TCP_FRAME_BAD } tcp_frame_state;

typedef struct tcp_frame {
    const char *header;
    const char *body;
    const char *flaw; /* BAD */
    size_t header_len;
    size_t body_len;
    size_t total; /* COMPLETE: bytes of the frame; SHORT: bytes needed for the next look */
    tcp_convention convention;
} tcp_frame;

/* Looks at the first frame in p. known: what earlier frames of the connection used. */
tcp_frame_state tcp_frame_parse(const void *p, size_t len, tcp_convention known, tcp_frame *out);
/* No body, in the one way or the other: none at all, or null. */
bool tcp_frame_empty(const tcp_frame *frame);
/* Writes the bytes before the header. */
void tcp_frame_head(uint8_t out[TCP_FRAME_HEAD], tcp_convention convention, size_t header_len,
                    size_t body_len);

#endif
