/* SPDX-License-Identifier: Apache-2.0
 *
 * storage-standalone-tool COMMAND FOLDER [FLAG]…: what `eventmeshctl store` runs. Its flags are those
 * of eventmeshctl, which explains them.
 */
#include "tool.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <string.h>

static bool
parse(tool_options *opt, int *argc, char ***argv)
{
    const GOptionEntry entries[] = {
        { "json", 0, 0, G_OPTION_ARG_NONE, &opt->json, "print JSON for programs", NULL },
        { "quiet", 0, 0, G_OPTION_ARG_NONE, &opt->quiet, "no progress; check: damage alone", NULL },
        { "topic", 0, 0, G_OPTION_ARG_STRING, &opt->topic, "dump: of this topic", "NAME" },
        { "partition", 0, 0, G_OPTION_ARG_INT64, &opt->partition, "dump: of this partition", "N" },
        { "from", 0, 0, G_OPTION_ARG_INT64, &opt->from, "dump: from this offset on", "OFFSET" },
        { "to", 0, 0, G_OPTION_ARG_INT64, &opt->to, "dump: up to this offset", "OFFSET" },
        { "type", 0, 0, G_OPTION_ARG_STRING, &opt->type, "dump: records of this type", "TYPE" },
        { "limit", 0, 0, G_OPTION_ARG_INT64, &opt->limit, "dump: at most so many", "N" },
        { "data", 0, 0, G_OPTION_ARG_NONE, &opt->data, "dump: the data of events too", NULL },
        { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context = g_option_context_new("check|dump|stats FOLDER");
    g_option_context_add_main_entries(context, entries, NULL);
    if (g_option_context_parse(context, argc, argv, &error))
        return true;
    tool_say("%s", error->message);
    return false;
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(tool *t);
    } commands[] = { { "check", tool_check }, { "dump", tool_dump }, { "stats", tool_stats } };
    tool t = { .opt = { .partition = -1, .from = -1, .to = -1, .limit = -1 }, .out = stdout,
               .dir = -1, .log_dir = -1 };
    int code = TOOL_FAILED;
    setlocale(LC_CTYPE, "");
    if (!parse(&t.opt, &argc, &argv))
        return TOOL_FAILED;
    if (argc == 4 && strcmp(argv[2], "--") == 0) /* GLib leaves it */
        argv[2] = argv[--argc];
    if (argc != 3)
        return tool_say("usage: storage-standalone-tool check|dump|stats FOLDER [FLAG]...");
    gsize i = 0;
    while (i < G_N_ELEMENTS(commands) && strcmp(commands[i].name, argv[1]) != 0)
        i++;
    if (i == G_N_ELEMENTS(commands))
        return tool_say("there is no command '%s': check, dump or stats", argv[1]);
    t.opt.command = argv[1];
    code = tool_open(&t, argv[2]);
    if (code == TOOL_OK)
        code = commands[i].run(&t);
    tool_close(&t);
    g_free(t.opt.topic);
    g_free(t.opt.type);
    if (fflush(stdout) != 0 && code == TOOL_OK)
        code = tool_say("the answer could not be written: %s", g_strerror(errno));
    return code;
}
