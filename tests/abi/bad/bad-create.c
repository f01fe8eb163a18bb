/* SPDX-License-Identifier: Apache-2.0
 *
 * Cannot be made.
 */
#include "../fixture.h"

static int32_t
never(const emesh_host *host, const emesh_config *cfg, emesh_instance **out, emesh_error *err)
{
    (void)host, (void)cfg, (void)out, (void)err;
    return EMESH_E_NO_MEMORY;
}

FIXTURE_LIFE(fixture_life, .create = never);
FIXTURE_STORAGE(fixture_storage, .zero = 0);
FIXTURE_COMPONENT(fixture_component, .life = &fixture_life, .ops = &fixture_storage);
FIXTURE_PLUGIN((&fixture_component), .abi_min = 0);
EMESH_NOTE(0);
FIXTURE_ENTRY
