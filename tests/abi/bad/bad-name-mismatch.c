/* SPDX-License-Identifier: Apache-2.0
 *
 * The file is called otherwise than its component.
 */
#include "../fixture.h"

FIXTURE_WHOLE((.name = "storage-other"), FIXTURE_AS_IS)
