/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery-test-25: every decision code is forced, each in a process of its own that is killed with
 * signal 9 as soon as the decision can be seen; then the journal has exactly one line of it. A code
 * without a way to force it fails the walk, and so does one without a row.
 */
#include "bus/append.h"
#include "bus/findings.h"
#include "bus/request.h"
#include "bus/session.h"
#include "bus/store.h"
#include "bus/topic.h"
#include "delivery/change.h"
#include "delivery/sub.h"
#include "event/event.h"
#include "harness/mesh.h"
#include "journal/read.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const emesh_plugin *emesh_plugin_entry_1(uint32_t host_minor); /* of the store linked in */

/* ---- a store that fails as it is told ---- */

enum { PASS, REFUSE, LOSE, KEEP_SILENT, REFUSE_INBOX, REFUSE_LETTERS };

static uint32_t appends = PASS; /* atomic */
static uint32_t deaf, closed;   /* atomic: want does nothing; readers cannot be opened */
static emesh_storage_ops real;
static emesh_bus *the_bus;

static bool
hit(const emesh_append *item, uint32_t how)
{
    switch (how) {
    case PASS:
        return false;
    case REFUSE_INBOX:
        return item->group.len > 0;
    case REFUSE_LETTERS:
        return emesh_event_attr(item->event, "dlcause", 7) != NULL;
    default:
        return true;
    }
}

static void
faulty_append(emesh_lane *lane, const emesh_append *items, uint32_t n)
{
    const emesh_inst *inst = ((const emesh_store *)the_bus->stores->pdata[0])->inst;
    uint32_t how = __atomic_load_n(&appends, __ATOMIC_RELAXED);

    for (uint32_t i = 0; i < n; i++) {
        emesh_appended result = { .cookie = items[i].cookie,
                                  .reason = { "by the test", 11 },
                                  .code = how == LOSE ? EMESH_E_LOST : EMESH_E_NO_SPACE };
        if (!hit(&items[i], how))
            real.append(lane, &items[i], 1);
        else if (how != KEEP_SILENT)
            emesh_store_service.appended(&inst->host, &result, 1);
    }
}

static emesh_cursor *unheard; /* [its lane] who wanted records while it was deaf */
static uint32_t unheard_records;

static void
faulty_want(emesh_cursor *cursor, uint32_t records, uint64_t bytes)
{
    if (!__atomic_load_n(&deaf, __ATOMIC_RELAXED)) {
        real.want(cursor, records, bytes);
        return;
    }
    unheard = cursor;
    unheard_records += records;
}

static emesh_cursor *
faulty_open(emesh_lane *lane, const emesh_read_spec *spec, emesh_reader *reader)
{
    return __atomic_load_n(&closed, __ATOMIC_RELAXED) ? NULL : real.open(lane, spec, reader);
}

static const emesh_plugin *
faulty(void)
{
    static emesh_storage_ops ops;
    static emesh_component component;
    static emesh_plugin plugin;
    static const emesh_component *list[] = { &component };

    plugin = *emesh_plugin_entry_1(0);
    component = *plugin.components[0];
    real = ops = *(const emesh_storage_ops *)component.ops;
    ops.append = faulty_append;
    ops.want = faulty_want;
    ops.open = faulty_open;
    component.ops = &ops;
    plugin.components = list;
    return &plugin;
}

/* ---- the world of one code ---- */

typedef struct world {
    mesh *m;
    mesh_client *c, *other;
    uint32_t code;
    const char *words; /* of the line; NULL: any */
    const char *data;
    const char *ttl;    /* of the next publish_item(); NULL: none */
    emesh_publish item; /* publish_item() */
} world;

static void
publish_here(void *ctx)
{
    world *w = ctx;

    emesh_client_service.publish(mesh_session(w->c), &w->item, 1);
}

