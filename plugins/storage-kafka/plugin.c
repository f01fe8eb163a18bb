/* SPDX-License-Identifier: Apache-2.0
 *
 * Descriptor and options of storage-kafka: events rest in topics of a Kafka cluster.
 */
#include "kafka.h"

#define TIME EMESH_OPT_DURATION
#define SEC INT64_C(1000000000)

static const emesh_option options[] = {
    { .name = "bootstrap-servers", .type = EMESH_OPT_TEXT, .value = "127.0.0.1:9092",
      .help = "Brokers to ask for the others: HOST:PORT, several with commas between." },
    { .name = "security", .type = EMESH_OPT_CHOICE, .value = "plaintext",
      .choices = "plaintext|tls|sasl-plaintext|sasl-tls",
      .help = "How brokers are spoken to." },
    { .name = "sasl-mechanism", .type = EMESH_OPT_CHOICE, .value = "scram-sha-512",
      .choices = "plain|scram-sha-256|scram-sha-512",
      .help = "How the daemon shows who it is, with security = sasl-…" },
    { .name = "sasl-username", .type = EMESH_OPT_TEXT, .help = "Its name there." },
    { .name = "sasl-password", .type = EMESH_OPT_TEXT, .must = EMESH_OPT_SECRET,
      .help = "Its password there." },
    { .name = "tls-ca", .type = EMESH_OPT_PATH,
      .help = "Certificates of the authorities that brokers are trusted by; without it the "
              "system's." },
    { .name = "tls-certificate", .type = EMESH_OPT_PATH,
      .help = "Certificate that the daemon shows to brokers." },
    { .name = "tls-key", .type = EMESH_OPT_PATH, .help = "Key of tls-certificate." },
    { .name = "tls-key-password", .type = EMESH_OPT_TEXT, .must = EMESH_OPT_SECRET,
      .help = "Password of tls-key." },
    { .name = "replication-factor", .type = EMESH_OPT_INT, .value = "0", .max = 32,
      .help = "Replicas of topics that the daemon creates; 0: the broker's default." },
    { .name = "record-key", .type = EMESH_OPT_BOOL, .value = "on",
      .help = "The attribute partitionkey is also the key of the record." },
    { .name = "publish-timeout", .type = TIME, .value = "30s", .min = SEC, .max = 900 * SEC,
      .help = "How long a publish waits for the broker before its outcome counts as unknown." },
    { .name = "session-timeout", .type = TIME, .value = "10s", .min = 6 * SEC, .max = 300 * SEC,
      .help = "When a daemon that died loses what it read to others." },
    { .name = "leave-after", .type = TIME, .value = "30s", .min = 0, .max = 3600 * SEC,
      .help = "How long the daemon stays in the broker's group behind its last subscriber." },
    { .name = "max-groups", .type = EMESH_OPT_INT, .value = "200", .min = 1, .max = 2000,
      .help = "Groups with subscribers here; each takes a client with about 7 threads." },
    { .name = "librdkafka.*", .type = EMESH_OPT_MAP, .must = EMESH_OPT_SECRET,
      .choices = "*password*|*.key.pem|*secret*|sasl.oauthbearer.config",
      .help = "Any property of librdkafka, as librdkafka.linger.ms = 5." },
};

static const emesh_life_ops life = {
    .size = sizeof life,
    .create = kf_create,
    .start = kf_start,
    .attach = kf_attach,
    .detach = kf_detach,
    .stop = kf_stop,
    .destroy = kf_destroy,
};

static const emesh_storage_ops ops = {
    .size = sizeof ops,
    .topic_open = kf_topic_open,
    .topic_close = kf_topic_close,
    .admin = kf_admin,
    .append = kf_append,
    .open = kf_open,
    .begin = kf_begin,
    .release = kf_release,
    .want = kf_want,
    .commit = kf_commit,
    .close = kf_close,
};

static const emesh_need needs[] = {
    EMESH_NEED(EMESH_CONFIG_ID, emesh_config_api, secret),
    EMESH_NEED(EMESH_EVENT_ID, emesh_event_api, encode),
    EMESH_NEED(EMESH_LOOP_ID, emesh_loop_api, work),
    EMESH_NEED(EMESH_METRICS_ID, emesh_metrics_api, record),
    EMESH_NEED(EMESH_STORE_ID, emesh_store_api, replied),
};

static const emesh_component kafka = {
    .size = sizeof kafka,
    .option_size = sizeof(emesh_option),
    .claims = KF_CLAIMS,
    .kind = EMESH_STORAGE_KIND,
    .name = "storage-kafka",
    .summary = "events in topics of a Kafka cluster, shared by several daemons",
    .life = &life,
    .ops = &ops,
    .options = options,
    .needs = needs,
    .n_options = G_N_ELEMENTS(options),
    .n_needs = G_N_ELEMENTS(needs),
    .lanes = EMESH_LANES_WORKERS,
};

static const emesh_component *const components[] = { &kafka };
static const emesh_layout layout = EMESH_LAYOUT;
static const emesh_plugin plugin = {
    .size = sizeof plugin,
    .abi_minor = EMESH_ABI_MINOR,
    .n_components = 1,
    .id = "eventmesh.storage-kafka",
    .version = "0.1.0",
    .licence = "Apache-2.0",
    .vendor = "EventMesh",
    .summary = "Kafka as an event store",
    .components = components,
    .layout = &layout,
};
EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    (void)host_minor;
    return &plugin;
}
