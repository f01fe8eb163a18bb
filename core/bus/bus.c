/* SPDX-License-Identifier: Apache-2.0
 *
 * Making the bus, and the two service tables that lead into it.
 */
#include "bus/bus.h"
#include "bus/append.h"
#include "bus/findings.h"
#include "bus/lane.h"
#include "bus/request.h"
#include "bus/store.h"
#include "daemon/log.h"
#include "delivery/adopt.h"
#include "delivery/delivery.h"
#include "delivery/forget.h"
#include "delivery/letters.h"
#include "delivery/member.h"

#include <stdarg.h>
#include <string.h>

emesh_bus_lane *
emesh_bus_lane_add(emesh_bus *bus, emesh_worker *worker)
{
    emesh_bus_lane *lane = NULL;

    pthread_mutex_lock(&bus->lanes_lock);
    if (bus->n_lanes < EMESH_MAX_LANES) {
        lane = emesh_bus_lane_new(bus, worker);
        lane->id = bus->n_lanes;
        bus->lanes[lane->id] = lane;
        __atomic_store_n(&bus->n_lanes, bus->n_lanes + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&bus->lanes_lock);
    return lane;
}

emesh_bus *
emesh_bus_new(emesh_worker *main, emesh_worker *const *workers, uint32_t n_workers,
              const emesh_daemon_options *limits, emesh_state *state, emesh_journal *journal)
{
    emesh_bus *bus = g_new0(emesh_bus, 1);

    pthread_mutex_init(&bus->lanes_lock, NULL);
    bus->main = main;
    bus->workers = workers;
    bus->n_workers = n_workers;
    bus->limits = *limits;
    bus->state = state;
    bus->journal = journal;
    bus->findings = emesh_findings_new();
    bus->notes = emesh_notes_new(journal, main);
    bus->stores = g_ptr_array_new_with_free_func(emesh_store_free);
    bus->topics = g_hash_table_new(g_str_hash, g_str_equal);
    bus->unanswered = g_ptr_array_new_with_free_func((GDestroyNotify)emesh_bus_topic_unref);
    bus->patterns = g_ptr_array_new();
    bus->pushers = g_ptr_array_new();
    bus->retired = g_ptr_array_new();
    bus->forget = emesh_forget_new(bus);
    bus->replays = g_ptr_array_new_with_free_func(emesh_replay_free);
    bus->opening = g_hash_table_new(g_str_hash, g_str_equal);
    bus->lanes = g_new0(emesh_bus_lane *, EMESH_MAX_LANES);
    emesh_bus_identify(bus);
    for (uint32_t i = 0; i < n_workers; i++)
        emesh_bus_lane_add(bus, workers[i]);
    return bus;
}

void
emesh_bus_free(emesh_bus *bus)
{
    if (bus == NULL)
        return;
    for (uint32_t i = 0; i < bus->n_lanes; i++)
        emesh_bus_lane_free(bus->lanes[i]);
    g_free(bus->lanes);
    emesh_notes_free(bus->notes);
    emesh_findings_free(bus->findings);
    g_hash_table_unref(bus->topics);
    g_ptr_array_unref(bus->unanswered);
    emesh_forget_free(bus->forget);
    g_ptr_array_unref(bus->patterns);
    g_ptr_array_unref(bus->pushers);
    g_ptr_array_unref(bus->retired);
    g_ptr_array_unref(bus->replays);
    g_hash_table_unref(bus->opening);
    g_ptr_array_unref(bus->stores);
    if (bus->conf != NULL)
        emesh_conf_unref(bus->conf);
    pthread_mutex_destroy(&bus->lanes_lock);
    g_free(bus);
}

void
emesh_bus_set_conf(emesh_bus *bus, emesh_conf *conf)
{
    emesh_conf *old = bus->conf;

    bus->conf = emesh_conf_ref(conf);
    if (old != NULL)
        emesh_conf_unref(old);
}

void
emesh_bus_warn(emesh_bus *bus, const char *scope, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    g_vsnprintf(text, sizeof text, format, args);
    va_end(args);
    emesh_log_write(bus->log, EMESH_LOG_WARNING, scope, text, strlen(text), NULL, 0);
}

const emesh_client_api emesh_client_service = {
    .size = sizeof(emesh_client_api),
    .open = emesh_session_open,
    .close = emesh_session_close,
    .publish = emesh_publish_items,
    .subscribe = emesh_member_subscribe,
    .unsubscribe = emesh_member_unsubscribe,
    .window = emesh_member_window,
    .settle = emesh_member_settle,
    .command = emesh_session_command,
    .refuse = emesh_adopt_refuse,
};

const emesh_store_api emesh_store_service = {
    .size = sizeof(emesh_store_api),
    .ready = emesh_store_told_ready,
    .appended = emesh_append_results,
    .records = emesh_reader_records,
    .partition = emesh_reader_partition,
    .replied = emesh_store_replied,
};

void
emesh_bus_add_services(emesh_services *services)
{
    emesh_services_add(services, EMESH_CLIENT_ID, &emesh_client_service);
    emesh_services_add(services, EMESH_STORE_ID, &emesh_store_service);
}