/* One event of the given item, whatever is in it. */
static void
publish_item(world *w, emesh_publish item, const char *topic)
{
    emesh_attr attrs[] = {
        { .name = "id", .name_len = 2, .value = "x", .value_len = 1 },
        { .name = "source",
          .name_len = 6,
          .value = "/s",
          .value_len = 2,
          .type = EMESH_ATTR_URI_REF },
        { .name = "type", .name_len = 4, .value = "t", .value_len = 1 },
        { .name = "ttl", .name_len = 3, .value = w->ttl },
    };
    emesh_event_view view = { .size = sizeof view, .attrs = attrs, .n_attrs = 3 };

    if (w->ttl != NULL)
        attrs[view.n_attrs++].value_len = (uint32_t)strlen(w->ttl);

    w->item = item;
    w->item.topic = (emesh_slice){ topic, strlen(topic) };
    g_assert_cmpint(emesh_event_build(&view, NULL, &w->item.event, NULL), ==, EMESH_OK);
    mesh_on_lane(w->m, 0, publish_here, w);
}

static mesh_sub *
member(world *w, uint32_t mode)
{
    return mesh_subscribe(w->c, "t", "g", mode, 10, false);
}

static mesh_sub *
delivered(world *w, uint32_t mode)
{
    mesh_sub *sub = member(w, mode);

    mesh_publish(w->c, "t", "e", 1, 10);
    mesh_deliveries(sub, 1);
    return sub;
}

typedef struct inside {
    world *w;
    void (*fn)(world *w, emesh_sub *sub);
    bool found;
} inside;

static void
run_inside(void *ctx)
{
    inside *in = ctx;
    emesh_bus_lane *lane = emesh_bus_lane_here(the_bus);
    emesh_sub *sub = emesh_sub_find(lane->delivery, "t", "g");

    if (sub == NULL && lane->delivery->alone->len > 0)
        sub = lane->delivery->alone->pdata[0];
    in->found = sub != NULL;
    if (sub != NULL)
        in->fn(in->w, sub);
}

/* On the lane that owns the subscription. */
static void
within(world *w, void (*fn)(world *w, emesh_sub *sub))
{
    inside in = { w, fn, false };

    for (uint32_t lane = 0; lane < 2 && !in.found; lane++)
        mesh_on_lane(w->m, lane, run_inside, &in);
    g_assert_true(in.found);
}

static void
bring(emesh_sub *sub, uint32_t flags, const emesh_event *event)
{
    const emesh_window *window = sub->windows->pdata[0];
    emesh_record record = { .event = event,
                            .position = { 0, 77 },
                            .partition = window->number,
                            .epoch = window->epoch,
                            .flags = flags,
                            .attempt = 1 };

    emesh_store_service.records(&sub->reader, &record, 1);
}

static emesh_store *
the_store(void)
{
    return the_bus->stores->pdata[0];
}

/* ---- one way for each: stages ---- */

static void
publish_one(world *w)
{
    mesh_publish(w->c, "t", "e", 1, 10);
}

static void
schedule(world *w)
{
    uint64_t now = (uint64_t)g_get_real_time() / 1000;
    publish_item(w, (emesh_publish){ .deliver_at_ms = now + 60000 }, "t");
}

static void
deliver_one(world *w)
{
    delivered(w, EMESH_SUB_SHARED);
}
static void
take_one(world *w)
{
    mesh_settle(delivered(w, EMESH_SUB_SHARED), 0, EMESH_SETTLE_DONE, 0);
}
static void
give_back(world *w)
{
    mesh_settle(delivered(w, EMESH_SUB_SHARED), 0, EMESH_SETTLE_RETURN, 60000);
}
static void
fail_for_now(world *w)
{
    mesh_settle(delivered(w, EMESH_SUB_SHARED), 0, EMESH_SETTLE_RETRY, 5000);
}

/* As if the other member were of another protocol. */
static void
part_them(world *w, emesh_sub *sub)
{
    emesh_consumer *last = sub->consumers->pdata[1];

    (void)w;
    last->inst = the_store()->inst;
}

static void
pass_on(world *w)
{
    mesh_sub *one = member(w, EMESH_SUB_SHARED);

    mesh_subscribe(w->other, "t", "g", EMESH_SUB_SHARED, 0, false);
    within(w, part_them);
    mesh_publish(w->c, "t", "e", 1, 10);
    mesh_deliveries(one, 1);
    mesh_settle(one, 0, EMESH_SETTLE_UNFIT, 0);
}

