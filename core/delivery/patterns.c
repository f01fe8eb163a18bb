/* SPDX-License-Identifier: Apache-2.0
 *
 * See patterns.h. A pattern lives on its member's lane; between it and main go BEGIN → LISTED,
 * then APPEARED as often as needed, REMEMBER → REMEMBERED, and END → ENDED, behind which main says
 * no more.
 */
#include "delivery/patterns.h"
#include "bus/findings.h"
#include "bus/gather.h"
#include "bus/own-topic.h"
#include "delivery/sub.h"

#include <string.h>

#define SPACE "pattern:"

struct emesh_pattern {
    emesh_job job;
    emesh_bus *bus;
    emesh_bus_lane *lane;
    emesh_member *member;
    char *text, *group; /* copies, for main */
    bool shared;
    GPtrArray *leaves;  /* emesh_member */
    uint32_t waits;     /* leaves that have not answered */
    uint32_t open;      /* deliveries that the plugin holds */
    int32_t code;       /* the first refusal */
    char *why;
    bool listed, answered; /* answered: all leaves have */
    bool settled;          /* the plugin was told */
    bool leaving, ended;
    /* main's answer to BEGIN */
    bool known;         /* the group subscribed to the pattern before */
    GPtrArray *names;
};

static void
post(emesh_worker *worker, emesh_pattern *p, void (*run)(emesh_job *job))
{
    p->job = (emesh_job){ .run = run };
    emesh_worker_post(worker, &p->job);
}

/* ---- main ---- */

static GString *
key_of(const emesh_pattern *p)
{
    GString *key = g_string_new(NULL);

    g_string_append_len(key, p->group, (gssize)strlen(p->group) + 1);
    g_string_append_len(key, p->text, (gssize)strlen(p->text) + 1);
    return key;
}

static void
seen(void *ctx, const emesh_pair *pair)
{
    (void)pair;
    *(bool *)ctx = true;
}

static void listed_run(emesh_job *job);

static bool
matches(const emesh_pattern *p, const char *topic)
{
    size_t len = strlen(topic);

    return emesh_pattern_match(p->text, topic, len) && !emesh_is_closed_topic(topic, len);
}

static void
topics_listed(void *ctx, GArray *rows)
{
    emesh_pattern *p = ctx;
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter iter;
    void *name;

    for (uint32_t i = 0; i < rows->len; i++) {
        char *topic = g_array_index(rows, emesh_listed, i).topic;
        if (matches(p, topic) && g_hash_table_add(names, topic))
            g_ptr_array_add(p->names, g_strdup(topic));
    }
    g_hash_table_iter_init(&iter, p->bus->topics);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        if (matches(p, name) && !g_hash_table_contains(names, name))
            g_ptr_array_add(p->names, g_strdup(name));
    post(p->lane->worker, p, listed_run);
}

static void
begin_main(emesh_job *job)
{
    emesh_pattern *p = (emesh_pattern *)job;
    g_autoptr(GString) key = key_of(p);

    g_ptr_array_add(p->bus->patterns, p);
    if (p->shared)
        emesh_state_read(p->bus->state, SPACE, key->str, key->len, seen, &p->known);
    emesh_list_stores(p->bus, EMESH_LIST_TOPICS, NULL, topics_listed, p);
}

typedef struct appeared {
    emesh_job job;
    emesh_pattern *pattern;
    char *topic;
} appeared;

static void appeared_run(emesh_job *job);

void
emesh_patterns_appeared(emesh_bus *bus, const char *topic)
{
    for (uint32_t i = 0; i < bus->patterns->len; i++) {
        emesh_pattern *p = bus->patterns->pdata[i];
        appeared *a;
        if (!matches(p, topic))
            continue;
        a = g_new0(appeared, 1);
        *a = (appeared){ { .run = appeared_run }, p, g_strdup(topic) };
        emesh_worker_post(p->lane->worker, &a->job);
    }
}

static void ended_run(emesh_job *job);

static void
end_main(emesh_job *job)
{
    emesh_pattern *p = (emesh_pattern *)job;

    g_ptr_array_remove_fast(p->bus->patterns, p);
    post(p->lane->worker, p, ended_run);
}

static void answer_run(emesh_job *job);
static void
remembered(void *ctx, int32_t code, const emesh_error *err)
{
    emesh_pattern *p = ctx;

    if (code != EMESH_OK) {
        p->code = code;
        p->why = g_strdup(err != NULL ? err->text : "the subscription could not be written down");
    }
    post(p->lane->worker, p, answer_run);
}

static void
remember_main(emesh_job *job)
{
    emesh_pattern *p = (emesh_pattern *)job;
    g_autoptr(GString) key = key_of(p);
    emesh_pair pair = { { key->str, key->len }, { "1", 1 } };

    emesh_state_write(p->bus->state, p->bus->main, SPACE, &pair, 1, sizeof pair, remembered, p);
}

