/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the commands and what answers them. Constant; any thread.
 */
#include "command.h"

#include <stdint.h>
#include <string.h>

/* The beginning of a header, up to where code and seq come. */
#define BEGIN(command) "{\"cmd\":\"" #command "\",\"command\":\"" #command "\",\"code\":"
#define NAME(command)                                                                              \
    [TCP_##command] = { #command, BEGIN(command), sizeof #command - 1, sizeof BEGIN(command) - 1 }

static const struct {
    const char *name;
    const char *begin;
    size_t len;
    size_t begin_len;
} names[TCP_COMMANDS] = {
    NAME(HEARTBEAT_REQUEST),
    NAME(HEARTBEAT_RESPONSE),
    NAME(HELLO_REQUEST),
    NAME(HELLO_RESPONSE),
    NAME(CLIENT_GOODBYE_REQUEST),
    NAME(CLIENT_GOODBYE_RESPONSE),
    NAME(SERVER_GOODBYE_REQUEST),
    NAME(SERVER_GOODBYE_RESPONSE),
    NAME(SUBSCRIBE_REQUEST),
    NAME(SUBSCRIBE_RESPONSE),
    NAME(UNSUBSCRIBE_REQUEST),
    NAME(UNSUBSCRIBE_RESPONSE),
    NAME(LISTEN_REQUEST),
    NAME(LISTEN_RESPONSE),
    NAME(REQUEST_TO_SERVER),
    NAME(REQUEST_TO_CLIENT),
    NAME(REQUEST_TO_CLIENT_ACK),
    NAME(RESPONSE_TO_SERVER),
    NAME(RESPONSE_TO_CLIENT),
    NAME(RESPONSE_TO_CLIENT_ACK),
    NAME(ASYNC_MESSAGE_TO_SERVER),
    NAME(ASYNC_MESSAGE_TO_SERVER_ACK),
    NAME(ASYNC_MESSAGE_TO_CLIENT),
    NAME(ASYNC_MESSAGE_TO_CLIENT_ACK),
    NAME(BROADCAST_MESSAGE_TO_SERVER),
    NAME(BROADCAST_MESSAGE_TO_SERVER_ACK),
    NAME(BROADCAST_MESSAGE_TO_CLIENT),
    NAME(BROADCAST_MESSAGE_TO_CLIENT_ACK),
    NAME(SYS_LOG_TO_LOGSERVER),
    NAME(TRACE_LOG_TO_LOGSERVER),
    NAME(REDIRECT_TO_CLIENT),
    NAME(REGISTER_REQUEST),
    NAME(REGISTER_RESPONSE),
    NAME(UNREGISTER_REQUEST),
    NAME(UNREGISTER_RESPONSE),
    NAME(RECOMMEND_REQUEST),
    NAME(RECOMMEND_RESPONSE),
};

const char *
tcp_command_name(tcp_command command)
{
    return names[command].name;
}

const char *
tcp_command_begin(tcp_command command, size_t *len)
{
    *len = names[command].begin_len;
    return names[command].begin;
}

int
tcp_command_find(const char *name, size_t len)
{
    /* the hot ones first: a publish, an acknowledgement */
    static const uint8_t hot[] = { TCP_ASYNC_MESSAGE_TO_SERVER, TCP_ASYNC_MESSAGE_TO_CLIENT_ACK };
    for (size_t i = 0; i < sizeof hot; i++) {
        if (names[hot[i]].len == len && memcmp(names[hot[i]].name, name, len) == 0)
            return hot[i];
    }
    for (int i = 0; i < TCP_COMMANDS; i++) {
        if (names[i].len == len && memcmp(names[i].name, name, len) == 0)
            return i;
    }
    return -1;
}

tcp_command
tcp_command_reply(tcp_command command)
{
    switch (command) {
    case TCP_HEARTBEAT_REQUEST:
    case TCP_HELLO_REQUEST:
    case TCP_CLIENT_GOODBYE_REQUEST:
    case TCP_SUBSCRIBE_REQUEST:
    case TCP_UNSUBSCRIBE_REQUEST:
    case TCP_LISTEN_REQUEST:
    case TCP_ASYNC_MESSAGE_TO_SERVER:
    case TCP_BROADCAST_MESSAGE_TO_SERVER:
    case TCP_RECOMMEND_REQUEST:
        return (tcp_command)(command + 1);
    case TCP_REQUEST_TO_SERVER:
        return TCP_RESPONSE_TO_CLIENT;
    default:
        return command;
    }
}
