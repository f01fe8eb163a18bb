/* SPDX-License-Identifier: Apache-2.0
 *
 * Needs a service that does not exist.
 */
#include "../fixture.h"

static const emesh_need needs[] = { { "emesh.oracle/1", 16 } };

FIXTURE_WHOLE((.needs = needs, .n_needs = 1), FIXTURE_AS_IS)
