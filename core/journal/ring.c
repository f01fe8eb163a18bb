/* SPDX-License-Identifier: Apache-2.0
 *
 * See ring.h. The head page is a hint that makes a start one read; when it is lost, the heads of
 * the blocks say where the ring goes on.
 */
#include "journal/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEFT_MOST 8u                          /* blocks of the last daemon that are looked at */
#define LEFT_ROOM (EMESH_BLOCK_LINES / 8 * 7) /* fuller ones are not worth it */

struct emesh_ring {
    int fd;
    uint32_t n;           /* blocks it may have */
    pthread_mutex_t lock; /* of what follows */
    emesh_ring_head head;
    uint8_t *taken; /* by place */
    emesh_block left[LEFT_MOST];
    uint32_t n_left;
};

static off_t
at(uint32_t place, uint32_t line)
{
    return (off_t)EMESH_RING_HEAD + (off_t)place * EMESH_BLOCK_BYTES + (off_t)line * EMESH_LINE;
}

static bool
write_all(int fd, const uint8_t *bytes, size_t n, off_t where)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, bytes, n, where);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        n -= (size_t)done;
        where += done;
    }
    return true;
}

static uint64_t
number_at(const emesh_ring *ring, uint32_t place)
{
    uint8_t line[EMESH_LINE];

    return pread(ring->fd, line, sizeof line, at(place, 0)) == (ssize_t)sizeof line
               ? emesh_block_number(line)
               : 0;
}

/* The head page is lost, or the file is new: the youngest block tells. Numbers begin at the clock,
 * so that one whose block lost its head is not given again, and with it old lines would be new. */
static void
look_for_head(emesh_ring *ring, off_t size)
{
    uint64_t youngest = 0;

    ring->head = (emesh_ring_head){ .next = (uint64_t)g_get_real_time() };
    for (uint32_t place = 0; at(place, 1) <= size; place++) {
        uint64_t number = number_at(ring, place);
        if (number <= youngest)
            continue;
        youngest = number;
        ring->head = (emesh_ring_head){ MAX(number + 1, ring->head.next), place + 1 };
    }
}

/* What the last daemon left, the youngest first. */
static void
find_left(emesh_ring *ring)
{
    uint32_t place = ring->head.place;

    for (uint64_t below = ring->head.next; ring->n_left < LEFT_MOST;) {
        uint64_t number;
        place = place > 0 ? place - 1 : ring->n - 1;
        number = number_at(ring, place);
        if (number == 0 || number >= below)
            break;
        below = number;
        ring->left[ring->n_left++] = (emesh_block){ .number = number, .place = place };
    }
}

static bool
set_aside(const char *path, GError **error)
{
    g_autofree char *aside = g_strconcat(path, ".newer", NULL);

    if (rename(path, aside) == 0)
        return true;
    g_set_error(error, G_FILE_ERROR, 0,
                "the journal %s is of a newer version and cannot be renamed: %s", path,
                g_strerror(errno));
    return false;
}

static int
open_file(const char *path, emesh_ring_head *head, int *state, GError **error)
{
    uint8_t line[EMESH_LINE] = { 0 };
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);

    if (fd < 0) {
        g_set_error(error, G_FILE_ERROR, 0, "cannot open the journal %s: %s", path,
                    g_strerror(errno));
        return -1;
    }
    *state = pread(fd, line, sizeof line, 0) == (ssize_t)sizeof line
                 ? emesh_ring_head_read(line, head)
                 : -1;
    return fd;
}

emesh_ring *
emesh_ring_open(const char *path, uint64_t size, GError **error)
{
    emesh_ring_head head = { 0 };
    int state = -1, fd = open_file(path, &head, &state, error);
    emesh_ring *ring;
    struct stat st;

    if (fd >= 0 && state > 0) {
        close(fd);
        if (!set_aside(path, error))
            return NULL;
        fd = open_file(path, &head, &state, error);
    }
    if (fd < 0)
        return NULL;
    ring = g_new0(emesh_ring, 1);
    ring->fd = fd;
    ring->n = (uint32_t)MAX(size / EMESH_BLOCK_BYTES, 2u);
    ring->taken = g_new0(uint8_t, ring->n);
    pthread_mutex_init(&ring->lock, NULL);
    ring->head = head;
    if (fstat(fd, &st) != 0)
        st.st_size = 0;
    if (state < 0)
        look_for_head(ring, st.st_size);
    if (st.st_size > at(ring->n, 0) && ftruncate(fd, at(ring->n, 0)) != 0)
        errno = 0; /* larger than it may be: only the space is lost */
    if (ring->head.place >= ring->n)
        ring->head.place = 0;
    find_left(ring);
    return ring;
}

