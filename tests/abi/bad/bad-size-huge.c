/* SPDX-License-Identifier: Apache-2.0
 *
 * A component of a gigabyte.
 */
#include "../fixture.h"

FIXTURE_WHOLE((.size = 1u << 30), FIXTURE_AS_IS)
