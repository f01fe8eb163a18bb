/* SPDX-License-Identifier: Apache-2.0
 *
 * Its entry is not survived.
 */
#include <signal.h>

#include "../fixture.h"

EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    raise(SIGSEGV);
    (void)host_minor;
    return NULL;
}
