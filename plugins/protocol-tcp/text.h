/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of JSON strings: where one ends, what its escapes mean, how text is escaped. Pure; any
 * thread.
 */
#ifndef TCP_TEXT_H
#define TCP_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* from stands behind the opening quote; returns the closing one, or where it is broken: *why. */
const uint8_t *tcp_text_string(const uint8_t *from, const uint8_t *end, bool *escaped,
                               const char **why);
#endif
