/* SPDX-License-Identifier: Apache-2.0
 *
 * The record of an instance: made from component and configuration, create() called, asked by other
 * rooms, freed. Its life is in up.c and down.c.
 */
#include "plugin/metrics.h"
#include "plugin/private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "plugin/loader.h"

const char *
emesh_inst_state_name(emesh_inst_state state)
{
    static const char *const names[] = { "loaded",  "created",  "starting",  "attaching",
                                         "running", "draining", "detaching", "stopping",
                                         "stopped", "failed" };

    return (size_t)state < G_N_ELEMENTS(names) ? names[state] : "unknown";
}

/* What scripts read; the class stands for codes younger than this host. */
static const char *
code_name(int32_t code)
{
    static const struct {
        int32_t code;
        const char *name;
    } names[] = {
        { EMESH_E_INVALID, "invalid" },     { EMESH_E_UNSUPPORTED, "unsupported" },
        { EMESH_E_TOO_NEW, "too-new" },     { EMESH_E_STATE, "state" },
        { EMESH_E_STALE, "stale" },         { EMESH_E_DENIED, "denied" },
        { EMESH_E_NOT_FOUND, "not-found" }, { EMESH_E_EXISTS, "exists" },
        { EMESH_E_TOO_LARGE, "too-large" }, { EMESH_E_CONFIG, "config" },
        { EMESH_E_BUSY, "busy" },           { EMESH_E_UNAVAILABLE, "unavailable" },
        { EMESH_E_NO_MEMORY, "no-memory" }, { EMESH_E_NO_SPACE, "no-space" },
        { EMESH_E_TIMEOUT, "timeout" },     { EMESH_E_LOST, "lost" },
        { EMESH_E_CANCELED, "canceled" },   { EMESH_E_CLOSED, "closed" },
        { EMESH_E_CORRUPT, "corrupt" },     { EMESH_E_IO, "io" },
        { EMESH_E_PROTOCOL, "protocol" },   { EMESH_E_INTERNAL, "internal" },
    };
    static const char *const classes[] = { "ok",      "invalid",  "denied", "unavailable",
                                           "unknown", "canceled", "broken" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (names[i].code == code)
            return names[i].name;
    return classes[CLAMP(EMESH_CLASS(code), 0, (int)G_N_ELEMENTS(classes) - 1)];
}

void
emesh_inst_set_reason(emesh_inst *inst, int32_t code, const emesh_error *err)
{
    const char *text = err != NULL ? err->text : "";
    const char *option = err != NULL ? err->option : "";
    const char *origin = option[0] != '\0' ? emesh_config_origin(inst->priv->config, option) : NULL;

    if (code == EMESH_OK && text[0] == '\0') {
        inst->reason[0] = '\0';
        return;
    }
    g_snprintf(inst->reason, sizeof inst->reason, "%s%s%s%s%s%s%s", code_name(code),
               origin != NULL ? ": " : "", origin != NULL ? origin : "",
               option[0] != '\0' ? ": " : "", option, text[0] != '\0' ? ": " : "", text);
}

void
emesh_inst_set_state(emesh_inst *inst, emesh_inst_state state)
{
    const emesh_inst_events *events = &inst->priv->env.events;

    inst->state = state;
    if (state == EMESH_INST_STOPPED)
        inst->reason[0] = '\0';
    emesh_log_say(inst->priv->env.log, EMESH_LOG_DEBUG, inst->name, "%s",
                  emesh_inst_state_name(state));
    if (events->state_changed != NULL)
        events->state_changed(events->ctx, inst);
}

/* ---- checks ---- */

static bool
needs_are_met(const emesh_services *services, const emesh_component *component, GError **error)
{
    for (uint32_t i = 0; i < component->n_needs; i++) {
        const emesh_need *need = &component->needs[i];
        const uint32_t *size = emesh_services_find(services, need->id);
        if (size == NULL || *size < need->min_size) {
            g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_NEED,
                        "E%02d component %s needs %zu bytes of service %s, this host has %u: "
                        "use a newer host, or a build of the plugin for this one",
                        EMESH_REFUSED_NEED, component->name, need->min_size, need->id,
                        size != NULL ? *size : 0);
            return false;
        }
    }
    return true;
}

