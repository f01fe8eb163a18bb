/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of webhooks: status in the first two bytes, Retry-After up to a line's end, then the
 * body. A verdict is always one that the mesh knows, and only a 2xx acknowledges.
 */
#include "eventmesh/subscription.h"
#include "fuzz.h"
#include "push-judge.h"
#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    http_verdict v;
    uint32_t status = size >= 2 ? (uint32_t)(data[0] << 8 | data[1]) % 700 : 200;
    const char *text = (const char *)data + MIN(size, 2), *end = (const char *)data + size;
    const char *line = memchr(text, '\n', (size_t)(end - text));
    g_autofree char *after = g_strndup(text, (size_t)((line != NULL ? line : end) - text));
    const char *body = line != NULL ? line + 1 : end;

    http_judge(&v, status, after, 1795000000, body, (size_t)(end - body));
    g_assert_cmpuint(v.outcome, <=, EMESH_SETTLE_DOWN);
    g_assert_cmpuint(v.wait_ms, <=, 3600 * 1000);
    if (v.outcome == EMESH_SETTLE_DONE)
        g_assert_true(status >= 200 && status < 300 && v.reason[0] == '\0');
    else
        g_assert_cmpint(v.reason[0], !=, '\0');
    g_assert_true(!v.is_gone || status == 410);
    g_assert_true(v.outcome != EMESH_SETTLE_DEAD || status == 415);
    return 0;
}
