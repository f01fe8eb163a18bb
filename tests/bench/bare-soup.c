/* SPDX-License-Identifier: Apache-2.0
 *
 * A bare libsoup server for bench-http: answers 200 with a few bytes to everything, and nothing else.
 * Says its port on standard output and serves until it is ended.
 */
#include <libsoup/soup.h>
#include <stdio.h>

#define ANSWER "{\"retCode\":0,\"retMsg\":\"success\"}"

static void
on_request(SoupServer *server, SoupServerMessage *msg, const char *path, GHashTable *query,
           gpointer data)
{
    (void)server, (void)path, (void)query, (void)data;
    soup_server_message_set_status(msg, SOUP_STATUS_OK, NULL);
    soup_server_message_set_response(msg, "application/json", SOUP_MEMORY_STATIC, ANSWER,
                                     sizeof ANSWER - 1);
}

int
main(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(SoupServer) server = soup_server_new(NULL, NULL);
    GSList *uris;

    soup_server_add_handler(server, NULL, on_request, NULL, NULL);
    if (!soup_server_listen_local(server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error)) {
        fprintf(stderr, "bare-soup: cannot listen: %s\n", error->message);
        return 1;
    }
    uris = soup_server_get_uris(server);
    printf("%d\n", g_uri_get_port(uris->data));
    fflush(stdout);
    g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
    g_main_loop_run(loop);
    return 0;
}
