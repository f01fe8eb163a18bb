/* SPDX-License-Identifier: Apache-2.0
 *
 * A few threads where blocking is allowed, and one queue in front of them. pthread only, so that
 * ThreadSanitizer sees every hand-over.
 */
#include "pool.h"

#include <pthread.h>
#include <signal.h>

struct emesh_pool {
    pthread_mutex_t lock;
    pthread_cond_t more;
    emesh_job *first, *last;
    bool ending;
    uint32_t n_threads;
    pthread_t threads[];
};

static emesh_job *
pool_take(emesh_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->ending)
        pthread_cond_wait(&pool->more, &pool->lock);
    emesh_job *job = pool->first;
    if (job) {
        pool->first = job->next;
        if (!pool->first)
            pool->last = NULL;
        job->next = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void *
pool_thread(void *data)
{
    emesh_pool *pool = data;
    for (;;) {
        emesh_job *job = pool_take(pool);
        if (!job)
            return NULL;
        job->run(job);
    }
}

emesh_pool *
emesh_pool_new(uint32_t threads)
{
    emesh_pool *pool = g_malloc0(sizeof *pool + threads * sizeof pool->threads[0]);
    sigset_t all, before;

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

void
emesh_pool_submit(emesh_pool *pool, emesh_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->last)
        pool->last->next = job;
    else
        pool->first = job;
    pool->last = job;
    pthread_cond_signal(&pool->more);
    pthread_mutex_unlock(&pool->lock);
}