/* ---- … and decisions ---- */

static void
refuse_name(world *w)
{
    mesh_publish(w->c, "bad*", "e", 1, 10);
}
static void
refuse_size(world *w)
{
    mesh_publish(w->c, "small", "e", 1, 5000);
}
static void
refuse_kind(world *w)
{
    publish_item(w, (emesh_publish){ .what = 99 }, "t");
}
static void
refuse_topic(world *w)
{
    mesh_publish(w->c, "nowhere", "e", 1, 10);
}

static void
refuse_level(world *w)
{
    publish_item(w, (emesh_publish){ .level = EMESH_LEVEL_QUORUM }, "t");
}

static void
refuse_level_gone(world *w)
{
    mesh_publish(w->c, "t", "e", 1, 10);
    mesh_results(w->c, 1);
    __atomic_store_n(&the_store()->levels, 1u << EMESH_LEVEL_MEMORY, __ATOMIC_RELAXED);
    mesh_publish(w->c, "t", "f", 1, 10);
}

static void
refuse_far(world *w)
{
    uint64_t now = (uint64_t)g_get_real_time() / 1000;
    publish_item(w, (emesh_publish){ .deliver_at_ms = now + UINT64_C(40) * 86400000 }, "t");
}

static void
refuse_delay(world *w)
{
    uint64_t now = (uint64_t)g_get_real_time() / 1000;
    __atomic_store_n(&the_store()->can, 0, __ATOMIC_RELAXED);
    publish_item(w, (emesh_publish){ .deliver_at_ms = now + 60000 }, "t");
}

static void
refuse_request_of_session(world *w)
{
    the_bus->limits.session_requests = 0;
    publish_item(w, (emesh_publish){ .what = EMESH_PUB_REQUEST }, "t");
}

static void
refuse_request_of_all(world *w)
{
    the_bus->limits.requests = 0;
    publish_item(w, (emesh_publish){ .what = EMESH_PUB_REQUEST }, "t");
}

static void
refuse_request_ttl(world *w)
{
    w->ttl = "soon";
    publish_item(w, (emesh_publish){ .what = EMESH_PUB_REQUEST }, "t");
}

static void
drop_waiting(world *w, bool away)
{
    emesh_bus_lane *lane = emesh_bus_lane_here(the_bus);

    (void)w;
    emesh_append_drop_topic(lane, emesh_topic_find(lane, "t", 1), away);
}

static void
drop_deleted(void *ctx)
{
    drop_waiting(ctx, false);
}
static void
drop_away(void *ctx)
{
    drop_waiting(ctx, true);
}

/* The second waits behind the store's window when its topic goes. */
static void
waiting(world *w, void (*go)(void *ctx))
{
    mesh_publish(w->c, "t", "e", 1, 10);
    mesh_results(w->c, 1);
    __atomic_store_n(&appends, KEEP_SILENT, __ATOMIC_RELAXED);
    __atomic_store_n(&the_store()->window_events, 1, __ATOMIC_RELAXED);
    mesh_publish(w->c, "t", "f", 1, 10);
    mesh_publish(w->c, "t", "g", 1, 10);
    mesh_on_lane(w->m, 0, go, w);
}

static void
refuse_deleted(world *w)
{
    waiting(w, drop_deleted);
}
static void
refuse_away(world *w)
{
    waiting(w, drop_away);
}

static void
refuse_store(world *w)
{
    __atomic_store_n(&appends, REFUSE, __ATOMIC_RELAXED);
    mesh_publish(w->c, "t", "e", 1, 10);
}

static void
lose(world *w)
{
    __atomic_store_n(&appends, LOSE, __ATOMIC_RELAXED);
    mesh_publish(w->c, "t", "e", 1, 10);
}

