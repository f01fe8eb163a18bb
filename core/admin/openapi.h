/* SPDX-License-Identifier: Apache-2.0
 *
 * The description of the HTTP administration, made of the registry of commands. [any]
 */
#pragma once
#include <glib.h>

/* OpenAPI 3.0, JSON with indents. Given. */
char *emesh_openapi_text(gsize *len);
