/* SPDX-License-Identifier: Apache-2.0
 *
 * What all sessions of this plugin have in common: the host's calls find their way through it.
 */
#ifndef HTTP_SESSION_H
#define HTTP_SESSION_H
#include "http.h"

typedef struct http_actor http_actor;
typedef struct http_actor http_member; /* the same, when it is a subscription */
typedef struct http_actor_ops {
    void (*opened)(http_actor *actor, int32_t code, const emesh_error *err);
    /* NULL: it publishes nothing, it goes when it has done what it is for */
    void (*published)(http_actor *actor, const emesh_published *results, uint32_t n);
    void (*room)(http_actor *actor);
    void (*ask)(http_actor *actor);
    /* of subscriptions; an adopted one is session and subscription at once (push-adopt.c) */
    void (*subscribed)(http_member *member, int32_t code, const emesh_error *err);
    void (*deliver)(http_member *member, const emesh_delivery *items, uint32_t n);
} http_actor_ops;

struct http_actor { /* the first member of each session, and of each subscription */
    const http_actor_ops *ops;
};

#endif
