/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions as the reference's admin server shows, rejects and redirects them. [lane]
 */
#include "admin/compat.h"

#include <stdlib.h>
#include <string.h>

/* What an answer of several commands knows so far. */
typedef struct plan {
    char *protocol;        /* of the sessions that are meant */
    char *key, *value;     /* whose label has this value; NULL: all */
    bool part;             /* … or contains it */
    char *to;              /* ADDRESS:PORT of a redirect; NULL: they are closed */
    char *name, *what;     /* "rejectAllClient", and "{…}" of the parameters */
    char *topic;
    GPtrArray *ids, *addresses; /* of those that are meant */
    GPtrArray *groups;     /* to look into, of a topic */
    GHashTable *listeners; /* id → group, of a topic */
    guint n, at;           /* all sessions of the protocol; the next to do */
    bool silent;           /* answer 200 without a body */
} plan;

static void
plan_free(void *data)
{
    plan *p = data;
    g_free(p->protocol);
    g_free(p->key);
    g_free(p->value);
    g_free(p->to);
    g_free(p->name);
    g_free(p->what);
    g_free(p->topic);
    g_ptr_array_unref(p->ids);
    g_ptr_array_unref(p->addresses);
    g_ptr_array_unref(p->groups);
    g_hash_table_unref(p->listeners);
    g_free(p);
}

static plan *
plan_new(emesh_admin_request *request, const char *protocol)
{
    plan *p = g_new0(plan, 1);
    p->protocol = g_strdup(protocol);
    p->ids = g_ptr_array_new_with_free_func(g_free);
    p->addresses = g_ptr_array_new_with_free_func(g_free);
    p->groups = g_ptr_array_new_with_free_func(g_free);
    p->listeners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    request->plan = p;
    request->forget = plan_free;
    return p;
}

/* "ip:port" taken apart; "" and "0" where there is none. */
static char *
host_of(const char *peer, const char **port)
{
    const char *colon = strrchr(peer, ':');
    *port = colon != NULL ? colon + 1 : "0";
    if (colon == NULL)
        return g_strdup(peer);
    if (peer[0] == '[' && colon > peer + 1)
        return g_strndup(peer + 1, (gsize)(colon - peer - 2));
    return g_strndup(peer, (gsize)(colon - peer));
}

static bool
of_protocol(JsonObject *row, const char *protocol)
{
    return strcmp(emesh_row_member(row, "protocol"), protocol) == 0;
}

/* ---- show ---- */

static void
shown(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    g_autoptr(GHashTable) systems = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    if (code != EMESH_OK) {
        emesh_compat_failed(request, code, err);
        return;
    }
    for (guint i = 0; i < json_array_get_length(request->rows); i++) {
        JsonObject *row = json_array_get_object_element(request->rows, i);
        const char *system = emesh_row_member(row, "subsystem");
        guint n = GPOINTER_TO_UINT(g_hash_table_lookup(systems, system));
        if (of_protocol(row, "tcp"))
            g_hash_table_insert(systems, g_strdup(system), GUINT_TO_POINTER(n + 1));
    }
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(systems), (GCompareFunc)strcmp);
    for (GList *l = names; l != NULL; l = l->next)
        g_string_append_printf(text, "System=%s | ClientNum=%u\n", (const char *)l->data,
                               GPOINTER_TO_UINT(g_hash_table_lookup(systems, l->data)));
    emesh_compat_text(request, g_strdup(text->str));
}

void
emesh_compat_show(emesh_admin_request *request)
{
    emesh_compat_run(request, shown, "client.list", NULL);
}

static void
append_client(GString *text, JsonObject *row, const char *last)
{
    const char *port;
    g_autofree char *host = host_of(emesh_row_member(row, "peer"), &port);
    g_string_append_printf(text, "pid=%s | ip=%s | port=%s | path=%s | %s=%s\n",
                           emesh_row_member(row, "pid"), host, port, emesh_row_member(row, "path"),
                           last, emesh_row_member(row, last));
}

static void
shown_system(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    const plan *p = request->plan;
    g_autoptr(GString) text = g_string_new(NULL);
    if (code != EMESH_OK) {
        emesh_compat_failed(request, code, err);
        return;
    }
    for (guint i = 0; i < json_array_get_length(request->rows); i++) {
        JsonObject *row = json_array_get_object_element(request->rows, i);
        if (of_protocol(row, "tcp") && strcmp(emesh_row_member(row, "subsystem"), p->value) == 0)
            append_client(text, row, "purpose");
    }
    emesh_compat_text(request, g_strdup(text->str));
}

