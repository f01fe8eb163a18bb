/* SPDX-License-Identifier: Apache-2.0
 *
 * Options to properties of librdkafka, and handles made from them. What the plugin's promises rest on
 * cannot be set from conf.d.
 */
#include "kafka.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

/* [from conf.d these are refused] */
static const char *const reserved[] = {
    "acks", "request.required.acks", "enable.idempotence", "enable.auto.commit",
    "auto.commit.enable", "enable.auto.offset.store", "auto.offset.reset", "enable.partition.eof",
    "group.id", "group.instance.id", "isolation.level", "partition.assignment.strategy",
    "plugin.library.paths", "partitioner", "delivery.report.only.error", "transactional.id",
    "bootstrap.servers", "metadata.broker.list", "security.protocol", "enabled_events",
};

static bool
is_reserved(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(reserved); i++)
        if (strcmp(name, reserved[i]) == 0)
            return true;
    return g_str_has_suffix(name, "_cb");
}

static void
add(kf_options *opt, const char *name, const char *value, bool secret)
{
    kf_pair pair = { g_strdup(name), g_strdup(value), secret };

    g_array_append_val(opt->pairs, pair);
}

static emesh_value
value_of(const emesh_config_api *api, const emesh_config *cfg, const char *name)
{
    emesh_value value = { .size = sizeof value };

    if (api->get(cfg, name, 0, &value) != EMESH_OK)
        value.text = (emesh_slice){ NULL, 0 };
    return value;
}

static void
add_text(const emesh_config_api *api, const emesh_config *cfg, const char *name, kf_options *opt,
         const char *property)
{
    emesh_value value = value_of(api, cfg, name);

    if (value.text.len > 0)
        add(opt, property, value.text.ptr, false);
}

static void
add_ms(const emesh_config_api *api, const emesh_config *cfg, const char *name, kf_options *opt,
       const char *property)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)(value_of(api, cfg, name).i / 1000000));
    add(opt, property, text, false);
}

typedef struct keeping {
    kf_options *opt;
    const char *property;
} keeping;

static int32_t
keep_secret(void *ctx, const char *secret, size_t len)
{
    keeping *k = ctx;

    if (len > 0)
        add(k->opt, k->property, secret, true);
    return EMESH_OK;
}

static void
add_secret(const emesh_config_api *api, const emesh_config *cfg, const char *name, kf_options *opt,
           const char *property)
{
    keeping k = { opt, property };

    api->secret(cfg, name, keep_secret, &k);
}

static void
add_security(const emesh_config_api *api, const emesh_config *cfg, kf_options *opt)
{
    static const char *const protocols[] = { "plaintext", "ssl", "sasl_plaintext", "sasl_ssl" };
    static const char *const mechanisms[] = { "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512" };
    int64_t security = value_of(api, cfg, "security").i;

    add(opt, "security.protocol", protocols[security & 3], false);
    add_text(api, cfg, "tls-ca", opt, "ssl.ca.location");
    add_text(api, cfg, "tls-certificate", opt, "ssl.certificate.location");
    add_text(api, cfg, "tls-key", opt, "ssl.key.location");
    add_secret(api, cfg, "tls-key-password", opt, "ssl.key.password");
    if (security < 2)
        return;
    add(opt, "sasl.mechanisms", mechanisms[value_of(api, cfg, "sasl-mechanism").i % 3], false);
    add_text(api, cfg, "sasl-username", opt, "sasl.username");
    add_secret(api, cfg, "sasl-password", opt, "sasl.password");
}

/* What the operator says comes last, and is tried on a configuration of its own. */
static int32_t
add_map(const emesh_config_api *api, const emesh_config *cfg, kf_options *opt, emesh_error *err)
{
    uint64_t at = 0;
    emesh_slice key;
    emesh_value value = { .size = sizeof value };

    while (api->next(cfg, "librdkafka.*", &at, &key, &value) == EMESH_OK) {
        g_autofree char *name = g_strndup(key.ptr, key.len);
        g_autofree char *option = g_strconcat("librdkafka.", name, NULL);
        if (is_reserved(name)) {
            g_strlcpy(err->option, option, sizeof err->option);
            return kf_error(err, EMESH_E_CONFIG,
                            "the property %s is set by the daemon and cannot be set here", name);
        }
        if (value.text.len > 0)
            add(opt, name, value.text.ptr, false);
        else
            add_secret(api, cfg, option, opt, name);
    }
    return EMESH_OK;
}

static int32_t
try_pairs(const kf_options *opt, emesh_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int32_t code = EMESH_OK;
    char why[200];

    for (guint i = 0; i < opt->pairs->len && code == EMESH_OK; i++) {
        const kf_pair *pair = &g_array_index(opt->pairs, kf_pair, i);
        if (rd_kafka_conf_set(conf, pair->name, pair->value, why, sizeof why) == RD_KAFKA_CONF_OK)
            continue;
        snprintf(err->option, sizeof err->option, "librdkafka.%s", pair->name);
        code = kf_error(err, EMESH_E_CONFIG, "librdkafka takes no %s = %s: %s", pair->name,
                        pair->secret ? "…" : pair->value, why);
    }
    rd_kafka_conf_destroy(conf);
    return code;
}

