/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of an instance: made, locked, judged; its list of segment files; the count of starts
 * that died before a checkpoint; bytes set aside as damaged.
 */
#ifndef SA_FOLDER_H
#define SA_FOLDER_H
#include "eventmesh/plugin.h"
#include <glib.h>
#include <stdbool.h>

struct sa_store;

/* Makes what is missing, refuses network file systems and a second opener, opens descriptors. */
int32_t sa_folder_open(struct sa_store *store, emesh_error *err);
void sa_folder_close(struct sa_store *store);

typedef struct sa_file {
    uint64_t base;
    uint64_t size;
    bool cleaned;
} sa_file;
/* Segment files, sorted by base. NULL: the folder cannot be read. What a cleaner had not ended goes. */
GArray *sa_folder_list(struct sa_store *store, emesh_error *err);

uint32_t sa_starts_add(struct sa_store *store); /* how many starts died before this one */
void sa_starts_clear(struct sa_store *store);

/* Copies damaged bytes of a segment to quarantine/. */
void sa_quarantine(struct sa_store *store, int fd, uint64_t base, uint64_t place, uint64_t size);
/* Moves a segment file there that has nothing to read. False: it could not be. */
bool sa_quarantine_file(struct sa_store *store, const char *name);

#endif
