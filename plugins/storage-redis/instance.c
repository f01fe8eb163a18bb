/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of an instance on main: options taken over, the first look at the server, destroy.
 */
#include "redis.h"

#include <stdlib.h>
#include <string.h>

static int64_t
number(const emesh_config_api *api, const emesh_config *cfg, const char *name)
{
    emesh_value value = { .size = sizeof value };

    return api->get(cfg, name, 0, &value) == EMESH_OK ? value.i : 0;
}

static char *
text(const emesh_config_api *api, const emesh_config *cfg, const char *name)
{
    emesh_value value = { .size = sizeof value };

    if (api->get(cfg, name, 0, &value) != EMESH_OK || value.text.len == 0)
        return NULL;
    return g_strndup(value.text.ptr, value.text.len);
}

static int32_t
keep_secret(void *ctx, const char *secret, size_t len)
{
    char **out = ctx;

    if (len > 0)
        *out = g_strndup(secret, len);
    return EMESH_OK;
}

static void
read_options(rs_store *s, const emesh_config_api *api, const emesh_config *cfg)
{
    static const uint32_t levels[] = { 0, EMESH_LEVEL_MEMORY, EMESH_LEVEL_OS, EMESH_LEVEL_SYNCED };
    rs_options *opt = &s->opt;

    opt->address = text(api, cfg, "address");
    opt->user = text(api, cfg, "user");
    opt->password_file = text(api, cfg, "password-file");
    api->secret(cfg, "password", keep_secret, &opt->password);
    opt->prefix = text(api, cfg, "prefix");
    if (opt->prefix == NULL)
        opt->prefix = g_strdup("");
    opt->database = (uint64_t)number(api, cfg, "database");
    opt->mode = (uint32_t)number(api, cfg, "mode");
    opt->assume = levels[CLAMP(number(api, cfg, "assume-durability"), 0, 3)];
    opt->quorum = (uint32_t)number(api, cfg, "replicas");
    opt->tls = number(api, cfg, "tls") != 0;
    opt->lease_ms = (uint64_t)number(api, cfg, "lease") / RS_MS;
    opt->timeout_ns = (uint64_t)number(api, cfg, "answer-timeout");
    opt->poll_ns = (uint64_t)number(api, cfg, "poll-interval");
    opt->trim_ns = (uint64_t)number(api, cfg, "retention-interval");
    opt->wait_ns = (uint64_t)number(api, cfg, "reconnect-wait");
    opt->wait_max_ns = (uint64_t)number(api, cfg, "reconnect-wait-max");
    opt->connect_ns = (uint64_t)number(api, cfg, "connect-timeout");
}

static const char *
about(const emesh_host *host, const char *name, uint32_t *len)
{
    for (uint32_t i = 0; i < host->n_about; i++)
        if (host->about[i].name_len == strlen(name) &&
            memcmp(host->about[i].name, name, host->about[i].name_len) == 0) {
            *len = host->about[i].value_len;
            return host->about[i].value;
        }
    *len = 0;
    return "";
}

static emesh_metric *
counter(rs_store *s, const char *name, const char *help)
{
    emesh_metric_spec spec = {
        .size = sizeof spec, .type = EMESH_METRIC_COUNTER, .name = name, .unit = "", .help = help
    };

    return s->mt->metric(s->host, &spec);
}

static void
make_metrics(rs_store *s)
{
    s->m_appended = counter(s, "appended", "Events that the server has taken.");
    s->m_refused = counter(s, "refused", "Events that the server refused, or that may be lost.");
    s->m_read = counter(s, "read", "Events that were read.");
    s->m_taken = counter(s, "taken_over", "Events taken over from daemons that are gone.");
    s->m_trimmed = counter(s, "trimmed", "Events that retention removed.");
    s->m_connects = counter(s, "connects", "Times the connection for commands came up.");
    s->m_foreign = counter(s, "foreign", "Entries that are no CloudEvents.");
    s->m_lost = counter(s, "pubsub_dropped", "Events of Pub/Sub mode that nobody took in time.");
}

static void
make_tables(rs_store *s)
{
    s->topics = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, rs_topic_free);
    s->cursors = g_ptr_array_new();
    s->asks = g_ptr_array_new();
    s->by_key =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    s->channels =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    s->results = g_array_new(FALSE, TRUE, sizeof(emesh_appended));
    s->reasons = g_string_chunk_new(256);
    s->touched = g_hash_table_new(g_str_hash, g_str_equal);
    s->scratch = g_string_chunk_new(4096);
    s->args = g_new0(rs_args, 1);
    s->held = g_array_new(FALSE, TRUE, sizeof(emesh_appended));
    for (uint32_t i = 0; i < RS_SCRIPTS; i++)
        s->sha[i] = rs_script_sha(i);
}

