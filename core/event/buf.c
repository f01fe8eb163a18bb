/* SPDX-License-Identifier: Apache-2.0
 *
 * Counted buffers: header and bytes in one allocation, or a header that keeps a GBytes alive. Any
 * thread; the count is the only thing that is written once a buffer is shared.
 */
#include "event/event.h"
#include <stdlib.h>

struct emesh_buf {
    uint32_t refs;
    uint32_t zero;
    size_t size;
    void *mem;
    GBytes *bytes; /* NULL: mem follows this header */
};
G_STATIC_ASSERT(sizeof(struct emesh_buf) % 16 == 0 || sizeof(void *) == 4);

emesh_buf *
emesh_buf_new(size_t n, void **mem)
{
    if (n > EMESH_BUF_MAX)
        return NULL;
    emesh_buf *buf = malloc(sizeof *buf + n);
    if (buf == NULL)
        return NULL;
    *buf = (emesh_buf){ .refs = 1, .size = n, .mem = buf + 1 };
    if (mem != NULL)
        *mem = buf->mem;
    return buf;
}

emesh_buf *
emesh_buf_new_bytes(GBytes *bytes, emesh_part *out)
{
    emesh_buf *buf = malloc(sizeof *buf);
    if (buf == NULL)
        return NULL;
    size_t size = 0;
    gconstpointer mem = g_bytes_get_data(bytes, &size);
    *buf = (emesh_buf){ .refs = 1, .size = size, .mem = (void *)(uintptr_t)mem };
    buf->bytes = g_bytes_ref(bytes);
    if (out != NULL)
        *out = (emesh_part){ .ptr = mem, .len = size, .owner = buf };
    return buf;
}

emesh_buf *
emesh_buf_ref(emesh_buf *buf)
{
    __atomic_fetch_add(&buf->refs, 1, __ATOMIC_RELAXED);
    return buf;
}

void
emesh_buf_unref(emesh_buf *buf)
{
    if (buf == NULL || __atomic_sub_fetch(&buf->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (buf->bytes != NULL)
        g_bytes_unref(buf->bytes);
    free(buf);
}

size_t
emesh_buf_size(const emesh_buf *buf)
{
    return buf->size;
}

bool
emesh_buf_is_unique(const emesh_buf *buf)
{
    return __atomic_load_n(&buf->refs, __ATOMIC_ACQUIRE) == 1;
}

void *
emesh_buf_mem(emesh_buf *buf)
{
    return buf->mem;
}
