/* SPDX-License-Identifier: Apache-2.0
 *
 * See rest.h: going to rest, and waking.
 */
#include "delivery/rest.h"
#include "delivery/change.h"
#include "delivery/forget.h"
#include "delivery/watch.h"

#include <string.h>

static bool
members_may(const emesh_sub *sub)
{
    for (uint32_t i = 0; i < sub->consumers->len; i++) {
        const emesh_consumer *c = sub->consumers->pdata[i];
        if (!c->answered || c->leaving || c->open_events > 0 || c->probe_ns != 0)
            return false;
    }
    return sub->consumers->len > 0;
}

/* Nothing is under way that ends here by itself. */
static bool
is_quiet(const emesh_sub *sub)
{
    return sub->slots.used == 0 && sub->commits->len == 0 && sub->waiting->len == 0 &&
           sub->stows->len == 0 && sub->unfit->len == 0 && sub->stowing == 0 &&
           sub->letters_blocked == 0 && sub->inbox_blocked == 0 && sub->custody_ns == 0 &&
           (sub->keys == NULL || g_hash_table_size(sub->keys) == 0);
}

static bool
windows_may(const emesh_sub *sub)
{
    for (uint32_t i = 0; i < sub->windows->len; i++) {
        const emesh_window *window = sub->windows->pdata[i];
        if (window->revoking || window->epoch == 0 || window->floor_moved)
            return false;
    }
    return true;
}

static bool
may_rest(const emesh_sub *sub)
{
    uint64_t now = emesh_worker_now(sub->owner->lane->worker);

    return sub->state == EMESH_SUB_OPEN && sub->cursor != NULL && !sub->alone && !sub->keeps &&
           sub->role == NULL && sub->seat == NULL && sub->loans == NULL && sub->waking == NULL &&
           sub->change == NULL && !sub->ending && !sub->pausing && !sub->forget &&
           !sub->check.told && sub->calm_ns <= now && !sub->owner->lane->draining &&
           emesh_store_can(sub->store, EMESH_STORE_CAN_WATCH) && is_quiet(sub) &&
           windows_may(sub) && members_may(sub);
}

void
emesh_rest_try(emesh_sub *sub)
{
    emesh_watch *watch;

    if (sub->watch != NULL || !may_rest(sub))
        return;
    watch = emesh_watch_armed(sub->owner, sub->topic);
    if (watch == NULL || sub->store->inst->storage.idle(sub->cursor) == 0)
        return;
    sub->watch = watch;
    watch->holds++;
    emesh_sub_close_reader(sub);
}

void
emesh_rest_cancel(emesh_sub *sub)
{
    emesh_watch *watch = g_steal_pointer(&sub->watch);

    if (watch != NULL)
        emesh_watch_let_go(watch);
}

/* ---- to rest ---- */

static void
keep_tally(emesh_rest *rest, const emesh_sub *sub)
{
    static const emesh_tally none = { 0 };

    if (memcmp(&sub->tally, &none, sizeof none) != 0)
        rest->tally = g_memdup2(&sub->tally, sizeof sub->tally);
}

static void
keep_members(emesh_rest *rest, const emesh_sub *sub)
{
    rest->n = sub->consumers->len;
    rest->many = rest->n > 1;
    if (rest->many)
        rest->member.many = g_new(emesh_member *, rest->n);
    for (uint32_t i = 0; i < rest->n; i++) {
        emesh_consumer *c = sub->consumers->pdata[i];
        emesh_rest_members(rest)[i] = c->member;
        c->sub = NULL;
        c->rest = rest;
        emesh_mail_to(sub->owner->lane, c->home, emesh_member_rest, c->member)->from = rest;
    }
}

bool
emesh_rest_make(emesh_sub *sub)
{
    emesh_delivery_lane *owner = sub->owner;
    emesh_watch *watch = sub->watch;
    bool stands = sub->change == NULL && !sub->ending && !sub->pausing && !sub->forget &&
                  !owner->lane->draining && watch->armed && !watch->ended &&
                  watch->topic == sub->topic && members_may(sub);
    emesh_rest *rest;

    emesh_rest_cancel(sub);
    if (!stands)
        return false;
    rest = g_new0(emesh_rest, 1);
    rest->watch = watch;
    rest->group = emesh_rest_group_of(sub);
    keep_tally(rest, sub);
    keep_members(rest, sub);
    if ((int32_t)(sub->offers - owner->offers) > 0)
        owner->offers = sub->offers;
    sub->enrolled = false; /* the record is, in its place */
    emesh_watch_add(watch, rest);
    emesh_sub_free(sub);
    return true;
}

/* ---- awake ---- */

static void
members_free(emesh_rest *rest)
{
    if (rest->many)
        g_free(rest->member.many);
    rest->many = false;
    rest->member.one = NULL;
}

