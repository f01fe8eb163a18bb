/* SPDX-License-Identifier: Apache-2.0
 *
 * Service "emesh.glib/1": the main context of a GLIB lane, and buffers that keep a GBytes alive.
 */
#include "event/event.h"
#include "plugin/inst.h"

static GMainContext *
glib_context(emesh_loop *loop)
{
    const emesh_component *component = loop->inst->component;

    /* Sources of a plugin have no place on a data worker: they would slow every client there. */
    return component->lanes == EMESH_LANES_GLIB ? emesh_worker_context(loop->worker) : NULL;
}

static emesh_buf *
glib_adopt(const emesh_host *host, GBytes *bytes, emesh_part *out)
{
    (void)host;
    return emesh_buf_new_bytes(bytes, out);
}

const emesh_glib_api emesh_glib_service = {
    .size = sizeof(emesh_glib_api),
    .context = glib_context,
    .adopt = glib_adopt,
};
