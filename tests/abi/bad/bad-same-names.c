/* SPDX-License-Identifier: Apache-2.0
 *
 * Two components of one name.
 */
#include "../fixture.h"

FIXTURE_LIFE(fixture_life, .zero = 0);
FIXTURE_STORAGE(fixture_storage, .zero = 0);
FIXTURE_COMPONENT(one, .life = &fixture_life, .ops = &fixture_storage);
FIXTURE_COMPONENT(other, .life = &fixture_life, .ops = &fixture_storage);
FIXTURE_PLUGIN((&one, &other), .abi_min = 0);
EMESH_NOTE(0);
FIXTURE_ENTRY
