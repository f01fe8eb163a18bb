/* SPDX-License-Identifier: Apache-2.0
 *
 * The flags: one table of all, of which each command names its own. The same table makes --help,
 * which a test holds against the man page and the completion.
 */
#include "ctl/ctl.h"
#include "emesh-build.h"

#include <stddef.h>
#include <string.h>

typedef struct flag {
    const char *name;
    char letter;
    GOptionArg type;
    size_t place; /* in ctl_options */
    const char *help;
    const char *value; /* what --help calls it; NULL: none wanted */
    const char *only;  /* commands that begin so; NULL: all that name it */
} flag;

#define PLACE(member) offsetof(ctl_options, member)

static const char global_flags[] = "socket json help";

static const flag flags[] = {
    { "socket", 0, G_OPTION_ARG_FILENAME, PLACE(socket), "Unix socket of the daemon", "PATH" },
    { "json", 0, G_OPTION_ARG_NONE, PLACE(json), "print JSON for programs", NULL },
    { "help", 'h', G_OPTION_ARG_NONE, PLACE(help), "show this help", NULL },
    { "version", 0, G_OPTION_ARG_NONE, PLACE(version), "show the version of this tool", NULL },
    { "id", 0, G_OPTION_ARG_STRING, PLACE(id), "id of the event (a random UUID)", "ID" },
    { "source", 0, G_OPTION_ARG_STRING, PLACE(source), "source of the event (/eventmeshctl)",
      "URI", "publish" },
    { "source", 0, G_OPTION_ARG_STRING, PLACE(source), "of this source alone", "URI", "why" },
    { "type", 0, G_OPTION_ARG_STRING, PLACE(type), "type of the event (eventmeshctl.publish)",
      "TYPE", "publish" },
    { "content-type", 0, G_OPTION_ARG_STRING, PLACE(content_type),
      "media type of the data (guessed: JSON, text or bytes)", "TYPE" },
    { "attr", 0, G_OPTION_ARG_STRING_ARRAY, PLACE(attrs), "further attribute; may be repeated",
      "NAME=VALUE" },
    { "key", 0, G_OPTION_ARG_STRING, PLACE(key), "events of one key stay in order", "KEY" },
    { "level", 0, G_OPTION_ARG_STRING, PLACE(level),
      "least durability to wait for: memory, os, synced, quorum", "LEVEL" },
    { "file", 0, G_OPTION_ARG_FILENAME, PLACE(file), "take the data from a file", "PATH" },
    { "group", 'g', G_OPTION_ARG_STRING, PLACE(group),
      "share the events among the members of a group", "NAME", "subscribe" },
    { "group", 'g', G_OPTION_ARG_STRING, PLACE(group), "decisions about this group", "NAME",
      "why" },
    { "since", 0, G_OPTION_ARG_STRING, PLACE(since),
      "not older than this: 10m, 2h, or a time like 2025-01-31T08:00:00Z", "TIME" },
    { "last", 'n', G_OPTION_ARG_INT64, PLACE(last), "the youngest so many decisions (20)", "N" },
    { "once", 0, G_OPTION_ARG_NONE, PLACE(once), "print one screen and end", NULL },
    { "interval", 'i', G_OPTION_ARG_INT64, PLACE(interval), "seconds between screens (2)", "N" },
    { "from", 0, G_OPTION_ARG_STRING, PLACE(from), "where to begin: earliest or latest", "PLACE",
      "subscribe" },
    { "all", 'a', G_OPTION_ARG_NONE, PLACE(all),
      "also the daemon's own: delay ladder, inboxes of groups", NULL },
    { "every", 0, G_OPTION_ARG_NONE, PLACE(every), "with --group: every member gets every event",
      NULL },
    { "count", 'n', G_OPTION_ARG_INT64, PLACE(count), "stop after so many events", "N" },
    { "reason", 0, G_OPTION_ARG_STRING, PLACE(reason), "what the client and the log are told",
      "TEXT" },
    { "conf", 0, G_OPTION_ARG_FILENAME_ARRAY, PLACE(conf),
      "configuration folder instead of the default ones; may be repeated", "DIR" },
    { "plugin-dir", 0, G_OPTION_ARG_FILENAME_ARRAY, PLACE(plugin_dirs),
      "folder of plugin files; may be repeated", "DIR" },
    { "folder", 0, G_OPTION_ARG_FILENAME, PLACE(folder), "look into this folder of a store", "DIR" },
    { "data-dir", 0, G_OPTION_ARG_FILENAME, PLACE(data_dir),
      "the daemon's data folder, where it is not the default one", "DIR" },
    { "quiet", 'q', G_OPTION_ARG_NONE, PLACE(quiet), "print damage alone, and no progress", NULL },
    { "topic", 0, G_OPTION_ARG_STRING, PLACE(topic), "of this topic alone", "NAME" },
    { "partition", 0, G_OPTION_ARG_INT64, PLACE(partition), "records of this partition alone",
      "N", "store" },
    { "partition", 0, G_OPTION_ARG_STRING, PLACE(part), "in this partition alone", "NAME",
      "group" },
    { "to", 0, G_OPTION_ARG_STRING, PLACE(place),
      "earliest, latest, a position, or a time like 2025-01-31T08:00:00Z", "PLACE", "group" },
    { "from", 0, G_OPTION_ARG_STRING, PLACE(place),
      "earliest, a position, or a time like 2025-01-31T08:00:00Z", "PLACE", "topic" },
    { "partition", 0, G_OPTION_ARG_STRING, PLACE(part), "of this partition alone", "NAME",
      "topic" },
    { "where", 0, G_OPTION_ARG_STRING_ARRAY, PLACE(where),
      "with this attribute, VALUE may have * and ?; may be repeated", "NAME=VALUE" },
    { "rate", 0, G_OPTION_ARG_STRING, PLACE(rate), "at most so many a second", "N/s" },
    { "dry-run", 0, G_OPTION_ARG_NONE, PLACE(dry_run), "only say what would be done", NULL },
    { "from", 0, G_OPTION_ARG_INT64, PLACE(from_offset), "events from this offset on", "OFFSET",
      "store" },
    { "to", 0, G_OPTION_ARG_INT64, PLACE(to_offset), "events up to this offset", "OFFSET",
      "store" },
    { "type", 0, G_OPTION_ARG_STRING, PLACE(record),
      "event, commit, hold, hold-done, catalog or start", "TYPE", "store" },
    { "limit", 'n', G_OPTION_ARG_INT64, PLACE(limit), "stop after so many", "N" },
    { "data", 0, G_OPTION_ARG_NONE, PLACE(data), "print the data too", NULL },
};

