/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots, lists and floors. See window.h.
 */
#include "delivery/window.h"

void
emesh_queue_push(emesh_queue *queue, uint32_t value)
{
    if (queue->n == queue->room) {
        uint32_t room = MAX(16u, queue->room * 2);
        uint32_t *at = g_new(uint32_t, room);
        for (uint32_t i = 0; i < queue->n; i++)
            at[i] = queue->at[(queue->head + i) & (queue->room - 1)];
        g_free(queue->at);
        queue->at = at;
        queue->room = room;
        queue->head = 0;
    }
    queue->at[(queue->head + queue->n++) & (queue->room - 1)] = value;
}

uint32_t
emesh_queue_peek(const emesh_queue *queue)
{
    return queue->at[queue->head];
}

uint32_t
emesh_queue_pop(emesh_queue *queue)
{
    uint32_t value = queue->at[queue->head];

    queue->head = (queue->head + 1) & (queue->room - 1);
    queue->n--;
    return value;
}

static uint32_t
slot_take(emesh_slots *slots)
{
    uint32_t index;

    if (slots->free == 0) {
        uint32_t base = slots->n_slabs * EMESH_SLOT_SLAB;
        emesh_slot *slab = g_new0(emesh_slot, EMESH_SLOT_SLAB);
        slots->slabs = g_renew(emesh_slot *, slots->slabs, slots->n_slabs + 1);
        slots->slabs[slots->n_slabs++] = slab;
        for (uint32_t i = EMESH_SLOT_SLAB; i-- > 0;) {
            slab[i].next = slots->free;
            slots->free = base + i + 1;
        }
    }
    index = slots->free - 1;
    slots->free = emesh_slot_at(slots, index)->next;
    slots->used++;
    return index;
}

static void
slot_free(emesh_slots *slots, uint32_t index)
{
    emesh_slot *slot = emesh_slot_at(slots, index);
    uint32_t epoch = slot->epoch;

    *slot = (emesh_slot){ .next = slots->free, .epoch = epoch };
    slots->free = index + 1;
    slots->used--;
}

static void
drop_event(emesh_slots *slots, emesh_slot *slot)
{
    if (slot->event != NULL) {
        emesh_event_unref(slot->event);
        slot->event = NULL;
        slots->bytes -= slot->bytes;
    }
}

/* Into one of the two ready lists, and out of it. */
static void
count_in(emesh_slots *slots, const emesh_slot *slot)
{
    slots->ready++;
    slots->again += emesh_slot_failed_before(slot);
}

static void
count_out(emesh_slots *slots, const emesh_slot *slot)
{
    slots->ready--;
    slots->again -= emesh_slot_failed_before(slot);
}

static uint32_t
add(emesh_slots *slots, uint16_t place, const emesh_record *record)
{
    uint32_t index = slot_take(slots);
    emesh_slot *slot = emesh_slot_at(slots, index);

    slot->position = record->position;
    slot->partition = place;
    slot->next = 0;
    if (record->event == NULL) {
        slot->state = EMESH_SLOT_SETTLED;
        return index;
    }
    slot->event = emesh_event_ref(record->event);
    slot->bytes = (uint32_t)emesh_event_size(record->event);
    slot->stored_ms = record->stored_ms;
    slot->attempt = MAX(1u, record->attempt);
    slot->flags = (uint8_t)(record->flags & EMESH_RECORD_FOREIGN);
    if (emesh_event_attr(record->event, "expirytime", 10) != NULL)
        slot->flags |= EMESH_SLOT_EXPIRES;
    slot->state = EMESH_SLOT_READY;
    slots->bytes += slot->bytes;
    count_in(slots, slot);
    if (slots->ready_tail != 0)
        emesh_slot_at(slots, slots->ready_tail - 1)->next = index + 1;
    else
        slots->ready_head = index + 1;
    slots->ready_tail = index + 1;
    return index;
}

uint32_t
emesh_slots_add(emesh_slots *slots, emesh_window *window, uint16_t place,
                const emesh_record *record)
{
    uint32_t index = add(slots, place, record);

    emesh_queue_push(&window->order, index);
    return index;
}

uint32_t
emesh_slots_add_loose(emesh_slots *slots, uint16_t place, const emesh_record *record)
{
    uint32_t index = add(slots, place, record);

    emesh_slot_at(slots, index)->flags |= EMESH_SLOT_LOOSE;
    return index;
}

uint32_t
emesh_slots_pop_ready(emesh_slots *slots)
{
    uint32_t found;

    if (slots->returned_head != 0) {
        found = slots->returned_head;
        slots->returned_head = emesh_slot_at(slots, found - 1)->next;
        if (slots->returned_head == 0)
            slots->returned_tail = 0;
    } else if (slots->ready_head != 0) {
        found = slots->ready_head;
        slots->ready_head = emesh_slot_at(slots, found - 1)->next;
        if (slots->ready_head == 0)
            slots->ready_tail = 0;
    } else {
        return 0;
    }
    emesh_slot_at(slots, found - 1)->next = 0;
    count_out(slots, emesh_slot_at(slots, found - 1));
    return found;
}

void
emesh_slots_unpop(emesh_slots *slots, uint32_t index)
{
    emesh_slot *slot = emesh_slot_at(slots, index);

    slot->next = slots->returned_head;
    slots->returned_head = index + 1;
    if (slots->returned_tail == 0)
        slots->returned_tail = index + 1;
    count_in(slots, slot);
}

static bool
is_behind(const emesh_slot *a, const emesh_slot *b)
{
    return a->position.hi != b->position.hi ? a->position.hi > b->position.hi
                                            : a->position.lo > b->position.lo;
}

