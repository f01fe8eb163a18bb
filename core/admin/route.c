/* SPDX-License-Identifier: Apache-2.0
 *
 * From a path to what answers it: our own endpoints, the commands under /v1/, and those that tools
 * of the reference know. [lane]
 */
#include "admin/compat.h"
#include "admin/face.h"
#include "admin/openapi.h"

#include <string.h>

static void
healthz(emesh_admin_request *request)
{
    emesh_http_probe(request, false);
}

static void
readyz(emesh_admin_request *request)
{
    emesh_http_probe(request, true);
}

static void
openapi(emesh_admin_request *request)
{
    gsize len = 0;
    char *text = emesh_openapi_text(&len);
    emesh_request_answer(request, 200, "application/json", text, len);
}

static const struct {
    const char *path, *method;
    void (*serve)(emesh_admin_request *request);
} fixed[] = {
    { "/healthz", "GET", healthz },
    { "/readyz", "GET", readyz },
    { "/v1/openapi.json", "GET", openapi },
    { "/v1/publish", "POST", emesh_http_publish },
    { "/v1/subscribe", "GET", emesh_http_subscribe },
};

void
emesh_request_405(emesh_admin_request *request, const char *path, const char *allowed)
{
    gsize len = 0;
    g_autofree char *text = g_strdup_printf("%.100s wants %s", path, allowed);
    char *body = emesh_json_error(EMESH_E_INVALID, text, &len);
    soup_message_headers_replace(soup_server_message_get_response_headers(request->msg), "Allow",
                                 allowed);
    emesh_request_answer(request, 405, "application/json", body, len);
}

/* HEAD is a GET whose body libsoup keeps back. */
static const char *
method_of(const emesh_admin_request *request)
{
    const char *method = soup_server_message_get_method(request->msg);
    return strcmp(method, "HEAD") == 0 ? "GET" : method;
}

static bool
serve_fixed(emesh_admin_request *request, const char *path, const char *method)
{
    for (uint32_t i = 0; i < G_N_ELEMENTS(fixed); i++) {
        if (strcmp(path, fixed[i].path) != 0)
            continue;
        if (strcmp(method, fixed[i].method) == 0)
            fixed[i].serve(request);
        else
            emesh_request_405(request, path, fixed[i].method);
        return true;
    }
    return false;
}

void
emesh_http_route(emesh_admin_request *request, const char *path)
{
    static const char command[] = "/v1/command/";
    const char *method = method_of(request);
    if (serve_fixed(request, path, method) || emesh_http_api(request, path, method) ||
        emesh_compat_serve(request, path, method))
        return;
    if (!g_str_has_prefix(path, command))
        emesh_request_fail(request, EMESH_E_NOT_FOUND,
                           "nothing at '%.100s'; GET /v1/openapi.json names all there is", path);
    else if (strcmp(method, "POST") != 0)
        emesh_request_405(request, path, "POST");
    else
        emesh_http_command(request, path + sizeof command - 1);
}
