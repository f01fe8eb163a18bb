/* SPDX-License-Identifier: Apache-2.0
 *
 * See forget.h. A group without subscriptions has a record: the daemon's own clock, which runs
 * while it is up and is written down each minute, when it became idle. A record goes, durably,
 * before the next SUBSCRIBE of the group is answered. [main]
 */
#include "delivery/forget.h"
#include "bus/own-topic.h"
#include "daemon/log.h"
#include "delivery/change.h"
#include "delivery/groups.h"
#include "delivery/patterns.h"
#include "delivery/sub.h"

#include <string.h>

#define SPACE "idle:"
#define CLOCK "clock" /* a key without the NUL that a group's has */
#define TICK_MOST_NS (60u * UINT64_C(1000000000))
#define TICK_LEAST_NS (50u * UINT64_C(1000000))
#define SOON_NS UINT64_C(1000000000) /* a place that could not be forgotten is tried again after */

typedef struct idle { /* a group without subscriptions */
    uint64_t since;   /* ms of the clock */
    bool on_disk;
} idle;

struct emesh_forget {
    emesh_bus *bus;
    GHashTable *idle; /* group → idle */
    GHashTable *live; /* group → number of subscriptions */
    emesh_alarm tick;
    uint64_t base_ms, begun_ns; /* the clock is base and what ran since */
    bool started, stopped, look, looking;
    GPtrArray *topics; /* names still to be looked into for groups */
    /* the one that is being forgotten */
    char *group;
    GArray *places; /* of place */
    uint32_t at;
    uint64_t not_before_ns;
};

typedef struct place {
    emesh_store *store;
    char *topic;
} place;

static void forget_next(emesh_forget *f);

static uint64_t
clock_ms(const emesh_forget *f)
{
    return f->base_ms + (emesh_worker_now(f->bus->main) - f->begun_ns) / 1000000u;
}

static bool
is_own(const char *group)
{
    return group[0] == '\0' || group[0] == '%' || g_str_has_prefix(group, "emesh-");
}

/* ---- what is on the disk ---- */

static void
read_record(void *ctx, const emesh_pair *pair)
{
    emesh_forget *f = ctx;
    const char *key = pair->key.ptr;
    uint64_t ms;
    idle *i;

    if (pair->value.len != sizeof ms)
        return;
    memcpy(&ms, pair->value.ptr, sizeof ms);
    if (pair->key.len == sizeof CLOCK - 1 && memcmp(key, CLOCK, sizeof CLOCK - 1) == 0) {
        f->base_ms = ms;
        return;
    }
    if (pair->key.len < 2 || key[pair->key.len - 1] != '\0')
        return;
    i = g_new(idle, 1);
    *i = (idle){ ms, true };
    g_hash_table_replace(f->idle, g_strdup(key), i);
}

static void
written(void *ctx, int32_t code, const emesh_error *err)
{
    if (code != EMESH_OK)
        emesh_bus_warn(ctx, "delivery", "since when groups have no members was not saved: %s",
                       err != NULL ? err->text : "unknown error");
}

/* The clock, and who became idle since. */
static void
write_down(emesh_forget *f)
{
    g_autoptr(GArray) pairs = g_array_new(FALSE, FALSE, sizeof(emesh_pair));
    uint64_t now = clock_ms(f);
    emesh_pair clock = { { CLOCK, sizeof CLOCK - 1 }, { &now, sizeof now } };
    GHashTableIter iter;
    void *name, *value;

    if (g_hash_table_size(f->idle) == 0)
        return; /* nobody's time runs */
    g_array_append_val(pairs, clock);
    g_hash_table_iter_init(&iter, f->idle);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        idle *i = value;
        emesh_pair pair = { { name, strlen(name) + 1 }, { &i->since, sizeof i->since } };
        if (i->on_disk)
            continue;
        i->on_disk = true;
        g_array_append_val(pairs, pair);
    }
    emesh_state_write(f->bus->state, f->bus->main, SPACE, (const emesh_pair *)(void *)pairs->data,
                      pairs->len, sizeof clock, written, f->bus);
}

