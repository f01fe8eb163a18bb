/* SPDX-License-Identifier: Apache-2.0
 *
 * What one lane keeps for all of its connections: their ring, buffers at rest, and the account of
 * memory. The lane's thread.
 *
 * Memory: each lane counts what its connections hold and adds it to the listeners' account in
 * larger steps. When seven eighths of the limit are used, connections that hold something already
 * stop reading (starve) and look again 20 times a second; the last eighth is for those that hold
 * next to nothing, so that small messages still pass. New connections are refused when all is used.
 * After two seconds in which somebody wanted memory in vain each lane ends the connections that hold
 * most: halves of messages never block everybody for good. Who holds next to nothing waits a tenth of
 * a second only, and has what was freed before anybody new. The daemon's budget is a second limit of
 * the same kind, over all listeners.
 */
#include <string.h>

#include "conn.h"
#include "lookup.h"
#include "tls.h"

#define STARVED_LOOK_NS (NET_SECOND / 20)
#define STARVED_MOST_NS (2ull * NET_SECOND)
#define STARVED_SMALL_NS (NET_SECOND / 10)
#define ACCOUNT_STEP (64 * 1024)

static void starved_look(emesh_alarm *alarm);

emesh_net_lane *
emesh_net_lane_of(emesh_loop *loop)
{
    emesh_net_lane *lane = loop->net;

    if (lane)
        return lane;
    lane = g_new0(emesh_net_lane, 1);
    lane->loop = loop;
    lane->worker = loop->worker;
    lane->starved_alarm.due = starved_look;
    emesh_ring_init(&lane->conns);
    emesh_ring_init(&lane->starved);
    emesh_ring_init(&lane->lookups);
    loop->net = lane;
    return lane;
}

void
emesh_net_account(emesh_conn *conn, int64_t delta)
{
    emesh_net_lane *lane = conn->lane;

    if (!conn->port || delta == 0)
        return;
    conn->held = (size_t)((int64_t)conn->held + delta);
    lane->memory += delta;
    int64_t step = MIN((int64_t)ACCOUNT_STEP, (int64_t)(lane->listeners->max_memory / 64));
    if (lane->memory > step || lane->memory < -step) {
        __atomic_fetch_add(&lane->listeners->memory, lane->memory, __ATOMIC_RELAXED);
        if (lane->listeners->budget)
            __atomic_fetch_add(&lane->listeners->budget->used, lane->memory, __ATOMIC_RELAXED);
        lane->memory = 0;
    }
}

size_t
emesh_net_turn_share(emesh_net_lane *lane)
{
    uint64_t now = emesh_worker_now(lane->worker);

    if (lane->turn_ns != now) {
        lane->turn_ns = now;
        lane->turn_bytes = 0;
    }
    return lane->turn_bytes < NET_LANE_TURN ? NET_TURN_BYTES : NET_READ_MIN;
}

static bool
is_over(const emesh_net_lane *lane, const int64_t *account, uint64_t limit)
{
    int64_t all = __atomic_load_n(account, __ATOMIC_RELAXED) + lane->memory;
    return all > 0 && (uint64_t)all >= limit;
}

/* Are so many eighths of the listener's limit, or of the daemon's, used? */
static bool
used_is_over(const emesh_net_lane *lane, uint32_t eighths)
{
    const emesh_listeners *listeners = lane->listeners;
    const emesh_net_budget *budget = listeners->budget;

    return is_over(lane, &listeners->memory, listeners->max_memory / 8 * eighths) ||
           (budget && is_over(lane, &budget->used, budget->most / 8 * eighths));
}

bool
emesh_net_used_up(const emesh_net_lane *lane)
{
    return used_is_over(lane, 8);
}

bool
emesh_net_over(const emesh_conn *conn)
{
    return conn->port && used_is_over(conn->lane, conn->held <= NET_SMALL ? 8 : 7);
}

void
emesh_net_wants(emesh_net_lane *lane)
{
    if (lane->starved_since != 0)
        return;
    lane->starved_since = emesh_worker_now(lane->worker);
    emesh_worker_alarm(lane->worker, &lane->starved_alarm, lane->starved_since + STARVED_LOOK_NS);
}

void
emesh_net_starve(emesh_conn *conn)
{
    if (conn->starved)
        return;
    conn->starved = true;
    emesh_conn_flush(conn); /* stops watching for input */
    emesh_net_wants(conn->lane);
    emesh_ring_append(&conn->lane->starved, &conn->starved_link);
}

/* Those that can read again do; small ones first. True: one of these still waits. */
static bool
feed_starved(emesh_net_lane *lane)
{
    bool small_waits = false;

    for (uint32_t round = 0; round < 2; round++) {
        emesh_link *at = lane->starved.next;
        while (at != &lane->starved) {
            emesh_conn *conn = EMESH_OWNER(at, emesh_conn, starved_link);
            at = at->next;
            if ((conn->held <= NET_SMALL) != (round == 0))
                continue;
            if (emesh_net_over(conn)) {
                small_waits |= round == 0;
                continue;
            }
            emesh_link_remove(&conn->starved_link);
            conn->starved = false;
            emesh_conn_flush(conn);
            emesh_conn_call(conn);
        }
    }
    return small_waits;
}