void
rs_eval(rs_store *s, uint32_t script, const char *key)
{
    rs_script_begin(s->args, s->sha[script], key);
}

int32_t
rs_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out, emesh_error *err)
{
    rs_store *s = g_new0(rs_store, 1);
    uint32_t id_len, name_len;
    const char *id = about(host, "daemon-id", &id_len), *name = about(host, "instance", &name_len);

    (void)err;
    s->host = host;
    s->ev = host->service(host, EMESH_EVENT_ID);
    s->st = host->service(host, EMESH_STORE_ID);
    s->lp = host->service(host, EMESH_LOOP_ID);
    s->net = host->service(host, EMESH_NET_ID);
    s->mt = host->service(host, EMESH_METRICS_ID);
    s->name = g_strndup(name, name_len);
    s->me = g_strdup_printf("%.*s.%s", (int)id_len, id, s->name);
    read_options(s, host->service(host, EMESH_CONFIG_ID), cfg);
    rs_facts_init(&s->facts);
    make_tables(s);
    make_metrics(s);
    rs_link_init(&s->data, s, "commands");
    rs_link_init(&s->ear, s, "messages");
    *out = (emesh_instance *)(void *)s;
    return EMESH_OK;
}

void
rs_destroy(emesh_instance *self)
{
    rs_store *s = RS_STORE(self);

    if (s == NULL)
        return;
    rs_link_clear(&s->data);
    rs_link_clear(&s->ear);
    g_hash_table_unref(s->topics);
    g_ptr_array_unref(s->cursors);
    g_ptr_array_unref(s->asks);
    g_hash_table_unref(s->by_key);
    g_hash_table_unref(s->channels);
    g_array_unref(s->results);
    g_string_chunk_free(s->reasons);
    g_string_chunk_free(s->scratch);
    g_hash_table_unref(s->touched);
    rs_args_free(s->args);
    g_array_unref(s->held);
    for (uint32_t i = 0; i < RS_SCRIPTS; i++)
        g_free(s->sha[i]);
    rs_acks_clear(s);
    if (s->opt.password != NULL)
        explicit_bzero(s->opt.password, strlen(s->opt.password));
    if (s->secret != NULL)
        explicit_bzero(s->secret, strlen(s->secret));
    g_free(s->secret);
    g_free(s->opt.password);
    g_free(s->opt.password_file);
    g_free(s->opt.user);
    g_free(s->opt.address);
    g_free(s->opt.prefix);
    g_free(s->name);
    g_free(s->me);
    g_free(s);
}

/* ---- start: [pool] ---- */

static void
start_run(emesh_task *task, int32_t code)
{
    rs_store *s = (rs_store *)(void *)((char *)task - offsetof(rs_store, start_task));
    emesh_op *op = g_steal_pointer(&s->start_op);
    emesh_error err = { .size = sizeof err };
    char *secret = NULL;

    (void)code;
    if (s->opt.password_file != NULL) {
        if (!g_file_get_contents(s->opt.password_file, &secret, NULL, NULL)) {
            code =
                rs_error(&err, EMESH_E_CONFIG, "the file %s cannot be read", s->opt.password_file);
            g_strlcpy(err.option, "password-file", sizeof err.option);
            s->host->complete(s->host, op, code, &err, NULL);
            return;
        }
        g_free(s->opt.password);
        s->opt.password = g_strchomp(secret);
    }
    code = rs_probe(s, &s->facts, &err);
    if (code != EMESH_OK || s->opt.tls) {
        if (code != EMESH_OK)
            s->host->report(s->host, EMESH_HEALTH_DEGRADED, &err);
        /* not known yet: what it gives is told again once it is, and no topic is opened before */
        s->facts.levels =
            1u << EMESH_LEVEL_MEMORY | 1u << EMESH_LEVEL_OS | 1u << EMESH_LEVEL_SYNCED;
    }
    rs_tell_ready(s);
    s->host->complete(s->host, op, EMESH_OK, NULL, NULL);
}

void
rs_start(emesh_instance *self, emesh_op *op)
{
    rs_store *s = RS_STORE(self);

    s->start_op = op;
    s->start_task.run = start_run;
    s->lp->work(s->host, &s->start_task);
}
