/* SPDX-License-Identifier: Apache-2.0
 *
 * Its entry has nothing to say.
 */
#include "../fixture.h"

EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    (void)host_minor;
    return NULL;
}
