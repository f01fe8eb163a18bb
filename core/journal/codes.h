/* SPDX-License-Identifier: Apache-2.0
 *
 * The decision codes: one for every reason for which an event is refused, dropped, parked, buried
 * or suspected, and for each stage of its way. A code's number lies in journals on disk: it never
 * changes, and new ones go behind the last of their hundred. The table in codes.c says the rest;
 * delivery-test-25 walks it, forces each code and looks for its line.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef enum emesh_code {
    EMESH_WHY_NONE = 0,

    /* the way of an event: written for sampled ones */
    EMESH_WHY_ACCEPTED = 1,
    EMESH_WHY_STORED = 2,
    EMESH_WHY_SCHEDULED = 3,
    EMESH_WHY_OFFERED = 4,
    EMESH_WHY_ACKED = 5,
    EMESH_WHY_RETURNED = 6,
    EMESH_WHY_FAILED = 7,
    EMESH_WHY_OVERDUE = 8,
    EMESH_WHY_PASSED_ON = 9,
    EMESH_WHY_NOT_COUNTED = 10,

    /* publishes and subscriptions that were refused */
    EMESH_WHY_REFUSED_NAME = 100,
    EMESH_WHY_REFUSED_KIND = 101,
    EMESH_WHY_REFUSED_SIZE = 102,
    EMESH_WHY_REFUSED_LEVEL = 103,
    EMESH_WHY_REFUSED_LEVEL_GONE = 104,
    EMESH_WHY_REFUSED_FAR = 105,
    EMESH_WHY_REFUSED_DELAY = 106,
    EMESH_WHY_REFUSED_TOPIC = 107,
    EMESH_WHY_REFUSED_DELETED = 108,
    EMESH_WHY_REFUSED_AWAY = 109,
    EMESH_WHY_REFUSED_STORE = 110,
    EMESH_WHY_REFUSED_NEWER = 111,
    EMESH_WHY_UNKNOWN = 112,
    EMESH_WHY_PUBLISH_LATE = 113,
    EMESH_WHY_SUBSCRIBE_REFUSED = 114,
    EMESH_WHY_SUBSCRIPTION_OVER = 115,
    EMESH_WHY_REFUSED_STOPPING = 116,
    EMESH_WHY_REFUSED_REQUEST = 117,

    /* what becomes of events that are not taken */
    EMESH_WHY_EXPIRED = 200,
    EMESH_WHY_RETENTION = 201,
    EMESH_WHY_DAMAGED = 202,
    EMESH_WHY_PARKED = 203,
    EMESH_WHY_SUSPECT = 204,
    EMESH_WHY_CUSTODY = 205,
    EMESH_WHY_LETTER_STAYS = 206,
    EMESH_WHY_LETTER_BLOCKED = 207,
    EMESH_WHY_INBOX_BLOCKED = 208,
    EMESH_WHY_MEMBER_LEFT = 209,
    EMESH_WHY_MEMBER_DOWN = 210,
    EMESH_WHY_BURIED = 220,  /* + emesh_cause */
    EMESH_WHY_DROPPED = 230, /* + emesh_cause: dead letters are off */

    /* groups */
    EMESH_WHY_GROUP_FORGOTTEN = 300,

    /* request and reply */
    EMESH_WHY_REPLY_DROPPED = 400,

    /* findings */
    EMESH_WHY_NO_PROGRESS = 500,
} emesh_code;

/* What `more` of a line counts. */
typedef enum emesh_code_more {
    EMESH_MORE_NONE,
    EMESH_MORE_WAIT,  /* ms until it goes on */
    EMESH_MORE_ERROR, /* an EMESH_E_ code */
    EMESH_MORE_COUNT, /* events */
} emesh_code_more;

typedef struct emesh_code_row {
    uint16_t code;
    bool always;      /* else of sampled events only */
    uint8_t more;     /* emesh_code_more */
    const char *word; /* "parked": what `why` prints and scripts look for */
    const char *sentence;
} emesh_code_row;

/* Sorted by code; ends with a row without word. */
extern const emesh_code_row emesh_code_rows[];
/* NULL: a code of a newer version. */
const emesh_code_row *emesh_code_find(uint32_t code);