/* Is name a word of list? */
static bool
listed(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at += len)
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}

static bool
applies(const flag *f, const ctl_command *command)
{
    if (listed(global_flags, f->name))
        return true;
    if (f->only != NULL && (command == NULL || !g_str_has_prefix(command->name, f->only)))
        return false;
    return listed(command == NULL ? "version" : command->options, f->name);
}

bool
ctl_options_parse(ctl_options *opt, const ctl_command *command, int *argc, char ***argv,
                  GError **error)
{
    GOptionEntry entries[G_N_ELEMENTS(flags) + 1];
    guint n = 0;
    memset(entries, 0, sizeof entries);
    for (gsize i = 0; i < G_N_ELEMENTS(flags); i++) {
        if (!applies(&flags[i], command))
            continue;
        entries[n++] = (GOptionEntry){ .long_name = flags[i].name,
                                       .short_name = flags[i].letter,
                                       .arg = flags[i].type,
                                       .arg_data = (char *)opt + flags[i].place,
                                       .description = flags[i].help,
                                       .arg_description = flags[i].value };
    }
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_strict_posix(context, command == NULL);
    g_option_context_add_main_entries(context, entries, NULL);
    return g_option_context_parse(context, argc, argv, error);
}

void
ctl_options_clear(ctl_options *opt)
{
    g_free(opt->socket);
    g_free(opt->id);
    g_free(opt->source);
    g_free(opt->type);
    g_free(opt->content_type);
    g_free(opt->key);
    g_free(opt->level);
    g_free(opt->file);
    g_strfreev(opt->attrs);
    g_free(opt->group);
    g_free(opt->from);
    g_free(opt->reason);
    g_free(opt->since);
    g_strfreev(opt->conf);
    g_strfreev(opt->plugin_dirs);
    g_free(opt->folder);
    g_free(opt->data_dir);
    g_free(opt->topic);
    g_free(opt->record);
    g_free(opt->place);
    g_free(opt->part);
    g_free(opt->rate);
    g_strfreev(opt->where);
}

