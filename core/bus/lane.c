/* SPDX-License-Identifier: Apache-2.0
 *
 * Making and finding the lanes of the bus. Data workers get theirs before they run; a GLIB lane
 * gets one on its first session, on its own thread.
 */
#include "bus/lane.h"
#include "bus/request.h"
#include "bus/append.h"
#include "bus/note.h"
#include "delivery/delivery.h"

#include <string.h>

static void
publish_deadlines(emesh_alarm *alarm)
{
    emesh_bus_lane *lane =
        (emesh_bus_lane *)((char *)alarm - offsetof(emesh_bus_lane, deadlines));
    uint64_t now = emesh_worker_now(lane->worker);
    uint64_t next = 0;

    for (GList *l = lane->with_deadline.head, *after; l != NULL; l = after) {
        emesh_pending *p = l->data;
        after = l->next;
        if (p->deadline_ns > now) {
            next = next == 0 || p->deadline_ns < next ? p->deadline_ns : next;
            continue;
        }
        g_queue_unlink(&lane->with_deadline, l);
        p->deadline_ns = 0;
        p->answered = true;
        emesh_note_publish(lane, p, p->wanted, EMESH_WHY_PUBLISH_LATE, 0, NULL);
        emesh_session_result(p->session, p->cookie, EMESH_E_TIMEOUT, 0,
                             "the store had not answered by the deadline");
    }
    emesh_worker_alarm(lane->worker, &lane->deadlines, next);
}

emesh_bus_lane *
emesh_bus_lane_new(emesh_bus *bus, emesh_worker *worker)
{
    emesh_bus_lane *lane = g_new0(emesh_bus_lane, 1);

    lane->bus = bus;
    lane->worker = worker;
    lane->draining = bus->draining;
    lane->topics = g_hash_table_new(g_str_hash, g_str_equal);
    lane->waits = g_hash_table_new(g_str_hash, g_str_equal);
    lane->batches = g_ptr_array_new();
    lane->append_item.run = emesh_append_flush;
    lane->mail_item.run = emesh_mail_flush;
    lane->result_item.run = emesh_session_tell_all;
    lane->deadlines.due = publish_deadlines;
    lane->notes = emesh_notes_new(bus->journal, worker);
    lane->queue_room.due = emesh_publish_look;
    lane->requests = emesh_requests_new(lane);
    lane->delivery = emesh_delivery_lane_new(lane);
    return lane;
}

void
emesh_bus_lane_free(emesh_bus_lane *lane)
{
    GHashTableIter iter;
    void *topic;

    if (lane == NULL)
        return;
    g_hash_table_iter_init(&iter, lane->topics);
    while (g_hash_table_iter_next(&iter, NULL, &topic))
        emesh_bus_topic_unref(topic);
    g_hash_table_unref(lane->topics);
    g_hash_table_unref(lane->waits);
    for (uint32_t i = 0; i < lane->batches->len; i++)
        emesh_batch_free(lane->batches->pdata[i]);
    g_ptr_array_unref(lane->batches);
    for (uint32_t i = 0; i < lane->n_pending_slabs; i++)
        g_free(lane->pending_slabs[i]);
    g_free(lane->pending_slabs);
    while (lane->spare != NULL) {
        emesh_mail_box *box = lane->spare;
        lane->spare = (emesh_mail_box *)box->job.next;
        g_free(box->mails);
        g_free(box);
    }
    emesh_delivery_lane_free(lane->delivery);
    emesh_notes_free(lane->notes);
    emesh_requests_free(lane->requests);
    g_free(lane);
}

emesh_bus_lane *
emesh_bus_lane_here(emesh_bus *bus)
{
    emesh_worker *worker = emesh_worker_current();
    uint32_t n = __atomic_load_n(&bus->n_lanes, __ATOMIC_ACQUIRE);

    if (worker == NULL)
        return NULL;
    for (uint32_t i = 0; i < n; i++)
        if (bus->lanes[i]->worker == worker)
            return bus->lanes[i];
    return NULL;
}

emesh_bus_lane *
emesh_bus_lane_of(emesh_loop *loop)
{
    emesh_bus *bus = loop->inst->mesh;
    emesh_bus_lane *lane = loop->bus;

    if (lane == NULL)
        lane = emesh_bus_lane_here(bus);
    if (lane == NULL)
        lane = emesh_bus_lane_add(bus, loop->worker);
    loop->bus = lane;
    return lane;
}
