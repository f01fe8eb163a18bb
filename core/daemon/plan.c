/* SPDX-License-Identifier: Apache-2.0
 *
 * From folders to a checked plan.
 */
#include "admin/admin.h"
#include "daemon/plan.h"

#include <string.h>

static void
planned_clear(void *data)
{
    emesh_planned *planned = data;

    if (planned->config != NULL)
        emesh_config_unref(planned->config);
}

static void
refuse(emesh_plan *plan, const char *origin, const char *text)
{
    if (plan->wrong->len > 0)
        g_string_append_c(plan->wrong, '\n');
    if (origin != NULL)
        g_string_append_printf(plan->wrong, "%s: ", origin);
    g_string_append(plan->wrong, text);
}

bool
emesh_planned_is_storage(const emesh_planned *planned)
{
    return strcmp(planned->component->kind, EMESH_STORAGE_KIND) == 0;
}

const emesh_storage_ops *
emesh_planned_storage(const emesh_planned *planned)
{
    const emesh_storage_ops *ops = planned->component->ops;

    return emesh_planned_is_storage(planned) && EMESH_HAS(ops, n_group_options) ? ops : NULL;
}

/* What the component itself thinks of its options. */
static bool
check_options(emesh_plan *plan, const emesh_planned *planned)
{
    const emesh_life_ops *life = planned->component->life;
    emesh_error err = { .size = sizeof err };
    const char *origin = NULL;
    g_autofree char *text = NULL;

    if (!EMESH_CAN(life, check) || life->check(planned->config, &err) == EMESH_OK)
        return true;
    if (err.option[0] != '\0')
        origin = emesh_config_origin(planned->config, err.option);
    text = g_strdup_printf("%s%s%s", err.option, err.option[0] != '\0' ? ": " : "",
                           err.text[0] != '\0' ? err.text : "refused by the component");
    if (origin == NULL && planned->conf != NULL)
        origin = planned->conf->file;
    refuse(plan, origin, text);
    return false;
}

static void
plan_instance(emesh_plan *plan, emesh_loader *loader, const emesh_conf_instance *conf)
{
    g_autoptr(GError) error = NULL;
    emesh_planned planned = { .conf = conf };

    planned.component = emesh_loader_component(loader, conf->plugin, conf->component,
                                               &planned.plugin, &error);
    if (planned.component == NULL) {
        plan->plugin_refused = true;
        refuse(plan, conf->component_origin, error->message);
        return;
    }
    planned.config = emesh_config_new(conf->options, planned.component->options,
                                      planned.component->n_options,
                                      planned.component->option_size, planned.component->groups,
                                      planned.component->n_groups, &error);
    if (planned.config == NULL)
        refuse(plan, NULL, error->message);
    else if (!check_options(plan, &planned))
        emesh_config_unref(planned.config);
    else if (emesh_planned_is_storage(&planned))
        g_array_prepend_val(plan->items, planned);
    else
        g_array_append_val(plan->items, planned);
}

/* The administration: its options stand in [daemon], its component is our own. */
static void
check_admin(emesh_plan *plan)
{
    g_autoptr(GError) error = NULL;
    emesh_planned planned = { .component = &emesh_admin_component };

    planned.config = emesh_admin_config(plan->conf, "/", &error);
    if (planned.config == NULL)
        refuse(plan, NULL, error->message);
    else
        check_options(plan, &planned);
    if (planned.config != NULL)
        emesh_config_unref(planned.config);
}

/* The keys NAME.… of this instance in [topic …] and [group …]. */
static void
check_store_keys(emesh_plan *plan, const emesh_planned *planned)
{
    const emesh_storage_ops *ops = emesh_planned_storage(planned);
    g_autoptr(GError) error = NULL;

    if (!emesh_conf_check_store(plan->conf, planned->conf->name,
                                ops != NULL ? ops->topic_options : NULL,
                                ops != NULL ? ops->n_topic_options : 0,
                                ops != NULL ? ops->group_options : NULL,
                                ops != NULL ? ops->n_group_options : 0,
                                planned->component->option_size, &error))
        refuse(plan, NULL, error->message);
}

/* With several stores a section has to say which; that a named one exists was checked by load. */
static void
check_rule(void *ctx, bool is_group, const char *pattern, const emesh_topic_rule *topic,
           const emesh_group_rule *group)
{
    emesh_plan *plan = ctx;
    g_autofree char *text = NULL;

    (void)group;
    if (is_group || topic->store != NULL)
        return;
    text = g_strdup_printf("store: there are several storage instances; [topic %s] must name one",
                           pattern);
    refuse(plan, topic->origin, text);
}

emesh_plan *
emesh_plan_new(const char *const *conf_dirs, emesh_loader *loader)
{
    emesh_plan *plan = g_new0(emesh_plan, 1);
    g_autoptr(GError) error = NULL;
    uint32_t stores = 0;

    plan->wrong = g_string_new(NULL);
    plan->items = g_array_new(FALSE, TRUE, sizeof(emesh_planned));
    g_array_set_clear_func(plan->items, planned_clear);
    plan->conf = emesh_conf_load(conf_dirs, &error);
    if (plan->conf == NULL) {
        refuse(plan, NULL, error->message);
        return plan;
    }
    if (!emesh_daemon_options_read(plan->conf, &plan->options, &error)) {
        refuse(plan, NULL, error->message);
        return plan;
    }
    check_admin(plan);
    for (uint32_t i = 0; i < emesh_conf_n_instances(plan->conf); i++) {
        const emesh_conf_instance *conf = emesh_conf_instance_at(plan->conf, i);
        if (conf->enabled)
            plan_instance(plan, loader, conf);
    }
    for (uint32_t i = 0; i < plan->items->len; i++)
        check_store_keys(plan, &g_array_index(plan->items, emesh_planned, i));
    for (uint32_t i = 0; i < plan->items->len; i++)
        stores += emesh_planned_is_storage(&g_array_index(plan->items, emesh_planned, i));
    if (stores > 1)
        emesh_conf_each_rule(plan->conf, check_rule, plan);
    return plan;
}

const emesh_planned *
emesh_plan_find(const emesh_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->items->len; i++) {
        const emesh_planned *planned = &g_array_index(plan->items, emesh_planned, i);
        if (strcmp(planned->conf->name, name) == 0)
            return planned;
    }
    return NULL;
}

void
emesh_plan_free(emesh_plan *plan)
{
    if (plan == NULL)
        return;
    g_array_unref(plan->items);
    if (plan->conf != NULL)
        emesh_conf_unref(plan->conf);
    g_string_free(plan->wrong, TRUE);
    g_free(plan);
}
