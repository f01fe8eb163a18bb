/* SPDX-License-Identifier: Apache-2.0
 *
 * Moving and forgetting the place of a group: from main to the owner's lane, which closes the
 * reader, to main, where the store does it, and home again.
 */
#include "delivery/change.h"
#include "delivery/rest.h"

#include <string.h>

struct emesh_change {
    emesh_job job;
    emesh_bus *bus;
    emesh_store *store;
    char *topic, *group, *partition;
    const char *words; /* for the journal: who wanted it forgotten */
    bool forget, begun;
    bool emptied; /* an inbox: its topic is deleted, or cannot be */
    emesh_start to;
    emesh_bus_lane *owner;
    emesh_sub *sub;     /* the subscription whose reader is closed for it, or NULL */
    GPtrArray *waiting; /* emesh_consumer: joined when there was none */
    int32_t code;
    char *why;
    void (*done)(void *ctx, int32_t code, const char *why); /* [main] */
    void *ctx;
};

static void change_main(emesh_job *job);

static void
told_run(emesh_job *job)
{
    emesh_change *c = (emesh_change *)job;

    c->done(c->ctx, c->code, c->why);
    g_free(c->topic);
    g_free(c->group);
    g_free(c->partition);
    g_free(c->why);
    g_ptr_array_unref(c->waiting);
    g_free(c);
}

/* [owner's lane] It is over, however: main is told. */
static void
end(emesh_change *c, int32_t code, const char *why)
{
    if (c->code == EMESH_OK && code != EMESH_OK) {
        c->code = code;
        c->why = g_strdup(why);
    }
    g_ptr_array_remove_fast(c->owner->delivery->changes, c);
    c->job = (emesh_job){ .run = told_run };
    emesh_worker_post(c->bus->main, &c->job);
}

static void
home_run(emesh_job *job)
{
    emesh_change *c = (emesh_change *)job;
    emesh_sub *sub = c->sub;
    g_autoptr(GPtrArray) waiting = g_steal_pointer(&c->waiting);
    emesh_bus_lane *owner = c->owner;

    c->waiting = g_ptr_array_new();
    if (c->forget && c->code == EMESH_OK)
        emesh_note_down(owner->notes, &(emesh_note){ .code = EMESH_WHY_GROUP_FORGOTTEN,
                                                     .topic = c->topic, .group = c->group,
                                                     .words = c->words });
    end(c, EMESH_OK, NULL);
    if (sub != NULL)
        emesh_sub_changed(sub);
    for (uint32_t i = 0; i < waiting->len; i++)
        emesh_consumer_enter(owner, waiting->pdata[i]);
}

static void
go_home(emesh_change *c, int32_t code, const char *why)
{
    c->code = code;
    c->why = code != EMESH_OK ? g_strdup(why != NULL && why[0] != '\0' ? why : "refused") : NULL;
    c->job = (emesh_job){ .run = home_run };
    emesh_worker_post(c->owner->worker, &c->job);
}

static void
admin_done(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    (void)value;
    go_home(ctx, code, err != NULL ? err->text : NULL);
}

static void
kept_done(void *ctx, int32_t code, const emesh_error *err)
{
    go_home(ctx, code, err != NULL ? err->text : NULL);
}

static emesh_slice
slice_of(const char *text)
{
    return (emesh_slice){ text, text != NULL ? strlen(text) : 0 };
}

/* The inbox of a group that is a topic, as the register knows it; NULL: another topic. Given. */
static char *
inbox_name(const emesh_change *c)
{
    return emesh_is_inbox_topic(c->topic)
               ? g_strdup_printf("%s%c%s", c->topic, EMESH_OWN_MARK, c->store->inst->name)
               : NULL;
}

/* What was for the forgotten group alone goes with it: a place that is made anew would bring it all
 * again. */
static void
inbox_dropped(void *ctx, int32_t code, const char *why)
{
    emesh_change *c = ctx;

    c->emptied = true;
    if (code == EMESH_OK && emesh_store_can(c->store, EMESH_STORE_CAN_GROUPS))
        go_home(c, EMESH_OK, NULL);
    else if (code == EMESH_OK || code == EMESH_E_UNSUPPORTED)
        change_main(&c->job); /* a store that cannot delete keeps what was settled there */
    else
        go_home(c, code, why);
}

static void
drop_inbox(emesh_change *c)
{
    g_autofree char *name = inbox_name(c);

    emesh_topic_delete_main(c->bus, name, strlen(name), inbox_dropped, c);
}

