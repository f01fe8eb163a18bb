/* SPDX-License-Identifier: Apache-2.0
 *
 * Its descriptor says another minor than its note.
 */
#include "../fixture.h"

FIXTURE_WHOLE(FIXTURE_PLAIN, (.abi_minor = EMESH_ABI_MINOR + 3))
