/* SPDX-License-Identifier: Apache-2.0
 *
 * Needs something no host of today knows.
 */
#include "../fixture.h"

FIXTURE_WHOLE((.must = UINT64_C(1) << 40), FIXTURE_AS_IS)