static void
starved_look(emesh_alarm *alarm)
{
    emesh_net_lane *lane = EMESH_OWNER(alarm, emesh_net_lane, starved_alarm);
    uint64_t now = emesh_worker_now(lane->worker);
    bool small_waits = feed_starved(lane);

    if (emesh_ring_empty(&lane->starved) && !emesh_net_used_up(lane)) {
        lane->starved_since = 0;
        return;
    }
    if (now - lane->starved_since >= (small_waits ? STARVED_SMALL_NS : STARVED_MOST_NS)) {
        lane->starved_since = now;
        emesh_listeners_relieve(lane->listeners);
    }
    emesh_worker_alarm(lane->worker, alarm, now + STARVED_LOOK_NS);
}

static emesh_conn *
holds_most(emesh_net_lane *lane)
{
    emesh_conn *most = NULL;

    for (emesh_link *at = lane->conns.next; at != &lane->conns; at = at->next) {
        emesh_conn *conn = EMESH_OWNER(at, emesh_conn, link);
        if (conn->port && conn->state != CONN_DEAD && (!most || conn->held > most->held))
            most = conn;
    }
    return most;
}

static void
log_relief(const emesh_conn *conn)
{
    emesh_listeners *listeners = conn->port->listeners;
    char peer[EMESH_ADDR_TEXT];
    uint32_t left_out = 0;

    if (!emesh_listeners_may_log(listeners, &listeners->log_memory,
                                 emesh_worker_now(conn->lane->worker), &left_out))
        return;
    emesh_addr_format(&conn->peer, peer);
    bool own = is_over(conn->lane, &listeners->memory, listeners->max_memory / 8 * 6);
    const char *option = own ? "max-memory" : "session-memory";
    g_autofree char *text = g_strdup_printf(
        "listener %s: all of %s (%" G_GUINT64_FORMAT " bytes) is in use; ended the "
        "connection of %s, which held %zu bytes; raise %s or lower max-connections",
        listeners->bound[conn->port->address].text, option,
        own ? listeners->max_memory : listeners->budget->most, peer, conn->held, option);
    emesh_inst_log(listeners->inst, EMESH_LOG_WARNING, text);
}

void
emesh_net_lane_relieve(emesh_net_lane *lane)
{
    emesh_listeners *listeners = lane->listeners;
    uint64_t limit = listeners->max_memory;

    if (listeners->budget)
        limit = MIN(limit, listeners->budget->most);
    while (used_is_over(lane, 6)) {
        uint32_t all = MAX(__atomic_load_n(&listeners->connections, __ATOMIC_RELAXED), 1u);
        emesh_conn *most = holds_most(lane);
        /* The largest of all lanes holds at least its fair share; smaller ones are left alone. */
        if (!most || most->held < limit / all / 2)
            break;
        log_relief(most);
        emesh_conn_fail(most, EMESH_E_NO_MEMORY,
                        "the listener's memory is used up and this connection holds %zu bytes",
                        most->held);
    }
    feed_starved(lane);
}

/* Ends what the host accepted; the lane's part of close_all reports when the last is gone. */
void
emesh_net_lane_close_accepted(emesh_net_lane *lane)
{
    emesh_link *at = lane->conns.next;

    while (at != &lane->conns) {
        emesh_conn *conn = EMESH_OWNER(at, emesh_conn, link);
        at = at->next;
        if (!conn->port)
            continue;
        conn->short_linger = true;
        if (conn->state == CONN_HANDSHAKE)
            emesh_conn_fail(conn, EMESH_E_CLOSED, "the instance goes down");
        else
            emesh_conn_leave(conn, EMESH_E_CLOSED, "the instance goes down");
    }
}

void
emesh_net_lane_end(emesh_loop *loop)
{
    emesh_net_lane *lane = loop->net;

    if (!lane)
        return;
    lane->ending = true;
    emesh_lookups_end(lane);
    while (!emesh_ring_empty(&lane->conns)) {
        emesh_conn *conn = EMESH_OWNER(lane->conns.next, emesh_conn, link);
        emesh_conn_fail(conn, EMESH_E_CLOSED, "the instance goes down");
        emesh_conn_free_now(conn);
    }
    if (lane->listeners && lane->listeners->budget)
        __atomic_fetch_add(&lane->listeners->budget->used, lane->memory, __ATOMIC_RELAXED);
    emesh_worker_alarm(lane->worker, &lane->starved_alarm, 0);
    emesh_buf_unref(lane->spare);
    emesh_buf_unref(lane->chunk.buf);
    emesh_tls_lane_clear(lane);
    loop->net = NULL;
    g_free(lane);
}
