/* SPDX-License-Identifier: Apache-2.0
 *
 * Its components are where nothing is.
 */
#include "../fixture.h"

FIXTURE_WHOLE(FIXTURE_PLAIN,
              (.components = (const emesh_component *const *)(uintptr_t)16, .n_components = 2))
