/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots that a subscription has from elsewhere: records of the group's inbox, where that is a topic,
 * lent by the subscription that reads it; and custody copies on their way there. What becomes of
 * the slot is told to the lender, whose window keeps the floor. [owner's lane]
 */
#include "delivery/sub.h"
#include "event/event.h"

#include <string.h>

struct emesh_loan {      /* owned by to->loans; inbox->loans knows it too */
    emesh_sub *inbox;    /* NULL: a custody copy, whose number is the slot's position */
    uint32_t from;       /* the lender's slot */
    emesh_sub *to;
    uint32_t at;         /* the borrower's */
    uint32_t before;     /* attempts that the record itself tells */
    char *origin;
};

static void *
key(uint32_t index)
{
    return GUINT_TO_POINTER(index);
}

static emesh_loan *
find(const emesh_sub *sub, uint32_t index)
{
    return sub->loans != NULL ? g_hash_table_lookup(sub->loans, key(index)) : NULL;
}

static void
keep(emesh_sub *sub, uint32_t index, emesh_loan *loan)
{
    if (sub->loans == NULL)
        sub->loans = g_hash_table_new(g_direct_hash, g_direct_equal);
    g_hash_table_insert(sub->loans, key(index), loan);
}

static void
loan_free(emesh_loan *loan)
{
    g_hash_table_remove(loan->to->loans, key(loan->at));
    if (loan->inbox != NULL)
        g_hash_table_remove(loan->inbox->loans, key(loan->from));
    g_free(loan->origin);
    g_free(loan);
}

emesh_window *
emesh_loan_window(emesh_sub *sub, uint16_t *place)
{
    emesh_window *window = emesh_sub_window(sub, EMESH_LOANS, place);

    if (window != NULL)
        return window;
    window = emesh_sub_window(sub, UINT32_MAX, place); /* a place that is free again */
    if (window == NULL) {
        window = g_new0(emesh_window, 1);
        *place = (uint16_t)sub->windows->len;
        g_ptr_array_add(sub->windows, window);
    }
    window->number = EMESH_LOANS;
    window->name = g_intern_static_string("inbox");
    window->epoch = 1; /* nothing of the store begins here */
    window->has_floor = window->floor_moved = false;
    return window;
}

bool
emesh_loan_is(const emesh_sub *sub, const emesh_slot *slot)
{
    return ((emesh_window *)sub->windows->pdata[slot->partition])->number == EMESH_LOANS;
}

void
emesh_loan_new(emesh_sub *inbox, uint32_t from, emesh_sub *to, const emesh_rung *rung)
{
    emesh_slot *lender = emesh_slot_at(&inbox->slots, from);
    const emesh_event *event = emesh_rung_strip(lender->event);
    emesh_record record = { .event = event,
                            .position = lender->position,
                            .stored_ms = lender->stored_ms,
                            .attempt = rung->attempts + MAX(1u, lender->attempt),
                            .flags = rung->flags };
    emesh_loan *loan = g_new0(emesh_loan, 1);
    uint16_t place;

    emesh_loan_window(to, &place);
    *loan = (emesh_loan){ .inbox = inbox, .from = from, .to = to, .before = rung->attempts,
                          .origin = g_strdup(rung->origin) };
    loan->at = emesh_slots_add_loose(&to->slots, place, &record);
    emesh_event_unref(event);
    keep(inbox, from, loan);
    keep(to, loan->at, loan);
    lender->state = EMESH_SLOT_LENT;
    emesh_sub_touch(to);
}

void
emesh_loan_copy(emesh_sub *sub, uint32_t index, char *origin)
{
    emesh_loan *loan = g_new0(emesh_loan, 1);

    *loan = (emesh_loan){ .to = sub, .at = index, .origin = origin };
    keep(sub, index, loan);
}

void
emesh_loan_end(emesh_sub *sub, uint32_t index, bool done)
{
    emesh_loan *loan = find(sub, index);
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    emesh_sub *inbox = loan != NULL ? loan->inbox : NULL;
    uint32_t from = loan != NULL ? loan->from : 0;

    if (loan != NULL)
        loan_free(loan);
    if (inbox == NULL) {
        if (done)
            emesh_tomb_add(sub->owner, slot->position);
    } else if (done) {
        emesh_slot_done(inbox, from, false);
    } else {
        emesh_slot_at(&inbox->slots, from)->state = EMESH_SLOT_READY;
        inbox->look = true;
    }
    if (inbox != NULL)
        emesh_sub_touch(inbox);
    emesh_slots_free_loose(&sub->slots, index);
}

void
emesh_loans_end(emesh_sub *sub)
{
    g_autoptr(GList) slots = sub->loans != NULL ? g_hash_table_get_keys(sub->loans) : NULL;

    for (GList *l = slots; l != NULL; l = l->next)
        emesh_loan_end(sub, GPOINTER_TO_UINT(l->data), false);
}

void
emesh_loan_recall(emesh_sub *inbox, uint32_t from)
{
    emesh_loan *loan = find(inbox, from);
    emesh_sub *to;
    uint32_t at;

    if (loan == NULL)
        return;
    to = loan->to;
    at = loan->at;
    emesh_sub_drop_slot(to, at);
    loan_free(loan);
    emesh_slots_free_loose(&to->slots, at);
    emesh_sub_touch(to);
}

void
emesh_loan_tried(emesh_sub *sub, uint32_t index)
{
    const emesh_loan *loan = find(sub, index);
    const emesh_slot *slot = emesh_slot_at(&sub->slots, index), *lender;
    const emesh_window *window;
    emesh_commit tried;

    if (loan == NULL || loan->inbox == NULL ||
        !emesh_store_can(sub->store, EMESH_STORE_CAN_ACK_EACH))
        return;
    lender = emesh_slot_at(&loan->inbox->slots, loan->from);
    window = loan->inbox->windows->pdata[lender->partition];
    tried = (emesh_commit){ .position = lender->position,
                            .partition = window->number,
                            .epoch = window->epoch,
                            .outcome = EMESH_COMMIT_TRIED,
                            .attempts = slot->attempt - loan->before };
    g_array_append_val(loan->inbox->commits, tried);
    emesh_sub_touch(loan->inbox);
}

char *
emesh_slot_origin(const emesh_sub *sub, uint32_t index)
{
    const emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    const emesh_window *window = sub->windows->pdata[slot->partition];
    const emesh_loan *loan = find(sub, index);

    if (loan != NULL && loan->origin != NULL)
        return g_strdup(loan->origin);
    return g_strdup_printf("%s:%016" G_GINT64_MODIFIER "x%016" G_GINT64_MODIFIER "x", window->name,
                           slot->position.hi, slot->position.lo);
}
