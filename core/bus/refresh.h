/* SPDX-License-Identifier: Apache-2.0
 *
 * What a reload changes of topics in use. [main]
 */
#pragma once
#include "bus/topic.h"

/* The rules changed: topics in use take theirs over. */
void emesh_bus_refresh(emesh_bus *bus);
/* Closes what a reload replaced, of one store or (NULL) of all: their readers are. */
void emesh_retired_close(emesh_bus *bus, const emesh_store *store);
