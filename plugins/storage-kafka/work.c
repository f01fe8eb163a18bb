/* SPDX-License-Identifier: Apache-2.0
 *
 * See work.h: the threads.
 */
#include "work.h"

#define THREADS 4u

struct kf_work {
    kf_store *store;
    pthread_mutex_t lock;
    pthread_cond_t more;
    kf_job *head, **tail;
    pthread_t threads[THREADS];
    uint32_t n;
    bool ending;
};

static void *
run(void *data)
{
    kf_work *w = data;

    for (;;) {
        kf_job *job;

        pthread_mutex_lock(&w->lock);
        while (w->head == NULL && !w->ending)
            pthread_cond_wait(&w->more, &w->lock);
        job = w->head;
        if (job != NULL) {
            w->head = job->next;
            if (w->head == NULL)
                w->tail = &w->head;
        }
        pthread_mutex_unlock(&w->lock);
        if (job == NULL)
            return NULL;
        job->run(w->store, job);
    }
}

kf_work *
kf_work_new(kf_store *store)
{
    kf_work *w = g_new0(kf_work, 1);

    w->store = store;
    w->tail = &w->head;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    while (w->n < THREADS && pthread_create(&w->threads[w->n], NULL, run, w) == 0)
        w->n++;
    if (w->n > 0)
        return w;
    kf_work_end(w);
    return NULL;
}

void
kf_work_add(kf_work *w, kf_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&w->lock);
    *w->tail = job;
    w->tail = &job->next;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

void
kf_work_end(kf_work *w)
{
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    while (w->n > 0)
        pthread_join(w->threads[--w->n], NULL);
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
    g_free(w);
}
