/* SPDX-License-Identifier: Apache-2.0
 *
 * What travels with an event through the ladder and the inboxes of a store that lacks DELAY or INBOX:
 * one attribute, which no publisher may send and no subscriber gets to see.
 *
 *   d due and r ripe in ms since 1970, a attempts made, f flags of the record, c the copy's number,
 *   o where it lay first, t topic, g group (absent: the topic itself is where it goes), k key
 */
#pragma once
#include "event/event.h"

#define EMESH_RUNG_ATTR "emeshladder"

typedef struct emesh_rung {
    uint64_t due_ms;     /* when it may be offered; 0: at once */
    uint64_t ripe_ms;    /* when it leaves the step it lies on */
    uint32_t attempts;
    uint32_t flags;      /* EMESH_RECORD_FOREIGN */
    emesh_position copy; /* number of a custody copy, 0 = none */
    char *origin;        /* PARTITION:POSITION, or NULL */
    char *topic;
    char *group;         /* for its inbox, or NULL */
    char *key;           /* of the publish, or NULL */
    size_t key_len;
} emesh_rung;

/* event with the attribute, in place of one that it may have. NULL: err says why. Given. */
const emesh_event *emesh_rung_put(const emesh_event *event, const emesh_rung *rung,
                                  emesh_error *err);
/* What the attribute says. False: there is none that makes sense. Ended by clear. */
bool emesh_rung_read(const emesh_event *event, emesh_rung *out);
/* due and ripe alone. */
bool emesh_rung_peek(const emesh_event *event, uint64_t *due_ms, uint64_t *ripe_ms);
void emesh_rung_clear(emesh_rung *rung);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(emesh_rung, emesh_rung_clear)
/* event without the attribute. Given. */
const emesh_event *emesh_rung_strip(const emesh_event *event);
