/* SPDX-License-Identifier: Apache-2.0
 *
 * The stop, in the reverse order: the bus drains (no publish is accepted, no event offered, what is
 * open ends), protocols say goodbye and go, the bus closes topics, then the stores go. The main loop
 * ends behind the last. Who asks for it a second time waits for no acknowledgement any more.
 */
#include "daemon/private.h"

#define GOODBYE_NS (5000u * 1000000ull) /* for what protocols still have to say */
#define LATE_NS (1000u * 1000000ull)    /* the same, when somebody let the drain time out before */

static void
all_down(emesh_daemon *daemon)
{
    g_main_loop_quit(daemon->loop);
}

static void went_down(void *ctx, emesh_inst *inst);

static bool
bring_down(emesh_daemon *daemon, bool storage, uint64_t wait_ns)
{
    uint64_t deadline = emesh_worker_now(daemon->main) + wait_ns;

    daemon->left = 1;
    for (uint32_t i = 0; i < daemon->instances->len; i++) {
        emesh_inst *inst = daemon->instances->pdata[i];
        if (inst->is_storage != storage)
            continue;
        daemon->left++;
        emesh_inst_down(inst, deadline, went_down, daemon);
    }
    return --daemon->left > 0;
}

static void
bus_closed(void *ctx)
{
    emesh_daemon *daemon = ctx;

    if (!bring_down(daemon, true, GOODBYE_NS))
        all_down(daemon);
}

static void
went_down(void *ctx, emesh_inst *inst)
{
    emesh_daemon *daemon = ctx;

    if (--daemon->left > 0)
        return;
    if (inst->is_storage)
        all_down(daemon);
    else
        emesh_bus_close(daemon->bus, bus_closed, daemon);
}

static void
drained(void *ctx, const emesh_drained *how)
{
    emesh_daemon *daemon = ctx;

    if (how->publishes > 0 || how->offers > 0)
        emesh_log_say(daemon->log, EMESH_LOG_NOTICE, "daemon",
                      "drain: %u publishes were not answered and %u deliveries not acknowledged in "
                      "time; the latter come again after the start",
                      how->publishes, how->offers);
    if (!bring_down(daemon, false, how->offers > 0 ? LATE_NS : GOODBYE_NS))
        emesh_bus_close(daemon->bus, bus_closed, daemon);
}

void
emesh_daemon_stop(emesh_daemon *daemon)
{
    if (daemon->stopping) {
        emesh_bus_drain_cut(daemon->bus);
        return;
    }
    if (daemon->next != NULL) { /* instances are going up and down: behind them */
        daemon->stop_again = true;
        return;
    }
    daemon->stopping = true;
    daemon->view.state = "stopping";
    emesh_daemon_tell(daemon, "STOPPING=1");
    emesh_log_say(daemon->log, EMESH_LOG_NOTICE, "daemon", "stopping");
    emesh_bus_drain(daemon->bus, daemon->plan->options.drain_timeout_ns, drained, daemon);
}
