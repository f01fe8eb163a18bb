/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32C (Castagnoli), the check sum of everything the store writes. Any thread.
 */
#ifndef SA_CRC32C_H
#define SA_CRC32C_H
#include <stddef.h>
#include <stdint.h>

/* Continues crc over n more bytes; start with 0 or with a seed. */
uint32_t sa_crc32c(uint32_t crc, const void *bytes, size_t n);
/* The same without the processor's instruction: for machines that lack it, and for the test. */
uint32_t sa_crc32c_soft(uint32_t crc, const void *bytes, size_t n);

#endif
