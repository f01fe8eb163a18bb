/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages, and the services around events, loops and stores.
 */
#include "poison.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "event/event.h"

/* ---- pages ---- */

typedef struct page {
    char *map;
    size_t len; /* with the guard */
    pthread_t owner;
    bool lent;
} page;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GArray *pages;
static poison_heard heard;
static uint32_t fail_at; /* atomic */
static bool has_failed;  /* atomic */
static int64_t refs;     /* atomic */

void *
poison_page(size_t size)
{
    size_t one = (size_t)sysconf(_SC_PAGESIZE), body = (size + one - 1) / one * one;
    page p = { .len = body + one, .owner = pthread_self(), .lent = true };

    body = MAX(body, one);
    p.len = body + one;
    p.map = mmap(NULL, p.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(p.map != MAP_FAILED);
    g_assert_cmpint(mprotect(p.map + body, one, PROT_NONE), ==, 0);
    pthread_mutex_lock(&lock);
    if (pages == NULL)
        pages = g_array_new(FALSE, FALSE, sizeof(page));
    g_array_append_val(pages, p);
    pthread_mutex_unlock(&lock);
    return p.map + body - size;
}

void *
poison_copy(const void *bytes, size_t size)
{
    void *copy = poison_page(size);

    memcpy(copy, bytes, size);
    return copy;
}

void
poison_all(void)
{
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; pages != NULL && i < pages->len; i++) {
        page *p = &g_array_index(pages, page, i);
        if (!p->lent || !pthread_equal(p->owner, pthread_self()))
            continue;
        p->lent = false;
        g_assert_cmpint(mprotect(p->map, p->len, PROT_NONE), ==, 0);
    }
    pthread_mutex_unlock(&lock);
}

void
poison_free(void)
{
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; pages != NULL && i < pages->len; i++)
        munmap(g_array_index(pages, page, i).map, g_array_index(pages, page, i).len);
    g_clear_pointer(&pages, g_array_unref);
    pthread_mutex_unlock(&lock);
}

/* ---- failing and counting ---- */

void
poison_fail_at(uint32_t n)
{
    __atomic_store_n(&has_failed, false, __ATOMIC_RELAXED);
    __atomic_store_n(&fail_at, n, __ATOMIC_RELAXED);
}

bool
poison_has_failed(void)
{
    return __atomic_load_n(&has_failed, __ATOMIC_RELAXED);
}

bool poison_fails(void); /* also for the client service */

