/* SPDX-License-Identifier: Apache-2.0
 *
 * Collects the refusals of one configuration. Owned by the call that reads it.
 */
#include "problems.h"
#include "config.h"

#define SHOWN_MOST 100

G_DEFINE_QUARK(emesh-conf-error, emesh_conf_error)

void
emesh_problems_init(emesh_problems *problems)
{
    problems->text = g_string_new(NULL);
    problems->n = 0;
}

void
emesh_problems_clear(emesh_problems *problems)
{
    if (problems->text != NULL)
        g_string_free(problems->text, TRUE);
    problems->text = NULL;
}

void
emesh_problems_add(emesh_problems *problems, const char *origin, const char *key, const char *why,
                   ...)
{
    problems->n++;
    if (problems->n > SHOWN_MOST)
        return;
    if (problems->n > 1)
        g_string_append_c(problems->text, '\n');
    if (origin != NULL)
        g_string_append_printf(problems->text, "%s: ", origin);
    if (key != NULL)
        g_string_append_printf(problems->text, "%s: ", key);

    va_list ap;
    va_start(ap, why);
    g_string_append_vprintf(problems->text, why, ap);
    va_end(ap);
}

bool
emesh_problems_end(emesh_problems *problems, GError **error)
{
    if (problems->n == 0)
        return true;
    if (problems->n > SHOWN_MOST)
        g_string_append_printf(problems->text, "\nand %u more", problems->n - SHOWN_MOST);
    g_set_error_literal(error, EMESH_CONF_ERROR, 1, problems->text->str);
    return false;
}
