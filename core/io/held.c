/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets between two lives of an instance. A copy keeps the socket listening, so that the
 * kernel goes on queueing connections while the old life drains and the new one starts. [main].
 */
#include "listener.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct emesh_held {
    uint32_t n_addresses, n_lanes;
    emesh_bound *bound;
    int *fds; /* n_lanes rows of n_addresses; -1 = none, or taken */
};

emesh_held *
emesh_net_hold(const emesh_listeners *listeners)
{
    emesh_held *held;

    if (listeners == NULL)
        return NULL;
    held = g_new0(emesh_held, 1);
    held->n_addresses = listeners->n_addresses;
    held->n_lanes = listeners->n_lanes;
    held->bound = g_new0(emesh_bound, held->n_addresses);
    held->fds = g_new(int, (size_t)held->n_lanes * held->n_addresses);
    for (uint32_t a = 0; a < held->n_addresses; a++) {
        held->bound[a] = listeners->bound[a];
        held->bound[a].asked = g_strdup(listeners->bound[a].asked);
    }
    for (size_t i = 0; i < (size_t)held->n_lanes * held->n_addresses; i++) {
        int fd = listeners->ports[i].fd.fd;
        held->fds[i] = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    }
    return held;
}

void
emesh_held_free(emesh_held *held)
{
    if (held == NULL)
        return;
    for (size_t i = 0; i < (size_t)held->n_lanes * held->n_addresses; i++)
        if (held->fds[i] >= 0)
            close(held->fds[i]);
    for (uint32_t a = 0; a < held->n_addresses; a++)
        g_free(held->bound[a].asked);
    g_free(held->bound);
    g_free(held->fds);
    g_free(held);
}

/* All lanes, or none: a lane without its socket would leave a part of the connections alone. */
static bool
whole(const emesh_held *held, uint32_t a)
{
    for (uint32_t lane = 0; lane < held->n_lanes; lane++)
        if (held->fds[(size_t)lane * held->n_addresses + a] < 0)
            return false;
    return true;
}

bool
emesh_held_adopt(emesh_held *held, emesh_listeners *listeners, uint32_t address)
{
    emesh_bound *bound = &listeners->bound[address];

    for (uint32_t a = 0; a < held->n_addresses && held->n_lanes == listeners->n_lanes; a++) {
        if (strcmp(held->bound[a].asked, bound->asked) != 0 || !whole(held, a))
            continue;
        bound->addr = held->bound[a].addr;
        memcpy(bound->text, held->bound[a].text, sizeof bound->text);
        for (uint32_t lane = 0; lane < held->n_lanes; lane++) {
            int *fd = &held->fds[(size_t)lane * held->n_addresses + a];
            emesh_listeners_port(listeners, lane, address)->fd.fd = *fd;
            *fd = -1;
        }
        return true;
    }
    return false;
}
