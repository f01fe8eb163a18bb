/* SPDX-License-Identifier: Apache-2.0
 *
 * --dump-config: the configuration as it would run, merged, with the origin of every value. What it
 * prints can be read back as conf.d files, section by section.
 */
#include "bus/store.h"
#include "daemon/plan.h"

#include <string.h>

static void
line(const char *key, const char *value, const char *origin)
{
    g_autofree char *text = g_strdup_printf("%s = %s", key, value);

    g_print("%-48s # %s\n", text, origin);
}

static void
value_line(void *ctx, const char *key, const char *value, const char *origin)
{
    (void)ctx;
    line(key, value, origin);
}

static void
number_line(const char *key, uint64_t value, const char *unit, const char *origin)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT "%s", value, unit);

    line(key, text, origin);
}

static void
rule(void *ctx, bool is_group, const char *pattern, const emesh_topic_rule *topic,
     const emesh_group_rule *group)
{
    (void)ctx;
    g_print("\n[%s %s]\n", is_group ? "group" : "topic", pattern);
    if (is_group) {
        line("order", group->ordered != 0 ? "key" : "none", group->origin);
        number_line("attempts", group->attempts, "", group->origin);
        number_line("retry-wait", group->retry_wait_ns / 1000000u, "ms", group->origin);
        number_line("retry-wait-max", group->retry_wait_max_ns / 1000000u, "ms", group->origin);
        number_line("ack-timeout", group->ack_timeout_ns / 1000000u, "ms", group->origin);
        number_line("forget-after", group->forget_after_ns / 1000000u, "ms", group->origin);
        line("dead-letter", group->dead_letter != 0 ? "on" : "off", group->origin);
        return;
    }
    if (topic->store != NULL)
        line("store", topic->store, topic->origin);
    if (topic->level != EMESH_LEVEL_TOPIC)
        line("durability", emesh_level_name(topic->level), topic->level_origin);
    number_line("partitions", topic->partitions, "", topic->origin);
    number_line("retention-age", topic->retention_ms, "ms", topic->origin);
    number_line("retention-bytes", topic->retention_bytes, "", topic->origin);
    number_line("max-event", topic->max_event, "", topic->origin);
    line("foreign", topic->foreign_dead_letter != 0 ? "dead-letter" : "deliver", topic->origin);
}

void
emesh_plan_dump(const emesh_plan *plan)
{
    g_print("[daemon]\n");
    emesh_config_each(emesh_conf_daemon_config(plan->conf), value_line, NULL);
    for (uint32_t i = 0; i < plan->items->len; i++) {
        const emesh_planned *planned = &g_array_index(plan->items, emesh_planned, i);
        g_print("\n# %s\n[instance]\n", planned->conf->file);
        line("component", planned->conf->component, planned->conf->component_origin);
        g_print("\n[options]\n");
        emesh_config_each(planned->config, value_line, NULL);
    }
    emesh_conf_each_rule(plan->conf, rule, NULL);
}