static void
answer_late(world *w)
{
    mesh_publish(w->c, "t", "e", 1, 10);
    mesh_results(w->c, 1);
    __atomic_store_n(&appends, KEEP_SILENT, __ATOMIC_RELAXED);
    publish_item(w, (emesh_publish){ .deadline_ns = (uint64_t)g_get_monotonic_time() * 1000 + 1 },
                 "t");
}

/* The plugin's array has a member that this host does not know, and it is set. */
static void
publish_newer(void *ctx)
{
    world *w = ctx;
    emesh_session *s = mesh_session(w->c);
    uint32_t was = s->inst->layout.publish;
    struct {
        emesh_publish item;
        uint64_t more;
    } newer = { w->item, 1 };

    s->inst->layout.publish = sizeof newer;
    emesh_client_service.publish(s, &newer.item, 1);
    s->inst->layout.publish = was;
}

static void
refuse_newer(world *w)
{
    publish_item(w, (emesh_publish){ .what = EMESH_PUB_EVENT }, "t");
    mesh_on_lane(w->m, 0, publish_newer, w);
}

static void
stop_lane(void *ctx)
{
    (void)ctx;
    emesh_bus_lane_here(the_bus)->draining = true;
}

static void
refuse_stopping(world *w)
{
    mesh_on_lane(w->m, 0, stop_lane, w);
    mesh_publish(w->c, "t", "e", 1, 10);
}

static void
refuse_subscribe(world *w)
{
    mesh_subscribe(w->c, "t", "bad*", EMESH_SUB_SHARED, 1, false);
}

static void
end_subscription(world *w)
{
    __atomic_store_n(&closed, 1, __ATOMIC_RELAXED);
    mesh_subscribe(w->c, "t", "g", EMESH_SUB_SHARED, 1, false);
}

static void
expire(world *w)
{
    member(w, EMESH_SUB_SHARED);
    mesh_publish_attr(w->c, "t", "e", "expirytime", "1000");
}

static void
bring_trimmed(world *w, emesh_sub *s)
{
    (void)w;
    bring(s, EMESH_RECORD_TRIMMED, NULL);
}
static void
bring_damaged(world *w, emesh_sub *s)
{
    (void)w;
    bring(s, EMESH_RECORD_DAMAGED, NULL);
}

static void
take_by_retention(world *w)
{
    delivered(w, EMESH_SUB_SHARED);
    within(w, bring_trimmed);
}

static void
damage(world *w)
{
    delivered(w, EMESH_SUB_SHARED);
    within(w, bring_damaged);
}

static void
bring_foreign(world *w, emesh_sub *s)
{
    bring(s, EMESH_RECORD_FOREIGN, w->item.event);
}

static void
foreign(world *w)
{
    publish_item(w, (emesh_publish){ .what = EMESH_PUB_EVENT }, "elsewhere");
    member(w,
           w->code == EMESH_WHY_BURIED + EMESH_CAUSE_FOREIGN ? EMESH_SUB_SHARED : EMESH_SUB_EVERY);
    within(w, bring_foreign);
}

static void
park(world *w)
{
    mesh_settle(delivered(w, EMESH_SUB_SHARED), 0, EMESH_SETTLE_RETRY, 20000);
}

static void
cut(world *w)
{
    delivered(w, EMESH_SUB_SHARED);
    mesh_client_close(w->c, EMESH_LEFT_CUT);
}

static void
hold_long(world *w, emesh_sub *sub)
{
    (void)w;
    emesh_slot_at(&sub->slots, 0)->offered_ms -= 11000; /* the oldest, and no other */
    emesh_sub_touch(sub);
}

static void
keep(world *w)
{
    mesh_sub *sub = member(w, EMESH_SUB_SHARED);

    mesh_publish(w->c, "t", "e", 4, 10);
    mesh_deliveries(sub, 3);
    within(w, hold_long);
}

static void
letter_stays(world *w)
{
    mesh_sub *letters = mesh_subscribe(w->other, "%DLQ%x", "admin", EMESH_SUB_SHARED, 10, false);

    mesh_publish(w->c, "%DLQ%x", "e", 1, 10);
    mesh_deliveries(letters, 1);
    mesh_settle(letters, 0, EMESH_SETTLE_DEAD, 0);
}

