/* SPDX-License-Identifier: Apache-2.0
 *
 * Codes that publish: 104, 101 (which waits for a reply), 301 (which is one), 107, and 102 with
 * several at once. Each is answered when its store has it. [lane]
 */
#include "code.h"
#include "flavour.h"
#include "json.h"
#include <string.h>

/* ---- answers ---- */

static int
ret_for(const http_request *r, int32_t code)
{
    int ret = http_ret_of(code, 15);

    if (code == EMESH_OK)
        return 0;
    if (r->code == 301)
        return ret == 8 ? 7 : ret == 22 || ret == 23 ? ret : 16;
    if (r->code == 101)
        return ret == 23 || ret == 22 ? ret : ret == 8 ? 7 : EMESH_CLASS(code) == 4 ? 4 : 3;
    if ((r->code == 102 || r->code == 107) && ret != 22)
        return ret == 8 ? 7 : ret == 23 ? 12 : ret == 14 ? 11 : 15;
    return ret;
}

static void
answer_failure(http_publish *p)
{
    http_request *r = p->request;
    int ret = ret_for(r, p->code);

    if (ret == 23 || ret == 12)
        http_retry_after(r, 1);
    http_retf(r, ret, "%s%s", p->err.text[0] != '\0' ? ": " : "", p->err.text);
}

static void
put_properties(GString *out, const emesh_event_view *view)
{
    bool first = true;

    g_string_append(out, "{");
    for (uint32_t i = 0; i < view->n_attrs; i++) {
        const emesh_attr *a = &view->attrs[i];
        if (http_name_reserved(a->name, a->name_len))
            continue;
        if (!first)
            g_string_append_c(out, ',');
        first = false;
        http_json_put(out, a->name, a->name_len);
        g_string_append_c(out, ':');
        http_json_put(out, a->value, a->value_len);
    }
    g_string_append_c(out, '}');
}

/* retMsg of a request that was replied to: an object, as a text. */
static void
answer_reply(http_publish *p)
{
    http_request *r = p->request;
    emesh_event_view view = { .size = sizeof view };
    g_autoptr(GString) out = g_string_new("{\"topic\":");
    g_autoptr(GString) body = g_string_new(NULL);

    r->lane->http->event->view(p->reply, &view);
    for (uint32_t i = 0; i < view.n_data; i++)
        g_string_append_len(body, view.data[i].ptr, (gssize)view.data[i].len);
    http_json_put(out, p->items[0].topic.ptr, p->items[0].topic.len);
    g_string_append(out, ",\"body\":");
    http_json_put(out, body->str, body->len);
    g_string_append(out, ",\"properties\":");
    put_properties(out, &view);
    g_string_append_c(out, '}');
    http_ret(r, 200, 0, out->str);
}

static void
published(http_publish *p)
{
    http_request *r = p->request;
    emesh_event_view view = { .size = sizeof view };

    if (p->code != EMESH_OK) {
        answer_failure(p);
        return;
    }
    if (r->code == 101 && p->reply != NULL) {
        answer_reply(p);
        return;
    }
    if (r->code == 102 || r->code == 301) {
        http_ret(r, 200, 0, NULL);
        return;
    }
    r->lane->http->event->view(p->items[0].event, &view);
    http_retf(r, 0, "SendResult[topic=%.*s, messageId=%.*s]", (int)p->items[0].topic.len,
              (const char *)p->items[0].topic.ptr, (int)view.attrs[0].value_len,
              (const char *)view.attrs[0].value);
}

/* ---- one ---- */

/* How long a request waits, in ms; 0: it does not say so in digits. */
static uint64_t
wait_of(const char *ttl)
{
    if (ttl == NULL || *ttl == '\0' || strspn(ttl, "0123456789") != strlen(ttl))
        return 0;
    return MIN(g_ascii_strtoull(ttl, NULL, 10), 3600000);
}

static bool
size_ok(http_request *r, const http_sent *sent)
{
    const http_instance *http = r->lane->http;
    emesh_event_view view = { .size = sizeof view };
    g_autofree char *text = NULL;

    http->event->view(sent->event, &view);
    if (view.data_len <= http->options.max_event)
        return true;
    text = g_strdup_printf("Event size exceeds the limit: %" G_GUINT64_FORMAT,
                           http->options.max_event);
    http_ret(r, 200, r->code == 104 ? 8 : 7, text);
    return false;
}

static void
publish_one(http_request *r, http_sent *sent)
{
    http_publish *p;
    bool waits = r->code == 101;
    uint64_t wait = wait_of(sent->ttl);

    if (waits && (sent->ttl == NULL || *sent->ttl == '\0')) {
        http_retf(r, 7, ": ttl is missing");
        return;
    }
    if (waits && wait == 0) {
        http_retf(r, 3, ": ttl is no number of milliseconds");
        return;
    }
    if (!size_ok(r, sent))
        return;
    p = http_publish_new(r, 1, published);
    p->data = g_steal_pointer(&sent->topic);
    p->items[0].event = g_steal_pointer(&sent->event);
    p->items[0].topic = (emesh_slice){ p->data, strlen(p->data) };
    if (r->code == 301) /* whose, its correlation says, which came with the push */
        p->items[0].what = EMESH_PUB_REPLY;
    if (waits) {
        p->items[0].what = EMESH_PUB_REQUEST;
        p->items[0].deadline_ns = http_now(r->lane) + wait * 1000000;
    }
    http_publish_start(p, http_request_header(r, "username"), http_request_secret(r));
}

