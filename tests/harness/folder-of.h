/* SPDX-License-Identifier: Apache-2.0
 *
 * Folders of store tests, and children that die in them.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

char *folder_make(void);
/* In memory where the machine has such a place, else as above: for tests that open thousands. */
char *folder_make_fast(void);
bool folder_is_fast(void);
void folder_remove(const char *dir);
void folder_clear(const char *dir); /* what is in it */
char *folder_copy(const char *dir); /* a new folder beside it with the same files */
/* True in the child. Before any thread exists in this process. */
bool folder_fork(void);
_Noreturn void folder_die(void); /* without any goodbye: as kill -9 */
/* Waits for the child; returns its signal, or 0 when it ended as folder_die() does. */
int folder_child_ended(void);
/* Segment files of a store, sorted; full paths. */
GPtrArray *folder_segments(const char *dir);
