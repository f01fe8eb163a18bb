/* SPDX-License-Identifier: Apache-2.0
 *
 * What protocol-http tells about itself: the EventMesh HTTP API as its clients of 1.2 to 1.12 speak
 * it, CloudEvents over HTTP, and pushing to webhooks.
 */
#include "http.h"

#define NS INT64_C(1000000000)
#define KIB INT64_C(1024)

static const emesh_option options[] = {
    { .name = "max-event",
      .value = "1MiB",
      .help = "The most bytes of one event's data; more is answered with 413, or with retCode 8.",
      .type = EMESH_OPT_SIZE,
      .min = 1024,
      .max = 256 * KIB * KIB,
      .since = 1 },
    { .name = "max-batch",
      .value = "256",
      .help = "The most events of one batch.",
      .type = EMESH_OPT_INT,
      .min = 1,
      .max = 4096,
      .since = 1 },
    { .name = "rate-limit",
      .value = "0",
      .help = "Events a second that all clients together may publish; more are answered with 429, "
              "or with retCode 23. 0 is no limit.",
      .type = EMESH_OPT_INT,
      .max = 100000000,
      .since = 1 },
    { .name = "batch-rate-limit",
      .value = "0",
      .help = "The same of the codes 102 and 107 alone, which rate-limit does not count; more are "
              "answered with retCode 12. 0 is no limit.",
      .type = EMESH_OPT_INT,
      .max = 100000000,
      .since = 1 },
    { .name = "request-timeout",
      .value = "30s",
      .help = "Time for a request to come whole, and for its answer to be read.",
      .type = EMESH_OPT_DURATION,
      .min = NS / 10,
      .max = 3600 * NS,
      .since = 1 },
    { .name = "keep-alive",
      .value = "5m",
      .help = "A connection without request is closed after this time; an idle-timeout that is "
              "given is meant alike.",
      .type = EMESH_OPT_DURATION,
      .min = NS / 10,
      .max = 86400 * NS,
      .since = 1 },
    { .name = "publish-timeout",
      .value = "30s",
      .help = "A publish without result from its store is answered as of unknown outcome after "
              "this time.",
      .type = EMESH_OPT_DURATION,
      .min = NS / 10,
      .max = 3600 * NS,
      .since = 1 },
    { .name = "queue-timeout",
      .value = "5s",
      .help = "A publish that the mesh has no room for is answered with 429 after this time.",
      .type = EMESH_OPT_DURATION,
      .max = 600 * NS,
      .since = 1 },
    { .name = "lenient",
      .value = "false",
      .help = "Take a ce- header as it is when its percent-encoding does not decode, instead of "
              "refusing it.",
      .type = EMESH_OPT_BOOL,
      .since = 1 },
    { .name = "cluster",
      .value = "COMMON",
      .help = "What answers and pushes say in eventmeshcluster.",
      .type = EMESH_OPT_TEXT,
      .since = 1 },
    { .name = "env",
      .value = "PRD",
      .help = "What answers and pushes say in eventmeshenv.",
      .type = EMESH_OPT_TEXT,
      .since = 1 },
    { .name = "idc",
      .value = "DEFAULT",
      .help = "Data centre of this daemon: eventmeshidc; webhooks of clients in it come first, and "
              "are asked in the name of eventmesh.IDC.",
      .type = EMESH_OPT_TEXT,
      .since = 1 },
    { .name = "advertise",
      .help =
          "Where other meshes find this listener, as http://mesh.example:10105; without it, the "
          "address that their request came to.",
      .type = EMESH_OPT_URL,
      .since = 1 },
    { .name = "webhook.*",
      .choices = "*.secret",
      .help =
          "A webhook that is received here: webhook.NAME.path (below /webhook/), .topic, .source, "
          ".type, .kind (generic or github) and .secret (for X-Hub-Signature-256).",
      .type = EMESH_OPT_MAP,
      .must = EMESH_OPT_SECRET,
      .since = 1 },
    { .name = "push-timeout",
      .value = "5s",
      .help = "Time for a webhook to answer.",
      .type = EMESH_OPT_DURATION,
      .min = NS / 100,
      .max = 600 * NS,
      .since = 1 },
    { .name = "push-concurrency",
      .value = "8",
      .help = "The most events that one webhook has without answer.",
      .type = EMESH_OPT_INT,
      .min = 1,
      .max = 1024,
      .since = 1 },
    { .name = "push-allow",
      .help = "Network that may be pushed to, as 10.0.0.0/8; without such a line every one may.",
      .type = EMESH_OPT_TEXT,
      .must = EMESH_OPT_REPEATED,
      .since = 1 },
    { .name = "push-deny",
      .value = "169.254.0.0/16",
      .help =
          "Network that may not be pushed to, whatever push-allow says; where clouds keep their "
          "secrets, unless others are given.",
      .type = EMESH_OPT_TEXT,
      .must = EMESH_OPT_REPEATED,
      .since = 1 },
    { .name = "push-handshake",
      .value = "true",
      .help = "Ask a webhook by OPTIONS before the first push; one that names another origin than "
              "ours is refused.",
      .type = EMESH_OPT_BOOL,
      .since = 1 },
    { .name = "poll-lease",
      .value = "30s",
      .help = "An event that was polled and not acknowledged comes again after this time.",
      .type = EMESH_OPT_DURATION,
      .min = NS / 10,
      .max = 86400 * NS,
      .since = 1 },
    { .name = "subscription-expiry",
      .value = "0",
      .help = "A webhook that neither subscribes nor sends a heartbeat for this long is forgotten; "
              "0 is never.",
      .type = EMESH_OPT_DURATION,
      .max = 7 * 86400 * NS,
      .since = 1 },
};

