/* SPDX-License-Identifier: Apache-2.0
 *
 * See mesh.h. Callbacks come on workers and record under a mutex; the test's thread turns the main
 * loop and looks.
 */
#include "bus/session.h"
#include "harness/mesh-inside.h"
#include "bus/lane.h"
#include "daemon/log.h"
#include "delivery/adopt.h"
#include "event/event.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static void
wake(void)
{
    g_main_context_wakeup(NULL);
}

/* ---- the driver ---- */

static void
on_opened(emesh_lane *lane, void *session, int32_t code, const emesh_error *err)
{
    mesh_client *c = session;

    (void)lane, (void)err;
    pthread_mutex_lock(&c->lock);
    c->opened = code == EMESH_OK;
    pthread_mutex_unlock(&c->lock);
    wake();
}

static void
on_published(emesh_lane *lane, void *session, const emesh_published *results, uint32_t n)
{
    mesh_client *c = session;

    (void)lane;
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < n; i++) {
        c->results++;
        c->good += results[i].code == EMESH_OK;
        c->last_code = results[i].code;
    }
    if (c->hear != NULL)
        c->hear(c->hear_ctx, results, n);
    pthread_mutex_unlock(&c->lock);
    wake();
}

static void
on_room(emesh_lane *lane, void *session)
{
    mesh_client *c = session;

    (void)lane;
    pthread_mutex_lock(&c->lock);
    c->rooms++;
    pthread_mutex_unlock(&c->lock);
    wake();
}

static void
on_subscribed(emesh_lane *lane, void *member, int32_t code, const emesh_error *err)
{
    mesh_sub *s = member;

    (void)lane;
    pthread_mutex_lock(&s->c->lock);
    s->answered = true;
    s->answers++;
    g_strlcpy(s->words, err != NULL ? err->text : "", sizeof s->words);
    s->code = code;
    pthread_mutex_unlock(&s->c->lock);
    wake();
}

static void
on_deliver(emesh_lane *lane, void *member, const emesh_delivery *items, uint32_t n)
{
    mesh_sub *s = member;

    (void)lane;
    pthread_mutex_lock(&s->c->lock);
    s->most = MAX(s->most, n);
    s->delivered += n;
    for (uint32_t i = 0; i < n && !s->many; i++) {
        const emesh_attr *id = emesh_event_attr(items[i].event, "id", 2);
        seen one = { items[i].id, g_strndup(id->value, id->value_len),
                     emesh_event_ref(items[i].event), items[i].attempt, items[i].flags,
                     g_get_real_time() };
        g_array_append_val(s->seen, one);
    }
    pthread_mutex_unlock(&s->c->lock);
    for (uint32_t i = 0; s->ack && i < n; i++) {
        emesh_settle done = { .id = items[i].id, .outcome = EMESH_SETTLE_DONE };
        emesh_client_service.settle(s->c->session, &done, 1);
    }
    wake();
}

static void
on_ask(emesh_lane *lane, void *session, const emesh_ask *ask)
{
    mesh_client *c = session;

    (void)lane, (void)ask;
    pthread_mutex_lock(&c->lock);
    c->asked++;
    pthread_mutex_unlock(&c->lock);
    wake();
}

static int32_t
driver_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out,
              emesh_error *err)
{
    (void)cfg, (void)err;
    *out = (emesh_instance *)(uintptr_t)host;
    return EMESH_OK;
}

static void
driver_destroy(emesh_instance *self)
{
    (void)self;
}

static const emesh_life_ops driver_life = { .size = sizeof driver_life, .create = driver_create,
                                            .destroy = driver_destroy };
static const emesh_client_ops driver_client = {
    .size = sizeof driver_client, .opened = on_opened,         .published = on_published,
    .room = on_room,              .subscribed = on_subscribed, .deliver = on_deliver,
    .ask = on_ask,
};
static const emesh_protocol_ops driver_ops = { .size = sizeof driver_ops,
                                               .client = &driver_client };
