/* SPDX-License-Identifier: Apache-2.0
 *
 * The headers by which clients say who they are, as attributes of their events. What proves it
 * (passwd, token) is not among them: events are read by others. [lane]
 */
#include "api.h"
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *otherwise; /* what the URI API assumes */
} names[] = {
    { "env", "env" },
    { "idc", "idc" },
    { "sys", "1234" },
    { "pid", NULL }, /* ours */
    { "username", "eventmesh" },
    { "producergroup", "em-http-producer" },
};

void
http_who_attrs(http_request *r, http_attrs *to, bool defaults)
{
    char pid[24];

    g_snprintf(pid, sizeof pid, "%ld", (long)getpid());
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *value = http_request_header(r, names[i].name);
        if (value == NULL && defaults)
            value = names[i].otherwise != NULL ? names[i].otherwise : pid;
        if (value != NULL)
            http_attrs_set(to, names[i].name, http_attrs_keep(to, value, strlen(value)));
    }
    if (r->conn != NULL)
        http_attrs_set(to, "ip", r->conn->peer);
}

const char *
http_who_flaw(const http_attrs *attrs)
{
    static const char *const wanted[] = { "idc", "sys", "pid" };
    const emesh_event_view view = { .size = sizeof view,
                                    .attrs = (const emesh_attr *)(void *)attrs->list->data,
                                    .n_attrs = attrs->list->len };
    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
        const emesh_attr *attr = http_view_attr(&view, wanted[i]);
        const char *value = attr != NULL ? attr->value : "";
        if (strspn(value, " \t") == strlen(value))
            return wanted[i];
        if (strcmp(wanted[i], "pid") == 0 && strspn(value, "0123456789") != strlen(value))
            return wanted[i];
    }
    return NULL;
}
