/* SPDX-License-Identifier: Apache-2.0
 *
 * topic list, create, delete.
 */
#include "ctl/output.h"

static const ctl_column topics[] = {
    { "topic", "TOPIC", CTL_TEXT },
    { "store", "STORE", CTL_TEXT },
    { "durability", "DURABILITY", CTL_TEXT },
    { "partitions", "PARTITIONS", CTL_COUNT },
    { "events", "EVENTS", CTL_COUNT },
    { "bytes", "BYTES", CTL_BYTES },
    { "published", "PUBLISHED", CTL_COUNT },
    { "retention-ms", "RETENTION", CTL_SPAN },
    { "first", "FIRST", CTL_TEXT },
    { "last", "LAST", CTL_TEXT },
    { NULL, NULL, CTL_TEXT },
};

int
ctl_topic_list(ctl *c, char **args, int n)
{
    JsonObject *call = json_object_new();

    (void)args, (void)n;
    if (c->opt.all)
        json_object_set_string_member(call, "all", "true");
    return ctl_print_rows(c, "topic.list", call, topics, "no topics");
}

/* A command without rows: says `done` when it worked. */
static int
change(ctl *c, const char *verb, JsonObject *call, const char *done, const char *name)
{
    int code = CTL_OK;
    g_autoptr(JsonArray) rows = ctl_rows(c, verb, call, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json)
        ctl_print_json(c, rows);
    else
        fprintf(c->out, "%s %s\n", done, name);
    return CTL_OK;
}

int
ctl_topic_create(ctl *c, char **args, int n)
{
    JsonObject *call = json_object_new();
    (void)n;
    json_object_set_string_member(call, "topic", args[0]);
    return change(c, "topic.create", call, "created topic", args[0]);
}

int
ctl_topic_delete(ctl *c, char **args, int n)
{
    JsonObject *call = json_object_new();
    (void)n;
    json_object_set_string_member(call, "topic", args[0]);
    return change(c, "topic.delete", call, "deleted topic", args[0]);
}
