/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of commands, and how the words of the command line find one.
 */
#include "ctl/ctl.h"
#include "emesh-build.h"

#include <string.h>

const ctl_command ctl_commands[] = {
    { "status", "", "", "the daemon, its listeners, stores and findings", 0, 0, ctl_status },
    { "plugin list", "", "", "instances with their state, and the plugin files found", 0, 0,
      ctl_plugin_list },
    { "plugin show", "NAME", "plugin-dir", "everything a plugin says of itself", 1, 1,
      ctl_plugin_show },
    { "plugin sample", "NAME", "plugin-dir", "a conf.d file for a plugin, every option explained",
      1, 1, ctl_plugin_sample },
    { "topic list", "", "all", "topics with their size and durability", 0, 0, ctl_topic_list },
    { "topic create", "NAME", "", "make a topic, as conf.d has it", 1, 1, ctl_topic_create },
    { "topic delete", "NAME", "", "delete a topic with all its events", 1, 1, ctl_topic_delete },
    { "topic browse", "NAME", "from limit where partition data",
      "events of a topic, without being a member", 1, 1, ctl_topic_browse },
    { "group list", "", "all", "groups with their members and what they still have to read", 0, 0,
      ctl_group_list },
    { "group show", "GROUP", "", "a group: its topics, partitions and members", 1, 1,
      ctl_group_show },
    { "group reset", "GROUP TOPIC", "to partition dry-run", "move a group to another place of a topic",
      2, 2, ctl_group_reset },
    { "group delete", "GROUP", "topic dry-run", "forget where a group without members stands", 1, 1,
      ctl_group_delete },
    { "dead-letter list", "", "", "groups with dead letters", 0, 0, ctl_letter_list },
    { "dead-letter browse", "GROUP", "limit where data",
      "a group's dead letters with cause and origin", 1, 1, ctl_letter_browse },
    { "dead-letter replay", "GROUP", "where rate dry-run",
      "deliver dead letters once more, to that group alone", 1, 1, ctl_letter_replay },
    { "dead-letter purge", "GROUP", "where dry-run", "take dead letters off the list", 1, 1,
      ctl_letter_purge },
    { "client list", "", "", "who is connected", 0, 0, ctl_client_list },
    { "client kick", "WHO", "reason", "ask clients to leave: an ID of `client list`, or NAME=VALUE",
      1, 1, ctl_client_kick },
    { "client redirect", "WHO ADDRESS:PORT", "reason", "send clients to another server", 2, 2,
      ctl_client_redirect },
    { "top", "", "once interval", "topics and groups, live: rates, lag, age, retries", 0, 0,
      ctl_top },
    { "why", "[ID]", "source topic since group last",
      "what became of an event, or the last decisions about a group", 0, 1, ctl_why },
    { "publish", "TOPIC [DATA|-]", "id source type content-type attr key level file",
      "publish an event and wait until it is stored", 1, 2, ctl_publish },
    { "subscribe", "TOPIC", "group every from count", "print the events of a topic as they come", 1,
      1, ctl_subscribe },
    { "config check", "", "conf plugin-dir", "would the daemon start with this configuration?", 0,
      0, ctl_config_check },
    { "config show", "[INSTANCE]", "", "the values that hold, each with its origin", 0, 1,
      ctl_config_show },
    { "store check", "[INSTANCE]", "conf plugin-dir folder data-dir quiet",
      "read a store's files and name what is damaged", 0, 1, ctl_store_check },
    { "store dump", "[INSTANCE]",
      "conf plugin-dir folder data-dir topic partition from to type limit data",
      "print the records of a store's log", 0, 1, ctl_store_dump },
    { "store stats", "[INSTANCE]", "conf plugin-dir folder data-dir",
      "what lies in a store: topics, groups, files", 0, 1, ctl_store_stats },
    { "metrics", "", "", "counters of the daemon", 0, 0, ctl_metrics },
    { "log-level", "[LEVEL]", "", "show the log level of the daemon, or set it", 0, 1,
      ctl_log_level },
    { "version", "", "", "the version of this tool, and of the daemon if one runs", 0, 0,
      ctl_version },
    { "help", "[COMMAND]", "", "this list, or the flags of a command", 0, 2, ctl_help_command },
    { NULL, NULL, NULL, NULL, 0, 0, NULL },
};

const ctl_command *
ctl_command_find(char **args, int n_args, int *used)
{
    for (const ctl_command *c = ctl_commands; c->name != NULL; c++) {
        g_auto(GStrv) words = g_strsplit(c->name, " ", -1);
        int n = (int)g_strv_length(words), same = 0;
        while (same < n && same < n_args && strcmp(words[same], args[same]) == 0)
            same++;
        if (same == n) {
            *used = n;
            return c;
        }
    }
    return NULL;
}

int
ctl_version(ctl *c, char **args, int n)
{
    int code = CTL_OK;
    (void)args, (void)n;
    g_autoptr(JsonArray) rows = ctl_rows_if_up(c, "status", NULL, &code);
    const char *daemon = NULL;
    for (guint i = 0; rows != NULL && daemon == NULL && i < json_array_get_length(rows); i++)
        daemon = json_object_get_string_member_with_default(json_array_get_object_element(rows, i),
                                                            "version", NULL);
    if (c->opt.json) {
        fprintf(c->out, "[\n  {\"program\":\"eventmeshctl\",\"version\":\"%s\"}", EMESH_VERSION);
        if (daemon != NULL)
            fprintf(c->out, ",\n  {\"program\":\"eventmeshd\",\"version\":\"%s\"}", daemon);
        fputs("\n]\n", c->out);
        return CTL_OK;
    }
    fprintf(c->out, "eventmeshctl %s\n", EMESH_VERSION);
    if (daemon != NULL)
        fprintf(c->out, "eventmeshd %s\n", daemon);
    return CTL_OK;
}

int
ctl_help_command(ctl *c, char **args, int n)
{
    int used = 0;
    const ctl_command *command = n == 0 ? NULL : ctl_command_find(args, n, &used);
    if (n > 0 && command == NULL) {
        ctl_say("there is no command '%s'", args[0]);
        return CTL_USAGE;
    }
    ctl_help(c->out, command);
    return CTL_OK;
}
