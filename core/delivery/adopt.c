/* SPDX-License-Identifier: Apache-2.0
 *
 * See adopt.h. What is of one lane alone says so; all else is written before the other lane hears
 * of it.
 */
#include "delivery/adopt.h"
#include "bus/session.h"
#include "delivery/forget.h"
#include "delivery/patterns.h"

#include <string.h>

#define LABELS 16u

struct emesh_adopt {
    emesh_job job;
    emesh_bus *bus;
    emesh_bus_lane *home, *there;
    emesh_loop *loop;      /* the pusher's */
    char *url, *topic, *group, *filter, *asked_by;
    emesh_subscribe spec;
    emesh_start start;
    emesh_attr labels[LABELS]; /* names and values are ours */
    int32_t code;          /* why there is no pusher */
    char *why;
    /* [home] */
    emesh_member *asker;
    bool begun, over, end_sent;
    /* [there] */
    emesh_member *pusher;
    bool joined, open, answered, end_seen;
    int32_t end_code;
    char *end_why;
};

static void
adopt_free(emesh_adopt *a)
{
    for (uint32_t i = 0; i < a->spec.n_labels; i++) {
        g_free((char *)(uintptr_t)a->labels[i].name);
        g_free((char *)(uintptr_t)a->labels[i].value);
    }
    g_free(a->url);
    g_free(a->topic);
    g_free(a->group);
    g_free(a->filter);
    g_free(a->asked_by);
    g_free(a->why);
    g_free(a->end_why);
    g_free(a);
}

static void
post(emesh_worker *worker, emesh_adopt *a, void (*run)(emesh_job *job))
{
    a->job = (emesh_job){ .run = run };
    emesh_worker_post(worker, &a->job);
}

/* ---- asker's lane ---- */

static void
asker_free(emesh_adopt *a)
{
    a->asker->busy->adopt = NULL;
    emesh_member_free(a->asker);
    adopt_free(a);
}

static void
refused_run(emesh_job *job)
{
    emesh_adopt *a = (emesh_adopt *)job;

    a->over = true;
    if (a->asker->left)
        asker_free(a);
    else
        emesh_member_refused(a->asker, a->code, a->why);
}

static void end_there(emesh_bus_lane *here, const emesh_mail *mail);

static void
send_end(emesh_adopt *a)
{
    emesh_mail *mail = emesh_mail_to(a->home, a->there, end_there, a);

    mail->n = a->asker->forget;
    a->end_sent = true;
}

static void
started_here(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_adopt *a = mail->to;

    (void)here;
    a->begun = true;
    if (a->asker->left)
        send_end(a);
}

/* x: nobody has written it down yet */
static void
answer_here(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_adopt *a = mail->to;
    g_autofree char *why = mail->from;

    (void)here;
    if (a->asker->left)
        return;
    if (mail->code != EMESH_OK && mail->x != 0)
        emesh_member_refused(a->asker, mail->code, why);
    else
        emesh_member_answer(a->asker, mail->code, why);
}

/* x: the other lane has seen our END, so nothing of it is on its way */
static void
over_here(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_adopt *a = mail->to;
    g_autofree char *why = mail->from;
    emesh_member *m = a->asker;

    (void)here;
    a->over = true;
    if (m->left) {
        if (!a->end_sent || mail->x != 0)
            asker_free(a);
    } else if (m->joining || m->busy->answer == EMESH_OK) {
        m->ended = true;
        emesh_member_answer(m, mail->code, why);
    }
}

static void
gone_here(emesh_bus_lane *here, const emesh_mail *mail)
{
    (void)here;
    asker_free(mail->to);
}

void
emesh_adopt_leave(emesh_member *asker)
{
    emesh_adopt *a = asker->busy->adopt;

    if (asker->left)
        return;
    asker->left = true;
    if (a->over)
        emesh_mail_to(a->home, a->home, gone_here, a);
    else if (a->begun)
        send_end(a);
}

/* ---- main ---- */

void
emesh_bus_inst_changed(emesh_bus *bus, emesh_inst *inst)
{
    bool can = inst->is_protocol && inst->state == EMESH_INST_RUNNING && inst->n_loops > 0 &&
               (inst->component->claims & EMESH_PROTOCOL_CAN_PUSH_HTTP) != 0;

    g_ptr_array_remove(bus->pushers, inst);
    if (can)
        g_ptr_array_add(bus->pushers, inst);
}

