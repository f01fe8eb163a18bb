/* SPDX-License-Identifier: Apache-2.0
 *
 * See guard.h. Any thread.
 */
#include "guard.h"
#include <string.h>

static void
rule_free(gpointer data)
{
    http_rule *rule = data;
    g_object_unref(rule->mask);
    g_free(rule->text);
    g_free(rule->origin);
    g_free(rule);
}

void
http_guard_init(http_guard *g)
{
    g->allow = g_ptr_array_new_with_free_func(rule_free);
    g->deny = g_ptr_array_new_with_free_func(rule_free);
}

void
http_guard_clear(http_guard *g)
{
    g_clear_pointer(&g->allow, g_ptr_array_unref);
    g_clear_pointer(&g->deny, g_ptr_array_unref);
}

bool
http_guard_add(GPtrArray *list, const char *text, const char *origin)
{
    GInetAddressMask *mask = g_inet_address_mask_new_from_string(text, NULL);
    http_rule *rule;

    if (mask == NULL)
        return false;
    rule = g_new0(http_rule, 1);
    *rule = (http_rule){ mask, g_strdup(text), g_strdup(origin) };
    g_ptr_array_add(list, rule);
    return true;
}

/* ::ffff:10.0.0.1 is 10.0.0.1: no way around a rule. Given. */
static GInetAddress *
unmapped(GInetAddress *address)
{
    static const guint8 prefix[12] = { [10] = 0xff, [11] = 0xff };
    const guint8 *bytes = g_inet_address_to_bytes(address);

    if (g_inet_address_get_family(address) == G_SOCKET_FAMILY_IPV6 &&
        memcmp(bytes, prefix, sizeof prefix) == 0)
        return g_inet_address_new_from_bytes(bytes + sizeof prefix, G_SOCKET_FAMILY_IPV4);
    return g_object_ref(address);
}

static const http_rule *
match(const GPtrArray *list, GInetAddress *address)
{
    for (guint i = 0; i < list->len; i++) {
        const http_rule *rule = list->pdata[i];
        if (g_inet_address_mask_get_family(rule->mask) == g_inet_address_get_family(address) &&
            g_inet_address_mask_matches(rule->mask, address))
            return rule;
    }
    return NULL;
}

char *
http_guard_refuses(const http_guard *g, GInetAddress *given)
{
    g_autoptr(GInetAddress) address = unmapped(given);
    g_autofree char *text = g_inet_address_to_string(address);
    const http_rule *rule = match(g->deny, address);

    if (rule != NULL)
        return g_strdup_printf("%s is in push-deny = %s (%s)", text, rule->text, rule->origin);
    if (g->allow->len == 0 || match(g->allow, address) != NULL)
        return NULL;
    rule = g->allow->pdata[0];
    return g_strdup_printf("%s is in no push-allow (the first is %s)", text, rule->origin);
}
