/* SPDX-License-Identifier: Apache-2.0
 *
 * May this URL be pushed to? Its host is looked up, each address held against the guard, and the
 * target asked once by OPTIONS. [lane]
 */
#include "push.h"
#include <string.h>

const char *
http_url_flaw(const char *url)
{
    g_autoptr(GUri) uri = g_uri_parse(url, SOUP_HTTP_URI_FLAGS, NULL);

    if (uri == NULL)
        return "it is no URL";
    if (strcmp(g_uri_get_scheme(uri), "http") != 0 && strcmp(g_uri_get_scheme(uri), "https") != 0)
        return "it is neither http nor https";
    if (g_uri_get_host(uri) == NULL || *g_uri_get_host(uri) == '\0')
        return "it names no host";
    if (g_uri_get_userinfo(uri) != NULL)
        return "it has a user in it";
    return NULL;
}

void
http_check_allowed(http_check *c, bool allowed)
{
    g_autofree char *why =
        allowed ? NULL : g_strdup_printf(" unauthorized webhook URL: %s", c->url);
    c->done(c, why);
}

static void
ask_target(http_check *c)
{
    http_target *target = http_target_get(c->push, c->url);

    if (target == NULL) {
        g_autofree char *why = g_strdup_printf(" invalid URL: %s", c->url);
        c->done(c, why);
        return;
    }
    target->n_hooks++; /* stays while it is asked */
    http_hand_ask(target, c);
    http_target_release(target);
}

char *
http_guard_says(const http_guard *guard, const emesh_slice *found, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        g_autofree char *text = g_strndup(found[i].ptr, found[i].len);
        g_autoptr(GSocketConnectable) at = g_network_address_parse(text, 80, NULL);
        g_autoptr(GInetAddress) address =
            at != NULL ? g_inet_address_new_from_string(
                             g_network_address_get_hostname(G_NETWORK_ADDRESS(at)))
                       : NULL;
        char *why = address != NULL ? http_guard_refuses(guard, address) : NULL;
        if (why != NULL)
            return why;
    }
    return NULL;
}

static void
on_found(void *ctx, int32_t code, const emesh_slice *found, uint32_t n)
{
    http_check *c = ctx;
    g_autofree char *flaw = NULL, *why = NULL;

    if (code != EMESH_OK || n == 0)
        flaw = g_strdup("its host is not known");
    else
        flaw = http_guard_says(&c->push->lane->http->options.guard, found, n);
    if (flaw == NULL) {
        ask_target(c);
        return;
    }
    why = g_strdup_printf(" invalid URL: %s (%s)", c->url, flaw);
    c->done(c, why);
}

void
http_check_start(http_check *c)
{
    const http_lane *lane = c->push->lane;
    g_autoptr(GUri) uri = g_uri_parse(c->url, SOUP_HTTP_URI_FLAGS, NULL);
    const char *host = g_uri_get_host(uri);
    int port = g_uri_get_port(uri);
    g_autofree char *address = g_strdup_printf(strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d",
                                               host, port > 0 ? port : 80);

    lane->http->net->resolve(lane->loop, address, strlen(address), on_found, c);
}
