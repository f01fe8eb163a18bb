/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk whose power can be cut: an sa_io table that passes every call on to the kernel and keeps
 * what each did, in order. After any number of these steps the folder can be made again as a power
 * cut would have left it. Calls come from any thread of the store; the rest is the test's.
 *
 * Names in folders and file sizes count as unsynced too. Whole pages of 4 KiB are written or not;
 * each page that no sync covered has any of the states it went through. The index (LMDB) is copied
 * whole after its commits; pages of it that are torn are not emulated. See tests/faults/README.md.
 */
#pragma once
#include "io.h"

#include <glib.h>
#include <stdbool.h>

typedef struct cut_disk cut_disk;

typedef enum cut_keep { /* of what no sync had covered */
    CUT_KEEP_NOTHING,
    CUT_KEEP_ALL,  /* as kill -9 */
    CUT_KEEP_SOME, /* any pages, any names, any sizes */
} cut_keep;

/* dir: folder of the instance; what lies in it counts as safe. */
cut_disk *cut_disk_new(const char *dir);
void cut_disk_free(cut_disk *d);
const sa_io *cut_disk_io(cut_disk *d);
/* Steps so far: what a test notes with this number holds from that many steps on. */
uint32_t cut_disk_steps(cut_disk *d);
/* Makes dir what the first n steps leave of the disk. index: false, without its index. */
void cut_disk_rebuild(cut_disk *d, const char *dir, uint32_t n, cut_keep keep, bool index,
                      GRand *rand);
/* Says the last steps before n: to find out what a state was. */
void cut_disk_tell(cut_disk *d, uint32_t n, uint32_t last);