int32_t
kf_options_read(const emesh_config_api *api, const emesh_config *cfg, kf_options *out,
                emesh_error *err)
{
    kf_options opt = { .pairs = g_array_new(FALSE, FALSE, sizeof(kf_pair)) };
    int32_t code;

    add_text(api, cfg, "bootstrap-servers", &opt, "bootstrap.servers");
    add_security(api, cfg, &opt);
    add_ms(api, cfg, "publish-timeout", &opt, "message.timeout.ms");
    add_ms(api, cfg, "session-timeout", &opt, "session.timeout.ms");
    opt.replication = (uint32_t)value_of(api, cfg, "replication-factor").i;
    opt.max_groups = (uint32_t)value_of(api, cfg, "max-groups").i;
    opt.leave_ns = (uint64_t)value_of(api, cfg, "leave-after").i;
    opt.record_key = value_of(api, cfg, "record-key").i != 0;
    code = add_map(api, cfg, &opt, err);
    if (code == EMESH_OK)
        code = try_pairs(&opt, err);
    if (code == EMESH_OK && out != NULL)
        *out = opt;
    else
        kf_options_clear(&opt);
    return code;
}

void
kf_options_clear(kf_options *opt)
{
    if (opt->pairs == NULL)
        return;
    for (guint i = 0; i < opt->pairs->len; i++) {
        kf_pair *pair = &g_array_index(opt->pairs, kf_pair, i);
        g_free(pair->name);
        explicit_bzero(pair->value, strlen(pair->value));
        g_free(pair->value);
    }
    g_array_unref(opt->pairs);
    opt->pairs = NULL;
}

/* ---- handles ---- */

static void
log_cb(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    kf_store *const *owner = rd_kafka_opaque(rk);

    if (owner != NULL && strcmp(facility, "CONFWARN") != 0) /* of the other kind of handle */
        kf_say(*owner, level <= LOG_WARNING ? EMESH_LOG_INFO : EMESH_LOG_DEBUG, "%s: %s", facility,
               text);
}

static void
error_cb(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    kf_store *store = *(kf_store **)opaque;
    emesh_error e = { .size = sizeof e };

    if (err == RD_KAFKA_RESP_ERR__FATAL) {
        char text[256];
        rd_kafka_resp_err_t why = rd_kafka_fatal_error(rk, text, sizeof text);
        if (atomic_exchange(&store->fatal, true))
            return;
        kf_error(&e, EMESH_E_INTERNAL, "the client of the brokers cannot go on: %s: %s",
                 rd_kafka_err2str(why), text);
        store->host->report(store->host, EMESH_HEALTH_FAILED, &e);
        return;
    }
    if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && err != RD_KAFKA_RESP_ERR__AUTHENTICATION)
        return;
    /* that we are refused is news even to somebody who knows that no broker answers */
    if (atomic_exchange(err == RD_KAFKA_RESP_ERR__AUTHENTICATION ? &store->denied : &store->down, true))
        return;
    atomic_store(&store->down, true);
    kf_error(&e, err == RD_KAFKA_RESP_ERR__AUTHENTICATION ? EMESH_E_DENIED : EMESH_E_UNAVAILABLE,
             "the brokers cannot be used: %s", reason);
    store->host->report(store->host, EMESH_HEALTH_DEGRADED, &e);
}

void
kf_conf(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[200];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        g_error("librdkafka refuses %s = %s: %s", name, value, why);
}

rd_kafka_t *
kf_handle(kf_store **owner, rd_kafka_type_t type, const char *group,
          void (*more)(rd_kafka_conf_t *conf, void *ctx), void *ctx, emesh_error *err)
{
    const kf_store *store = *owner;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;
    char why[200];

    kf_conf(conf, "client.id", "eventmesh");
    kf_conf(conf, "queued.max.messages.kbytes", "1024");
    kf_conf(conf, "topic.metadata.refresh.interval.ms", "30000");
    kf_conf(conf, "reconnect.backoff.max.ms", "2000");
    kf_conf(conf, "socket.keepalive.enable", "true");
    kf_conf(conf, "linger.ms", "1");
    for (guint i = 0; i < store->opt.pairs->len; i++) { /* tried by check() */
        const kf_pair *pair = &g_array_index(store->opt.pairs, kf_pair, i);
        rd_kafka_conf_set(conf, pair->name, pair->value, why, sizeof why);
    }
    rd_kafka_conf_set_opaque(conf, owner);
    rd_kafka_conf_set_log_cb(conf, log_cb);
    rd_kafka_conf_set_error_cb(conf, error_cb);
    if (type == RD_KAFKA_CONSUMER) {
        kf_conf(conf, "enable.auto.commit", "false");
        kf_conf(conf, "enable.auto.offset.store", "false");
        kf_conf(conf, "auto.offset.reset", "error");
        kf_conf(conf, "isolation.level", "read_committed");
        kf_conf(conf, "partition.assignment.strategy", "range");
        kf_conf(conf, "enable.partition.eof", "true");
        if (group != NULL)
            kf_conf(conf, "group.id", group);
    }
    if (more != NULL)
        more(conf, ctx);
    rk = rd_kafka_new(type, conf, why, sizeof why);
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        kf_error(err, EMESH_E_CONFIG, "a client of %s cannot be made: %s", store->name, why);
    }
    return rk;
}