emesh_sub *
emesh_rest_wake(emesh_rest *rest)
{
    emesh_watch *watch = g_steal_pointer(&rest->watch);
    emesh_delivery_lane *owner = watch->owner;
    emesh_sub *sub = emesh_sub_new(owner, watch->topic, rest->group->name, false);

    emesh_watch_remove(watch, rest);
    if (rest->tally != NULL)
        sub->tally = *rest->tally;
    g_free(rest->tally);
    emesh_rest_group_give(rest->group, sub);
    emesh_rest_group_free(owner, g_steal_pointer(&rest->group));
    sub->enrolled = true;
    sub->offers = owner->offers;
    if (watch->news && sub->check.appended > 0)
        sub->check.appended--; /* what woke it is to be moved */
    sub->waking = rest;
    rest->waking = true;
    rest->sub = sub;
    for (uint32_t i = 0; i < rest->n; i++) {
        emesh_member *m = emesh_rest_members(rest)[i];
        emesh_mail_to(owner->lane, m->session->lane, emesh_member_wake, m)->from = rest;
    }
    members_free(rest);
    emesh_sub_placed(sub, EMESH_OK, NULL); /* its place is in the store */
    return sub;
}

/* One of its members has sent the last letter to it. */
static emesh_sub *
one_back(emesh_rest *rest)
{
    emesh_sub *sub = rest->sub;

    if (--rest->n == 0) {
        if (sub != NULL)
            sub->waking = NULL;
        g_free(rest);
    }
    return sub;
}

void
emesh_rest_rejoin(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_consumer *c = mail->to;
    emesh_sub *sub = one_back(mail->from);

    if (sub == NULL) {
        emesh_mail *end = emesh_mail_to(here, c->home, emesh_member_ended, c->member);
        end->code = EMESH_E_NOT_FOUND;
        end->from = g_strdup("the topic has been deleted or the daemon is stopping");
        return;
    }
    emesh_sub_take(sub, c);
    emesh_sub_touch(sub);
}

void
emesh_rest_orphan(emesh_sub *sub)
{
    if (sub->waking != NULL)
        sub->waking->sub = NULL;
    sub->waking = NULL;
}

uint32_t
emesh_rest_waits(const emesh_sub *sub)
{
    return sub->waking != NULL ? sub->waking->n : 0;
}

emesh_sub *
emesh_rest_find(emesh_delivery_lane *owner, const char *topic, const char *group)
{
    emesh_sub *sub = emesh_sub_find(owner, topic, group);
    emesh_rest *rest = sub == NULL ? emesh_watch_find(owner, topic, group) : NULL;

    return rest != NULL ? emesh_rest_wake(rest) : sub;
}

/* to: the topic, a reference; from: the group, given */
static void
rouse_mail(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_bus_topic *topic = mail->to;
    g_autofree char *group = mail->from;
    emesh_sub *sub = emesh_rest_find(here->delivery, topic->name, group);

    if (sub != NULL)
        emesh_rest_cancel(sub);
    emesh_bus_topic_unref(topic);
}

void
emesh_rest_rouse(emesh_bus_lane *here, emesh_bus_topic *topic, const char *group)
{
    emesh_bus_lane *owner;

    if (!emesh_store_can(topic->store, EMESH_STORE_CAN_WATCH))
        return;
    owner = emesh_delivery_owner(here->bus, topic->store, group, strlen(group));
    emesh_mail_to(here, owner, rouse_mail, emesh_bus_topic_ref(topic))->from = g_strdup(group);
}

/* ---- members leave ---- */

static void
rest_over(emesh_rest *rest, bool forget)
{
    emesh_watch *watch = rest->watch;
    emesh_delivery_lane *owner = watch->owner;

    emesh_watch_remove(watch, rest);
    emesh_forget_left(owner->lane->bus, rest->group->name);
    if (forget && watch->topic != NULL)
        emesh_group_forget(watch->topic, rest->group->name);
    emesh_rest_group_free(owner, rest->group);
    emesh_watch_settle(watch);
    members_free(rest);
    g_free(rest->tally);
    g_free(rest);
}

void
emesh_rest_lost(emesh_rest *rest, emesh_member *member, bool forget)
{
    emesh_member **members = emesh_rest_members(rest);

    if (rest->waking) {
        emesh_sub *sub = rest->sub;
        if (sub != NULL && forget && rest->n == 1 && sub->consumers->len == 0)
            sub->forget = true;
        if (one_back(rest) != NULL)
            emesh_sub_touch(sub);
        return;
    }
    if (rest->n == 1) {
        rest_over(rest, forget);
        return;
    }
    for (uint32_t i = 0; i < rest->n; i++)
        if (members[i] == member) {
            members[i] = members[--rest->n];
            break;
        }
}

void
emesh_rest_leave(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_member *member = mail->from;

    emesh_rest_lost(mail->to, member, mail->n != 0);
    emesh_mail_to(here, member->session->lane, emesh_member_gone, member);
}
