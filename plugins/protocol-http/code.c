/* SPDX-License-Identifier: Apache-2.0
 *
 * The request-code API: what a request wants is the number in its header `code`, or in the query
 * of a GET; its path means nothing. [lane]
 */
#include "code.h"
#include <stdlib.h>
#include <string.h>

static const struct {
    int code;
    void (*serve)(http_request *r, http_params *p);
} codes[] = {
    { 101, http_code_send },        { 102, http_code_batch },     { 104, http_code_send },
    { 107, http_code_send },        { 203, http_code_heartbeat }, { 206, http_code_subscribe },
    { 207, http_code_unsubscribe }, { 301, http_code_send },
};

static bool
version_ok(const http_request *r)
{
    const char *version = http_request_header(r, "version");
    return version == NULL || strspn(version, " ") == strlen(version) ||
           strcmp(version, "1.0") == 0 || strcmp(version, "2.0") == 0;
}

void
http_code(http_request *r)
{
    const char *text = http_request_header(r, "code");
    http_params params;
    const char *flaw;

    if (!version_ok(r)) {
        r->face = HTTP_FACE_PLAIN;
        http_refuse(r, 400, "version", "version is neither 1.0 nor 2.0");
        return;
    }
    if (text == NULL)
        text = http_request_param(r, "code");
    if (text != NULL && *text != '\0' && strlen(text) < 6 &&
        strspn(text, "0123456789") == strlen(text))
        r->code = atoi(text);
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (codes[i].code != r->code)
            continue;
        flaw = http_params_read(&params, r);
        r->frame = true;
        if (flaw != NULL)
            http_code_broken(r, flaw);
        else
            codes[i].serve(r, &params);
        http_params_clear(&params, r->lane);
        return;
    }
    http_ret(r, 400, 2, NULL);
}

void
http_code_broken(http_request *r, const char *flaw)
{
    g_autofree char *text = g_strconcat(http_ret_text(18), ": ", flaw, NULL);
    r->frame = false;
    http_ret(r, 500, 18, text);
}