/* ---- who comes and goes ---- */

typedef struct coming {
    void (*go)(void *ctx);
    void *ctx;
    emesh_bus *bus;
} coming;

static void
known(void *ctx, int32_t code, const emesh_error *err)
{
    coming *c = ctx;

    written(c->bus, code, err);
    c->go(c->ctx);
    g_free(c);
}

void
emesh_forget_came(emesh_forget *f, const char *group, void (*go)(void *ctx), void *ctx)
{
    emesh_pair gone = { { group, strlen(group) + 1 }, { NULL, 0 } };
    uint32_t n = GPOINTER_TO_UINT(g_hash_table_lookup(f->live, group));
    const idle *i = g_hash_table_lookup(f->idle, group);
    bool on_disk = i != NULL && i->on_disk;

    g_hash_table_replace(f->live, g_strdup(group), GUINT_TO_POINTER(n + 1));
    if (i != NULL)
        g_hash_table_remove(f->idle, group);
    if (on_disk) {
        coming *c = g_new(coming, 1);
        *c = (coming){ go, ctx, f->bus };
        emesh_state_write(f->bus->state, f->bus->main, SPACE, &gone, 1, sizeof gone, known, c);
    } else {
        go(ctx);
    }
}

static void
now_idle(emesh_forget *f, const char *group)
{
    idle *i = g_new(idle, 1);

    *i = (idle){ clock_ms(f), false };
    g_hash_table_replace(f->idle, g_strdup(group), i);
}

typedef struct leaving {
    emesh_job job;
    emesh_bus *bus;
    char *group;
} leaving;

static void
left_run(emesh_job *job)
{
    leaving *l = (leaving *)job;
    emesh_forget *f = l->bus->forget;
    uint32_t n = GPOINTER_TO_UINT(g_hash_table_lookup(f->live, l->group));

    if (n > 1) {
        g_hash_table_replace(f->live, g_strdup(l->group), GUINT_TO_POINTER(n - 1));
    } else {
        g_hash_table_remove(f->live, l->group);
        if (!is_own(l->group))
            now_idle(f, l->group);
    }
    g_free(l->group);
    g_free(l);
}

void
emesh_forget_left(emesh_bus *bus, const char *group)
{
    leaving *l = g_new0(leaving, 1);

    l->job.run = left_run;
    l->bus = bus;
    l->group = g_strdup(group);
    emesh_worker_post(bus->main, &l->job);
}

/* ---- durable broadcasting members ---- */

#define BC "-bc-"
#define BC_DIGITS 16u

size_t
emesh_group_base(const char *group)
{
    size_t len = strlen(group), tail = sizeof BC - 1 + BC_DIGITS;

    if (len <= tail || memcmp(group + len - tail, BC, sizeof BC - 1) != 0)
        return len;
    for (size_t i = len - BC_DIGITS; i < len; i++)
        if (!g_ascii_isxdigit(group[i]))
            return len;
    return len - tail;
}

char *
emesh_group_private(const char *group, const char *url)
{
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, url, -1);

    return g_strdup_printf("%s" BC "%.*s", group, (int)BC_DIGITS, sum);
}

static uint32_t
of_base(GHashTable *groups, const char *group, size_t base)
{
    GHashTableIter iter;
    void *name;
    uint32_t n = 0;

    g_hash_table_iter_init(&iter, groups);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        n += strncmp(name, group, base) == 0 && emesh_group_base(name) == base &&
             strlen(name) > base;
    return n;
}

bool
emesh_forget_full(const emesh_forget *f, const char *group)
{
    size_t base = emesh_group_base(group);

    return group[base] != '\0' && !g_hash_table_contains(f->live, group) &&
           !g_hash_table_contains(f->idle, group) &&
           of_base(f->live, group, base) + of_base(f->idle, group, base) >=
               EMESH_DURABLE_MEMBERS;
}

