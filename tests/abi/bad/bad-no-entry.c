/* SPDX-License-Identifier: Apache-2.0
 *
 * A note, a descriptor, and nothing exported.
 */
#include "../fixture.h"

FIXTURE_LIFE(fixture_life, .zero = 0);
EMESH_NOTE(0);

__attribute__((visibility("default"))) const void *some_entry(void);

__attribute__((visibility("default"))) const void *
some_entry(void)
{
    return &fixture_life;
}
