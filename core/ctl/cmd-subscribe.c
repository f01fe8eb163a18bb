/* SPDX-License-Identifier: Apache-2.0
 *
 * subscribe TOPIC: events as they come, until --count, Ctrl-C, or the daemon's end.
 */
#include "ctl/event-out.h"
#include "ctl/output.h"

#include <string.h>

static char *
query_of(ctl *c, const char *topic)
{
    g_autofree char *name = g_uri_escape_string(topic, NULL, FALSE);
    GString *query = g_string_new("topic=");
    g_string_append(query, name);
    if (c->opt.group != NULL) {
        g_autofree char *group = g_uri_escape_string(c->opt.group, NULL, FALSE);
        g_string_append_printf(query, "&group=%s", group);
    }
    if (c->opt.every)
        g_string_append(query, "&mode=every");
    if (c->opt.count > 0)
        g_string_append_printf(query, "&max=%" G_GINT64_FORMAT, c->opt.count);
    if (c->opt.from != NULL) {
        g_autofree char *from = g_uri_escape_string(c->opt.from, NULL, FALSE);
        g_string_append_printf(query, "&from=%s", from);
    }
    return g_string_free(query, FALSE);
}

/* False: nobody reads what we print any more. */
static bool
print_line(ctl *c, const char *topic, const char *line, gsize len)
{
    if (c->opt.json) {
        fwrite(line, 1, len, c->out);
    } else {
        g_autofree char *text = ctl_event_text(c, topic, line, len);
        fputs(text, c->out);
    }
    fputc('\n', c->out);
    return fflush(c->out) == 0;
}

int
ctl_subscribe(ctl *c, char **args, int n)
{
    int code = CTL_OK;
    gint64 seen = 0;
    bool broken = false;
    (void)n;
    if (c->opt.count < 0) {
        ctl_say("subscribe: --count wants a positive number");
        return CTL_USAGE;
    }
    g_autofree char *query = query_of(c, args[0]);
    ctl_stream *stream = ctl_stream_open(c, query, &code);
    if (stream == NULL)
        return code;
    for (;;) {
        gsize len = 0;
        g_autofree char *line = ctl_stream_line(stream, &len, &broken);
        if (line == NULL)
            break;
        if (len == 0)
            continue;
        seen++;
        if (!print_line(c, args[0], line, len))
            break;
    }
    ctl_stream_close(stream);
    if (c->opt.count > 0 && seen >= c->opt.count)
        return CTL_OK;
    if (ferror(c->out))
        return CTL_OK; /* `| head` has what it wanted */
    ctl_say("subscribe: the daemon ended the stream after %" G_GINT64_FORMAT " events%s", seen,
            broken ? " (the connection broke)" : "");
    return CTL_UNREACHABLE;
}
