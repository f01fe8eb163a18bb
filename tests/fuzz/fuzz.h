/* SPDX-License-Identifier: Apache-2.0
 *
 * A fuzz target is fuzz-NAME.c with this one function; replay.c and libFuzzer call it. It returns
 * 0, and aborts when something that must hold does not.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
