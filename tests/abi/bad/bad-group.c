/* SPDX-License-Identifier: Apache-2.0
 *
 * Mixes in options nobody here owns.
 */
#include "../fixture.h"

static const emesh_option_group groups[] = { { "emesh.fly/1", "" } };

FIXTURE_WHOLE((.groups = groups, .n_groups = 1), FIXTURE_AS_IS)
