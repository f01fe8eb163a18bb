/* SPDX-License-Identifier: Apache-2.0
 *
 * Works with hosts only that are younger than this one.
 */
#include "../fixture.h"

FIXTURE_LIFE(fixture_life, .zero = 0);
FIXTURE_STORAGE(fixture_storage, .zero = 0);
FIXTURE_COMPONENT(fixture_component, .life = &fixture_life, .ops = &fixture_storage);
FIXTURE_PLUGIN((&fixture_component), .abi_min = EMESH_ABI_MINOR + 1);
EMESH_NOTE(EMESH_ABI_MINOR + 1);
FIXTURE_ENTRY
