/* SPDX-License-Identifier: Apache-2.0
 *
 * Options as the lanes use them. [any]
 */
#include "http.h"
#include "receive.h"

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

/* All lines of an option into a list. */
static bool
networks(GPtrArray *list, const emesh_config_api *config, const emesh_config *cfg, const char *name,
         emesh_error *err)
{
    emesh_value v = { .size = sizeof v };
    for (uint32_t i = 0; config->get(cfg, name, i, &v) == EMESH_OK; i++) {
        g_autofree char *network = g_strndup(v.text.ptr, v.text.len);
        g_autofree char *origin = g_strndup(v.origin.ptr, v.origin.len);
        if (http_guard_add(list, network, origin))
            continue;
        err->code = EMESH_E_CONFIG;
        g_strlcpy(err->option, name, sizeof err->option);
        g_snprintf(err->text, sizeof err->text,
                   "\"%s\" is no network; write 10.0.0.0/8, 192.0.2.1 or fd00::/8", network);
        return false;
    }
    return true;
}

static bool
read_push(http_options *o, const emesh_config_api *config, const emesh_config *cfg,
          emesh_error *err)
{
    o->push_timeout_ns = (uint64_t)number(config, cfg, "push-timeout");
    o->push_concurrency = (uint32_t)number(config, cfg, "push-concurrency");
    o->push_handshake = number(config, cfg, "push-handshake") != 0;
    o->expiry_ns = (uint64_t)number(config, cfg, "subscription-expiry");
    o->poll_lease_ns = (uint64_t)number(config, cfg, "poll-lease");
    o->push_ca = text(config, cfg, "push-tls-ca");
    o->push_certificate = text(config, cfg, "push-tls-certificate");
    o->push_key = text(config, cfg, "push-tls-key");
    o->push_verify = number(config, cfg, "push-tls-verify") != 0;
    o->push_wait_ns = (uint64_t)number(config, cfg, "push-reconnect-wait");
    o->push_wait_max_ns = (uint64_t)number(config, cfg, "push-reconnect-wait-max");
    http_guard_init(&o->guard);
    return networks(o->guard.allow, config, cfg, "push-allow", err) &&
           networks(o->guard.deny, config, cfg, "push-deny", err);
}

bool
http_options_read(http_options *o, const emesh_config_api *config, const emesh_config *cfg,
                  emesh_error *err)
{
    read_listener(o, config, cfg);
    o->max_event = (uint64_t)number(config, cfg, "max-event");
    o->max_batch = (uint32_t)number(config, cfg, "max-batch");
    o->rate = (uint32_t)number(config, cfg, "rate-limit");
    o->batch_rate = (uint32_t)number(config, cfg, "batch-rate-limit");
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
    o->advertise = text(config, cfg, "advertise");
    if (o->advertise != NULL) {
        g_autoptr(GUri) uri = g_uri_parse(o->advertise, SOUP_HTTP_URI_FLAGS, NULL);
        o->address = uri != NULL ? g_strdup(g_uri_get_host(uri)) : NULL;
    }
    o->receivers = g_ptr_array_new_with_free_func(http_receiver_free);
    return read_push(o, config, cfg, err) && http_receivers_read(o->receivers, config, cfg, err);
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
    g_free(o->advertise);
    g_free(o->address);
    g_free(o->push_ca);
    g_free(o->push_certificate);
    g_free(o->push_key);
    http_guard_clear(&o->guard);
    g_clear_pointer(&o->receivers, g_ptr_array_unref);
}
