/* SPDX-License-Identifier: Apache-2.0
 *
 * See percent.h. Any thread.
 */
#include "percent.h"
#include <string.h>

static int
byte_at(const char *p, size_t left)
{
    if (left < 3 || !g_ascii_isxdigit(p[1]) || !g_ascii_isxdigit(p[2]))
        return -1;
    return g_ascii_xdigit_value(p[1]) << 4 | g_ascii_xdigit_value(p[2]);
}

const char *
http_percent_header(const char *text, size_t len, char *out, size_t *n)
{
    bool quoted = len >= 2 && text[0] == '"' && text[len - 1] == '"';
    size_t at = 0;

    if (quoted) {
        text++;
        len -= 2;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%') {
            int byte = byte_at(text + i, len - i);
            if (byte < 0)
                return "has a % without two hex digits behind it";
            out[at++] = (char)byte;
            i += 2;
        } else if (quoted && text[i] == '\\' && i + 1 < len) {
            out[at++] = text[++i];
        } else {
            out[at++] = text[i];
        }
    }
    *n = at;
    return g_utf8_validate_len(out, at, NULL) ? NULL : "does not decode to UTF-8";
}

static void
put_byte(GString *to, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";
    char text[3] = { '%', hex[c >> 4], hex[c & 15] };
    g_string_append_len(to, text, 3);
}

void
http_percent_put_header(GString *to, const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c > 0x20 && c < 0x7f && c != '"' && c != '%')
            g_string_append_c(to, (char)c);
        else
            put_byte(to, c);
    }
}

static gssize
decode(char *text, size_t len, bool plus)
{
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%') {
            int byte = byte_at(text + i, len - i);
            if (byte < 0)
                return -1;
            text[at++] = (char)byte;
            i += 2;
        } else {
            text[at++] = plus && text[i] == '+' ? ' ' : text[i];
        }
    }
    return (gssize)at;
}

gssize
http_percent_form(char *text, size_t len)
{
    return decode(text, len, true);
}

void
http_percent_put_form(GString *to, const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        if (g_ascii_isalnum(c) || (c != '\0' && strchr("-_.*", c) != NULL))
            g_string_append_c(to, (char)c);
        else if (c == ' ')
            g_string_append_c(to, '+');
        else
            put_byte(to, c);
    }
}

char *
http_percent_path(const char *text, size_t len)
{
    char *out = g_strndup(text, len);
    gssize n = decode(out, strlen(out), false);
    if (n >= 0 && g_utf8_validate_len(out, (size_t)n, NULL)) {
        out[n] = '\0';
        return out;
    }
    g_free(out);
    return NULL;
}