/* A parameter that has to be there; false: answered. */
static bool
param(emesh_admin_request *request, const char *name, const char **value)
{
    *value = emesh_compat_field(request, name);
    if (*value != NULL && **value != '\0')
        return true;
    emesh_compat_text(request, g_strdup("params illegal!"));
    return false;
}

void
emesh_compat_show_system(emesh_admin_request *request)
{
    const char *system;
    if (!param(request, "subsystem", &system))
        return;
    plan_new(request, "tcp")->value = g_strdup(system);
    emesh_compat_run(request, shown_system, "client.list", NULL);
}

static void
shown_topic(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    const plan *p = request->plan;
    g_autoptr(GString) text = g_string_new(NULL);
    if (code != EMESH_OK) {
        emesh_compat_failed(request, code, err);
        return;
    }
    for (guint g = 0; g < p->groups->len; g++) {
        bool told = false;
        for (guint i = 0; i < json_array_get_length(request->rows); i++) {
            JsonObject *row = json_array_get_object_element(request->rows, i);
            const char *group = g_hash_table_lookup(p->listeners, emesh_row_member(row, "id"));
            if (!of_protocol(row, "tcp") || g_strcmp0(group, p->groups->pdata[g]) != 0)
                continue;
            if (!told)
                g_string_append_printf(text, "group:%s\n", group);
            told = true;
            append_client(text, row, "version");
        }
    }
    emesh_compat_text(request, g_strdup(text->str));
}

/* One group after the other: which members has it on the topic? A group that went meanwhile has
 * none. */
static void
look_into_group(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    plan *p = request->plan;
    guint n = code == EMESH_OK ? json_array_get_length(request->rows) : 0;
    (void)err;
    for (guint i = 0; i < n; i++) {
        JsonObject *row = json_array_get_object_element(request->rows, i);
        if (strcmp(emesh_row_member(row, "kind"), "member") == 0 &&
            strcmp(emesh_row_member(row, "topic"), p->topic) == 0)
            g_hash_table_insert(p->listeners, g_strdup(emesh_row_member(row, "id")),
                                g_strdup(p->groups->pdata[p->at]));
    }
    p->at++;
    if (p->at < p->groups->len)
        emesh_compat_run(request, look_into_group, "group.show", "group", p->groups->pdata[p->at],
                         NULL);
    else
        emesh_compat_run(request, shown_topic, "client.list", NULL);
}

static void
groups_listed(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    plan *p = request->plan;
    if (code != EMESH_OK) {
        emesh_compat_failed(request, code, err);
        return;
    }
    for (guint i = 0; i < json_array_get_length(request->rows); i++) {
        JsonObject *row = json_array_get_object_element(request->rows, i);
        if (strcmp(emesh_row_member(row, "topic"), p->topic) == 0 &&
            emesh_row_count(row, "members") > 0)
            g_ptr_array_add(p->groups, g_strdup(emesh_row_member(row, "group")));
    }
    if (p->groups->len == 0)
        emesh_compat_text(request, g_strdup(""));
    else
        emesh_compat_run(request, look_into_group, "group.show", "group", p->groups->pdata[0],
                         NULL);
}

void
emesh_compat_show_topic(emesh_admin_request *request)
{
    const char *topic;
    if (!param(request, "topic", &topic))
        return;
    plan_new(request, "tcp")->topic = g_strdup(topic);
    emesh_compat_run(request, groups_listed, "group.list", NULL);
}

/* ---- reject and redirect ---- */

static void
asked_all(emesh_admin_request *request, const plan *p)
{
    g_autoptr(GString) list = g_string_new(NULL);
    if (p->silent) {
        emesh_compat_empty(request);
        return;
    }
    for (guint i = 0; i < p->addresses->len; i++)
        g_string_append_printf(list, p->to != NULL ? "|%s" : "%s|",
                               (const char *)p->addresses->pdata[i]);
    bool by_port = p->key != NULL && strcmp(p->key, "peer") == 0;
    g_autoptr(GString) text = g_string_new(p->name);
    g_string_append(text, " success! ");
    if (!by_port || p->to != NULL)
        g_string_append_printf(text, "sessionMap size {%u}, ", p->n);
    if (p->to != NULL)
        g_string_append_printf(text, "{%s}, result {%s} ", p->what, list->str);
    else
        g_string_append_printf(text, "%s%s%shad reject {%s}", by_port ? "{" : "",
                               by_port ? p->what : "", by_port ? "}, " : "",
                               list->len > 0 ? list->str : "no session had been closed");
    if (p->to == NULL && !by_port && p->what != NULL)
        g_string_append_printf(text, " , {%s}", p->what);
    emesh_compat_text(request, g_strdup(text->str));
}

