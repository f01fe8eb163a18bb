/* SPDX-License-Identifier: Apache-2.0
 *
 * Scan of a subscription body. Pure; any thread.
 */
#include "subscription.h"

#include <string.h>

/* One of two words; anything else makes the frame undecodable, as in the reference. */
static bool
choice(const tcp_value *v, const char *off, const char *on, bool *out)
{
    if (v->type == TCP_JSON_NULL)
        return true;
    if (v->type != TCP_JSON_STRING)
        return false;
    *out = tcp_json_is(v, on, strlen(on));
    return *out || tcp_json_is(v, off, strlen(off));
}

static const char *
parse_item(tcp_json *j, tcp_topic_item *item)
{
    tcp_value key, v;
    int more;

    *item = (tcp_topic_item){ .topic = { .type = TCP_JSON_BAD } };
    if (!tcp_json_open(j, '{'))
        return j->flaw;
    while ((more = tcp_json_key(j, &key)) == 1) {
        if (!tcp_json_value(j, &v))
            return j->flaw;
        if (TCP_JSON_IS(&key, "topic") && v.type == TCP_JSON_STRING)
            item->topic = v;
        else if (TCP_JSON_IS(&key, "mode") &&
                 !choice(&v, "CLUSTERING", "BROADCASTING", &item->broadcasting))
            return "a subscription mode is unknown";
        else if (TCP_JSON_IS(&key, "type") && !choice(&v, "ASYNC", "SYNC", &item->sync))
            return "a subscription type is unknown";
    }
    return more == 0 ? NULL : j->flaw;
}

static const char *
parse_list(tcp_json *j, bool (*take)(void *ctx, const tcp_topic_item *item), void *ctx,
           bool *refused)
{
    tcp_topic_item item;
    int more;

    if (!tcp_json_open(j, '['))
        return j->flaw;
    while ((more = tcp_json_element(j)) == 1) {
        const char *flaw = parse_item(j, &item);
        if (flaw != NULL)
            return flaw;
        if (!take(ctx, &item)) {
            *refused = true;
            return NULL;
        }
    }
    return more == 0 ? NULL : j->flaw;
}

bool
tcp_subscription_parse(const char *body, size_t len,
                       bool (*take)(void *ctx, const tcp_topic_item *item), void *ctx,
                       const char **flaw)
{
    tcp_json j;
    tcp_value key, v;
    bool refused = false;
    int more;

    *flaw = NULL;
    tcp_json_begin(&j, body, len);
    more = tcp_json_open(&j, '{') ? 1 : -1;
    while (more == 1 && (more = tcp_json_key(&j, &key)) == 1) {
        if (TCP_JSON_IS(&key, "topicList") && tcp_json_peek(&j) == TCP_JSON_ARRAY)
            *flaw = parse_list(&j, take, ctx, &refused);
        else
            tcp_json_value(&j, &v);
        if (refused || *flaw != NULL)
            return false;
    }
    if (more == 0 && tcp_json_end(&j))
        return true;
    *flaw = j.flaw != NULL ? j.flaw : "it is malformed";
    return false;
}
