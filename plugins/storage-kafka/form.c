/* SPDX-License-Identifier: Apache-2.0
 *
 * See form.h.
 */
#include "form.h"

#include <string.h>

const char kf_type_letters[KF_TYPES + 1] = "sibxurt";
const char *const kf_form_names[5] = { "none", "bytes", "text", "json", "proto" };

/* How long the type is without its parameters. */
static size_t
bare(const char *type, size_t len)
{
    const char *end = memchr(type, ';', len);
    size_t n = end != NULL ? (size_t)(end - type) : len;

    while (n > 0 && (type[n - 1] == ' ' || type[n - 1] == '\t'))
        n--;
    return n;
}

static bool
ends(const char *type, size_t len, const char *with)
{
    size_t n = strlen(with);

    return len >= n && g_ascii_strncasecmp(type + len - n, with, n) == 0;
}

static bool
begins(const char *type, size_t len, const char *with)
{
    size_t n = strlen(with);

    return len >= n && g_ascii_strncasecmp(type, with, n) == 0;
}

uint32_t
kf_form_of(const void *type, size_t len)
{
    const char *text = type;
    size_t n;

    if (type == NULL)
        return EMESH_DATA_BYTES;
    n = bare(text, len);
    if (ends(text, n, "/json") || ends(text, n, "+json"))
        return EMESH_DATA_JSON;
    if (begins(text, n, "text/") || ends(text, n, "/xml") || ends(text, n, "+xml"))
        return EMESH_DATA_TEXT;
    return EMESH_DATA_BYTES;
}

bool
kf_is_structured(const void *type, size_t len, bool *json)
{
    static const char prefix[] = "application/cloudevents";
    const char *text = type;
    size_t n;

    *json = false;
    if (type == NULL || !begins(text, len, prefix))
        return false;
    n = bare(text, len);
    *json = n == sizeof prefix - 1 + 5 && ends(text, n, "+json");
    return true;
}
