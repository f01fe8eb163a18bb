/* SPDX-License-Identifier: Apache-2.0
 *
 * A descriptor without an id.
 */
#include "../fixture.h"

FIXTURE_WHOLE(FIXTURE_PLAIN, (.id = NULL))
