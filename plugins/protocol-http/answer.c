/* SPDX-License-Identifier: Apache-2.0
 *
 * What answers look like: EventMesh's retCode objects with the headers around them, and plain
 * errors that say which header or field is meant. [lane]
 */
#include "http.h"
#include "json.h"
#include <string.h>

#define PLAIN_TYPE "text/plain; charset=UTF-8" /* what the reference says of its JSON */

const char *
http_ret_text(int ret)
{
    static const char *const texts[] = {
        [0] = "success",
        [1] = "eventMesh overload, try later",
        [2] = "requestCode can't be null, or must be number",
        [3] = "eventMesh send rr msg error",
        [4] = "eventMesh waiting rr msg error",
        [6] = "eventMesh protocol[header] error",
        [7] = "eventMesh protocol[body] error",
        [8] = "event size exceeds the limit",
        [9] = "eventMesh will stop or had stopped",
        [11] = "eventMesh batch msg producer stopped",
        [12] = "eventMesh batch msg speed over the limit",
        [13] = "eventMesh package msg err, ",
        [14] = "eventMesh group producer stopped",
        [15] = "eventMesh send async msg error",
        [16] = "eventMesh reply msg err, ",
        [18] = "eventMesh runtime error",
        [19] = "eventMesh subscribe error",
        [20] = "eventMesh unsubscribe error",
        [21] = "eventMesh heartbeat error",
        [22] = "eventMesh acl error",
        [23] = "eventMesh http msg send over the limit",
        [100] = "operate fail",
    };
    const char *text = ret >= 0 && (size_t)ret < G_N_ELEMENTS(texts) ? texts[ret] : NULL;
    return text != NULL ? text : "eventMesh runtime error";
}

void
http_retry_after(http_request *r, uint32_t seconds)
{
    char text[16];
    g_snprintf(text, sizeof text, "%u", seconds);
    http_answer_header(r, "Retry-After", text);
}

void
http_refuse(http_request *r, uint32_t status, const char *field, const char *format, ...)
{
    g_autoptr(GString) body = g_string_new("{\"error\":");
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);

    http_json_put(body, text, strlen(text));
    if (field != NULL) {
        g_string_append(body, ",\"field\":");
        http_json_put(body, field, strlen(field));
    }
    g_string_append_c(body, '}');
    if (status == 429 || status == 503)
        http_retry_after(r, 1);
    size_t len = body->len;
    http_answer(r, status, "application/json", g_string_free(g_steal_pointer(&body), FALSE), len);
}

/* Where this daemon is, as whoever asked sees it. Given. */
static char *
own_address(const http_request *r)
{
    const http_options *o = &r->lane->http->options;

    if (o->address != NULL)
        return g_strdup(o->address);
    if (r->conn == NULL || !G_IS_INET_SOCKET_ADDRESS(r->conn->local))
        return g_strdup("127.0.0.1");
    return g_inet_address_to_string(
        g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(r->conn->local)));
}

/* The application headers around a retCode. */
static void
put_frame(http_request *r)
{
    const http_options *o = &r->lane->http->options;
    char text[16];

    if (r->face == HTTP_FACE_CODE) {
        g_snprintf(text, sizeof text, "%d", r->code);
        http_answer_header(r, "code", text);
    } else {
        http_answer_header(r, "uri", r->path);
    }
    if (!r->frame)
        return;
    http_answer_header(r, "eventmeshcluster", o->cluster);
    g_autofree char *address = own_address(r);
    http_answer_header(r, "eventmeship", address);
    http_answer_header(r, "eventmeshenv", o->env);
    http_answer_header(r, "eventmeshidc", o->idc);
}

void
http_ret(http_request *r, uint32_t status, int ret, const char *text)
{
    g_autoptr(GString) body = g_string_new(NULL);

    if (r->gone || r->answered)
        return;
    text = text != NULL ? text : http_ret_text(ret);
    put_frame(r);
    g_string_append_printf(body, "{\"retCode\":%d,\"retMsg\":", ret);
    http_json_put(body, text, strlen(text));
    if (r->face == HTTP_FACE_CODE)
        g_string_append_printf(body, ",\"resTime\":%" G_GUINT64_FORMAT, http_wall_ms(r->lane));
    g_string_append_c(body, '}');
    size_t len = body->len;
    http_answer(r, status, PLAIN_TYPE, g_string_free(g_steal_pointer(&body), FALSE), len);
}

void
http_retf(http_request *r, int ret, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *more = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_autofree char *text = g_strconcat(http_ret_text(ret), more, NULL);
    http_ret(r, 200, ret, text);
}
