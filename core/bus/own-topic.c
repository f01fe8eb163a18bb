/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the daemon's own topics. See own-topic.h. Any thread.
 */
#include "bus/own-topic.h"

#include <string.h>

#define STEP "emesh-delay-"
#define INBOX "emesh-inbox-"
#define INBOX_ANY "%RETRY%"
#define LETTERS "emesh-dlq-"
#define LETTERS_ANY "%DLQ%"
#define NAME_MOST 249u
#define MARK 17u /* "_" and 16 digits: what a name that is too long ends in */

char *
emesh_step_topic(const emesh_store *store, uint32_t step)
{
    return g_strdup_printf(STEP "%u%c%s", 1u << step, EMESH_OWN_MARK, store->inst->name);
}

size_t
emesh_store_name_len(const char *topic)
{
    const char *mark = emesh_is_closed_topic(topic, strlen(topic)) ? strrchr(topic, EMESH_OWN_MARK)
                                                                   : NULL;

    return mark != NULL ? (size_t)(mark - topic) : strlen(topic);
}

uint32_t
emesh_step_for(uint64_t wait_ms)
{
    uint32_t step = 0;

    while (step + 1 < EMESH_LADDER_STEPS && UINT64_C(1000) << (step + 1) <= wait_ms)
        step++;
    return step;
}

uint32_t
emesh_step_seconds(const char *topic)
{
    char *end = NULL;
    uint64_t seconds;

    if (!g_str_has_prefix(topic, STEP))
        return 0;
    seconds = g_ascii_strtoull(topic + sizeof STEP - 1, &end, 10);
    if (seconds == 0 || seconds >> EMESH_LADDER_STEPS != 0 || (seconds & (seconds - 1)) != 0 ||
        (*end != '\0' && *end != EMESH_OWN_MARK))
        return 0;
    return (uint32_t)seconds;
}

void
emesh_name_escape(GString *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (g_ascii_isalnum(text[i]) || text[i] == '-')
            g_string_append_c(out, text[i]);
        else
            g_string_append_printf(out, "_%02x", (unsigned char)text[i]);
    }
}

static GString *
of_group(const emesh_store *store, const char *any, const char *strict, const char *group)
{
    bool all = emesh_store_can(store, EMESH_STORE_ANY_NAME);
    GString *name = g_string_new(all ? any : strict);

    if (all)
        g_string_append(name, group);
    else
        emesh_name_escape(name, group, strlen(group));
    if (name->len > NAME_MOST) { /* no store takes more: two long groups still differ */
        g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, group, -1);
        g_string_truncate(name, NAME_MOST - MARK);
        g_string_append_printf(name, "_%.16s", sum);
    }
    return name;
}

char *
emesh_inbox_topic(const emesh_store *store, const char *group)
{
    GString *name = of_group(store, INBOX_ANY, INBOX, group);

    g_string_append_printf(name, "%c%s", EMESH_OWN_MARK, store->inst->name);
    return g_string_free(name, FALSE);
}

char *
emesh_letter_topic(const emesh_store *store, const char *group)
{
    GString *name = of_group(store, LETTERS_ANY, LETTERS, group);
    char *exact = g_strndup(name->str, name->len); /* each subscription has one */

    g_string_free(name, TRUE);
    return exact;
}

bool
emesh_is_inbox_topic(const char *topic)
{
    return g_str_has_prefix(topic, INBOX) || g_str_has_prefix(topic, INBOX_ANY);
}

bool
emesh_is_letter_topic(const char *topic)
{
    return g_str_has_prefix(topic, LETTERS) || g_str_has_prefix(topic, LETTERS_ANY);
}

bool
emesh_is_closed_topic(const char *topic, size_t len)
{
    static const char *const closed[] = { STEP, INBOX, INBOX_ANY };

    for (uint32_t i = 0; i < G_N_ELEMENTS(closed); i++)
        if (len >= strlen(closed[i]) && memcmp(topic, closed[i], strlen(closed[i])) == 0)
            return true;
    return false;
}
