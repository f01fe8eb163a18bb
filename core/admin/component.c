/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin face as a component: descriptor, options, life. The socket is bound at start [main], so
 * that a second daemon is refused before anything runs; the first lane serves it.
 */
#include "admin/admin.h"
#include "admin/face.h"

#include <string.h>

char *
emesh_admin_conf_text(const char *run_dir)
{
    return g_strdup_printf("[instance]\ncomponent = " EMESH_ADMIN_NAME "\n"
                           "[options]\nsocket = %s/admin.sock\n",
                           run_dir);
}

static int32_t
admin_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out,
             emesh_error *err)
{
    const emesh_config_api *config = host->service(host, EMESH_CONFIG_ID);
    emesh_value path = { .size = sizeof path };
    (void)err;
    if (config->get(cfg, "socket", 0, &path) != EMESH_OK)
        return EMESH_E_CONFIG;
    emesh_face *admin = g_new0(emesh_face, 1);
    admin->host = host;
    admin->ev = host->service(host, EMESH_EVENT_ID);
    admin->loop = host->service(host, EMESH_LOOP_ID);
    admin->cl = host->service(host, EMESH_CLIENT_ID);
    admin->glib = host->service(host, EMESH_GLIB_ID);
    admin->path = g_strndup(path.text.ptr, path.text.len);
    *out = (emesh_instance *)admin;
    return EMESH_OK;
}

static void
admin_start(emesh_instance *self, emesh_op *op)
{
    emesh_face *admin = (emesh_face *)self;
    g_autoptr(GError) error = NULL;
    emesh_error err = { .size = sizeof err };
    admin->held = emesh_admin_socket_bind(admin->path, &error);
    if (admin->held == NULL) {
        err.code = error->code == G_IO_ERROR_ADDRESS_IN_USE ? EMESH_E_BUSY : EMESH_E_IO;
        g_strlcpy(err.option, "socket", sizeof err.option);
        g_strlcpy(err.text, error->message, sizeof err.text);
    }
    admin->host->complete(admin->host, op, err.code, err.code == EMESH_OK ? NULL : &err, NULL);
}

static int32_t
admin_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
             emesh_error *err)
{
    emesh_face *admin = (emesh_face *)self;
    g_autoptr(GError) error = NULL;
    emesh_admin_lane *lane = g_new0(emesh_admin_lane, 1);
    lane->admin = admin;
    lane->loop = loop;
    lane->context = admin->glib->context(loop);
    lane->callers = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)emesh_caller_free);
    *out = (emesh_lane *)lane;
    if (index == 0 && !emesh_http_start(lane, &error)) {
        g_strlcpy(err->text, error->message, sizeof err->text);
        return EMESH_E_IO;
    }
    return EMESH_OK;
}

static void
admin_drain(emesh_lane *self, uint64_t deadline_ns, emesh_op *op)
{
    emesh_admin_lane *lane = (emesh_admin_lane *)self;
    (void)deadline_ns; /* streams end at once; commands under way end at detach */
    lane->draining = true;
    emesh_http_streams_end(lane, false);
    lane->admin->host->complete(lane->admin->host, op, EMESH_OK, NULL, NULL);
}

static void
admin_detach(emesh_lane *self, emesh_op *op)
{
    emesh_admin_lane *lane = (emesh_admin_lane *)self;
    emesh_face *admin = lane->admin;
    emesh_http_streams_end(lane, true);
    g_hash_table_unref(lane->callers);
    emesh_http_stop(lane);
    g_free(lane);
    admin->host->complete(admin->host, op, EMESH_OK, NULL, NULL);
}

static void
admin_stop(emesh_instance *self, emesh_op *op)
{
    emesh_face *admin = (emesh_face *)self;
    g_clear_pointer(&admin->held, emesh_admin_socket_free);
    admin->host->complete(admin->host, op, EMESH_OK, NULL, NULL);
}

