/* SPDX-License-Identifier: Apache-2.0
 *
 * The pull scanner: grammar and containers. Strings are in text.c. Any thread.
 */
#include "json.h"
#include "text.h"

#include <string.h>

static bool
flaw(tcp_json *j, const char *why)
{
    if (j->flaw == NULL)
        j->flaw = why;
    return false;
}

void
tcp_json_begin(tcp_json *j, const void *text, size_t len)
{
    *j = (tcp_json){ .at = text, .end = (const uint8_t *)text + len };
}

static inline void
space(tcp_json *j)
{
    /* most of what has a meaning is above the four, so one comparison decides */
    while (j->at < j->end && *j->at <= ' ' &&
           (*j->at == ' ' || *j->at == '\n' || *j->at == '\r' || *j->at == '\t'))
        j->at++;
}

static inline tcp_json_type
peek(tcp_json *j)
{
    space(j);
    if (j->at == j->end)
        return TCP_JSON_BAD;
    switch (*j->at) {
    case '"':
        return TCP_JSON_STRING;
    case '{':
        return TCP_JSON_OBJECT;
    case '[':
        return TCP_JSON_ARRAY;
    case 't':
        return TCP_JSON_TRUE;
    case 'f':
        return TCP_JSON_FALSE;
    case 'n':
        return TCP_JSON_NULL;
    default:
        return *j->at == '-' || (*j->at >= '0' && *j->at <= '9') ? TCP_JSON_NUMBER : TCP_JSON_BAD;
    }
}

tcp_json_type
tcp_json_peek(tcp_json *j)
{
    return peek(j);
}

/* A flaw inside a word, number or string: more text might mend it if it stands at the end. */
static bool
flaw_at(tcp_json *j, const uint8_t *at, const char *why)
{
    j->cut = j->end - at < 12; /* the longest that reads as one: a pair of \\u escapes */
    return flaw(j, why);
}

static inline bool
string(tcp_json *j, tcp_value *v)
{
    const uint8_t *from = ++j->at;
    const uint8_t *to = tcp_text_short(from, j->end);
    if (to == NULL) {
        const char *why = NULL;
        to = tcp_text_string(from, j->end, &v->escaped, &why);
        if (why != NULL)
            return flaw_at(j, to, why);
    }
    v->type = TCP_JSON_STRING;
    v->ptr = (const char *)from;
    v->len = (size_t)(to - from);
    j->at = to + 1;
    return true;
}

