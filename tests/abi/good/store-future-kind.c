/* SPDX-License-Identifier: Apache-2.0
 *
 * A component of a kind of the future, with what no host of today could judge, beside a known one.
 */
#include "../fixture.h"

FIXTURE_LIFE(fixture_life, .zero = 0);
FIXTURE_STORAGE(fixture_storage, .zero = 0);
FIXTURE_COMPONENT(known, .life = &fixture_life, .ops = &fixture_storage);
FIXTURE_COMPONENT(future, .name = "oracle", .kind = "emesh.oracle/3", .must = 0x80, .lanes = 17);
FIXTURE_PLUGIN((&future, &known), .abi_min = 0);
EMESH_NOTE(0);
FIXTURE_ENTRY
