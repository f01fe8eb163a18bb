/* SPDX-License-Identifier: Apache-2.0
 *
 * Listings: topics and partitions by their watermarks, groups by what they have committed, and where an
 * event lies, which Kafka can only answer by reading and so is not answered here.
 */
#include "admin.h"
#include "done.h"

#include <stdio.h>
#include <string.h>

typedef struct listing {
    kf_store *store;
    const kf_asked *asked;
    GArray *rows;
    GPtrArray *texts;
    emesh_error err;
} listing;

static emesh_slice
kept(listing *l, const char *text)
{
    char *copy = g_strdup(text);

    g_ptr_array_add(l->texts, copy);
    return (emesh_slice){ copy, strlen(copy) };
}

static emesh_slice
number(listing *l, int32_t n)
{
    char text[16];

    snprintf(text, sizeof text, "%d", n);
    return kept(l, text);
}

static bool
is_internal(const char *topic)
{
    return g_str_has_prefix(topic, "__");
}

/* All partitions of the topics that are asked for. NULL: err. */
static rd_kafka_topic_partition_list_t *
partitions(listing *l)
{
    const char *only = l->asked->topic;
    rd_kafka_topic_t *rkt = only != NULL ? rd_kafka_topic_new(l->store->admin, only, NULL) : NULL;
    const struct rd_kafka_metadata *data = NULL;
    rd_kafka_resp_err_t e = rd_kafka_metadata(l->store->admin, only == NULL, rkt, &data, KF_ASK_MS);
    rd_kafka_topic_partition_list_t *out = NULL;

    if (e == RD_KAFKA_RESP_ERR_NO_ERROR) {
        out = rd_kafka_topic_partition_list_new(64);
        for (int i = 0; i < data->topic_cnt; i++)
            for (int k = 0; k < data->topics[i].partition_cnt && !is_internal(data->topics[i].topic);
                 k++)
                rd_kafka_topic_partition_list_add(out, data->topics[i].topic,
                                                  data->topics[i].partitions[k].id);
        rd_kafka_metadata_destroy(data);
    } else {
        kf_error(&l->err, kf_code(e), "topics cannot be listed: %s", rd_kafka_err2str(e));
    }
    if (rkt != NULL)
        rd_kafka_topic_destroy(rkt);
    return out;
}

static rd_kafka_topic_partition_list_t *
offsets(listing *l, const rd_kafka_topic_partition_list_t *parts, int64_t what)
{
    rd_kafka_topic_partition_list_t *out = rd_kafka_topic_partition_list_copy(parts);

    for (int i = 0; i < out->cnt; i++)
        out->elems[i].offset = what;
    if (out->cnt > 0 && kf_ask_offsets(l->store, out, &l->err) != EMESH_OK) {
        rd_kafka_topic_partition_list_destroy(out);
        return NULL;
    }
    return out;
}

typedef struct spans { /* of all partitions that are asked for */
    rd_kafka_topic_partition_list_t *low, *high, *from;
} spans;

static void
spans_clear(spans *s)
{
    if (s->low != NULL)
        rd_kafka_topic_partition_list_destroy(s->low);
    if (s->high != NULL)
        rd_kafka_topic_partition_list_destroy(s->high);
    if (s->from != NULL)
        rd_kafka_topic_partition_list_destroy(s->from);
}

static bool
spans_ask(listing *l, spans *s)
{
    rd_kafka_topic_partition_list_t *parts = partitions(l);

    *s = (spans){ NULL, NULL, NULL };
    if (parts == NULL)
        return false;
    s->low = offsets(l, parts, RD_KAFKA_OFFSET_BEGINNING);
    s->high = s->low != NULL ? offsets(l, parts, RD_KAFKA_OFFSET_END) : NULL;
    if (s->high != NULL) {
        s->from = rd_kafka_topic_partition_list_copy(s->low);
        if (l->asked->has_start && l->asked->start.kind != EMESH_START_STORED && parts->cnt > 0)
            kf_start_offsets(l->store, &l->asked->start, s->from, &l->err);
    }
    rd_kafka_topic_partition_list_destroy(parts);
    return s->from != NULL && l->err.code == EMESH_OK;
}

static emesh_row
part_row(listing *l, const spans *s, int i)
{
    int64_t low = s->low->elems[i].offset, high = s->high->elems[i].offset;
    int64_t from = MAX(low, s->from->elems[i].offset);
    emesh_row row = { .topic = kept(l, s->low->elems[i].topic), .bytes = UINT64_MAX };

    row.first.lo = (uint64_t)MAX(low, 0);
    row.last.lo = high > 0 ? (uint64_t)high - 1 : 0;
    row.count = high > from ? (uint64_t)(high - from) : 0;
    return row;
}