/* "E23 10-kafka.conf:12: brokers: why", or without an option "E23 storage-kafka: why". */
static void
set_refusal(GError **error, emesh_refusal code, const emesh_component *component,
            const emesh_config *config, const emesh_error *err)
{
    const char *text = err->text[0] != '\0' ? err->text : code_name(err->code);
    const char *origin = NULL;

    if (err->option[0] != '\0')
        origin = emesh_config_origin(config, err->option);
    if (origin != NULL)
        g_set_error(error, EMESH_REFUSED, (int)code, "E%02d %s: %s: %s", (int)code, origin,
                    err->option, text);
    else
        g_set_error(error, EMESH_REFUSED, (int)code, "E%02d %s: %s%s%s", (int)code, component->name,
                    err->option, err->option[0] != '\0' ? ": " : "", text);
}

bool
emesh_inst_check(const emesh_inst_env *env, const emesh_component *component, emesh_config *config,
                 GError **error)
{
    emesh_error err = { .size = sizeof err };

    if (!needs_are_met(env->services, component, error))
        return false;
    if (!EMESH_CAN(component->life, check))
        return true;
    err.code = component->life->check(config, &err);
    if (err.code == EMESH_OK)
        return true;
    set_refusal(error, EMESH_REFUSED_CONFIG, component, config, &err);
    return false;
}

bool
emesh_inst_create(emesh_inst *inst, GError **error)
{
    struct emesh_inst_private *priv = inst->priv;
    emesh_error err = { .size = sizeof err };

    if (!emesh_inst_check(&priv->env, inst->component, priv->config, error))
        return false;
    priv->apply_later = false;
    err.code = inst->life.create(&inst->host, priv->config, &inst->self, &err);
    if (err.code == EMESH_OK && inst->self == NULL)
        err.code = EMESH_E_INTERNAL;
    if (err.code == EMESH_OK)
        return true;
    if (inst->self != NULL)
        inst->life.destroy(inst->self);
    inst->self = NULL;
    set_refusal(error, EMESH_REFUSED_CREATE, inst->component, priv->config, &err);
    return false;
}

/* ---- the record ---- */

static bool
make_data_dir(emesh_inst *inst, GError **error)
{
    struct emesh_inst_private *priv = inst->priv;

    if (priv->env.data_dir == NULL)
        return true;
    priv->data_dir = g_build_filename(priv->env.data_dir, inst->name, NULL);
    if (mkdir(priv->data_dir, 0700) == 0 ||
        (errno == EEXIST && g_file_test(priv->data_dir, G_FILE_TEST_IS_DIR)))
        return true;
    g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_CREATE,
                "E%02d cannot make the data folder %s of instance %s: %s", EMESH_REFUSED_CREATE,
                priv->data_dir, inst->name, g_strerror(errno));
    return false;
}

static void
take_tables(emesh_inst *inst)
{
    const emesh_component *component = inst->component;
    const emesh_layout mine = EMESH_LAYOUT;

    emesh_take_table(&inst->life, sizeof inst->life, component->life);
    inst->is_storage = strcmp(component->kind, EMESH_STORAGE_KIND) == 0;
    inst->is_protocol = strcmp(component->kind, EMESH_PROTOCOL_KIND) == 0;
    if (inst->is_storage)
        emesh_take_table(&inst->storage, sizeof inst->storage, component->ops);
    if (inst->is_protocol) {
        emesh_take_table(&inst->protocol, sizeof inst->protocol, component->ops);
        emesh_take_table(&inst->client, sizeof inst->client, inst->protocol.client);
    }
    /* Arrays that an older plugin has never heard of keep the host's stride. */
    inst->layout = mine;
    memcpy(&inst->layout, inst->plugin->layout, MIN(sizeof mine, inst->plugin->layout->size));
    inst->layout.size = sizeof mine;
}

