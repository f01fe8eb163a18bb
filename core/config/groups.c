/* SPDX-License-Identifier: Apache-2.0
 *
 * Option groups that the host owns and mixes in: one meaning of listeners, TLS and outgoing
 * connections for every plugin.
 */
#include "options.h"
#include <string.h>

#define LISTEN_ID "emesh.listen/1"
#define DIAL_ID "emesh.dial/1"
#define SECOND INT64_C(1000000000)
#define KIB INT64_C(1024)

static const emesh_option listen_options[] = {
    { .name = "listen", .type = EMESH_OPT_ADDRESS, .must = EMESH_OPT_REPEATED,
      .help = "Address and port to listen on; port 0 takes any free one, a second line a second "
              "address." },
    { .name = "tls-certificate", .type = EMESH_OPT_PATH,
      .help = "PEM file of the certificate and its chain; makes every listen address TLS." },
    { .name = "tls-key", .type = EMESH_OPT_PATH, .help = "PEM file of the certificate's key." },
    { .name = "tls-client-ca", .type = EMESH_OPT_PATH,
      .help = "PEM file of the authorities whose client certificates are trusted." },
    { .name = "tls-client-required", .type = EMESH_OPT_BOOL, .value = "false",
      .help = "Refuse clients without a trusted certificate." },
    { .name = "max-connections", .type = EMESH_OPT_INT, .value = "10000", .min = 1, .max = 10000000,
      .help = "Connections at a time; further ones are told so and closed." },
    { .name = "max-memory", .type = EMESH_OPT_SIZE, .value = "256MiB", .min = 64 * KIB,
      .max = INT64_MAX, .help = "Bytes buffered for all connections of the listener." },
    { .name = "max-input", .type = EMESH_OPT_SIZE, .value = "8MiB", .min = 4 * KIB,
      .max = 1024 * KIB * KIB, .help = "Bytes of the largest frame or request a connection may "
                                       "send." },
    { .name = "output-mark", .type = EMESH_OPT_SIZE, .value = "256KiB", .min = 4 * KIB,
      .max = 1024 * KIB * KIB,
      .help = "Bytes waiting to be sent above which a connection is not read from." },
    { .name = "handshake-timeout", .type = EMESH_OPT_DURATION, .value = "10s",
      .min = SECOND / 10, .max = 3600 * SECOND,
      .help = "Time for the TLS handshake, for the first byte, and for the first message." },
    { .name = "idle-timeout", .type = EMESH_OPT_DURATION, .value = "0",
      .help = "Close a connection without traffic after this time; 0 leaves it to the protocol." },
};

static const emesh_option dial_options[] = {
    { .name = "tls-ca", .type = EMESH_OPT_PATH,
      .help = "PEM file of the authorities to trust instead of the system's." },
    { .name = "tls-certificate", .type = EMESH_OPT_PATH,
      .help = "PEM file of the certificate shown to the peer." },
    { .name = "tls-key", .type = EMESH_OPT_PATH, .help = "PEM file of the certificate's key." },
    { .name = "tls-verify", .type = EMESH_OPT_BOOL, .value = "true",
      .help = "Check the peer's certificate and name; false is for tests only." },
    { .name = "connect-timeout", .type = EMESH_OPT_DURATION, .value = "10s", .min = SECOND / 100,
      .max = 3600 * SECOND, .help = "Time for name look-up, connection and TLS handshake." },
    { .name = "reconnect-wait", .type = EMESH_OPT_DURATION, .value = "1s", .min = SECOND / 1000,
      .max = 3600 * SECOND,
      .help = "Wait before the first new try; doubled with each further one." },
    { .name = "reconnect-wait-max", .type = EMESH_OPT_DURATION, .value = "1m",
      .min = SECOND / 1000, .max = 24 * 3600 * SECOND, .help = "Longest wait between two tries." },
};

const emesh_option *
emesh_option_group_table(const char *id, uint32_t *n)
{
    if (g_strcmp0(id, LISTEN_ID) == 0) {
        *n = G_N_ELEMENTS(listen_options);
        return listen_options;
    }
    if (g_strcmp0(id, DIAL_ID) == 0) {
        *n = G_N_ELEMENTS(dial_options);
        return dial_options;
    }
    *n = 0;
    return NULL;
}

/* prefix + name was given, prefix + needed was not. */
static void
need(const emesh_config *config, const char *prefix, const char *name, const char *needed,
     emesh_problems *problems)
{
    const emesh_config_value *value = emesh_config_first(config, prefix, name);
    if (value == NULL || emesh_config_first(config, prefix, needed) != NULL)
        return;
    g_autofree char *key = g_strconcat(prefix, name, NULL);
    emesh_problems_add(problems, value->origin, key, "needs %s%s as well", prefix, needed);
}

