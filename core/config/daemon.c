/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's own options: [daemon], normally in 00-eventmesh.conf.
 */
#include "admin.h"
#include "conf.h"
#include "eventmesh/host.h"
#include <string.h>

#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

static const emesh_option daemon_options[] = {
    { .name = "workers", .type = EMESH_OPT_INT, .value = "0", .max = 1024,
      .help = "Threads that carry connections and events; 0 is one for each core." },
    { .name = "log-level", .type = EMESH_OPT_CHOICE, .value = "notice",
      .choices = "error|warning|notice|info|debug", .may = EMESH_OPT_LIVE,
      .help = "Least important record that is logged." },
    { .name = "admin-listen", .type = EMESH_OPT_ADDRESS, .must = EMESH_OPT_REPEATED,
      .help = "Address and port of the HTTP administration, which is off without; port 0 takes any "
              "free one, a second line a second address." },
    { .name = "admin-token-file", .type = EMESH_OPT_PATH,
      .help = "File with the token that the HTTP administration asks for, 16 to 512 characters; "
              "nobody but the daemon's user, its group and root may read it." },
    { .name = "admin-probes-open", .type = EMESH_OPT_BOOL, .value = "false",
      .help = "Answer /healthz and /readyz without the token, in less detail." },
    { .name = "admin-insecure", .type = EMESH_OPT_BOOL, .value = "false",
      .help = "Allow an admin-listen beyond this machine without TLS; token and answers can be read "
              "on the way." },
    { .name = "admin-tls-certificate", .type = EMESH_OPT_PATH,
      .help = "PEM file of the certificate and its chain; makes every admin-listen TLS." },
    { .name = "admin-tls-key", .type = EMESH_OPT_PATH,
      .help = "PEM file of the certificate's key." },
    { .name = "admin-tls-client-ca", .type = EMESH_OPT_PATH,
      .help = "PEM file of the authorities whose client certificates are trusted." },
    { .name = "admin-tls-client-required", .type = EMESH_OPT_BOOL, .value = "false",
      .help = "Refuse clients of the administration without a trusted certificate." },
    { .name = "admin-max-connections", .type = EMESH_OPT_INT, .value = "64", .min = 1,
      .max = 10000, .help = "Connections to admin-listen at a time; further ones are told so." },
    { .name = "admin-max-input", .type = EMESH_OPT_SIZE, .value = "2MiB", .min = 4 * KIB,
      .max = 64 * MIB, .help = "Bytes of the largest body of a request to admin-listen." },
    { .name = "admin-handshake-timeout", .type = EMESH_OPT_DURATION, .value = "10s",
      .min = 100000000, .max = INT64_C(3600) * 1000000000,
      .help = "Time for the TLS handshake, and then for a whole request to come in." },
    { .name = "admin-idle-timeout", .type = EMESH_OPT_DURATION, .value = "1m", .min = 100000000,
      .max = INT64_C(3600) * 1000000000,
      .help = "Close a connection whose answer is not read for so long." },
    { .name = "journal-size", .type = EMESH_OPT_SIZE, .value = "256MiB", .min = 4 * MIB,
      .max = 64 * GIB,
      .help = "Most disk space of the decision journal, DATA/core/journal; it grows as it is "
              "used." },
    { .name = "journal-sample", .type = EMESH_OPT_INT, .value = "1024", .min = 0, .max = 1 << 30,
      .help = "One of so many events is journalled at every stage of its way, rounded up to a "
              "power of two; 0 is none. The same on all daemons, so that they tell of the same "
              "events." },
    { .name = "no-progress-after", .type = EMESH_OPT_DURATION, .value = "60s", .min = 0,
      .max = INT64_C(86400) * 1000000000,
      .help = "A group whose members are ready while events wait and nothing moves for so long "
              "is a finding; 0 looks for none." },
    { .name = "publisher-events", .type = EMESH_OPT_INT, .value = "256", .min = 1, .max = 1000000,
      .help = "Events of one session without acknowledgement at which its publishing is paused." },
    { .name = "publisher-bytes", .type = EMESH_OPT_SIZE, .value = "1MiB", .min = 4 * KIB,
      .max = GIB, .help = "The same in bytes." },
    { .name = "append-queue", .type = EMESH_OPT_SIZE, .value = "64MiB", .min = MIB, .max = 64 * GIB,
      .help = "Bytes of all sessions that wait for their stores." },
    { .name = "session-memory", .type = EMESH_OPT_SIZE, .value = "512MiB", .min = 64 * KIB,
      .max = INT64_MAX,
      .help = "Bytes buffered for all connections of all listeners together." },
    { .name = "window-events", .type = EMESH_OPT_INT, .value = "4096", .min = 1, .max = 1000000,
      .help = "Events of one partition that a group has read and not yet settled." },
    { .name = "window-bytes", .type = EMESH_OPT_SIZE, .value = "16MiB", .min = 4 * KIB,
      .max = 64 * GIB, .help = "The same in bytes." },
    { .name = "total-window-events", .type = EMESH_OPT_INT, .value = "1000000", .min = 64,
      .max = 100000000,
      .help = "Events that all groups together have read and not yet settled; at it each reads on "
              "only while it has fewer than 64." },
    { .name = "total-window-bytes", .type = EMESH_OPT_SIZE, .value = "256MiB", .min = MIB,
      .max = 1024 * GIB, .help = "The same in bytes; at it, while it has less than 64 KiB." },
    { .name = "credit-events", .type = EMESH_OPT_INT, .value = "1024", .min = 1, .max = 1000000,
      .help = "Most events that one session holds unacknowledged." },
    { .name = "credit-bytes", .type = EMESH_OPT_SIZE, .value = "4MiB", .min = 4 * KIB,
      .max = 64 * GIB, .help = "The same in bytes." },
    { .name = "turn-events", .type = EMESH_OPT_INT, .value = "64", .min = 1, .max = 1000000,
      .help = "Events that a group is offered before the others have their turn." },
    { .name = "turn-bytes", .type = EMESH_OPT_SIZE, .value = "64KiB", .min = KIB, .max = GIB,
      .help = "The same in bytes." },
    { .name = "turn-time", .type = EMESH_OPT_DURATION, .value = "200us", .min = 1000,
      .max = 1000000000, .help = "The same in time." },
    { .name = "drain-timeout", .type = EMESH_OPT_DURATION, .value = "30s",
      .max = INT64_C(3600) * 1000000000,
      .help = "How long a stop waits for acknowledgements of what was delivered." },
    { .name = "request-wait", .type = EMESH_OPT_DURATION, .value = "3s", .min = 1000000,
      .max = INT64_C(3600) * 1000000000,
      .help = "How long a reply is awaited for a request that has no ttl." },
    { .name = "request-wait-most", .type = EMESH_OPT_DURATION, .value = "10m", .min = 1000000,
      .max = INT64_C(3600) * 1000000000,
      .help = "How long a reply is awaited at most, whatever ttl a request has." },
    { .name = "requests", .type = EMESH_OPT_INT, .value = "65536", .min = 1, .max = 1000000,
      .help = "Requests of all sessions that wait for their replies; more are refused." },
    { .name = "session-requests", .type = EMESH_OPT_INT, .value = "1024", .min = 1,
      .max = 1000000, .help = "Requests of one session that wait for their replies." },
};

