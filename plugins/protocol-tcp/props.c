/* SPDX-License-Identifier: Apache-2.0
 *
 * Properties to attributes and back. [lane]
 */
#include "props.h"

#include <string.h>

#define NAME_MAX_BYTES 120u /* of a mapped name; the rest of 128 is for a number behind it */

static bool
refuse(tcp_props *p, const char *why)
{
    if (p->flaw == NULL)
        p->flaw = why;
    return false;
}

void
tcp_props_begin(tcp_props *p, bool strict)
{
    tcp_arena_reset(&p->arena);
    p->flaw = NULL;
    p->n = p->first = p->n_mapped = 0;
    p->strict = strict;
}

void
tcp_props_put(tcp_props *p, const char *name, size_t len, tcp_field value)
{
    p->original[p->n].ptr = NULL;
    p->list[p->n++] = (emesh_attr){ .name = name,
                                    .name_len = (uint32_t)len,
                                    .value = value.ptr,
                                    .value_len = (uint32_t)value.len };
}

/* The text of a value, decoded if it must be. ptr NULL: no memory. */
static tcp_field
text_of(tcp_props *p, const tcp_value *v)
{
    tcp_field text = { v->ptr, v->len };
    if (!v->escaped)
        return text;
    char *to = tcp_arena_take(&p->arena, v->len);
    text.ptr = to;
    text.len = to != NULL ? tcp_json_decode(v, to) : 0;
    if (to == NULL)
        refuse(p, "out of memory");
    return text;
}

void
tcp_props_put_value(tcp_props *p, const char *name, size_t len, const tcp_value *value)
{
    tcp_field text = text_of(p, value);
    if (text.ptr != NULL)
        tcp_props_put(p, name, len, text);
}

void
tcp_props_extensions(tcp_props *p)
{
    p->first = p->n;
}

#define IS(name, text) (memcmp(name, text, sizeof(text) - 1) == 0)

bool
tcp_name_reserved(const char *name, size_t len)
{
    switch (len) {
    case 2:
        return IS(name, "id");
    case 4:
        return IS(name, "type") || IS(name, "time") || IS(name, "data");
    case 6:
        return IS(name, "source");
    case 7:
        return IS(name, "subject") || IS(name, TCP_NAMES);
    case 10:
        return IS(name, "dataschema");
    case 11:
        return IS(name, "specversion");
    case 15:
        return IS(name, "datacontenttype");
    default:
        return false;
    }
}

bool
tcp_name_stamped(const char *name, size_t len)
{
    if (len < 6 || name[0] != 'r' || (!IS(name, "req") && !IS(name, "rsp")))
        return false;
    switch (len) {
    case 6:
        return IS(name, "rsp0ip");
    case 7:
        return IS(name, "rsp0sys") || IS(name, "rsp0idc");
    case 9:
        return IS(name, "rsp0group");
    case 18:
        return IS(name, "reqsendeventmeship");
    case 21:
        return IS(name, "reqreceiveeventmeship");
    case 23:
        return IS(name, "reqc2eventmeshtimestamp") || IS(name, "reqeventmesh2ctimestamp");
    case 24:
        return IS(name, "reqeventmesh2mqtimestamp") || IS(name, "reqmq2eventmeshtimestamp");
    default:
        return false;
    }
}

bool
tcp_name_stamped_reply(const char *name, size_t len)
{
    return (len == 21 && IS(name, "rspreceiveeventmeship")) ||
           (len == 23 && IS(name, "rspeventmesh2ctimestamp")) ||
           (len == 24 && IS(name, "rspmq2eventmeshtimestamp"));
}

static bool
legal(const char *name, size_t len)
{
    static const uint8_t characters[256] = { ['0' ... '9'] = 1, ['a' ... 'z'] = 1 };
    uint32_t all = 1;
    for (size_t i = 0; i < len; i++)
        all &= characters[(uint8_t)name[i]];
    return all && len > 0 && len <= 128 && !tcp_name_reserved(name, len);
}

static int32_t
find(const tcp_props *p, const char *name, size_t len)
{
    for (uint32_t i = p->first; i < p->n; i++) {
        if (p->list[i].name_len == len && memcmp(p->list[i].name, name, len) == 0)
            return (int32_t)i;
    }
    return -1;
}

static bool
same(tcp_field a, tcp_field b)
{
    return a.ptr != NULL && b.ptr != NULL && a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* Canonical form of an illegal name into out (room for twice its length and 2). 0: refused. */
static size_t
map_name(tcp_props *p, tcp_field name, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < name.len && n < NAME_MAX_BYTES; i++) {
        char c = name.ptr[i];
        if (c >= 'A' && c <= 'Z')
            out[n++] = (char)(c + ('a' - 'A'));
        else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            out[n++] = c;
        else if (c == '_')
            out[n++] = '9', out[n++] = '9';
        else if (p->strict)
            return 0;
    }
    if (n == 0 || tcp_name_reserved(out, n)) {
        memmove(out + 2, out, n);
        memcpy(out, "em", 2);
        n += 2;
    }
    return n;
}

/* Two originals may map to one name: a number behind it tells them apart. */
static bool
set_apart(tcp_props *p, tcp_field original, char *name, size_t *len, int32_t *at)
{
    size_t stem = *len;
    for (uint32_t k = 2; k < TCP_PROPS_MAX + 2; k++) {
        uint32_t digits = 0, value = k;
        char text[4];
        *at = find(p, name, *len);
        if (*at < 0 || same(p->original[*at], original))
            return true;
        while (value > 0) {
            text[digits++] = (char)('0' + value % 10);
            value /= 10;
        }
        *len = stem;
        while (digits > 0)
            name[(*len)++] = text[--digits];
    }
    return refuse(p, "too many properties have names that differ in case only");
}

