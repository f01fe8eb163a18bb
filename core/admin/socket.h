/* SPDX-License-Identifier: Apache-2.0
 *
 * The Unix socket of the admin face: who may hold it, and who is at its other end.
 */
#pragma once
#include <gio/gio.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct emesh_admin_socket emesh_admin_socket;

/* [main] Binds path (0660) and listens. What a dead daemon left there is replaced; a living one is
 * an error that names it. NULL: error. Given: free, which removes the path. */
emesh_admin_socket *emesh_admin_socket_bind(const char *path, GError **error);
void emesh_admin_socket_free(emesh_admin_socket *held);
int emesh_admin_socket_fd(const emesh_admin_socket *held); /* borrowed, non-blocking */

/* Who is at the other end of an accepted connection; false: the kernel does not say. */
bool emesh_admin_peer(int fd, uid_t *uid, pid_t *pid);
/* Root and the daemon's own user may; others may not. */
bool emesh_admin_may(uid_t uid);
