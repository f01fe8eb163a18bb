/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers: composed into the lane's out, sent in one write at the end of the call. Each carries
 * the union of what the eras read: cmd and command, desc and msg. [lane]
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

/* Texts come from everywhere and may have been cut inside a character. */
static void
put_desc(tcp_out *o, const char *desc)
{
    size_t len = strlen(desc);
    if (tcp_utf8_ok(desc, len)) {
        tcp_out_escaped(o, desc, len);
        return;
    }
    for (size_t i = 0; i < len; i++)
        tcp_out_escaped(o, (unsigned char)desc[i] < 0x80 ? &desc[i] : "?", 1);
}

/* Composes the header and an absent body; that of RESPONSE_TO_CLIENT must not be absent, because
 * requesters read it before they look at the code. */
static void
frame(tcp_session *s, tcp_command command, const char *seq, size_t seq_len, uint32_t code,
      const char *desc)
{
    tcp_out *o = &s->lane->out;
    size_t len;
    const char *begin = tcp_command_begin(command, &len);

    tcp_out_begin(o);
    tcp_out_put(o, begin, len);
    if (code == 0 && desc == NULL) {
        TCP_OUT_TEXT(o, "0,\"desc\":\"success\",\"msg\":\"success\"");
    } else {
        tcp_out_number(o, code);
        TCP_OUT_TEXT(o, ",\"desc\":\"");
        put_desc(o, desc);
        TCP_OUT_TEXT(o, "\",\"msg\":\"");
        put_desc(o, desc);
        TCP_OUT_TEXT(o, "\"");
    }
    if (seq != NULL) {
        TCP_OUT_TEXT(o, ",\"seq\":\"");
        tcp_out_put(o, seq, seq_len);
        TCP_OUT_TEXT(o, "\"");
    }
    TCP_OUT_TEXT(o, "}");
    tcp_out_body_here(o);
    if (command == TCP_RESPONSE_TO_CLIENT)
        TCP_OUT_TEXT(o, "null");
    tcp_out_end(o, s->convention);
}

void
tcp_reply(tcp_session *s, tcp_command command, const char *seq, size_t seq_len, uint32_t code,
          const char *desc)
{
    if (code != 0 && desc == NULL)
        desc = "fail";
    frame(s, command, seq, seq_len, code, desc);
}

void
tcp_reply_to(tcp_session *s, const tcp_header *h, uint32_t code, const char *desc)
{
    bool has = h->seq.type != TCP_JSON_BAD;
    tcp_reply(s, tcp_command_reply((tcp_command)h->command), has ? h->seq.ptr : NULL, h->seq.len,
              code, desc);
}

/* Java clients close at once on a goodbye without seq; with one that is nobody's they go on
 * reading, and we close behind it. */
void
tcp_goodbye(tcp_session *s, uint32_t code, const char *desc)
{
    frame(s, TCP_SERVER_GOODBYE_REQUEST, "goodbye", 7, code, desc);
}

static void
begin_ok(tcp_session *s, tcp_command command, const char *seq, size_t seq_len)
{
    tcp_out *o = &s->lane->out;
    size_t len;
    const char *begin = tcp_command_begin(command, &len);

    tcp_out_begin(o);
    tcp_out_put(o, begin, len);
    TCP_OUT_TEXT(o, "0,\"desc\":\"success\",\"msg\":\"success\"");
    if (seq != NULL) {
        TCP_OUT_TEXT(o, ",\"seq\":\"");
        tcp_out_put(o, seq, seq_len);
        TCP_OUT_TEXT(o, "\"");
    }
    TCP_OUT_TEXT(o, "}");
    tcp_out_body_here(o);
}

/* With a seq, as the goodbye: without one Java clients close before they have acknowledged. */
bool
tcp_redirect(tcp_session *s, tcp_field address)
{
    tcp_out *o = &s->lane->out;
    size_t colon = address.len;

    while (colon > 0 && address.ptr[colon - 1] != ':')
        colon--;
    size_t port = address.len - colon;
    if (colon < 2 || port == 0 || port > 5)
        return false;
    for (size_t i = colon; i < address.len; i++) {
        if (address.ptr[i] < '0' || address.ptr[i] > '9')
            return false;
    }
    begin_ok(s, TCP_REDIRECT_TO_CLIENT, "redirect", 8);
    TCP_OUT_TEXT(o, "{\"ip\":\"");
    if (address.ptr[0] == '[' && address.ptr[colon - 2] == ']')
        tcp_out_escaped(o, address.ptr + 1, colon - 3);
    else
        tcp_out_escaped(o, address.ptr, colon - 1);
    TCP_OUT_TEXT(o, "\",\"port\":");
    tcp_out_put(o, address.ptr + colon, port);
    TCP_OUT_TEXT(o, "}");
    tcp_out_end(o, s->convention);
    return true;
}

void
tcp_recommend(tcp_session *s, const tcp_header *h, const char *address)
{
    tcp_out *o = &s->lane->out;
    bool has = h->seq.type != TCP_JSON_BAD;

    begin_ok(s, TCP_RECOMMEND_RESPONSE, has ? h->seq.ptr : NULL, h->seq.len);
    TCP_OUT_TEXT(o, "\"");
    tcp_out_escaped(o, address, strlen(address));
    TCP_OUT_TEXT(o, "\"");
    tcp_out_end(o, s->convention);
}

/* false: no memory. */
static bool
hold(tcp_session *s, const char *bytes, size_t len)
{
    char *held = realloc(s->held, s->held_len + len);
    if (held == NULL)
        return false;
    memcpy(held + s->held_len, bytes, len);
    s->held = held;
    s->held_len += len;
    tcp_session_pause(s);
    return true;
}

void
tcp_flush(tcp_session *s)
{
    tcp_out *o = &s->lane->out;
    const tcp_instance *tcp = s->lane->tcp;
    if (tcp_out_empty(o))
        return;
    bool failed = o->failed;
    if (!failed && s->state != TCP_ENDED) {
        emesh_part part = { o->mem, o->len, NULL };
        if (s->held_len > 0 || tcp->net->write(s->conn, &part, 1) == EMESH_E_BUSY)
            failed = !hold(s, o->mem, o->len);
    }
    tcp_out_clear(o, tcp->event);
    if (failed) /* an answer is lost: the connection cannot go on */
        tcp_session_end(s, EMESH_LEFT_ORDERLY);
}

void
tcp_held_room(tcp_session *s)
{
    emesh_part part = { s->held, s->held_len, NULL };
    if (s->held_len == 0 || s->lane->tcp->net->write(s->conn, &part, 1) == EMESH_E_BUSY)
        return;
    free(s->held);
    s->held = NULL;
    s->held_len = 0;
}
