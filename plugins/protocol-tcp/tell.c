/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines about connections that end, rationed by kind. [lane]
 */
#include "session.h"

#include <stdio.h>
#include <string.h>

#define SECOND_NS 1000000000ull
#define LINES_AT_ONCE 40u
#define NUMBER_NS (10 * SECOND_NS) /* between two lines about those left out */

static const char *const kinds[TCP_N_ENDS] = {
    [TCP_END_REFUSED] = "for what they sent",
    [TCP_END_EXPIRED] = "for their silence",
    [TCP_END_LIMIT] = "by limits of the listener",
    [TCP_END_CUT] = "by their peers, in the middle of something",
};

static void
tell_left_out(const tcp_lane *lane, tcp_end_kind kind)
{
    const emesh_host *host = lane->tcp->host;
    char text[128];
    int n = snprintf(text, sizeof text, "%u more connections were closed %s, without a line each",
                     lane->tells[kind].left_out, kinds[kind]);
    host->log(host, EMESH_LOG_NOTICE, text, (size_t)n, NULL, 0);
}

static bool
may_tell(tcp_lane *lane, tcp_end_kind kind)
{
    tcp_tell *tell = &lane->tells[kind];
    uint64_t seconds = (tcp_now(lane) - tell->since_ns) / SECOND_NS;

    tell->since_ns += seconds * SECOND_NS;
    tell->said = tell->said > seconds ? tell->said - (uint32_t)seconds : 0;
    if (tell->said < LINES_AT_ONCE) {
        tell->said++;
        return true;
    }
    tell->left_out++;
    return false;
}

void
tcp_tell_end(const tcp_session *s, tcp_end_kind kind, uint32_t level, const char *reason)
{
    const emesh_host *host = s->lane->tcp->host;
    char text[256];
    emesh_attr peer = { "peer", s->peer, 4, (uint32_t)strlen(s->peer), 0, 0 };

    if (!host->log_on(host, level) || !may_tell(s->lane, kind))
        return;
    int n = snprintf(text, sizeof text, "closing connection of %s: %s", s->peer, reason);
    host->log(host, level, text, (size_t)(n < (int)sizeof text ? n : 255), &peer, 1);
}

void
tcp_tell_sweep(tcp_lane *lane, uint64_t now)
{
    for (int kind = 0; kind < TCP_N_ENDS; kind++) {
        tcp_tell *tell = &lane->tells[kind];
        if (tell->left_out == 0 || now - tell->told_ns < NUMBER_NS)
            continue;
        tell_left_out(lane, (tcp_end_kind)kind);
        tell->left_out = 0;
        tell->told_ns = now;
    }
}
