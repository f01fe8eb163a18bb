/* SPDX-License-Identifier: Apache-2.0
 *
 * A store with groups that keeps the letter of the contract as oddly as it can, and sometimes breaks
 * it. What it plays is the beginning of the topic's name:
 *   inside  results within append()           late     from a thread, in reverse
 *   twice   each result twice, the second with another code and a cookie nobody has
 *   never   no result until stop              no       refused, unknown and broken in turn
 *   lost    takes the partition away behind every third record, with and without asking for it
 *   shy     tells with every append that it can do less now, then more again
 *   weak    tells that it has lost its level, and has it back when "strong" is opened
 * Operations (topic_open, close, stop) are completed from the thread, sometimes twice.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "eventmesh/eventmesh.h"

#define ITEMS 65536u

struct group {
    struct group *next;
    char name[128];
    size_t at; /* first record not done */
};
struct reader {
    struct jester *jester;
    struct topic *topic;
    struct group *group; /* NULL: alone */
    struct reader *next;
    emesh_reader *host;
    size_t at;
    uint32_t epoch, wanted, given;
    int begun, assigned, revoking;
};
struct topic {
    struct topic *next;
    char name[128];
    const emesh_event **events;
    size_t n, room;
    struct reader *readers;
    struct group *groups;
};
struct chore { /* what the thread does later */
    struct chore *next;
    emesh_op *op;         /* completed with value, else: */
    void *value;
    struct topic *topic;  /* event is stored, then cookie answered */
    const emesh_event *event;
    uint64_t cookie;
    struct reader *reader; /* gets its partition back */
    int again;
};
struct jester {
    const emesh_host *host;
    const emesh_event_api *ev;
    const emesh_store_api *st;
    pthread_t thread;
    pthread_mutex_t lock; /* around all below, also while the host is called: it never calls back */
    pthread_cond_t more;
    struct chore *chores; /* newest first: that is the reverse order */
    struct topic *topics;
    uint64_t held[ITEMS]; /* cookies of "never" */
    uint32_t n_held;
    uint32_t turn;
    int running, ending;
};

static int
plays(const struct topic *t, const char *what)
{
    return strncmp(t->name, what, strlen(what)) == 0;
}

static void
tell(struct jester *j, uint32_t window, uint32_t level)
{
    emesh_store_info info = { .size = sizeof info, .levels = 1u << level,
                              .can = EMESH_STORE_CAN_REPLAY | EMESH_STORE_CAN_GROUPS,
                              .max_event_bytes = 1u << 20,
                              .window_events = window, .window_bytes = 1u << 24 };
    j->st->ready(j->host, &info);
}

static void
chore_add(struct jester *j, struct chore chore)
{
    struct chore *c = malloc(sizeof *c);

    *c = chore;
    c->next = j->chores;
    j->chores = c;
    pthread_cond_signal(&j->more);
}

/* ---- under the lock ---- */

static void
answer(struct jester *j, uint64_t cookie, int32_t code, size_t place)
{
    emesh_appended r = { .cookie = cookie, .code = code, .level = EMESH_LEVEL_OS,
                         .position = { 0, place } };
    j->st->appended(j->host, &r, 1);
}

static void
assign(struct jester *j, struct reader *r)
{
    r->assigned = 1;
    j->st->partition(r->host, EMESH_PARTITION_ASSIGNED, 0, "0", 1, NULL);
}

static void
feed(struct jester *j, struct reader *r)
{
    while (r->begun && r->wanted > 0 && r->at < r->topic->n) {
        emesh_record rec = { .event = r->topic->events[r->at], .position = { 0, r->at },
                             .epoch = r->epoch, .attempt = 1 };
        r->wanted--;
        r->at++;
        r->given++;
        j->st->records(r->host, &rec, 1);
        if (!plays(r->topic, "lost") || r->given % 3 != 0)
            continue;
        r->begun = 0;
        if (r->given % 2 == 0) { /* asks, and waits for release() */
            r->revoking = 1;
            j->st->partition(r->host, EMESH_PARTITION_REVOKING, 0, "0", 1, NULL);
        } else {
            r->assigned = 0;
            r->epoch = 0;
            j->st->partition(r->host, EMESH_PARTITION_LOST, 0, "0", 1, NULL);
            chore_add(j, (struct chore){ .reader = r, .topic = r->topic });
        }
    }
}

static size_t
keep(struct jester *j, struct topic *t, const emesh_event *event)
{
    if (t->n == t->room) {
        t->room = t->room ? t->room * 2 : 64;
        t->events = realloc(t->events, t->room * sizeof *t->events);
    }
    t->events[t->n++] = event;
    for (struct reader *r = t->readers; r != NULL; r = r->next)
        feed(j, r);
    return t->n - 1;
}

