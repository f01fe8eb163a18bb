/* SPDX-License-Identifier: Apache-2.0
 *
 * A protocol with listeners and nobody to accept.
 */
#include "../fixture.h"

FIXTURE_LIFE(fixture_life, .zero = 0);

static void
nothing(emesh_lane *lane, void *session)
{
    (void)lane, (void)session;
}

static void
opened(emesh_lane *lane, void *session, int32_t code, const emesh_error *err)
{
    (void)lane, (void)session, (void)code, (void)err;
}

static void
published(emesh_lane *lane, void *session, const emesh_published *results, uint32_t n)
{
    (void)lane, (void)session, (void)results, (void)n;
}

static void
ask(emesh_lane *lane, void *session, const emesh_ask *what)
{
    (void)lane, (void)session, (void)what;
}

static const emesh_client_ops client = { .size = sizeof client, .opened = opened,
                                         .published = published, .room = nothing, .ask = ask };
static const emesh_protocol_ops ops = { .size = sizeof ops, .client = &client };
static const emesh_option_group groups[] = { { "emesh.listen/1", "" } };
FIXTURE_COMPONENT(fixture_component, .kind = EMESH_PROTOCOL_KIND, .life = &fixture_life,
                  .ops = &ops, .groups = groups, .n_groups = 1);
FIXTURE_PLUGIN((&fixture_component), .abi_min = 0);
EMESH_NOTE(0);
FIXTURE_ENTRY