static void
block_letters(world *w)
{
    mesh_sub *sub = delivered(w, EMESH_SUB_SHARED);

    __atomic_store_n(&appends, REFUSE_LETTERS, __ATOMIC_RELAXED);
    mesh_settle(sub, 0, EMESH_SETTLE_DEAD, 0);
}

static void
block_inbox(world *w)
{
    mesh_sub *sub = delivered(w, EMESH_SUB_SHARED);

    __atomic_store_n(&appends, REFUSE_INBOX, __ATOMIC_RELAXED);
    mesh_settle(sub, 0, EMESH_SETTLE_RETRY, 20000);
}

static void
leave_broadcast(world *w)
{
    delivered(w, EMESH_SUB_EVERY);
    mesh_client_close(w->c, EMESH_LEFT_ORDERLY);
}

static void
fail(world *w)
{
    mesh_settle_why(delivered(w, EMESH_SUB_SHARED), 0, EMESH_SETTLE_RETRY, "no");
}
static void
ignore(world *w)
{
    delivered(w, EMESH_SUB_SHARED);
}
static void
reject(world *w)
{
    mesh_settle_why(delivered(w, EMESH_SUB_SHARED), 0, EMESH_SETTLE_DEAD, "no");
}
static void
down(world *w)
{
    mesh_settle(delivered(w, EMESH_SUB_SHARED), 0, EMESH_SETTLE_DOWN, 60000);
}
static void
unfit(world *w)
{
    mesh_settle(delivered(w, EMESH_SUB_SHARED), 0, EMESH_SETTLE_UNFIT, 0);
}

static void
forgotten(void *ctx, int32_t code, const char *why)
{
    (void)ctx, (void)code, (void)why;
}

static void
forget(world *w)
{
    emesh_change_spec spec = {
        .store = the_store(), .topic = "t", .group = "g", .words = "by the test"
    };

    mesh_unsubscribe(delivered(w, EMESH_SUB_SHARED));
    mesh_client_close(w->c, EMESH_LEFT_ORDERLY);
    g_usleep(100000);
    emesh_group_change(the_bus, &spec, forgotten, NULL);
}

static void
drop_reply_here(void *ctx)
{
    world *w = ctx;
    emesh_reply_dropped(emesh_bus_lane_here(the_bus), w->item.event, "nobody asked");
}

static void
drop_reply(world *w)
{
    publish_item(w, (emesh_publish){ .what = EMESH_PUB_EVENT }, "t");
    mesh_on_lane(w->m, 0, drop_reply_here, w);
}

static void
stall(world *w)
{
    __atomic_store_n(&deaf, 1, __ATOMIC_RELAXED);
    member(w, EMESH_SUB_SHARED);
    mesh_publish(w->c, "t", "e", 1, 10);
}

#define ONCE "[group g]\nattempts = 1\n"
#define NOT_KEPT "[group g]\nattempts = 1\ndead-letter = off\n"
#define FOREIGN "[topic t]\nforeign = dead-letter\n"
#define ALL "[daemon]\njournal-sample = 1\n"

