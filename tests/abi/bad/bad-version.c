/* SPDX-License-Identifier: Apache-2.0
 *
 * A version that is none.
 */
#include "../fixture.h"

FIXTURE_WHOLE(FIXTURE_PLAIN, (.version = "latest"))
