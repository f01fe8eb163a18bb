/* SPDX-License-Identifier: Apache-2.0
 *
 * The stage of instance tests, on the main thread.
 */
#include "stage.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

void
stage_open(stage *s)
{
    g_autoptr(GError) error = NULL;

    memset(s, 0, sizeof *s);
    s->data = g_dir_make_tmp("emesh-life-XXXXXX", &error);
    g_assert_no_error(error);
    s->env.main = emesh_worker_new_main(&error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i < 2; i++) {
        g_autofree char *name = g_strdup_printf("worker-%u", i);
        s->workers[i] = emesh_worker_new(i, name, &error);
        g_assert_no_error(error);
        emesh_worker_start(s->workers[i]);
    }
    s->services = emesh_services_new();
    emesh_services_add(s->services, EMESH_LOOP_ID, &emesh_loop_service);
    emesh_services_add(s->services, EMESH_CONFIG_ID, &emesh_config_service);
    emesh_services_add(s->services, EMESH_NET_ID, &emesh_net_service);
    emesh_services_add(s->services, EMESH_GLIB_ID, &emesh_glib_service);
    s->env.workers = s->workers;
    s->env.n_workers = 2;
    s->env.pool = emesh_pool_new(2);
    s->env.services = s->services;
    s->env.data_dir = s->data;
    s->env.node = "node-1";
    s->env.log = emesh_log_new(STDERR_FILENO, g_test_verbose() ? EMESH_LOG_DEBUG : 0);
}

static void
remove_tree(const char *path)
{
    g_autoptr(GDir) entries = g_dir_open(path, 0, NULL);
    const char *entry;

    while (entries != NULL && (entry = g_dir_read_name(entries)) != NULL) {
        g_autofree char *child = g_build_filename(path, entry, NULL);
        remove_tree(child);
    }
    g_remove(path);
}

void
stage_close(stage *s)
{
    for (uint32_t i = 0; i < 2; i++)
        emesh_worker_stop(s->workers[i]);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    emesh_pool_free(s->env.pool);
    for (uint32_t i = 0; i < 2; i++)
        emesh_worker_free(s->workers[i]);
    emesh_worker_free(s->env.main);
    emesh_services_free(s->services);
    emesh_log_free(s->env.log);
    remove_tree(s->data);
    g_free(s->data);
}

static gboolean
too_long(void *data)
{
    (void)data;
    g_error("waited for 20 s");
    return G_SOURCE_REMOVE;
}

void
stage_wait(bool (*done)(const void *ctx), const void *ctx)
{
    guint guard = g_timeout_add_seconds(20, too_long, NULL);

    while (!done(ctx))
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(guard);
}

static bool
is_set(const void *ctx)
{
    return *(const bool *)ctx;
}

void
stage_wait_flag(const bool *flag)
{
    stage_wait(is_set, flag);
}

emesh_inst *
stage_try(stage *s, const emesh_plugin *plugin, const char *name, const char *text, GError **error)
{
    const emesh_component *component = plugin->components[0];
    g_autofree char *file = g_strdup_printf("50-%s.conf", name);
    g_autofree char *body =
        g_strdup_printf("[instance]\ncomponent = %s\n%s", component->name, text);
    g_autoptr(emesh_conf) conf = emesh_conf_parse(file, body, strlen(body), error);
    g_autoptr(emesh_config) config = NULL;

    if (conf == NULL)
        return NULL;
    const emesh_conf_instance *entry = emesh_conf_instance_at(conf, 0);
    config =
        emesh_config_new(entry->options, component->options, component->n_options,
                         component->option_size, component->groups, component->n_groups, error);
    return config != NULL ? emesh_inst_new(&s->env, plugin, component, entry, config, error) : NULL;
}

emesh_inst *
stage_new(stage *s, const emesh_plugin *plugin, const char *name, const char *text)
{
    g_autoptr(GError) error = NULL;
    emesh_inst *inst = stage_try(s, plugin, name, text, &error);

    g_assert_no_error(error);
    g_assert_cmpint(inst->state, ==, EMESH_INST_CREATED);
    return inst;
}

static void
went_up(void *ctx, emesh_inst *inst, int32_t code)
{
    stage *s = ctx;

    (void)inst;
    s->up_code = code;
    s->up_over = true;
}

static void
went_down(void *ctx, emesh_inst *inst)
{
    (void)inst;
    ((stage *)ctx)->down_over = true;
}

int32_t
stage_up(stage *s, emesh_inst *inst)
{
    s->up_over = false;
    emesh_inst_up(inst, went_up, s);
    stage_wait_flag(&s->up_over);
    return s->up_code;
}

void
stage_down(stage *s, emesh_inst *inst)
{
    s->down_over = false;
    emesh_inst_down(inst, emesh_worker_now(s->env.main) + UINT64_C(200000000), went_down, s);
    stage_wait_flag(&s->down_over);
}