static const emesh_component driver = {
    .size = sizeof driver,
    .option_size = sizeof(emesh_option),
    .kind = EMESH_PROTOCOL_KIND,
    .name = "driver",
    .summary = "sessions driven by a test",
    .claims = EMESH_PROTOCOL_CAN_SUBSCRIBE,
    .life = &driver_life,
    .ops = &driver_ops,
    .lanes = EMESH_LANES_WORKERS,
};
static const emesh_component *const driver_components[] = { &driver };
static const emesh_layout driver_layout = EMESH_LAYOUT;
static const emesh_plugin driver_plugin = {
    .size = sizeof driver_plugin, .abi_minor = EMESH_ABI_MINOR, .n_components = 1,
    .id = "eventmesh.driver",     .version = "1.0.0",           .licence = "Apache-2.0",
    .vendor = "EventMesh",        .summary = "for tests",       .components = driver_components,
    .layout = &driver_layout,
};

/* ---- waiting ---- */

static gboolean
too_long(void *data)
{
    (void)data;
    g_error("the mesh did not do in 20 s what the test waits for");
    return G_SOURCE_REMOVE;
}

void
mesh_wait(bool (*done)(void *ctx), void *ctx)
{
    guint limit = g_timeout_add_seconds(20, too_long, NULL);

    while (!done(ctx))
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(limit);
}

typedef struct run {
    emesh_job job;
    void (*fn)(void *ctx);
    void *ctx;
    uint32_t over; /* atomic */
} run;

static void
run_job(emesh_job *job)
{
    run *r = (run *)job;

    r->fn(r->ctx);
    __atomic_store_n(&r->over, 1, __ATOMIC_RELEASE);
    wake();
}

static bool
run_over(void *ctx)
{
    return __atomic_load_n(&((run *)ctx)->over, __ATOMIC_ACQUIRE) != 0;
}

void
mesh_on_worker(emesh_worker *worker, void (*fn)(void *ctx), void *ctx)
{
    run r = { .job.run = run_job, .fn = fn, .ctx = ctx };

    emesh_worker_post(worker, &r.job);
    mesh_wait(run_over, &r);
}

void
mesh_on_lane(mesh *m, uint32_t lane, void (*fn)(void *ctx), void *ctx)
{
    mesh_on_worker(m->workers[lane % m->n_workers], fn, ctx);
}

void
mesh_post(mesh *m, uint32_t lane, emesh_job *job)
{
    emesh_worker_post(m->workers[lane % m->n_workers], job);
}

/* ---- up and down ---- */

typedef struct upping {
    bool over;
    int32_t code;
} upping;

static bool
upping_over(void *ctx)
{
    return ((upping *)ctx)->over;
}

static void
went_up(void *ctx, emesh_inst *inst, int32_t code)
{
    (void)inst;
    *(upping *)ctx = (upping){ true, code };
}

static void
went_down(void *ctx, emesh_inst *inst)
{
    (void)inst;
    ((upping *)ctx)->over = true;
}

static emesh_inst *
bring_up(mesh *m, const emesh_plugin *plugin, const char *name, const char *options,
         emesh_conf **conf)
{
    const emesh_component *component = plugin->components[0];
    g_autofree char *file = g_strdup_printf("50-%s.conf", name);
    g_autofree char *text = g_strdup_printf("[instance]\ncomponent = %s\n[options]\n%s",
                                            component->name, options != NULL ? options : "");
    g_autoptr(GError) error = NULL;
    g_autoptr(emesh_config) config = NULL;
    upping up = { 0 };
    emesh_inst *inst;

    *conf = emesh_conf_parse(file, text, strlen(text), &error);
    g_assert_no_error(error);
    config = emesh_config_new(emesh_conf_instance_at(*conf, 0)->options, component->options, component->n_options,
                              component->option_size, component->groups, component->n_groups,
                              &error);
    g_assert_no_error(error);
    inst = emesh_inst_new(&m->env, plugin, component, emesh_conf_instance_at(*conf, 0), config,
                          &error);
    g_assert_no_error(error);
    emesh_inst_up(inst, went_up, &up);
    mesh_wait(upping_over, &up);
    if (up.code != EMESH_OK)
        g_error("%s did not come up: %s", name, inst->reason);
    return inst;
}

