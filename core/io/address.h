/* SPDX-License-Identifier: Apache-2.0
 *
 * "host:port" texts and socket addresses. Pure functions, any thread.
 */
#pragma once
#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

typedef union emesh_addr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
} emesh_addr;

#define EMESH_ADDR_TEXT 80

/* Splits "host:port" ("[v6]:port"); host has room for EMESH_HOST_MAX. NULL, or what is wrong. */
#define EMESH_HOST_MAX 256
const char *emesh_addr_split(const char *text, size_t len, char *host, uint16_t *port);
/* host as a number, without any look-up. */
bool emesh_addr_numeric(const char *host, uint16_t port, emesh_addr *out);
socklen_t emesh_addr_len(const emesh_addr *addr);
void emesh_addr_format(const emesh_addr *addr, char out[EMESH_ADDR_TEXT]); /* "ip:port" */
bool emesh_addr_is_loopback(const emesh_addr *addr);
uint16_t emesh_addr_port(const emesh_addr *addr);
void emesh_addr_set_port(emesh_addr *addr, uint16_t port);
