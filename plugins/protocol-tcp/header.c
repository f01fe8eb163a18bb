/* SPDX-License-Identifier: Apache-2.0
 *
 * Header scan: cmd or command, code, seq, properties; the rest is checked and skipped. Any thread.
 */
#include "header.h"

#include <string.h>

#define SEQ_MAX 1024u

static bool
flaw(tcp_header *h, const char *why)
{
    if (h->flaw == NULL)
        h->flaw = why;
    return false;
}

static int
command_of(const tcp_value *v)
{
    char text[64];
    if (v->type == TCP_JSON_NUMBER) { /* its number: nobody sends it, the reference reads it */
        int n = 0;
        for (size_t i = 0; i < v->len; i++) {
            if (v->ptr[i] < '0' || v->ptr[i] > '9' || (n = n * 10 + v->ptr[i] - '0') > 99)
                return -1;
        }
        return n < TCP_COMMANDS ? n : -1;
    }
    if (!v->escaped)
        return tcp_command_find(v->ptr, v->len);
    return v->len <= sizeof text ? tcp_command_find(text, tcp_json_decode(v, text)) : -1;
}

static bool
take_command(tcp_header *h, const tcp_value *v, bool cmd)
{
    bool *seen = cmd ? &h->has_cmd : &h->has_command;
    if (v->type == TCP_JSON_NULL)
        return true;
    if (*seen)
        return flaw(h, "the command stands there twice");
    if (v->type != TCP_JSON_STRING && v->type != TCP_JSON_NUMBER)
        return flaw(h, "the command is not a text");
    *seen = true;
    if (!cmd && h->has_cmd) /* cmd decides; the copy is not looked at */
        return true;
    h->command = command_of(v);
    if (h->command < 0 && cmd)
        return flaw(h, "the command is unknown");
    return true;
}

static bool
take_seq(tcp_header *h, const tcp_value *v)
{
    if (v->type == TCP_JSON_NULL)
        return true;
    if (h->seq.type != TCP_JSON_BAD)
        return flaw(h, "seq stands there twice");
    if (v->type != TCP_JSON_STRING && v->type != TCP_JSON_NUMBER)
        return flaw(h, "seq is not a text");
    if (v->len > SEQ_MAX)
        return flaw(h, "seq is longer than 1024 bytes");
    h->seq = *v;
    return true;
}

static bool
take_props(tcp_header *h, tcp_json *j)
{
    tcp_prop p;
    int more;
    if (h->n_props > 0)
        return flaw(h, "properties stand there twice");
    if (!tcp_json_open(j, '{'))
        return false;
    while ((more = tcp_json_key(j, &p.name)) == 1) {
        if (!tcp_json_value(j, &p.value))
            return false;
        if (p.value.type == TCP_JSON_NULL)
            continue;
        if (p.value.type == TCP_JSON_OBJECT || p.value.type == TCP_JSON_ARRAY)
            return flaw(h, "a property is not a text");
        if (h->n_props == TCP_HEADER_PROPS)
            return flaw(h, "there are more than 64 properties");
        if (TCP_JSON_IS(&p.name, "protocoltype"))
            h->protocol = p.value;
        else if (TCP_JSON_IS(&p.name, "protocolversion"))
            h->version = p.value;
        h->props[h->n_props++] = p;
    }
    return more == 0;
}

/* Its whole part: a Java client may have written 0.0. */
static bool
take_code(tcp_header *h, const tcp_value *v)
{
    size_t i = v->len > 0 && v->ptr[0] == '-';
    int64_t code = 0;
    if (v->type == TCP_JSON_NULL)
        return true;
    if (v->type != TCP_JSON_NUMBER || v->len > 11)
        return flaw(h, "code is not a number");
    for (; i < v->len && v->ptr[i] >= '0' && v->ptr[i] <= '9'; i++)
        code = code * 10 + (v->ptr[i] - '0');
    h->code = (int32_t)(v->ptr[0] == '-' ? -code : code);
    return true;
}

static bool
member(tcp_header *h, tcp_json *j, const tcp_value *key)
{
    tcp_value v;
    if (TCP_JSON_IS(key, "properties") && tcp_json_peek(j) == TCP_JSON_OBJECT)
        return take_props(h, j);
    if (!tcp_json_value(j, &v))
        return false;
    if (TCP_JSON_IS(key, "cmd"))
        return take_command(h, &v, true);
    if (TCP_JSON_IS(key, "command"))
        return take_command(h, &v, false);
    if (TCP_JSON_IS(key, "seq"))
        return take_seq(h, &v);
    if (TCP_JSON_IS(key, "code"))
        return take_code(h, &v);
    if (TCP_JSON_IS(key, "properties") && v.type != TCP_JSON_NULL)
        return flaw(h, "properties are not an object");
    return true;
}

bool
tcp_header_parse(const char *text, size_t len, tcp_header *h)
{
    tcp_json j;
    tcp_value key;
    int more;

    h->flaw = NULL;
    h->command = -1;
    h->code = 0;
    h->n_props = 0;
    h->has_cmd = h->has_command = false;
    h->seq = h->protocol = h->version = (tcp_value){ .type = TCP_JSON_BAD };
    tcp_json_begin(&j, text, len);
    if (tcp_json_open(&j, '{')) {
        while ((more = tcp_json_key(&j, &key)) == 1 && member(h, &j, &key))
            ;
        if (more == 0 && tcp_json_end(&j)) {
            if (h->command >= 0 || !h->has_command)
                return true;
            return flaw(h, "the command is unknown");
        }
    }
    return flaw(h, j.flaw != NULL ? j.flaw : "it is malformed");
}
