/* SPDX-License-Identifier: Apache-2.0
 *
 * Its entry never returns.
 */
#include "../fixture.h"

#include <unistd.h>

EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    for (;;)
        sleep(host_minor + 1);
}
