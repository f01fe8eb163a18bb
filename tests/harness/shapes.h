/* SPDX-License-Identifier: Apache-2.0
 *
 * The stores that one and the same suite of the mesh is built over. MESH_SHAPE_LADDER: what a broker
 * has (groups, single acknowledgements), without inbox, delay and unit. MESH_SHAPE_PLAIN: the least
 * that a third party writes. Neither: the embedded store.
 */
#pragma once

#if defined(MESH_SHAPE_LADDER)
#define MESH_OPTIONS "gap = 7\nmarks = 5\n"
#define MESH_LETTERS "emesh-dlq-g" /* of group g, as the store takes names */
#define MESH_REMEMBERS 0           /* the store keeps attempts */
#elif defined(MESH_SHAPE_PLAIN)
#define MESH_OPTIONS "claims = replay,time,order\nany-names = on\n"
#define MESH_LETTERS "%DLQ%g"
#define MESH_REMEMBERS 0
#else
#define MESH_OPTIONS "test-segment-size = 1M"
#define MESH_LETTERS "%DLQ%g"
#define MESH_REMEMBERS 1
#endif
