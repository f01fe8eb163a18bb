/* SPDX-License-Identifier: Apache-2.0
 *
 * Dies before its entry is reached.
 */
#include <signal.h>

#include "../fixture.h"

FIXTURE_WHOLE(FIXTURE_PLAIN, FIXTURE_AS_IS)

__attribute__((constructor)) static void
fall(void)
{
    raise(SIGSEGV);
}
