/* SPDX-License-Identifier: Apache-2.0
 *
 * The ears of a subscription: records and changes of partitions, from any thread of the store. On
 * the owner's lane they are taken at once; from elsewhere they come by mail, and as long as some are
 * on the way all others queue behind them.
 */
#include "delivery/sub.h"
#include "event/event.h"

#include <string.h>

static emesh_sub *
sub_of(emesh_reader *reader)
{
    return (emesh_sub *)((char *)reader - offsetof(emesh_sub, reader));
}

static void
take_record(emesh_reader *reader, const emesh_record *record)
{
    emesh_sub *sub = sub_of(reader);
    uint16_t place;
    emesh_window *window = emesh_sub_window(sub, record->partition, &place);
    uint64_t bytes = record->event != NULL ? emesh_event_size(record->event) : 0;

    sub->asked -= sub->asked > 0;
    sub->read++;
    sub->asked_bytes -= (int64_t)bytes;
    sub->mean_bytes += ((int32_t)MIN(bytes, INT32_MAX) - (int32_t)sub->mean_bytes) / 8;
    if (window == NULL || record->epoch != window->epoch || sub->state == EMESH_SUB_CLOSING)
        return; /* of an earlier life of this partition */
    if ((record->flags & EMESH_RECORD_DAMAGED) != 0)
        emesh_sub_note_taken(sub, window, EMESH_WHY_DAMAGED, record->position);
    if ((record->flags & EMESH_RECORD_TRIMMED) != 0)
        emesh_sub_note_taken(sub, window, EMESH_WHY_RETENTION, record->position);
    if ((record->flags & EMESH_RECORD_DAMAGED) != 0)
        emesh_bus_warn(sub->owner->lane->bus, "delivery", "group \"%s\" skips damaged records of topic \"%s\"", sub->group,
                   sub->topic->name);
    if ((record->flags & EMESH_RECORD_TRIMMED) != 0)
        emesh_bus_warn(sub->owner->lane->bus, "delivery", "group \"%s\" missed records of topic \"%s\" that retention took",
                   sub->group, sub->topic->name);
    if (emesh_slots_add(&sub->slots, window, place, record) == UINT32_MAX)
        return;
    if (record->event == NULL && window->order.n > 0) {
        uint32_t head = emesh_queue_peek(&window->order);
        if (emesh_slot_at(&sub->slots, head)->state == EMESH_SLOT_SETTLED)
            emesh_slots_settle(&sub->slots, window, head);
    }
}

static void
take_partition(emesh_reader *reader, uint32_t change, uint32_t number, const char *name,
               int32_t code, const char *why)
{
    emesh_sub *sub = sub_of(reader);
    uint16_t place;
    emesh_window *window = emesh_sub_window(sub, number, &place);

    switch (change) {
    case EMESH_PARTITION_ASSIGNED:
        if (window != NULL)
            emesh_sub_drop_window(sub, window);
        window = emesh_sub_window(sub, UINT32_MAX, &place); /* a place that is free again */
        if (window == NULL) {
            window = g_new0(emesh_window, 1);
            g_ptr_array_add(sub->windows, window);
        }
        window->number = number;
        window->name = name;
        window->has_floor = window->floor_moved = false;
        break;
    case EMESH_PARTITION_REVOKING:
        if (window != NULL) {
            window->revoking = true;
            emesh_worker_alarm(sub->owner->lane->worker, &sub->revoked,
                               emesh_worker_now(sub->owner->lane->worker) + 5000000000u);
        }
        break;
    case EMESH_PARTITION_LOST:
        if (window != NULL)
            emesh_sub_drop_window(sub, window);
        break;
    case EMESH_PARTITION_END:
        emesh_sub_failed(sub, code != EMESH_OK ? code : EMESH_E_LOST, why);
        break;
    default: /* CAUGHT_UP, and what a newer store may tell */
        break;
    }
}

