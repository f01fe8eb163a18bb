/* SPDX-License-Identifier: Apache-2.0
 *
 * Which API a request is for: a known path, a CloudEvent, else its code. [lane]
 */
#include "api.h"
#include "cloudevents.h"
#include <string.h>

static bool
is_method(const http_request *r, const char *method)
{
    return strcmp(r->method, method) == 0;
}

/* A sender of CloudEvents asks whether it may: whoever reaches the listener may, at its rate. */
static bool
answer_handshake(http_request *r)
{
    const char *origin, *wanted;
    uint64_t rate = UINT64_C(60) * r->lane->http->options.rate, asked = 0;
    g_autofree char *text = NULL;

    if (!is_method(r, "OPTIONS"))
        return false;
    origin = http_request_header(r, "WebHook-Request-Origin");
    if (origin == NULL)
        return false;
    wanted = http_request_header(r, "WebHook-Request-Rate");
    if (wanted != NULL && g_ascii_string_to_unsigned(wanted, 10, 1, G_MAXUINT32, &asked, NULL))
        rate = rate == 0 ? asked : MIN(rate, asked);
    text = rate == 0 ? g_strdup("*") : g_strdup_printf("%" G_GUINT64_FORMAT, rate);
    http_answer_header(r, "Allow", "GET, POST");
    http_answer_header(r, "WebHook-Allowed-Origin", origin);
    http_answer_header(r, "WebHook-Allowed-Rate", text);
    http_answer(r, 200, "text/plain", g_strdup(""), 0);
    return true;
}

void
http_route(http_request *r)
{
    if (answer_handshake(r))
        return;
    if (!is_method(r, "GET") && !is_method(r, "POST")) {
        http_answer_header(r, "Allow", "GET, POST");
        http_refuse(r, 405, NULL, "%s is not served here", r->method);
        return;
    }
    if (http_uri(r))
        return;
    if (http_request_header(r, "code") == NULL && is_method(r, "POST") &&
        http_cloudevents(r, http_request_param(r, "topic")))
        return;
    r->face = HTTP_FACE_CODE;
    http_code(r);
}
