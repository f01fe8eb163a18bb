/* SPDX-License-Identifier: Apache-2.0
 *
 * [instance]: which component a file configures, under which name.
 */
#include "conf.h"
#include "instance.h"
#include <string.h>

#define NAME_MOST 63u

static const emesh_option instance_options[] = {
    { .name = "component", .type = EMESH_OPT_TEXT, .must = EMESH_OPT_REQUIRED, .min = 1, .max = 127,
      .help = "Component of a plugin that this file configures, as protocol-tcp." },
    { .name = "enabled", .type = EMESH_OPT_BOOL, .value = "true",
      .help = "false keeps the file but does not start the instance." },
    { .name = "on-unavailable", .type = EMESH_OPT_CHOICE, .value = "wait", .choices = "wait|refuse",
      .help = "What a start does when the instance's peer is away." },
    { .name = "plugin", .type = EMESH_OPT_TEXT, .min = 1, .max = 4095,
      .help = "File of the plugin, when it is not named after the component." },
};

const emesh_option *
emesh_instance_option_table(uint32_t *n)
{
    *n = G_N_ELEMENTS(instance_options);
    return instance_options;
}

typedef struct conf_instance {
    emesh_conf_instance shown; /* first: what the others hold is this */
    char *name;
    char *file;
    emesh_config *values;
} conf_instance;

char *
emesh_instance_name(const char *file)
{
    if (g_ascii_isdigit(file[0]) && g_ascii_isdigit(file[1]) && file[2] == '-')
        file += 3;
    const size_t len = strlen(file);
    return g_strndup(file, g_str_has_suffix(file, ".conf") ? len - 5 : len);
}

static bool
name_ok(const char *name)
{
    const size_t len = strlen(name);
    if (len == 0 || len > NAME_MOST || name[0] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!g_ascii_islower(name[i]) && !g_ascii_isdigit(name[i]) && name[i] != '-')
            return false;
    return true;
}

emesh_conf_instance *
emesh_instance_new(const char *path, const char *file, const emesh_conf_section *section,
                   const emesh_conf_section *options, emesh_problems *problems)
{
    const uint32_t before = problems->n;
    g_autofree char *name = emesh_instance_name(file);
    if (!name_ok(name))
        emesh_problems_add(problems, section->origin, NULL,
                           "the instance would be called \"%s\" after its file; name the file "
                           "NN-NAME.conf, NAME of 1 to %u of a-z, 0-9 and \"-\"", name, NAME_MOST);
    else if (strcmp(name, "core") == 0)
        emesh_problems_add(problems, section->origin, NULL,
                           "an instance may not be called \"core\": the daemon keeps its own data "
                           "under that name; rename the file");
    const emesh_config_source source = { .section = section };
    g_autoptr(emesh_config) values = emesh_config_build(&source, instance_options,
                                                        G_N_ELEMENTS(instance_options),
                                                        sizeof(emesh_option), NULL, 0, problems);
    if (problems->n > before)
        return NULL;

    conf_instance *instance = g_new0(conf_instance, 1);
    instance->values = g_steal_pointer(&values);
    instance->name = g_steal_pointer(&name);
    instance->file = g_strdup(path);
    instance->shown = (emesh_conf_instance){
        .name = instance->name,
        .file = instance->file,
        .component = emesh_config_text(instance->values, NULL, "component"),
        .component_origin = emesh_config_origin(instance->values, "component"),
        .plugin = emesh_config_text(instance->values, NULL, "plugin"),
        .enabled = emesh_config_number(instance->values, NULL, "enabled") != 0,
        .refuse_unavailable = emesh_config_number(instance->values, NULL, "on-unavailable") != 0,
        .options = options,
    };
    return &instance->shown;
}

const emesh_config *
emesh_instance_values(const emesh_conf_instance *instance)
{
    return ((const conf_instance *)instance)->values;
}

void
emesh_instance_free(emesh_conf_instance *shown)
{
    conf_instance *instance = (conf_instance *)shown;
    emesh_config_unref(instance->values);
    g_free(instance->name);
    g_free(instance->file);
    g_free(instance);
}
