/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole connection of protocol-tcp on the fake host. The input is a script: a byte that says
 * what happens, for some two bytes of length and so many bytes. Whatever comes, every byte that
 * is written belongs to a frame of the client's convention, and nothing is left at the end.
 */
#include "event/event.h"
#include "frame.h"
#include "fuzz.h"
#include "json.h"
#include "protocol-host.h"
#include <string.h>

const emesh_plugin *emesh_plugin_entry_1(uint32_t host_minor);

typedef struct script {
    const uint8_t *at, *end;
    ph_host *host;
    ph_conn *conn;
    tcp_convention convention;
} script;

/* An SDK parses each frame whole; so does this. */
static void
check_output(script *s)
{
    g_autoptr(GBytes) out = ph_take(s->conn);
    gsize left;
    const uint8_t *p = g_bytes_get_data(out, &left);
    tcp_frame f;
    while (left > 0) {
        g_assert_cmpint(tcp_frame_parse(p, left, s->convention, &f), ==, TCP_FRAME_COMPLETE);
        s->convention = f.convention;
        g_assert_true(tcp_json_valid(f.header, f.header_len));
        g_assert_true(f.body_len == 0 || tcp_json_valid(f.body, f.body_len));
        p += f.total;
        left -= f.total;
    }
}

static emesh_slice
take(script *s)
{
    size_t len = 0;
    if (s->end - s->at >= 2) {
        len = (size_t)s->at[0] << 8 | s->at[1];
        s->at += 2;
    }
    len = MIN(len, (size_t)(s->end - s->at));
    s->at += len;
    return (emesh_slice){ s->at - len, len };
}

/* A frame around two texts of the script, so that the fuzzer need not find the lengths. */
static void
feed_frame(script *s, tcp_convention convention)
{
    emesh_slice header = take(s), body = take(s);
    uint8_t head[TCP_FRAME_HEAD];
    g_autoptr(GByteArray) frame = g_byte_array_new();
    tcp_frame_head(head, convention, header.len, body.len);
    g_byte_array_append(frame, head, sizeof head);
    g_byte_array_append(frame, header.ptr, (guint)header.len);
    g_byte_array_append(frame, body.ptr, (guint)body.len);
    ph_feed(s->conn, frame->data, frame->len);
}

static void
deliver(script *s)
{
    emesh_slice json = take(s);
    emesh_part part = { json.ptr, json.len, NULL };
    const emesh_event *event = NULL;
    ph_session *session = ph_last_session(s->host);
    if (session == NULL || emesh_event_from_json(&part, &event, NULL) != EMESH_OK)
        return;
    for (guint i = 0; i < session->members->len; i++) {
        ph_member *m = session->members->pdata[i];
        if (!m->gone && m->answered) {
            ph_deliver(m, &event, 1);
            break;
        }
    }
    emesh_event_unref(event);
}

static void
step(script *s)
{
    uint8_t what = *s->at++;
    ph_session *session = ph_last_session(s->host);
    emesh_slice bytes;
    switch (what % 10) {
    case 0:
        bytes = take(s);
        ph_feed(s->conn, bytes.ptr, bytes.len);
        break;
    case 1:
        feed_frame(s, TCP_C8);
        break;
    case 2:
        feed_frame(s, TCP_C13);
        break;
    case 3:
    case 4:
        deliver(s);
        break;
    case 5:
        if (session != NULL && !session->closed)
            ph_room(session, what / 10 % 4);
        break;
    case 6:
        s->conn->busy = !s->conn->busy;
        if (!s->conn->busy && !s->conn->closing)
            ph_writable(s->conn);
        break;
    case 7:
        ph_eof(s->conn);
        break;
    case 8:
        ph_advance(s->host, what * 1000000000ull);
        break;
    default:
        if (session != NULL && !session->closed)
            ph_ask(session, what / 10 % 2, "kicked");
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    script s = { .at = data, .end = data + size };
    s.host = ph_new(emesh_plugin_entry_1(0), "");
    s.conn = ph_connect(s.host);
    for (int i = 0; i < 64 && s.at < s.end && !s.conn->closed; i++) {
        step(&s);
        check_output(&s);
    }
    s.conn->busy = false;
    ph_free(s.host);
    return 0;
}
