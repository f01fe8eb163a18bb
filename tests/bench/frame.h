/* SPDX-License-Identifier: Apache-2.0
 *
 * EventMesh TCP frames as a 1.9+ client writes and reads them. Own code on purpose: a mistake that
 * the daemon's codec makes is not made here too.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct bytes { /* a queue of bytes: taken at start, added at end */
    char *data;
    size_t start, end, cap;
} bytes;

/* Room for n more bytes behind end. */
char *bytes_room(bytes *b, size_t n);
void bytes_add(bytes *b, const void *data, size_t n);
void bytes_take(bytes *b, size_t n);
size_t bytes_len(const bytes *b);

typedef struct frame {
    const char *header, *body;
    size_t header_len, body_len, total;
} frame;

/* 1: a frame at the front of data; 0: more bytes are needed; -1: this is no frame. */
int frame_read(frame *f, const char *data, size_t n);
/* Adds a frame; props is a JSON object. */
void frame_write(bytes *out, const char *cmd, const char *seq, const char *props, const char *body,
                 size_t body_len);
/* Adds the acknowledgement of a push as the Java SDK writes it: the pushed body as a JSON string. */
void frame_write_ack(bytes *out, const char *cmd, const char *seq, const frame *push);
/* The text value of a header member, copied; key is "\"name\":". false: absent or too long. */
bool frame_text(const frame *f, const char *key, char *value, size_t size);
/* Its "code". */
int frame_code(const frame *f);
