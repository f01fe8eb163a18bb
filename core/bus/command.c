/* SPDX-License-Identifier: Apache-2.0
 *
 * command() of the client service: the verbs of the admin socket, given by a session.
 */
#include "admin/command.h"
#include "bus/session.h"

typedef void (*command_done)(void *ctx, int32_t code, const emesh_error *err,
                             const emesh_attr *row, uint32_t n_row, uint32_t more);

typedef struct asking {
    emesh_session *session; /* a reference: a closed one hears nothing */
    command_done done;
    void *ctx;
} asking;

static void
answered(void *ctx, int32_t code, const emesh_error *err, const emesh_attr *row, uint32_t n_row,
         uint32_t more)
{
    asking *ask = ctx;

    if (!ask->session->closed)
        ask->done(ask->ctx, code, err, row, n_row, more);
    if (more == 0) {
        emesh_session_unref(ask->session);
        g_free(ask);
    }
}

void
emesh_session_command(emesh_session *session, const char *verb, const emesh_attr *args,
                      uint32_t n, command_done done, void *ctx)
{
    emesh_bus *bus = session->lane->bus;
    asking *ask = g_new0(asking, 1);

    *ask = (asking){ session, done, ctx };
    emesh_session_ref(session);
    emesh_command_post(bus->daemon, bus->main, session->lane->worker, verb, args, n, answered,
                       ask);
}
