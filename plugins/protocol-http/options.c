/* SPDX-License-Identifier: Apache-2.0
 *
 * Options as the lanes use them. [any]
 */
#include "http.h"

static int64_t
number(const emesh_config_api *config, const emesh_config *cfg, const char *name)
{
    emesh_value v = { .size = sizeof v };
    return config->get(cfg, name, 0, &v) == EMESH_OK ? v.i : 0;
}

static char *
text(const emesh_config_api *config, const emesh_config *cfg, const char *name)
{
    emesh_value v = { .size = sizeof v };
    return config->get(cfg, name, 0, &v) == EMESH_OK ? g_strndup(v.text.ptr, v.text.len) : NULL;
}

static void
read_listener(http_options *o, const emesh_config_api *config, const emesh_config *cfg)
{
    o->tls_certificate = text(config, cfg, "tls-certificate");
    o->tls_key = text(config, cfg, "tls-key");
    o->tls_client_ca = text(config, cfg, "tls-client-ca");
    o->tls_client_required = number(config, cfg, "tls-client-required") != 0;
    o->max_connections = (uint32_t)number(config, cfg, "max-connections");
    o->max_memory = (uint64_t)number(config, cfg, "max-memory");
    o->max_input = (uint64_t)number(config, cfg, "max-input");
    o->handshake_ns = (uint64_t)number(config, cfg, "handshake-timeout");
    o->idle_ns = (uint64_t)number(config, cfg, "idle-timeout");
}

bool
http_options_read(http_options *o, const emesh_config_api *config, const emesh_config *cfg,
                  emesh_error *err)
{
    (void)err;
    read_listener(o, config, cfg);
    o->max_event = (uint64_t)number(config, cfg, "max-event");
    o->max_batch = (uint32_t)number(config, cfg, "max-batch");
    o->request_ns = (uint64_t)number(config, cfg, "request-timeout");
    o->keep_alive_ns = (uint64_t)number(config, cfg, "keep-alive");
    if (o->idle_ns > 0)
        o->keep_alive_ns = MIN(o->keep_alive_ns, o->idle_ns);
    o->publish_ns = (uint64_t)number(config, cfg, "publish-timeout");
    o->queue_ns = (uint64_t)number(config, cfg, "queue-timeout");
    o->lenient = number(config, cfg, "lenient") != 0;
    o->cluster = text(config, cfg, "cluster");
    o->env = text(config, cfg, "env");
    o->idc = text(config, cfg, "idc");
    return true;
}

void
http_options_clear(http_options *o)
{
    g_free(o->tls_certificate);
    g_free(o->tls_key);
    g_free(o->tls_client_ca);
    g_free(o->cluster);
    g_free(o->env);
    g_free(o->idc);
}