/* The next session is asked; one that left meanwhile is none. */
static void
ask_next(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    plan *p = request->plan;
    (void)code, (void)err;
    if (p->at == p->ids->len) {
        asked_all(request, p);
        return;
    }
    const char *id = p->ids->pdata[p->at++];
    if (p->to != NULL)
        emesh_compat_run(request, ask_next, "client.redirect", "id", id, "to", p->to, NULL);
    else
        emesh_compat_run(request, ask_next, "client.kick", "id", id, NULL);
}

static bool
meant(const plan *p, JsonObject *row)
{
    if (p->key == NULL)
        return true;
    const char *value = emesh_row_member(row, p->key);
    return p->part ? strstr(value, p->value) != NULL : strcmp(value, p->value) == 0;
}

static void
choose(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    plan *p = request->plan;
    if (code != EMESH_OK && !p->silent) {
        emesh_compat_text(request, g_strdup_printf("%s fail! sessionMap size {0}, had reject {no "
                                                   "session had been closed} , errorMsg : %s",
                                                   p->name, err != NULL ? err->text : ""));
        return;
    }
    for (guint i = 0; code == EMESH_OK && i < json_array_get_length(request->rows); i++) {
        JsonObject *row = json_array_get_object_element(request->rows, i);
        if (!of_protocol(row, p->protocol))
            continue;
        p->n++;
        if (!meant(p, row))
            continue;
        g_ptr_array_add(p->ids, g_strdup(emesh_row_member(row, "id")));
        g_ptr_array_add(p->addresses, g_strdup(emesh_row_member(row, "peer")));
    }
    ask_next(request, EMESH_OK, NULL);
}

static plan *
ask_plan(emesh_admin_request *request, const char *name, const char *key, char *value, char *what)
{
    plan *p = plan_new(request, "tcp");
    p->name = g_strdup(name);
    p->key = g_strdup(key);
    p->value = value;
    p->what = what;
    return p;
}

void
emesh_compat_reject_all(emesh_admin_request *request)
{
    ask_plan(request, "rejectAllClient", NULL, NULL, NULL);
    emesh_compat_run(request, choose, "client.list", NULL);
}

/* "ip:port" as client.list shows it. Given. */
static char *
peer_text(const char *ip, const char *port)
{
    return g_strdup_printf(strchr(ip, ':') != NULL ? "[%s]:%s" : "%s:%s", ip, port);
}

void
emesh_compat_reject_port(emesh_admin_request *request)
{
    const char *ip, *port;
    if (!param(request, "ip", &ip) || !param(request, "port", &port))
        return;
    ask_plan(request, "rejectClientByIpPort", "peer", peer_text(ip, port),
             g_strdup_printf("ip=%s port=%s", ip, port));
    emesh_compat_run(request, choose, "client.list", NULL);
}

void
emesh_compat_reject_system(emesh_admin_request *request)
{
    const char *system;
    if (!param(request, "subsystem", &system))
        return;
    ask_plan(request, "rejectClientBySubSystem", "subsystem", g_strdup(system),
             g_strdup_printf("subSystemId=%s", system));
    emesh_compat_run(request, choose, "client.list", NULL);
}

/* Where a redirect leads; false: answered. */
static bool
target(emesh_admin_request *request, const char **ip, const char **port)
{
    if (!param(request, "desteventmeshIp", ip) || !param(request, "desteventmeshport", port))
        return false;
    if ((*port)[strspn(*port, "0123456789")] == '\0')
        return true;
    emesh_compat_text(request, g_strdup("params illegal!"));
    return false;
}

static void
redirect(emesh_admin_request *request, plan *p, const char *ip, const char *port)
{
    p->to = peer_text(ip, port);
    g_autofree char *what = p->what;
    p->what = g_strdup_printf("%s destEventMeshIp=%s destEventMeshPort=%s", what, ip, port);
    emesh_compat_run(request, choose, "client.list", NULL);
}

void
emesh_compat_redirect_system(emesh_admin_request *request)
{
    const char *system, *ip, *port;
    if (!param(request, "subsystem", &system) || !target(request, &ip, &port))
        return;
    if (system[strspn(system, "0123456789")] != '\0') {
        emesh_compat_text(request, g_strdup("params illegal!"));
        return;
    }
    redirect(request,
             ask_plan(request, "redirectClientBySubSystem", "subsystem", g_strdup(system),
                      g_strdup_printf("subSystem=%s", system)),
             ip, port);
}