static int
is_open(const struct topic *t, const struct reader *reader)
{
    for (const struct reader *r = t->readers; r != NULL; r = r->next)
        if (r == reader)
            return 1;
    return 0;
}

static void
do_chore(struct jester *j, const struct chore *c)
{
    if (c->op != NULL) {
        j->host->complete(j->host, c->op, EMESH_OK, NULL, c->value);
        if (c->again)
            j->host->complete(j->host, c->op, EMESH_E_INTERNAL, NULL, NULL);
    } else if (c->event != NULL) {
        answer(j, c->cookie, EMESH_OK, keep(j, c->topic, c->event));
    } else if (c->reader != NULL) {
        if (is_open(c->topic, c->reader) && !c->reader->assigned)
            assign(j, c->reader);
    } else { /* the second answer of "twice", and one to a question nobody asked */
        answer(j, c->cookie, EMESH_E_IO, 0);
        answer(j, c->cookie ^ UINT64_C(0xff00ff00ff00ff00), EMESH_OK, 0);
    }
}

static void *
jester_thread(void *data)
{
    struct jester *j = data;

    pthread_mutex_lock(&j->lock);
    while (!j->ending || j->chores != NULL) {
        struct chore *c = j->chores;
        if (c == NULL) {
            pthread_cond_wait(&j->more, &j->lock);
            continue;
        }
        j->chores = c->next;
        do_chore(j, c);
        free(c);
        pthread_mutex_unlock(&j->lock); /* let more come in between */
        pthread_mutex_lock(&j->lock);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* ---- life ---- */

static int32_t
jester_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out,
              emesh_error *err)
{
    struct jester *j = calloc(1, sizeof *j);

    (void)cfg, (void)err;
    if (j == NULL)
        return EMESH_E_NO_MEMORY;
    j->host = host;
    j->ev = host->service(host, EMESH_EVENT_ID);
    j->st = host->service(host, EMESH_STORE_ID);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->more, NULL);
    *out = (emesh_instance *)j;
    return EMESH_OK;
}

static void
jester_start(emesh_instance *self, emesh_op *op)
{
    struct jester *j = (struct jester *)self;

    if (pthread_create(&j->thread, NULL, jester_thread, j) != 0) {
        j->host->complete(j->host, op, EMESH_E_NO_MEMORY, NULL, NULL);
        return;
    }
    j->running = 1;
    tell(j, 1024, EMESH_LEVEL_OS);
    pthread_mutex_lock(&j->lock);
    chore_add(j, (struct chore){ .op = op });
    pthread_mutex_unlock(&j->lock);
}

static int32_t
jester_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
              emesh_error *err)
{
    (void)loop, (void)index, (void)err;
    *out = (emesh_lane *)self;
    return EMESH_OK;
}

static void
jester_stop(emesh_instance *self, emesh_op *op)
{
    struct jester *j = (struct jester *)self;

    if (j->running) {
        pthread_mutex_lock(&j->lock);
        j->ending = 1;
        pthread_cond_signal(&j->more);
        pthread_mutex_unlock(&j->lock);
        pthread_join(j->thread, NULL);
    }
    for (uint32_t i = 0; i < j->n_held; i++)
        answer(j, j->held[i], EMESH_E_LOST, 0);
    j->host->complete(j->host, op, EMESH_OK, NULL, NULL);
}

static void
topic_free(struct jester *j, struct topic *t)
{
    j->ev->unref(t->events, (uint32_t)t->n);
    while (t->groups != NULL) {
        struct group *g = t->groups;
        t->groups = g->next;
        free(g);
    }
    free(t->events);
    free(t);
}

static void
jester_destroy(emesh_instance *self)
{
    struct jester *j = (struct jester *)self;

    while (j->topics != NULL) { /* with appends unanswered they were not closed */
        struct topic *t = j->topics;
        j->topics = t->next;
        topic_free(j, t);
    }
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->more);
    free(j);
}

/* ---- topics ---- */

static void
jester_topic_open(emesh_instance *self, const emesh_topic_spec *spec, emesh_op *op)
{
    struct jester *j = (struct jester *)self;
    struct topic *t = spec->name.len < sizeof t->name ? calloc(1, sizeof *t) : NULL;

    if (t == NULL) {
        j->host->complete(j->host, op, EMESH_E_INVALID, NULL, NULL);
        return;
    }
    memcpy(t->name, spec->name.ptr, spec->name.len);
    pthread_mutex_lock(&j->lock);
    t->next = j->topics;
    j->topics = t;
    if (plays(t, "strong"))
        tell(j, 1024, EMESH_LEVEL_OS);
    chore_add(j, (struct chore){ .op = op, .value = t, .again = plays(t, "twice") });
    pthread_mutex_unlock(&j->lock);
}

