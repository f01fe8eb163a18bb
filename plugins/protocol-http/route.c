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
    return strcmp(soup_server_message_get_method(r->msg), method) == 0;
}

void
http_route(http_request *r)
{
    if (!is_method(r, "GET") && !is_method(r, "POST")) {
        soup_message_headers_replace(soup_server_message_get_response_headers(r->msg), "Allow",
                                     "GET, POST");
        http_refuse(r, 405, NULL, "%s is not served here", soup_server_message_get_method(r->msg));
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
