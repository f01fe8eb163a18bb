/* SPDX-License-Identifier: Apache-2.0
 *
 * The wheel of deadlines on a worker that runs: nobody is due early, none is late by much more than a
 * tick, who is removed is not due, and a wait of several turns is one wait.
 */
#include "bus/wheel.h"

#define MANY 2000u
#define TICK_NS (UINT64_C(1) << EMESH_WHEEL_TICK_BITS)

typedef struct setting setting;

typedef struct one {
    emesh_wheel_entry entry;
    setting *of;
    uint64_t wanted, came; /* came: atomic */
    bool removed;
} one;

struct setting {
    emesh_worker *worker;
    emesh_wheel wheel;
    one *all;
    uint32_t n, left; /* left: atomic */
    emesh_job job;
    bool removing;
};

static void
due(emesh_wheel_entry *entry)
{
    one *o = (one *)entry;
    setting *here = o->of;

    g_assert_cmpuint(entry->at_ns, ==, 0);
    __atomic_store_n(&o->came, emesh_worker_now(here->worker), __ATOMIC_RELAXED);
    if (here->removing) { /* from inside: the neighbour */
        one *next = o + 1;
        if (next < here->all + here->n && next->entry.at_ns != 0) {
            emesh_wheel_remove(&here->wheel, &next->entry);
            next->removed = true;
            __atomic_sub_fetch(&here->left, 1, __ATOMIC_RELEASE);
        }
    }
    __atomic_sub_fetch(&here->left, 1, __ATOMIC_RELEASE);
}

static void
fill(emesh_job *job)
{
    setting *s = (setting *)((char *)job - offsetof(setting, job));
    uint64_t now = emesh_worker_now(s->worker);

    emesh_wheel_init(&s->wheel, s->worker, due);
    for (uint32_t i = 0; i < s->n; i++) {
        s->all[i].of = s;
        s->all[i].wanted = now + (uint64_t)g_random_int_range(0, 800) * 1000000u;
        emesh_wheel_add(&s->wheel, &s->all[i].entry, s->all[i].wanted);
    }
    if (!s->removing) { /* one that waits more than a turn */
        s->all[0].wanted = now + 4500u * UINT64_C(1000000);
        emesh_wheel_remove(&s->wheel, &s->all[0].entry);
        emesh_wheel_remove(&s->wheel, &s->all[0].entry);
        emesh_wheel_add(&s->wheel, &s->all[0].entry, s->all[0].wanted);
    }
    g_assert_cmpuint(s->wheel.n, ==, s->n);
}

static void
run(bool removing)
{
    setting s = { .n = MANY, .left = MANY, .removing = removing, .job.run = fill };
    uint64_t worst = 0;
    uint32_t removed = 0;

    s.all = g_new0(one, MANY);
    s.worker = emesh_worker_new(0, "wheel", NULL);
    emesh_worker_start(s.worker);
    emesh_worker_post(s.worker, &s.job);
    for (uint32_t i = 0; i < 20000 && __atomic_load_n(&s.left, __ATOMIC_ACQUIRE) > 0; i++)
        g_usleep(1000);
    g_assert_cmpuint(s.left, ==, 0);
    emesh_worker_stop(s.worker);
    g_assert_cmpuint(s.wheel.n, ==, 0);
    for (uint32_t i = 0; i < MANY; i++) {
        removed += s.all[i].removed;
        if (s.all[i].removed) {
            g_assert_cmpuint(s.all[i].came, ==, 0);
            continue;
        }
        g_assert_cmpuint(s.all[i].came, >=, s.all[i].wanted);
        worst = MAX(worst, s.all[i].came - s.all[i].wanted);
    }
    g_test_message("%u entries, %u removed, latest %.1f ms", MANY, removed, (double)worst / 1e6);
    g_assert_cmpuint(worst, <, TICK_NS + 2000u * UINT64_C(1000000));
    g_assert_true((removed > 0) == removing);
    emesh_worker_free(s.worker);
    g_free(s.all);
}

static void
test_due(void)
{
    run(false);
}

static void
test_removed_inside(void)
{
    run(true);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wheel/due", test_due);
    g_test_add_func("/wheel/removed-inside", test_removed_inside);
    return g_test_run();
}
