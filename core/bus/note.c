/* SPDX-License-Identifier: Apache-2.0
 *
 * See note.h. [lane]
 */
#include "bus/note.h"

#include <string.h>

const char *
emesh_session_who(const emesh_session *s, char out[EMESH_WHO_TEXT])
{
    const char *peer = s->peer != NULL ? s->peer : s->client;

    g_snprintf(out, EMESH_WHO_TEXT, "%s %s%s%s", s->instance, s->key, peer != NULL ? " " : "",
               peer != NULL ? peer : "");
    return out;
}

void
emesh_note_publish(emesh_bus_lane *lane, const emesh_pending *p, const char *topic, emesh_code code,
                   int32_t error, const char *words)
{
    char who[EMESH_WHO_TEXT];
    emesh_note note = {
        .code = code,
        .event = p->event,
        .topic = topic != NULL      ? topic
                 : p->topic != NULL ? p->topic->name
                                    : NULL,
        .who = p->session != NULL ? emesh_session_who(p->session, who) : NULL,
        .words = words,
        .more = (uint64_t)error,
    };

    emesh_note_down(lane->notes, &note);
}

void
emesh_note_stored(emesh_bus_lane *lane, const emesh_pending *p, uint32_t level,
                  emesh_position position)
{
    uint64_t now = (uint64_t)g_get_real_time() / 1000u;
    emesh_note note = {
        .code = p->deliver_at_ms != 0 ? EMESH_WHY_SCHEDULED : EMESH_WHY_STORED,
        .level = (uint8_t)level,
        .event = p->event,
        .position = position,
        .topic = p->topic->name,
        .more = p->deliver_at_ms > now ? p->deliver_at_ms - now : 0,
    };

    emesh_note_down(lane->notes, &note);
}
