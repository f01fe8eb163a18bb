/* SPDX-License-Identifier: Apache-2.0
 *
 * SIGHUP. The new configuration is checked whole before anything is touched: if it is refused, all
 * goes on as it was. Then instances that went are taken down, changed ones applied or restarted, new
 * ones brought up; unchanged ones only read their certificates again.
 */
#include "bus/own-topic.h"
#include "bus/refresh.h"
#include "daemon/private.h"

#include <string.h>

#define DRAIN_NS (5000u * 1000000ull)

static emesh_inst *
running(emesh_daemon *daemon, const char *name)
{
    for (uint32_t i = 0; i < daemon->instances->len; i++) {
        emesh_inst *inst = daemon->instances->pdata[i];
        if (strcmp(inst->name, name) == 0)
            return inst;
    }
    return NULL;
}

static emesh_config_change
change_of(emesh_inst *inst, const emesh_planned *planned)
{
    return inst->component == planned->component
               ? emesh_config_diff(emesh_inst_config(inst), planned->config)
               : EMESH_CONFIG_RESTART;
}

typedef struct staying {
    const emesh_conf *conf;
    GString *wrong;
    GHashTable *told; /* names */
} staying;

static void
pin_stays(void *ctx, const emesh_pair *pair)
{
    staying *s = ctx;
    const char *name = pair->key.ptr;
    emesh_topic_rule rule;

    if (pair->key.len < 2 || emesh_is_closed_topic(name, pair->key.len - 1))
        return;
    emesh_conf_topic(s->conf, name, pair->key.len - 1, &rule);
    if (rule.store == NULL || (strlen(rule.store) == pair->value.len &&
                               memcmp(rule.store, pair->value.ptr, pair->value.len) == 0) ||
        !g_hash_table_add(s->told, g_strdup(name)))
        return;
    g_string_append_printf(s->wrong,
                           "%s%s: store: topic \"%s\" is in use in store \"%.*s\" and cannot move "
                           "to \"%s\"; set it back, or delete the topic",
                           s->wrong->len > 0 ? "\n" : "", rule.origin, name, (int)pair->value.len,
                           (const char *)pair->value.ptr, rule.store);
}

/* A topic lives where its first event went, used since the start or not. The pin of one that is new
 * may still be on its way to the disk. */
static bool
topics_stay(emesh_daemon *daemon, emesh_plan *plan, GString *wrong)
{
    g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    staying s = { plan->conf, wrong, told };
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, daemon->bus->topics);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const emesh_bus_topic *topic = value;
        const char *store = topic->store->inst->name;
        emesh_pair pair = { { topic->name, strlen(topic->name) + 1 }, { store, strlen(store) } };
        if (!topic->gone)
            pin_stays(&s, &pair);
    }
    emesh_state_read(daemon->state, "pin:", "", 0, pin_stays, &s);
    return wrong->len == 0;
}

static bool
stores_stay(emesh_daemon *daemon, emesh_plan *plan, GString *wrong)
{
    for (uint32_t i = 0; i < daemon->instances->len; i++) {
        emesh_inst *inst = daemon->instances->pdata[i];
        const emesh_planned *planned = emesh_plan_find(plan, inst->name);
        if (!inst->is_storage ||
            (planned != NULL && change_of(inst, planned) != EMESH_CONFIG_RESTART))
            continue;
        g_string_append_printf(wrong, "%sinstance \"%s\": a store that is in use is changed or "
                               "removed only by a restart of the daemon",
                               wrong->len > 0 ? "\n" : "", inst->name);
    }
    return wrong->len == 0;
}

static bool
acceptable(emesh_daemon *daemon, emesh_plan *plan)
{
    g_autoptr(GError) error = NULL;

    for (uint32_t i = 0; i < plan->items->len && plan->wrong->len == 0; i++) {
        const emesh_planned *planned = &g_array_index(plan->items, emesh_planned, i);
        if (!emesh_inst_check(&daemon->env, planned->component, planned->config, &error))
            g_string_append(plan->wrong, error->message);
    }
    return plan->wrong->len == 0 && stores_stay(daemon, plan, plan->wrong) &&
           topics_stay(daemon, plan, plan->wrong);
}

static void
reload_end(emesh_daemon *daemon)
{
    g_hash_table_remove_all(daemon->held); /* addresses that are no longer listened on */
    emesh_plan_free(daemon->plan);
    daemon->plan = g_steal_pointer(&daemon->next);
    daemon->view.conf = daemon->plan->conf;
    emesh_daemon_say(daemon, EMESH_LOG_NOTICE, "configuration reloaded");
    emesh_daemon_tell(daemon, "READY=1");
    if (daemon->stop_again) {
        emesh_daemon_stop(daemon);
        return;
    }
    if (daemon->reload_again) {
        daemon->reload_again = false;
        emesh_daemon_reload(daemon);
    }
}

static void
came_up(void *ctx, emesh_inst *inst, int32_t code)
{
    emesh_daemon *daemon = ctx;

    (void)inst;
    (void)code; /* a failure was told with its state, and the others go on */
    if (--daemon->left == 0)
        reload_end(daemon);
}

