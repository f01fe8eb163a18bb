/* SPDX-License-Identifier: Apache-2.0
 *
 * Built for the next ABI, as its note says.
 */
#include "../fixture.h"

#undef EMESH_ABI_MAJOR
#define EMESH_ABI_MAJOR 2u

FIXTURE_WHOLE(FIXTURE_PLAIN, FIXTURE_AS_IS)
