/* SPDX-License-Identifier: Apache-2.0
 *
 * client list, client kick, client redirect.
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

/* WHO: NAME=VALUE of `client list`, or an id. */
static JsonArray *
ask(ctl *c, const char *verb, const char *who, const char *to, int *code)
{
    JsonObject *call = json_object_new();
    json_object_set_string_member(call, strchr(who, '=') != NULL ? "where" : "id", who);
    if (to != NULL)
        json_object_set_string_member(call, "to", to);
    if (c->opt.reason != NULL)
        json_object_set_string_member(call, "reason", c->opt.reason);
    return ctl_rows(c, verb, call, code);
}

static void
print_asked(ctl *c, JsonArray *rows, const char *who, const char *what)
{
    gint64 asked = 0, unable = 0;
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        asked += json_object_get_int_member_with_default(row, "asked", 0);
        unable += json_object_get_int_member_with_default(row, "unable", 0);
    }
    if (strchr(who, '=') == NULL)
        fprintf(c->out, "asked %s %s\n", who, what);
    else
        fprintf(c->out, "asked %" G_GINT64_FORMAT " clients with %s %s\n", asked, who, what);
    if (unable > 0)
        fprintf(c->out, "%" G_GINT64_FORMAT " more stay: their protocol has no redirect\n", unable);
}

int
ctl_client_kick(ctl *c, char **args, int n)
{
    int code = CTL_OK;
    (void)n;
    g_autoptr(JsonArray) rows = ask(c, "client.kick", args[0], NULL, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json)
        ctl_print_json(c, rows);
    else
        print_asked(c, rows, args[0], "to leave");
    return CTL_OK;
}

int
ctl_client_redirect(ctl *c, char **args, int n)
{
    int code = CTL_OK;
    (void)n;
    g_autofree char *what = g_strdup_printf("to go to %s", args[1]);
    g_autoptr(JsonArray) rows = ask(c, "client.redirect", args[0], args[1], &code);
    if (rows == NULL)
        return code;
    if (c->opt.json)
        ctl_print_json(c, rows);
    else
        print_asked(c, rows, args[0], what);
    return CTL_OK;
}