/* Before the first that comes later in the log. What is not sorted is put at the end. */
static void
link_returned(emesh_slots *slots, emesh_slot *slot, uint32_t index)
{
    uint32_t *at = &slots->returned_head;

    if (!slots->sorted && slots->returned_tail != 0)
        at = &emesh_slot_at(slots, slots->returned_tail - 1)->next;
    while (slots->sorted && *at != 0 && !is_behind(emesh_slot_at(slots, *at - 1), slot))
        at = &emesh_slot_at(slots, *at - 1)->next;
    slot->next = *at;
    *at = index + 1;
    if (slot->next == 0)
        slots->returned_tail = index + 1;
}

void
emesh_slots_return(emesh_slots *slots, uint32_t index)
{
    emesh_slot *slot = emesh_slot_at(slots, index);

    slot->state = EMESH_SLOT_READY;
    slot->consumer = NULL;
    count_in(slots, slot);
    link_returned(slots, slot, index);
}

static bool
pop_settled(emesh_slots *slots, emesh_window *window)
{
    bool moved = false;

    while (window->order.n > 0) {
        uint32_t head = emesh_queue_peek(&window->order);
        emesh_slot *first = emesh_slot_at(slots, head);
        if (first->state != EMESH_SLOT_SETTLED)
            break;
        emesh_queue_pop(&window->order);
        window->floor = first->position;
        window->has_floor = window->floor_moved = moved = true;
        slot_free(slots, head);
    }
    return moved;
}

bool
emesh_slots_settle(emesh_slots *slots, emesh_window *window, uint32_t index)
{
    emesh_slot *slot = emesh_slot_at(slots, index);

    drop_event(slots, slot);
    if ((slot->flags & (EMESH_SLOT_CUSTODY | EMESH_SLOT_LOOSE)) != 0) {
        slot_free(slots, index);
        return false;
    }
    slot->state = EMESH_SLOT_SETTLED;
    slot->consumer = NULL;
    return pop_settled(slots, window);
}

bool
emesh_slots_take_out(emesh_slots *slots, emesh_window *window, emesh_position position,
                     uint16_t place)
{
    uint32_t stand_in = slot_take(slots), index = emesh_queue_peek(&window->order);
    emesh_slot *slot = emesh_slot_at(slots, index), *left = emesh_slot_at(slots, stand_in);

    left->position = slot->position;
    left->partition = slot->partition;
    left->state = EMESH_SLOT_SETTLED;
    window->order.at[window->order.head] = stand_in;
    slot->position = position;
    slot->partition = place;
    slot->flags = (uint8_t)((slot->flags & ~EMESH_SLOT_KEEPING) | EMESH_SLOT_CUSTODY);
    return pop_settled(slots, window);
}

/* Takes the slots of one window, known by its place, out of one of the two ready lists. */
static void
unlink_ready(emesh_slots *slots, uint32_t *head, uint32_t *tail, uint16_t place)
{
    uint32_t last = 0;

    for (uint32_t *at = head; *at != 0;) {
        emesh_slot *slot = emesh_slot_at(slots, *at - 1);
        if (slot->partition == place) {
            *at = slot->next;
            count_out(slots, slot);
        } else {
            last = *at;
            at = &slot->next;
        }
    }
    *tail = last;
}

/* One slot out of a ready list. False: it is not there. */
static bool
unlink_one(emesh_slots *slots, uint32_t *head, uint32_t *tail, uint32_t index)
{
    uint32_t before = 0;

    for (uint32_t *at = head; *at != 0; at = &emesh_slot_at(slots, *at - 1)->next) {
        if (*at == index + 1) {
            *at = emesh_slot_at(slots, index)->next;
            if (*tail == index + 1)
                *tail = before;
            count_out(slots, emesh_slot_at(slots, index));
            return true;
        }
        before = *at;
    }
    return false;
}

void
emesh_slots_free_loose(emesh_slots *slots, uint32_t index)
{
    emesh_slot *slot = emesh_slot_at(slots, index);

    if (slot->state == EMESH_SLOT_READY &&
        !unlink_one(slots, &slots->returned_head, &slots->returned_tail, index))
        unlink_one(slots, &slots->ready_head, &slots->ready_tail, index);
    drop_event(slots, slot);
    slot_free(slots, index);
}

void
emesh_slots_forget(emesh_slots *slots, emesh_window *window)
{
    uint16_t place;

    if (window->order.n == 0)
        return;
    place = emesh_slot_at(slots, emesh_queue_peek(&window->order))->partition;
    unlink_ready(slots, &slots->ready_head, &slots->ready_tail, place);
    unlink_ready(slots, &slots->returned_head, &slots->returned_tail, place);
    while (window->order.n > 0) {
        uint32_t index = emesh_queue_pop(&window->order);
        drop_event(slots, emesh_slot_at(slots, index));
        slot_free(slots, index);
    }
}

void
emesh_slots_clear(emesh_slots *slots)
{
    for (uint32_t i = 0; i < slots->n_slabs; i++) {
        for (uint32_t k = 0; k < EMESH_SLOT_SLAB; k++)
            if (slots->slabs[i][k].event != NULL)
                emesh_event_unref(slots->slabs[i][k].event);
        g_free(slots->slabs[i]);
    }
    g_free(slots->slabs);
    *slots = (emesh_slots){ 0 };
}

void
emesh_window_free(void *data)
{
    emesh_window *window = data;

    if (window == NULL)
        return;
    g_free(window->order.at);
    g_free(window);
}
