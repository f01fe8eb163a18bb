/* SPDX-License-Identifier: Apache-2.0
 *
 * Wants GLib lanes and does not link GLib.
 */
#include "../fixture.h"

FIXTURE_WHOLE((.lanes = EMESH_LANES_GLIB), FIXTURE_AS_IS)
