/* SPDX-License-Identifier: Apache-2.0
 *
 * topic browse: what lies in a topic, without being a member of it. [main]
 */
#include "admin/command.h"
#include "bus/gather.h"
#include "daemon/daemon.h"
#include "delivery/commands.h"
#include "delivery/viewer.h"
#include "event/event.h"

#include <string.h>

#define LIMIT 20u
#define LIMIT_MOST 10000u
#define LOOK_MOST 100000u /* records, while conditions are not met */

bool
emesh_command_limit(const emesh_attr *args, uint32_t n, uint64_t *limit,
                    emesh_command_reply *reply)
{
    g_autofree char *text = emesh_command_text(args, n, "limit");

    *limit = LIMIT;
    if (text == NULL || g_ascii_string_to_unsigned(text, 10, 1, LIMIT_MOST, limit, NULL))
        return true;
    emesh_command_refuse(reply, "limit", "limit is a number from 1 to %u", LIMIT_MOST);
    return false;
}

emesh_where *
emesh_command_where(const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    g_autofree char *text = emesh_command_text(args, n, "where");
    g_autofree char *why = NULL;
    emesh_where *where = emesh_where_new(text, &why);

    if (where == NULL)
        emesh_command_refuse(reply, "where", "%s", why);
    return where;
}

void
emesh_row_event(emesh_row_builder *row, const emesh_browsed *item, bool data)
{
    static const char *const own[] = { "id", "source", "type", "subject" };
    const emesh_event_view *view = emesh_event_peek(item->event);
    g_autofree char *position = emesh_position_text(item->position);
    g_autoptr(GString) rest = g_string_new(NULL);
    emesh_part json = { NULL, 0, NULL };

    emesh_row_text(row, "partition", item->partition, -1);
    emesh_row_text(row, "position", position, -1);
    emesh_row_number(row, "stored-ms", item->stored_ms);
    emesh_row_number(row, "size", emesh_event_size(item->event));
    for (uint32_t i = 0; i < G_N_ELEMENTS(own); i++) {
        const emesh_attr *attr = emesh_event_attr(item->event, own[i], strlen(own[i]));
        if (attr != NULL)
            emesh_row_text(row, own[i], attr->value, attr->value_len);
    }
    for (uint32_t i = 0; i < view->n_attrs; i++) {
        const emesh_attr *attr = &view->attrs[i];
        bool known = false;
        for (uint32_t k = 0; k < G_N_ELEMENTS(own) && !known; k++)
            known = attr->name_len == strlen(own[k]) &&
                    memcmp(attr->name, own[k], attr->name_len) == 0;
        if (known)
            continue;
        g_string_append_printf(rest, "%s%.*s=", rest->len > 0 ? " " : "", (int)attr->name_len,
                               attr->name);
        g_string_append_len(rest, attr->value, attr->value_len);
    }
    emesh_row_text(row, "attributes", rest->str, (gssize)rest->len);
    if (data && emesh_event_to_json(&item->event, 1, false, &json) == EMESH_OK) {
        emesh_row_text(row, "event", json.ptr, (gssize)json.len);
        emesh_buf_unref(json.owner);
    }
}

typedef struct browse {
    emesh_command_reply *reply;
    char *topic;
    bool data;
} browse;

static bool
show(void *ctx, const emesh_browsed *item)
{
    browse *b = ctx;
    emesh_row_builder *row = emesh_row_new();

    emesh_row_text(row, "kind", "event", -1);
    emesh_row_event(row, item, b->data);
    emesh_row_send(row, b->reply);
    return true;
}

static void
end(void *ctx, int32_t code, const char *why, bool more, uint64_t looked)
{
    browse *b = ctx;

    if (code != EMESH_OK)
        emesh_command_fail(b->reply, code, "topic \"%s\": %s", b->topic,
                           why != NULL ? why : "it could not be read");
    else
        emesh_row_end(b->reply, more, looked);
    g_free(b->topic);
    g_free(b);
}

void
emesh_row_end(emesh_command_reply *reply, bool more, uint64_t looked)
{
    emesh_row_builder *row = emesh_row_new();

    emesh_row_text(row, "kind", "end", -1);
    emesh_row_flag(row, "more", more);
    emesh_row_number(row, "looked-at", looked);
    emesh_row_send(row, reply);
    reply->end(reply, EMESH_OK, NULL);
}

static void
topic_browse(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    g_autofree char *from = emesh_command_text(args, n, "from");
    g_autofree char *partition = emesh_command_text(args, n, "partition");
    g_autofree char *topic = emesh_command_text(args, n, "topic");
    emesh_view_spec spec = { .topic = topic, .partition = partition, .most = LOOK_MOST,
                             .show = show, .end = end };
    browse *b;

    if (!emesh_place_read(from != NULL ? from : "earliest", &spec.start)) {
        emesh_command_fail(reply, EMESH_E_INVALID, "\"%.60s\" is no place; there are "
                           EMESH_WHERE_PLACES, from);
        return;
    }
    if (!emesh_command_limit(args, n, &spec.limit, reply))
        return;
    spec.where = emesh_command_where(args, n, reply);
    if (spec.where == NULL)
        return;
    b = spec.ctx = g_new0(browse, 1);
    b->reply = reply;
    b->topic = g_strdup(topic);
    b->data = emesh_command_says(args, n, "data");
    emesh_view(emesh_daemon_bus(daemon), &spec);
}

const emesh_command emesh_browse_commands[] = {
    { "topic.browse", "topic from? limit? where? partition? data?",
      "events of a topic, without being a member", false, topic_browse },
    { NULL, NULL, NULL, false, NULL },
};
