/* SPDX-License-Identifier: Apache-2.0
 *
 * The loader's reader of shared objects. It must stay within the bytes, end, and say why it refuses.
 */
#include "fuzz.h"
#include "plugin/elf.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    emesh_elf elf;
    const char *why = NULL;
    bool fine = emesh_elf_parse(data, size, &elf, &why);

    g_assert_true(fine || (why != NULL && *why != '\0'));
    g_assert_cmpuint(elf.foreign->len, <=, 64);
    emesh_elf_clear(&elf);
    return 0;
}
