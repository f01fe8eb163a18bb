/* SPDX-License-Identifier: Apache-2.0
 *
 * All its components are of kinds of the future.
 */
#include "../fixture.h"

FIXTURE_WHOLE((.kind = "emesh.oracle/1"), FIXTURE_AS_IS)
