/* SPDX-License-Identifier: Apache-2.0
 *
 * UserAgent scan and the checks of HELLO. Pure; any thread.
 */
#include "hello.h"

#include <string.h>

static tcp_field *
field_of(tcp_agent_info *a, const tcp_value *key)
{
    const struct {
        const char *name;
        tcp_field *field;
    } known[] = {
        { "subsystem", &a->subsystem },
        { "version", &a->version },
        { "pid", &a->pid },
        { "idc", &a->idc },
        { "purpose", &a->purpose_text },
        { "group", &a->group },
        { "username", &a->username },
        { "password", &a->password },
        { "token", &a->token },
        { "env", &a->env },
        { "path", &a->path },
        { "producerGroup", &a->producer_group },
        { "consumerGroup", &a->consumer_group },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (tcp_json_is(key, known[i].name, strlen(known[i].name)))
            return known[i].field;
    }
    return NULL;
}

bool
tcp_agent_parse(const char *body, size_t len, char *scratch, tcp_agent_info *out, const char **flaw)
{
    tcp_json j;
    tcp_value key, v;
    int more = -1;

    *out = (tcp_agent_info){ .purpose = TCP_PURPOSE_NONE };
    tcp_json_begin(&j, body, len);
    if (tcp_json_open(&j, '{')) {
        while ((more = tcp_json_key(&j, &key)) == 1 && tcp_json_value(&j, &v)) {
            tcp_field *field = field_of(out, &key);
            if (field == NULL || v.type == TCP_JSON_NULL || v.type >= TCP_JSON_OBJECT)
                continue;
            *field = (tcp_field){ v.ptr, v.len };
            if (v.escaped) {
                *field = (tcp_field){ scratch, tcp_json_decode(&v, scratch) };
                scratch += field->len;
            }
        }
    }
    if (more != 0 || !tcp_json_end(&j)) {
        *flaw = j.flaw != NULL ? j.flaw : "it is malformed";
        return false;
    }
    if (out->purpose_text.len == 3 && memcmp(out->purpose_text.ptr, "pub", 3) == 0)
        out->purpose = TCP_PURPOSE_PUB;
    else if (out->purpose_text.len == 3 && memcmp(out->purpose_text.ptr, "sub", 3) == 0)
        out->purpose = TCP_PURPOSE_SUB;
    return true;
}

static bool
blank(tcp_field f)
{
    for (size_t i = 0; i < f.len; i++) {
        if ((unsigned char)f.ptr[i] > ' ')
            return false;
    }
    return true;
}

tcp_field
tcp_agent_group(const tcp_agent_info *a)
{
    if (!blank(a->group))
        return a->group;
    return a->purpose == TCP_PURPOSE_SUB ? a->consumer_group : a->producer_group;
}

const char *
tcp_agent_check(const tcp_agent_info *a, tcp_era era)
{
    if (a->version.ptr == NULL)
        return "client version cannot be null";
    if (a->purpose == TCP_PURPOSE_NONE)
        return "client purpose config is error";
    if (!blank(tcp_agent_group(a)))
        return NULL;
    if (era > TCP_ERA_B)
        return "client group cannot be null";
    return a->purpose == TCP_PURPOSE_SUB ? "client consumerGroup cannot be null"
                                         : "client producerGroup cannot be null";
}

size_t
tcp_agent_key(const tcp_agent_info *a, char *out)
{
    const tcp_field *const parts[] = { &a->subsystem,      &a->group,        &a->producer_group,
                                       &a->consumer_group, &a->purpose_text, &a->pid,
                                       &a->path,           &a->env,          &a->idc,
                                       &a->version,        &a->username };
    size_t n = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i]->len > 0)
            memcpy(out + n, parts[i]->ptr, parts[i]->len);
        n += parts[i]->len;
        out[n++] = '\0';
    }
    return n;
}
