/* SPDX-License-Identifier: Apache-2.0
 *
 * Descriptor and options of storage-redis: events in streams of a Redis server.
 */
#include "redis.h"

#define TIME EMESH_OPT_DURATION
#define TEXT EMESH_OPT_TEXT
#define SEC INT64_C(1000000000)

static const emesh_option options[] = {
    { .name = "address",
      .type = EMESH_OPT_ADDRESS,
      .value = "127.0.0.1:6379",
      .help = "Host and port of the server." },
    { .name = "mode",
      .type = EMESH_OPT_CHOICE,
      .value = "streams",
      .choices = "streams|pubsub",
      .help = "streams keeps events; pubsub is what the Java mesh does, where nothing is kept and "
              "every subscriber gets all." },
    { .name = "database",
      .type = EMESH_OPT_INT,
      .value = "0",
      .min = 0,
      .max = 65535,
      .help = "Number of the database." },
    { .name = "user", .type = TEXT, .help = "User of the access control list; none: the default." },
    { .name = "password", .type = TEXT, .must = EMESH_OPT_SECRET, .help = "Password of the user." },
    { .name = "password-file",
      .type = EMESH_OPT_PATH,
      .help = "File with the password; it is read again when the server refuses it." },
    { .name = "tls",
      .type = EMESH_OPT_BOOL,
      .value = "false",
      .help = "Speak TLS with the server, as the keys beginning with tls- say." },
    { .name = "prefix",
      .type = TEXT,
      .value = "emesh:",
      .help = "Begin of the names of all keys and channels; daemons that share a server and their "
              "groups have the same. Pub/Sub mode's channels have none." },
    { .name = "assume-durability",
      .type = EMESH_OPT_CHOICE,
      .value = "ask",
      .choices = "ask|memory|os|synced",
      .help = "Durability of the server; ask: what its appendfsync gives." },
    { .name = "replicas",
      .type = EMESH_OPT_INT,
      .value = "0",
      .min = 0,
      .max = 64,
      .help = "Replicas that must have an event before it is acknowledged (durability quorum); 0: "
              "none." },
    { .name = "lease",
      .type = TIME,
      .value = "15s",
      .min = SEC,
      .max = 3600 * SEC,
      .help = "How long a daemon may be silent before others take over what it had." },
    { .name = "answer-timeout",
      .type = TIME,
      .value = "10s",
      .min = SEC / 10,
      .max = 600 * SEC,
      .help = "Time for an answer, after which the connection is given up." },
    { .name = "poll-interval",
      .type = TIME,
      .value = "1s",
      .min = SEC / 100,
      .max = 60 * SEC,
      .help = "How often is looked for events of writers that wake nobody." },
    { .name = "retention-interval",
      .type = TIME,
      .value = "1m",
      .min = SEC / 10,
      .max = 3600 * SEC,
      .help = "How often what is over its retention is removed." },
};

static const emesh_option_group groups[] = { { "emesh.dial/1", "" } };

static const emesh_life_ops life = {
    .size = sizeof life,
    .create = rs_create,
    .start = rs_start,
    .attach = rs_attach,
    .drain = rs_drain,
    .detach = rs_detach,
    .destroy = rs_destroy,
};

static const emesh_storage_ops ops = {
    .size = sizeof ops,
    .topic_open = rs_topic_open,
    .topic_close = rs_topic_close,
    .admin = rs_admin,
    .append = rs_append,
    .open = rs_open,
    .begin = rs_begin,
    .release = rs_release,
    .want = rs_want,
    .commit = rs_commit,
    .close = rs_close,
};

static const emesh_need needs[] = {
    EMESH_NEED(EMESH_CONFIG_ID, emesh_config_api, secret),
    EMESH_NEED(EMESH_EVENT_ID, emesh_event_api, encode),
    EMESH_NEED(EMESH_LOOP_ID, emesh_loop_api, timer_end),
    EMESH_NEED(EMESH_METRICS_ID, emesh_metrics_api, record),
    EMESH_NEED(EMESH_NET_ID, emesh_net_api, close),
    EMESH_NEED(EMESH_STORE_ID, emesh_store_api, replied),
};

static const emesh_component redis = {
    .size = sizeof redis,
    .option_size = sizeof(emesh_option),
    .claims = RS_CLAIMS,
    .kind = EMESH_STORAGE_KIND,
    .name = "storage-redis",
    .summary = "events in streams of a Redis server, shared by several daemons",
    .life = &life,
    .ops = &ops,
    .options = options,
    .groups = groups,
    .needs = needs,
    .n_options = sizeof options / sizeof options[0],
    .n_groups = sizeof groups / sizeof groups[0],
    .n_needs = sizeof needs / sizeof needs[0],
    .lanes = EMESH_LANES_HOME,
};

static const emesh_component *const components[] = { &redis };
static const emesh_layout layout = EMESH_LAYOUT;
static const emesh_plugin plugin = {
    .size = sizeof plugin,
    .abi_minor = EMESH_ABI_MINOR,
    .n_components = 1,
    .id = "eventmesh.storage-redis",
    .version = "0.1.0",
    .licence = "Apache-2.0",
    .vendor = "EventMesh",
    .summary = "Redis as an event store",
    .components = components,
    .layout = &layout,
};
EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    (void)host_minor;
    return &plugin;
}