/* Name of the attribute for original; *at is the place it has already, or -1. */
static tcp_field
canonical(tcp_props *p, tcp_field original, int32_t *at)
{
    bool as_it_is = legal(original.ptr, original.len);
    *at = as_it_is ? find(p, original.ptr, original.len) : -1;
    if (as_it_is && (*at < 0 || p->original[*at].ptr == NULL))
        return original;
    char *name = tcp_arena_take(&p->arena, original.len * 2 + 8);
    if (name == NULL) {
        refuse(p, "out of memory");
        return (tcp_field){ NULL, 0 };
    }
    size_t len = map_name(p, original, name);
    if (len == 0) {
        refuse(p, "a property name has other characters than letters, digits and _");
        return (tcp_field){ NULL, 0 };
    }
    if (!set_apart(p, original, name, &len, at))
        return (tcp_field){ NULL, 0 };
    return (tcp_field){ name, len };
}

void
tcp_props_set(tcp_props *p, const char *name, size_t len, tcp_field value)
{
    int32_t at = find(p, name, len);
    if (at < 0) {
        tcp_props_put(p, name, len, value);
        return;
    }
    p->list[at].value = value.ptr;
    p->list[at].value_len = (uint32_t)value.len;
}

bool
tcp_props_add(tcp_props *p, const tcp_value *name, const tcp_value *value)
{
    int32_t at;
    if (value->type == TCP_JSON_NULL)
        return true;
    if (value->type == TCP_JSON_OBJECT || value->type == TCP_JSON_ARRAY)
        return refuse(p, "a property is neither a text nor a number");
    if (name->len == 0)
        return refuse(p, "a property has no name");
    tcp_field original = text_of(p, name), text = text_of(p, value);
    if (original.ptr == NULL || text.ptr == NULL)
        return false;
    tcp_field made = canonical(p, original, &at);
    if (made.ptr == NULL)
        return false;
    if (at < 0) {
        if (p->n - p->first == TCP_PROPS_MAX)
            return refuse(p, "there are more than 512 properties");
        at = (int32_t)p->n++;
        bool mapped = made.ptr != original.ptr;
        p->n_mapped += mapped;
        p->original[at] = mapped ? original : (tcp_field){ NULL, 0 };
    }
    p->list[at] = (emesh_attr){ .name = made.ptr,
                                .name_len = (uint32_t)made.len,
                                .value = text.ptr,
                                .value_len = (uint32_t)text.len };
    return true;
}

bool
tcp_props_add_header(tcp_props *p, const tcp_header *h)
{
    for (uint32_t i = 0; i < h->n_props; i++) {
        if (!tcp_props_add(p, &h->props[i].name, &h->props[i].value))
            return false;
    }
    return true;
}

/* ---- the list of original names ---- */

static bool
plain(char c)
{
    return (unsigned char)c > ' ' && c != '%' && c != ',' && c != '=' && c != 0x7f;
}

static size_t
put_plain(char *out, tcp_field text)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (plain(text.ptr[i])) {
            out[n++] = text.ptr[i];
        } else {
            out[n++] = '%';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    return n;
}

bool
tcp_props_end(tcp_props *p)
{
    size_t most = 0, n = 0;
    if (p->n_mapped == 0)
        return p->flaw == NULL;
    for (uint32_t i = p->first; i < p->n; i++) {
        if (p->original[i].ptr != NULL)
            most += p->list[i].name_len + 2 + 3 * p->original[i].len;
    }
    char *text = tcp_arena_take(&p->arena, most);
    if (text == NULL)
        return refuse(p, "out of memory");
    for (uint32_t i = p->first; i < p->n; i++) {
        if (p->original[i].ptr == NULL)
            continue;
        if (n > 0)
            text[n++] = ',';
        memcpy(text + n, p->list[i].name, p->list[i].name_len);
        n += p->list[i].name_len;
        text[n++] = '=';
        n += put_plain(text + n, p->original[i]);
    }
    p->original[p->n].ptr = NULL;
    p->list[p->n++] = (emesh_attr){
        .name = TCP_NAMES, .name_len = sizeof TCP_NAMES - 1, .value = text, .value_len = (uint32_t)n
    };
    return p->flaw == NULL;
}

tcp_field
tcp_names_original(const emesh_attr *names, const emesh_attr *attr)
{
    const char *at = names->value, *end = at + names->value_len;
    while (at < end) {
        const char *next = memchr(at, ',', (size_t)(end - at));
        next = next != NULL ? next : end;
        size_t len = attr->name_len;
        if ((size_t)(next - at) > len + 1 && at[len] == '=' && memcmp(at, attr->name, len) == 0)
            return (tcp_field){ at + len + 1, (size_t)(next - at) - len - 1 };
        at = next + 1;
    }
    return (tcp_field){ NULL, 0 };
}

static int
hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t
tcp_names_decode(tcp_field text, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int high = -1, low = -1;
        if (text.ptr[i] == '%' && text.len - i > 2) {
            high = hex_of(text.ptr[i + 1]);
            low = hex_of(text.ptr[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            out[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[n++] = text.ptr[i];
        }
    }
    return n;
}
