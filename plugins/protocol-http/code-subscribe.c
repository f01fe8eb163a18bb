/* SPDX-License-Identifier: Apache-2.0
 *
 * Codes and paths that subscribe, unsubscribe and say that a client is there. [lane]
 */
#include "api.h"
#include "code.h"
#include "json.h"
#include "push.h"
#include <string.h>

/* The header check of both APIs. false: answered. */
static bool
check_who(http_request *r, char **idc)
{
    http_attrs who;
    const char *flaw;

    http_attrs_init(&who);
    http_who_attrs(r, &who, r->face == HTTP_FACE_URI);
    flaw = http_who_flaw(&who);
    if (flaw != NULL)
        http_retf(r, 6, ": header %s", flaw);
    else
        *idc = g_strdup(http_request_header(r, "idc"));
    http_attrs_clear(&who);
    return flaw == NULL;
}

static bool
is_blank(const char *text)
{
    return text == NULL || strspn(text, " \t") == strlen(text);
}

/* ---- JSON lists ---- */

typedef struct wanted {
    char *topic, *url, *mode, *type;
} wanted;

static void
wanted_clear(gpointer data)
{
    wanted *w = data;
    g_free(w->topic);
    g_free(w->url);
    g_free(w->mode);
    g_free(w->type);
}

static bool
choice_ok(const char *text, const char *one, const char *two)
{
    return text == NULL || strcmp(text, one) == 0 || strcmp(text, two) == 0 ||
           strcmp(text, "UNRECOGNIZED") == 0;
}

/* An object with topic and more; NULL: fine. */
static const char *
read_object(http_json *j, wanted *w)
{
    http_value key, value;
    bool first = true;

    if (!http_json_open(j, '{'))
        return j->flaw;
    for (; http_json_key(j, first, &key); first = false) {
        char **to;
        if (!http_json_value(j, &value))
            return j->flaw;
        to = http_json_is(&key, "topic")  ? &w->topic
             : http_json_is(&key, "url")  ? &w->url
             : http_json_is(&key, "mode") ? &w->mode
             : http_json_is(&key, "type") ? &w->type
                                          : NULL;
        if (to == NULL || value.type == HTTP_JSON_NULL)
            continue;
        g_free(*to);
        *to = http_json_text(&value);
        if (*to == NULL)
            return "a member that is a text is another thing";
    }
    if (j->flaw != NULL)
        return j->flaw;
    if (!choice_ok(w->mode, "CLUSTERING", "BROADCASTING"))
        return "mode is neither CLUSTERING nor BROADCASTING";
    return choice_ok(w->type, "ASYNC", "SYNC") ? NULL : "type is neither ASYNC nor SYNC";
}

/* An array of objects, or of texts that are topics. NULL: fine, else the flaw. */
static const char *
read_list(const char *text, GArray *out)
{
    http_json j;
    const char *flaw = NULL;
    bool first = true;

    http_json_begin(&j, text, strlen(text));
    if (!http_json_open(&j, '['))
        return j.flaw;
    for (; flaw == NULL && http_json_item(&j, first); first = false) {
        wanted w = { NULL };
        const char *at = j.at;
        http_value value;
        if (!http_json_value(&j, &value))
            break;
        if (value.type == HTTP_JSON_STRING) {
            w.topic = http_json_text(&value);
        } else {
            j.at = at;
            flaw = read_object(&j, &w);
        }
        g_array_append_val(out, w);
        if (out->len > 4096)
            flaw = "it has too many elements";
    }
    if (flaw != NULL)
        return flaw;
    return http_json_end(&j) ? NULL : j.flaw;
}

/* ---- what is asked for ---- */

typedef struct asked {
    char *group, *url, *list, *idc, *format;
    GArray *items; /* wanted */
} asked;

static void
asked_clear(asked *a)
{
    g_free(a->group);
    g_free(a->url);
    g_free(a->list);
    g_free(a->idc);
    g_free(a->format);
    g_array_unref(a->items);
}

