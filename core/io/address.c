/* SPDX-License-Identifier: Apache-2.0
 *
 * "host:port" texts and socket addresses. Pure functions, any thread, no look-up.
 */
#include "address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>

const char *
emesh_addr_split(const char *text, size_t len, char *host, uint16_t *port)
{
    const char *end = text + len, *colon, *from = text, *to;
    uint32_t number = 0;

    if (len > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', len);
        if (!close || close + 1 == end || close[1] != ':')
            return "an IPv6 address is written [ADDRESS]:PORT";
        from = text + 1;
        to = close;
        colon = close + 1;
    } else {
        colon = memrchr(text, ':', len);
        if (!colon)
            return "the port is missing: write ADDRESS:PORT";
        to = colon;
        if (memchr(from, ':', (size_t)(to - from)))
            return "an IPv6 address is written [ADDRESS]:PORT";
    }
    if (to == from)
        return "the address before the port is missing";
    if ((size_t)(to - from) >= EMESH_HOST_MAX || memchr(from, 0, (size_t)(to - from)))
        return "the address is no name";
    if (colon + 1 == end || end - colon > 6)
        return "the port is a number from 0 to 65535";
    for (const char *c = colon + 1; c < end; c++) {
        if (*c < '0' || *c > '9')
            return "the port is a number from 0 to 65535";
        number = number * 10 + (uint32_t)(*c - '0');
    }
    if (number > 65535)
        return "the port is a number from 0 to 65535";
    memcpy(host, from, (size_t)(to - from));
    host[to - from] = 0;
    *port = (uint16_t)number;
    return NULL;
}

bool
emesh_addr_numeric(const char *host, uint16_t port, emesh_addr *out)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    bool ok = false;

    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return false;
    if (found->ai_addrlen <= sizeof *out) {
        memset(out, 0, sizeof *out);
        memcpy(out, found->ai_addr, found->ai_addrlen);
        emesh_addr_set_port(out, port);
        ok = true;
    }
    freeaddrinfo(found);
    return ok;
}

socklen_t
emesh_addr_len(const emesh_addr *addr)
{
    return addr->sa.sa_family == AF_INET6 ? sizeof addr->in6 : sizeof addr->in;
}

void
emesh_addr_format(const emesh_addr *addr, char out[EMESH_ADDR_TEXT])
{
    char ip[INET6_ADDRSTRLEN] = "?";

    if (addr->sa.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &addr->in6.sin6_addr, ip, sizeof ip);
        if (addr->in6.sin6_scope_id)
            g_snprintf(out, EMESH_ADDR_TEXT, "[%s%%%u]:%u", ip, addr->in6.sin6_scope_id,
                       ntohs(addr->in6.sin6_port));
        else
            g_snprintf(out, EMESH_ADDR_TEXT, "[%s]:%u", ip, ntohs(addr->in6.sin6_port));
        return;
    }
    if (addr->sa.sa_family == AF_INET)
        inet_ntop(AF_INET, &addr->in.sin_addr, ip, sizeof ip);
    g_snprintf(out, EMESH_ADDR_TEXT, "%s:%u", ip, ntohs(addr->in.sin_port));
}

bool
emesh_addr_is_loopback(const emesh_addr *addr)
{
    if (addr->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
    return (ntohl(addr->in.sin_addr.s_addr) >> 24) == 127;
}

uint16_t
emesh_addr_port(const emesh_addr *addr)
{
    return ntohs(addr->sa.sa_family == AF_INET6 ? addr->in6.sin6_port : addr->in.sin_port);
}

void
emesh_addr_set_port(emesh_addr *addr, uint16_t port)
{
    if (addr->sa.sa_family == AF_INET6)
        addr->in6.sin6_port = htons(port);
    else
        addr->in.sin_port = htons(port);
}
