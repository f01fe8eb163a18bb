/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames in both conventions, cut at every place, and what a lying length does.
 */
#include "frame.h"
#include "peer.h"

#include <string.h>

static const char *const heartbeat =
    "{\"cmd\":\"HEARTBEAT_REQUEST\",\"code\":0,\"seq\":\"1250711008\",\"properties\":{},"
    "\"command\":\"HEARTBEAT_REQUEST\"}";

/* The example of the specification: a header of 101 bytes. */
static void
test_example(void)
{
    static const guint8 c13[] = { 0x45, 0x76, 0x65, 0x6e, 0x74, 0x4d, 0x65, 0x73, 0x68, 0x30, 0x30,
                                  0x30, 0x30, 0x00, 0x00, 0x00, 0x72, 0x00, 0x00, 0x00, 0x65 };
    guint8 head[TCP_FRAME_HEAD];
    tcp_frame_head(head, TCP_C13, 101, 0);
    g_assert_cmpmem(head, sizeof head, c13, sizeof c13);
    tcp_frame_head(head, TCP_C8, 101, 4);
    g_assert_cmpuint(head[16], ==, 0x71);
}

/* Every prefix of a frame is short, the whole is complete, what follows is not touched. */
static void
check_cuts(const GByteArray *frame, tcp_convention known, tcp_convention told, const char *body)
{
    tcp_frame f;
    g_autoptr(GByteArray) more = g_byte_array_new();
    for (guint n = 0; n < frame->len; n++) {
        g_assert_cmpint(tcp_frame_parse(frame->data, n, known, &f), ==, TCP_FRAME_SHORT);
        g_assert_cmpuint(f.total, >, n < TCP_FRAME_HEAD ? TCP_FRAME_HEAD - 1 : n);
        g_assert_cmpuint(f.total, <=, n < TCP_FRAME_HEAD ? TCP_FRAME_HEAD : frame->len);
        g_assert_cmpint(f.convention, ==, known);
    }
    g_byte_array_append(more, frame->data, frame->len);
    g_byte_array_append(more, frame->data, 30);
    g_assert_cmpint(tcp_frame_parse(more->data, more->len, known, &f), ==, TCP_FRAME_COMPLETE);
    g_assert_cmpint(f.convention, ==, told);
    g_assert_cmpuint(f.total, ==, frame->len);
    g_assert_cmpmem(f.body, f.body_len, body, strlen(body));
}

static void
test_cuts(void)
{
    static const char *const bodies[] = {
        "{\"env\":\"test\",\"group\":\"g}\\\"}\",\"purpose\":\"pub\"}",
        "{}",
        "{\"a\":[{},\"]\"]}",
        NULL,
    };
    for (char era = 'A'; era <= 'E'; era++) {
        tcp_convention told = era <= 'C' ? TCP_C8 : TCP_C13;
        for (guint i = 0; i < G_N_ELEMENTS(bodies); i++) {
            g_autofree char *header = peer_header(era, "HELLO_REQUEST", "1", NULL);
            g_autoptr(GByteArray) frame = peer_frame(era, header, bodies[i], -1);
            const char *body = bodies[i] != NULL ? bodies[i] : era <= 'C' ? "null" : "";
            check_cuts(frame, TCP_CONVENTION_UNKNOWN, told, body);
            check_cuts(frame, told, told, body);
        }
    }
    /* C8 without any body, and with a body that looks complete for long */
    g_autoptr(GByteArray) bare = peer_frame('C', heartbeat, "", 0);
    check_cuts(bare, TCP_CONVENTION_UNKNOWN, TCP_C8, "");
}

static void
test_lies(void)
{
    static const struct {
        guint8 head[21];
        const char *flaw;
    } bad[] = {
        { "EventMush0000\0\0\0\x20\0\0\0\x10", "wrong magic" },
        { "EventMesh0001\0\0\0\x20\0\0\0\x10", "wrong version" },
        { "EventMesh0000\xff\xff\xff\xff\0\0\0\x10", "negative length" },
        { "EventMesh0000\0\0\0\x20\xff\xff\xff\xf0", "negative length" },
        { "EventMesh0000\0\x40\0\x01\0\0\0\x10", "frame is larger than 4 MiB" },
        { "EventMesh0000\0\0\0\x20\0\0\0\x21", "header length does not fit into the frame" },
        { "EventMesh0000\0\0\0\x20\0\0\0\x19", "header length does not fit into the frame" },
        { "EventMesh0000\0\0\0\x05\0\0\0\0", "header length does not fit into the frame" },
    };
    tcp_frame f;
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(tcp_frame_parse(bad[i].head, 21, TCP_CONVENTION_UNKNOWN, &f), ==,
                        TCP_FRAME_BAD);
        g_assert_cmpstr(f.flaw, ==, bad[i].flaw);
    }
    g_assert_cmpint(tcp_frame_parse("GET /", 5, TCP_CONVENTION_UNKNOWN, &f), ==, TCP_FRAME_BAD);
    g_assert_cmpint(tcp_frame_parse("EventMesh0000\0\0\0\x1c\0\0\0\x10", 21, TCP_C13, &f), ==,
                    TCP_FRAME_BAD); /* fits C8 alone */
    /* the largest that may be announced, in both conventions */
    g_assert_cmpint(tcp_frame_parse("EventMesh0000\0\x40\0\0\0\0\0\x10", 21, TCP_C8, &f), ==,
                    TCP_FRAME_SHORT);
    g_assert_cmpuint(f.total, ==, 4194304 + 13);
    g_assert_cmpint(tcp_frame_parse("EventMesh0000\0\x40\0\0\0\0\0\x10", 21, TCP_C13, &f), ==,
                    TCP_FRAME_SHORT);
    g_assert_cmpuint(f.total, ==, 4194304 + 8);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/protocol-tcp/frame/example", test_example);
    g_test_add_func("/protocol-tcp/frame/every-cut", test_cuts);
    g_test_add_func("/protocol-tcp/frame/lying-lengths", test_lies);
    return g_test_run();
}
