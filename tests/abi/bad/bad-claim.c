/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims to keep the positions of groups, and has no commit.
 */
#include "../fixture.h"

FIXTURE_WHOLE((.claims = EMESH_STORE_CAN_GROUPS), FIXTURE_AS_IS)
