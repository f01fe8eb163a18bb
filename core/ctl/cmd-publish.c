/* SPDX-License-Identifier: Apache-2.0
 *
 * publish TOPIC [DATA|-]: one event, stored before the tool returns.
 */
#include "ctl/event-out.h"
#include "ctl/output.h"

#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <string.h>
#include <unistd.h>

#define MAX_DATA (2u << 20) /* what the daemon takes in one request, JSON included */

/* Standard input to its end. NULL: error. Given. */
static GBytes *
read_input(GError **error)
{
    g_autoptr(GInputStream) in = g_unix_input_stream_new(STDIN_FILENO, FALSE);
    g_autoptr(GByteArray) all = g_byte_array_new();
    guint8 piece[16 << 10];
    gssize got;
    while ((got = g_input_stream_read(in, piece, sizeof piece, NULL, error)) > 0) {
        g_byte_array_append(all, piece, (guint)got);
        if (all->len > MAX_DATA) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
                        "the data on standard input are over %u bytes", MAX_DATA);
            return NULL;
        }
    }
    return got < 0 ? NULL : g_byte_array_free_to_bytes(g_steal_pointer(&all));
}

/* The data of the event: --file, the argument, or standard input. *none: there are none. */
static GBytes *
find_data(ctl *c, char **args, int n, bool *none, GError **error)
{
    *none = false;
    if (c->opt.file != NULL && n > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "the data are given twice: --file and an argument");
        return NULL;
    }
    if (c->opt.file != NULL) {
        char *text = NULL;
        gsize len = 0;
        if (!g_file_get_contents(c->opt.file, &text, &len, error))
            return NULL;
        return g_bytes_new_take(text, len);
    }
    if (n > 1 && strcmp(args[1], "-") != 0)
        return g_bytes_new(args[1], strlen(args[1]));
    if (n > 1)
        return read_input(error);
    *none = true;
    return NULL;
}

static char *
query_of(ctl *c, const char *topic)
{
    g_autofree char *name = g_uri_escape_string(topic, NULL, FALSE);
    GString *query = g_string_new("topic=");
    g_string_append(query, name);
    if (c->opt.key != NULL) {
        g_autofree char *key = g_uri_escape_string(c->opt.key, NULL, FALSE);
        g_string_append_printf(query, "&key=%s", key);
    }
    if (c->opt.level != NULL) {
        g_autofree char *level = g_uri_escape_string(c->opt.level, NULL, FALSE);
        g_string_append_printf(query, "&level=%s", level);
    }
    return g_string_free(query, FALSE);
}

int
ctl_publish(ctl *c, char **args, int n)
{
    g_autoptr(GError) error = NULL;
    bool none = false;
    g_autoptr(GBytes) data = find_data(c, args, n, &none, &error);
    if (data == NULL && !none) {
        ctl_say("publish: %s", error->message);
        return CTL_USAGE;
    }
    GString *event = ctl_event_json(c, data, &error);
    if (event == NULL) {
        ctl_say("publish: %s", error->message);
        return CTL_USAGE;
    }
    int code = CTL_OK;
    g_autofree char *query = query_of(c, args[0]);
    g_autoptr(JsonNode) answer = ctl_post_event(c, query, event, &code);
    g_string_free(event, TRUE);
    if (answer == NULL)
        return code;
    if (c->opt.json) {
        ctl_print_node(c, answer);
        return CTL_OK;
    }
    g_autofree char *topic = ctl_field(json_node_get_object(answer), "topic");
    g_autofree char *level = ctl_field(json_node_get_object(answer), "level");
    g_autofree char *id = ctl_field(json_node_get_object(answer), "id");
    fprintf(c->out, "stored in %s at %s, id=%s\n", topic, level, id);
    return CTL_OK;
}