static const struct {
    uint32_t code;
    const char *conf; /* NULL: none */
    void (*force)(world *w);
    const char *words; /* of the line; NULL: any */
} ways[] = {
    { EMESH_WHY_ACCEPTED, ALL, publish_one, NULL },
    { EMESH_WHY_STORED, ALL, publish_one, NULL },
    { EMESH_WHY_SCHEDULED, ALL, schedule, NULL },
    { EMESH_WHY_OFFERED, ALL, deliver_one, NULL },
    { EMESH_WHY_ACKED, ALL, take_one, NULL },
    { EMESH_WHY_RETURNED, ALL, give_back, NULL },
    { EMESH_WHY_FAILED, ALL, fail_for_now, NULL },
    { EMESH_WHY_OVERDUE, ALL "[group g]\nack-timeout = 50ms\nretry-wait = 5s\n", deliver_one, NULL },
    { EMESH_WHY_PASSED_ON, ALL, pass_on, NULL },
    { EMESH_WHY_NOT_COUNTED, ALL, down, NULL },
    { EMESH_WHY_REFUSED_NAME, NULL, refuse_name, NULL },
    { EMESH_WHY_REFUSED_KIND, NULL, refuse_kind, NULL },
    { EMESH_WHY_REFUSED_SIZE, "[topic small]\nmax-event = 1k\n", refuse_size, NULL },
    { EMESH_WHY_REFUSED_LEVEL, NULL, refuse_level, NULL },
    { EMESH_WHY_REFUSED_LEVEL_GONE, NULL, refuse_level_gone, NULL },
    { EMESH_WHY_REFUSED_FAR, NULL, refuse_far, NULL },
    { EMESH_WHY_REFUSED_DELAY, NULL, refuse_delay, NULL },
    { EMESH_WHY_REFUSED_TOPIC, "[topic nowhere]\nstore = none\n", refuse_topic, NULL },
    { EMESH_WHY_REFUSED_DELETED, NULL, refuse_deleted, NULL },
    { EMESH_WHY_REFUSED_AWAY, NULL, refuse_away, NULL },
    { EMESH_WHY_REFUSED_STORE, NULL, refuse_store, NULL },
    { EMESH_WHY_REFUSED_NEWER, NULL, refuse_newer, NULL },
    { EMESH_WHY_UNKNOWN, NULL, lose, NULL },
    { EMESH_WHY_PUBLISH_LATE, NULL, answer_late, NULL },
    { EMESH_WHY_SUBSCRIBE_REFUSED, NULL, refuse_subscribe, NULL },
    { EMESH_WHY_SUBSCRIPTION_OVER, NULL, end_subscription, NULL },
    { EMESH_WHY_REFUSED_STOPPING, NULL, refuse_stopping, NULL },
    { EMESH_WHY_REFUSED_REQUEST, NULL, refuse_request_of_session, "of this session" },
    { EMESH_WHY_REFUSED_REQUEST, NULL, refuse_request_of_all, "too many requests wait" },
    { EMESH_WHY_REFUSED_REQUEST, NULL, refuse_request_ttl, "ttl" },
    { EMESH_WHY_EXPIRED, NULL, expire, NULL },
    { EMESH_WHY_RETENTION, NULL, take_by_retention, NULL },
    { EMESH_WHY_DAMAGED, NULL, damage, NULL },
    { EMESH_WHY_PARKED, NULL, park, NULL },
    { EMESH_WHY_SUSPECT, NULL, cut, NULL },
    { EMESH_WHY_CUSTODY, "[daemon]\nwindow-events = 4\n", keep, NULL },
    { EMESH_WHY_LETTER_STAYS, NULL, letter_stays, NULL },
    { EMESH_WHY_LETTER_BLOCKED, NULL, block_letters, NULL },
    { EMESH_WHY_INBOX_BLOCKED, NULL, block_inbox, NULL },
    { EMESH_WHY_MEMBER_LEFT, NULL, leave_broadcast, NULL },
    { EMESH_WHY_MEMBER_DOWN, NULL, down, NULL },
    { EMESH_WHY_BURIED + EMESH_CAUSE_FAILED, ONCE, fail, NULL },
    { EMESH_WHY_BURIED + EMESH_CAUSE_DEADLINE, ONCE "ack-timeout = 50ms\n", ignore, NULL },
    { EMESH_WHY_BURIED + EMESH_CAUSE_REJECTED, ONCE, reject, NULL },
    { EMESH_WHY_BURIED + EMESH_CAUSE_UNFIT, ONCE, unfit, NULL },
    { EMESH_WHY_BURIED + EMESH_CAUSE_KILLED, ONCE, cut, NULL },
    { EMESH_WHY_BURIED + EMESH_CAUSE_FOREIGN, FOREIGN, foreign, NULL },
    { EMESH_WHY_DROPPED + EMESH_CAUSE_FAILED, NOT_KEPT, fail, NULL },
    { EMESH_WHY_DROPPED + EMESH_CAUSE_DEADLINE, NOT_KEPT "ack-timeout = 50ms\n", ignore, NULL },
    { EMESH_WHY_DROPPED + EMESH_CAUSE_REJECTED, NOT_KEPT, reject, NULL },
    { EMESH_WHY_DROPPED + EMESH_CAUSE_UNFIT, NOT_KEPT, unfit, NULL },
    { EMESH_WHY_DROPPED + EMESH_CAUSE_KILLED, NOT_KEPT, cut, NULL },
    { EMESH_WHY_DROPPED + EMESH_CAUSE_FOREIGN, FOREIGN, foreign, NULL },
    { EMESH_WHY_GROUP_FORGOTTEN, NULL, forget, NULL },
    { EMESH_WHY_REPLY_DROPPED, NULL, drop_reply, NULL },
    { EMESH_WHY_NO_PROGRESS, "[daemon]\nno-progress-after = 200ms\n", stall, NULL },
};

