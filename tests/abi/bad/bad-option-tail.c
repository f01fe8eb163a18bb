/* SPDX-License-Identifier: Apache-2.0
 *
 * Uses a member of options that this host does not have yet.
 */
#include "../fixture.h"

static const struct newer_option {
    emesh_option base;
    const char *unit;
} options[] = { { { .name = "window", .value = "1", .type = EMESH_OPT_INT, .help = "how many",
                    .since = 100 }, "events" } };

FIXTURE_WHOLE((.options = &options[0].base, .n_options = 1, .option_size = sizeof options[0]),
              FIXTURE_AS_IS)
