/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP administration is configured in [daemon], but listens like any instance: its options go
 * over to the internal component under the same names, each with the line that it stands in.
 */
#include "admin.h"
#include "io/address.h"
#include "options.h"
#include <string.h>

#define PREFIX "admin-"

/* A name other than localhost may mean any machine's address. */
static bool
is_loopback(const char *text)
{
    char host[256] = "";
    uint16_t port = 0;
    emesh_addr addr;
    if (emesh_addr_split(text, strlen(text), host, &port) != NULL)
        return false;
    if (strcmp(host, "localhost") == 0)
        return true;
    return emesh_addr_numeric(host, port, &addr) && emesh_addr_is_loopback(&addr);
}

void
emesh_admin_listen_judge(const emesh_config *config, emesh_problems *problems)
{
    const emesh_config_option *listen = emesh_config_find(config, PREFIX "listen");
    if (listen == NULL || listen->values->len == 0)
        return;
    const bool tls = emesh_config_text(config, PREFIX, "tls-certificate") != NULL;
    const bool insecure = emesh_config_number(config, PREFIX, "insecure") != 0;
    const bool token = emesh_config_text(config, PREFIX, "token-file") != NULL;
    for (uint32_t i = 0; i < listen->values->len; i++) {
        const emesh_config_value *value = &g_array_index(listen->values, emesh_config_value, i);
        if (!token)
            emesh_problems_add(problems, value->origin, PREFIX "listen",
                               "needs " PREFIX "token-file as well: without a token anybody who "
                               "reaches \"%s\" could administer the daemon",
                               value->text);
        if (!tls && !insecure && !is_loopback(value->text))
            emesh_problems_add(problems, value->origin, PREFIX "listen",
                               "\"%s\" is open to other machines, but without TLS the token could "
                               "be read on the way; give " PREFIX "tls-certificate and " PREFIX
                               "tls-key, or " PREFIX "insecure = true",
                               value->text);
    }
}

/* Values are read a second time: what was expanded once must not be again. */
static void
add_plain(emesh_conf_section *section, const char *key, const char *value, const char *origin)
{
    g_autoptr(GString) text = g_string_new(value);
    g_string_replace(text, "$", "$$", 0);
    emesh_section_add(section, key, text->str, text->len, origin);
}

emesh_config *
emesh_conf_admin_options(const emesh_conf *conf, const char *socket, const emesh_option *options,
                         uint32_t n, const emesh_option_group *groups, uint32_t n_groups,
                         GError **error)
{
    const emesh_config *all = emesh_conf_daemon_config(conf);
    emesh_conf_section *section = emesh_section_new("daemon", NULL, "[daemon]");
    add_plain(section, "socket", socket, "--run");
    for (uint32_t i = 0; i < all->options->len; i++) {
        const emesh_config_option *option = &g_array_index(all->options, emesh_config_option, i);
        for (uint32_t v = 0; v < option->values->len; v++) {
            const emesh_config_value *value =
                &g_array_index(option->values, emesh_config_value, v);
            if (g_str_has_prefix(option->option.name, PREFIX))
                add_plain(section, option->option.name, value->text, value->origin);
        }
    }
    emesh_config *config = emesh_config_new(section, options, n, sizeof *options, groups, n_groups,
                                            error);
    emesh_section_free(section);
    return config;
}
