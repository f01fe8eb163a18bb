/* SPDX-License-Identifier: Apache-2.0
 *
 * A URL: what waits for it, how much goes there at a time and how often, and when it is left alone.
 * [lane]
 */
#include "push.h"
#include <string.h>

#define BATCH_MAX 64u

static char *
base_of(GUri *uri)
{
    int port = g_uri_get_port(uri);
    const char *host = g_uri_get_host(uri);
    const char *format = strchr(host, ':') != NULL ? "%s://[%s]" : "%s://%s";
    g_autofree char *name = g_strdup_printf(format, g_uri_get_scheme(uri), host);
    return port < 0 ? g_strdup(name) : g_strdup_printf("%s:%d", name, port);
}

static void
on_timer(void *ctx)
{
    http_target_pump(ctx);
}

http_target *
http_target_get(http_push *push, const char *url)
{
    http_target *target = g_hash_table_lookup(push->targets, url);
    GUri *uri;

    if (target != NULL)
        return target;
    uri = g_uri_parse(url, SOUP_HTTP_URI_FLAGS, NULL);
    if (uri == NULL)
        return NULL;
    target = g_new0(http_target, 1);
    target->push = push;
    target->url = g_strdup(url);
    target->uri = uri;
    target->base = base_of(uri);
    http_line_prepare(target);
    target->asking = g_ptr_array_new();
    target->timer = push->lane->http->loop->timer(push->lane->loop, on_timer, target);
    g_queue_init(&target->ready);
    g_hash_table_insert(push->targets, target->url, target);
    return target;
}

static void
free_unused(http_target *target)
{
    http_push *push = target->push;

    if (target->n_hooks > 0 || target->hand != NULL || target->asking->len > 0)
        return;
    g_hash_table_remove(push->targets, target->url);
    http_lines_close(target);
    if (target->timer != NULL)
        push->lane->http->loop->timer_end(target->timer);
    g_ptr_array_unref(target->asking);
    g_uri_unref(target->uri);
    g_free(target->url);
    g_free(target->base);
    g_free(target->address);
    g_free(target->preamble);
    g_free(target);
}

void
http_target_release(http_target *target)
{
    target->n_hooks--;
    free_unused(target);
}

void
http_target_unused(http_target *target)
{
    free_unused(target);
}

/* ---- what waits ---- */

/* Others of the same subscription go with a job that is a batch. */
static void
gather(http_target *target, http_job *first)
{
    http_job **last = &first->more;
    uint32_t n = 1;

    for (GList *l = target->ready.head, *next; l != NULL && n < BATCH_MAX; l = next) {
        http_job *job = l->data;
        next = l->next;
        if (job->hook != first->hook || job->topic != first->topic || job->topic == NULL)
            continue;
        g_queue_unlink(&target->ready, l);
        *last = job;
        last = &job->more;
        n++;
    }
}

static bool
may_start(http_target *target, uint64_t now)
{
    const http_lane *lane = target->push->lane;

    if (target->n_flying >= lane->http->options.push_concurrency ||
        (target->down_wait_ns > 0 && target->n_flying > 0)) /* one, to see */
        return false;
    if (target->interval_ns > 0 && now < target->next_ns) {
        lane->http->loop->timer_set(target->timer, target->next_ns);
        return false;
    }
    return true;
}

static void
give_back(http_target *target, uint32_t outcome, uint64_t wait_ms, const char *why)
{
    http_verdict v = { .outcome = outcome, .wait_ms = wait_ms };

    g_strlcpy(v.reason, why, sizeof v.reason);
    target->n_hooks++;
    while (target->ready.head != NULL) {
        http_job *job = target->ready.head->data;
        g_queue_unlink(&target->ready, &job->link);
        http_job_end(job, &v);
    }
    http_target_release(target);
}

void
http_target_return(http_target *target, uint64_t wait_ms, const char *why)
{
    give_back(target, EMESH_SETTLE_RETURN, wait_ms, why);
}

void
http_target_pump(http_target *target)
{
    uint64_t now = http_now(target->push->lane);

    if (target->down_until_ns > now) {
        give_back(target, EMESH_SETTLE_DOWN, (target->down_until_ns - now) / 1000000 + 1,
                  "it is down");
        return;
    }
    target->n_hooks++; /* stays while this runs */
    while (target->ready.head != NULL && may_start(target, now)) {
        http_job *job = target->ready.head->data;
        g_queue_unlink(&target->ready, &job->link);
        target->next_ns = MAX(now, target->next_ns) + target->interval_ns;
        target->n_flying++;
        if (job->format == HTTP_FORMAT_BATCH)
            gather(target, job);
        http_job_start(job);
    }
    http_target_release(target);
}

/* ---- when it fails ---- */

uint64_t
http_target_down(http_target *target, uint64_t wait_ms)
{
    const http_options *o = &target->push->lane->http->options;
    uint64_t now = http_now(target->push->lane);

    if (now >= target->down_until_ns) { /* not one of several that failed together */
        target->down_wait_ns = target->down_wait_ns == 0
                                   ? o->push_wait_ns
                                   : MIN(target->down_wait_ns * 2, o->push_wait_max_ns);
        target->down_until_ns = now + target->down_wait_ns;
    }
    target->down_until_ns = MAX(target->down_until_ns, now + wait_ms * 1000000);
    return (target->down_until_ns - now) / 1000000 + 1;
}

void
http_target_up(http_target *target)
{
    target->down_until_ns = target->down_wait_ns = 0;
}
