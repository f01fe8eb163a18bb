/* SPDX-License-Identifier: Apache-2.0
 *
 * A descriptor without a byte.
 */
#include "../fixture.h"

FIXTURE_WHOLE(FIXTURE_PLAIN, (.size = 0))
