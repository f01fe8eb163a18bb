/* SPDX-License-Identifier: Apache-2.0
 *
 * HELLO: from a connection to a session. It is answered when the mesh has answered. [lane]
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *
tcp_copy(const char *text, size_t len)
{
    char *made = malloc(len + 1);
    if (made != NULL) {
        if (len > 0)
            memcpy(made, text, len);
        made[len] = '\0';
    }
    return made;
}

static tcp_verdict
hello_fails(tcp_session *s, const tcp_header *h, const char *why)
{
    tcp_reply_to(s, h, 1, why);
    return tcp_session_refuse(s, why, NULL);
}

static void
put_stamp(tcp_out *o, const char *name, const char *value, size_t len)
{
    if (value == NULL)
        return;
    TCP_OUT_TEXT(o, "\"");
    tcp_out_put(o, name, strlen(name));
    TCP_OUT_TEXT(o, "\":\"");
    tcp_out_escaped(o, value, len);
    TCP_OUT_TEXT(o, "\",");
}

/* What every push to this session says; made once. */
static bool
make_stamp(tcp_session *s, const tcp_agent_info *a)
{
    tcp_out *o = &s->lane->out;
    emesh_conn_info info = { .size = sizeof info };
    size_t from = o->len, local = 0;

    s->lane->tcp->net->info(s->conn, &info);
    const char *text = info.local.ptr;
    for (size_t i = 0; i < info.local.len; i++) {
        if (text[i] == ':')
            local = i;
    }
    local = local > 0 ? local : info.local.len;
    snprintf(s->local, sizeof s->local, "%.*s", (int)local, text != NULL ? text : "");
    put_stamp(o, "reqsendeventmeship", text, local);
    put_stamp(o, "reqreceiveeventmeship", text, local);
    put_stamp(o, "rsp0sys", a->subsystem.ptr, a->subsystem.len);
    put_stamp(o, "rsp0group", s->group, s->group_len);
    put_stamp(o, "rsp0idc", a->idc.ptr, a->idc.len);
    put_stamp(o, "rsp0ip", s->peer, s->peer_host);
    if (o->failed)
        return false;
    s->stamp = tcp_copy(o->mem + from, o->len - from);
    s->stamp_len = o->len - from;
    o->len = from;
    return s->stamp != NULL;
}

static void
label(emesh_attr *labels, uint32_t *n, const char *name, tcp_field value)
{
    if (value.ptr == NULL || value.len == 0)
        return;
    labels[(*n)++] = (emesh_attr){ .name = name,
                                   .name_len = (uint32_t)strlen(name),
                                   .value = value.ptr,
                                   .value_len = (uint32_t)value.len };
}

static bool
open_session(tcp_session *s, const tcp_agent_info *a)
{
    static const char *const eras[] = { "A", "B", "C", "D" };
    emesh_attr labels[10];
    char client[320];
    emesh_who who = { .size = sizeof who, .conn = s->conn, .labels = labels };
    tcp_field secret = a->token.ptr != NULL ? a->token : a->password;
    const char *era = s->era == TCP_ERA_D ? "D/E" : eras[s->era];

    label(labels, &who.n_labels, "protocol", (tcp_field){ "tcp", 3 });
    label(labels, &who.n_labels, "group", (tcp_field){ s->group, s->group_len });
    label(labels, &who.n_labels, "purpose", a->purpose_text);
    label(labels, &who.n_labels, "pid", a->pid);
    label(labels, &who.n_labels, "idc", a->idc);
    label(labels, &who.n_labels, "subsystem", a->subsystem);
    label(labels, &who.n_labels, "path", a->path);
    label(labels, &who.n_labels, "version", a->version);
    label(labels, &who.n_labels, "era", (tcp_field){ era, strlen(era) });
    int n = snprintf(client, sizeof client, "%.*s/%.*s",
                     (int)(a->subsystem.len < 200 ? a->subsystem.len : 200),
                     a->subsystem.ptr != NULL ? a->subsystem.ptr : "", (int)s->peer_host, s->peer);
    who.client = (emesh_slice){ client, (size_t)n };
    who.user = (emesh_slice){ a->username.ptr, a->username.len };
    who.secret = (emesh_slice){ secret.ptr, secret.len };
    s->mesh = s->lane->tcp->client->open(s->lane->loop, &who, s);
    return s->mesh != NULL;
}

tcp_verdict
tcp_hello(tcp_session *s, const tcp_frame *f, const tcp_header *h)
{
    tcp_agent_info a;
    const char *flaw = NULL;
    char *scratch;

    if (s->state != TCP_NEW) { /* a second one changes nothing */
        tcp_reply_to(s, h, 0, NULL);
        return TCP_DONE;
    }
    if (s->refusal != NULL) { /* the host has logged it */
        tcp_reply_to(s, h, 1, s->refusal);
        tcp_session_end(s, EMESH_LEFT_ORDERLY);
        return TCP_CLOSE;
    }
    if (tcp_frame_empty(f))
        return hello_fails(s, h, "client info cannot be null");
    tcp_arena_reset(&s->lane->reader.props.arena);
    scratch = tcp_arena_take(&s->lane->reader.props.arena, f->body_len);
    if (scratch == NULL)
        return hello_fails(s, h, "out of memory");
    if (!tcp_agent_parse(f->body, f->body_len, scratch, &a, &flaw)) {
        char text[128];
        snprintf(text, sizeof text, "malformed client info: %s", flaw);
        return hello_fails(s, h, text);
    }
    flaw = tcp_agent_check(&a, (tcp_era)s->era);
    if (flaw != NULL)
        return hello_fails(s, h, flaw);
    tcp_field group = tcp_agent_group(&a);
    bool has_seq = h->seq.type != TCP_JSON_BAD;
    s->purpose = (uint8_t)a.purpose;
    s->group = tcp_copy(group.ptr, group.len);
    s->group_len = group.len;
    s->hello_seq = has_seq ? tcp_copy(h->seq.ptr, h->seq.len) : NULL;
    s->hello_seq_len = h->seq.len;
    char *key = tcp_arena_take(&s->lane->reader.props.arena, f->body_len + 16);
    if (key != NULL)
        s->agent = tcp_agent_join(s->lane->tcp->agents, (tcp_field){ s->peer, s->peer_host },
                                  (tcp_field){ key, tcp_agent_key(&a, key) });
    if (s->group == NULL || (has_seq && s->hello_seq == NULL) || !make_stamp(s, &a) ||
        !open_session(s, &a))
        return hello_fails(s, h, "out of memory");
    s->state = TCP_OPENING;
    tcp_session_pause(s);
    return TCP_DONE;
}

void
tcp_opened(emesh_lane *lane, void *session, int32_t code, const emesh_error *err)
{
    tcp_session *s = session;
    const char *why = NULL;
    (void)lane;
    if (s->state != TCP_OPENING)
        return;
    if (code != EMESH_OK)
        why =
            tcp_why(err, EMESH_CLASS(code) == 3 ? "server state is not running, maybe deploying..."
                                                : "the session is refused");
    s->state = TCP_OPEN;
    s->active_ns = tcp_now(s->lane);
    tcp_reply(s, TCP_HELLO_RESPONSE, s->hello_seq, s->hello_seq_len, why != NULL, why);
    free(s->hello_seq);
    s->hello_seq = NULL;
    if (why != NULL) {
        tcp_session_refuse(s, why, NULL);
        return;
    }
    tcp_flush(s);
    tcp_session_resume(s);
}