static void
touch(emesh_reader *reader)
{
    emesh_sub_touch(sub_of(reader));
}

const emesh_reader_ears emesh_sub_ears = { take_record, take_partition, touch };

/* ---- by mail ---- */

static void
record_mail(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_reader *reader = mail->to;
    emesh_record record = {
        .event = mail->event,
        .position = mail->position,
        .stored_ms = mail->stored_ms,
        .partition = mail->x,
        .epoch = mail->y,
        .attempt = mail->n,
        .flags = (uint32_t)mail->a,
    };

    (void)here;
    reader->ears->record(reader, &record);
    emesh_event_unref(mail->event);
    reader->ears->touch(reader);
    __atomic_sub_fetch(&reader->posted, 1, __ATOMIC_RELAXED);
}

static void
partition_mail(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_reader *reader = mail->to;
    g_autofree char *why = (char *)(uintptr_t)mail->a;

    (void)here;
    reader->ears->partition(reader, mail->y, mail->x, mail->from, mail->code, why);
    reader->ears->touch(reader);
    __atomic_sub_fetch(&reader->posted, 1, __ATOMIC_RELAXED);
}

static bool
is_home(const emesh_reader *reader)
{
    return emesh_worker_is_current(reader->lane->worker) &&
           __atomic_load_n(&reader->posted, __ATOMIC_RELAXED) == 0;
}

void
emesh_reader_records(emesh_reader *reader, const emesh_record *records, uint32_t n)
{
    uint32_t stride = reader->inst->layout.record;
    bool home = is_home(reader);
    emesh_mail_box *box = NULL;

    if (n == 0)
        return;
    if (!home)
        box = emesh_mail_box_new(reader->lane, n);
    for (uint32_t i = 0; i < n; i++) {
        emesh_record record;
        emesh_mail *mail;

        if (emesh_take(&record, sizeof record, records, stride, i) != EMESH_OK)
            record.flags |= EMESH_RECORD_FOREIGN; /* it says more than this host knows: by the
                                                   * topic's rule, neither lost nor taken on trust */
        if (home) {
            reader->ears->record(reader, &record);
            continue;
        }
        mail = emesh_mail_box_add(box, record_mail, reader);
        mail->event = record.event != NULL ? emesh_event_ref(record.event) : NULL;
        mail->position = record.position;
        mail->stored_ms = record.stored_ms;
        mail->x = record.partition;
        mail->y = record.epoch;
        mail->n = record.attempt;
        mail->a = record.flags;
    }
    if (home) {
        reader->ears->touch(reader);
        return;
    }
    __atomic_add_fetch(&reader->posted, n, __ATOMIC_RELAXED);
    emesh_mail_box_send(box);
}

void
emesh_reader_partition(emesh_reader *reader, uint32_t change, uint32_t partition,
                       const char *name, size_t len, const emesh_error *err)
{
    g_autofree char *text = g_strndup(name != NULL ? name : "", name != NULL ? len : 0);
    const char *lasting = g_intern_string(text); /* few, and deliveries name them on other lanes */
    const char *why = err != NULL && err->text[0] != '\0' ? err->text : "the store ended the reader";
    int32_t code = err != NULL ? err->code : EMESH_OK;
    emesh_mail_box *box;
    emesh_mail *mail;

    if (is_home(reader)) {
        reader->ears->partition(reader, change, partition, lasting, code, why);
        reader->ears->touch(reader);
        return;
    }
    box = emesh_mail_box_new(reader->lane, 1);
    mail = emesh_mail_box_add(box, partition_mail, reader);
    mail->y = change;
    mail->x = partition;
    mail->from = (void *)(uintptr_t)lasting;
    mail->code = code;
    mail->a = (uint64_t)(uintptr_t)g_strdup(why);
    __atomic_add_fetch(&reader->posted, 1, __ATOMIC_RELAXED);
    emesh_mail_box_send(box);
}
