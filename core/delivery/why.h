/* SPDX-License-Identifier: Apache-2.0
 *
 * The command `why`: what was found, between the asking (why.c) and the answering (why-rows.c).
 */
#pragma once
#include "admin/command.h"
#include "bus/gather.h"
#include "journal/read.h"

typedef struct emesh_why_live { /* an event in somebody's window right now */
    uint64_t hash;
    char *topic, *group, *text;
    uint32_t attempt;
} emesh_why_live;

typedef struct emesh_why_found {
    emesh_bus *bus;
    emesh_command_reply *reply;
    char *id, *source, *topic, *group; /* asked for; NULL: any */
    emesh_journal_query query;
    emesh_job job;
    emesh_reading *reading;
    char *error;
    GArray *places;     /* emesh_listed: where events of this id lie */
    GArray *floors;     /* emesh_listed: groups on their topics */
    GArray *live;       /* emesh_why_live */
    GPtrArray *topics;  /* whose groups are still to be asked for; borrowed from places */
    GHashTable *hashes; /* of the events in question, as int64 */
} emesh_why_found;

extern const emesh_command emesh_why_commands[]; /* ends with a NULL verb */
/* [main] Sends the rows and ends the reply. */
void emesh_why_answer(emesh_why_found *found);
