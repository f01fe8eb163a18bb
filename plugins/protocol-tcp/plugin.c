/* SPDX-License-Identifier: Apache-2.0
 *
 * What protocol-tcp tells about itself: the EventMesh TCP protocol as the SDKs of 1.2 to 1.12
 * speak it.
 */
#include "instance.h"

static const emesh_option options[] = {
    { .name = "session-expiry",
      .value = "90s",
      .help = "A connection that sends no whole frame for this long is closed; SDKs send a "
              "heartbeat every 30 seconds.",
      .type = EMESH_OPT_DURATION,
      .min = 1000000000,
      .max = 86400000000000,
      .since = 1 },
    { .name = "ack-timeout",
      .value = "15m",
      .help = "A push without acknowledgement for this long goes to another member of the group; "
              "0 means never.",
      .type = EMESH_OPT_DURATION,
      .max = 604800000000000,
      .since = 1 },
    { .name = "window",
      .value = "1024",
      .help = "The most pushes without acknowledgement that one subscription of a session holds.",
      .type = EMESH_OPT_INT,
      .min = 1,
      .max = 65536,
      .since = 1 },
    { .name = "window-bytes",
      .value = "4MiB",
      .help = "The most bytes of events without acknowledgement that one subscription of a "
              "session holds.",
      .type = EMESH_OPT_SIZE,
      .min = 4096,
      .max = 1073741824,
      .since = 1 },
    { .name = "max-subscriptions",
      .value = "1024",
      .help = "The most topics one session may subscribe to.",
      .type = EMESH_OPT_INT,
      .min = 1,
      .max = 65536,
      .since = 1 },
    { .name = "rate-limit",
      .value = "0",
      .help = "Publishes and requests a second of all connections; more are answered with code 1. "
              "0 means no limit.",
      .type = EMESH_OPT_INT,
      .max = 100000000,
      .since = 1 },
    { .name = "session-rate-limit",
      .value = "0",
      .help = "Publishes and requests a second of one connection; who sends more is read from more "
              "slowly. 0 means no limit.",
      .type = EMESH_OPT_INT,
      .max = 100000000,
      .since = 1 },
    { .name = "recommend",
      .help = "Address that RECOMMEND is answered with; of several, each in turn. Without it, code 1.",
      .type = EMESH_OPT_ADDRESS,
      .must = EMESH_OPT_REPEATED,
      .since = 1 },
    { .name = "push-flavour",
      .value = "learned",
      .choices = "learned|publisher|eventmeshmessage|cloudevents",
      .help = "How events are pushed: as the client itself has published before (learned), as the "
              "publisher sent them, or always in one flavour.",
      .type = EMESH_OPT_CHOICE,
      .since = 1 },
};

static const emesh_option_group groups[] = { { "emesh.listen/1", "" } };
static const emesh_need needs[] = {
    EMESH_NEED(EMESH_CONFIG_ID, emesh_config_api, get),
    EMESH_NEED(EMESH_LOOP_ID, emesh_loop_api, timer_end),
    EMESH_NEED(EMESH_EVENT_ID, emesh_event_api, encode),
    EMESH_NEED(EMESH_NET_ID, emesh_net_api, info),
    EMESH_NEED(EMESH_CLIENT_ID, emesh_client_api, settle),
    EMESH_NEED(EMESH_METRICS_ID, emesh_metrics_api, add),
};

static const emesh_component component = {
    .size = sizeof component,
    .option_size = sizeof(emesh_option),
    .claims = EMESH_PROTOCOL_CAN_SUBSCRIBE | EMESH_PROTOCOL_CAN_REQUEST |
              EMESH_PROTOCOL_CAN_REDIRECT,
    .kind = EMESH_PROTOCOL_KIND,
    .name = "protocol-tcp",
    .summary = "EventMesh TCP protocol, SDKs of 1.2 to 1.12",
    .life = &tcp_life,
    .ops = &tcp_protocol,
    .options = options,
    .groups = groups,
    .needs = needs,
    .n_options = sizeof options / sizeof *options,
    .n_groups = sizeof groups / sizeof *groups,
    .n_needs = sizeof needs / sizeof *needs,
    .lanes = EMESH_LANES_WORKERS,
};
static const emesh_component *const components[] = { &component };
static const emesh_layout layout = EMESH_LAYOUT;
static const emesh_plugin plugin = {
    .size = sizeof plugin,
    .abi_minor = EMESH_ABI_MINOR,
    .n_components = 1,
    .id = "eventmesh.protocol-tcp",
    .version = "1.0.0",
    .licence = "Apache-2.0",
    .vendor = "EventMesh",
    .summary = "EventMesh TCP protocol",
    .components = components,
    .layout = &layout,
};
EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    (void)host_minor;
    return &plugin;
}