static void
collect(void *ctx, const emesh_pair *pair)
{
    g_ptr_array_add(ctx, g_bytes_new(pair->key.ptr, pair->key.len));
}

static void
dropped(void *ctx, int32_t code, const emesh_error *err)
{
    if (code != EMESH_OK)
        emesh_bus_warn(ctx, "delivery", "patterns of a group that is gone are still kept: %s",
                       err != NULL ? err->text : "unknown error");
}

void
emesh_patterns_forget(emesh_bus *bus, const char *group)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

    emesh_state_read(bus->state, SPACE, group, strlen(group) + 1, collect, keys);
    for (uint32_t i = 0; i < keys->len; i++) {
        emesh_pair gone = { { NULL, 0 }, { NULL, 0 } };
        gone.key.ptr = g_bytes_get_data(keys->pdata[i], &gone.key.len);
        emesh_state_write(bus->state, bus->main, SPACE, &gone, 1, sizeof gone, dropped, bus);
    }
}

/* ---- lane ---- */

static void
pattern_free(emesh_pattern *p)
{
    g_ptr_array_unref(p->leaves);
    g_ptr_array_unref(p->names);
    g_free(p->text);
    g_free(p->group);
    g_free(p->why);
    g_free(p);
}

/* The member goes with its last leaf, once main says no more. */
static void
free_if_over(emesh_pattern *p)
{
    emesh_member *m = p->member;

    if (!p->ended || p->leaves->len > 0)
        return;
    m->busy->pattern = NULL;
    pattern_free(p);
    emesh_member_free(m);
}

static void
ended_run(emesh_job *job)
{
    emesh_pattern *p = (emesh_pattern *)job;

    p->ended = true;
    free_if_over(p);
}

/* What the plugin granted, in shares; at least one each, and the rest waits here. */
static void
share(emesh_pattern *p)
{
    const emesh_member *m = p->member;
    uint32_t n = MAX(1u, p->leaves->len);
    uint32_t events = m->window_events == 0 ? 0 : MAX(1u, m->window_events / n);
    uint64_t bytes = m->terms->window_bytes;

    if (bytes != UINT64_MAX)
        bytes = MAX(1u, bytes / n);
    for (uint32_t i = 0; i < p->leaves->len; i++) {
        emesh_member *leaf = p->leaves->pdata[i];
        if (leaf->window_events != events || leaf->terms->window_bytes != bytes)
            emesh_member_window(leaf, events, bytes);
    }
}

static void answer_run(emesh_job *job);

static void
done_waiting(emesh_pattern *p)
{
    if (!p->listed || p->answered || p->waits > 0 || p->member->left)
        return;
    p->answered = true;
    if (p->code == EMESH_OK && p->shared && !p->known)
        post(p->bus->main, p, remember_main);
    else
        answer_run(&p->job);
}

static void
answer_run(emesh_job *job)
{
    emesh_pattern *p = (emesh_pattern *)job;

    if (p->member->left) {
        if (p->leaving)
            post(p->bus->main, p, end_main);
        return;
    }
    p->settled = true;
    emesh_member_answer(p->member, p->code, p->why);
}

static bool
has_leaf(const emesh_pattern *p, const char *topic)
{
    for (uint32_t i = 0; i < p->leaves->len; i++) {
        const emesh_member *leaf = p->leaves->pdata[i];
        if (!leaf->left && strcmp(leaf->busy->topic_name, topic) == 0)
            return true;
    }
    return false;
}

static void
add_leaf(emesh_pattern *p, const char *topic, uint32_t kind)
{
    emesh_start start = p->member->busy->start;
    emesh_member *leaf;

    if (start.kind == EMESH_START_STORED)
        start.kind = kind;
    start.size = sizeof start;
    if (has_leaf(p, topic))
        return;
    leaf = p->leaves->len < EMESH_PATTERN_TOPICS ? emesh_member_leaf(p->member, topic, &start)
                                                 : NULL;
    if (leaf == NULL) {
        g_autofree char *about = g_strdup_printf("group \"%s\", pattern \"%s\"", p->group, p->text);
        emesh_finding_raise(p->bus, "pattern-full", about,
                            "it matches more than the %u topics that are possible; \"%s\" is not "
                            "delivered", EMESH_PATTERN_TOPICS, topic);
        return;
    }
    p->waits++;
    g_ptr_array_add(p->leaves, leaf);
    share(p);
}