static void
bring_down(emesh_inst *inst)
{
    upping down = { 0 };

    emesh_inst_down(inst, emesh_worker_now(NULL) + 1000000000u, went_down, &down);
    mesh_wait(upping_over, &down);
    emesh_inst_free(inst);
}

static void
sub_free(void *data)
{
    mesh_sub *s = data;

    for (uint32_t i = 0; i < s->seen->len; i++) {
        g_free(g_array_index(s->seen, seen, i).event_id);
        emesh_event_unref(g_array_index(s->seen, seen, i).event);
    }
    g_array_unref(s->seen);
    g_free(s);
}

static void
client_free(void *data)
{
    mesh_client *c = data;

    g_ptr_array_unref(c->subs);
    pthread_mutex_destroy(&c->lock);
    g_free(c);
}

static void
state_changed(void *ctx, emesh_inst *inst)
{
    emesh_bus_inst_changed(((mesh *)ctx)->bus, inst);
}

emesh_inst *
mesh_protocol(mesh *m, const emesh_plugin *plugin, const char *name)
{
    g_assert_null(m->more);
    m->more = bring_up(m, plugin, name, NULL, &m->more_conf);
    return m->more;
}

static void
add_services(mesh *m)
{
    emesh_services_add(m->services, EMESH_LOOP_ID, &emesh_loop_service);
    emesh_services_add(m->services, EMESH_EVENT_ID, &emesh_event_service);
    emesh_services_add(m->services, EMESH_CONFIG_ID, &emesh_config_service);
    emesh_services_add(m->services, EMESH_STATE_ID, &emesh_state_service);
    emesh_bus_add_services(m->services);
}

mesh *
mesh_new(const emesh_plugin *storage, const char *options, uint32_t workers, const char *conf,
         const char *data)
{
    mesh *m = g_new0(mesh, 1);
    emesh_daemon_options limits;
    g_autoptr(GError) error = NULL;
    g_autofree char *core = NULL, *journal = NULL;
    const char *text = conf != NULL ? conf : "[topic *]\n";

    m->clients = g_ptr_array_new_with_free_func(client_free);
    m->own_data = data == NULL;
    m->data = data != NULL ? g_strdup(data) : g_dir_make_tmp("emesh-mesh-XXXXXX", &error);
    g_assert_no_error(error);
    core = g_build_filename(m->data, "core", NULL);
    m->conf = emesh_conf_parse("60-rules.conf", text, strlen(text), &error);
    g_assert_no_error(error);
    g_assert_true(emesh_daemon_options_read(m->conf, &limits, &error));
    m->main = emesh_worker_new_main(&error);
    g_assert_no_error(error);
    m->n_workers = workers;
    m->workers = g_new0(emesh_worker *, workers);
    for (uint32_t i = 0; i < workers; i++) {
        m->workers[i] = emesh_worker_new(i, "worker", &error);
        g_assert_no_error(error);
    }
    m->pool = emesh_pool_new(1);
    m->state = emesh_state_open(core, &error);
    g_assert_no_error(error);
    m->log = emesh_log_new(STDERR_FILENO, EMESH_LOG_ERROR);
    journal = g_build_filename(core, "journal", NULL);
    m->journal = emesh_journal_open(journal, limits.journal_size, limits.journal_sample, m->main,
                                    m->pool, &error);
    g_assert_no_error(error);
    m->bus = emesh_bus_new(m->main, m->workers, workers, &limits, m->state, m->journal);
    m->bus->log = m->log;
    emesh_bus_set_conf(m->bus, m->conf);
    m->services = emesh_services_new();
    add_services(m);
    m->env = (emesh_inst_env){
        .main = m->main, .workers = m->workers, .n_workers = workers, .pool = m->pool,
        .services = m->services, .data_dir = m->data, .node = "test",
        .daemon_id = m->bus->daemon_id, .mesh = m->bus,
        .state = m->state, .log = m->log,
        .events = { .state_changed = state_changed, .ctx = m },
    };
    for (uint32_t i = 0; i < workers; i++)
        emesh_worker_start(m->workers[i]);
    m->store = bring_up(m, storage, "store", options, &m->store_conf);
    m->driver = bring_up(m, &driver_plugin, "driver", NULL, &m->driver_conf);
    return m;
}

