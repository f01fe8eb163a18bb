/* SPDX-License-Identifier: Apache-2.0
 *
 * The alarm for damage, see scrub.h: as long as anything lies in quarantine/ the instance says that
 * it is degraded. Whoever has dealt with it takes it out of the folder.
 */
#include "scrub.h"

#include "store.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SA_ALARM_NS 60000000000u

/* Files in quarantine/; what is there already when that cannot be told. */
static uint32_t
count(const struct sa_store *store, uint32_t before)
{
    int fd = openat(store->dir, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    uint32_t n = 0;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return errno == ENOENT ? 0 : before;
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

void
sa_alarm_report(struct sa_store *store)
{
    emesh_error err = { .size = sizeof err };
    if (store->keeper.low)
        return; /* which is told, and worse */
    if (store->scrub.lies == 0) {
        store->host->report(store->host, EMESH_HEALTH_OK, NULL);
        return;
    }
    sa_error(&err, EMESH_E_CORRUPT, "%u damaged pieces of the log lie in %s/quarantine: events may "
             "be lost, the log says which; eventmeshctl store check looks again; take the files out "
             "when they are dealt with", store->scrub.lies, store->path);
    sa_say(store, EMESH_LOG_ERROR, "%s", err.text);
    store->host->report(store->host, EMESH_HEALTH_DEGRADED, &err);
}

void
sa_alarm_step(struct sa_store *store)
{
    sa_scrub *scrub = &store->scrub;
    uint64_t now = sa_mono_ns(store), seen = atomic_load(&store->stats.quarantined);
    if (scrub->looked && seen == scrub->seen && now < scrub->look_ns)
        return;
    uint32_t lies = count(store, scrub->lies);
    bool news = lies != scrub->lies;
    scrub->looked = true;
    scrub->look_ns = now + SA_ALARM_NS;
    scrub->seen = seen;
    scrub->lies = lies;
    if (news)
        sa_alarm_report(store);
}
