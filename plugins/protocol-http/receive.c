/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /webhook/…: what GitHub or anybody else sends becomes a CloudEvent, its data the body as it
 * came. A signature is checked over the very bytes. [lane], but for the reading of options.
 */
#include "receive.h"
#include "api.h"
#include "cloudevents.h"
#include "json.h"
#include "make.h"
#include <string.h>

/* ---- options: [any] ---- */

void
http_receiver_free(gpointer data)
{
    http_receiver *x = data;
    g_free(x->name);
    g_free(x->path);
    g_free(x->topic);
    g_free(x->source);
    g_free(x->type);
    g_free(x->kind);
    g_free(x->secret);
    g_free(x);
}

static http_receiver *
receiver_of(GPtrArray *all, const char *name, size_t len)
{
    for (guint i = 0; i < all->len; i++) {
        http_receiver *x = all->pdata[i];
        if (strlen(x->name) == len && memcmp(x->name, name, len) == 0)
            return x;
    }
    http_receiver *made = g_new0(http_receiver, 1);
    made->name = g_strndup(name, len);
    g_ptr_array_add(all, made);
    return made;
}

static int32_t
keep_secret(void *ctx, const char *secret, size_t len)
{
    char **to = ctx;
    g_free(*to);
    *to = g_strndup(secret, len);
    return EMESH_OK;
}

static bool
refuse(emesh_error *err, const char *name, const char *key, const char *why)
{
    err->code = EMESH_E_CONFIG;
    g_snprintf(err->option, sizeof err->option, "webhook.%s%s%s", name, *key != '\0' ? "." : "",
               key);
    g_strlcpy(err->text, why, sizeof err->text);
    return false;
}

static char **
member_of(http_receiver *x, const char *key)
{
    if (strcmp(key, "path") == 0)
        return &x->path;
    if (strcmp(key, "topic") == 0)
        return &x->topic;
    if (strcmp(key, "source") == 0)
        return &x->source;
    if (strcmp(key, "type") == 0)
        return &x->type;
    if (strcmp(key, "kind") == 0)
        return &x->kind;
    return strcmp(key, "secret") == 0 ? &x->secret : NULL;
}

static bool
check(const http_receiver *x, emesh_error *err)
{
    bool github = g_strcmp0(x->kind, "github") == 0;

    if (x->path == NULL || !g_str_has_prefix(x->path, "/webhook/"))
        return refuse(err, x->name, "path", "is missing, or does not begin with /webhook/");
    if (x->topic == NULL)
        return refuse(err, x->name, "topic", "is missing: where its events go");
    if (x->kind != NULL && !github && strcmp(x->kind, "generic") != 0)
        return refuse(err, x->name, "kind", "is neither github nor generic");
    if (github && x->secret == NULL)
        return refuse(err, x->name, "secret", "is missing: GitHub signs with it");
    return true;
}

bool
http_receivers_read(GPtrArray *all, const emesh_config_api *config, const emesh_config *cfg,
                    emesh_error *err)
{
    emesh_value v = { .size = sizeof v };
    emesh_slice key;
    uint64_t cursor = 0;

    while (config->next(cfg, "webhook.*", &cursor, &key, &v) == EMESH_OK) {
        g_autofree char *whole = g_strndup(key.ptr, key.len);
        char *dot = strrchr(whole, '.');
        if (dot == NULL || dot == whole)
            return refuse(err, whole, "", "write webhook.NAME.path, .topic, .kind, .secret, …");
        *dot = '\0';
        char **to = member_of(receiver_of(all, whole, strlen(whole)), dot + 1);
        if (to == NULL)
            return refuse(err, whole, dot + 1,
                          "is unknown; there are path, topic, source, type, kind and secret");
        if (strcmp(dot + 1, "secret") == 0) {
            g_autofree char *option = g_strdup_printf("webhook.%s.secret", whole);
            config->secret(cfg, option, keep_secret, to);
        } else {
            g_free(*to);
            *to = g_strndup(v.text.ptr, v.text.len);
        }
    }
    for (guint i = 0; i < all->len; i++) {
        if (!check(all->pdata[i], err))
            return false;
    }
    return true;
}

