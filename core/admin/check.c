/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration judged by the plan that start and reload make of it. [main]
 */
#include "admin/check.h"
#include "daemon/plan.h"

static uint32_t
rows_problems(const emesh_plan *plan, emesh_command_reply *reply)
{
    g_auto(GStrv) lines = g_strsplit(plan->wrong->str, "\n", -1);
    uint32_t n = 0;
    for (char **line = lines; *line != NULL; line++) {
        if (**line == '\0')
            continue;
        emesh_row_builder *row = emesh_row_new();
        emesh_row_text(row, "kind", "problem", -1);
        emesh_row_text(row, "problem", *line, -1);
        emesh_row_send(row, reply);
        n++;
    }
    return n;
}

void
emesh_check_conf(const char *const *conf_dirs, emesh_loader *loader, emesh_command_reply *reply)
{
    g_autoptr(emesh_plan) plan = emesh_plan_new(conf_dirs, loader);
    g_autofree char *dirs = g_strjoinv(":", (char **)conf_dirs);
    uint32_t problems = rows_problems(plan, reply), disabled = 0;
    uint32_t files = plan->conf == NULL ? 0 : emesh_conf_n_instances(plan->conf);
    for (uint32_t i = 0; i < files; i++)
        disabled += !emesh_conf_instance_at(plan->conf, i)->enabled;
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "kind", "verdict", -1);
    emesh_row_flag(row, "good", problems == 0);
    emesh_row_number(row, "problems", problems);
    emesh_row_number(row, "instances", files - disabled);
    emesh_row_number(row, "disabled", disabled);
    emesh_row_text(row, "conf", dirs, -1);
    emesh_row_send(row, reply);
}
