/* SPDX-License-Identifier: Apache-2.0
 *
 * Brings a language runtime and must not live in the process of the host.
 */
#include "../fixture.h"

FIXTURE_WHOLE((.must = EMESH_MUST_ISOLATE), FIXTURE_AS_IS)
