/* SPDX-License-Identifier: Apache-2.0
 *
 * Two components in one file.
 */
#include "../fixture.h"

FIXTURE_LIFE(fixture_life, .zero = 0);
FIXTURE_STORAGE(fixture_storage, .zero = 0);
FIXTURE_COMPONENT(one, .life = &fixture_life, .ops = &fixture_storage);
FIXTURE_COMPONENT(other, .name = "store-second", .life = &fixture_life, .ops = &fixture_storage);
FIXTURE_PLUGIN((&one, &other), .abi_min = 0);
EMESH_NOTE(0);
FIXTURE_ENTRY
