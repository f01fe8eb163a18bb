/* SPDX-License-Identifier: Apache-2.0
 *
 * The one place that knows about sizes that differ: from the plugin's memory, laid out as it was
 * compiled, into the host's structs, zero-extended. Pure functions, [any].
 */
#include "plugin/inst.h"

#include <string.h>

#define SIZE_MOST 65536u /* no struct of the ABI comes near; beyond it a size is garbage */

static int32_t
take(void *dst, size_t mine, const void *src, size_t theirs)
{
    const unsigned char *tail = src;

    memcpy(dst, src, MIN(mine, theirs));
    if (mine > theirs)
        memset((char *)dst + theirs, 0, mine - theirs);
    for (size_t i = mine; i < theirs; i++)
        if (tail[i] != 0)
            return EMESH_E_TOO_NEW;
    return EMESH_OK;
}

int32_t
emesh_take(void *dst, size_t mine, const void *base, uint32_t stride, uint32_t i)
{
    return take(dst, mine, emesh_at(base, stride, i), stride);
}

int32_t
emesh_take_sized(void *dst, size_t mine, const void *src)
{
    uint32_t theirs, own = (uint32_t)mine;

    memcpy(&theirs, src, sizeof theirs);
    bool sane = theirs >= sizeof theirs && theirs <= SIZE_MOST;
    int32_t code = take(dst, mine, src, sane ? theirs : 0);
    memcpy(dst, &own, sizeof own); /* now it has the host's size */
    return sane ? code : EMESH_E_INVALID;
}

void
emesh_take_table(void *dst, size_t mine, const void *src)
{
    (void)emesh_take_sized(dst, mine, src); /* a newer tail is optional members: left out */
}
