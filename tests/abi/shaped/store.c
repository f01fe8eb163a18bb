/* SPDX-License-Identifier: Apache-2.0
 *
 * storage-shaped as the host sees it: options, life, topics, appends, readers. See shaped.h.
 */
#include "shaped.h"

#include <stdlib.h>
#include <string.h>

struct shaped_cursor {
    shaped *s;
    shaped_topic *topic;
    shaped_group *group; /* NULL: alone */
    emesh_reader *reader;
    uint32_t wanted;
    uint32_t epoch[SHAPED_MOST_PARTITIONS]; /* 0: not begun */
    guint at[SHAPED_MOST_PARTITIONS];
};

typedef struct late {
    uint64_t due_ns;
    emesh_appended result;
} late;

static const emesh_option options[] = {
    { .name = "claims", .type = EMESH_OPT_TEXT, .value = "groups,replay,time,order,ack-each",
      .help = "What the store can." },
    { .name = "any-names", .type = EMESH_OPT_BOOL, .value = "off",
      .help = "Topic names may hold more than A-Za-z0-9._-." },
    { .name = "gap", .type = EMESH_OPT_INT, .value = "0", .max = 1000000,
      .help = "Positions are left out before each so many appends." },
    { .name = "marks", .type = EMESH_OPT_INT, .value = "0", .max = 1000000,
      .help = "A transaction's mark lies behind each so many appends." },
    { .name = "aborts", .type = EMESH_OPT_INT, .value = "0", .max = 1000000,
      .help = "An aborted transaction lies before each so many appends." },
    { .name = "compact", .type = EMESH_OPT_BOOL, .value = "off",
      .help = "At start only the last event of each partitionkey is kept." },
    { .name = "max-event", .type = EMESH_OPT_SIZE, .value = "1MiB", .min = 1024, .max = 16777216,
      .help = "Largest event." },
};

/* ---- life ---- */

static uint64_t
claims_of(const char *text)
{
    static const struct {
        const char *name;
        uint64_t can;
    } known[] = {
        { "groups", EMESH_STORE_CAN_GROUPS }, { "replay", EMESH_STORE_CAN_REPLAY },
        { "time", EMESH_STORE_CAN_TIME },     { "order", EMESH_STORE_CAN_ORDER },
        { "ack-each", EMESH_STORE_CAN_ACK_EACH },
    };
    g_auto(GStrv) words = g_strsplit(text, ",", 0);
    uint64_t can = 0;

    for (uint32_t i = 0; words[i] != NULL; i++)
        for (uint32_t k = 0; k < G_N_ELEMENTS(known); k++)
            if (strcmp(words[i], known[k].name) == 0)
                can |= known[k].can;
    return can;
}

static emesh_value
option(const emesh_config_api *config, const emesh_config *cfg, const char *name)
{
    emesh_value value = { .size = sizeof value };

    config->get(cfg, name, 0, &value);
    return value;
}

static int32_t
shaped_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out,
              emesh_error *err)
{
    const emesh_config_api *config = host->service(host, EMESH_CONFIG_ID);
    shaped *s = g_new0(shaped, 1);

    (void)err;
    s->host = host;
    s->events = host->service(host, EMESH_EVENT_ID);
    s->store = host->service(host, EMESH_STORE_ID);
    s->loops = host->service(host, EMESH_LOOP_ID);
    s->can = claims_of(option(config, cfg, "claims").text.ptr);
    if (option(config, cfg, "any-names").i != 0)
        s->can |= EMESH_STORE_ANY_NAME;
    s->gap = option(config, cfg, "gap").i;
    s->marks = option(config, cfg, "marks").i;
    s->aborts = option(config, cfg, "aborts").i;
    s->compact = option(config, cfg, "compact").i;
    s->max_event = (uint64_t)option(config, cfg, "max-event").i;
    for (uint32_t i = 0; i < host->n_about; i++)
        if (host->about[i].name_len == 8 && memcmp(host->about[i].name, "data-dir", 8) == 0)
            s->folder = g_strndup(host->about[i].value, host->about[i].value_len);
    s->cursors = g_ptr_array_new();
    pthread_mutex_init(&s->lock, NULL);
    *out = (emesh_instance *)s;
    return EMESH_OK;
}

