/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands of the protocol, by their number; the name is what the wire carries.
 */
#ifndef TCP_COMMAND_H
#define TCP_COMMAND_H
#include <stddef.h>

typedef enum tcp_command {
    TCP_HEARTBEAT_REQUEST,
    TCP_HEARTBEAT_RESPONSE,
    TCP_HELLO_REQUEST,
    TCP_HELLO_RESPONSE,
    TCP_CLIENT_GOODBYE_REQUEST,
    TCP_CLIENT_GOODBYE_RESPONSE,
    TCP_SERVER_GOODBYE_REQUEST,
    TCP_SERVER_GOODBYE_RESPONSE,
    TCP_SUBSCRIBE_REQUEST,
    TCP_SUBSCRIBE_RESPONSE,
    TCP_UNSUBSCRIBE_REQUEST,
    TCP_UNSUBSCRIBE_RESPONSE,
    TCP_LISTEN_REQUEST,
    TCP_LISTEN_RESPONSE,
    TCP_REQUEST_TO_SERVER,
    TCP_REQUEST_TO_CLIENT,
    TCP_REQUEST_TO_CLIENT_ACK,
    TCP_RESPONSE_TO_SERVER,
    TCP_RESPONSE_TO_CLIENT,
    TCP_RESPONSE_TO_CLIENT_ACK,
    TCP_ASYNC_MESSAGE_TO_SERVER,
    TCP_ASYNC_MESSAGE_TO_SERVER_ACK,
    TCP_ASYNC_MESSAGE_TO_CLIENT,
    TCP_ASYNC_MESSAGE_TO_CLIENT_ACK,
    TCP_BROADCAST_MESSAGE_TO_SERVER,
    TCP_BROADCAST_MESSAGE_TO_SERVER_ACK,
    TCP_BROADCAST_MESSAGE_TO_CLIENT,
    TCP_BROADCAST_MESSAGE_TO_CLIENT_ACK,
    TCP_SYS_LOG_TO_LOGSERVER,
    TCP_TRACE_LOG_TO_LOGSERVER,
    TCP_REDIRECT_TO_CLIENT,
    TCP_REGISTER_REQUEST,
    TCP_REGISTER_RESPONSE,
    TCP_UNREGISTER_REQUEST,
    TCP_UNREGISTER_RESPONSE,
    TCP_RECOMMEND_REQUEST,
    TCP_RECOMMEND_RESPONSE,
    TCP_COMMANDS,
} tcp_command;

const char *tcp_command_name(tcp_command command);
/* How the header of a frame with this command begins; the number of code is to follow. */
const char *tcp_command_begin(tcp_command command, size_t *len);
/* -1: none of that name. */
int tcp_command_find(const char *name, size_t len);
/* What answers it; the command itself when nothing does. */
tcp_command tcp_command_reply(tcp_command command);

#endif