bool
http_signature_ok(const char *header, const char *secret, const void *body, size_t len)
{
    g_autofree char *sum = g_compute_hmac_for_data(G_CHECKSUM_SHA256, (const guchar *)secret,
                                                   strlen(secret), body, len);
    g_autofree char *want = g_strconcat("sha256=", sum, NULL);
    unsigned char differ = 0;

    if (header == NULL || strlen(header) != strlen(want))
        return false;
    for (size_t i = 0; want[i] != '\0'; i++) /* as long for each wrong one */
        differ |= (unsigned char)(header[i] ^ want[i]);
    return differ == 0;
}

/* ---- requests ---- */

static void
published(http_publish *p)
{
    if (p->code == EMESH_OK)
        http_answer(p->request, 200, "text/plain", g_strdup(""), 0);
    else
        http_refuse(p->request, emesh_http_status(p->code), NULL, "%s",
                    p->err.text[0] != '\0' ? p->err.text : "the event is refused");
}

static void
set_attributes(http_request *r, const http_receiver *x, http_attrs *a)
{
    const char *id = http_request_header(r, "X-GitHub-Delivery");
    const char *event = http_request_header(r, "X-GitHub-Event");
    const char *type = http_request_header(r, "Content-Type");
    g_autofree char *made = http_make_id(r->lane);
    g_autofree char *seq = http_make_digits(30);
    g_autofree char *unique = http_make_digits(30);
    g_autofree char *kind =
        g_strconcat(x->type != NULL ? x->type : x->name, event != NULL ? "." : "", event, NULL);

    id = id != NULL && *id != '\0' ? id : made;
    http_attrs_set(a, "id", http_attrs_keep(a, id, strlen(id)));
    http_attrs_set(a, "source", x->source != NULL ? x->source : x->path);
    http_attrs_set(a, "type", http_attrs_keep(a, kind, strlen(kind)));
    http_attrs_set(a, "subject", x->topic);
    http_attrs_set(a, "datacontenttype", type);
    http_attrs_set(a, "protocoltype", "webhook");
    http_attrs_set(a, "bizseqno", http_attrs_keep(a, seq, strlen(seq)));
    http_attrs_set(a, "uniqueid", http_attrs_keep(a, unique, strlen(unique)));
}

static void
publish(http_request *r, const http_receiver *x)
{
    const char *type = http_request_header(r, "Content-Type");
    const emesh_event *event = NULL;
    emesh_part data;
    emesh_error err;
    http_attrs attrs;

    if (http_cloudevents(r, x->topic)) /* it is one already */
        return;
    if (!http_request_take_body(r, &data)) {
        http_refuse(r, 503, NULL, "out of memory");
        return;
    }
    http_attrs_init(&attrs);
    set_attributes(r, x, &attrs);
    event = http_make_event(r->lane, &attrs, type, &data, &err);
    http_attrs_clear(&attrs);
    r->lane->http->event->buf_unref(data.owner);
    if (event == NULL) {
        http_refuse(r, 400, NULL, "%s", err.text);
        return;
    }
    http_publish *p = http_publish_new(r, 1, published);
    p->items[0].event = event;
    p->items[0].topic = (emesh_slice){ x->topic, strlen(x->topic) };
    http_publish_start(p, NULL, NULL);
}

void
http_uri_receive(http_request *r, const char *rest)
{
    const http_options *o = &r->lane->http->options;
    (void)rest;

    r->face = HTTP_FACE_PLAIN;
    for (guint i = 0; i < o->receivers->len; i++) {
        const http_receiver *x = o->receivers->pdata[i];
        if (strcmp(r->path, x->path) != 0)
            continue;
        if (strcmp(r->method, "POST") != 0)
            http_refuse(r, 405, NULL, "a webhook is posted to");
        else if (r->body->len > o->max_event)
            http_refuse(r, 413, NULL, "the body is over the limit of %" G_GUINT64_FORMAT " bytes",
                        o->max_event);
        else if (x->secret != NULL &&
                 !http_signature_ok(http_request_header(r, "X-Hub-Signature-256"), x->secret,
                                    r->body->data, r->body->len))
            http_refuse(r, 401, "X-Hub-Signature-256", "the signature is missing or wrong");
        else
            publish(r, x);
        return;
    }
    http_refuse(r, 404, NULL, "no webhook.NAME.path in conf.d is %.100s", r->path);
}