static void adopt_run(emesh_job *job);

static bool
has_scheme(const char *url, const char *scheme)
{
    size_t len = strlen(scheme);

    return g_ascii_strncasecmp(url, scheme, len) == 0 && strncmp(url + len, "://", 3) == 0;
}

static void
find_main(emesh_job *job)
{
    emesh_adopt *a = (emesh_adopt *)job;
    const emesh_bus *bus = a->bus;
    const emesh_inst *inst;

    a->code = EMESH_E_UNSUPPORTED;
    if (!has_scheme(a->url, "http") && !has_scheme(a->url, "https")) {
        a->why = g_strdup_printf("nobody pushes to \"%.200s\": it begins with neither http:// nor "
                                 "https://", a->url);
    } else if (bus->pushers->len == 0) {
        a->why = g_strdup("no running instance pushes to URLs: have one of protocol-http in "
                          "conf.d");
    } else { /* what belongs to one group meets on one lane */
        inst = bus->pushers->pdata[0];
        a->loop = inst->loops[g_str_hash(a->group) % inst->n_loops];
        post(a->loop->worker, a, adopt_run);
        return;
    }
    post(a->home->worker, a, refused_run);
}

/* ---- pusher's lane ---- */

static void
send_answer(emesh_adopt *a, int32_t code, const char *why, bool note)
{
    emesh_mail *mail = emesh_mail_to(a->there, a->home, answer_here, a);

    mail->code = code;
    mail->from = g_strdup(why);
    mail->x = note;
    a->answered = true;
}

static void
look(emesh_adopt *a)
{
    if (a->joined && a->open && !a->answered)
        send_answer(a, EMESH_OK, NULL, false);
}

void
emesh_adopt_answered(emesh_member *pusher, int32_t code, const char *why)
{
    emesh_adopt *a = pusher->busy->adopt;

    if (code == EMESH_OK) {
        a->joined = true;
        look(a);
    } else if (!a->answered) {
        send_answer(a, code, why, false);
    } else { /* told when it is over */
        a->end_code = code;
        g_free(a->end_why);
        a->end_why = g_strdup(why);
    }
}

void
emesh_adopt_window(emesh_member *pusher)
{
    pusher->busy->adopt->open |= pusher->window_events > 0;
    look(pusher->busy->adopt);
}

static void
send_over(emesh_adopt *a)
{
    emesh_mail *mail = emesh_mail_to(a->there, a->home, over_here, a);

    mail->x = a->end_seen;
    mail->code = a->end_code != EMESH_OK ? a->end_code : EMESH_E_CLOSED;
    mail->from = g_strdup(a->end_why != NULL ? a->end_why
                                             : "the instance that pushed has ended it");
}

void
emesh_adopt_lost(emesh_member *pusher)
{
    pusher->busy->adopt->pusher = NULL;
    send_over(pusher->busy->adopt);
}

void
emesh_adopt_refuse(emesh_member *pusher, int32_t code, const emesh_error *given)
{
    emesh_error err = { 0 };

    if (!pusher->busy->adopted || pusher->left)
        return;
    if (given != NULL && emesh_take_sized(&err, sizeof err, given) != EMESH_OK)
        err.text[0] = '\0';
    err.text[sizeof err.text - 1] = '\0';
    if (code == EMESH_OK)
        code = EMESH_E_DENIED;
    if (!pusher->busy->adopt->answered)
        send_answer(pusher->busy->adopt, code, err.text, true);
    else
        emesh_adopt_answered(pusher, code, err.text);
}

static void
end_there(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_adopt *a = mail->to;
    emesh_member *m = a->pusher;

    (void)here;
    a->end_seen = true;
    if (m == NULL)
        send_over(a);
    if (m == NULL || m->left)
        return;
    m->forget = mail->n != 0;
    m->ended = true;
    emesh_member_answer(m, EMESH_E_CLOSED, "who asked for it has left");
}

