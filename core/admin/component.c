/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin face as a component: descriptor, options, life. The socket is bound at start [main], so
 * that a second daemon is refused before anything runs; the first lane serves it, and all lanes
 * admin-listen.
 */
#include "admin/admin.h"
#include "admin/face.h"

#include <string.h>

static const emesh_option options[] = {
    { .name = "socket",
      .type = EMESH_OPT_PATH,
      .must = EMESH_OPT_REQUIRED,
      .help = "Path of the Unix socket that eventmeshctl talks to." },
    { .name = "admin-token-file",
      .type = EMESH_OPT_PATH,
      .help = "File with the token that admin-listen asks for." },
    { .name = "admin-probes-open",
      .type = EMESH_OPT_BOOL,
      .value = "false",
      .help = "Answer /healthz and /readyz without the token." },
    { .name = "admin-insecure",
      .type = EMESH_OPT_BOOL,
      .value = "false",
      .help = "Allow an admin-listen beyond this machine without TLS." },
};

static const emesh_option_group groups[] = { { .id = "emesh.listen/1", .prefix = "admin-" } };

emesh_config *
emesh_admin_config(const emesh_conf *conf, const char *run_dir, GError **error)
{
    g_autofree char *socket = g_build_filename(run_dir, "admin.sock", NULL);
    return emesh_conf_admin_options(conf, socket, options, G_N_ELEMENTS(options), groups,
                                    G_N_ELEMENTS(groups), error);
}

/* Given: g_free; NULL when it is not set. */
static char *
text_of(const emesh_config_api *config, const emesh_config *cfg, const char *name)
{
    emesh_value value = { .size = sizeof value };
    if (config->get(cfg, name, 0, &value) != EMESH_OK || value.text.len == 0)
        return NULL;
    return g_strndup(value.text.ptr, value.text.len);
}

static int64_t
number_of(const emesh_config_api *config, const emesh_config *cfg, const char *name)
{
    emesh_value value = { .size = sizeof value };
    return config->get(cfg, name, 0, &value) == EMESH_OK ? value.i : 0;
}

static void
options_read(emesh_admin_options *o, const emesh_config_api *config, const emesh_config *cfg)
{
    o->token_file = text_of(config, cfg, "admin-token-file");
    o->probes_open = number_of(config, cfg, "admin-probes-open") != 0;
    o->tls_certificate = text_of(config, cfg, "admin-tls-certificate");
    o->tls_key = text_of(config, cfg, "admin-tls-key");
    o->tls_client_ca = text_of(config, cfg, "admin-tls-client-ca");
    o->tls_client_required = number_of(config, cfg, "admin-tls-client-required") != 0;
    o->max_connections = (uint32_t)number_of(config, cfg, "admin-max-connections");
    o->max_input = (uint32_t)number_of(config, cfg, "admin-max-input");
    o->request_ns = (uint64_t)number_of(config, cfg, "admin-handshake-timeout");
    o->idle_ns = (uint64_t)number_of(config, cfg, "admin-idle-timeout");
}

/* The files behind the options, before anything is made of them. */
static int32_t
admin_check(const emesh_config *cfg, emesh_error *err)
{
    const emesh_config_api *config = &emesh_config_service;
    g_autofree char *path = text_of(config, cfg, "admin-token-file");
    g_autofree char *listen = text_of(config, cfg, "admin-listen");
    g_autoptr(GError) error = NULL;
    emesh_token token;
    if (listen == NULL || path == NULL || emesh_token_load(&token, path, &error))
        return EMESH_OK;
    g_strlcpy(err->option, "admin-token-file", sizeof err->option);
    g_strlcpy(err->text, error->message, sizeof err->text);
    return EMESH_E_CONFIG;
}

static int32_t
admin_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out,
             emesh_error *err)
{
    const emesh_config_api *config = host->service(host, EMESH_CONFIG_ID);
    char *path = text_of(config, cfg, "socket");
    (void)err;
    if (path == NULL)
        return EMESH_E_CONFIG;
    emesh_face *admin = g_new0(emesh_face, 1);
    admin->host = host;
    admin->ev = host->service(host, EMESH_EVENT_ID);
    admin->loop = host->service(host, EMESH_LOOP_ID);
    admin->cl = host->service(host, EMESH_CLIENT_ID);
    admin->glib = host->service(host, EMESH_GLIB_ID);
    admin->net = host->service(host, EMESH_NET_ID);
    admin->path = path;
    admin->peers = emesh_peers_new();
    pthread_mutex_init(&admin->token_lock, NULL);
    options_read(&admin->options, config, cfg);
    *out = (emesh_instance *)admin;
    return EMESH_OK;
}

/* false: err names the option whose file is not good. */
static bool
start_tcp(emesh_face *admin, emesh_error *err)
{
    const emesh_admin_options *o = &admin->options;
    g_autoptr(GError) error = NULL;
    emesh_admin_tls tls = { .certificate = NULL };
    const char *option = "admin-token-file";
    bool good = o->token_file == NULL || emesh_token_load(&admin->token, o->token_file, &error);
    if (good && o->tls_certificate != NULL) {
        option = "admin-tls-certificate";
        good = emesh_admin_tls_load(&tls, o, &error);
        emesh_admin_tls_clear(&tls);
    }
    if (good)
        return true;
    err->code = EMESH_E_CONFIG;
    g_strlcpy(err->option, option, sizeof err->option);
    g_strlcpy(err->text, error->message, sizeof err->text);
    return false;
}

static void
admin_start(emesh_instance *self, emesh_op *op)
{
    emesh_face *admin = (emesh_face *)self;
    g_autoptr(GError) error = NULL;
    emesh_error err = { .size = sizeof err };
    if (start_tcp(admin, &err))
        admin->held = emesh_admin_socket_bind(admin->path, &error);
    if (error != NULL) {
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
    lane->callers =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)emesh_caller_free);
    *out = (emesh_lane *)lane;
    if (!emesh_http_start(lane, &error)) {
        g_strlcpy(err->text, error->message, sizeof err->text);
        return EMESH_E_IO;
    }
    if (index == 0)
        emesh_accept_start(lane);
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
    emesh_peers_free(admin->peers);
    pthread_mutex_destroy(&admin->token_lock);
    g_free(admin->options.token_file);
    g_free(admin->options.tls_certificate);
    g_free(admin->options.tls_key);
    g_free(admin->options.tls_client_ca);
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
                                     .check = admin_check,
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

static const emesh_need needs[] = {
    EMESH_NEED(EMESH_CONFIG_ID, emesh_config_api, get),
    EMESH_NEED(EMESH_LOOP_ID, emesh_loop_api, time),
    EMESH_NEED(EMESH_EVENT_ID, emesh_event_api, encode),
    EMESH_NEED(EMESH_CLIENT_ID, emesh_client_api, command),
    EMESH_NEED(EMESH_GLIB_ID, emesh_glib_api, context),
    EMESH_NEED(EMESH_NET_ID, emesh_net_api, listener),
};

const emesh_component emesh_admin_component = {
    .size = sizeof emesh_admin_component,
    .option_size = sizeof(emesh_option),
    .claims = EMESH_PROTOCOL_CAN_SUBSCRIBE,
    .kind = EMESH_PROTOCOL_KIND,
    .name = EMESH_ADMIN_NAME,
    .summary = "administration over a Unix socket and TCP: HTTP and JSON",
    .life = &life,
    .ops = &ops,
    .options = options,
    .n_options = G_N_ELEMENTS(options),
    .groups = groups,
    .n_groups = G_N_ELEMENTS(groups),
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