/* ---- groups that nobody knows: of before a kill -9, of another life of the store ---- */

static void look_next(emesh_forget *f);

static void
groups_listed(void *ctx, GArray *rows)
{
    emesh_forget *f = ctx;

    for (uint32_t i = 0; i < rows->len; i++) {
        const char *group = g_array_index(rows, emesh_listed, i).group;
        if (!is_own(group) && !g_hash_table_contains(f->live, group) &&
            !g_hash_table_contains(f->idle, group))
            now_idle(f, group);
    }
    look_next(f);
}

/* A topic at a time: a listing of all places at once may be large. */
static void
look_next(emesh_forget *f)
{
    g_autofree char *topic = NULL;

    if (f->stopped || f->topics->len == 0) {
        f->looking = false;
        return;
    }
    topic = g_ptr_array_steal_index_fast(f->topics, f->topics->len - 1);
    emesh_groups_list(f->bus, &(emesh_groups_query){ .topic = topic }, groups_listed, f);
}

static void
kept(void *ctx, const char *store, const char *topic, const char *group, const char *partition,
     const emesh_start *where)
{
    emesh_forget *f = ctx;

    (void)store, (void)topic, (void)partition, (void)where;
    if (!is_own(group) && !g_hash_table_contains(f->live, group) &&
        !g_hash_table_contains(f->idle, group))
        now_idle(f, group);
}

static void
topics_listed(void *ctx, GArray *rows)
{
    emesh_forget *f = ctx;

    emesh_positions_each(f->bus, kept, f); /* of plain stores */
    g_ptr_array_set_size(f->topics, 0);
    for (uint32_t i = 0; i < rows->len; i++)
        g_ptr_array_add(f->topics, g_strdup(g_array_index(rows, emesh_listed, i).topic));
    look_next(f);
}

void
emesh_forget_look(emesh_forget *f)
{
    f->look = true;
}

/* ---- forgetting ---- */

static void
place_clear(void *data)
{
    g_free(((place *)data)->topic);
}

static void
forget_end(emesh_forget *f)
{
    g_array_set_size(f->places, 0);
    g_clear_pointer(&f->group, g_free);
}

static void
forgotten(void *ctx, int32_t code, const char *why)
{
    emesh_forget *f = ctx;

    if (code == EMESH_OK || code == EMESH_E_NOT_FOUND) {
        f->at++;
        forget_next(f);
        return;
    }
    if (code != EMESH_E_BUSY) /* busy: somebody came after all */
        emesh_bus_warn(f->bus, "delivery",
                       "group \"%s\" has no members and could not be forgotten: "
                       "%s; it is tried again", f->group, why != NULL ? why : "refused");
    f->not_before_ns = emesh_worker_now(f->bus->main) + SOON_NS;
    forget_end(f);
}

static void
forget_next(emesh_forget *f)
{
    const place *p;
    emesh_change_spec spec = { .group = f->group, .words = "forget-after" };
    emesh_pair gone = { { f->group, strlen(f->group) + 1 }, { NULL, 0 } };

    if (f->stopped || g_hash_table_contains(f->live, f->group)) {
        forget_end(f);
        return;
    }
    if (f->at < f->places->len) {
        p = &g_array_index(f->places, place, f->at);
        spec.store = p->store;
        spec.topic = p->topic;
        emesh_group_change(f->bus, &spec, forgotten, f);
        return;
    }
    if (f->at > 0)
        emesh_log_say(f->bus->log, EMESH_LOG_NOTICE, "delivery",
                      "group \"%s\" had no member for its forget-after: its places in %u topics "
                      "are forgotten", f->group, f->at);
    emesh_patterns_forget(f->bus, f->group);
    g_hash_table_remove(f->idle, f->group);
    emesh_state_write(f->bus->state, f->bus->main, SPACE, &gone, 1, sizeof gone, written, f->bus);
    forget_end(f);
}

