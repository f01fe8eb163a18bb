/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of all verbs, the check of their arguments, and the one that lists them. [main]
 */
#include "admin/command.h"
#include "admin/tables.h"
#include "bus/commands.h"
#include "delivery/commands.h"
#include "delivery/top.h"
#include "delivery/why.h"

#include <stdio.h>
#include <string.h>

static void run_list(emesh_daemon *daemon, const emesh_attr *args, uint32_t n,
                     emesh_command_reply *reply);

static const emesh_command own_commands[] = {
    { "command.list", "", "all commands with their arguments", false, run_list },
    { NULL, NULL, NULL, false, NULL },
};

static const emesh_command *const tables[] = {
    own_commands,
    emesh_status_commands,
    emesh_health_commands,
    emesh_plugin_commands,
    emesh_config_commands,
    emesh_bus_commands,
    emesh_delivery_commands,
    emesh_top_commands,
    emesh_why_commands,
    emesh_place_commands,
    emesh_browse_commands,
    emesh_letter_commands,
    NULL,
};

const emesh_command *const *
emesh_command_tables(void)
{
    return tables;
}

const emesh_command *
emesh_command_find(const char *verb)
{
    for (uint32_t t = 0; tables[t] != NULL; t++)
        for (const emesh_command *c = tables[t]; c->verb != NULL; c++)
            if (strcmp(c->verb, verb) == 0)
                return c;
    return NULL;
}

emesh_slice
emesh_command_arg(const emesh_attr *args, uint32_t n, const char *name)
{
    size_t len = strlen(name);
    for (uint32_t i = 0; i < n; i++)
        if (args[i].name_len == len && memcmp(args[i].name, name, len) == 0)
            return (emesh_slice){ args[i].value, args[i].value_len };
    return (emesh_slice){ NULL, 0 };
}

char *
emesh_command_text(const emesh_attr *args, uint32_t n, const char *name)
{
    emesh_slice value = emesh_command_arg(args, n, name);
    return value.ptr == NULL ? NULL : g_strndup(value.ptr, value.len);
}

void
emesh_command_fail(emesh_command_reply *reply, int32_t code, const char *format, ...)
{
    emesh_error err = { .size = sizeof err, .code = code };
    va_list ap;
    va_start(ap, format);
    vsnprintf(err.text, sizeof err.text, format, ap);
    va_end(ap);
    reply->end(reply, code, &err);
}

void
emesh_command_refuse(emesh_command_reply *reply, const char *argument, const char *format, ...)
{
    emesh_error err = { .size = sizeof err, .code = EMESH_E_INVALID };
    va_list ap;
    va_start(ap, format);
    vsnprintf(err.text, sizeof err.text, format, ap);
    va_end(ap);
    g_strlcpy(err.option, argument, sizeof err.option);
    reply->end(reply, EMESH_E_INVALID, &err);
}

const char *
emesh_command_route(const emesh_command *command, char **path)
{
    static const struct {
        const char *action, *method;
    } plain[] = { { ".list", "GET" }, { ".create", "POST" }, { ".delete", "DELETE" } };
    const char *method = command->changes ? "POST" : "GET";
    const char *end = command->verb + strlen(command->verb);
    for (uint32_t i = 0; i < G_N_ELEMENTS(plain); i++) {
        if (!g_str_has_suffix(command->verb, plain[i].action))
            continue;
        method = plain[i].method;
        end -= strlen(plain[i].action);
        break;
    }
    g_autofree char *noun = g_strndup(command->verb, (gsize)(end - command->verb));
    *path = g_strconcat("/v1/", g_strdelimit(noun, ".", '/'), NULL);
    return method;
}

/* Is name one of the words of args ("name partitions?")? */
static bool
arg_known(char *const *words, const emesh_attr *arg)
{
    for (; *words != NULL; words++) {
        size_t len = strlen(*words);
        if (len > 0 && (*words)[len - 1] == '?')
            len--;
        if (len == arg->name_len && memcmp(*words, arg->name, len) == 0)
            return true;
    }
    return false;
}

/* NULL, or what is wrong with the argument that is copied out. Given. */
static char *
args_wrong(const emesh_command *command, const emesh_attr *args, uint32_t n, char argument[64])
{
    g_auto(GStrv) words = g_strsplit(command->args, " ", -1);
    for (uint32_t i = 0; i < n; i++) {
        g_snprintf(argument, 64, "%.*s", (int)MIN(args[i].name_len, 63u), args[i].name);
        if (!arg_known(words, &args[i]))
            return g_strdup_printf("%s has no argument '%.*s' (it knows: %s)", command->verb,
                                   (int)MIN(args[i].name_len, 40u), args[i].name,
                                   command->args[0] != '\0' ? command->args : "none");
        for (uint32_t j = 0; j < i; j++)
            if (args[j].name_len == args[i].name_len &&
                memcmp(args[j].name, args[i].name, args[i].name_len) == 0)
                return g_strdup_printf("%s was given '%.*s' twice", command->verb,
                                       (int)args[i].name_len, args[i].name);
    }
    for (char **word = words; *word != NULL; word++) {
        if (**word == '\0' || g_str_has_suffix(*word, "?"))
            continue;
        g_strlcpy(argument, *word, 64);
        if (emesh_command_arg(args, n, *word).len == 0)
            return g_strdup_printf("%s needs the argument '%s'", command->verb, *word);
    }
    return NULL;
}

void
emesh_command_run(emesh_daemon *daemon, const char *verb, const emesh_attr *args, uint32_t n,
                  emesh_command_reply *reply)
{
    const emesh_command *command = emesh_command_find(verb);
    if (command == NULL) {
        emesh_command_fail(reply, EMESH_E_NOT_FOUND,
                           "there is no command '%.60s' (command.list names all)", verb);
        return;
    }
    char argument[64] = "";
    g_autofree char *wrong = args_wrong(command, args, n, argument);
    if (wrong != NULL) {
        emesh_command_refuse(reply, argument, "%s", wrong);
        return;
    }
    command->run(daemon, args, n, reply);
}

static void
run_list(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    (void)daemon, (void)args, (void)n;
    for (uint32_t t = 0; tables[t] != NULL; t++) {
        for (const emesh_command *c = tables[t]; c->verb != NULL; c++) {
            emesh_row_builder *row = emesh_row_new();
            emesh_row_text(row, "verb", c->verb, -1);
            emesh_row_text(row, "args", c->args, -1);
            emesh_row_flag(row, "changes", c->changes);
            emesh_row_text(row, "help", c->help, -1);
            emesh_row_send(row, reply);
        }
    }
    reply->end(reply, EMESH_OK, NULL);
}
