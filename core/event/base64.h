/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64 of RFC 4648 with padding, as CloudEvents JSON wants it. Internal to core/event.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline size_t
emesh_base64_size(size_t len)
{
    return (len + 2) / 3 * 4;
}

/* Text that arrives in pieces; zero it once. */
typedef struct emesh_base64 {
    uint8_t left[3];
    uint32_t n_left;
} emesh_base64;
/* Writes what is complete to dst and returns its end; the last call is _finish. */
char *emesh_base64_put(emesh_base64 *state, const void *data, size_t len, char *dst);
char *emesh_base64_finish(emesh_base64 *state, char *dst);

/* At most len / 4 * 3 bytes to dst. false: not base64. */
bool emesh_base64_decode(const char *text, size_t len, uint8_t *dst, size_t *n_out);