static void
help_flags(FILE *out, const ctl_command *command)
{
    for (gsize i = 0; i < G_N_ELEMENTS(flags); i++) {
        const flag *f = &flags[i];
        if (!applies(f, command))
            continue;
        g_autofree char *left =
            g_strdup_printf("--%s%s%s%c%c", f->name, f->value != NULL ? " " : "",
                            f->value != NULL ? f->value : "", f->letter != 0 ? ',' : ' ', ' ');
        g_autofree char *letter = f->letter != 0 ? g_strdup_printf("-%c", f->letter) : g_strdup("");
        g_autofree char *both = g_strconcat(left, letter, NULL);
        fprintf(out, "  %-24s %s\n", g_strchomp(both), f->help);
    }
}

void
ctl_help(FILE *out, const ctl_command *command)
{
    if (command != NULL) {
        fprintf(out, "usage: eventmeshctl %s%s%s [FLAG]…\n\n%s.\n\nflags:\n", command->name,
                *command->args != '\0' ? " " : "", command->args, command->help);
        help_flags(out, command);
        return;
    }
    fputs("usage: eventmeshctl [--socket PATH] [--json] COMMAND …\n\ncommands:\n", out);
    for (const ctl_command *c = ctl_commands; c->name != NULL; c++) {
        g_autofree char *left = g_strdup_printf("%s %s", c->name, c->args);
        fprintf(out, "  %-24s %s\n", left, c->help);
    }
    fputs("\nflags:\n", out);
    help_flags(out, NULL);
    fputs("\n`eventmeshctl help COMMAND` shows the flags of a command; see also "
          "eventmeshctl(1).\n",
          out);
}

static char **
folders(char *const *given, const char *variable, const char *const *fallback)
{
    const char *set = g_getenv(variable);
    if (given != NULL)
        return g_strdupv((char **)given);
    if (set != NULL && *set != '\0')
        return g_strsplit(set, ":", -1);
    return g_strdupv((char **)fallback);
}

char **
ctl_conf_dirs(const ctl_options *opt)
{
    static const char *const fallback[] = { EMESH_VENDOR_CONF_DIR, "/etc/eventmesh/conf.d",
                                            "/run/eventmesh/conf.d", NULL };
    return folders(opt->conf, "EVENTMESH_CONF", fallback);
}

char **
ctl_plugin_dirs(const ctl_options *opt)
{
    static const char *const fallback[] = { EMESH_PLUGIN_DIR, NULL };
    return folders(opt->plugin_dirs, "EVENTMESH_PLUGIN_DIR", fallback);
}

char *
ctl_socket_path(const ctl_options *opt)
{
    const char *socket = g_getenv("EVENTMESH_SOCKET");
    const char *run = g_getenv("EVENTMESH_RUN");
    if (opt->socket != NULL)
        return g_strdup(opt->socket);
    if (socket != NULL && *socket != '\0')
        return g_strdup(socket);
    return g_build_filename(run != NULL && *run != '\0' ? run : "/run/eventmesh", "admin.sock",
                            NULL);
}