static void
bring_new_up(emesh_daemon *daemon)
{
    daemon->left = 1;
    for (uint32_t i = 0; i < daemon->next->items->len; i++) {
        const emesh_planned *planned = &g_array_index(daemon->next->items, emesh_planned, i);
        g_autoptr(GError) error = NULL;
        void *key, *held;
        emesh_inst *inst;
        if (running(daemon, planned->conf->name) != NULL)
            continue;
        if (!emesh_daemon_add(daemon, planned, &error)) {
            emesh_daemon_say(daemon, EMESH_LOG_ERROR, error->message);
            continue;
        }
        daemon->left++;
        inst = daemon->instances->pdata[daemon->instances->len - 1];
        if (g_hash_table_steal_extended(daemon->held, inst->name, &key, &held)) {
            g_free(key);
            emesh_inst_give_listeners(inst, held);
        }
        emesh_inst_up(inst, came_up, daemon);
    }
    if (--daemon->left == 0)
        reload_end(daemon);
}

static void
went_down(void *ctx, emesh_inst *inst)
{
    emesh_daemon *daemon = ctx;

    g_ptr_array_remove(daemon->instances, inst);
    emesh_inst_free(inst);
    if (--daemon->left == 0)
        bring_new_up(daemon);
}

/* What restarts keeps its listening sockets: connections that queue on them are not reset. */
static void
hold(emesh_daemon *daemon, const emesh_inst *inst)
{
    emesh_held *held = emesh_inst_hold_listeners(inst);

    if (held != NULL)
        g_hash_table_insert(daemon->held, g_strdup(inst->name), held);
}

static void
apply(emesh_daemon *daemon)
{
    uint64_t deadline = emesh_worker_now(daemon->main) + DRAIN_NS;
    g_autoptr(GPtrArray) going = g_ptr_array_new();

    for (uint32_t i = 0; i < daemon->instances->len; i++) {
        emesh_inst *inst = daemon->instances->pdata[i];
        const emesh_planned *planned = emesh_plan_find(daemon->next, inst->name);
        g_autoptr(GError) error = NULL;
        emesh_config_change change;

        if (inst->plugin->id != NULL && strcmp(inst->name, "admin") == 0)
            continue; /* internal: no file of conf.d is its own */
        change = planned != NULL ? change_of(inst, planned) : EMESH_CONFIG_RESTART;
        if (inst->state == EMESH_INST_FAILED && !inst->is_storage)
            change = EMESH_CONFIG_RESTART; /* what kept it down may be mended */
        if (change == EMESH_CONFIG_RESTART)
            g_ptr_array_add(going, inst);
        if (change == EMESH_CONFIG_RESTART && planned != NULL)
            hold(daemon, inst);
        if (change == EMESH_CONFIG_LIVE)
            emesh_inst_apply(inst, planned->config);
        if (change != EMESH_CONFIG_RESTART && !emesh_inst_reload_tls(inst, &error))
            emesh_daemon_say(daemon, EMESH_LOG_ERROR, error->message);
    }
    daemon->left = going->len + 1;
    for (uint32_t i = 0; i < going->len; i++)
        emesh_inst_down(going->pdata[i], deadline, went_down, daemon);
    if (--daemon->left == 0)
        bring_new_up(daemon);
}

void
emesh_daemon_reload(emesh_daemon *daemon)
{
    g_autoptr(emesh_plan) plan = NULL;
    g_autoptr(GError) error = NULL;

    if (!daemon->ready || daemon->stopping)
        return;
    if (daemon->next != NULL) {
        daemon->reload_again = true;
        return;
    }
    emesh_daemon_tell(daemon, "RELOADING=1");
    plan = emesh_plan_new((const char *const *)daemon->args->conf_dirs, daemon->loader);
    if (plan->wrong->len > 0 || !acceptable(daemon, plan)) {
        g_autofree char *text =
            g_strdup_printf("reload refused, the running configuration stays:\n%s",
                            plan->wrong->str);
        emesh_daemon_say(daemon, EMESH_LOG_ERROR, text);
        emesh_daemon_tell(daemon, "READY=1");
        return;
    }
    if (!emesh_bus_check_rules(daemon->bus, plan->conf, &error)) {
        g_autofree char *text = g_strdup_printf(
            "reload refused, the running configuration stays:\n%s", error->message);
        emesh_daemon_say(daemon, EMESH_LOG_ERROR, text);
        emesh_daemon_tell(daemon, "READY=1");
        return;
    }
    if (emesh_config_diff(emesh_conf_daemon_config(daemon->plan->conf),
                          emesh_conf_daemon_config(plan->conf)) == EMESH_CONFIG_RESTART)
        emesh_daemon_say(daemon, EMESH_LOG_WARNING,
            "[daemon] is changed in more than log-level: that holds from the next start on");
    emesh_log_set_level(daemon->log, plan->options.log_level);
    emesh_bus_set_conf(daemon->bus, plan->conf);
    emesh_bus_refresh(daemon->bus);
    daemon->next = g_steal_pointer(&plan);
    apply(daemon);
}