void
http_code_send(http_request *r, http_params *p)
{
    http_sent sent;

    http_flavour_read(r, p, r->code == 107 ? "msg" : "content", &sent);
    if (sent.event != NULL)
        publish_one(r, &sent);
    else if (sent.ret == 18)
        http_code_broken(r, sent.why + 2);
    else
        http_retf(r, sent.ret, "%s", sent.why);
    http_sent_clear(&sent, r->lane);
}

/* ---- several ---- */

typedef struct entry {
    char *seq, *topic, *text, *tag, *ttl;
} entry;

static void
entry_clear(gpointer data)
{
    entry *e = data;
    g_free(e->seq);
    g_free(e->topic);
    g_free(e->text);
    g_free(e->tag);
    g_free(e->ttl);
}

static bool
read_entry(http_json *j, entry *e)
{
    http_value key, value;
    bool first = true;

    if (!http_json_open(j, '{'))
        return false;
    for (; http_json_key(j, first, &key); first = false) {
        char **to;
        if (!http_json_value(j, &value))
            return false;
        to = http_json_is(&key, "bizSeqNo") ? &e->seq
             : http_json_is(&key, "topic")  ? &e->topic
             : http_json_is(&key, "msg")    ? &e->text
             : http_json_is(&key, "tag")    ? &e->tag
             : http_json_is(&key, "ttl")    ? &e->ttl
                                            : NULL;
        if (to != NULL) {
            g_free(*to);
            *to = http_json_scalar(&value);
        }
    }
    return j->flaw == NULL;
}

/* NULL: fine, entries are appended; else the flaw. */
static const char *
read_entries(const char *text, GArray *entries)
{
    http_json j;
    bool first = true;

    http_json_begin(&j, text, strlen(text));
    if (http_json_open(&j, '[')) {
        for (; http_json_item(&j, first) && entries->len <= 4096; first = false) {
            entry e = { NULL };
            bool good = read_entry(&j, &e);
            g_array_append_val(entries, e);
            if (!good)
                break;
        }
    }
    return http_json_end(&j) ? NULL : j.flaw;
}

static void
publish_entries(http_request *r, const GArray *entries, const char *group)
{
    http_publish *p = http_publish_new(r, entries->len, published);
    GString *topics = g_string_new(NULL);
    http_sent sent = { .event = NULL };
    bool good = true;

    p->n = 0;
    for (guint i = 0; i < entries->len && good; i++) {
        const entry *e = &g_array_index(entries, entry, i);
        if (e->topic == NULL || *e->topic == '\0' || e->text == NULL || *e->text == '\0')
            continue; /* skipped, as ever */
        http_flavour_entry(r, e->seq, e->topic, e->text, e->tag, e->ttl, group, &sent);
        good = sent.event != NULL && size_ok(r, &sent);
        if (sent.event == NULL)
            http_retf(r, sent.ret, "%s", sent.why);
        if (good) {
            p->items[p->n].event = g_steal_pointer(&sent.event);
            p->items[p->n++].topic = (emesh_slice){ e->topic, strlen(e->topic) };
            g_string_append_len(topics, e->topic, (gssize)strlen(e->topic));
        }
        http_sent_clear(&sent, r->lane);
    }
    size_t at = 0;
    for (uint32_t i = 0; i < p->n; i++) { /* they outlive the entries */
        p->items[i].topic.ptr = topics->str + at;
        at += p->items[i].topic.len;
    }
    p->data = g_string_free(topics, FALSE);
    if (good && p->n > 0) {
        http_publish_start(p, http_request_header(r, "username"), http_request_secret(r));
        return;
    }
    if (good)
        http_retf(r, 7, ": contents has no message with topic and msg");
    http_publish_cancel(p);
}

void
http_code_batch(http_request *r, http_params *params)
{
    g_autofree char *id = http_form_text(&params->form, "batchId");
    g_autofree char *group = http_form_text(&params->form, "producerGroup");
    g_autofree char *size = http_form_text(&params->form, "size");
    g_autofree char *contents = http_form_text(&params->form, "contents");
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(entry));
    const char *pid = http_request_header(r, "pid"), *sys = http_request_header(r, "sys"), *flaw;
    uint32_t most = r->lane->http->options.max_batch;

    g_array_set_clear_func(entries, entry_clear);
    if (pid == NULL || *pid == '\0' || strspn(pid, "0123456789") != strlen(pid) || sys == NULL ||
        *sys == '\0') {
        http_retf(r, 6, ": header %s", sys == NULL || *sys == '\0' ? "sys" : "pid");
        return;
    }
    if (id == NULL || *id == '\0' || group == NULL || *group == '\0' || contents == NULL) {
        http_retf(r, 7, ": batchId, producerGroup or contents is missing");
        return;
    }
    flaw = read_entries(contents, entries);
    if (flaw != NULL)
        http_code_broken(r, flaw);
    else if (entries->len == 0 ||
             entries->len != g_ascii_strtoull(size != NULL ? size : "1", NULL, 10))
        http_retf(r, 7, ": size is not the number of contents");
    else if (entries->len > most) {
        g_autofree char *text = g_strdup_printf("Event batch size exceeds the limit: %u", most);
        http_ret(r, 200, 7, text);
    } else {
        publish_entries(r, entries, group);
    }
}
