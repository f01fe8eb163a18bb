/* SPDX-License-Identifier: Apache-2.0
 *
 * One option twice.
 */
#include "../fixture.h"

static const emesh_option options[] = {
    { .name = "path", .type = EMESH_OPT_PATH, .help = "a folder", .since = 100 },
    { .name = "path", .type = EMESH_OPT_TEXT, .help = "again", .since = 100 },
};

FIXTURE_WHOLE((.options = options, .n_options = sizeof options / sizeof options[0]), FIXTURE_AS_IS)
