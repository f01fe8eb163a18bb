/* SPDX-License-Identifier: Apache-2.0
 *
 * The self-check: subscriptions whose members are ready while events wait and nothing moves.
 */
#pragma once
#include "delivery/delivery.h"

/* [lane] A subscription begins or ends here. */
void emesh_check_add(emesh_sub *sub);
void emesh_check_remove(emesh_sub *sub);
/* [lane] Before the lane is freed. */
void emesh_check_end(emesh_delivery_lane *delivery);
