/* SPDX-License-Identifier: Apache-2.0
 *
 * See json.h. Any thread.
 */
#include "json.h"
#include <string.h>

void
http_json_begin(http_json *j, const char *text, size_t len)
{
    *j = (http_json){ .at = text, .end = text + len };
    if (!g_utf8_validate_len(text, len, NULL))
        j->flaw = "it is not UTF-8, or has a zero byte";
}

static bool
fail(http_json *j, const char *flaw)
{
    if (j->flaw == NULL)
        j->flaw = flaw;
    return false;
}

static char
peek(http_json *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
        j->at++;
    return j->flaw == NULL && j->at < j->end ? *j->at : '\0';
}

static int
hex_of(char c)
{
    return g_ascii_xdigit_value(c);
}

/* Four hex digits at p, or -1. */
static int
unit_at(const char *p, const char *end)
{
    int unit = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        if (hex_of(p[i]) < 0)
            return -1;
        unit = unit << 4 | hex_of(p[i]);
    }
    return unit;
}

/* Behind a backslash: how long the escape is, 0 = wrong. *code: its character. */
static size_t
escape_at(const char *p, const char *end, gunichar *code)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    int unit, low;

    if (p == end)
        return 0;
    const char *letter = strchr(letters, *p);
    if (letter != NULL && *p != '\0') {
        *code = (gunichar)meanings[letter - letters];
        return 1;
    }
    if (*p != 'u' || (unit = unit_at(p + 1, end)) < 0)
        return 0;
    *code = (gunichar)unit;
    if (unit < 0xd800 || unit > 0xdfff)
        return 5;
    if (unit > 0xdbff || end - p < 11 || p[5] != '\\' || p[6] != 'u')
        return 0;
    low = unit_at(p + 7, end);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *code = 0x10000 + (((gunichar)unit & 0x3ff) << 10 | ((gunichar)low & 0x3ff));
    return 11;
}

static bool
read_string(http_json *j, http_value *v)
{
    const char *p = ++j->at;
    gunichar code;

    v->type = HTTP_JSON_STRING;
    v->escaped = false;
    for (; p < j->end && *p != '"'; p++) {
        if ((unsigned char)*p < 0x20)
            return fail(j, "a control character in a string");
        if (*p != '\\')
            continue;
        size_t n = escape_at(p + 1, j->end, &code);
        if (n == 0)
            return fail(j, "a wrong escape in a string");
        v->escaped = true;
        p += n;
    }
    if (p >= j->end)
        return fail(j, "a string does not end");
    v->ptr = j->at;
    v->len = (size_t)(p - j->at);
    j->at = p + 1;
    return true;
}

static size_t
digits(http_json *j)
{
    const char *from = j->at;
    while (j->at < j->end && g_ascii_isdigit(*j->at))
        j->at++;
    return (size_t)(j->at - from);
}

static bool
read_number(http_json *j, http_value *v)
{
    v->type = HTTP_JSON_NUMBER;
    v->ptr = j->at;
    if (*j->at == '-')
        j->at++;
    const char *from = j->at;
    size_t n = digits(j);
    if (n == 0 || (n > 1 && *from == '0'))
        return fail(j, "a wrong number");
    if (j->at < j->end && *j->at == '.') {
        j->at++;
        if (digits(j) == 0)
            return fail(j, "a wrong number");
    }
    if (j->at < j->end && (*j->at == 'e' || *j->at == 'E')) {
        j->at++;
        if (j->at < j->end && (*j->at == '+' || *j->at == '-'))
            j->at++;
        if (digits(j) == 0)
            return fail(j, "a wrong number");
    }
    v->len = (size_t)(j->at - v->ptr);
    return true;
}

static bool
read_word(http_json *j, http_value *v)
{
    static const struct {
        const char *text;
        http_json_type type;
    } words[] = { { "true", HTTP_JSON_TRUE },
                  { "false", HTTP_JSON_FALSE },
                  { "null", HTTP_JSON_NULL } };
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        size_t n = strlen(words[i].text);
        if ((size_t)(j->end - j->at) >= n && memcmp(j->at, words[i].text, n) == 0) {
            *v = (http_value){ .ptr = j->at, .len = n, .type = words[i].type };
            j->at += n;
            return true;
        }
    }
    return fail(j, "something that is no value");
}

static bool
scalar(http_json *j, http_value *v)
{
    char c = peek(j);
    if (c == '"')
        return read_string(j, v);
    if (c == '-' || g_ascii_isdigit(c))
        return read_number(j, v);
    return read_word(j, v);
}

bool
http_json_open(http_json *j, char bracket)
{
    if (peek(j) != bracket)
        return fail(j, bracket == '{' ? "an object is missing" : "an array is missing");
    j->at++;
    return true;
}

