/* SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters as an operator sees them. What is replayed or purged is acknowledged by a group of
 * the daemon's own, EMESH_LETTERS_GROUP, whose place says what is left; no reader of the topic is
 * in its way.
 */
#pragma once
#include "delivery/browse.h"

#define EMESH_LETTERS_GROUP "emesh-dead-letters"

/* The group whose letters a topic holds, as far as its name tells. Given. */
char *emesh_letters_group(const char *topic);

/* Which letters were met: a crash may have written one twice. Remembers the last 65,536 or more. */
GHashTable *emesh_letters_seen_new(void);
/* Is it the first with this origin, group and event? */
bool emesh_letters_first(GHashTable *seen, const emesh_event *letter);
/* The event as it was. NULL: no memory. Given. */
const emesh_event *emesh_letter_open(const emesh_event *letter);
/* An attribute as text, or NULL. Given. */
char *emesh_letter_text(const emesh_event *letter, const char *name);

typedef struct emesh_letters { /* of one group */
    emesh_store *store; /* NULL: there are none */
    char *topic;
    uint64_t kept;      /* records in the topic */
    uint64_t left;      /* neither replayed nor purged; UINT64_MAX: unknown */
    bool placed;        /* EMESH_LETTERS_GROUP has a place there */
    GHashTable *lasts;  /* partition → emesh_position, the last one now */
} emesh_letters;

/* [main] found is borrowed for the call. */
void emesh_letters_find(emesh_bus *bus, const char *group,
                        void (*done)(void *ctx, const emesh_letters *found), void *ctx);

/* ---- replay.c ---- */
typedef struct emesh_where emesh_where;
typedef struct emesh_replay emesh_replay;

typedef enum emesh_replay_state {
    EMESH_REPLAY_RUNNING,
    EMESH_REPLAY_DONE,
    EMESH_REPLAY_STOPPED, /* asked to */
    EMESH_REPLAY_FAILED,
} emesh_replay_state;

typedef struct emesh_replay_spec {
    const char *group;
    emesh_where *where; /* given; NULL: all */
    uint64_t rate;      /* a second; 0: as fast as it goes */
    bool purge;         /* acknowledged, not sent */
} emesh_replay_spec;

typedef struct emesh_replay_report {
    emesh_replay_state state;
    bool purge;
    uint64_t total, done, left, twice, stuck; /* stuck: no origin to go to */
    uint64_t begun_ms, ended_ms;
    const char *why; /* FAILED */
} emesh_replay_report;

/* [main] begun: code other than 0: it did not. It goes on by itself, and is remembered until the next of
 * its group. */
void emesh_replay_begin(emesh_bus *bus, const emesh_replay_spec *spec,
                        void (*begun)(void *ctx, int32_t code, const char *why), void *ctx);
/* [main] The one that runs, or the last. NULL: none since the start. */
emesh_replay *emesh_replay_find(emesh_bus *bus, const char *group);
void emesh_replay_look(const emesh_replay *replay, emesh_replay_report *out);
void emesh_replay_stop(emesh_replay *replay);
void emesh_replay_free(void *replay);