static emesh_session *
open_session(emesh_adopt *a)
{
    emesh_attr labels[] = { { .name = "purpose", .name_len = 7, .value = "push", .value_len = 4 },
                            { .name = "url", .name_len = 3, .value = a->url },
                            { .name = "group", .name_len = 5, .value = a->group },
                            { .name = "asked-by", .name_len = 8, .value = a->asked_by } };
    emesh_who who = { .size = sizeof who, .labels = labels, .n_labels = G_N_ELEMENTS(labels),
                      .client = { a->url, strlen(a->url) } };
    emesh_session *s;

    for (uint32_t i = 1; i < G_N_ELEMENTS(labels); i++)
        labels[i].value_len = (uint32_t)strlen(labels[i].value);
    who.peer = who.client;
    s = emesh_session_open(a->loop, &who, NULL);
    if (s != NULL)
        s->opened_told = true; /* adopt() is in its place */
    return s;
}

static void
adopt_run(emesh_job *job)
{
    emesh_adopt *a = (emesh_adopt *)job;
    const emesh_inst *inst = a->loop->inst;
    emesh_session *s = open_session(a);
    void *ctx = NULL;
    int32_t code;

    if (s == NULL) {
        a->code = EMESH_E_BUSY;
        a->why = g_strdup("there are too many lanes for one more");
        post(a->home->worker, a, refused_run);
        return;
    }
    a->there = s->lane;
    a->pusher = emesh_member_make(s, &a->spec, NULL);
    a->pusher->busy->adopt = a;
    a->pusher->busy->adopted = true;
    a->pusher->window_events = 0; /* until it has looked at the URL */
    emesh_mail_to(a->there, a->home, started_here, a);
    code = inst->client.adopt(a->loop->lane, s, a->pusher, &a->spec, &ctx);
    if (code == EMESH_OK) {
        s->ctx = a->pusher->ctx = ctx;
        emesh_member_start(a->pusher);
        return;
    }
    if (!a->answered) {
        g_autofree char *why = g_strdup_printf("%s does not push there", inst->name);
        send_answer(a, code, why, true);
    }
    emesh_session_close(s, EMESH_LEFT_ORDERLY);
}

/* ---- asker's lane, the beginning ---- */

/* A URL that is to get every event misses none while nobody asks for it, and gets each once, whichever
 * daemon it asked: it is a group of its own. */
static void
be_durable(emesh_adopt *a)
{
    g_autofree char *group = g_steal_pointer(&a->group);

    a->group = emesh_group_private(group, a->url);
    a->spec.group.len = strlen(a->group);
    a->spec.mode = EMESH_SUB_SHARED;
    a->start.kind = EMESH_START_STORED;
}

static void
copy_spec(emesh_adopt *a, const emesh_subscribe *spec)
{
    a->spec = *spec;
    a->url = g_strndup(spec->push_to.ptr, spec->push_to.len);
    a->topic = g_strndup(spec->topic.ptr, spec->topic.len);
    a->group = g_strndup(spec->group.ptr, spec->group.len);
    a->filter = g_strndup(spec->filter.ptr, spec->filter.len);
    a->start = a->asker->busy->start;
    a->start.size = sizeof a->start;
    if (spec->mode == EMESH_SUB_EVERY)
        be_durable(a);
    a->spec.push_to.ptr = a->url;
    a->spec.topic.ptr = a->topic;
    a->spec.group.ptr = a->group;
    a->spec.filter.ptr = a->filter;
    a->spec.start = &a->start;
    a->spec.labels = a->labels;
    a->spec.window_events = 0;
    a->spec.n_labels = 0;
    for (uint32_t i = 0; i < spec->n_labels && i < LABELS; i++) {
        emesh_attr *to = &a->labels[a->spec.n_labels++];
        *to = spec->labels[i];
        to->name = g_strndup(to->name, to->name_len);
        to->value = g_strndup(to->value, to->value_len);
    }
}

void
emesh_adopt_begin(emesh_member *asker, const emesh_subscribe *spec)
{
    emesh_adopt *a = g_new0(emesh_adopt, 1);
    const emesh_session *s = asker->session;

    asker->busy->adopt = a;
    a->asker = asker;
    a->home = s->lane;
    a->bus = a->home->bus;
    a->asked_by = g_strdup_printf("%s %s", s->instance, s->key);
    copy_spec(a, spec);
    post(a->bus->main, a, find_main);
}