static void
appeared_run(emesh_job *job)
{
    appeared *a = (appeared *)job;
    emesh_pattern *p = a->pattern;

    if (!p->member->left && p->listed)
        add_leaf(p, a->topic, EMESH_START_EARLIEST);
    else if (!p->member->left)
        g_ptr_array_add(p->names, g_strdup(a->topic)); /* the listing may be of before */
    g_free(a->topic);
    g_free(a);
}

static void
listed_run(emesh_job *job)
{
    emesh_pattern *p = (emesh_pattern *)job;

    p->listed = true;
    if (p->member->left) {
        post(p->bus->main, p, end_main);
        return;
    }
    if (p->names->len > EMESH_PATTERN_TOPICS) {
        p->code = EMESH_E_DENIED;
        p->why = g_strdup_printf("the pattern matches %u topics, %u are possible", p->names->len,
                                 EMESH_PATTERN_TOPICS);
    }
    for (uint32_t i = 0; i < p->names->len && p->code == EMESH_OK; i++)
        add_leaf(p, p->names->pdata[i], p->known ? EMESH_START_EARLIEST : EMESH_START_STORED);
    g_ptr_array_set_size(p->names, 0);
    done_waiting(p);
}

void
emesh_pattern_begin(emesh_member *m)
{
    emesh_pattern *p = g_new0(emesh_pattern, 1);

    m->busy->pattern = p;
    p->member = m;
    p->lane = m->session->lane;
    p->bus = p->lane->bus;
    p->text = g_strdup(m->busy->topic_name);
    p->group = g_strdup(m->terms->group);
    p->shared = m->terms->mode == EMESH_SUB_SHARED;
    p->leaves = g_ptr_array_new();
    p->names = g_ptr_array_new_with_free_func(g_free);
    post(p->bus->main, p, begin_main);
}

/* As much of the leaf's deliveries as the plugin has room for. */
static void
hand_over(emesh_pattern *p, emesh_member *leaf)
{
    uint32_t room = p->member->window_events > p->open ? p->member->window_events - p->open : 0;
    uint32_t n = MIN(leaf->busy->n_items, room);

    if (n == 0)
        return;
    p->open += n;
    emesh_member_deliver(leaf, p->member->ctx, n);
}

void
emesh_pattern_tell(emesh_member *leaf)
{
    emesh_member *m = leaf->busy->parent;
    emesh_pattern *p = m->busy->pattern;

    if (!leaf->joining && !leaf->told) {
        leaf->told = true;
        p->waits--;
        if (leaf->busy->answer != EMESH_OK && p->code == EMESH_OK && !p->answered) {
            p->code = leaf->busy->answer;
            p->why = g_strdup_printf("topic \"%s\": %s", leaf->busy->topic_name,
                                     leaf->busy->answer_text != NULL ? leaf->busy->answer_text
                                                                     : "refused");
        }
        done_waiting(p);
    }
    if (leaf->ended || (leaf->told && leaf->busy->answer != EMESH_OK)) {
        emesh_member_leave(leaf, false, EMESH_LEFT_ORDERLY); /* its topic is gone; others stay */
        return;
    }
    if (m->told && !leaf->left) /* the plugin has its answer first */
        hand_over(p, leaf);
}

static void
hand_over_all(emesh_pattern *p)
{
    for (uint32_t i = 0; i < p->leaves->len; i++) {
        emesh_member *leaf = p->leaves->pdata[i];
        if (!leaf->left && leaf->busy->n_items > 0)
            emesh_member_call(leaf);
    }
}

void
emesh_pattern_settled(emesh_member *leaf)
{
    emesh_pattern *p = leaf->busy->parent->busy->pattern;

    p->open -= p->open > 0;
    if (!leaf->busy->parent->left)
        hand_over_all(p);
}

void
emesh_pattern_told(emesh_member *m)
{
    hand_over_all(m->busy->pattern);
}

void
emesh_pattern_window(emesh_member *m)
{
    share(m->busy->pattern);
    hand_over_all(m->busy->pattern);
}

void
emesh_pattern_lost(emesh_member *leaf)
{
    emesh_pattern *p = leaf->busy->parent->busy->pattern;

    g_ptr_array_remove_fast(p->leaves, leaf);
    if (!p->member->left)
        share(p);
    free_if_over(p);
}

void
emesh_pattern_leave(emesh_member *m, bool over, uint32_t how)
{
    emesh_pattern *p = m->busy->pattern;
    bool first = !p->leaving;

    p->leaving = true;
    m->left = true;
    for (uint32_t i = 0; !over && i < p->leaves->len; i++) {
        emesh_member *leaf = p->leaves->pdata[i];
        leaf->forget = m->forget;
        if (!leaf->left)
            emesh_member_leave(leaf, false, how);
    }
    /* else the session's list has them too; before LISTED and REMEMBERED the job is main's */
    if (first && p->listed && (!p->answered || p->settled))
        post(p->bus->main, p, end_main);
}
