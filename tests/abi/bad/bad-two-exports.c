/* SPDX-License-Identifier: Apache-2.0
 *
 * Exports a second symbol of the name space of the host.
 */
#include "../fixture.h"

FIXTURE_WHOLE(FIXTURE_PLAIN, FIXTURE_AS_IS)

__attribute__((visibility("default"))) int emesh_plugin_helper(void);

__attribute__((visibility("default"))) int
emesh_plugin_helper(void)
{
    return 1;
}
