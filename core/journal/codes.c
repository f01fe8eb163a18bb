/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of decision codes. Constant.
 */
#include "journal/codes.h"

#include <stddef.h>

#define STAGE(code, more, word, sentence)                                                          \
    {                                                                                              \
        code, false, EMESH_MORE_##more, word, sentence                                             \
    }
#define ALWAYS(code, more, word, sentence)                                                         \
    {                                                                                              \
        code, true, EMESH_MORE_##more, word, sentence                                              \
    }

const emesh_code_row emesh_code_rows[] = {
    STAGE(EMESH_WHY_ACCEPTED, NONE, "accepted", "taken from its publisher"),
    STAGE(EMESH_WHY_STORED, NONE, "stored", "stored, its level reached"),
    STAGE(EMESH_WHY_SCHEDULED, WAIT, "scheduled", "stored until its time comes"),
    STAGE(EMESH_WHY_OFFERED, NONE, "offered", "offered to a member of the group"),
    STAGE(EMESH_WHY_ACKED, NONE, "acked", "acknowledged by the subscriber"),
    STAGE(EMESH_WHY_RETURNED, NONE, "returned", "given back unseen; no attempt was counted"),
    STAGE(EMESH_WHY_FAILED, WAIT, "failed", "the subscriber could not take it; tried again soon"),
    STAGE(EMESH_WHY_OVERDUE, WAIT, "overdue", "no acknowledgement in time; tried again soon"),
    STAGE(EMESH_WHY_PASSED_ON, NONE, "passed-on",
          "this member's protocol cannot carry it; another member's may"),
    STAGE(EMESH_WHY_NOT_COUNTED, NONE, "not-counted",
          "failed, but its member fails whatever it gets: no attempt was counted"),

    ALWAYS(EMESH_WHY_REFUSED_NAME, NONE, "refused-name", "refused: no legal topic name"),
    ALWAYS(EMESH_WHY_REFUSED_KIND, NONE, "refused-kind",
           "refused: a kind of publish that is not known here"),
    ALWAYS(EMESH_WHY_REFUSED_SIZE, NONE, "refused-size",
           "refused: larger than max-event of its topic, or than its store takes"),
    ALWAYS(EMESH_WHY_REFUSED_LEVEL, NONE, "refused-level",
           "refused: the store cannot give the durability that was asked for"),
    ALWAYS(EMESH_WHY_REFUSED_LEVEL_GONE, NONE, "refused-level-gone",
           "refused: the store cannot give the durability of the topic any more"),
    ALWAYS(EMESH_WHY_REFUSED_FAR, NONE, "refused-far",
           "refused: to be delivered too far in the future"),
    ALWAYS(EMESH_WHY_REFUSED_DELAY, NONE, "refused-delay",
           "refused: the store of the topic cannot delay events"),
    ALWAYS(EMESH_WHY_REFUSED_TOPIC, ERROR, "refused-topic", "refused: the topic cannot be opened"),
    ALWAYS(EMESH_WHY_REFUSED_DELETED, NONE, "refused-deleted",
           "refused: the topic was being deleted"),
    ALWAYS(EMESH_WHY_REFUSED_AWAY, NONE, "refused-away", "refused: the store was away"),
    ALWAYS(EMESH_WHY_REFUSED_STORE, ERROR, "refused-store", "refused by the store"),
    ALWAYS(EMESH_WHY_REFUSED_NEWER, ERROR, "refused-newer",
           "refused: the plugin asks for more than this daemon knows"),
    ALWAYS(EMESH_WHY_UNKNOWN, ERROR, "unknown",
           "the store does not know whether it is stored; the publisher was told so"),
    ALWAYS(EMESH_WHY_PUBLISH_LATE, NONE, "publish-late",
           "the store had not answered by the publisher's deadline; it may be stored"),
    ALWAYS(EMESH_WHY_SUBSCRIBE_REFUSED, ERROR, "subscribe-refused", "a subscription was refused"),
    ALWAYS(EMESH_WHY_SUBSCRIPTION_OVER, ERROR, "subscription-over",
           "a subscription ended for all its members"),
    ALWAYS(EMESH_WHY_REFUSED_STOPPING, NONE, "refused-stopping",
           "refused: the daemon was stopping"),
    ALWAYS(EMESH_WHY_REFUSED_REQUEST, ERROR, "refused-request",
           "a request was refused: its ttl, or too many wait for their replies"),

    ALWAYS(EMESH_WHY_EXPIRED, NONE, "expired", "its expirytime was over before it was offered"),
    ALWAYS(EMESH_WHY_RETENTION, NONE, "retention",
           "retention took it before the group had read it"),
    ALWAYS(EMESH_WHY_DAMAGED, NONE, "damaged", "damaged in the store; the group goes on behind it"),
    ALWAYS(EMESH_WHY_PARKED, WAIT, "parked", "put into the group's inbox, due later"),
    ALWAYS(EMESH_WHY_SUSPECT, NONE, "suspect",
           "a subscriber's connection broke while it was the oldest there"),
    ALWAYS(EMESH_WHY_CUSTODY, WAIT, "custody",
           "held too long; a copy lies in the group's inbox, so that others go on"),
    ALWAYS(EMESH_WHY_LETTER_STAYS, WAIT, "letter-stays",
           "a dead letter could not be read; it is never buried again, but tried again"),
    ALWAYS(EMESH_WHY_LETTER_BLOCKED, WAIT, "dead-letter-blocked",
           "its dead letter cannot be written; tried again"),
    ALWAYS(EMESH_WHY_INBOX_BLOCKED, WAIT, "inbox-blocked",
           "the group's inbox cannot be written; tried again"),
    ALWAYS(EMESH_WHY_MEMBER_LEFT, COUNT, "member-left",
           "a broadcasting member went with events it had not acknowledged"),
    ALWAYS(EMESH_WHY_MEMBER_DOWN, WAIT, "member-down",
           "its member is down and gets nothing for a while; no attempt was counted"),
    ALWAYS(EMESH_WHY_BURIED, NONE, "buried-failed", "a dead letter: the last attempt failed"),
    ALWAYS(EMESH_WHY_BURIED + 1, NONE, "buried-deadline",
           "a dead letter: not acknowledged in time at the last attempt"),
    ALWAYS(EMESH_WHY_BURIED + 2, NONE, "buried-rejected",
           "a dead letter: the subscriber refused it for good"),
    ALWAYS(EMESH_WHY_BURIED + 3, NONE, "buried-unfit",
           "a dead letter: no member's protocol can carry it"),
    ALWAYS(EMESH_WHY_BURIED + 4, NONE, "buried-killed-sessions",
           "a dead letter: connections broke while it was the oldest there"),
    ALWAYS(EMESH_WHY_BURIED + 5, NONE, "buried-foreign",
           "a dead letter: it is no CloudEvent, and its topic has foreign = dead-letter"),
    ALWAYS(EMESH_WHY_DROPPED, NONE, "dropped-failed",
           "dropped, as dead letters are off: the last attempt failed"),
    ALWAYS(EMESH_WHY_DROPPED + 1, NONE, "dropped-deadline",
           "dropped, as dead letters are off: not acknowledged in time at the last attempt"),
    ALWAYS(EMESH_WHY_DROPPED + 2, NONE, "dropped-rejected",
           "dropped, as dead letters are off: the subscriber refused it for good"),
    ALWAYS(EMESH_WHY_DROPPED + 3, NONE, "dropped-unfit",
           "dropped, as dead letters are off: no member's protocol can carry it"),
    ALWAYS(EMESH_WHY_DROPPED + 4, NONE, "dropped-killed-sessions",
           "dropped, as dead letters are off: connections broke while it was the oldest there"),
    ALWAYS(EMESH_WHY_DROPPED + 5, NONE, "dropped-foreign",
           "dropped, as it is no CloudEvent: dead letters are off, or the member is broadcasting"),

    ALWAYS(EMESH_WHY_GROUP_FORGOTTEN, NONE, "group-forgotten",
           "the group's position is gone: it had no member for too long, or was deleted"),

    ALWAYS(EMESH_WHY_REPLY_DROPPED, NONE, "reply-dropped", "nobody waited for this reply any more"),

    ALWAYS(EMESH_WHY_NO_PROGRESS, WAIT, "no-progress",
           "members are ready and events wait, but nothing moves"),
    { EMESH_WHY_NONE, false, EMESH_MORE_NONE, NULL, NULL },
};

const emesh_code_row *
emesh_code_find(uint32_t code)
{
    for (const emesh_code_row *row = emesh_code_rows; row->word != NULL; row++)
        if (row->code == code)
            return row;
    return NULL;
}
