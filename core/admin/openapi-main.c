/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the description of the HTTP administration, for the file that is installed.
 */
#include "admin/openapi.h"

#include <stdio.h>

int
main(void)
{
    gsize len = 0;
    g_autofree char *text = emesh_openapi_text(&len);
    return fwrite(text, 1, len, stdout) == len && putchar('\n') != EOF ? 0 : 1;
}
