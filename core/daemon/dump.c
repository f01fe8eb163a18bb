/* SPDX-License-Identifier: Apache-2.0
 *
 * --dump-config: what the plan's plugins know of the configuration, for the config room's dump.
 */
#include "daemon/plan.h"

static const emesh_config *
options_of(void *ctx, const emesh_conf_instance *instance)
{
    const emesh_planned *planned = emesh_plan_find(ctx, instance->name);

    return planned != NULL ? planned->config : NULL;
}

static const emesh_option *
store_keys(void *ctx, const emesh_conf_instance *instance, bool groups, uint32_t *n, uint32_t *size)
{
    const emesh_planned *planned = emesh_plan_find(ctx, instance->name);
    const emesh_storage_ops *ops = planned != NULL ? emesh_planned_storage(planned) : NULL;

    if (ops == NULL)
        return NULL;
    *n = groups ? ops->n_group_options : ops->n_topic_options;
    *size = planned->component->option_size;
    return groups ? ops->group_options : ops->topic_options;
}

void
emesh_plan_dump(emesh_plan *plan)
{
    const emesh_conf_dump_view view = { options_of, store_keys, plan };
    g_autofree char *text = emesh_conf_dump(plan->conf, &view);

    g_print("%s", text);
}
