/* SPDX-License-Identifier: Apache-2.0
 *
 * group list, show, reset, delete.
 */
#include "ctl/output.h"

static const ctl_column groups[] = {
    { "group", "GROUP", CTL_TEXT },
    { "topic", "TOPIC", CTL_TEXT },
    { "store", "STORE", CTL_TEXT },
    { "mode", "MODE", CTL_TEXT },
    { "members", "MEMBERS", CTL_COUNT },
    { "lag", "LAG", CTL_COUNT },
    { "age-ms", "OLDEST", CTL_SPAN },
    { "in-flight", "IN FLIGHT", CTL_COUNT },
    { "delivered", "DELIVERED", CTL_COUNT },
    { "settled", "SETTLED", CTL_COUNT },
    { "floor", "FLOOR", CTL_TEXT },
    { NULL, NULL, CTL_TEXT },
};

static const ctl_column partitions[] = {
    { "topic", "TOPIC", CTL_TEXT },
    { "partition", "PARTITION", CTL_TEXT },
    { "floor", "FLOOR", CTL_TEXT },
    { "lag", "LAG", CTL_COUNT },
    { "age-ms", "OLDEST", CTL_SPAN },
    { NULL, NULL, CTL_TEXT },
};

static const ctl_column members[] = {
    { "topic", "TOPIC", CTL_TEXT },
    { "id", "CLIENT ID", CTL_TEXT },
    { "instance", "INSTANCE", CTL_TEXT },
    { "peer", "PEER", CTL_TEXT },
    { "mode", "MODE", CTL_TEXT },
    { "state", "STATE", CTL_STATE },
    { "open", "OPEN", CTL_COUNT },
    { "credit", "CREDIT", CTL_COUNT },
    { "window", "WINDOW", CTL_COUNT },
    { NULL, NULL, CTL_TEXT },
};

static const ctl_column resets[] = {
    { "topic", "TOPIC", CTL_TEXT },
    { "partition", "PARTITION", CTL_TEXT },
    { "floor", "WAS AT", CTL_TEXT },
    { "lag", "LAG", CTL_COUNT },
    { "repeated", "REPEATED", CTL_COUNT },
    { "skipped", "SKIPPED", CTL_COUNT },
    { "lag-after", "LAG AFTER", CTL_COUNT },
    { NULL, NULL, CTL_TEXT },
};

static const ctl_column deletions[] = {
    { "topic", "TOPIC", CTL_TEXT },
    { "store", "STORE", CTL_TEXT },
    { "skipped", "SKIPPED", CTL_COUNT },
    { NULL, NULL, CTL_TEXT },
};

int
ctl_group_list(ctl *c, char **args, int n)
{
    JsonObject *call = json_object_new();

    (void)args, (void)n;
    if (c->opt.all)
        json_object_set_string_member(call, "all", "true");
    return ctl_print_rows(c, "group.list", call, groups, "no groups");
}

int
ctl_group_show(ctl *c, char **args, int n)
{
    int code = CTL_OK;
    JsonObject *call = json_object_new();
    (void)n;
    json_object_set_string_member(call, "group", args[0]);
    g_autoptr(JsonArray) rows = ctl_rows(c, "group.show", call, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json) {
        ctl_print_json(c, rows);
        return CTL_OK;
    }
    ctl_print_table(c, rows, "topic", groups, "no topics");
    ctl_print_section(c, rows, "Partitions", "partition", partitions);
    ctl_print_section(c, rows, "Members", "member", members);
    return CTL_OK;
}

/* The table of what was, or would be, done. */
static int
print_done(ctl *c, const char *verb, JsonObject *call, const ctl_column *columns, const char *done,
           const char *name)
{
    int code = CTL_OK;
    if (c->opt.dry_run)
        json_object_set_string_member(call, "dry-run", "true");
    g_autoptr(JsonArray) rows = ctl_rows(c, verb, call, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json) {
        ctl_print_json(c, rows);
        return CTL_OK;
    }
    ctl_print_table(c, rows, NULL, columns, "nothing");
    if (c->opt.dry_run)
        fprintf(c->out, "nothing was changed; without --dry-run this would be done\n");
    else
        fprintf(c->out, "%s %s\n", done, name);
    return CTL_OK;
}

int
ctl_group_reset(ctl *c, char **args, int n)
{
    JsonObject *call;
    (void)n;
    if (c->opt.place == NULL) {
        ctl_say("group reset: where to? --to earliest, latest, a position, or a time");
        return CTL_USAGE;
    }
    call = json_object_new();
    json_object_set_string_member(call, "group", args[0]);
    json_object_set_string_member(call, "topic", args[1]);
    json_object_set_string_member(call, "to", c->opt.place);
    if (c->opt.part != NULL)
        json_object_set_string_member(call, "partition", c->opt.part);
    return print_done(c, "group.reset", call, resets, "reset group", args[0]);
}

int
ctl_group_delete(ctl *c, char **args, int n)
{
    JsonObject *call = json_object_new();
    (void)n;
    json_object_set_string_member(call, "group", args[0]);
    if (c->opt.topic != NULL)
        json_object_set_string_member(call, "topic", c->opt.topic);
    return print_done(c, "group.delete", call, deletions, "deleted group", args[0]);
}