static const uint8_t *
digits(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static bool
number(tcp_json *j, tcp_value *v)
{
    const uint8_t *p = j->at, *q;
    v->ptr = (const char *)p;
    p += *p == '-';
    q = digits(p, j->end);
    if (q == p || (*p == '0' && q > p + 1))
        return flaw_at(j, q, "a number is malformed");
    if (q < j->end && *q == '.') {
        p = q + 1;
        q = digits(p, j->end);
        if (q == p)
            return flaw_at(j, q, "a number is malformed");
    }
    if (q < j->end && (*q == 'e' || *q == 'E')) {
        p = q + 1;
        p += p < j->end && (*p == '+' || *p == '-');
        q = digits(p, j->end);
        if (q == p)
            return flaw_at(j, q, "a number is malformed");
    }
    v->type = TCP_JSON_NUMBER;
    v->len = (size_t)((const char *)q - v->ptr);
    j->at = q;
    return true;
}

static bool
literal(tcp_json *j, tcp_value *v, tcp_json_type type)
{
    static const char *const words[] = {
        [TCP_JSON_TRUE] = "true", [TCP_JSON_FALSE] = "false", [TCP_JSON_NULL] = "null"
    };
    size_t len = strlen(words[type]);
    if ((size_t)(j->end - j->at) < len || memcmp(j->at, words[type], len) != 0)
        return flaw_at(j, j->at, "an unknown word stands where a value is expected");
    v->type = type;
    v->ptr = (const char *)j->at;
    v->len = len;
    j->at += len;
    return true;
}

/* A string, number or literal. */
static bool
scalar(tcp_json *j, tcp_value *v, tcp_json_type type)
{
    v->escaped = false;
    if (type == TCP_JSON_STRING)
        return string(j, v);
    if (type == TCP_JSON_NUMBER)
        return number(j, v);
    if (type == TCP_JSON_BAD)
        return flaw(j, j->at == j->end ? "it ends too early" : "a value is malformed");
    return literal(j, v, type);
}

bool
tcp_json_open(tcp_json *j, char open)
{
    space(j);
    if (j->at == j->end || *j->at != (uint8_t)open)
        return flaw(j, open == '{' ? "it is not an object" : "it is not an array");
    if (++j->depth > TCP_JSON_DEPTH)
        return flaw(j, "it is nested too deeply");
    j->at++;
    j->comma = false;
    return true;
}

/* Common part of key and element: 1 = something follows, 0 = closed. */
static inline int
follow(tcp_json *j, char close)
{
    space(j);
    if (j->flaw != NULL || j->at == j->end) {
        flaw(j, "it ends too early");
        return -1;
    }
    if (*j->at == (uint8_t)close) {
        j->at++;
        j->depth--;
        j->comma = true;
        return 0;
    }
    if (j->comma) {
        if (*j->at != ',') {
            flaw(j, "a comma is missing");
            return -1;
        }
        j->at++;
        space(j);
        if (j->at < j->end && *j->at == (uint8_t)close) {
            flaw(j, "a comma stands before the end");
            return -1;
        }
    }
    j->comma = false;
    return 1;
}

int
tcp_json_key(tcp_json *j, tcp_value *key)
{
    int more = follow(j, '}');
    if (more != 1)
        return more;
    key->escaped = false;
    if (j->at == j->end || *j->at != '"') {
        flaw(j, "a member has no name");
        return -1;
    }
    if (!string(j, key))
        return -1;
    space(j);
    if (j->at == j->end || *j->at != ':') {
        flaw(j, "a colon is missing");
        return -1;
    }
    j->at++;
    return 1;
}

int
tcp_json_element(tcp_json *j)
{
    return follow(j, ']');
}

/* Walks a container without recursion: bit n of objects says what level n is. */
static bool
skip(tcp_json *j)
{
    uint64_t objects = 0;
    uint32_t outer = j->depth;
    do {
        tcp_value v;
        tcp_json_type type = peek(j);
        if (type == TCP_JSON_OBJECT || type == TCP_JSON_ARRAY) {
            bool is_object = type == TCP_JSON_OBJECT;
            if (!tcp_json_open(j, is_object ? '{' : '['))
                return false;
            uint64_t bit = 1ull << (j->depth - 1);
            objects = is_object ? objects | bit : objects & ~bit;
        } else {
            if (!scalar(j, &v, type))
                return false;
            j->comma = true;
        }
        int more = 0;
        while (j->depth > outer && more == 0) {
            bool in_object = (objects >> (j->depth - 1) & 1) != 0;
            more = in_object ? tcp_json_key(j, &v) : tcp_json_element(j);
        }
        if (more < 0)
            return false;
    } while (j->depth > outer);
    return true;
}

bool
tcp_json_value(tcp_json *j, tcp_value *v)
{
    if (j->flaw != NULL)
        return false;
    tcp_json_type type = peek(j);
    if (type != TCP_JSON_OBJECT && type != TCP_JSON_ARRAY) {
        if (!scalar(j, v, type))
            return false;
    } else {
        v->type = (uint8_t)type;
        v->escaped = false;
        v->ptr = (const char *)j->at;
        if (!skip(j))
            return false;
        v->len = (size_t)((const char *)j->at - v->ptr);
    }
    j->comma = true;
    return true;
}

bool
tcp_json_end(tcp_json *j)
{
    space(j);
    if (j->flaw != NULL)
        return false;
    if (j->depth > 0)
        return flaw(j, "it ends too early");
    return j->at == j->end || flaw(j, "something follows its end");
}

bool
tcp_json_valid(const void *text, size_t len)
{
    tcp_json j;
    tcp_value v;
    tcp_json_begin(&j, text, len);
    return tcp_json_value(&j, &v) && tcp_json_end(&j);
}

bool
tcp_json_prefix(const void *text, size_t len)
{
    tcp_json j;
    tcp_value v;
    tcp_json_begin(&j, text, len);
    if (tcp_json_value(&j, &v))
        return false;
    return j.cut || j.at == j.end;
}

bool
tcp_json_is_escaped(const tcp_value *v, const char *text, size_t len)
{
    char decoded[64];
    /* an escape takes at most six times its character */
    if (v->len > sizeof decoded || len > sizeof decoded)
        return false;
    return tcp_json_decode(v, decoded) == len && memcmp(decoded, text, len) == 0;
}