/* With these words, if they are not NULL. */
static uint32_t
lines_of(const char *data, uint32_t code, const char *words)
{
    g_autofree char *path = g_build_filename(data, "core", "journal", NULL);
    emesh_journal_query query = { .last = 0 };
    emesh_reading *reading = emesh_journal_read(path, &query, NULL);
    uint32_t n = 0;

    for (uint32_t i = 0; reading != NULL && i < reading->told->len; i++) {
        const emesh_told *told = &g_array_index(reading->told, emesh_told, i);
        n += told->code == code &&
             (words == NULL || (told->words != NULL && strstr(told->words, words) != NULL));
    }
    emesh_reading_free(reading);
    return n;
}

static bool
seen(void *ctx)
{
    const world *w = ctx;

    g_usleep(2000);
    g_main_context_wakeup(NULL);
    return lines_of(w->data, w->code, w->words) > 0;
}

/* The child: forces it, and dies. */
static void
die_of(uint32_t i, const char *data)
{
    world w = { .code = ways[i].code, .words = ways[i].words, .data = data };

    w.m = mesh_new(faulty(), MESH_OPTIONS, 2, ways[i].conf, data);
    the_bus = mesh_bus(w.m);
    w.c = mesh_client_new(w.m, 0);
    w.other = mesh_client_new(w.m, 1);
    ways[i].force(&w);
    mesh_wait(seen, &w);
    kill(getpid(), SIGKILL);
}

/* Its process ends as it should, and leaves one line. */
static void
try_way(const char *self, uint32_t i, const emesh_code_row *row, GString *wrong)
{
    g_autofree char *number = g_strdup_printf("%u", i);
    g_autofree char *data = g_dir_make_tmp("emesh-why-XXXXXX", NULL);
    const char *argv[] = { self, "--die-of", number, data, NULL };
    g_autoptr(GError) error = NULL;
    int status = 0;
    uint32_t lines;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &error);
    g_assert_no_error(error);
    lines = lines_of(data, row->code, ways[i].words);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL || lines != 1)
        g_string_append_printf(wrong, " %s (way %u, status %x, %u lines)", row->word, i,
                               (unsigned)status, lines);
    mesh_remove_tree(data);
}

static void
test_every_code(gconstpointer self)
{
    g_autoptr(GString) wrong = g_string_new(NULL); /* all are tried, so that all are named */

    for (const emesh_code_row *row = emesh_code_rows; row->word != NULL; row++) {
        bool forced = false;

        for (uint32_t i = 0; i < G_N_ELEMENTS(ways); i++) {
            if (ways[i].code != row->code)
                continue;
            forced = true;
            try_way(self, i, row, wrong);
        }
        if (!forced)
            g_string_append_printf(wrong, " %s (no test forces it)", row->word);
    }
    g_assert_cmpstr(wrong->str, ==, "");
}

