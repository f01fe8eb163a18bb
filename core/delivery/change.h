/* SPDX-License-Identifier: Apache-2.0
 *
 * A group's place in a topic is moved or forgotten. No reader of it may be open meanwhile: the
 * owner's lane closes the one that is, forgets its window, keeps whoever joins waiting, and reads
 * on afterwards. Acknowledgements of before find another epoch.
 */
#pragma once
#include "delivery/delivery.h"

typedef struct emesh_change emesh_change;
typedef struct emesh_consumer emesh_consumer; /* sub.h */

typedef struct emesh_change_spec {
    emesh_store *store;
    const char *topic, *group;
    const char *partition; /* lasting name; NULL: all */
    const char *words;     /* of static life, for the journal: why it is forgotten */
    const emesh_start *to; /* NULL: forget the place, unless members are here */
} emesh_change_spec;

/* [main] done on main. */
void emesh_group_change(emesh_bus *bus, const emesh_change_spec *spec,
                        void (*done)(void *ctx, int32_t code, const char *why), void *ctx);

/* For the subscription's own files. [owner's lane] */
/* The change under way of this group and topic, or NULL. */
emesh_change *emesh_change_find(const emesh_delivery_lane *owner, const char *topic,
                                const char *group);
/* No subscription is here, and none begins before it is made. */
void emesh_change_wait(emesh_change *change, emesh_consumer *consumer);
/* It leaves before. */
void emesh_change_unwait(emesh_delivery_lane *owner, emesh_consumer *consumer);
bool emesh_change_forgets(const emesh_change *change);
/* The reader is closed: it is made now; then emesh_sub_changed is called. False: it is already. */
bool emesh_change_begin(emesh_change *change);
/* The topic goes, or its store. */
void emesh_change_refuse(emesh_change *change, const char *why);