static void
list_parts(listing *l, bool one_by_one)
{
    spans s;

    if (spans_ask(l, &s))
        for (int i = 0; i < s.low->cnt; i++) {
            emesh_row row = part_row(l, &s, i);
            if (!one_by_one && i > 0 &&
                strcmp(s.low->elems[i].topic, s.low->elems[i - 1].topic) == 0) {
                emesh_row *before = &g_array_index(l->rows, emesh_row, l->rows->len - 1);
                before->count += row.count;
                continue;
            }
            if (one_by_one)
                row.partition = number(l, s.low->elems[i].partition);
            g_array_append_val(l->rows, row);
        }
    spans_clear(&s);
}

/* ---- groups ---- */

static GPtrArray *
group_names(listing *l)
{
    rd_kafka_AdminOptions_t *opt =
        rd_kafka_AdminOptions_new(l->store->admin, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(l->store->admin);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    rd_kafka_event_t *event = NULL;
    char why[64];
    size_t n = 0;

    if (l->asked->group != NULL) {
        g_ptr_array_add(names, g_strdup(l->asked->group));
    } else {
        rd_kafka_AdminOptions_set_request_timeout(opt, KF_ASK_MS, why, sizeof why);
        rd_kafka_ListConsumerGroups(l->store->admin, opt, queue);
        event = kf_ask(queue, &l->err);
    }
    if (event != NULL) {
        const rd_kafka_ConsumerGroupListing_t **all = rd_kafka_ListConsumerGroups_result_valid(
            rd_kafka_event_ListConsumerGroups_result(event), &n);
        for (size_t i = 0; i < n; i++)
            g_ptr_array_add(names, g_strdup(rd_kafka_ConsumerGroupListing_group_id(all[i])));
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(opt);
    return names;
}

static void
group_row(listing *l, const spans *s, const char *group, const rd_kafka_topic_partition_t *place)
{
    const rd_kafka_topic_partition_t *high, *low, *from;
    emesh_row row = { .bytes = UINT64_MAX };
    kf_done done;
    int64_t at;

    high = rd_kafka_topic_partition_list_find(s->high, place->topic, place->partition);
    low = rd_kafka_topic_partition_list_find(s->low, place->topic, place->partition);
    from = rd_kafka_topic_partition_list_find(s->from, place->topic, place->partition);
    if (place->offset < 0 || high == NULL || low == NULL || from == NULL)
        return;
    kf_done_init(&done, place->offset);
    if (place->metadata != NULL)
        kf_done_read(&done, place->metadata, place->metadata_size);
    at = MAX(MAX(done.floor, low->offset), from->offset);
    row.topic = kept(l, place->topic);
    row.group = kept(l, group);
    row.partition = number(l, place->partition);
    row.first.lo = (uint64_t)MAX(low->offset, 0);
    row.last.lo = high->offset > 0 ? (uint64_t)high->offset - 1 : 0;
    row.committed.lo = done.floor > 0 ? (uint64_t)done.floor - 1 : 0;
    row.flags = done.floor == 0 ? EMESH_ROW_UNREAD : 0;
    if (high->offset > at)
        row.count = (uint64_t)(high->offset - at - (at == done.floor ? kf_done_count(&done, high->offset) : 0));
    kf_done_clear(&done);
    g_array_append_val(l->rows, row);
}

static void
list_groups(listing *l)
{
    g_autoptr(GPtrArray) names = group_names(l);
    spans s = { NULL, NULL, NULL };

    if (l->err.code == EMESH_OK && spans_ask(l, &s))
        for (guint i = 0; i < names->len; i++) {
            rd_kafka_topic_partition_list_t *places = rd_kafka_topic_partition_list_copy(s.low);
            emesh_error none = { .size = sizeof none };
            for (int k = 0; k < places->cnt; k++)
                places->elems[k].offset = RD_KAFKA_OFFSET_INVALID;
            if (places->cnt > 0 &&
                kf_ask_places(l->store, names->pdata[i], &places, &none) == EMESH_OK)
                for (int k = 0; k < places->cnt; k++)
                    group_row(l, &s, names->pdata[i], &places->elems[k]);
            rd_kafka_topic_partition_list_destroy(places);
        }
    spans_clear(&s);
}

void
kf_list(kf_store *store, kf_asked *asked)
{
    listing l = { .store = store, .asked = asked,
                  .rows = g_array_new(FALSE, TRUE, sizeof(emesh_row)),
                  .texts = g_ptr_array_new_with_free_func(g_free),
                  .err = { .size = sizeof l.err } };
    emesh_rows out = { .size = sizeof out };

    switch (asked->what) {
    case EMESH_LIST_TOPICS:
        list_parts(&l, false);
        break;
    case EMESH_LIST_PARTITIONS:
        list_parts(&l, true);
        break;
    case EMESH_LIST_GROUPS:
        list_groups(&l);
        break;
    default:
        kf_error(&l.err, EMESH_E_UNSUPPORTED, "storage-kafka has no index of events");
        break;
    }
    out.n = l.rows->len;
    out.rows = (const emesh_row *)(const void *)l.rows->data;
    store->host->complete(store->host, asked->op, l.err.code, l.err.code != EMESH_OK ? &l.err : NULL,
                          &out);
    g_array_unref(l.rows);
    g_ptr_array_unref(l.texts);
}
