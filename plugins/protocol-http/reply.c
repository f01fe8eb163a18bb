/* SPDX-License-Identifier: Apache-2.0
 *
 * See reply.h. Any thread.
 */
#include "reply.h"
#include <string.h>

void
http_reply_init(http_reply *r)
{
    *r = (http_reply){ .head = soup_message_headers_new(SOUP_MESSAGE_HEADERS_RESPONSE),
                       .lines = g_string_new(NULL),
                       .plain = g_string_new(NULL) };
}

void
http_reply_clear(http_reply *r)
{
    g_clear_pointer(&r->head, soup_message_headers_unref);
    g_string_free(g_steal_pointer(&r->lines), TRUE);
    g_string_free(g_steal_pointer(&r->plain), TRUE);
}

/* With the empty line; 0: it is not whole. */
static size_t
head_len(const char *text, size_t len)
{
    const char *line = text, *end = text + len, *lf;

    while ((lf = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        if (line > text && (lf == line || (lf == line + 1 && *line == '\r')))
            return (size_t)(lf + 1 - text);
        line = lf + 1;
    }
    return 0;
}

/* A line with a number in hex: what it takes, 0 = it is not whole, -1 = it is none. */
static ssize_t
chunk_size(const char *text, size_t len, size_t *size)
{
    const char *lf = memchr(text, '\n', len);
    size_t n = 0, digits = 0;

    for (; digits < len && g_ascii_isxdigit(text[digits]); digits++) {
        if (digits == 8)
            return -1;
        n = n * 16 + (size_t)g_ascii_xdigit_value(text[digits]);
    }
    *size = n;
    if (lf == NULL)
        return len > 1024 ? -1 : 0;
    return digits > 0 ? lf + 1 - text : -1;
}

static http_reply_state
read_chunks(http_reply *r, const char *text, size_t len)
{
    size_t at = r->len, size, most = HTTP_REPLY_MAX;
    ssize_t line;

    g_string_truncate(r->plain, 0);
    while ((line = chunk_size(text + at, len - at, &size)) > 0) {
        at += (size_t)line;
        if (size == 0) { /* trailers, if any, up to an empty line */
            if (len - at >= 2 && memcmp(text + at, "\r\n", 2) == 0)
                line = 2;
            else
                line = (ssize_t)head_len(text + at, len - at);
            r->len = at + (size_t)line;
            r->body = r->plain->str;
            r->body_len = r->plain->len;
            return line > 0                            ? HTTP_REPLY_WHOLE
                   : len - at > (size_t)HTTP_REPLY_MAX ? HTTP_REPLY_BROKEN
                                                       : HTTP_REPLY_MORE;
        }
        g_string_append_len(r->plain, text + at, (gssize)MIN(size, len - at));
        if (r->plain->len >= most) {
            r->body = r->plain->str;
            r->body_len = most;
            r->keep = false;
            return HTTP_REPLY_WHOLE;
        }
        if (len - at < size + 2)
            return HTTP_REPLY_MORE;
        at += size;
        if (memcmp(text + at, "\r\n", 2) != 0)
            return HTTP_REPLY_BROKEN;
        at += 2;
    }
    return line < 0 ? HTTP_REPLY_BROKEN : HTTP_REPLY_MORE;
}

static http_reply_state
read_length(http_reply *r, size_t len)
{
    goffset said = soup_message_headers_get_content_length(r->head);
    size_t want = said < 0 ? 0 : (size_t)said, have = len - r->len;

    r->body_len = MIN(MIN(have, want), HTTP_REPLY_MAX);
    if (have >= want) {
        r->len += want;
        return HTTP_REPLY_WHOLE;
    }
    r->keep = false;
    return r->body_len == HTTP_REPLY_MAX ? HTTP_REPLY_WHOLE : HTTP_REPLY_MORE;
}

static http_reply_state
read_body(http_reply *r, const char *text, size_t len)
{
    r->body = text + r->len;
    r->body_len = 0;
    if (r->status == 204 || r->status == 304)
        return HTTP_REPLY_WHOLE;
    switch (soup_message_headers_get_encoding(r->head)) {
    case SOUP_ENCODING_CHUNKED:
        return read_chunks(r, text, len);
    case SOUP_ENCODING_CONTENT_LENGTH:
        return read_length(r, len);
    case SOUP_ENCODING_EOF:
    case SOUP_ENCODING_NONE:
        r->keep = false;
        r->body_len = MIN(len - r->len, HTTP_REPLY_MAX);
        return r->body_len == HTTP_REPLY_MAX ? HTTP_REPLY_WHOLE : HTTP_REPLY_ENDS;
    default:
        return HTTP_REPLY_BROKEN;
    }
}

http_reply_state
http_reply_read(http_reply *r, const char *text, size_t len)
{
    SoupHTTPVersion version;
    const char *ends;

    for (r->len = 0;;) { /* over answers that are none yet: 1xx */
        size_t head = head_len(text + r->len, len - r->len);
        if (head == 0)
            return len - r->len > HTTP_REPLY_MAX ? HTTP_REPLY_BROKEN : HTTP_REPLY_MORE;
        size_t blank = text[r->len + head - 2] == '\r' ? 2 : 1;
        soup_message_headers_clear(r->head);
        if (head > HTTP_REPLY_MAX)
            return HTTP_REPLY_BROKEN;
        g_string_truncate(r->lines, 0); /* libsoup's parser looks for a NUL behind it */
        g_string_append_len(r->lines, text + r->len, (gssize)(head - blank));
        if (!soup_headers_parse_response(r->lines->str, (int)r->lines->len, r->head, &version,
                                         &r->status, NULL) ||
            r->status == 101)
            return HTTP_REPLY_BROKEN;
        r->len += head;
        if (r->status >= 200)
            break;
    }
    ends = soup_message_headers_get_list(r->head, "Connection");
    r->keep = version == SOUP_HTTP_1_1 && (ends == NULL || !soup_header_contains(ends, "close"));
    return read_body(r, text, len);
}