static const emesh_option_group groups[] = { { "emesh.listen/1", "" },
                                             { "emesh.dial/1", "push-" } };
static const emesh_need needs[] = {
    EMESH_NEED(EMESH_CONFIG_ID, emesh_config_api, get),
    EMESH_NEED(EMESH_LOOP_ID, emesh_loop_api, timer_end),
    EMESH_NEED(EMESH_STATE_ID, emesh_state_api, read),
    EMESH_NEED(EMESH_EVENT_ID, emesh_event_api, encode),
    EMESH_NEED(EMESH_NET_ID, emesh_net_api, listener),
    EMESH_NEED(EMESH_CLIENT_ID, emesh_client_api, refuse),
    EMESH_NEED(EMESH_METRICS_ID, emesh_metrics_api, record),
    EMESH_NEED(EMESH_GLIB_ID, emesh_glib_api, adopt),
};

static const emesh_component component = {
    .size = sizeof component,
    .option_size = sizeof(emesh_option),
    .claims = EMESH_PROTOCOL_CAN_SUBSCRIBE | EMESH_PROTOCOL_CAN_REQUEST |
              EMESH_PROTOCOL_CAN_PUSH_HTTP,
    .kind = EMESH_PROTOCOL_KIND,
    .name = "protocol-http",
    .summary = "EventMesh HTTP API, CloudEvents over HTTP, webhooks",
    .life = &http_life,
    .ops = &http_protocol,
    .options = options,
    .groups = groups,
    .needs = needs,
    .n_options = sizeof options / sizeof *options,
    .n_groups = sizeof groups / sizeof *groups,
    .n_needs = sizeof needs / sizeof *needs,
    .lanes = EMESH_LANES_GLIB,
};
static const emesh_component *const components[] = { &component };
static const emesh_layout layout = EMESH_LAYOUT;
static const emesh_plugin plugin = {
    .size = sizeof plugin,
    .abi_minor = EMESH_ABI_MINOR,
    .n_components = 1,
    .id = "eventmesh.protocol-http",
    .version = "1.0.0",
    .licence = "Apache-2.0",
    .vendor = "EventMesh",
    .summary = "EventMesh HTTP API, CloudEvents over HTTP, webhooks",
    .components = components,
    .layout = &layout,
};
EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    (void)host_minor;
    return &plugin;
}
