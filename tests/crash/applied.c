/* SPDX-License-Identifier: Apache-2.0
 *
 * applied DIR...: of each copy of a store's index (DIR/index) the LSN up to which it says it knows
 * the log, 0 when it says nothing yet. Read by the store's own code.
 */
#include "rows.h"
#include "store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        sa_store *store = calloc(1, sizeof *store);
        sa_meta meta = { 0 };
        int rc;

        if (store == NULL)
            return 1;
        store->path = argv[i];
        store->opt.map_size = UINT64_C(1) << 30;
        rc = sa_rows_open(store);
        if (rc == 0)
            rc = sa_rows_meta(store, &meta);
        if (rc != 0 && rc != MDB_NOTFOUND) {
            fprintf(stderr, "%s: %s\n", argv[i], rc < 0 && rc > -1000 ? strerror(-rc)
                                                                       : mdb_strerror(rc));
            return 1;
        }
        printf("%" PRIu64 "\n", meta.applied);
        sa_rows_close(store);
        free(store);
    }
    return 0;
}
