/* SPDX-License-Identifier: Apache-2.0
 *
 * A bare libsoup server for web.py: answers 200 with a few bytes to everything, and nothing else.
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
    g_autoptr(GSocketAddress) address = NULL;
    g_autoptr(GSocket) socket =
        g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &error);

    soup_server_add_handler(server, NULL, on_request, NULL, NULL);
    address = g_inet_socket_address_new_from_string("127.0.0.1", 0);
    if (socket != NULL)
        g_socket_set_listen_backlog(socket, 1024); /* of itself libsoup takes 10 */
    if (socket == NULL || !g_socket_bind(socket, address, TRUE, &error) ||
        !g_socket_listen(socket, &error) ||
        !soup_server_listen_socket(server, socket, 0, &error)) {
        fprintf(stderr, "bare-soup: cannot listen: %s\n", error->message);
        return 1;
    }
    g_object_unref(g_steal_pointer(&address));
    address = g_socket_get_local_address(socket, &error);
    printf("%d\n", g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(address)));
    fflush(stdout);
    g_main_loop_run(loop);
    return 0;
}
