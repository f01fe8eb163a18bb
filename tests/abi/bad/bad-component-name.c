/* SPDX-License-Identifier: Apache-2.0
 *
 * A component called as no file can be.
 */
#include "../fixture.h"

FIXTURE_WHOLE((.name = "../etc"), FIXTURE_AS_IS)
