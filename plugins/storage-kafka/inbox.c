/* SPDX-License-Identifier: Apache-2.0
 *
 * See inbox.h.
 */
#include "inbox.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool
kf_inbox_init(kf_inbox *inbox)
{
    inbox->tail = &inbox->head;
    inbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return inbox->fd >= 0 && pthread_mutex_init(&inbox->lock, NULL) == 0;
}

void
kf_inbox_clear(kf_inbox *inbox)
{
    if (inbox->fd >= 0)
        close(inbox->fd);
    pthread_mutex_destroy(&inbox->lock);
}

void
kf_inbox_wake(kf_inbox *inbox)
{
    const uint64_t one = 1;
    ssize_t n = write(inbox->fd, &one, sizeof one); /* full: it is awake */

    (void)n;
}

void
kf_inbox_put(kf_inbox *inbox, kf_order *order)
{
    order->next = NULL;
    pthread_mutex_lock(&inbox->lock);
    *inbox->tail = order;
    inbox->tail = &order->next;
    pthread_mutex_unlock(&inbox->lock);
    kf_inbox_wake(inbox);
}

/* Under the lock. True: the thread is to be woken. */
static bool
touch(kf_cursor *cursor)
{
    if (cursor->touched)
        return false;
    cursor->touched = true;
    cursor->touched_next = cursor->inbox->touched;
    cursor->inbox->touched = cursor;
    return true;
}

void
kf_inbox_wish(kf_cursor *cursor, uint32_t records, uint64_t bytes)
{
    bool wake;

    pthread_mutex_lock(&cursor->inbox->lock);
    cursor->more_records += records;
    cursor->more_bytes += MIN(bytes, UINT64_C(1) << 40);
    wake = touch(cursor);
    pthread_mutex_unlock(&cursor->inbox->lock);
    if (wake)
        kf_inbox_wake(cursor->inbox);
}

void
kf_inbox_commit(kf_cursor *cursor, const emesh_commit *items, uint32_t n)
{
    bool wake;

    pthread_mutex_lock(&cursor->inbox->lock);
    g_array_append_vals(cursor->commits, items, n);
    wake = touch(cursor);
    pthread_mutex_unlock(&cursor->inbox->lock);
    if (wake)
        kf_inbox_wake(cursor->inbox);
}

kf_order *
kf_inbox_take(kf_inbox *inbox, void (*take)(kf_cursor *cursor, const emesh_commit *commit))
{
    kf_order *orders;

    pthread_mutex_lock(&inbox->lock);
    orders = inbox->head;
    inbox->head = NULL;
    inbox->tail = &inbox->head;
    while (inbox->touched != NULL) {
        kf_cursor *c = inbox->touched;
        inbox->touched = c->touched_next;
        c->touched = false;
        c->want += c->more_records;
        c->want_bytes += (int64_t)c->more_bytes;
        c->more_records = c->more_bytes = 0;
        for (guint i = 0; i < c->commits->len; i++)
            take(c, &g_array_index(c->commits, emesh_commit, i));
        g_array_set_size(c->commits, 0);
    }
    pthread_mutex_unlock(&inbox->lock);
    return orders;
}

void
kf_inbox_sleep(kf_inbox *inbox, int ms)
{
    struct pollfd fd = { .fd = inbox->fd, .events = POLLIN };
    uint64_t n;

    if (poll(&fd, 1, ms) > 0)
        while (read(inbox->fd, &n, sizeof n) > 0)
            ;
}

void
kf_inbox_follow(const kf_inbox *inbox, rd_kafka_queue_t *queue)
{
    static const uint64_t one = 1;

    rd_kafka_queue_io_event_enable(queue, inbox->fd, &one, sizeof one);
}

void
kf_order_free(kf_order *order)
{
    if (order->parts != NULL)
        rd_kafka_topic_partition_list_destroy(order->parts);
    g_free(order);
}

void
kf_cursor_free(kf_cursor *cursor)
{
    g_array_unref(cursor->commits);
    g_ptr_array_unref(cursor->parts);
    g_free(cursor->topic);
    g_free(cursor);
}

void
kf_answer_init(kf_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    answer->err.size = sizeof answer->err;
    pthread_mutex_init(&answer->lock, NULL);
    pthread_cond_init(&answer->came, NULL);
}

int32_t
kf_answer_wait(kf_answer *answer, emesh_error *err)
{
    pthread_mutex_lock(&answer->lock);
    while (!answer->done)
        pthread_cond_wait(&answer->came, &answer->lock);
    pthread_mutex_unlock(&answer->lock);
    if (answer->err.code != EMESH_OK)
        kf_error(err, answer->err.code, "%s", answer->err.text);
    pthread_cond_destroy(&answer->came);
    pthread_mutex_destroy(&answer->lock);
    return answer->err.code;
}

void
kf_answer_give(kf_answer *answer, int32_t code, const char *text)
{
    pthread_mutex_lock(&answer->lock);
    if (code != EMESH_OK)
        kf_error(&answer->err, code, "%s", text);
    answer->done = true;
    pthread_cond_signal(&answer->came);
    pthread_mutex_unlock(&answer->lock);
}
