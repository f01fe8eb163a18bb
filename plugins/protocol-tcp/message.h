/* SPDX-License-Identifier: Apache-2.0
 *
 * EventMeshMessage (topic, properties, headers, body) to an event and back. [lane]
 */
#ifndef TCP_MESSAGE_H
#define TCP_MESSAGE_H
#include "out.h"
#include "props.h"

typedef enum tcp_flavour {
    TCP_FLAVOUR_UNKNOWN,
    TCP_FLAVOUR_MESSAGE, /* EventMeshMessage */
    TCP_FLAVOUR_CE,      /* CloudEvents */
    TCP_FLAVOUR_MIXED,   /* a client that has shown both */
} tcp_flavour;

typedef struct tcp_extra { /* a property that is added to what is read */
    const char *name;
    tcp_field value;
} tcp_extra;

/* What makes events out of frames; one per lane. */
typedef struct tcp_reader {
    const emesh_host *host;
    const emesh_event_api *event;
    uint64_t serial; /* for ids of messages without seq */
    uint64_t boot;   /* tells this life of this lane from others */
    uint32_t lane;
    emesh_error error; /* why the last read failed */
    const tcp_extra *extra; /* of the read under way */
    uint32_t n_extra;
    char id[64];
    tcp_props props;
} tcp_reader;

/* The frame's body as the event that REF makes of it. Given. NULL: r->error.text. */
const emesh_event *tcp_message_read(tcp_reader *r, const emesh_part *in, const tcp_frame *frame,
                                    const tcp_header *header, tcp_era era);
/* Adds r->extra, over what has their names. */
void tcp_reader_extra(tcp_reader *r);
/* Fills r->error; returns NULL. */
const emesh_event *tcp_reader_refuse(tcp_reader *r, int32_t code, const char *text);

/* What is added at push: JSON members, each with a comma behind it. */
typedef struct tcp_stamps {
    tcp_field session; /* of the receiving session */
    tcp_field moment;  /* of this call */
    uint64_t stored_ms;
    bool reply; /* other names are stamped */
} tcp_stamps;

/* Is this attribute replaced by one of them? */
bool tcp_stamped(const tcp_stamps *stamps, const emesh_attr *attr);

/* Writes the body of a push, without the frame around it. false: this event cannot be carried as
 * a message; *why. */
bool tcp_message_write(tcp_out *o, const emesh_event_view *view, tcp_field topic, bool headers,
                       const tcp_stamps *stamps, const char **why);
/* The members of stamps, with the times of this event. */
void tcp_stamps_write(tcp_out *o, const tcp_stamps *stamps);

const emesh_attr *tcp_view_find(const emesh_event_view *view, const char *name, size_t len);
#define TCP_VIEW_ATTR(view, name) tcp_view_find(view, name, sizeof(name) - 1)

#endif
