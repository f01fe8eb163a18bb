/* SPDX-License-Identifier: Apache-2.0
 *
 * What is settled goes back to the store: the floor of each window, and single records above it.
 */
#include "delivery/sub.h"

#include <string.h>

#define SAVE_NS (1000u * 1000000ull)

static void
commit_floors(emesh_sub *sub)
{
    for (uint32_t i = 0; i < sub->windows->len; i++) {
        emesh_window *window = sub->windows->pdata[i];
        emesh_commit floor = { .position = window->floor, .partition = window->number,
                               .epoch = window->epoch, .outcome = EMESH_COMMIT_UP_TO };
        if (!window->floor_moved)
            continue;
        if (sub->keeps) {
            if (sub->save.place == 0)
                emesh_worker_alarm(sub->owner->lane->worker, &sub->save,
                                   emesh_worker_now(sub->owner->lane->worker) + SAVE_NS);
            continue; /* the mark stays until it is saved */
        }
        window->floor_moved = false;
        if (!sub->alone)
            g_array_append_val(sub->commits, floor);
    }
}

void
emesh_sub_commit(emesh_sub *sub)
{
    emesh_inst *inst = sub->store->inst;
    uint32_t stride = inst->layout.commit;

    commit_floors(sub);
    if (sub->commits->len == 0)
        return;
    emesh_notes_flush(sub->owner->lane->notes);
    if (stride == sizeof(emesh_commit)) {
        inst->storage.commit(sub->cursor, (const emesh_commit *)sub->commits->data,
                             sub->commits->len);
    } else {
        g_autofree char *wide = g_malloc0((size_t)stride * sub->commits->len);
        for (uint32_t i = 0; i < sub->commits->len; i++)
            memcpy(emesh_at(wide, stride, i), &g_array_index(sub->commits, emesh_commit, i),
                   MIN(stride, sizeof(emesh_commit)));
        inst->storage.commit(sub->cursor, (const emesh_commit *)wide, sub->commits->len);
    }
    g_array_set_size(sub->commits, 0);
}

void
emesh_sub_wait(emesh_sub *sub, uint32_t index, uint64_t wait_ns)
{
    emesh_worker *worker = sub->owner->lane->worker;
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);

    slot->state = EMESH_SLOT_WAITING;
    slot->due_ns = emesh_worker_now(worker) + wait_ns;
    g_array_append_val(sub->waiting, index);
    if (sub->due.place == 0 || slot->due_ns < sub->due.at_ns)
        emesh_worker_alarm(worker, &sub->due, slot->due_ns);
}

void
emesh_sub_wait_no_more(emesh_sub *sub, uint32_t index)
{
    for (uint32_t i = 0; i < sub->waiting->len; i++)
        if (g_array_index(sub->waiting, uint32_t, i) == index) {
            g_array_remove_index_fast(sub->waiting, i);
            return;
        }
}

void
emesh_sub_due(emesh_alarm *alarm)
{
    emesh_sub *sub = (emesh_sub *)((char *)alarm - offsetof(emesh_sub, due));
    emesh_worker *worker = sub->owner->lane->worker;
    uint64_t now = emesh_worker_now(worker), next = 0;

    for (uint32_t i = 0; i < sub->waiting->len;) {
        uint32_t index = g_array_index(sub->waiting, uint32_t, i);
        emesh_slot *slot = emesh_slot_at(&sub->slots, index);
        if (slot->due_ns > now) {
            next = next == 0 ? slot->due_ns : MIN(next, slot->due_ns);
            i++;
            continue;
        }
        g_array_remove_index_fast(sub->waiting, i);
        emesh_slots_return(&sub->slots, index);
    }
    emesh_worker_alarm(worker, &sub->due, next);
    emesh_sub_touch(sub);
}