static void
closed(void *ctx)
{
    ((upping *)ctx)->over = true;
}

void
mesh_remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        mesh_remove_tree(child);
    }
    g_remove(path);
}

void
mesh_free(mesh *m)
{
    upping down = { 0 };

    for (uint32_t i = 0; i < m->clients->len; i++)
        if (!((mesh_client *)m->clients->pdata[i])->closed)
            mesh_client_close(m->clients->pdata[i], EMESH_LEFT_ORDERLY);
    bring_down(m->driver);
    if (m->more != NULL)
        bring_down(m->more);
    emesh_bus_close(m->bus, closed, &down);
    mesh_wait(upping_over, &down);
    bring_down(m->store);
    for (uint32_t i = 0; i < m->n_workers; i++)
        emesh_worker_stop(m->workers[i]);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    emesh_bus_free(m->bus);
    emesh_pool_free(m->pool);
    emesh_state_close(m->state);
    for (uint32_t i = 0; i < m->n_workers; i++)
        emesh_worker_free(m->workers[i]);
    g_free(m->workers);
    emesh_worker_free(m->main);
    emesh_journal_close(m->journal);
    emesh_services_free(m->services);
    emesh_conf_unref(m->conf);
    emesh_conf_unref(m->store_conf);
    emesh_conf_unref(m->driver_conf);
    if (m->more_conf != NULL)
        emesh_conf_unref(m->more_conf);
    emesh_log_free(m->log);
    g_ptr_array_unref(m->clients);
    if (m->own_data)
        mesh_remove_tree(m->data);
    g_free(m->data);
    g_free(m);
}

emesh_bus *
mesh_bus(mesh *m)
{
    return m->bus;
}

/* ---- clients ---- */

static void
open_on_lane(void *ctx)
{
    mesh_client *c = ctx;
    emesh_who who = { .size = sizeof who, .client = { "test", 4 } };
    emesh_loop *loop = c->m->driver->loops[c->lane % c->m->driver->n_loops];

    c->session = emesh_client_service.open(loop, &who, c);
}

static bool
is_open(void *ctx)
{
    mesh_client *c = ctx;
    bool open;

    pthread_mutex_lock(&c->lock);
    open = c->opened != 0;
    pthread_mutex_unlock(&c->lock);
    return open;
}

mesh_client *
mesh_client_new(mesh *m, uint32_t lane)
{
    mesh_client *c = g_new0(mesh_client, 1);

    g_ptr_array_add(m->clients, c);
    c->subs = g_ptr_array_new_with_free_func(sub_free);
    c->m = m;
    c->lane = lane;
    pthread_mutex_init(&c->lock, NULL);
    mesh_on_lane(m, lane, open_on_lane, c);
    mesh_wait(is_open, c);
    return c;
}

emesh_session *
mesh_session(mesh_client *c)
{
    return c->session;
}

void
mesh_hear(mesh_client *c, void (*published)(void *ctx, const emesh_published *results, uint32_t n),
          void *ctx)
{
    pthread_mutex_lock(&c->lock);
    c->hear = published;
    c->hear_ctx = ctx;
    pthread_mutex_unlock(&c->lock);
}

typedef struct closing {
    mesh_client *c;
    uint32_t how;
} closing;

static void
close_on_lane(void *ctx)
{
    closing *cl = ctx;

    emesh_client_service.close(cl->c->session, cl->how);
}

/* The record stays: its subscriptions may still be asked what they saw. */
void
mesh_client_close(mesh_client *c, uint32_t how)
{
    closing cl = { c, how };

    c->closed = true;
    mesh_on_lane(c->m, c->lane, close_on_lane, &cl);
}

typedef struct publishing {
    mesh_client *c;
    const char *topic, *prefix;
    const char *name, *value; /* one more attribute, or NULL */
    uint32_t n, taken;
    size_t size;
} publishing;

