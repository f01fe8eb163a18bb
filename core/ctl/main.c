/* SPDX-License-Identifier: Apache-2.0
 *
 * eventmeshctl: flags, command, exit code.
 */
#include "ctl/ctl.h"
#include "emesh-build.h"
#include "plugin/loader.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int usage(const char *format, ...) G_GNUC_PRINTF(1, 2);

static int
usage(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    ctl_say("%s", text);
    return CTL_USAGE;
}

/* Colour is for people: a terminal that can, and nobody said no (https://no-color.org). */
static bool
wants_colour(FILE *out)
{
    const char *no = g_getenv("NO_COLOR");
    const char *term = g_getenv("TERM");
    return isatty(fileno(out)) && (no == NULL || *no == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}

/* "topic lst" → the commands that begin with "topic". */
static int
unknown_command(char **args)
{
    g_autoptr(GString) near = g_string_new(NULL);
    for (const ctl_command *c = ctl_commands; c->name != NULL; c++) {
        size_t len = strcspn(c->name, " ");
        if (strlen(args[0]) == len && strncmp(c->name, args[0], len) == 0)
            g_string_append_printf(near, "%s%s", near->len > 0 ? ", " : "", c->name);
    }
    if (near->len > 0)
        return usage("'%s' wants one of: %s", args[0], near->str);
    return usage("there is no command '%s' (eventmeshctl help names all)", args[0]);
}

static int
run_command(ctl *c, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int used = 0;
    const ctl_command *command = ctl_command_find(argv + 1, argc - 1, &used);
    if (command == NULL)
        return unknown_command(argv + 1);
    argc -= used; /* the last word of the command stands for the program's name */
    argv += used;
    if (!ctl_options_parse(&c->opt, command, &argc, &argv, &error))
        return usage("%s: %s", command->name, error->message);
    if (c->opt.help) {
        ctl_help(c->out, command);
        return CTL_OK;
    }
    if (argc > 1 && strcmp(argv[1], "--") == 0) { /* GLib leaves it where data may follow */
        argc--;
        argv++;
    }
    if (argc - 1 < command->min_args || argc - 1 > command->max_args)
        return usage("usage: eventmeshctl %s%s%s (eventmeshctl help %s)", command->name,
                     *command->args != '\0' ? " " : "", command->args, command->name);
    return command->run(c, argv + 1, argc - 1);
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    if (argc == 3 && strcmp(argv[1], "--probe") == 0) /* the loader's helper, see loader.h */
        _exit(emesh_loader_probe(argv[2]));
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN); /* the library writes to sockets that may be gone */
    ctl c = { .opt = { .partition = -1, .from_offset = -1, .to_offset = -1, .limit = -1, .last = -1,
                  .interval = 2 },
              .out = stdout, .now_ms = g_get_real_time() / 1000 };
    c.colour = wants_colour(stdout);
    int code;
    g_auto(GStrv) own = g_new0(char *, argc + 1); /* GLib takes parsed flags out of the array */
    for (int i = 0; i < argc; i++)
        own[i] = g_strdup(argv[i]);
    g_autofree char **args = g_memdup2(own, sizeof(char *) * ((gsize)argc + 1));
    char **at = args;
    if (!ctl_options_parse(&c.opt, NULL, &argc, &at, &error)) {
        code = usage("%s (eventmeshctl help)", error->message);
    } else if (c.opt.version) {
        code = ctl_version(&c, NULL, 0);
    } else if (c.opt.help) {
        ctl_help(stdout, NULL);
        code = CTL_OK;
    } else if (argc < 2) {
        ctl_help(stderr, NULL);
        code = CTL_USAGE;
    } else {
        code = run_command(&c, argc, at);
    }
    ctl_options_clear(&c.opt);
    if (fflush(stdout) != 0 && code == CTL_OK) {
        ctl_say("cannot write the answer: %s", g_strerror(errno));
        code = CTL_REFUSED;
    }
    return code;
}
