/* SPDX-License-Identifier: Apache-2.0
 *
 * See segment.h: files come and go here.
 */
#include "segment.h"

#include "index.h"
#include "store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

void
sa_segs_init(sa_segs *segs)
{
    memset(segs, 0, sizeof *segs);
    pthread_mutex_init(&segs->lock, NULL);
}

void
sa_seg_name(char out[SA_NAME_MAX], uint64_t base, bool cleaned)
{
    snprintf(out, SA_NAME_MAX, "%s%016llx.seg", cleaned ? "c-" : "", (unsigned long long)base);
}

bool
sa_seg_base(const char *name, uint64_t *base, bool *cleaned)
{
    uint64_t value = 0;
    *cleaned = strncmp(name, "c-", 2) == 0;
    name += *cleaned ? 2 : 0;
    if (strlen(name) != 20 || strcmp(name + 16, ".seg") != 0)
        return false;
    for (int i = 0; i < 16; i++) {
        char c = name[i];
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10u : 16u;
        if (digit > 15)
            return false;
        value = value << 4 | digit;
    }
    *base = value;
    return true;
}

sa_segment *
sa_seg_new(uint64_t base, uint64_t last)
{
    sa_segment *seg = calloc(1, sizeof *seg);
    if (seg != NULL) {
        seg->base = base;
        seg->last = last;
        seg->fd = -1;
        atomic_store(&seg->end, base + SA_SEGMENT_HEAD);
        atomic_store(&seg->synced, base + SA_SEGMENT_HEAD);
    }
    return seg;
}

void
sa_seg_free(struct sa_store *store, sa_segment *seg)
{
    if (seg == NULL)
        return;
    if (seg->fd >= 0)
        store->io->close(store->io->ctx, seg->fd);
    sa_index_drop(store, seg);
    sa_prints_drop(seg);
    free(seg->dir);
    free(seg);
}

void
sa_segs_clear(struct sa_store *store)
{
    sa_segs *segs = &store->segs;
    for (uint32_t i = 0; i < segs->n; i++)
        sa_seg_free(store, segs->all[i]);
    free(segs->all);
    pthread_mutex_destroy(&segs->lock);
}

static int
write_head(struct sa_store *store, int fd, uint64_t base, uint64_t last)
{
    uint8_t page[SA_SEGMENT_HEAD];
    sa_seg_head head = {
        .major = SA_MAJOR, .minor = SA_MINOR, .incompat = store->features, .salt = store->salt,
        .base = base, .created = sa_wall_us(store), .epoch = store->epoch, .kind = SA_SEGMENT_LOG,
        .first = base + SA_SEGMENT_HEAD, .last = last,
    };
    memcpy(head.store, store->id, sizeof head.store);
    sa_seg_head_write(page, &head, NULL);
    int rc = sa_write_all(store->io, fd, page, sizeof page, 0);
    if (rc == 0)
        rc = store->io->sync(store->io->ctx, fd);
    if (rc == 0)
        rc = store->io->sync(store->io->ctx, store->log_dir);
    return rc;
}

int
sa_seg_create(struct sa_store *store, uint64_t base, uint64_t size, sa_segment **out)
{
    const sa_io *io = store->io;
    char name[SA_NAME_MAX];
    sa_segment *seg = sa_seg_new(base, base + size);
    if (seg == NULL)
        return -ENOMEM;
    sa_seg_name(name, base, false);
    int fd = io->open(io->ctx, store->log_dir, name, O_RDWR | O_CREAT | O_EXCL);
    if (fd < 0) {
        free(seg);
        return fd;
    }
    int rc = io->allocate(io->ctx, fd, size);
    if (rc == 0)
        rc = write_head(store, fd, base, seg->last);
    if (rc < 0) {
        io->close(io->ctx, fd);
        io->unlink(io->ctx, store->log_dir, name);
        free(seg);
        return rc;
    }
    seg->fd = fd;
    seg->epoch = store->epoch;
    seg->adopted = true;
    *out = seg;
    return 0;
}

uint32_t
sa_segs_place(const sa_segs *segs, uint64_t base)
{
    uint32_t low = 0, high = segs->n;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (segs->all[mid]->base < base)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int
sa_segs_add(sa_segs *segs, sa_segment *seg)
{
    if (segs->n == segs->cap) {
        uint32_t cap = segs->cap ? segs->cap * 2 : 16;
        sa_segment **all = realloc(segs->all, cap * sizeof *all);
        if (all == NULL)
            return -ENOMEM;
        segs->all = all;
        segs->cap = cap;
    }
    uint32_t at = sa_segs_place(segs, seg->base);
    memmove(segs->all + at + 1, segs->all + at, (segs->n - at) * sizeof *segs->all);
    segs->all[at] = seg;
    segs->n++;
    if (seg->fd >= 0)
        segs->n_open++;
    return 0;
}

void
sa_segs_remove(sa_segs *segs, sa_segment *seg)
{
    uint32_t at = sa_segs_place(segs, seg->base);
    if (at == segs->n || segs->all[at] != seg)
        return;
    segs->n--;
    memmove(segs->all + at, segs->all + at + 1, (segs->n - at) * sizeof *segs->all);
    if (seg->fd >= 0)
        segs->n_open--;
}

sa_segment *
sa_segs_find(const sa_segs *segs, uint64_t base)
{
    uint32_t at = sa_segs_place(segs, base);
    return at < segs->n && segs->all[at]->base == base ? segs->all[at] : NULL;
}

sa_segment *
sa_segs_at(const sa_segs *segs, uint64_t lsn)
{
    uint32_t at = sa_segs_place(segs, lsn + 1);
    while (at > 0 && (segs->all[at - 1]->gone || segs->all[at - 1]->pending))
        at--;
    return at > 0 && lsn < segs->all[at - 1]->last ? segs->all[at - 1] : NULL;
}

/* Closes the sealed segment that was used longest ago. A descriptor that is not sealed stays open:
 * its last sync must succeed first. */
static void
close_one(struct sa_store *store)
{
    sa_segs *segs = &store->segs;
    sa_segment *oldest = NULL;
    for (uint32_t i = 0; i < segs->n; i++) {
        sa_segment *seg = segs->all[i];
        if (seg->fd >= 0 && seg->use == 0 && seg->state == SA_SEG_SEALED
            && (oldest == NULL || seg->used < oldest->used))
            oldest = seg;
    }
    if (oldest != NULL) {
        store->io->close(store->io->ctx, oldest->fd);
        oldest->fd = -1;
        segs->n_open--;
    }
}

int
sa_seg_use(struct sa_store *store, sa_segment *seg)
{
    sa_segs *segs = &store->segs;
    if (seg == NULL || seg->gone)
        return -ENOENT;
    int fd = seg->fd;
    if (fd < 0) {
        char name[SA_NAME_MAX];
        if (segs->n_open >= SA_OPEN_MAX)
            close_one(store);
        sa_seg_name(name, seg->base, seg->cleaned);
        fd = store->io->open(store->io->ctx, store->log_dir, name, O_RDONLY);
        if (fd >= 0) {
            seg->fd = fd;
            segs->n_open++;
        }
    }
    if (fd >= 0) {
        seg->use++;
        seg->used = ++segs->tick;
    }
    return fd;
}

void
sa_seg_leave(struct sa_store *store, sa_segment *seg)
{
    pthread_mutex_lock(&store->segs.lock);
    seg->use--;
    pthread_mutex_unlock(&store->segs.lock);
}