static void
jester_topic_close(emesh_instance *self, emesh_topic *topic)
{
    struct jester *j = (struct jester *)self;
    struct topic *t = (struct topic *)topic;

    pthread_mutex_lock(&j->lock);
    for (struct chore **at = &j->chores; *at != NULL;) { /* a reader's return is void now */
        struct chore *c = *at;
        if (c->reader == NULL || c->topic != t) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        free(c);
    }
    for (struct topic **at = &j->topics; *at != NULL; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            break;
        }
    pthread_mutex_unlock(&j->lock);
    topic_free(j, t);
}

/* ---- groups ---- */

static size_t
place_of(const struct topic *t, const emesh_start *start)
{
    return start->kind == EMESH_START_EARLIEST ? 0
           : start->kind == EMESH_START_AFTER  ? (size_t)start->position.lo + 1
                                               : t->n;
}

static struct group *
group_of(struct topic *t, const emesh_slice *name, const emesh_start *start)
{
    struct group *g;

    for (g = t->groups; g != NULL; g = g->next)
        if (strlen(g->name) == name->len && memcmp(g->name, name->ptr, name->len) == 0)
            return g;
    g = calloc(1, sizeof *g);
    memcpy(g->name, name->ptr, name->len < sizeof g->name ? name->len : sizeof g->name - 1);
    g->at = place_of(t, start);
    g->next = t->groups;
    t->groups = g;
    return g;
}

static void
jester_admin(emesh_instance *self, const emesh_admin *what, emesh_op *op)
{
    struct jester *j = (struct jester *)self;
    int32_t code = EMESH_E_UNSUPPORTED;
    struct topic *t;

    pthread_mutex_lock(&j->lock);
    for (t = j->topics; t != NULL; t = t->next)
        if (strlen(t->name) == what->topic.len &&
            memcmp(t->name, what->topic.ptr, what->topic.len) == 0)
            break;
    if (what->what == EMESH_CHANGE_PLACE || what->what == EMESH_CHANGE_SEEK)
        code = t != NULL ? EMESH_OK : EMESH_E_NOT_FOUND;
    if (t != NULL && what->what == EMESH_CHANGE_PLACE)
        group_of(t, &what->group, what->start);
    if (t != NULL && what->what == EMESH_CHANGE_SEEK)
        group_of(t, &what->group, what->start)->at = place_of(t, what->start);
    if (t != NULL && what->what == EMESH_CHANGE_FORGET)
        code = EMESH_OK; /* and keeps it: a group that returns goes on */
    pthread_mutex_unlock(&j->lock);
    j->host->complete(j->host, op, code, NULL, NULL);
}

/* ---- append ---- */

static void
append_one(struct jester *j, const emesh_append *item)
{
    static const int32_t no[] = { EMESH_E_NO_SPACE, EMESH_E_LOST, EMESH_E_CORRUPT, -277, -9999 };
    struct topic *t = (struct topic *)item->topic;

    if (plays(t, "no")) {
        answer(j, item->cookie, no[j->turn++ % 5], 0);
        return;
    }
    if (plays(t, "never")) {
        if (j->n_held < ITEMS)
            j->held[j->n_held++] = item->cookie;
        return;
    }
    if (plays(t, "late")) {
        chore_add(j, (struct chore){ .topic = t, .event = j->ev->ref(item->event),
                                     .cookie = item->cookie });
        return;
    }
    answer(j, item->cookie, EMESH_OK, keep(j, t, j->ev->ref(item->event)));
    if (plays(t, "twice"))
        chore_add(j, (struct chore){ .cookie = item->cookie });
}

static void
jester_append(emesh_lane *lane, const emesh_append *items, uint32_t n)
{
    struct jester *j = (struct jester *)lane;

    pthread_mutex_lock(&j->lock);
    for (uint32_t i = 0; i < n; i++) {
        if (plays((struct topic *)items[i].topic, "shy")) {
            tell(j, 1, EMESH_LEVEL_OS);
            tell(j, 1 + j->turn++ % 64, EMESH_LEVEL_OS);
        }
        if (plays((struct topic *)items[i].topic, "weak"))
            tell(j, 1024, EMESH_LEVEL_MEMORY);
        append_one(j, &items[i]);
    }
    pthread_mutex_unlock(&j->lock);
}

/* ---- readers ---- */

static emesh_cursor *
jester_open(emesh_lane *lane, const emesh_read_spec *spec, emesh_reader *reader)
{
    struct jester *j = (struct jester *)lane;
    struct reader *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->jester = j;
    r->topic = (struct topic *)spec->topic;
    r->host = reader;
    pthread_mutex_lock(&j->lock);
    if (spec->mode == EMESH_READ_SHARED)
        r->group = group_of(r->topic, &spec->group,
                            &(emesh_start){ .kind = EMESH_START_LATEST });
    r->next = r->topic->readers;
    r->topic->readers = r;
    if (plays(r->topic, "late"))
        chore_add(j, (struct chore){ .reader = r, .topic = r->topic });
    else
        assign(j, r);
    pthread_mutex_unlock(&j->lock);
    return (emesh_cursor *)r;
}