/* false: answered. */
static bool
ask_read(http_request *r, http_params *p, const char *list, asked *a)
{
    const char *flaw;

    *a = (asked){ .items = g_array_new(FALSE, FALSE, sizeof(wanted)) };
    g_array_set_clear_func(a->items, wanted_clear);
    if (!check_who(r, &a->idc))
        return false;
    a->group = http_form_text(&p->form, "consumerGroup");
    a->url = http_form_text(&p->form, "url");
    a->list = http_form_text(&p->form, list);
    a->format = http_form_text(&p->form, "format");
    if (is_blank(a->group) || is_blank(a->list)) {
        http_retf(r, 7, ": %s is missing", is_blank(a->group) ? "consumerGroup" : list);
        return false;
    }
    flaw = read_list(a->list, a->items);
    if (flaw != NULL) {
        g_autofree char *text = g_strdup_printf("%s: %s", list, flaw);
        http_code_broken(r, text);
        return false;
    }
    if (a->items->len == 0) {
        http_retf(r, 7, ": %s is empty", list);
        return false;
    }
    return true;
}

static bool
url_ok(http_request *r, const char *url)
{
    const char *flaw = is_blank(url) ? "url is missing" : http_url_flaw(url);
    if (flaw == NULL)
        return true;
    if (is_blank(url))
        http_retf(r, 7, ": url is missing");
    else
        http_retf(r, 7, " invalid URL: %s (%s)", url, flaw);
    return false;
}

static void
start(http_request *r, asked *a, http_want want)
{
    http_order *o = http_order_new(r, want, a->group);
    const char *name = is_blank(a->format) ? "" : a->format;
    http_format format;
    bool known = http_format_read(&format, name, strlen(name));

    for (guint i = 0; i < a->items->len; i++) {
        const wanted *w = &g_array_index(a->items, wanted, i);
        const char *url = w->url != NULL ? w->url : a->url;
        bool named = !is_blank(w->topic) && !is_blank(url);
        if (want == HTTP_WANT_HEARTBEAT && (!named || http_url_flaw(url) != NULL))
            continue; /* skipped silently, as the reference does */
        if (!named || !known) {
            http_retf(r, 7,
                      !known ? ": format is none of eventmesh, binary, structured, batch"
                             : ": a topic is missing");
            http_order_free(o);
            return;
        }
        http_order_add(o, w->topic, url, g_strcmp0(w->mode, "BROADCASTING") == 0,
                       g_strcmp0(w->type, "SYNC") == 0);
    }
    http_order_set(o, a->idc, format);
    r->frame = r->face == HTTP_FACE_URI; /* a success has no frame */
    http_order_start(o);
}

static void
subscribe(http_request *r, http_params *p, http_want want)
{
    asked a;

    if (ask_read(r, p, "topic", &a) && url_ok(r, a.url))
        start(r, &a, want);
    asked_clear(&a);
}

/* ---- codes ---- */

void
http_code_subscribe(http_request *r, http_params *p)
{
    subscribe(r, p, HTTP_WANT_SUBSCRIBE);
}

void
http_code_unsubscribe(http_request *r, http_params *p)
{
    subscribe(r, p, HTTP_WANT_UNSUBSCRIBE);
}

void
http_code_heartbeat(http_request *r, http_params *p)
{
    g_autofree char *kind = http_form_text(&p->form, "clientType");
    asked a;

    if (ask_read(r, p, "heartbeatEntities", &a)) {
        if (is_blank(kind))
            http_retf(r, 7, ": clientType is missing");
        else
            start(r, &a, HTTP_WANT_HEARTBEAT);
    }
    asked_clear(&a);
}

/* ---- paths ---- */

static void
by_path(http_request *r, http_want want)
{
    http_params params;
    const char *flaw = http_params_read(&params, r);

    if (flaw != NULL)
        http_code_broken(r, flaw);
    else
        subscribe(r, &params, want);
    http_params_clear(&params, r->lane);
}

void
http_uri_subscribe(http_request *r, const char *rest)
{
    (void)rest;
    by_path(r, HTTP_WANT_SUBSCRIBE);
}

void
http_uri_unsubscribe(http_request *r, const char *rest)
{
    (void)rest;
    by_path(r, HTTP_WANT_UNSUBSCRIBE);
}
