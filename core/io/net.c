/* SPDX-License-Identifier: Apache-2.0
 *
 * Service "emesh.net/1": what a plugin may do with its connections. Every function is local and
 * only leaves a mark; what follows runs later in the wake-up, from the top of the lane.
 */
#include "net.h"

#include <string.h>

#include "conn.h"
#include "dial.h"
#include "lookup.h"
#include "tls.h"

/* A call from another thread is a bug of the plugin and would be a data race: it has no effect. */
static bool
on_lane(const emesh_conn *conn)
{
    if (emesh_worker_is_current(conn->lane->worker))
        return true;
    emesh_inst_log(conn->lane->loop->inst, EMESH_LOG_ERROR,
                   "bug of the plugin: a function of net was called on another thread than the "
                   "connection's lane; ignored");
    return false;
}

static int32_t
net_write(emesh_conn *conn, const emesh_part *parts, uint32_t n)
{
    return on_lane(conn) ? emesh_output_write(conn, parts, n) : EMESH_E_INVALID;
}

static void
net_close(emesh_conn *conn, uint32_t how)
{
    if (!on_lane(conn))
        return;
    if (how == EMESH_CLOSE_ABORT)
        emesh_conn_abort(conn);
    else
        emesh_conn_leave(conn, EMESH_OK, NULL);
}

static void
net_pause(emesh_conn *conn, uint32_t on)
{
    if (!on_lane(conn) || conn->state >= CONN_FLUSH)
        return;
    conn->paused = on != 0;
    if (!conn->paused) {
        conn->resume = true;
        conn->stuffed_ns = 0;
        emesh_conn_call(conn);
    }
    emesh_conn_flush(conn); /* the interest */
}

static int32_t
net_need(emesh_conn *conn, size_t n)
{
    if (!on_lane(conn))
        return EMESH_E_INVALID;
    if (n > emesh_conn_limits_of(conn)->max_input)
        return EMESH_E_TOO_LARGE;
    conn->in.need = (uint32_t)n;
    return EMESH_OK;
}

/* The texts are made when first asked for: most connections are never asked. */
static void
make_texts(emesh_conn *conn)
{
    emesh_addr local;
    socklen_t len = sizeof local;

    memset(&local, 0, sizeof local);
    conn->texts = g_malloc0(2 * EMESH_ADDR_TEXT);
    if (conn->fd.fd >= 0 && getsockname(conn->fd.fd, &local.sa, &len) == 0)
        emesh_addr_format(&local, conn->texts);
    if (conn->peer.sa.sa_family != 0)
        emesh_addr_format(&conn->peer, conn->texts + EMESH_ADDR_TEXT);
}

static void
net_info(const emesh_conn *conn, emesh_conn_info *out)
{
    emesh_conn_info info = { .size = out->size };

    if (!conn->texts)
        make_texts((emesh_conn *)(uintptr_t)conn);
    info.local = (emesh_slice){ conn->texts, strlen(conn->texts) };
    info.peer =
        (emesh_slice){ conn->texts + EMESH_ADDR_TEXT, strlen(conn->texts + EMESH_ADDR_TEXT) };
    if (conn->tls)
        emesh_tls_info(conn, &info);
    memcpy(out, &info, MIN((size_t)out->size, sizeof info));
}

static int32_t
net_listener(emesh_loop *loop, uint32_t index, int32_t *fd)
{
    return emesh_listeners_take(emesh_inst_listeners(loop->inst), loop->index, index, fd);
}

const emesh_net_api emesh_net_service = {
    .size = sizeof(emesh_net_api),
    .dial = emesh_net_dial,
    .resolve = emesh_net_resolve,
    .write = net_write,
    .close = net_close,
    .pause = net_pause,
    .need = net_need,
    .info = net_info,
    .listener = net_listener,
};