static void
change_main(emesh_job *job)
{
    emesh_change *c = (emesh_change *)job;
    emesh_inst *inst = c->store->inst;
    emesh_admin what = { .size = sizeof what,
                         .what = c->forget ? EMESH_CHANGE_FORGET : EMESH_CHANGE_SEEK,
                         .topic = slice_of(c->topic),
                         .group = slice_of(c->group),
                         .partition = slice_of(c->partition),
                         .start = c->forget ? NULL : &c->to };

    if (!c->store->ready)
        go_home(c, EMESH_E_UNAVAILABLE, "the store is away");
    else if (c->forget && !c->emptied && emesh_is_inbox_topic(c->topic))
        drop_inbox(c);
    else if (!emesh_store_can(c->store, EMESH_STORE_CAN_GROUPS))
        emesh_positions_move(c->bus, inst->name, c->topic, c->group, c->partition,
                             c->forget ? NULL : &c->to, kept_done, c);
    else
        inst->storage.admin(inst->self, &what,
                            emesh_op_new(inst, c->bus->main, NULL, admin_done, c));
}

bool
emesh_change_begin(emesh_change *c)
{
    if (c->begun)
        return false;
    c->begun = true;
    c->job = (emesh_job){ .run = change_main };
    emesh_worker_post(c->bus->main, &c->job);
    return true;
}

void
emesh_change_refuse(emesh_change *c, const char *why)
{
    end(c, EMESH_E_UNAVAILABLE, why);
}

bool
emesh_change_forgets(const emesh_change *c)
{
    return c->forget;
}

void
emesh_change_wait(emesh_change *c, emesh_consumer *consumer)
{
    g_ptr_array_add(c->waiting, consumer);
}

void
emesh_change_unwait(emesh_delivery_lane *owner, emesh_consumer *consumer)
{
    for (uint32_t i = 0; i < owner->changes->len; i++) {
        emesh_change *c = owner->changes->pdata[i];
        g_ptr_array_remove_fast(c->waiting, consumer);
    }
}

emesh_change *
emesh_change_find(const emesh_delivery_lane *owner, const char *topic, const char *group)
{
    for (uint32_t i = 0; i < owner->changes->len; i++) {
        emesh_change *c = owner->changes->pdata[i];
        if (strcmp(c->topic, topic) == 0 && strcmp(c->group, group) == 0)
            return c;
    }
    return NULL;
}

static void
change_run(emesh_job *job)
{
    emesh_change *c = (emesh_change *)job;
    emesh_delivery_lane *owner = c->owner->delivery;
    bool other = emesh_change_find(owner, c->topic, c->group) != NULL;
    emesh_sub *sub = emesh_rest_find(owner, c->topic, c->group);
    uint32_t members = sub != NULL ? sub->consumers->len + emesh_rest_waits(sub) : 0;
    g_autofree char *inbox = inbox_name(c);

    g_ptr_array_add(owner->changes, c);
    if (other) {
        end(c, EMESH_E_BUSY, "another change of this group's place is under way");
    } else if (inbox != NULL && emesh_sub_find(owner, inbox, c->group) != NULL) {
        end(c, EMESH_E_BUSY, "the group has members, who read its inbox; they must leave first");
    } else if (sub == NULL) {
        emesh_change_begin(c);
    } else if (c->forget && members > 0) {
        g_autofree char *why = g_strdup_printf("the group has %u members on topic \"%s\"; they "
                                               "must leave first", members, c->topic);
        end(c, EMESH_E_BUSY, why);
    } else if (sub->state == EMESH_SUB_PAUSED) {
        end(c, EMESH_E_UNAVAILABLE, "the store is away");
    } else {
        c->sub = sub;
        sub->change = c;
        emesh_sub_touch(sub);
    }
}

void
emesh_group_change(emesh_bus *bus, const emesh_change_spec *spec,
                   void (*done)(void *ctx, int32_t code, const char *why), void *ctx)
{
    emesh_change *c = g_new0(emesh_change, 1);

    c->job.run = change_run;
    c->bus = bus;
    c->store = spec->store;
    c->topic = g_strdup(spec->topic);
    c->group = g_strdup(spec->group);
    c->partition = g_strdup(spec->partition);
    c->forget = spec->to == NULL;
    c->words = spec->words;
    if (spec->to != NULL)
        c->to = *spec->to;
    c->to.size = sizeof c->to;
    c->waiting = g_ptr_array_new();
    c->done = done;
    c->ctx = ctx;
    c->owner = emesh_delivery_owner(bus, spec->store, spec->group, strlen(spec->group));
    emesh_worker_post(c->owner->worker, &c->job);
}