static void
admin_destroy(emesh_instance *self)
{
    emesh_face *admin = (emesh_face *)self;
    emesh_admin_socket_free(admin->held);
    g_free(admin->path);
    g_free(admin);
}

static void
admin_opened(emesh_lane *lane, void *session, int32_t code, const emesh_error *err)
{
    emesh_admin_session *s = session;
    (void)lane;
    s->ops->opened(s, code, err);
}

static void
admin_published(emesh_lane *lane, void *session, const emesh_published *results, uint32_t n)
{
    emesh_admin_session *s = session;
    (void)lane;
    /* one call may end the session: its ops are kept aside, items of one object only */
    for (uint32_t i = 0; i < n; i++)
        s->ops->published(s, &results[i]);
}

static void
admin_room(emesh_lane *lane, void *session)
{
    (void)lane, (void)session; /* a full publish was answered with 429: nothing waits here */
}

static void
admin_subscribed(emesh_lane *lane, void *member, int32_t code, const emesh_error *err)
{
    (void)lane;
    emesh_http_subscribed(member, code, err);
}

static void
admin_deliver(emesh_lane *lane, void *member, const emesh_delivery *items, uint32_t n)
{
    (void)lane;
    emesh_http_deliver(member, items, n);
}

static void
admin_ask(emesh_lane *lane, void *session, const emesh_ask *ask)
{
    emesh_admin_session *s = session;
    (void)lane;
    s->ops->ask(s, ask);
}

static const emesh_life_ops life = { .size = sizeof life,
                                     .create = admin_create,
                                     .start = admin_start,
                                     .attach = admin_attach,
                                     .drain = admin_drain,
                                     .detach = admin_detach,
                                     .stop = admin_stop,
                                     .destroy = admin_destroy };

static const emesh_client_ops client = { .size = sizeof client,
                                         .opened = admin_opened,
                                         .published = admin_published,
                                         .room = admin_room,
                                         .subscribed = admin_subscribed,
                                         .deliver = admin_deliver,
                                         .ask = admin_ask };

static const emesh_protocol_ops ops = { .size = sizeof ops, .client = &client };

static const emesh_option options[] = {
    { .name = "socket",
      .type = EMESH_OPT_PATH,
      .must = EMESH_OPT_REQUIRED,
      .help = "Path of the Unix socket that eventmeshctl talks to." },
};

static const emesh_need needs[] = {
    EMESH_NEED(EMESH_CONFIG_ID, emesh_config_api, get),
    EMESH_NEED(EMESH_LOOP_ID, emesh_loop_api, time),
    EMESH_NEED(EMESH_EVENT_ID, emesh_event_api, encode),
    EMESH_NEED(EMESH_CLIENT_ID, emesh_client_api, command),
    EMESH_NEED(EMESH_GLIB_ID, emesh_glib_api, context),
};

const emesh_component emesh_admin_component = {
    .size = sizeof emesh_admin_component,
    .option_size = sizeof(emesh_option),
    .claims = EMESH_PROTOCOL_CAN_SUBSCRIBE,
    .kind = EMESH_PROTOCOL_KIND,
    .name = EMESH_ADMIN_NAME,
    .summary = "administration over a Unix socket: HTTP and JSON",
    .life = &life,
    .ops = &ops,
    .options = options,
    .n_options = G_N_ELEMENTS(options),
    .needs = needs,
    .n_needs = G_N_ELEMENTS(needs),
    .lanes = EMESH_LANES_GLIB,
};

static const emesh_component *const components[] = { &emesh_admin_component };
static const emesh_layout layout = EMESH_LAYOUT;

const emesh_plugin emesh_admin_plugin = {
    .size = sizeof emesh_admin_plugin,
    .abi_minor = EMESH_ABI_MINOR,
    .n_components = G_N_ELEMENTS(components),
    .id = "eventmesh.admin",
    .version = "1.0.0",
    .licence = "Apache-2.0",
    .vendor = "EventMesh",
    .summary = "the admin face of eventmeshd",
    .components = components,
    .layout = &layout,
};
