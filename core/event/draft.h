/* SPDX-License-Identifier: Apache-2.0
 *
 * The attributes of an event to be, collected by build.c and json-decode.c. Internal to core/event.
 */
#pragma once
#include "event/attr.h"
#include "event/event-struct.h"

/* Marks an attribute (in its zero member) that keeps its name taken but is not in the event. */
#define EMESH_DRAFT_DROPPED 1u

typedef struct emesh_draft { /* 42 KiB of stack, touched only where used */
    uint32_t n;
    bool dropped; /* there is an attribute so marked */
    bool given[EMESH_ATTRS_MAX]; /* by the caller, not by a base: twice is an error */
    emesh_attr attrs[EMESH_ATTRS_MAX];
    emesh_names names;
} emesh_draft;

void emesh_draft_init(emesh_draft *draft);
/* Adds an attribute whose name is not there yet; texts are borrowed until the end. */
int32_t emesh_draft_add(emesh_draft *draft, const emesh_attr *attr, bool given, emesh_error *err);
/* Makes the event: required attributes first, dropped ones out. whole: data become one part. */
int32_t emesh_draft_make(emesh_draft *draft, uint32_t form, const emesh_part *data, uint32_t n_data,
                         bool whole, emesh_event **out, emesh_error *err);