static void
shaped_start(emesh_instance *self, emesh_op *op)
{
    shaped *s = (shaped *)self;
    emesh_store_info info = { .size = sizeof info,
                              .levels = 1u << EMESH_LEVEL_MEMORY | 1u << EMESH_LEVEL_OS,
                              .can = s->can,
                              .max_event_bytes = s->max_event,
                              .window_events = 1024,
                              .window_bytes = 1u << 24 };
    bool good;

    pthread_mutex_lock(&s->lock);
    good = shaped_load(s);
    pthread_mutex_unlock(&s->lock);
    if (good)
        s->store->ready(s->host, &info);
    s->host->complete(s->host, op, good ? EMESH_OK : EMESH_E_IO, NULL, NULL);
}

static void tell_late(void *ctx);

static int32_t
shaped_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
              emesh_error *err)
{
    shaped *s = (shaped *)self;

    (void)index, (void)err;
    s->loop = loop;
    s->timer = s->loops->timer(loop, tell_late, s);
    *out = (emesh_lane *)self;
    return EMESH_OK;
}

static void
shaped_detach(emesh_lane *lane, emesh_op *op)
{
    shaped *s = (shaped *)lane;
    late *l;

    s->loops->timer_end(s->timer);
    while ((l = g_queue_pop_head(&s->late)) != NULL) {
        s->store->appended(s->host, &l->result, 1);
        g_free(l);
    }
    s->host->complete(s->host, op, EMESH_OK, NULL, NULL);
}

static void
shaped_destroy(emesh_instance *self)
{
    shaped *s = (shaped *)self;

    shaped_unload(s);
    g_ptr_array_unref(s->cursors);
    g_free(s->folder);
    g_free(s->revoked);
    pthread_mutex_destroy(&s->lock);
    g_free(s);
}

/* ---- topics ---- */

static bool
begins(const char *name, const char *with)
{
    return with != NULL && g_str_has_prefix(name, with);
}

static bool
legal(const shaped *s, const char *name)
{
    for (const char *p = name; *p != '\0'; p++)
        if (!shaped_can(s, EMESH_STORE_ANY_NAME) && !g_ascii_isalnum(*p) &&
            strchr("._-", *p) == NULL)
            return false;
    return strlen(name) <= 249;
}

static void
shaped_topic_open(emesh_instance *self, const emesh_topic_spec *spec, emesh_op *op)
{
    shaped *s = (shaped *)self;
    g_autofree char *name = g_strndup(spec->name.ptr, spec->name.len);
    shaped_switches sw = shaped_switches_read(s);
    emesh_error err = { .size = sizeof err, .text = "this store takes no such topic" };
    shaped_topic *topic;
    int32_t code = EMESH_OK;

    pthread_mutex_lock(&s->lock);
    topic = shaped_topic_get(s, name);
    if (topic == NULL && !legal(s, name))
        code = EMESH_E_INVALID;
    else if (topic == NULL && begins(name, sw.deny))
        code = EMESH_E_UNAVAILABLE;
    else if (topic == NULL)
        topic = shaped_topic_make(s, name, spec->partitions);
    pthread_mutex_unlock(&s->lock);
    shaped_switches_clear(&sw);
    s->host->complete(s->host, op, code, code != EMESH_OK ? &err : NULL, topic);
}

static void
shaped_topic_close(emesh_instance *self, emesh_topic *topic)
{
    (void)self, (void)topic;
}

/* ---- readers ---- */

static char *
text(emesh_slice slice)
{
    return g_strndup(slice.ptr != NULL ? slice.ptr : "", slice.len);
}

static bool
fill(shaped_cursor *c, uint32_t partition, emesh_record *out)
{
    const shaped_record *r;
    const shaped_place *place = c->group != NULL ? &c->group->places[partition] : NULL;

    if (c->epoch[partition] == 0 || c->at[partition] >= c->topic->records[partition]->len)
        return false;
    r = &g_array_index(c->topic->records[partition], shaped_record, c->at[partition]++);
    *out = (emesh_record){ .event = r->event,
                           .position = { SHAPED_HI, r->at },
                           .stored_ms = r->stored_ms,
                           .partition = partition,
                           .epoch = c->epoch[partition],
                           .attempt = 1 };
    if (place != NULL && place->done != NULL && g_hash_table_contains(place->done, &r->at))
        out->event = NULL; /* settled before: only the place moves on */
    return true;
}