bool
poison_fails(void)
{
    uint32_t left = __atomic_load_n(&fail_at, __ATOMIC_RELAXED);

    while (left != 0 && !__atomic_compare_exchange_n(&fail_at, &left, left - 1, false,
                                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    if (left != 1)
        return false;
    __atomic_store_n(&has_failed, true, __ATOMIC_RELAXED);
    return true;
}

static void
count(int64_t n)
{
    __atomic_fetch_add(&refs, n, __ATOMIC_RELAXED);
}

int64_t
poison_refs(void)
{
    return __atomic_load_n(&refs, __ATOMIC_RELAXED);
}

/* ---- events ---- */

static emesh_buf *
event_buf(const emesh_host *host, size_t n, void **mem)
{
    emesh_buf *buf = poison_fails() ? NULL : emesh_event_service.buf(host, n, mem);

    count(buf != NULL);
    return buf;
}

static emesh_buf *
event_buf_ref(emesh_buf *buf)
{
    count(1);
    return emesh_event_service.buf_ref(buf);
}

static void
event_buf_unref(emesh_buf *buf)
{
    count(buf != NULL ? -1 : 0);
    emesh_event_service.buf_unref(buf);
}

static int32_t
event_build(const emesh_host *host, const emesh_event_view *spec, const emesh_event *base,
            const emesh_event **out, emesh_error *err)
{
    if (poison_fails())
        return emesh_fail(err, EMESH_E_NO_MEMORY, "no memory, says the test");
    int32_t code = emesh_event_service.build(host, spec, base, out, err);
    count(code == EMESH_OK);
    return code;
}

static const emesh_event *
event_ref(const emesh_event *event)
{
    count(1);
    return emesh_event_service.ref(event);
}

static void
event_unref(const emesh_event *const *events, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        count(events[i] != NULL ? -1 : 0);
    emesh_event_service.unref(events, n);
}

static void
event_view(const emesh_event *event, emesh_event_view *out)
{
    emesh_event_service.view(event, out);
}

static int32_t
event_decode(const emesh_host *host, uint32_t form, const emesh_part *in, uint32_t n_in,
             const emesh_event **out, uint32_t cap, uint32_t *n_out, emesh_error *err)
{
    if (poison_fails())
        return emesh_fail(err, EMESH_E_NO_MEMORY, "no memory, says the test");
    int32_t code = emesh_event_service.decode(host, form, in, n_in, out, cap, n_out, err);
    count(code == EMESH_OK ? *n_out : 0);
    return code;
}

static int32_t
event_encode(const emesh_host *host, uint32_t form, const emesh_event *const *events, uint32_t n,
             emesh_part *out)
{
    if (form != EMESH_FORM_IMAGE && poison_fails())
        return EMESH_E_NO_MEMORY;
    int32_t code = emesh_event_service.encode(host, form, events, n, out);
    count(code == EMESH_OK && form != EMESH_FORM_IMAGE);
    return code;
}

const emesh_event_api poison_event = {
    .size = sizeof poison_event,
    .buf = event_buf,
    .buf_ref = event_buf_ref,
    .buf_unref = event_buf_unref,
    .build = event_build,
    .ref = event_ref,
    .unref = event_unref,
    .view = event_view,
    .decode = event_decode,
    .encode = event_encode,
};

/* ---- loops ---- */

static uint64_t
loop_time(const emesh_loop *loop, uint32_t clock)
{
    return emesh_loop_service.time(loop, clock);
}

static void
loop_post(emesh_loop *loop, emesh_task *task)
{
    emesh_loop_service.post(loop, task);
}

static void
loop_work(const emesh_host *host, emesh_task *task)
{
    emesh_loop_service.work(host, task);
}

static emesh_watch *
loop_watch(emesh_loop *loop, int32_t fd, uint32_t interest,
           void (*ready)(void *ctx, int32_t fd, uint32_t what), void *ctx)
{
    return poison_fails() ? NULL : emesh_loop_service.watch(loop, fd, interest, ready, ctx);
}

static void
loop_watch_set(emesh_watch *watch, uint32_t interest)
{
    emesh_loop_service.watch_set(watch, interest);
}

static void
loop_watch_end(emesh_watch *watch)
{
    emesh_loop_service.watch_end(watch);
}

static emesh_timer *
loop_timer(emesh_loop *loop, void (*due)(void *ctx), void *ctx)
{
    return poison_fails() ? NULL : emesh_loop_service.timer(loop, due, ctx);
}

static void
loop_timer_set(emesh_timer *timer, uint64_t at_ns)
{
    emesh_loop_service.timer_set(timer, at_ns);
}

static void
loop_timer_end(emesh_timer *timer)
{
    emesh_loop_service.timer_end(timer);
}

const emesh_loop_api poison_loop = {
    .size = sizeof poison_loop,
    .time = loop_time,
    .post = loop_post,
    .work = loop_work,
    .watch = loop_watch,
    .watch_set = loop_watch_set,
    .watch_end = loop_watch_end,
    .timer = loop_timer,
    .timer_set = loop_timer_set,
    .timer_end = loop_timer_end,
};

/* ---- a store's ears ---- */

static void
store_ready(const emesh_host *host, const emesh_store_info *info)
{
    (void)host;
    g_assert_cmpuint(info->levels, !=, 0);
    g_assert_cmpuint(info->window_events, >, 0);
    pthread_mutex_lock(&lock);
    heard.ready++;
    pthread_mutex_unlock(&lock);
}

static void
store_appended(const emesh_host *host, const emesh_appended *results, uint32_t n)
{
    uint32_t stride = emesh_inst_of(host)->layout.appended;

    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < n; i++) {
        emesh_appended result;
        g_assert_cmpint(emesh_take(&result, sizeof result, results, stride, i), ==, EMESH_OK);
        g_assert_cmpuint(result.cookie, <, 64);
        heard.twice += (heard.cookies >> result.cookie & 1) != 0;
        heard.cookies |= UINT64_C(1) << result.cookie;
        heard.failed += result.code != EMESH_OK;
        heard.results++;
    }
    pthread_mutex_unlock(&lock);
}

static void
store_records(emesh_reader *reader, const emesh_record *records, uint32_t n)
{
    const emesh_inst *inst = (const emesh_inst *)reader;
    uint32_t events = 0;

    for (uint32_t i = 0; i < n; i++) {
        emesh_record record;
        g_assert_cmpint(emesh_take(&record, sizeof record, records, inst->layout.record, i), ==,
                        EMESH_OK);
        g_assert_cmpuint(record.epoch, ==, 7);
        if (record.event == NULL)
            continue;
        g_assert_cmpuint(emesh_event_peek(record.event)->n_attrs, >=, 3);
        events++;
    }
    pthread_mutex_lock(&lock);
    heard.records += events;
    pthread_mutex_unlock(&lock);
}

static void
store_partition(emesh_reader *reader, uint32_t change, uint32_t partition, const char *name,
                size_t len, const emesh_error *err)
{
    (void)reader, (void)err;
    g_assert_true(len == 0 || name != NULL);
    pthread_mutex_lock(&lock);
    heard.partitions++;
    if (change == EMESH_PARTITION_ASSIGNED && !heard.assigned) {
        heard.assigned = true;
        heard.partition = partition;
    }
    pthread_mutex_unlock(&lock);
}

static void
store_replied(const emesh_host *host, const emesh_event *const *events, uint32_t n)
{
    (void)host, (void)events, (void)n;
}

const emesh_store_api poison_store = {
    .size = sizeof poison_store,
    .ready = store_ready,
    .appended = store_appended,
    .records = store_records,
    .partition = store_partition,
    .replied = store_replied,
};

poison_heard
poison_listen(void)
{
    pthread_mutex_lock(&lock);
    poison_heard copy = heard;
    pthread_mutex_unlock(&lock);
    return copy;
}

void
poison_forget(void)
{
    pthread_mutex_lock(&lock);
    memset(&heard, 0, sizeof heard);
    pthread_mutex_unlock(&lock);
}

void
poison_services(stage *s)
{
    emesh_services_add(s->services, EMESH_EVENT_ID, &poison_event);
    emesh_services_add(s->services, EMESH_LOOP_ID, &poison_loop);
    emesh_services_add(s->services, EMESH_STORE_ID, &poison_store);
    emesh_services_add(s->services, EMESH_CLIENT_ID, &poison_client);
}