/* Every code that the header has is in the table; those of causes are there once for each. */
static void
test_header(void)
{
    g_autofree char *path = g_build_filename(g_getenv("EMESH_SOURCE"), "core", "journal", "codes.h",
                                             NULL);
    g_autofree char *text = NULL;
    uint32_t n = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    for (const char *at = text; (at = strstr(at, "    EMESH_WHY_")) != NULL; at++) {
        const char *equals = strstr(at, " = ");
        uint32_t code = (uint32_t)strtoul(equals + 3, NULL, 10);
        g_assert_true(code == EMESH_WHY_NONE || emesh_code_find(code) != NULL);
        n++;
    }
    g_assert_cmpuint(n, >, 40);
}

/* The table itself: sorted, unique words, a sentence each. */
static void
test_table(void)
{
    for (const emesh_code_row *row = emesh_code_rows; row->word != NULL; row++) {
        g_assert_true(row == emesh_code_rows || row[-1].code < row->code);
        g_assert_cmpuint(strlen(row->sentence), >, 8);
        g_assert_true(emesh_code_find(row->code) == row);
        for (const emesh_code_row *other = emesh_code_rows; other < row; other++)
            g_assert_cmpstr(other->word, !=, row->word);
    }
    for (uint32_t cause = EMESH_CAUSE_FAILED; cause <= EMESH_CAUSE_FOREIGN; cause++) {
        g_autofree char *buried = g_strconcat("buried-", emesh_cause_name(cause), NULL);
        g_autofree char *dropped = g_strconcat("dropped-", emesh_cause_name(cause), NULL);
        g_assert_cmpstr(emesh_code_find(EMESH_WHY_BURIED + cause)->word, ==, buried);
        g_assert_cmpstr(emesh_code_find(EMESH_WHY_DROPPED + cause)->word, ==, dropped);
    }
}

/* ---- the finding: there while nothing moves, gone when it does ---- */

static void
look_for(void *ctx, const emesh_finding *finding)
{
    if (strcmp(finding->finding, "no-progress") == 0 &&
        strcmp(finding->about, "group \"g\" of \"t\"") == 0)
        (*(uint32_t *)ctx)++;
}

static uint32_t
findings(void)
{
    uint32_t n = 0;

    emesh_findings_each(the_bus, look_for, &n);
    return n;
}

static bool
is_found(void *ctx)
{
    (void)ctx;
    g_usleep(2000);
    g_main_context_wakeup(NULL);
    return findings() == 1;
}

static bool
is_gone(void *ctx)
{
    return !is_found(ctx);
}

static void
hear(world *w, emesh_sub *sub)
{
    (void)w;
    g_assert_true(sub->cursor == unheard);
    real.want(unheard, unheard_records, 1u << 20);
}

static void
test_no_progress(void)
{
    world w = { .code = EMESH_WHY_NO_PROGRESS };
    mesh_sub *sub;

    w.m = mesh_new(faulty(), MESH_OPTIONS, 2, "[daemon]\nno-progress-after = 100ms\n", NULL);
    the_bus = mesh_bus(w.m);
    w.c = mesh_client_new(w.m, 0);
    __atomic_store_n(&deaf, 1, __ATOMIC_RELAXED);
    sub = member(&w, EMESH_SUB_SHARED);
    g_usleep(300000); /* nothing waits: that is no finding */
    g_assert_cmpuint(findings(), ==, 0);
    mesh_publish(w.c, "t", "e", 2, 10);
    mesh_wait(is_found, NULL);
    g_usleep(300000);
    g_assert_cmpuint(findings(), ==, 1);
    __atomic_store_n(&deaf, 0, __ATOMIC_RELAXED);
    within(&w, hear);
    mesh_deliveries(sub, 2);
    mesh_wait(is_gone, NULL);
    mesh_window(sub, 0); /* paused: nobody is ready, that is no finding either */
    mesh_publish(w.c, "t", "f", 1, 10);
    g_usleep(300000);
    g_assert_cmpuint(findings(), ==, 0);
    mesh_free(w.m);
}

int
main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--die-of") == 0)
        die_of((uint32_t)atoi(argv[2]), argv[3]);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/why/codes", test_table);
    g_test_add_func("/why/header", test_header);
    g_test_add_data_func("/why/delivery-test-25/every-code", argv[0], test_every_code);
    g_test_add_func("/why/no-progress", test_no_progress);
    return g_test_run();
}
