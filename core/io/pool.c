/* SPDX-License-Identifier: Apache-2.0
 *
 * A few threads where blocking is allowed, and two queues in front of them: what may hang for long
 * gets half of the threads at most. pthread only, so that ThreadSanitizer sees every hand-over.
 */
#include "pool.h"

#include <pthread.h>
#include <signal.h>

typedef struct queue {
    emesh_job *first, *last;
} queue;

struct emesh_pool {
    pthread_mutex_t lock;
    pthread_cond_t more;
    queue usual, slow;
    uint32_t n_slow, most_slow; /* slow jobs that run now */
    bool ending;
    uint32_t n_threads;
    pthread_t threads[];
};

static void
queue_put(queue *q, emesh_job *job)
{
    job->next = NULL;
    if (q->last)
        q->last->next = job;
    else
        q->first = job;
    q->last = job;
}

static emesh_job *
queue_take(queue *q)
{
    emesh_job *job = q->first;

    if (!job)
        return NULL;
    q->first = job->next;
    if (!q->first)
        q->last = NULL;
    job->next = NULL;
    return job;
}

/* The next job for this thread; NULL: there is none and there will be none. Under the lock. */
static emesh_job *
pool_take(emesh_pool *pool, bool *slow)
{
    for (;;) {
        emesh_job *job = queue_take(&pool->usual);
        *slow = false;
        if (!job && pool->n_slow < pool->most_slow) {
            job = queue_take(&pool->slow);
            *slow = job != NULL;
        }
        if (job || (pool->ending && !pool->slow.first))
            return job;
        pthread_cond_wait(&pool->more, &pool->lock);
    }
}

static void *
pool_thread(void *data)
{
    emesh_pool *pool = data;
    emesh_job *job;
    bool slow;

    pthread_mutex_lock(&pool->lock);
    while ((job = pool_take(pool, &slow)) != NULL) {
        pool->n_slow += slow;
        pthread_mutex_unlock(&pool->lock);
        job->run(job);
        pthread_mutex_lock(&pool->lock);
        pool->n_slow -= slow;
        if (slow) /* another one may run, or the end has come for those who waited for that */
            pthread_cond_broadcast(&pool->more);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

emesh_pool *
emesh_pool_new(uint32_t threads)
{
    emesh_pool *pool = g_malloc0(sizeof *pool + threads * sizeof pool->threads[0]);
    sigset_t all, before;

    pool->most_slow = MAX(threads / 2, 1u);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->more, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->n_threads < threads) {
        pthread_t *thread = &pool->threads[pool->n_threads];
        int rc = pthread_create(thread, NULL, pool_thread, pool);
        if (rc != 0)
            g_error("cannot start pool thread %u of %u: %s", pool->n_threads + 1, threads,
                    g_strerror(rc));
        pthread_setname_np(*thread, "emesh-pool");
        pool->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool;
}

void
emesh_pool_free(emesh_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->n_threads; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->more);
    pthread_mutex_destroy(&pool->lock);
    g_free(pool);
}

static void
submit(emesh_pool *pool, queue *q, emesh_job *job)
{
    pthread_mutex_lock(&pool->lock);
    queue_put(q, job);
    pthread_cond_signal(&pool->more);
    pthread_mutex_unlock(&pool->lock);
}

void
emesh_pool_submit(emesh_pool *pool, emesh_job *job)
{
    submit(pool, &pool->usual, job);
}

void
emesh_pool_submit_slow(emesh_pool *pool, emesh_job *job)
{
    submit(pool, &pool->slow, job);
}
