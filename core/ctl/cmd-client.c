/* SPDX-License-Identifier: Apache-2.0
 *
 * client list, client kick.
 */
#include "ctl/output.h"

#include <string.h>

static const ctl_column clients[] = {
    { "id", "ID", CTL_TEXT },
    { "instance", "INSTANCE", CTL_TEXT },
    { "protocol", "PROTOCOL", CTL_TEXT },
    { "peer", "PEER", CTL_TEXT },
    { "client", "CLIENT", CTL_TEXT },
    { "group", "GROUP", CTL_TEXT },
    { "principal", "PRINCIPAL", CTL_TEXT },
    { "subscriptions", "SUBS", CTL_COUNT },
    { "unacked", "UNACKED", CTL_COUNT },
    { "open", "OPEN", CTL_COUNT },
    { "published", "PUBLISHED", CTL_COUNT },
    { "delivered", "DELIVERED", CTL_COUNT },
    { "since-ms", "SINCE", CTL_AGO },
    { "labels", "LABELS", CTL_TEXT },
    { NULL, NULL, CTL_TEXT },
};

static bool
has_column(const char *field)
{
    for (const ctl_column *col = clients; col->field != NULL; col++)
        if (strcmp(col->field, field) == 0)
            return true;
    return false;
}

/* What a protocol tells beyond the columns (pid, idc, url …) becomes one column. */
static void
gather_labels(JsonObject *row)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GList) names = json_object_get_members(row);
    for (GList *link = names; link != NULL; link = link->next) {
        if (has_column(link->data))
            continue;
        g_autofree char *value = ctl_field(row, link->data);
        if (*value != '\0')
            g_string_append_printf(text, "%s%s=%s", text->len > 0 ? " " : "",
                                   (const char *)link->data, value);
    }
    json_object_set_string_member(row, "labels", text->str);
}

int
ctl_client_list(ctl *c, char **args, int n)
{
    int code = CTL_OK;
    (void)args, (void)n;
    g_autoptr(JsonArray) rows = ctl_rows(c, "client.list", NULL, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json) {
        ctl_print_json(c, rows);
        return CTL_OK;
    }
    g_autoptr(JsonArray) shown = json_array_new(); /* rows of an answer are immutable */
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i), *copy = json_object_new();
        g_autoptr(GList) names = json_object_get_members(row);
        for (GList *link = names; link != NULL; link = link->next)
            json_object_set_member(copy, link->data, json_object_dup_member(row, link->data));
        gather_labels(copy);
        json_array_add_object_element(shown, copy);
    }
    ctl_print_table(c, shown, NULL, clients, "no clients");
    return CTL_OK;
}

int
ctl_client_kick(ctl *c, char **args, int n)
{
    int code = CTL_OK;
    JsonObject *call = json_object_new();
    (void)n;
    json_object_set_string_member(call, "id", args[0]);
    if (c->opt.reason != NULL)
        json_object_set_string_member(call, "reason", c->opt.reason);
    g_autoptr(JsonArray) rows = ctl_rows(c, "client.kick", call, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json)
        ctl_print_json(c, rows);
    else
        fprintf(c->out, "asked %s to leave\n", args[0]);
    return CTL_OK;
}
