/* SPDX-License-Identifier: Apache-2.0
 *
 * All there but the note.
 */
#include "../fixture.h"

FIXTURE_LIFE(fixture_life, .zero = 0);
FIXTURE_STORAGE(fixture_storage, .zero = 0);
FIXTURE_COMPONENT(fixture_component, .life = &fixture_life, .ops = &fixture_storage);
FIXTURE_PLUGIN((&fixture_component), .abi_min = 0);
FIXTURE_ENTRY
