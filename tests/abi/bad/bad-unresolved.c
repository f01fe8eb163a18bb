/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls a function that no library has.
 */
#include "../fixture.h"

extern int this_is_nowhere(void);

FIXTURE_WHOLE(FIXTURE_PLAIN, FIXTURE_AS_IS)

__attribute__((constructor)) static void
call(void)
{
    fixture_self = this_is_nowhere();
}