static void
feed(shaped_cursor *c)
{
    emesh_record records[64];
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->topic->partitions; i++) {
        while (c->wanted > 0 && fill(c, i, &records[n])) {
            c->wanted--;
            if (++n == G_N_ELEMENTS(records)) {
                c->s->store->records(c->reader, records, n);
                n = 0;
            }
        }
    }
    if (n > 0)
        c->s->store->records(c->reader, records, n);
}

static void
assign(shaped_cursor *c, uint32_t change, uint32_t partition)
{
    char name[16];
    int len = g_snprintf(name, sizeof name, "%u", partition);

    c->s->store->partition(c->reader, change, partition, name, (size_t)len, NULL);
}

static emesh_cursor *
shaped_open(emesh_lane *lane, const emesh_read_spec *spec, emesh_reader *reader)
{
    shaped *s = (shaped *)lane;
    shaped_cursor *c = g_new0(shaped_cursor, 1);
    g_autofree char *group = text(spec->group);
    emesh_start latest = { .size = sizeof latest, .kind = EMESH_START_LATEST };

    pthread_mutex_lock(&s->lock);
    c->s = s;
    c->topic = (shaped_topic *)spec->topic;
    c->reader = reader;
    if (spec->mode == EMESH_READ_SHARED)
        c->group = shaped_group_make(s, c->topic, group, &latest);
    g_ptr_array_add(s->cursors, c);
    for (uint32_t i = 0; i < c->topic->partitions; i++)
        assign(c, EMESH_PARTITION_ASSIGNED, i);
    pthread_mutex_unlock(&s->lock);
    return (emesh_cursor *)c;
}

static void
shaped_begin(emesh_cursor *cursor, uint32_t partition, uint32_t epoch, const emesh_start *start)
{
    shaped_cursor *c = (shaped_cursor *)cursor;

    pthread_mutex_lock(&c->s->lock);
    c->epoch[partition] = epoch;
    c->at[partition] =
        c->group != NULL && start->kind == EMESH_START_STORED
            ? shaped_after(c->topic, partition, c->group->places[partition].floor)
            : shaped_first(c->topic, partition, start);
    feed(c);
    pthread_mutex_unlock(&c->s->lock);
}

static void
shaped_release(emesh_cursor *cursor, uint32_t partition, uint32_t epoch)
{
    shaped_cursor *c = (shaped_cursor *)cursor;

    (void)epoch;
    pthread_mutex_lock(&c->s->lock);
    c->epoch[partition] = 0;
    assign(c, EMESH_PARTITION_ASSIGNED, partition); /* nobody else is there: it comes back */
    pthread_mutex_unlock(&c->s->lock);
}

static void
shaped_want(emesh_cursor *cursor, uint32_t records, uint64_t bytes)
{
    shaped_cursor *c = (shaped_cursor *)cursor;

    (void)bytes;
    pthread_mutex_lock(&c->s->lock);
    c->wanted += records;
    feed(c);
    pthread_mutex_unlock(&c->s->lock);
}

static void
shaped_commit_all(emesh_cursor *cursor, const emesh_commit *items, uint32_t n)
{
    shaped_cursor *c = (shaped_cursor *)cursor;

    pthread_mutex_lock(&c->s->lock);
    for (uint32_t i = 0; i < n && c->group != NULL; i++)
        if (items[i].epoch == c->epoch[items[i].partition])
            shaped_commit(c->s, c->topic, c->group, &items[i]);
    pthread_mutex_unlock(&c->s->lock);
}

static void
shaped_close(emesh_cursor *cursor, emesh_op *op)
{
    shaped_cursor *c = (shaped_cursor *)cursor;
    shaped *s = c->s;

    pthread_mutex_lock(&s->lock);
    g_ptr_array_remove(s->cursors, c);
    pthread_mutex_unlock(&s->lock);
    g_free(c);
    s->host->complete(s->host, op, EMESH_OK, NULL, NULL);
}

/* A topic that the switches name is taken away from its readers, once. */
static void
take_away(shaped *s, const char *name)
{
    if (name == NULL || g_strcmp0(name, s->revoked) == 0)
        return;
    g_free(s->revoked);
    s->revoked = g_strdup(name);
    for (guint i = 0; i < s->cursors->len; i++) {
        shaped_cursor *c = s->cursors->pdata[i];
        for (uint32_t k = 0; k < c->topic->partitions; k++)
            if (strcmp(c->topic->name, name) == 0 && c->group != NULL && c->epoch[k] != 0)
                assign(c, EMESH_PARTITION_REVOKING, k);
    }
}

/* ---- appends ---- */

