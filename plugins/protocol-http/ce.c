/* SPDX-License-Identifier: Apache-2.0
 *
 * See ce.h. Any thread.
 */
#include "ce.h"
#include "percent.h"
#include <string.h>

#define PREFIX "application/cloudevents"
#define NAME_MAX_BYTES 128u

/* The type without its parameters. */
static size_t
bare_len(const char *type)
{
    size_t len = strcspn(type, ";");
    while (len > 0 && (type[len - 1] == ' ' || type[len - 1] == '\t'))
        len--;
    return len;
}

static bool
is_bare(const char *type, size_t len, const char *want)
{
    return strlen(want) == len && g_ascii_strncasecmp(type, want, len) == 0;
}

/* UTF-8 is all that JSON is. */
static bool
charset_ok(const char *type)
{
    const char *at = strchr(type, ';');
    while (at != NULL) {
        at += strspn(at, "; \t");
        if (g_ascii_strncasecmp(at, "charset=", 8) == 0) {
            at += 8;
            at += *at == '"';
            return g_ascii_strncasecmp(at, "utf-8", 5) == 0 ||
                   g_ascii_strncasecmp(at, "utf8", 4) == 0;
        }
        at = strchr(at, ';');
    }
    return true;
}

http_ce_mode
http_ce_mode_of(const char *type, bool version)
{
    size_t len;

    type = type != NULL ? type + strspn(type, " \t") : "";
    len = bare_len(type);
    if (len < sizeof PREFIX - 1 || g_ascii_strncasecmp(type, PREFIX, sizeof PREFIX - 1) != 0)
        return version ? HTTP_CE_BINARY : HTTP_CE_NONE;
    if (!charset_ok(type))
        return HTTP_CE_FORMAT;
    if (is_bare(type, len, PREFIX "-batch+json")) /* before the shorter prefix */
        return HTTP_CE_BATCH;
    return is_bare(type, len, PREFIX "+json") ? HTTP_CE_STRUCTURED : HTTP_CE_FORMAT;
}

bool
http_type_is_json(const char *type)
{
    size_t len = bare_len(type);
    if (len < 5 || memchr(type, '/', len) == NULL)
        return false;
    return (type[len - 5] == '/' || type[len - 5] == '+') &&
           g_ascii_strncasecmp(type + len - 4, "json", 4) == 0;
}

bool
http_type_is_text(const char *type)
{
    size_t len = bare_len(type);
    if (len > 5 && g_ascii_strncasecmp(type, "text/", 5) == 0)
        return true;
    return is_bare(type, len, "application/xml") ||
           (len > 4 && g_ascii_strncasecmp(type + len - 4, "+xml", 4) == 0);
}

static bool
refuse(http_ce_flaw *flaw, const char *field, const char *text)
{
    g_strlcpy(flaw->field, field, sizeof flaw->field);
    g_strlcpy(flaw->text, text, sizeof flaw->text);
    return false;
}

static bool
take_version(const char *value, http_ce_flaw *flaw)
{
    if (strcmp(value, "1.0") == 0)
        return true;
    return refuse(flaw, "ce-specversion", "is not 1.0, the version that is spoken here");
}

bool
http_ce_take_header(http_attrs *to, const char *name, const char *value, bool lenient,
                    uint32_t *taken, http_ce_flaw *flaw)
{
    char lower[NAME_MAX_BYTES + 1];
    size_t len = strlen(name), n = 0, value_len = strlen(value);

    if (len < 3 || g_ascii_strncasecmp(name, "ce-", 3) != 0)
        return true;
    name += 3;
    len -= 3;
    for (n = 0; n < len && n < NAME_MAX_BYTES; n++)
        lower[n] = g_ascii_tolower(name[n]);
    lower[n] = '\0';
    if (n < len || !http_name_ok(lower, n) || strcmp(lower, "data") == 0)
        return refuse(flaw, name - 3,
                      "is no attribute's name: these are a-z and 0-9, and not data");
    if (strcmp(lower, "datacontenttype") == 0)
        return true; /* Content-Type says it */
    if (http_attrs_has(to, lower))
        return refuse(flaw, name - 3, "is given twice");
    if (to->list->len >= HTTP_ATTRS_MAX)
        return refuse(flaw, name - 3, "is one attribute too many");
    char small[256], *large = value_len < sizeof small ? NULL : g_malloc(value_len + 1);
    char *decoded = large != NULL ? large : small;
    const char *why = http_percent_header(value, value_len, decoded, &n);
    if (why != NULL && lenient && g_utf8_validate(value, -1, NULL)) {
        memcpy(decoded, value, value_len);
        n = value_len;
        why = NULL;
        ++*taken;
    }
    if (why == NULL) {
        const char *kept = http_attrs_keep(to, decoded, n);
        http_attrs_set_len(to, http_attrs_keep(to, lower, strlen(lower)), kept, n);
    }
    g_free(large);
    return why == NULL || refuse(flaw, name - 3, why);
}

bool
http_ce_take_end(http_attrs *to, http_ce_flaw *flaw)
{
    static const char *const wanted[] = { "specversion", "id", "source", "type" };
    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
        if (http_attrs_has(to, wanted[i]))
            continue;
        g_autofree char *field = g_strconcat("ce-", wanted[i], NULL);
        return refuse(flaw, field, "is missing");
    }
    for (guint i = 0; i < to->list->len; i++) {
        const emesh_attr *attr = &g_array_index(to->list, emesh_attr, i);
        if (attr->value_len == 0 && http_name_reserved(attr->name, attr->name_len)) {
            g_autofree char *field = g_strdup_printf("ce-%.*s", (int)attr->name_len, attr->name);
            return refuse(flaw, field, "is empty");
        }
        if (attr->name_len == 11 && memcmp(attr->name, "specversion", 11) == 0 &&
            !take_version(attr->value, flaw))
            return false;
    }
    return true;
}
