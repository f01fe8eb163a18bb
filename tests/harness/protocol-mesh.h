/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the two halves of the fake host.
 */
#pragma once
#include "protocol-host.h"

extern const emesh_client_api ph_client_api;
bool ph_mesh_step(ph_host *h); /* answers what the auto_ flags say; true: something was called */
void ph_session_free(void *session);
void ph_enter(ph_host *h);
void ph_leave(ph_host *h);