static void
tell_late(void *ctx)
{
    shaped *s = ctx;
    late *l;

    while ((l = g_queue_peek_head(&s->late)) != NULL && l->due_ns <= s->loops->time(s->loop, EMESH_CLOCK_MONOTONIC)) {
        s->store->appended(s->host, &l->result, 1);
        g_free(g_queue_pop_head(&s->late));
    }
    if (l != NULL)
        s->loops->timer_set(s->timer, l->due_ns);
}

static void
tell(shaped *s, const emesh_appended *result, uint64_t slow_ms)
{
    late *l;

    if (slow_ms == 0) {
        s->store->appended(s->host, result, 1);
        return;
    }
    l = g_new(late, 1);
    *l = (late){ s->loops->time(s->loop, EMESH_CLOCK_MONOTONIC) + slow_ms * UINT64_C(1000000), *result };
    g_queue_push_tail(&s->late, l);
    if (s->late.length == 1)
        s->loops->timer_set(s->timer, l->due_ns);
}

static uint32_t
partition_of(const shaped_topic *topic, emesh_slice key)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < key.len; i++)
        h = (h ^ ((const uint8_t *)key.ptr)[i]) * 16777619u;
    return h % topic->partitions;
}

static void
shaped_append(emesh_lane *lane, const emesh_append *items, uint32_t n)
{
    static const char failed[] = "the switches say so";
    shaped *s = (shaped *)lane;
    shaped_switches sw = shaped_switches_read(s);

    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < n; i++) {
        shaped_topic *topic = (shaped_topic *)items[i].topic;
        emesh_appended r = { .cookie = items[i].cookie, .level = EMESH_LEVEL_OS };
        if (items[i].group.len > 0 || items[i].commit != NULL || items[i].deliver_at_ms != 0)
            g_error("storage-shaped was asked for what it does not claim");
        if (begins(topic->name, sw.fail)) {
            r.code = EMESH_E_UNAVAILABLE;
            r.reason = (emesh_slice){ failed, sizeof failed - 1 };
        } else {
            r.partition = partition_of(topic, items[i].key);
            r.position = (emesh_position){ SHAPED_HI, shaped_add(s, topic, r.partition,
                                                                 items[i].event) };
            r.code = begins(topic->name, sw.lose) ? EMESH_E_LOST : EMESH_OK;
        }
        tell(s, &r, sw.slow_ms);
    }
    for (guint i = 0; i < s->cursors->len; i++)
        feed(s->cursors->pdata[i]);
    take_away(s, sw.revoke);
    pthread_mutex_unlock(&s->lock);
    shaped_switches_clear(&sw);
}

/* ---- administration ---- */

static emesh_slice
slice(const char *text)
{
    return (emesh_slice){ text, strlen(text) };
}

static void
add_row(GArray *rows, const shaped_topic *topic, const shaped_group *group, uint32_t partition)
{
    static const char *const numbers[] = { "0", "1", "2",  "3",  "4",  "5",  "6",  "7",
                                           "8", "9", "10", "11", "12", "13", "14", "15" };
    const GArray *records = topic->records[partition];
    emesh_row row = { .topic = slice(topic->name),
                      .partition = slice(numbers[partition]),
                      .count = records->len,
                      .bytes = UINT64_MAX };

    if (records->len > 0) {
        row.first.lo = g_array_index(records, shaped_record, 0).at;
        row.last.lo = g_array_index(records, shaped_record, records->len - 1).at;
        row.first.hi = row.last.hi = SHAPED_HI;
    }
    if (group != NULL) { /* as a broker counts: to the end, whatever lies there */
        const shaped_place *place = &group->places[partition];
        row.group = slice(group->name);
        row.committed = (emesh_position){ SHAPED_HI, place->floor };
        row.count = records->len - shaped_after(topic, partition, place->floor);
    }
    g_array_append_val(rows, row);
}

static void
list(shaped *s, const emesh_admin *what, emesh_op *op)
{
    g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(emesh_row));
    g_autofree char *only = text(what->topic);
    emesh_rows out = { .size = sizeof out };
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, s->topics);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const shaped_topic *topic = value;
        if (only[0] != '\0' && strcmp(only, topic->name) != 0)
            continue;
        for (uint32_t i = 0; i < topic->partitions; i++) {
            if (what->what != EMESH_LIST_GROUPS)
                add_row(rows, topic, NULL, i);
            for (guint g = 0; what->what == EMESH_LIST_GROUPS && g < topic->groups->len; g++)
                add_row(rows, topic, topic->groups->pdata[g], i);
        }
    }
    out.rows = (const emesh_row *)rows->data;
    out.n = rows->len;
    s->host->complete(s->host, op, EMESH_OK, NULL, &out);
}

