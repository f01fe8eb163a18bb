/* SPDX-License-Identifier: Apache-2.0
 *
 * An option with a critical bit of the future.
 */
#include "../fixture.h"

static const emesh_option options[] = {
    { .name = "window", .value = "1", .type = EMESH_OPT_INT, .must = 0x40000000u,
      .help = "how many", .since = 100 },
};

FIXTURE_WHOLE((.options = options, .n_options = sizeof options / sizeof options[0]), FIXTURE_AS_IS)