static emesh_inst *
record_new(const emesh_inst_env *env, const emesh_plugin *plugin, const emesh_component *component,
           const emesh_conf_instance *conf, emesh_config *config)
{
    emesh_inst *inst = g_new0(emesh_inst, 1);
    struct emesh_inst_private *priv = g_new0(struct emesh_inst_private, 1);

    inst->priv = priv;
    inst->name = g_strdup(conf->name);
    inst->plugin = plugin;
    inst->component = component;
    inst->mesh = env->mesh;
    inst->metrics = emesh_metrics_new();
    priv->env = *env;
    priv->config = emesh_config_ref(config);
    priv->refuse_unavailable = conf->refuse_unavailable;
    emesh_ops_init(&priv->ops);
    pthread_mutex_init(&priv->report_lock, NULL);
    return inst;
}

static void
record_free(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;

    emesh_lanes_free(inst);
    emesh_ops_clear(&priv->ops);
    emesh_metrics_free(inst->metrics);
    pthread_mutex_destroy(&priv->report_lock);
    emesh_held_free(priv->held);
    emesh_config_unref(priv->config);
    g_clear_pointer(&priv->start_config, emesh_config_unref);
    g_free(priv->data_dir);
    g_free(priv);
    g_free(inst->name);
    g_free(inst);
}

emesh_inst *
emesh_inst_new(const emesh_inst_env *env, const emesh_plugin *plugin,
               const emesh_component *component, const emesh_conf_instance *conf,
               emesh_config *config, GError **error)
{
    emesh_inst *inst = record_new(env, plugin, component, conf, config);

    take_tables(inst);
    if (!make_data_dir(inst, error) || !emesh_lanes_make(inst, error)) {
        record_free(inst);
        return NULL;
    }
    emesh_host_fill(inst);
    if (!emesh_inst_create(inst, error)) {
        record_free(inst);
        return NULL;
    }
    inst->state = EMESH_INST_CREATED;
    return inst;
}

/* An abandoned one is left as it is: threads may still be inside the plugin. */
void
emesh_inst_free(emesh_inst *inst)
{
    if (inst == NULL || inst->priv->abandoned)
        return;
    g_return_if_fail(inst->self == NULL);
    emesh_worker_alarm(inst->priv->env.main, &inst->priv->restart, 0);
    record_free(inst);
}

/* ---- what others ask ---- */

const char *
emesh_inst_name(const emesh_inst *inst)
{
    return inst->name;
}

emesh_config *
emesh_inst_config(const emesh_inst *inst)
{
    return inst->priv->config;
}

emesh_pool *
emesh_inst_pool(const emesh_inst *inst)
{
    return inst->priv->env.pool;
}

emesh_work_gate *
emesh_inst_work_gate(emesh_inst *inst)
{
    return &inst->priv->gate;
}

emesh_state *
emesh_inst_state_db(const emesh_inst *inst)
{
    return inst->priv->env.state;
}

const emesh_dial_spec *
emesh_inst_dial_spec(const emesh_inst *inst)
{
    return &inst->priv->dial;
}

emesh_held *
emesh_inst_hold_listeners(const emesh_inst *inst)
{
    return emesh_net_hold(inst->priv->listeners);
}

void
emesh_inst_give_listeners(emesh_inst *inst, emesh_held *held)
{
    emesh_held_free(inst->priv->held);
    inst->priv->held = held;
}

emesh_listeners *
emesh_inst_listeners(const emesh_inst *inst)
{
    return inst->priv->listeners;
}

bool
emesh_inst_reload_tls(emesh_inst *inst, GError **error)
{
    return inst->priv->listeners == NULL || emesh_net_reload_tls(inst->priv->listeners, error);
}

void
emesh_inst_apply(emesh_inst *inst, emesh_config *config)
{
    struct emesh_inst_private *priv = inst->priv;

    emesh_config_ref(config);
    emesh_config_unref(priv->config);
    priv->config = config;
    if (inst->state == EMESH_INST_RUNNING)
        emesh_lanes_apply(inst, config);
    else /* until then create() has seen the old one; the next create() sees this */
        priv->apply_later = true;
}

void
emesh_inst_read_counts(const emesh_inst *inst, emesh_inst_counts *out)
{
    emesh_ops *ops = &inst->priv->ops;

    pthread_mutex_lock(&ops->lock);
    out->ops_open = ops->live;
    out->ops_bad = ops->bad;
    pthread_mutex_unlock(&ops->lock);
    out->restarts = __atomic_load_n(&inst->priv->restarts, __ATOMIC_RELAXED);
}
