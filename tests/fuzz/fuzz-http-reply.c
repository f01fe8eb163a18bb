/* SPDX-License-Identifier: Apache-2.0
 *
 * What a webhook sends back on a connection of ours, as it grows: however it is cut, it is finished
 * once at most, at the same length and with the same body, and none of it lies outside.
 */
#include "fuzz.h"
#include "reply.h"
#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    http_reply whole, part;
    http_reply_state state;
    size_t step = MAX(1, size / 64);

    http_reply_init(&whole);
    http_reply_init(&part);
    state = http_reply_read(&whole, (const char *)data, size);
    for (size_t n = 0; n <= size; n += step) {
        g_autofree char *copy = g_memdup2(data, n); /* so that reading behind it is seen */
        http_reply_state now = http_reply_read(&part, copy != NULL ? copy : "", n);
        if (now == HTTP_REPLY_WHOLE || now == HTTP_REPLY_ENDS) {
            g_assert_cmpuint(part.status, >=, 200);
            g_assert_cmpuint(part.body_len, <=, HTTP_REPLY_MAX);
            g_assert_true(!part.keep || part.len <= n);
        }
        if (now != HTTP_REPLY_WHOLE || !part.keep)
            continue;
        g_assert_cmpint(state, ==, HTTP_REPLY_WHOLE);
        g_assert_cmpuint(part.len, ==, whole.len);
        g_assert_cmpmem(part.body, part.body_len, whole.body, whole.body_len);
    }
    http_reply_clear(&part);
    http_reply_clear(&whole);
    return 0;
}