static void
places_listed(void *ctx, GArray *rows)
{
    emesh_forget *f = ctx;

    for (uint32_t i = 0; i < rows->len; i++) {
        const emesh_listed *listed = &g_array_index(rows, emesh_listed, i);
        place p = { listed->store, NULL };
        bool have = false;
        for (uint32_t k = 0; k < f->places->len && !have; k++) {
            const place *other = &g_array_index(f->places, place, k);
            have = other->store == p.store && strcmp(other->topic, listed->topic) == 0;
        }
        if (have)
            continue;
        p.topic = g_strdup(listed->topic);
        g_array_append_val(f->places, p);
    }
    f->at = 0;
    forget_next(f);
}

static uint64_t
allowed_ms(const emesh_forget *f, const char *group)
{
    emesh_group_rule rule;

    emesh_conf_group(f->bus->conf, group, emesh_group_base(group), &rule);
    return rule.forget_after_ns / 1000000u;
}

/* One whose time is over, if any. */
static void
pick(emesh_forget *f)
{
    uint64_t now = clock_ms(f);
    GHashTableIter iter;
    void *name, *value;

    g_hash_table_iter_init(&iter, f->idle);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        const idle *i = value;
        uint64_t allowed = allowed_ms(f, name);
        if (allowed == 0 || now < i->since || now - i->since < allowed ||
            g_hash_table_contains(f->live, name))
            continue;
        f->group = g_strdup(name);
        emesh_groups_list(f->bus, &(emesh_groups_query){ .group = f->group }, places_listed, f);
        return;
    }
}

/* ---- the alarm ---- */

static void
shortest(void *ctx, bool is_group, const char *pattern, const emesh_topic_rule *topic,
         const emesh_group_rule *group)
{
    uint64_t *least = ctx;

    (void)pattern, (void)topic;
    if (is_group && group->forget_after_ns > 0)
        *least = MIN(*least, group->forget_after_ns / 8);
}

static void
tick(emesh_alarm *alarm)
{
    emesh_forget *f = (emesh_forget *)((char *)alarm - offsetof(emesh_forget, tick));
    uint64_t now = emesh_worker_now(f->bus->main), wait = TICK_MOST_NS;

    emesh_conf_each_rule(f->bus->conf, shortest, &wait);
    wait = MAX(wait, TICK_LEAST_NS);
    if (f->look && !f->looking) {
        f->look = false;
        f->looking = true;
        emesh_list_stores(f->bus, EMESH_LIST_TOPICS, NULL, topics_listed, f);
    }
    write_down(f);
    if (f->group == NULL && now >= f->not_before_ns)
        pick(f);
    if (f->group != NULL) /* there may be more of them */
        wait = MIN(wait, TICK_LEAST_NS);
    emesh_worker_alarm(f->bus->main, &f->tick, now + wait);
}

void
emesh_forget_start(emesh_forget *f)
{
    f->started = true;
    f->look = true;
    f->tick.due = tick;
    emesh_worker_alarm(f->bus->main, &f->tick, emesh_worker_now(f->bus->main) + TICK_LEAST_NS);
}

void
emesh_forget_stop(emesh_forget *f)
{
    f->stopped = true;
    if (!f->started)
        return;
    emesh_worker_alarm(f->bus->main, &f->tick, 0);
    write_down(f);
}

emesh_forget *
emesh_forget_new(emesh_bus *bus)
{
    emesh_forget *f = g_new0(emesh_forget, 1);

    f->bus = bus;
    f->idle = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    f->live = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    f->topics = g_ptr_array_new_with_free_func(g_free);
    f->places = g_array_new(FALSE, FALSE, sizeof(place));
    g_array_set_clear_func(f->places, place_clear);
    f->begun_ns = emesh_worker_now(bus->main);
    emesh_state_read(bus->state, SPACE, "", 0, read_record, f);
    return f;
}

void
emesh_forget_free(emesh_forget *f)
{
    g_hash_table_unref(f->idle);
    g_hash_table_unref(f->live);
    g_ptr_array_unref(f->topics);
    g_array_unref(f->places);
    g_free(f->group);
    g_free(f);
}