void
emesh_ring_close(emesh_ring *ring)
{
    if (ring == NULL)
        return;
    close(ring->fd);
    pthread_mutex_destroy(&ring->lock);
    g_free(ring->taken);
    g_free(ring);
}

uint32_t
emesh_ring_blocks(const emesh_ring *ring)
{
    return ring->n;
}

bool
emesh_ring_write(emesh_ring *ring, emesh_block *block, const uint8_t *lines, uint32_t n)
{
    if (!write_all(ring->fd, lines, (size_t)n * EMESH_LINE, at(block->place, block->used)))
        return false;
    block->used += n;
    return true;
}

/* Goes on behind the last line that is whole, however it was torn before. */
static bool
resume(emesh_ring *ring, emesh_block *block)
{
    g_autofree uint8_t *lines = g_malloc0(EMESH_BLOCK_BYTES);
    ssize_t got = pread(ring->fd, lines, EMESH_BLOCK_BYTES, at(block->place, 0));
    uint32_t have = got > 0 ? (uint32_t)got / EMESH_LINE : 0;
    emesh_line line = { .kind = EMESH_LINE_RESUMED, .time_us = (uint64_t)g_get_real_time() };
    uint8_t first[EMESH_LINE];

    if (have == 0 || emesh_block_number(lines) != block->number)
        return false;
    for (uint32_t i = have; i > 1; i--) {
        emesh_line old;
        if (emesh_line_read(lines + (size_t)(i - 1) * EMESH_LINE, &old, i - 1, block->number)) {
            have = i;
            break;
        }
        have = i - 1;
    }
    block->used = have;
    if (have > LEFT_ROOM)
        return false;
    emesh_line_pack(first, &line, have, block->number);
    return emesh_ring_write(ring, block, first, 1);
}

/* lock held. */
static bool
take_left(emesh_ring *ring, emesh_block *block)
{
    while (ring->n_left > 0) {
        *block = ring->left[0];
        memmove(ring->left, ring->left + 1, --ring->n_left * sizeof *ring->left);
        if (block->place < ring->n && !ring->taken[block->place] && resume(ring, block)) {
            ring->taken[block->place] = 1;
            return true;
        }
    }
    return false;
}

/* lock held. */
static bool
take_next(emesh_ring *ring, emesh_block *block)
{
    emesh_line line = { .kind = EMESH_LINE_BLOCK, .time_us = (uint64_t)g_get_real_time() };
    uint8_t page[EMESH_LINE];
    uint32_t place = ring->head.place, tried = 0;

    for (; ring->taken[place] != 0 && tried < ring->n; tried++)
        place = (place + 1) % ring->n;
    errno = EBUSY;
    if (tried == ring->n)
        return false;
    *block = (emesh_block){ .number = ring->head.next, .place = place };
    emesh_line_pack(page, &line, 0, block->number);
    if (!emesh_ring_write(ring, block, page, 1))
        return false;
    ring->taken[place] = 1;
    ring->head = (emesh_ring_head){ block->number + 1, (place + 1) % ring->n };
    emesh_ring_head_pack(page, &ring->head);
    return write_all(ring->fd, page, sizeof page, 0);
}

bool
emesh_ring_take(emesh_ring *ring, emesh_block *block)
{
    bool taken;

    pthread_mutex_lock(&ring->lock);
    taken = take_left(ring, block) || take_next(ring, block);
    pthread_mutex_unlock(&ring->lock);
    return taken;
}

void
emesh_ring_leave(emesh_ring *ring, const emesh_block *block)
{
    if (block->number == 0)
        return;
    pthread_mutex_lock(&ring->lock);
    ring->taken[block->place] = 0;
    pthread_mutex_unlock(&ring->lock);
}

bool
emesh_ring_sync(emesh_ring *ring)
{
    return fdatasync(ring->fd) == 0;
}
