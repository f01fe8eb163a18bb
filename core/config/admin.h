/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin-… options of [daemon], for the files of this room.
 */
#pragma once
#include "config.h"
#include "problems.h"

/* What holds between them: who listens has a token, and TLS beyond this machine. */
void emesh_admin_listen_judge(const emesh_config *config, emesh_problems *problems);
