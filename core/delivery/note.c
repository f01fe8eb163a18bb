/* SPDX-License-Identifier: Apache-2.0
 *
 * What delivery writes into the decision journal. [owner's lane]
 */
#include "bus/findings.h"
#include "bus/note.h"
#include "delivery/sub.h"

static emesh_note
about(const emesh_sub *sub, emesh_code code, const char *words)
{
    return (
        emesh_note){ .code = code, .topic = sub->topic->name, .group = sub->group, .words = words };
}

void
emesh_slot_note(emesh_sub *sub, const emesh_slot *slot, const emesh_consumer *consumer,
                emesh_code code, uint64_t more, const char *words)
{
    const emesh_window *window = sub->windows->pdata[slot->partition];
    emesh_note note = about(sub, code, words);
    char who[EMESH_WHO_TEXT];

    note.event = slot->event;
    note.position = slot->position;
    note.partition = window->name;
    note.attempt = (uint16_t)MIN(slot->attempt, UINT16_MAX);
    note.more = more;
    if (consumer !=
        NULL) /* what it says of itself does not change, and it is here until it is GONE */
        note.who = emesh_session_who(consumer->member->session, who);
    emesh_note_down(sub->owner->lane->notes, &note);
}

void
emesh_sub_note(emesh_sub *sub, const emesh_consumer *consumer, emesh_code code, uint64_t more,
               const char *words)
{
    emesh_note note = about(sub, code, words);
    char who[EMESH_WHO_TEXT];

    note.more = more;
    if (consumer != NULL)
        note.who = emesh_session_who(consumer->member->session, who);
    emesh_note_down(sub->owner->lane->notes, &note);
}

void
emesh_sub_note_taken(emesh_sub *sub, const emesh_window *window, emesh_code code,
                     emesh_position position)
{
    emesh_note note = about(sub, code, NULL);
    const emesh_queue *order = &window->order;

    note.range = true;
    note.partition = window->name;
    note.position = position;
    note.first = window->floor; /* none yet: 0 */
    if (order->n > 0) {
        uint32_t last = order->at[(order->head + order->n - 1) & (order->room - 1)];
        note.first = emesh_slot_at(&sub->slots, last)->position;
    }
    emesh_note_down(sub->owner->lane->notes, &note);
}

void
emesh_sub_finding(emesh_sub *sub, const char *finding, const char *format, ...)
{
    emesh_bus *bus = sub->owner->lane->bus;
    g_autofree char *about =
        g_strdup_printf("group \"%s\" of \"%s\"", sub->group, sub->topic->name);
    g_autofree char *text = NULL;
    va_list args;

    if (format == NULL) {
        emesh_finding_clear(bus, finding, about);
        return;
    }
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    emesh_finding_raise(bus, finding, about, "%s", text);
}
