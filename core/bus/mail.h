/* SPDX-License-Identifier: Apache-2.0
 *
 * Mail between lanes. What a lane has to tell another is collected in one box per destination and
 * leaves at the end of the wake-up as one job; mail to oneself is handled in the same phase without
 * any atomic. So crossing threads costs one box a wake-up, not one allocation a message.
 */
#pragma once
#include "eventmesh/event.h"
#include "io/worker.h"

typedef struct emesh_bus_lane emesh_bus_lane;
typedef struct emesh_mail emesh_mail;
typedef void (*emesh_mail_handler)(emesh_bus_lane *here, const emesh_mail *mail);

struct emesh_mail { /* the handler says which members it reads */
    emesh_mail_handler handle;
    void *to;
    void *from;
    const emesh_event *event; /* a reference that the handler takes over */
    uint64_t id;
    uint64_t a, b;
    emesh_position position;
    uint64_t stored_ms;
    int32_t code;
    uint32_t x;
    uint32_t y;
    uint32_t n;
};

typedef struct emesh_mail_box emesh_mail_box;
struct emesh_mail_box {
    emesh_job job;
    emesh_bus_lane *dest;
    uint32_t n, room;
    emesh_mail *mails;
};

/* [lane here] One zeroed message in the box for dest. Fill it before the next call. */
emesh_mail *emesh_mail_to(emesh_bus_lane *here, emesh_bus_lane *dest, emesh_mail_handler handle,
                          void *to);
/* [any] A box of its own for threads that are no lane (store threads). Send posts it. */
emesh_mail_box *emesh_mail_box_new(emesh_bus_lane *dest, uint32_t room);
emesh_mail *emesh_mail_box_add(emesh_mail_box *box, emesh_mail_handler handle, void *to);
void emesh_mail_box_send(emesh_mail_box *box);
/* The MAIL phase of a lane. */
void emesh_mail_flush(emesh_phased *item);
