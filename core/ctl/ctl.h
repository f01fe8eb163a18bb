/* SPDX-License-Identifier: Apache-2.0
 *
 * eventmeshctl: what its files share. One thread, one request at a time; every command is one
 * function that returns the exit code.
 */
#pragma once
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdio.h>

#define CTL_OK 0
#define CTL_REFUSED 1 /* by the daemon */
#define CTL_USAGE 2
#define CTL_UNREACHABLE 3 /* no daemon at the socket, or it went away */

typedef struct ctl_options { /* what the flags say; all texts owned */
    char *socket;
    gboolean json, help, version;
    char *id, *source, *type, *content_type, *key, *level, *file; /* publish */
    char **attrs;
    char *group, *from; /* subscribe */
    gboolean every;
    gboolean all; /* topic list, group list */
    gint64 count;
    char *reason;               /* client kick, client redirect */
    char *since;                /* why */
    gint64 last;                /* -1: not given */
    gboolean once;              /* top */
    gint64 interval;
    char **conf, **plugin_dirs; /* config check, plugin show, store */
    char *folder, *data_dir;    /* store */
    gboolean quiet, data;
    char *topic, *record;
    char *place, *part, *rate;  /* group reset, browse, replay */
    char **where;
    gboolean dry_run;
    gint64 partition, from_offset, to_offset, limit; /* -1: not given */
} ctl_options;

typedef struct ctl {
    ctl_options opt;
    FILE *out;
    bool colour;
    gint64 now_ms; /* wall clock when the command began */
} ctl;

typedef struct ctl_command {
    const char *name; /* "topic create" */
    const char *args; /* "NAME", "TOPIC [DATA|-]" */
    const char
        *options;     /* names of its flags, blank-separated; the global ones go without saying */
    const char *help; /* one line */
    int min_args, max_args;
    int (*run)(ctl *c, char **args, int n_args);
} ctl_command;

/* commands.c: ended by a NULL name. */
extern const ctl_command ctl_commands[];
/* The command whose words args begins with; *used is their number. NULL: none. */
const ctl_command *ctl_command_find(char **args, int n_args, int *used);

/* ---- options.c ---- */
/* Parses the flags of command (NULL: the global ones, up to the first word) out of args. */
bool ctl_options_parse(ctl_options *opt, const ctl_command *command, int *argc, char ***argv,
                       GError **error);
void ctl_options_clear(ctl_options *opt);
/* Usage of everything, or of one command. */
void ctl_help(FILE *out, const ctl_command *command);
/* The folders of --conf, or of EVENTMESH_CONF, or the default ones. Given: g_strfreev. */
char **ctl_conf_dirs(const ctl_options *opt);
char **ctl_plugin_dirs(const ctl_options *opt);
char *ctl_socket_path(const ctl_options *opt);

/* ---- client.c: one request to the daemon ---- */
typedef struct ctl_stream ctl_stream;
/* Says why on standard error, unless quiet. NULL with *code. Given. */
JsonArray *ctl_rows(ctl *c, const char *verb, JsonObject *args, int *code);
/* As ctl_rows, but says nothing when no daemon is there. */
JsonArray *ctl_rows_if_up(ctl *c, const char *verb, JsonObject *args, int *code);
/* POST of a CloudEvent; the answer. NULL with *code. Given. */
JsonNode *ctl_post_event(ctl *c, const char *query, GString *body, int *code);
/* GET of an endless answer. NULL with *code. */
ctl_stream *ctl_stream_open(ctl *c, const char *query, int *code);
/* Next line, NULL at the end; *broken when it ended before its time. Given. */
char *ctl_stream_line(ctl_stream *stream, gsize *len, bool *broken);
void ctl_stream_close(ctl_stream *stream);
/* "eventmeshctl: …" on standard error. */
void ctl_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* ---- offline.c: without a daemon ---- */
JsonArray *ctl_offline_check(ctl *c);
/* Rows of plugin.show for a name in the plugin folders, or a path. NULL: says why. */
JsonArray *ctl_offline_plugin(ctl *c, const char *name);
/* The conf.d sample of each component of that plugin. NULL: says why. Given. */
char *ctl_offline_sample(ctl *c, const char *name);

/* ---- one function per command ---- */
int ctl_store_check(ctl *c, char **args, int n);
int ctl_store_dump(ctl *c, char **args, int n);
int ctl_store_stats(ctl *c, char **args, int n);
int ctl_status(ctl *c, char **args, int n);
int ctl_metrics(ctl *c, char **args, int n);
int ctl_log_level(ctl *c, char **args, int n);
int ctl_plugin_list(ctl *c, char **args, int n);
int ctl_plugin_show(ctl *c, char **args, int n);
int ctl_plugin_sample(ctl *c, char **args, int n);
int ctl_topic_list(ctl *c, char **args, int n);
int ctl_topic_create(ctl *c, char **args, int n);
int ctl_topic_delete(ctl *c, char **args, int n);
int ctl_group_list(ctl *c, char **args, int n);
int ctl_group_show(ctl *c, char **args, int n);
int ctl_group_reset(ctl *c, char **args, int n);
int ctl_group_delete(ctl *c, char **args, int n);
int ctl_topic_browse(ctl *c, char **args, int n);
int ctl_letter_list(ctl *c, char **args, int n);
int ctl_letter_browse(ctl *c, char **args, int n);
int ctl_letter_replay(ctl *c, char **args, int n);
int ctl_letter_purge(ctl *c, char **args, int n);
int ctl_client_list(ctl *c, char **args, int n);
int ctl_client_kick(ctl *c, char **args, int n);
int ctl_client_redirect(ctl *c, char **args, int n);
int ctl_why(ctl *c, char **args, int n);
int ctl_top(ctl *c, char **args, int n);
int ctl_publish(ctl *c, char **args, int n);
int ctl_subscribe(ctl *c, char **args, int n);
int ctl_config_check(ctl *c, char **args, int n);
int ctl_config_show(ctl *c, char **args, int n);
int ctl_version(ctl *c, char **args, int n);
int ctl_help_command(ctl *c, char **args, int n);
