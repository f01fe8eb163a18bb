/* SPDX-License-Identifier: Apache-2.0
 *
 * The key-file reader. Pure over (pointer, length): no file, no state, nothing kept.
 */
#include "parse.h"
#include <string.h>

typedef struct scan {
    const emesh_conf_reader *reader;
    void *ctx;
    uint32_t line;
    bool in_section; /* a header was seen */
    bool wanted;     /* and its entries are */
    char *scratch;   /* one line and its NULs */
} scan;

static void G_GNUC_PRINTF(3, 4)
refuse(const scan *s, const char *key, const char *why, ...)
{
    va_list ap;
    va_start(ap, why);
    g_autofree char *text = g_strdup_vprintf(why, ap);
    va_end(ap);
    s->reader->refuse(s->ctx, s->line, key, text);
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void
trim(const char **p, size_t *len)
{
    while (*len > 0 && is_blank(**p)) {
        (*p)++;
        (*len)--;
    }
    while (*len > 0 && is_blank((*p)[*len - 1]))
        (*len)--;
}

static bool
all_visible(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] < 0x21 || p[i] > 0x7e)
            return false;
    return len > 0;
}

/* "[kind]" or "[kind name]"; p is trimmed and begins with "[". */
static void
read_header(scan *s, const char *p, size_t len)
{
    s->in_section = true;
    s->wanted = false;
    if (p[len - 1] != ']' || len < 2) {
        refuse(s, NULL, "a section's line ends in \"]\"; write [section] or [topic NAME]");
        return;
    }
    p++;
    len -= 2;
    trim(&p, &len);

    size_t kind_len = 0;
    while (kind_len < len && !is_blank(p[kind_len]))
        kind_len++;
    const char *name = p + kind_len;
    size_t name_len = len - kind_len;
    trim(&name, &name_len);
    if (!all_visible(p, kind_len) || (name_len > 0 && !all_visible(name, name_len))) {
        refuse(s, NULL, "a section is named by printable ASCII without blanks, as in [options] or "
                        "[topic NAME]");
        return;
    }
    char *kind_text = s->scratch;
    memcpy(kind_text, p, kind_len);
    kind_text[kind_len] = '\0';
    char *name_text = NULL;
    if (name_len > 0) {
        name_text = kind_text + kind_len + 1;
        memcpy(name_text, name, name_len);
        name_text[name_len] = '\0';
    }
    s->wanted = s->reader->section(s->ctx, s->line, kind_text, name_text);
}

/* The text between quotes into out. NULL: fine, else why not. */
static const char *
unquote(const char *p, size_t len, char *out, size_t *out_len)
{
    size_t n = 0;
    size_t i = 1;
    for (; i < len && p[i] != '"'; i++) {
        char c = p[i];
        if (c == '\\') {
            i++;
            char escape = i < len ? p[i] : '\0';
            if (escape == 'n')
                c = '\n';
            else if (escape == 't')
                c = '\t';
            else if (escape == '\\' || escape == '"')
                c = escape;
            else
                return "unknown escape in a quoted value; write \\\\, \\\", \\n or \\t";
        }
        out[n++] = c;
    }
    if (i >= len)
        return "the value's closing quote is missing";
    if (i + 1 != len)
        return "text after the closing quote; write \\\" for a quote inside of quotes";
    *out_len = n;
    return NULL;
}

static void
read_entry(scan *s, const char *p, size_t len)
{
    const char *equals = memchr(p, '=', len);
    if (equals == NULL) { /* the line is not shown: it may hold a secret */
        refuse(s, NULL, "neither a section nor a key; write key = value");
        return;
    }
    const char *key = p;
    size_t key_len = (size_t)(equals - p);
    const char *value = equals + 1;
    size_t value_len = len - key_len - 1;
    trim(&key, &key_len);
    trim(&value, &value_len);
    if (!all_visible(key, key_len) || key_len > EMESH_CONF_KEY_MOST) {
        refuse(s, NULL, "a key is 1 to %u printable ASCII characters without blanks",
               EMESH_CONF_KEY_MOST);
        return;
    }
    char *key_text = s->scratch;
    memcpy(key_text, key, key_len);
    key_text[key_len] = '\0';
    if (!s->in_section) {
        refuse(s, key_text, "stands before the first section; write [options] or another one "
                            "above it");
        return;
    }
    if (!s->wanted)
        return;

    char *value_text = key_text + key_len + 1;
    if (value_len > 0 && value[0] == '"') {
        const char *why = unquote(value, value_len, value_text, &value_len);
        if (why != NULL) {
            refuse(s, key_text, "%s", why);
            return;
        }
    } else {
        memcpy(value_text, value, value_len);
    }
    value_text[value_len] = '\0';
    s->reader->entry(s->ctx, s->line, key_text, value_text, value_len);
}

static void
read_line(scan *s, const char *p, size_t len)
{
    if (len > 0 && p[len - 1] == '\r')
        len--;
    if (len > EMESH_CONF_LINE_MOST) {
        refuse(s, NULL, "line of %zu bytes; at most %u are read", len, EMESH_CONF_LINE_MOST);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        if (((unsigned char)p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f) {
            refuse(s, NULL, "control character 0x%02x in column %zu", (unsigned char)p[i], i + 1);
            return;
        }
    }
    if (!g_utf8_validate(p, (gssize)len, NULL)) {
        refuse(s, NULL, "not UTF-8");
        return;
    }
    trim(&p, &len);
    if (len == 0 || p[0] == '#' || p[0] == ';')
        return;
    if (p[0] == '[')
        read_header(s, p, len);
    else
        read_entry(s, p, len);
}

void
emesh_conf_read(const char *text, size_t len, const emesh_conf_reader *reader, void *ctx)
{
    scan s = { .reader = reader, .ctx = ctx };
    if (len > EMESH_CONF_FILE_MOST) {
        refuse(&s, NULL, "%zu bytes; a file has at most %u", len, EMESH_CONF_FILE_MOST);
        return;
    }
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* what Windows editors put first */
        text += 3;
        len -= 3;
    }
    const size_t room = MIN(len, EMESH_CONF_LINE_MOST) + 3;
    s.scratch = g_malloc0(room);
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t line_len = end != NULL ? (size_t)(end - text) : len;
        s.line++;
        read_line(&s, text, line_len);
        size_t step = MIN(line_len + 1, len);
        text += step;
        len -= step;
    }
    explicit_bzero(s.scratch, room); /* a secret may have passed through */
    g_free(s.scratch);
}
