/* SPDX-License-Identifier: Apache-2.0
 *
 * /eventmesh/topic/create, /topic/delete and the query with the misspelt path. Creating makes the
 * topic; deleting takes its name off the list that the query shows and leaves the events alone, as
 * the reference does: who may delete them uses eventmeshctl. [lane]
 */
#include "api.h"
#include "json.h"
#include "session.h"
#include <string.h>

#define NAMES_MAX 4096u

static void
answer(http_request *r, const char *text)
{
    http_answer_header(r, "requestURI", r->path);
    http_answer(r, 200, "text/plain; charset=UTF-8", g_strdup(text), strlen(text));
}

/* The names in `topic`, apart from blanks; NULL: answered. Free with g_strfreev. */
static char **
names_of(http_request *r)
{
    http_params params;
    const char *flaw = http_params_read(&params, r);
    g_autofree char *topic = flaw == NULL ? http_form_text(&params.form, "topic") : NULL;
    char **names = NULL;

    if (topic != NULL && *topic != '\0')
        names = g_strsplit(topic, ";", NAMES_MAX);
    else
        http_ret(r, 200, 7, NULL);
    http_params_clear(&params, r->lane);
    return names;
}

/* ---- create: by an event-less session that runs commands ---- */

typedef struct making {
    http_actor actor; /* first */
    http_request *request;
    emesh_session *mesh;
    char **names;
    uint32_t at;
} making;

static void
making_end(making *m, int32_t code, const char *why)
{
    m->request->lane->http->client->close(m->mesh, EMESH_LEFT_ORDERLY);
    if (!m->request->gone) {
        if (code == EMESH_OK)
            answer(m->request, "{\"retMessage\":\"success\",\"retCode\":0}");
        else
            http_retf(m->request, 100, ": %s", why);
    }
    http_request_unref(m->request);
    g_strfreev(m->names);
    g_free(m);
}

static void make_next(making *m);

static void
on_made(void *ctx, int32_t code, const emesh_error *err, const emesh_attr *row, uint32_t n_row,
        uint32_t more)
{
    making *m = ctx;
    http_instance *http = m->request->lane->http;
    (void)row, (void)n_row;

    if (more != 0)
        return;
    if (code != EMESH_OK && code != EMESH_E_EXISTS) {
        making_end(m, code, http_why(err, "the topic is refused"));
        return;
    }
    pthread_mutex_lock(&http->names_lock);
    if (g_hash_table_size(http->names) < NAMES_MAX)
        g_hash_table_add(http->names, g_strdup(m->names[m->at]));
    pthread_mutex_unlock(&http->names_lock);
    m->at++;
    make_next(m);
}

static void
make_next(making *m)
{
    emesh_attr arg = { .name = "topic", .name_len = 5 };

    while (m->names[m->at] != NULL && *m->names[m->at] == '\0')
        m->at++;
    if (m->names[m->at] == NULL) {
        making_end(m, EMESH_OK, NULL);
        return;
    }
    arg.value = m->names[m->at];
    arg.value_len = (uint32_t)strlen(m->names[m->at]);
    m->request->lane->http->client->command(m->mesh, "topic.create", &arg, 1, on_made, m);
}

static void
making_opened(http_actor *actor, int32_t code, const emesh_error *err)
{
    making *m = (making *)actor;
    if (code == EMESH_OK)
        make_next(m);
    else
        making_end(m, code, http_why(err, "the session is refused"));
}

static const http_actor_ops making_ops = { .opened = making_opened };

void
http_uri_topic_create(http_request *r, const char *rest)
{
    char **names = names_of(r);
    emesh_who who = { .size = sizeof who };
    making *m;
    (void)rest;

    if (names == NULL)
        return;
    m = g_new0(making, 1);
    *m = (making){ .actor = { &making_ops }, .request = http_request_ref(r), .names = names };
    if (r->conn != NULL)
        who.peer = who.client = (emesh_slice){ r->conn->peer, strlen(r->conn->peer) };
    http_request_wait(r);
    m->mesh = r->lane->http->client->open(r->lane->loop, &who, m);
    if (m->mesh != NULL)
        return;
    http_ret(r, 200, 100, NULL);
    http_request_unref(r);
    g_strfreev(names);
    g_free(m);
}

void
http_uri_topic_delete(http_request *r, const char *rest)
{
    http_instance *http = r->lane->http;
    g_auto(GStrv) names = names_of(r);
    bool known = true;
    (void)rest;

    if (names == NULL)
        return;
    pthread_mutex_lock(&http->names_lock);
    for (char **name = names; *name != NULL; name++) {
        if (**name != '\0')
            known = g_hash_table_remove(http->names, *name) && known;
    }
    pthread_mutex_unlock(&http->names_lock);
    if (known)
        answer(r, "{\"retMessage\":\"success\",\"retCode\":0}");
    else
        http_ret(r, 200, 100, NULL);
}

void
http_uri_query(http_request *r, const char *rest)
{
    http_instance *http = r->lane->http;
    g_autoptr(GString) out = g_string_new("{\"subsrciption\":[],\"localTopicSet\":[");
    GHashTableIter iter;
    gpointer name;
    bool first = true;
    (void)rest;

    pthread_mutex_lock(&http->names_lock);
    g_hash_table_iter_init(&iter, http->names);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        if (!first)
            g_string_append_c(out, ',');
        first = false;
        http_json_put(out, name, strlen(name));
    }
    pthread_mutex_unlock(&http->names_lock);
    g_string_append(out, "]}");
    answer(r, out->str);
}
