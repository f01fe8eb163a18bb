/* SPDX-License-Identifier: Apache-2.0
 *
 * Elements of arrays shorter than in the first version.
 */
#include "../fixture.h"

static const emesh_layout short_layout = { sizeof(emesh_layout), sizeof(emesh_publish),
                                           sizeof(emesh_published), sizeof(emesh_delivery),
                                           sizeof(emesh_settle), sizeof(emesh_append) - 16,
                                           sizeof(emesh_appended), sizeof(emesh_record),
                                           sizeof(emesh_commit), sizeof(emesh_row),
                                           sizeof(emesh_pair) };

FIXTURE_WHOLE(FIXTURE_PLAIN, (.layout = &short_layout))