static void
refuse_same_address(const emesh_config_option *listen, emesh_problems *problems)
{
    for (uint32_t i = 1; i < listen->values->len; i++) {
        const emesh_config_value *value = &g_array_index(listen->values, emesh_config_value, i);
        for (uint32_t j = 0; j < i; j++) {
            const emesh_config_value *other = &g_array_index(listen->values, emesh_config_value, j);
            if (value->i != 0 && strcmp(value->text, other->text) == 0)
                emesh_problems_add(problems, value->origin, listen->option.name,
                                   "\"%s\" is given twice; first in %s", value->text,
                                   other->origin);
        }
    }
}

static void
finish_listen(emesh_config *config, const char *prefix, emesh_problems *problems)
{
    need(config, prefix, "tls-certificate", "tls-key", problems);
    need(config, prefix, "tls-key", "tls-certificate", problems);
    need(config, prefix, "tls-client-ca", "tls-certificate", problems);
    if (emesh_config_number(config, prefix, "tls-client-required") != 0)
        need(config, prefix, "tls-client-required", "tls-client-ca", problems);

    g_autofree char *name = g_strconcat(prefix, "listen", NULL);
    const emesh_config_option *listen = emesh_config_find(config, name);
    refuse_same_address(listen, problems);

    const uint32_t n = listen->values->len;
    emesh_config_listener listener = { .prefix = g_string_chunk_insert(config->names, prefix),
                                       .addresses = g_new0(const char *, n + 1),
                                       .origins = g_new0(const char *, n + 1) };
    for (uint32_t i = 0; i < n; i++) {
        const emesh_config_value *value = &g_array_index(listen->values, emesh_config_value, i);
        listener.addresses[i] = value->text;
        listener.origins[i] = value->origin;
    }
    listener.spec = (emesh_listen_spec){
        .addresses = listener.addresses,
        .origins = listener.origins,
        .n_addresses = n,
        .tls_certificate = emesh_config_text(config, prefix, "tls-certificate"),
        .tls_key = emesh_config_text(config, prefix, "tls-key"),
        .tls_client_ca = emesh_config_text(config, prefix, "tls-client-ca"),
        .tls_client_required = emesh_config_number(config, prefix, "tls-client-required") != 0,
        .max_connections = (uint32_t)emesh_config_number(config, prefix, "max-connections"),
        .max_memory = (uint64_t)emesh_config_number(config, prefix, "max-memory"),
        .max_input = (uint32_t)emesh_config_number(config, prefix, "max-input"),
        .output_mark = (uint32_t)emesh_config_number(config, prefix, "output-mark"),
        .handshake_ns = (uint64_t)emesh_config_number(config, prefix, "handshake-timeout"),
        .idle_ns = (uint64_t)emesh_config_number(config, prefix, "idle-timeout"),
    };
    g_array_append_val(config->listeners, listener);
}

static void
finish_dial(const emesh_config *config, const char *prefix, emesh_problems *problems)
{
    need(config, prefix, "tls-certificate", "tls-key", problems);
    need(config, prefix, "tls-key", "tls-certificate", problems);
    const emesh_config_value *most = emesh_config_first(config, prefix, "reconnect-wait-max");
    if (emesh_config_number(config, prefix, "reconnect-wait") > most->i) {
        g_autofree char *key = g_strconcat(prefix, "reconnect-wait-max", NULL);
        emesh_problems_add(problems, most->origin, key, "\"%s\" is below %sreconnect-wait",
                           most->text, prefix);
    }
}

void
emesh_groups_finish(emesh_config *config, const emesh_option_group *groups, uint32_t n_groups,
                    emesh_problems *problems)
{
    for (uint32_t g = 0; g < n_groups; g++) {
        const char *prefix = groups[g].prefix != NULL ? groups[g].prefix : "";
        if (strcmp(groups[g].id, LISTEN_ID) == 0)
            finish_listen(config, prefix, problems);
        else
            finish_dial(config, prefix, problems);
    }
}

bool
emesh_config_listen(const emesh_config *config, const char *prefix, emesh_listen_spec *spec)
{
    for (uint32_t i = 0; i < config->listeners->len; i++) {
        const emesh_config_listener *listener =
            &g_array_index(config->listeners, emesh_config_listener, i);
        if (strcmp(listener->prefix, prefix != NULL ? prefix : "") != 0)
            continue;
        *spec = listener->spec;
        return spec->n_addresses > 0;
    }
    return false;
}

void
emesh_config_dial(const emesh_config *config, const char *prefix, emesh_dial_spec *spec)
{
    const emesh_config_value *verify = emesh_config_first(config, prefix, "tls-verify");
    const emesh_config_value *connect = emesh_config_first(config, prefix, "connect-timeout");
    *spec = (emesh_dial_spec){ .tls_verify = verify == NULL || verify->i != 0,
                               .connect_ns = connect != NULL ? (uint64_t)connect->i : 10 * SECOND };
    if (connect == NULL) /* not mixed in: a listener's certificate is not for dialling */
        return;
    spec->tls_ca = emesh_config_text(config, prefix, "tls-ca");
    spec->tls_certificate = emesh_config_text(config, prefix, "tls-certificate");
    spec->tls_key = emesh_config_text(config, prefix, "tls-key");
}
