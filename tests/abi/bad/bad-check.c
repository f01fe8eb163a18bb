/* SPDX-License-Identifier: Apache-2.0
 *
 * Likes no configuration.
 */
#include "../fixture.h"

static int32_t
never(const emesh_config *cfg, emesh_error *err)
{
    (void)cfg;
    err->option[0] = 0;
    return EMESH_E_CONFIG;
}

FIXTURE_LIFE(fixture_life, .check = never);
FIXTURE_STORAGE(fixture_storage, .zero = 0);
FIXTURE_COMPONENT(fixture_component, .life = &fixture_life, .ops = &fixture_storage);
FIXTURE_PLUGIN((&fixture_component), .abi_min = 0);
EMESH_NOTE(0);
FIXTURE_ENTRY
