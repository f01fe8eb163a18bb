/* SPDX-License-Identifier: Apache-2.0
 *
 * The poisoned host: services that fail on demand and count what they give, and memory that is only
 * there while the plugin's call lasts.
 */
#pragma once
#include "stage.h"

/* ---- pages ---- */

/* Zeroed memory that ends at a page without access: one byte too far is a crash, with or without a
 * sanitizer. [any] */
void *poison_page(size_t size);
void *poison_copy(const void *bytes, size_t size);
/* The call is over: touching any page lent so far by this thread is a crash from now on. */
void poison_all(void);
void poison_free(void); /* [main] at the end, for all threads */

/* ---- services ---- */

extern const emesh_event_api poison_event; /* the real one, counted and failing */
extern const emesh_loop_api poison_loop;
extern const emesh_store_api poison_store;   /* collects what a store says */
extern const emesh_client_api poison_client; /* a mesh that answers everything */

void poison_fail_at(uint32_t n); /* the n-th allocation from now fails; 0 = none */
bool poison_has_failed(void);
int64_t poison_refs(void);       /* events and buffers the plugin holds */

typedef struct poison_heard { /* what poison_store heard; read it under poison_lock() */
    uint32_t ready, results, failed, twice, records, partitions;
    uint64_t cookies; /* bit per cookie answered */
    uint32_t partition;
    bool assigned;
} poison_heard;
poison_heard poison_listen(void);
void poison_forget(void);
uint32_t poison_settled(void);   /* deliveries settled with poison_client */
uint32_t poison_open_sessions(void);

void poison_services(stage *s);
