/* SPDX-License-Identifier: Apache-2.0
 *
 * Needs more of a service than there is.
 */
#include "../fixture.h"

static const emesh_need needs[] = { { EMESH_CONFIG_ID, sizeof(emesh_config_api) + sizeof(void *) } };

FIXTURE_WHOLE((.needs = needs, .n_needs = 1), FIXTURE_AS_IS)
