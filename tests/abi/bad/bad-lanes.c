/* SPDX-License-Identifier: Apache-2.0
 *
 * Lives on loops of the future.
 */
#include "../fixture.h"

FIXTURE_WHOLE((.lanes = 9), FIXTURE_AS_IS)