static void
jester_begin(emesh_cursor *cursor, uint32_t partition, uint32_t epoch, const emesh_start *start)
{
    struct reader *r = (struct reader *)cursor;
    struct jester *j = r->jester;

    (void)partition;
    pthread_mutex_lock(&j->lock);
    r->epoch = epoch;
    r->begun = r->assigned; /* it may have been taken away again on the way */
    r->at = start->kind == EMESH_START_STORED && r->group != NULL ? r->group->at
                                                                  : place_of(r->topic, start);
    feed(j, r);
    pthread_mutex_unlock(&j->lock);
}

static void
jester_want(emesh_cursor *cursor, uint32_t records, uint64_t bytes)
{
    struct reader *r = (struct reader *)cursor;
    struct jester *j = r->jester;

    (void)bytes;
    pthread_mutex_lock(&j->lock);
    r->wanted += records;
    feed(j, r);
    pthread_mutex_unlock(&j->lock);
}

static void
jester_release(emesh_cursor *cursor, uint32_t partition, uint32_t epoch)
{
    struct reader *r = (struct reader *)cursor;
    struct jester *j = r->jester;

    (void)partition;
    pthread_mutex_lock(&j->lock);
    if (r->revoking && epoch == r->epoch) {
        r->revoking = r->assigned = 0;
        r->epoch = 0;
        chore_add(j, (struct chore){ .reader = r, .topic = r->topic });
    }
    pthread_mutex_unlock(&j->lock);
}

static void
jester_commit(emesh_cursor *cursor, const emesh_commit *items, uint32_t n)
{
    struct reader *r = (struct reader *)cursor;
    struct jester *j = r->jester;

    pthread_mutex_lock(&j->lock);
    for (uint32_t i = 0; i < n; i++)
        if (items[i].epoch == r->epoch && items[i].outcome == EMESH_COMMIT_UP_TO &&
            r->group != NULL)
            r->group->at = (size_t)items[i].position.lo + 1;
    pthread_mutex_unlock(&j->lock);
}

static void
jester_close(emesh_cursor *cursor, emesh_op *op)
{
    struct reader *r = (struct reader *)cursor, **at;
    struct jester *j = r->jester;

    pthread_mutex_lock(&j->lock);
    for (at = &r->topic->readers; *at != r; at = &(*at)->next)
        continue;
    *at = r->next;
    chore_add(j, (struct chore){ .op = op, .again = plays(r->topic, "twice") });
    pthread_mutex_unlock(&j->lock);
    free(r);
}

/* ---- descriptor ---- */

static const emesh_life_ops life = { .size = sizeof life, .create = jester_create,
                                     .start = jester_start, .attach = jester_attach,
                                     .stop = jester_stop, .destroy = jester_destroy };
static const emesh_storage_ops ops = { .size = sizeof ops, .topic_open = jester_topic_open,
                                       .topic_close = jester_topic_close,
                                       .append = jester_append, .open = jester_open,
                                       .begin = jester_begin, .want = jester_want,
                                       .close = jester_close, .release = jester_release,
                                       .commit = jester_commit, .admin = jester_admin };
static const emesh_need needs[] = { EMESH_NEED(EMESH_EVENT_ID, emesh_event_api, unref),
                                    EMESH_NEED(EMESH_STORE_ID, emesh_store_api, partition) };
static const emesh_component jester = { .size = sizeof jester,
                                        .option_size = sizeof(emesh_option),
                                        .kind = EMESH_STORAGE_KIND,
                                        .name = "jester-store",
                                        .summary = "a store with odd habits, for tests",
                                        .claims = EMESH_STORE_CAN_REPLAY |
                                                  EMESH_STORE_CAN_GROUPS,
                                        .life = &life,
                                        .ops = &ops,
                                        .needs = needs,
                                        .n_needs = 2,
                                        .lanes = EMESH_LANES_HOME };
static const emesh_component *const components[] = { &jester };
static const emesh_layout layout = EMESH_LAYOUT;
static const emesh_plugin plugin = { .size = sizeof plugin, .abi_minor = EMESH_ABI_MINOR,
                                     .n_components = 1, .id = "eventmesh.jester-store",
                                     .version = "1.0.0", .licence = "Apache-2.0",
                                     .vendor = "EventMesh", .summary = "a store with odd habits",
                                     .components = components, .layout = &layout };
EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    (void)host_minor;
    return &plugin;
}
