/* SPDX-License-Identifier: Apache-2.0
 *
 * A store that cannot append.
 */
#include "../fixture.h"

FIXTURE_LIFE(fixture_life, .zero = 0);
FIXTURE_STORAGE(fixture_storage, .append = NULL);
FIXTURE_COMPONENT(fixture_component, .life = &fixture_life, .ops = &fixture_storage);
FIXTURE_PLUGIN((&fixture_component), .abi_min = 0);
EMESH_NOTE(0);
FIXTURE_ENTRY