static void
publish_on_lane(void *ctx)
{
    publishing *p = ctx;
    g_autofree emesh_publish *items = g_new0(emesh_publish, p->n);
    g_autofree char *data = g_malloc0(p->size + 1);
    int32_t taken;

    for (uint32_t i = 0; i < p->n; i++) {
        char id[64];
        emesh_part part = { data, p->size, NULL };
        emesh_attr attrs[] = { { "id", id, 2, 0, 0, 0 }, { "source", "/t", 6, 2, 5, 0 },
                               { "type", "t", 4, 1, 0, 0 },
                               { .name = p->name, .value = p->value } };
        emesh_event_view view = { .size = sizeof view, .attrs = attrs,
                                  .n_attrs = p->name != NULL ? 4 : 3,
                                  .data = &part, .n_data = 1, .data_len = p->size,
                                  .data_form = EMESH_DATA_BYTES };
        attrs[0].value_len = (uint32_t)g_snprintf(id, sizeof id, "%s%u", p->prefix, i);
        if (p->name != NULL) {
            attrs[3].name_len = (uint32_t)strlen(p->name);
            attrs[3].value_len = (uint32_t)strlen(p->value);
        }
        g_assert_cmpint(emesh_event_build(&view, NULL, &items[i].event, NULL), ==, EMESH_OK);
        items[i].topic = (emesh_slice){ p->topic, strlen(p->topic) };
        items[i].cookie = i;
    }
    taken = emesh_client_service.publish(p->c->session, items, p->n);
    p->taken = taken > 0 ? (uint32_t)taken : 0;
    for (uint32_t i = 0; i < p->n; i++)
        emesh_event_unref(items[i].event);
}

uint32_t
mesh_publish_here(mesh_client *c, const char *topic, const char *prefix, uint32_t n, size_t size)
{
    publishing p = { .c = c, .topic = topic, .prefix = prefix, .n = n, .size = size };

    publish_on_lane(&p);
    return p.taken;
}

uint32_t
mesh_publish(mesh_client *c, const char *topic, const char *prefix, uint32_t n, size_t size)
{
    publishing p = { .c = c, .topic = topic, .prefix = prefix, .n = n, .size = size };

    mesh_on_lane(c->m, c->lane, publish_on_lane, &p);
    return p.taken;
}

void
mesh_publish_attr(mesh_client *c, const char *topic, const char *prefix, const char *name,
                  const char *value)
{
    publishing p = { .c = c, .topic = topic, .prefix = prefix, .n = 1, .size = 10, .name = name,
                     .value = value };

    mesh_on_lane(c->m, c->lane, publish_on_lane, &p);
    g_assert_cmpuint(p.taken, ==, 1);
}

typedef struct counting {
    pthread_mutex_t *lock;
    const uint32_t *value;
    uint32_t least;
} counting;

static bool
counted(void *ctx)
{
    counting *count = ctx;
    bool enough;

    pthread_mutex_lock(count->lock);
    enough = *count->value >= count->least;
    pthread_mutex_unlock(count->lock);
    return enough;
}

uint32_t
mesh_read(mesh_client *c, const uint32_t *value)
{
    uint32_t copy;

    pthread_mutex_lock(&c->lock);
    copy = *value;
    pthread_mutex_unlock(&c->lock);
    return copy;
}

void
mesh_await_count(mesh_client *c, const uint32_t *value, uint32_t least)
{
    counting count = { &c->lock, value, least };

    mesh_wait(counted, &count);
}

uint32_t
mesh_results(mesh_client *c, uint32_t n)
{
    mesh_await_count(c, &c->results, n);
    return mesh_read(c, &c->good);
}

uint32_t
mesh_all_results(mesh_client *c)
{
    return mesh_read(c, &c->results);
}

int32_t
mesh_last_code(mesh_client *c)
{
    return (int32_t)mesh_read(c, (const uint32_t *)&c->last_code);
}

uint32_t
mesh_rooms(mesh_client *c)
{
    return mesh_read(c, &c->rooms);
}

uint32_t
mesh_asked(mesh_client *c)
{
    return mesh_read(c, &c->asked);
}
