/* SPDX-License-Identifier: Apache-2.0
 *
 * The lanes' side of topics: look-up, waiting for one that main is opening, forgetting one that
 * goes.
 */
#include "bus/topic.h"
#include "bus/append.h"
#include "bus/topic-main.h"
#include "delivery/delivery.h"

#include <string.h>

typedef struct emesh_topic_wait { /* of one lane, for one name */
    emesh_job job;
    emesh_bus_lane *lane;
    char *name;
    char *home;              /* store to make it in when no rule says otherwise, or NULL */
    emesh_topic_waiter *first, **last;
    emesh_bus_topic *topic;
    int32_t code;
    char *why;
} emesh_topic_wait;

emesh_bus_topic *
emesh_bus_topic_ref(emesh_bus_topic *topic)
{
    __atomic_add_fetch(&topic->refs, 1, __ATOMIC_RELAXED);
    return topic;
}

void
emesh_bus_topic_unref(emesh_bus_topic *topic)
{
    if (topic == NULL || __atomic_sub_fetch(&topic->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    emesh_bus_topic_unref(topic->newer);
    g_free(topic->name);
    g_free(topic);
}

emesh_bus_topic *
emesh_topic_reading(emesh_bus_topic *topic, emesh_bus_topic *before)
{
    if (topic != NULL)
        __atomic_add_fetch(&emesh_bus_topic_ref(topic)->readers, 1, __ATOMIC_RELAXED);
    if (before != NULL) {
        __atomic_sub_fetch(&before->readers, 1, __ATOMIC_RELEASE);
        emesh_bus_topic_unref(before);
    }
    return topic;
}

emesh_bus_topic *
emesh_topic_find(emesh_bus_lane *lane, const char *name, size_t len)
{
    char text[384]; /* at most 249 bytes, checked by the first stage; own ones have a mark behind */

    if (len >= sizeof text)
        return NULL;
    memcpy(text, name, len);
    text[len] = '\0';
    return g_hash_table_lookup(lane->topics, text);
}

/* Back on the lane: everybody who waited is told, in order. */
static void
wait_answer(emesh_job *job)
{
    emesh_topic_wait *wait = (emesh_topic_wait *)job;
    emesh_bus_lane *lane = wait->lane;
    emesh_topic_waiter *w = wait->first;

    g_hash_table_remove(lane->waits, wait->name);
    if (wait->topic != NULL && !g_hash_table_contains(lane->topics, wait->topic->name))
        g_hash_table_insert(lane->topics, wait->topic->name, emesh_bus_topic_ref(wait->topic));
    while (w != NULL) {
        emesh_topic_waiter *next = w->next; /* w's owner may be gone after the call */
        w->ready(w, lane, wait->topic, wait->code, wait->why);
        w = next;
    }
    emesh_bus_topic_unref(wait->topic);
    g_free(wait->name);
    g_free(wait->home);
    g_free(wait->why);
    g_free(wait);
}

static void
wait_opened(void *ctx, emesh_bus_topic *topic, int32_t code, const char *why)
{
    emesh_topic_wait *wait = ctx;

    wait->topic = topic != NULL ? emesh_bus_topic_ref(topic) : NULL;
    wait->code = code;
    wait->why = g_strdup(why);
    wait->job = (emesh_job){ .run = wait_answer };
    emesh_worker_post(wait->lane->worker, &wait->job);
}

static void
wait_ask(emesh_job *job)
{
    emesh_topic_wait *wait = (emesh_topic_wait *)job;

    emesh_topic_open_main(wait->lane->bus, wait->name, strlen(wait->name), wait->home,
                          wait_opened, wait);
}

void
emesh_topic_await(emesh_bus_lane *lane, const char *name, size_t len, emesh_topic_waiter *waiter)
{
    emesh_topic_await_in(lane, name, len, NULL, waiter);
}

void
emesh_topic_await_in(emesh_bus_lane *lane, const char *name, size_t len, const char *home,
                     emesh_topic_waiter *waiter)
{
    g_autofree char *text = g_strndup(name, len);
    emesh_topic_wait *wait = g_hash_table_lookup(lane->waits, text);

    waiter->next = NULL;
    if (wait == NULL) {
        wait = g_new0(emesh_topic_wait, 1);
        wait->lane = lane;
        wait->name = g_steal_pointer(&text);
        wait->home = g_strdup(home);
        wait->last = &wait->first;
        g_hash_table_insert(lane->waits, wait->name, wait);
        wait->job.run = wait_ask;
        emesh_worker_post(lane->bus->main, &wait->job);
    }
    *wait->last = waiter;
    wait->last = &waiter->next;
}

/* ---- a topic goes: every lane forgets it, ends its subscriptions, then says so ---- */

typedef struct forget { /* one lane's part */
    emesh_job job;
    emesh_bus_lane *lane;
    emesh_bus_topic *topic;
    bool pause;
    emesh_topic_forgotten done;
    void *ctx;
} forget;

static void
forget_home(emesh_job *job)
{
    forget *f = (forget *)job;

    f->done(f->ctx);
    g_free(f);
}

static void
forget_ended(void *ctx)
{
    forget *f = ctx;

    f->job = (emesh_job){ .run = forget_home };
    emesh_worker_post(f->lane->bus->main, &f->job);
}

static void
forget_run(emesh_job *job)
{
    forget *f = (forget *)job;
    emesh_bus_lane *lane = f->lane;

    for (GList *l = lane->sessions.head; l != NULL; l = l->next) {
        emesh_session *s = l->data;
        if (s->last_topic == f->topic)
            s->last_topic = NULL;
    }
    emesh_append_drop_topic(lane, f->topic, f->pause);
    if (g_hash_table_remove(lane->topics, f->topic->name))
        emesh_bus_topic_unref(f->topic);
    emesh_delivery_end_topic(lane->delivery, f->topic, f->pause, forget_ended, f);
}

void
emesh_topic_forget(emesh_bus_lane *lane, emesh_bus_topic *topic, bool pause,
                   emesh_topic_forgotten done, void *ctx)
{
    forget *f = g_new0(forget, 1);

    f->job.run = forget_run;
    f->lane = lane;
    f->topic = topic;
    f->pause = pause;
    f->done = done;
    f->ctx = ctx;
    emesh_worker_post(lane->worker, &f->job);
}
