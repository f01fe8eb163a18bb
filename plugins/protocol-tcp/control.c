/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands that are answered at once: HEARTBEAT, LISTEN, goodbyes, and those that are not served.
 * [lane]
 */
#include "session.h"

static void
listen_now(tcp_session *s, const tcp_header *h)
{
    if (s->purpose == TCP_PURPOSE_PUB) {
        tcp_reply_to(s, h, 1, "java.lang.Exception: client purpose config is not sub");
        return;
    }
    tcp_reply_to(s, h, 0, NULL);
    if (!s->listening) {
        s->listening = true;
        tcp_session_windows(s);
    }
}

static void
says_goodbye(tcp_session *s)
{
    if (s->goodbye_ns == 0)
        s->goodbye_ns = tcp_now(s->lane);
    tcp_session_windows(s);
}

/* What the reference asks for, in its order. NULL: fine. */
static const char *
recommend_flaw(tcp_session *s, const tcp_frame *f)
{
    tcp_agent_info a;
    const char *flaw = NULL;
    char *scratch;

    if (tcp_frame_empty(f))
        return "client info cannot be null";
    tcp_arena_reset(&s->lane->reader.props.arena);
    scratch = tcp_arena_take(&s->lane->reader.props.arena, f->body_len);
    if (scratch == NULL)
        return "out of memory";
    if (!tcp_agent_parse(f->body, f->body_len, scratch, &a, &flaw))
        return flaw;
    if (a.version.ptr == NULL)
        return "client version cannot be null";
    if (a.username.ptr == NULL)
        return "client EventMeshUser cannot be null";
    if (a.password.ptr == NULL)
        return "client EventMeshPasswd cannot be null";
    return a.purpose == TCP_PURPOSE_NONE ? "client purpose config is error" : NULL;
}

static void
recommend(tcp_session *s, const tcp_frame *f, const tcp_header *h)
{
    char **all = s->lane->tcp->options.recommend;
    const char *flaw;

    if (all == NULL) {
        tcp_reply_to(s, h, 1, "java.lang.Exception: registry enable config is false, not support");
        return;
    }
    flaw = recommend_flaw(s, f);
    if (flaw != NULL) {
        tcp_reply_to(s, h, 1, flaw);
        return;
    }
    if (all[s->lane->recommended] == NULL)
        s->lane->recommended = 0;
    tcp_recommend(s, h, all[s->lane->recommended++]);
}

tcp_verdict
tcp_control(tcp_session *s, const tcp_frame *f, const tcp_header *h)
{
    switch (h->command) {
    case TCP_HELLO_REQUEST:
        return tcp_hello(s, f, h);
    case TCP_SUBSCRIBE_REQUEST:
        if (s->state == TCP_LEAVING) {
            tcp_reply_to(s, h, 1,
                         "java.lang.Exception: this eventMesh tcp session will be closed, "
                         "may be reboot or version change!");
            return TCP_DONE;
        }
        return tcp_subscribe(s, f, h);
    case TCP_HEARTBEAT_REQUEST:
        tcp_reply_to(s, h, 0, NULL);
        return TCP_DONE;
    case TCP_UNSUBSCRIBE_REQUEST:
        tcp_unsubscribe_all(s);
        tcp_reply_to(s, h, 0, NULL);
        return TCP_DONE;
    case TCP_LISTEN_REQUEST:
        listen_now(s, h);
        return TCP_DONE;
    case TCP_CLIENT_GOODBYE_REQUEST:
        tcp_reply_to(s, h, 0, NULL);
        says_goodbye(s);
        return TCP_DONE;
    case TCP_SERVER_GOODBYE_RESPONSE:
        says_goodbye(s);
        return TCP_DONE;
    case TCP_RECOMMEND_REQUEST:
        recommend(s, f, h);
        return TCP_DONE;
    case TCP_RESPONSE_TO_CLIENT_ACK: /* not tracked */
        return TCP_DONE;
    default:
        tcp_reply_to(s, h, 1, "java.lang.Exception: unknown cmd");
        return TCP_DONE;
    }
}