bool
http_json_item(http_json *j, bool first)
{
    char c = peek(j);
    if (c == ']') {
        j->at++;
        return false;
    }
    if (first)
        return c != '\0' || fail(j, "an array does not end");
    if (c != ',')
        return fail(j, "a comma or ] is missing");
    j->at++;
    return peek(j) != ']' || fail(j, "a value is missing");
}

bool
http_json_key(http_json *j, bool first, http_value *key)
{
    char c = peek(j);
    if (c == '}') {
        j->at++;
        return false;
    }
    if (!first) {
        if (c != ',')
            return fail(j, "a comma or } is missing");
        j->at++;
        c = peek(j);
    }
    if (c != '"')
        return fail(j, "a key is missing");
    if (!read_string(j, key))
        return false;
    if (peek(j) != ':')
        return fail(j, "a colon is missing");
    j->at++;
    return true;
}

bool
http_json_value(http_json *j, http_value *v)
{
    char open[HTTP_JSON_DEPTH];
    bool first = true;
    int depth = 0;
    http_value inner;
    char c = peek(j);

    if (c != '{' && c != '[')
        return scalar(j, v);
    v->type = c == '{' ? HTTP_JSON_OBJECT : HTTP_JSON_ARRAY;
    v->escaped = false;
    v->ptr = j->at;
    open[depth++] = c;
    j->at++;
    while (depth > 0) {
        bool more =
            open[depth - 1] == '{' ? http_json_key(j, first, &inner) : http_json_item(j, first);
        if (j->flaw != NULL)
            return false;
        first = false;
        if (!more) {
            depth--;
            continue;
        }
        c = peek(j);
        if (c != '{' && c != '[') {
            if (!scalar(j, &inner))
                return false;
        } else if (depth == HTTP_JSON_DEPTH) {
            return fail(j, "it is nested too deeply");
        } else {
            open[depth++] = c;
            j->at++;
            first = true;
        }
    }
    v->len = (size_t)(j->at - v->ptr);
    return true;
}

bool
http_json_end(http_json *j)
{
    peek(j);
    if (j->flaw == NULL && j->at != j->end)
        fail(j, "something follows the value");
    return j->flaw == NULL;
}

bool
http_json_valid(const char *text, size_t len)
{
    http_json j;
    http_value v;
    http_json_begin(&j, text, len);
    return http_json_value(&j, &v) && http_json_end(&j);
}

char *
http_json_text(const http_value *v)
{
    if (v->type != HTTP_JSON_STRING)
        return NULL;
    if (!v->escaped)
        return g_strndup(v->ptr, v->len);
    GString *text = g_string_sized_new(v->len);
    for (size_t i = 0; i < v->len; i++) {
        gunichar code = 0;
        if (v->ptr[i] != '\\') {
            g_string_append_c(text, v->ptr[i]);
            continue;
        }
        i += escape_at(v->ptr + i + 1, v->ptr + v->len, &code);
        if (code == 0) {
            g_string_free(text, TRUE);
            return NULL;
        }
        g_string_append_unichar(text, code);
    }
    return g_string_free(text, FALSE);
}

char *
http_json_scalar(const http_value *v)
{
    switch (v->type) {
    case HTTP_JSON_STRING:
        return http_json_text(v);
    case HTTP_JSON_NUMBER:
    case HTTP_JSON_TRUE:
    case HTTP_JSON_FALSE:
        return g_strndup(v->ptr, v->len);
    default:
        return NULL;
    }
}

bool
http_json_is(const http_value *v, const char *text)
{
    if (v->type != HTTP_JSON_STRING)
        return false;
    if (!v->escaped)
        return v->len == strlen(text) && memcmp(v->ptr, text, v->len) == 0;
    g_autofree char *plain = http_json_text(v);
    return g_strcmp0(plain, text) == 0;
}

static void
put_escaped(GString *to, unsigned char c)
{
    static const char letters[] = "\b\f\n\r\t\"\\", names[] = "bfnrt\"\\";
    const char *letter = c != '\0' ? strchr(letters, c) : NULL;
    if (letter != NULL)
        g_string_append_printf(to, "\\%c", names[letter - letters]);
    else
        g_string_append_printf(to, "\\u%04x", c);
}

void
http_json_put(GString *to, const char *text, size_t len)
{
    const char *end = text + len;

    g_string_append_c(to, '"');
    while (text < end) {
        const char *run = text;
        while (text < end && (unsigned char)*text >= 0x20 && *text != '"' && *text != '\\' &&
               (unsigned char)*text < 0x80)
            text++;
        g_string_append_len(to, run, text - run);
        if (text == end)
            break;
        if ((unsigned char)*text < 0x80) {
            put_escaped(to, (unsigned char)*text++);
            continue;
        }
        if ((gint32)g_utf8_get_char_validated(text, end - text) >= 0) {
            const char *next = g_utf8_next_char(text);
            g_string_append_len(to, text, next - text);
            text = next;
        } else {
            g_string_append(to, "\xef\xbf\xbd");
            text++;
        }
    }
    g_string_append_c(to, '"');
}
