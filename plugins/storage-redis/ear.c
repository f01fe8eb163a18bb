/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection that listens: who has written what ("wake"), replies to requests of this daemon,
 * and the channels of Pub/Sub mode. Nothing depends on a wake-up: what is missed is found by
 * polling.
 *
 *   KIND SENDER | STREAM     n: new entries; t: some were given back; l: retention took unread ones
 */
#include "codec.h"
#include "redis.h"

#include <string.h>

static void
follow(rs_link *link, const char *command, const char *channel)
{
    rs_args_begin(link->s->args, command);
    rs_args_text(link->s->args, channel);
    rs_link_send(link, link->s->args, (rs_command){ .done = rs_ignored });
}

void
rs_ear_follow(rs_store *s, const char *channel, bool on)
{
    if (rs_link_is_up(&s->ear))
        follow(&s->ear, on ? "SUBSCRIBE" : "UNSUBSCRIBE", channel);
    rs_link_flush(&s->ear);
}

void
rs_ear_up(rs_link *link)
{
    rs_store *s = link->s;
    g_autofree char *wake = g_strconcat(s->opt.prefix, "wake", NULL);
    g_autofree char *reply = g_strconcat(s->opt.prefix, "reply:", s->me, NULL);

    if (s->opt.mode == RS_MODE_PUBSUB) {
        rs_pubsub_again(s);
    } else {
        follow(link, "SUBSCRIBE", wake);
        follow(link, "SUBSCRIBE", reply);
        rs_feed_all(s); /* what was said meanwhile */
    }
    rs_link_flush(link);
}

void
rs_ear_down(rs_link *link)
{
    rs_say(link->s, EMESH_LOG_INFO,
           "the connection that hears of new events is away: %s; until it is "
           "back they are found by looking",
           link->why);
}

static void
hear_wake(rs_store *s, const redisReply *text)
{
    const char *bar = memchr(text->str, '|', text->len);
    size_t sender = bar != NULL ? (size_t)(bar - text->str) : 0;
    const char *key;
    size_t len;

    if (sender == 0)
        return;
    key = bar + 1;
    len = text->len - sender - 1;
    if (sender - 1 == strlen(s->me) && memcmp(text->str + 1, s->me, sender - 1) == 0)
        return; /* we know */
    if (text->str[0] == 'l') {
        g_autofree char *name = g_strndup(key, len);
        GPtrArray *readers = g_hash_table_lookup(s->by_key, name);
        for (guint i = 0; readers != NULL && i < readers->len; i++)
            ((rs_part *)readers->pdata[i])->lost_note = true;
    }
    rs_wake_key(s, key, len, text->str[0] == 't');
}

static void
hear_reply(rs_store *s, const redisReply *packed)
{
    g_autoptr(GArray) fields = g_array_new(FALSE, FALSE, sizeof(redisReply *));
    g_autofree redisReply *texts = NULL;
    const uint8_t *at = (const uint8_t *)packed->str, *end = at + packed->len;
    const emesh_event *event;
    bool foreign = false;
    uint32_t n;

    if (!rs_unpack_array(&at, end, &n) || n > 4096)
        return;
    texts = g_new0(redisReply, n);
    for (uint32_t i = 0; i < n; i++) {
        redisReply *one = &texts[i];
        const char *bytes;
        size_t len;
        if (!rs_unpack_bytes(&at, end, &bytes, &len))
            return;
        *one =
            (redisReply){ .type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)bytes, .len = len };
        g_array_append_val(fields, one);
    }
    event = rs_event_of(s->host, s->ev, (const redisReply *const *)(void *)fields->data, n, "reply",
                        "0", &foreign);
    if (event != NULL && !foreign)
        s->st->replied(s->host, &event, 1);
    s->ev->unref(&event, 1);
}

void
rs_ear_heard(rs_link *link, const redisReply *r)
{
    rs_store *s = link->s;
    const redisReply *channel = r->element[1], *text = r->element[2];
    size_t prefix = strlen(s->opt.prefix);

    if (channel->type != REDIS_REPLY_STRING || text->type != REDIS_REPLY_STRING)
        return;
    if (s->opt.mode == RS_MODE_PUBSUB)
        rs_pubsub_heard(s, channel->str, text->str, text->len);
    else if (channel->len == prefix + 4 && memcmp(channel->str + prefix, "wake", 4) == 0)
        hear_wake(s, text);
    else
        hear_reply(s, text);
}