const emesh_option *
emesh_daemon_option_table(uint32_t *n)
{
    *n = G_N_ELEMENTS(daemon_options);
    return daemon_options;
}

emesh_config *
emesh_daemon_config_new(const emesh_conf_section *section, emesh_problems *problems)
{
    const emesh_config_source source = { .section = section };
    emesh_config *config = emesh_config_build(&source, daemon_options,
                                              G_N_ELEMENTS(daemon_options), sizeof(emesh_option),
                                              NULL, 0, problems);
    emesh_admin_listen_judge(config, problems);
    return config;
}

bool
emesh_daemon_options_read(const emesh_conf *conf, emesh_daemon_options *out, GError **error)
{
    (void)error; /* emesh_conf_load() has refused what is wrong */
    const emesh_config *config = emesh_conf_daemon_config(conf);
    *out = (emesh_daemon_options){
        .workers = (uint32_t)emesh_config_number(config, NULL, "workers"),
        .log_level = EMESH_LOG_ERROR + (uint32_t)emesh_config_number(config, NULL, "log-level"),
        .journal_size = (uint64_t)emesh_config_number(config, NULL, "journal-size"),
        .journal_sample = (uint32_t)emesh_config_number(config, NULL, "journal-sample"),
        .no_progress_ns = (uint64_t)emesh_config_number(config, NULL, "no-progress-after"),
        .publisher_events = (uint32_t)emesh_config_number(config, NULL, "publisher-events"),
        .publisher_bytes = (uint64_t)emesh_config_number(config, NULL, "publisher-bytes"),
        .append_queue = (uint64_t)emesh_config_number(config, NULL, "append-queue"),
        .session_memory = (uint64_t)emesh_config_number(config, NULL, "session-memory"),
        .window_events = (uint32_t)emesh_config_number(config, NULL, "window-events"),
        .window_bytes = (uint64_t)emesh_config_number(config, NULL, "window-bytes"),
        .total_window_events =
            (uint64_t)emesh_config_number(config, NULL, "total-window-events"),
        .total_window_bytes = (uint64_t)emesh_config_number(config, NULL, "total-window-bytes"),
        .turn_events = (uint32_t)emesh_config_number(config, NULL, "turn-events"),
        .turn_bytes = (uint64_t)emesh_config_number(config, NULL, "turn-bytes"),
        .turn_ns = (uint64_t)emesh_config_number(config, NULL, "turn-time"),
        .credit_events = (uint32_t)emesh_config_number(config, NULL, "credit-events"),
        .credit_bytes = (uint64_t)emesh_config_number(config, NULL, "credit-bytes"),
        .drain_timeout_ns = (uint64_t)emesh_config_number(config, NULL, "drain-timeout"),
        .request_wait_ns = (uint64_t)emesh_config_number(config, NULL, "request-wait"),
        .request_wait_most_ns = (uint64_t)emesh_config_number(config, NULL, "request-wait-most"),
        .requests = (uint32_t)emesh_config_number(config, NULL, "requests"),
        .session_requests = (uint32_t)emesh_config_number(config, NULL, "session-requests"),
    };
    return true;
}
