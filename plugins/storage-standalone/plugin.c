/* SPDX-License-Identifier: Apache-2.0
 *
 * Descriptor and options of storage-standalone, the embedded store.
 */
#include "admin.h"
#include "cursor.h"
#include "eventmesh/eventmesh.h"
#include "eventmesh/layout.h"
#include "instance.h"
#include "lane.h"
#include "store.h"

#define SIZE EMESH_OPT_SIZE
#define TIME EMESH_OPT_DURATION
#define SEC INT64_C(1000000000)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static const emesh_option options[] = {
    { .name = "segment-size", .type = SIZE, .value = "64MiB", .min = 4 * MIB, .max = GIB,
      .help = "Size of a log file; the largest event is a half of it, 16 MiB at most." },
    { .name = "segment-age", .type = TIME, .value = "1h", .min = SEC, .max = 168 * 3600 * SEC,
      .help = "Age at which a log file is closed although it is not full." },
    { .name = "sync-interval", .type = TIME, .value = "1s", .min = SEC / 100, .max = 60 * SEC,
      .help = "How long data of level os may wait for the disk: what a power cut can take." },
    { .name = "sync-bytes", .type = SIZE, .value = "16MiB", .min = MIB, .max = GIB,
      .help = "How many bytes of level os may wait for the disk." },
    { .name = "checkpoint-interval", .type = TIME, .value = "10s", .min = SEC / 10,
      .max = 600 * SEC,
      .help = "How often progress goes into the index, so that a start reads less of the log." },
    { .name = "tail-bytes", .type = SIZE, .value = "16MiB", .min = 64 * KIB, .max = 16 * GIB,
      .help = "Newest events kept in memory for readers near the end." },
    { .name = "shared-bytes", .type = SIZE, .value = "16MiB", .min = 0, .max = 16 * GIB,
      .help = "Events read from disk that are kept for other readers of their topic; 0 is none." },
    { .name = "max-partitions", .type = EMESH_OPT_INT, .value = "10000", .min = 1, .max = 1000000,
      .help = "Partitions of all topics together; a topic beyond it is refused." },
    { .name = "min-free", .type = SIZE, .value = "0", .min = 0, .max = 1024 * GIB,
      .help = "Free disk space below which events are refused; 0 is two log files or 1 %." },
    { .name = "clean-rate", .type = SIZE, .value = "32MiB", .min = 0, .max = 64 * GIB,
      .help = "Bytes a second that cleaning may copy while the store is in use; 0: no cleaning." },
    { .name = "scrub-period", .type = TIME, .value = "168h", .min = 0, .max = 8760 * 3600 * SEC,
      .help = "Within it every closed log file is read again and checked; 0: never." },
    { .name = "map-size", .type = SIZE, .value = "64GiB", .min = 16 * MIB, .max = 1024 * GIB,
      .help = "Address space of the index (LMDB); no disk space is taken for it." },
    { .name = "test-segment-size", .type = SIZE, .value = "0", .min = 0, .max = GIB,
      .may = EMESH_OPT_HIDDEN, .help = "Smaller log files than segment-size allows, for tests." },
};

static const emesh_life_ops life = {
    .size = sizeof life,
    .create = sa_create,
    .start = sa_start,
    .attach = sa_lane_attach,
    .drain = sa_lane_drain,
    .detach = sa_lane_detach,
    .stop = sa_stop,
    .destroy = sa_destroy,
};

static const emesh_storage_ops ops = {
    .size = sizeof ops,
    .topic_open = sa_topic_open,
    .topic_close = sa_topic_close,
    .admin = sa_admin,
    .append = sa_append,
    .open = sa_cursor_open,
    .begin = sa_cursor_begin,
    .release = sa_cursor_release,
    .want = sa_cursor_want,
    .commit = sa_cursor_commit,
    .close = sa_cursor_close,
    .idle = sa_cursor_idle,
};

static const emesh_need needs[] = {
    EMESH_NEED(EMESH_CONFIG_ID, emesh_config_api, get),
    EMESH_NEED(EMESH_EVENT_ID, emesh_event_api, encode),
    EMESH_NEED(EMESH_LOOP_ID, emesh_loop_api, timer_end),
    EMESH_NEED(EMESH_STORE_ID, emesh_store_api, partition),
};

static const emesh_component standalone = {
    .size = sizeof standalone,
    .option_size = sizeof(emesh_option),
    .claims = SA_CLAIMS,
    .kind = EMESH_STORAGE_KIND,
    .name = "storage-standalone",
    .summary = "embedded store: one commit log for all topics, no broker needed",
    .life = &life,
    .ops = &ops,
    .options = options,
    .needs = needs,
    .n_options = sizeof options / sizeof options[0],
    .n_needs = sizeof needs / sizeof needs[0],
    .lanes = EMESH_LANES_WORKERS,
};

static const emesh_component *const components[] = { &standalone };
static const emesh_layout layout = EMESH_LAYOUT;
static const emesh_plugin plugin = {
    .size = sizeof plugin,
    .abi_minor = EMESH_ABI_MINOR,
    .n_components = 1,
    .id = "eventmesh.storage-standalone",
    .version = "0.1.0",
    .licence = "Apache-2.0",
    .vendor = "EventMesh",
    .summary = "embedded store",
    .components = components,
    .layout = &layout,
};
EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    (void)host_minor;
    return &plugin;
}