static int32_t
change(shaped *s, const emesh_admin *what)
{
    g_autofree char *name = text(what->topic), *group = text(what->group);
    shaped_topic *topic = shaped_topic_get(s, name);
    shaped_group *place = topic != NULL ? shaped_group_get(topic, group) : NULL;

    if (topic == NULL)
        return EMESH_E_NOT_FOUND;
    switch (what->what) {
    case EMESH_CHANGE_DELETE:
        shaped_topic_delete(s, topic);
        return EMESH_OK;
    case EMESH_CHANGE_PLACE:
        shaped_group_make(s, topic, group, what->start);
        return EMESH_OK;
    case EMESH_CHANGE_FORGET:
        shaped_group_forget(s, topic, group);
        return EMESH_OK;
    case EMESH_CHANGE_SEEK:
        if (place == NULL)
            return EMESH_E_NOT_FOUND;
        for (uint32_t i = 0; i < topic->partitions; i++)
            if (what->partition.len == 0 || (uint32_t)atoi(what->partition.ptr) == i)
                shaped_group_seek(s, topic, place, i, what->start);
        return EMESH_OK;
    default:
        return EMESH_E_UNSUPPORTED;
    }
}

static void
shaped_admin(emesh_instance *self, const emesh_admin *what, emesh_op *op)
{
    shaped *s = (shaped *)self;

    pthread_mutex_lock(&s->lock);
    if (what->what >= EMESH_LIST_TOPICS && what->what <= EMESH_LIST_GROUPS)
        list(s, what, op);
    else
        s->host->complete(s->host, op, change(s, what), NULL, NULL);
    pthread_mutex_unlock(&s->lock);
}

/* ---- descriptor ---- */

static const emesh_life_ops life = { .size = sizeof life,     .create = shaped_create,
                                     .start = shaped_start,   .attach = shaped_attach,
                                     .detach = shaped_detach, .destroy = shaped_destroy };
static const emesh_storage_ops ops = {
    .size = sizeof ops,      .topic_open = shaped_topic_open, .topic_close = shaped_topic_close,
    .admin = shaped_admin,   .append = shaped_append,         .open = shaped_open,
    .begin = shaped_begin,   .release = shaped_release,       .want = shaped_want,
    .close = shaped_close,   .commit = shaped_commit_all,
};
static const emesh_need needs[] = {
    EMESH_NEED(EMESH_EVENT_ID, emesh_event_api, encode),
    EMESH_NEED(EMESH_STORE_ID, emesh_store_api, partition),
    EMESH_NEED(EMESH_CONFIG_ID, emesh_config_api, get),
    EMESH_NEED(EMESH_LOOP_ID, emesh_loop_api, timer_end),
};
static const emesh_component shaped_component = {
    .size = sizeof shaped_component,
    .option_size = sizeof(emesh_option),
    .kind = EMESH_STORAGE_KIND,
    .name = "storage-shaped",
    .summary = "events in a file, in the shape that a test wants",
    .claims = EMESH_STORE_CAN_GROUPS | EMESH_STORE_CAN_REPLAY | EMESH_STORE_CAN_TIME |
              EMESH_STORE_CAN_ORDER | EMESH_STORE_CAN_ACK_EACH | EMESH_STORE_ANY_NAME,
    .life = &life,
    .ops = &ops,
    .options = options,
    .n_options = G_N_ELEMENTS(options),
    .needs = needs,
    .n_needs = G_N_ELEMENTS(needs),
    .lanes = EMESH_LANES_HOME,
};
static const emesh_component *const components[] = { &shaped_component };
static const emesh_layout layout = EMESH_LAYOUT;
static const emesh_plugin plugin = { .size = sizeof plugin,
                                     .abi_minor = EMESH_ABI_MINOR,
                                     .n_components = 1,
                                     .id = "eventmesh.storage-shaped",
                                     .version = "1.0.0",
                                     .licence = "Apache-2.0",
                                     .vendor = "EventMesh",
                                     .summary = "a store for tests",
                                     .components = components,
                                     .layout = &layout };
EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    (void)host_minor;
    return &plugin;
}
