/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs outlive a restart: each (group, topic, URL) is a pair of the instance's state, read again when
 * a lane begins. A target's addresses are held against the guard at each connection anyway. [lane]
 */
#include "push.h"
#include <string.h>

#define PREFIX "hook:"

enum { GROUP, TOPIC, URL, FORMAT, SYNC, IDC, FIELDS };

typedef struct kept { /* of a hook whose session is not open yet */
    char *topic;
    bool sync;
    http_format format;
} kept;

void
http_kept_free(gpointer data)
{
    kept *k = data;
    g_free(k->topic);
    g_free(k);
}

static char *
key_of(const http_topic *topic)
{
    g_autofree char *text =
        g_strjoin("\n", topic->hook->name, topic->name, topic->hook->target->url, NULL);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    return g_strconcat(PREFIX, sum, NULL);
}

static void
written(void *ctx, int32_t code, const emesh_error *err)
{
    const emesh_host *host = ctx;
    g_autofree char *line = NULL;

    if (code == EMESH_OK || code == EMESH_E_CLOSED)
        return;
    line = g_strdup_printf("a webhook subscription could not be written down, a restart forgets or "
                           "repeats it: %s", http_why(err, "unknown error"));
    host->log(host, EMESH_LOG_WARNING, line, strlen(line), NULL, 0);
}

static void
write_pair(const http_topic *topic, const char *value)
{
    const http_lane *lane = topic->hook->push->lane;
    g_autofree char *key = key_of(topic);
    emesh_pair pair = { { key, strlen(key) }, { value, value != NULL ? strlen(value) : 0 } };

    lane->http->state->write(lane->loop, &pair, 1, written, (void *)(uintptr_t)lane->http->host);
}

void
http_keep(const http_topic *topic)
{
    const http_hook *hook = topic->hook;
    g_autofree char *value =
        g_strdup_printf("%s\n%s\n%s\n%d\n%d\n%s", hook->name, topic->name, hook->target->url,
                        (int)topic->format, topic->sync, hook->idc != NULL ? hook->idc : "");
    write_pair(topic, value);
}

void
http_keep_no_more(const http_topic *topic)
{
    write_pair(topic, NULL);
}

static void
bring_back(http_lane *lane, char **f)
{
    http_hook *hook;
    kept *k;

    if (g_str_hash(f[GROUP]) % MAX(1, lane->http->n_lanes) != lane->index ||
        http_url_flaw(f[URL]) != NULL)
        return;
    hook = http_push_hook(lane->push, f[GROUP], f[URL]);
    if (hook == NULL || hook->opened)
        return; /* open: whoever came first has told its topics */
    if (hook->idc == NULL && *f[IDC] != '\0')
        hook->idc = g_strdup(f[IDC]);
    k = g_new0(kept, 1);
    *k = (kept){ g_strdup(f[TOPIC]), *f[SYNC] == '1',
                 (http_format)CLAMP(*f[FORMAT] - '0', 0, HTTP_FORMAT_BATCH) };
    g_ptr_array_add(hook->kept, k);
}

static void
found(void *ctx, int32_t code, const emesh_pair *pairs, uint32_t n, uint32_t more)
{
    http_lane *lane = ctx;
    (void)more;

    if (code != EMESH_OK || lane->is_draining || lane->push == NULL)
        return;
    for (uint32_t i = 0; i < n; i++) {
        g_autofree char *value = g_strndup(pairs[i].value.ptr, pairs[i].value.len);
        g_auto(GStrv) fields = g_strsplit(value, "\n", FIELDS);
        if (g_strv_length(fields) == FIELDS)
            bring_back(lane, fields);
    }
}

void
http_kept_read(http_lane *lane)
{
    lane->http->state->read(lane->loop, PREFIX, strlen(PREFIX), found, lane);
}

void
http_kept_subscribe(http_hook *hook)
{
    g_autoptr(GPtrArray) all = g_steal_pointer(&hook->kept);

    hook->kept = g_ptr_array_new_with_free_func(http_kept_free);
    for (guint i = 0; i < all->len; i++) {
        const kept *k = all->pdata[i];
        if (http_hook_topic(hook, k->topic) == NULL)
            http_hook_subscribe(hook, k->topic, k->sync, k->format, NULL);
    }
}
