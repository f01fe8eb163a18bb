/* SPDX-License-Identifier: Apache-2.0
 *
 * A group's place in a topic: made by the store, durable before SUBSCRIBE is answered. The store's
 * admin op and the rules of conf.d are main's, so this goes there and comes back.
 */
#include "delivery/forget.h"
#include "delivery/sub.h"

#include <string.h>

typedef struct placing {
    emesh_job job;
    emesh_sub *sub;
    emesh_bus *bus;
    emesh_start start;
    emesh_group_rule rule;
    emesh_config *options;
    char *letters;
    bool refused;  /* there are too many of its kind */
    bool enrolled; /* its group knows of the subscription */
    int32_t code;
    char *why;
} placing;

static void
placed_run(emesh_job *job)
{
    placing *p = (placing *)job;
    emesh_sub *sub = p->sub;

    sub->enrolled &= !p->refused;
    if (sub->options != NULL)
        emesh_config_unref(sub->options);
    sub->options = p->options;
    g_free((char *)(uintptr_t)sub->rule.dead_letter_store);
    sub->rule = p->rule;
    g_free(sub->letters);
    sub->letters = p->letters;
    emesh_order_ask(sub, p->rule.ordered != 0);
    sub->start = p->start;
    emesh_sub_placed(sub, p->code, p->why);
    g_free(p->why);
    g_free(p);
}

static void
go_home(placing *p, int32_t code, const char *why)
{
    p->code = code;
    p->why = g_strdup(why);
    p->job = (emesh_job){ .run = placed_run };
    emesh_worker_post(p->sub->owner->lane->worker, &p->job);
}

static void
place_done(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    (void)value;
    go_home(ctx, code,
            err != NULL && err->text[0] != '\0' ? err->text
                                                : "the store could not make the group's place");
}

/* The store of its dead letters; its own as long as the one that the rule names is not there. */
static const emesh_store *
letter_store(const placing *p)
{
    const emesh_store *store = p->rule.dead_letter_store != NULL
                                   ? emesh_bus_store(p->bus, p->rule.dead_letter_store, NULL)
                                   : NULL;

    return store != NULL ? store : p->sub->store;
}

static void
place_go(void *ctx)
{
    placing *p = ctx;
    emesh_sub *sub = p->sub;
    emesh_inst *inst = sub->store->inst;
    g_autoptr(GError) error = NULL;
    emesh_admin what = { .size = sizeof what, .what = EMESH_CHANGE_PLACE,
                         .topic = { sub->topic->name, sub->topic->store_len },
                         .group = { sub->group, strlen(sub->group) }, .start = &p->start };

    emesh_conf_group(p->bus->conf, sub->group, emesh_group_base(sub->group), &p->rule);
    p->rule.dead_letter_store = g_strdup(p->rule.dead_letter_store); /* the conf may go */
    p->rule.origin = NULL;
    p->letters = emesh_letter_topic(letter_store(p), sub->group);
    if (sub->alone) {
        go_home(p, EMESH_OK, NULL);
        return;
    }
    if (p->start.kind == EMESH_START_STORED && p->rule.start.kind != EMESH_START_STORED)
        p->start = p->rule.start;
    p->start.size = sizeof p->start;
    if (inst->storage.n_group_options > 0)
        p->options = emesh_conf_group_options(p->bus->conf, sub->group,
                                              emesh_group_base(sub->group), inst->name,
                                              inst->storage.group_options,
                                              inst->storage.n_group_options,
                                              inst->component->option_size, &error);
    if (error != NULL)
        go_home(p, EMESH_E_CONFIG, error->message);
    else if (sub->keeps)
        go_home(p, EMESH_OK, NULL);
    else
        inst->storage.admin(inst->self, &what,
                            emesh_op_new(inst, p->bus->main, NULL, place_done, p));
}

static void
place_main(emesh_job *job)
{
    placing *p = (placing *)job;

    if (p->enrolled) {
        place_go(p);
    } else if (emesh_forget_full(p->bus->forget, p->sub->group)) {
        p->refused = true;
        go_home(p, EMESH_E_DENIED, "the group has its 1,024 durable broadcasting members");
    } else
        emesh_forget_came(p->bus->forget, p->sub->group, place_go, p);
}

void
emesh_sub_place(emesh_sub *sub)
{
    placing *p = g_new0(placing, 1);

    p->job.run = place_main;
    p->enrolled = sub->enrolled || sub->role != NULL;
    sub->enrolled |= sub->role == NULL;
    p->sub = sub;
    p->bus = sub->owner->lane->bus;
    p->start = sub->start;
    emesh_worker_post(p->bus->main, &p->job);
}

/* ---- the last member wanted the place forgotten ---- */

typedef struct forgetting {
    emesh_job job;
    emesh_inst *inst;
    emesh_bus *bus;
    char *topic, *group;
} forgetting;

static void
forget_done(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    forgetting *f = ctx;

    (void)value;
    if (code != EMESH_OK)
        emesh_bus_warn(f->bus, "delivery", "forgetting group \"%s\" of topic \"%s\": %s", f->group, f->topic,
                   err != NULL ? err->text : "refused");
    g_free(f->topic);
    g_free(f->group);
    g_free(f);
}

static void
forget_main(emesh_job *job)
{
    forgetting *f = (forgetting *)job;
    emesh_admin what = { .size = sizeof what, .what = EMESH_CHANGE_FORGET,
                         .topic = { f->topic, strlen(f->topic) },
                         .group = { f->group, strlen(f->group) } };

    f->inst->storage.admin(f->inst->self, &what,
                           emesh_op_new(f->inst, f->bus->main, NULL, forget_done, f));
}

void
emesh_group_forget(emesh_bus_topic *topic, const char *group)
{
    forgetting *f = g_new0(forgetting, 1);

    f->job.run = forget_main;
    f->inst = topic->store->inst;
    f->bus = topic->store->bus;
    f->topic = g_strndup(topic->name, topic->store_len);
    f->group = g_strdup(group);
    emesh_worker_post(f->bus->main, &f->job);
}