void
emesh_compat_redirect_path(emesh_admin_request *request)
{
    const char *path, *ip, *port;
    if (!param(request, "path", &path) || !target(request, &ip, &port))
        return;
    plan *p = ask_plan(request, "redirectClientByPath", "path", g_strdup(path),
                       g_strdup_printf("path=%s", path));
    p->part = true;
    redirect(request, p, ip, port);
}

void
emesh_compat_redirect_port(emesh_admin_request *request)
{
    const char *from, *from_port, *ip, *port;
    if (!param(request, "ip", &from) || !param(request, "port", &from_port) ||
        !target(request, &ip, &port))
        return;
    redirect(request,
             ask_plan(request, "redirectClientByIpPort", "peer", peer_text(from, from_port),
                      g_strdup_printf("ip=%s port=%s", from, from_port)),
             ip, port);
}

/* ---- /client/… ---- */

static void
add_client(JsonBuilder *b, JsonObject *row, const char *protocol)
{
    bool tcp = strcmp(protocol, "TCP") == 0;
    const char *port;
    g_autofree char *host = host_of(emesh_row_member(row, "peer"), &port);
    const char *const texts[][2] = {
        { "env", emesh_row_member(row, "env") },
        { "subsystem", emesh_row_member(row, "subsystem") },
        { "url", emesh_row_member(row, "url") },
        { "pid", tcp ? emesh_row_member(row, "pid") : "0" },
        { "host", tcp ? host : "" },
        { "version", emesh_row_member(row, "version") },
        { "idc", emesh_row_member(row, "idc") },
        { "group", emesh_row_member(row, "group") },
        { "purpose", tcp ? emesh_row_member(row, "purpose") : "" },
        { "protocol", protocol },
    };
    json_builder_begin_object(b);
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        json_builder_set_member_name(b, texts[i][0]);
        json_builder_add_string_value(b, texts[i][1]);
        if (i != 4)
            continue;
        json_builder_set_member_name(b, "port");
        json_builder_add_int_value(b, tcp ? strtol(port, NULL, 10) : 0);
    }
    json_builder_end_object(b);
}

static void
listed(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    const plan *p = request->plan;
    const char *shown_as = strcmp(p->protocol, "tcp") == 0    ? "TCP"
                           : strcmp(p->protocol, "http") == 0 ? "HTTP"
                                                              : "gRPC";
    g_autoptr(JsonBuilder) b = json_builder_new();
    if (code != EMESH_OK) {
        emesh_compat_failed(request, code, err);
        return;
    }
    json_builder_begin_array(b);
    for (guint i = 0; i < json_array_get_length(request->rows); i++) {
        JsonObject *row = json_array_get_object_element(request->rows, i);
        bool subscribes = shown_as[0] == 'T' || emesh_row_member(row, "url")[0] != '\0' ||
                          emesh_row_count(row, "subscriptions") > 0;
        if (of_protocol(row, p->protocol) && subscribes)
            add_client(b, row, shown_as);
    }
    json_builder_end_array(b);
    emesh_compat_json(request, json_builder_get_root(b));
}

static void
list_of(emesh_admin_request *request, const char *protocol)
{
    plan_new(request, protocol);
    emesh_compat_run(request, listed, "client.list", NULL);
}

void
emesh_compat_tcp(emesh_admin_request *request)
{
    list_of(request, "tcp");
}

void
emesh_compat_http(emesh_admin_request *request)
{
    list_of(request, "http");
}

void
emesh_compat_grpc(emesh_admin_request *request)
{
    list_of(request, "grpc");
}

static void
delete_of(emesh_admin_request *request, const char *protocol, const char *key, char *value)
{
    plan *p = plan_new(request, protocol);
    p->key = g_strdup(key);
    p->value = value;
    p->silent = true;
    emesh_compat_run(request, choose, "client.list", NULL);
}

void
emesh_compat_tcp_delete(emesh_admin_request *request)
{
    const char *host = emesh_compat_field(request, "host");
    const char *port = emesh_compat_field(request, "port");
    if (host == NULL || port == NULL)
        emesh_compat_error(request, 400, "the body has to name host and port");
    else
        delete_of(request, "tcp", "peer", peer_text(host, port));
}

static void
delete_url(emesh_admin_request *request, const char *protocol)
{
    const char *url = emesh_compat_field(request, "url");
    if (url == NULL)
        emesh_compat_error(request, 400, "the body has to name the url");
    else
        delete_of(request, protocol, "url", g_strdup(url));
}

void
emesh_compat_http_delete(emesh_admin_request *request)
{
    delete_url(request, "http");
}

void
emesh_compat_grpc_delete(emesh_admin_request *request)
{
    delete_url(request, "grpc");
}
