/* SPDX-License-Identifier: Apache-2.0
 *
 * A default that is not of its type.
 */
#include "../fixture.h"

static const emesh_option options[] = {
    { .name = "window", .value = "many", .type = EMESH_OPT_INT, .help = "how many", .since = 100 },
};

FIXTURE_WHOLE((.options = options, .n_options = sizeof options / sizeof options[0]), FIXTURE_AS_IS)
