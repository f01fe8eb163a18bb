/* SPDX-License-Identifier: Apache-2.0
 *
 * Filling an emesh_error: what its size covers, one line, valid UTF-8, whatever the values in it
 * came from. Any thread.
 */
#include "event/event.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Values from the network end up in texts: no line breaks, no broken characters. */
static void
make_printable(char *text)
{
    for (char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    }
    const char *bad = text;
    while (!g_utf8_validate(bad, -1, &bad))
        text[bad - text] = '?';
}

int32_t
emesh_fail(emesh_error *err, int32_t code, const char *format, ...)
{
    if (err == NULL)
        return code;
    emesh_error made = { .size = err->size, .code = code };
    va_list args;
    va_start(args, format);
    int n = vsnprintf(made.text, sizeof made.text, format, args);
    va_end(args);
    /* Cut by size: do not leave half a character behind. */
    if (n >= (int)sizeof made.text) {
        char *last = g_utf8_find_prev_char(made.text, made.text + sizeof made.text - 1);
        if (last != NULL && g_utf8_get_char_validated(last, -1) == (gunichar)-2)
            *last = '\0';
    }
    make_printable(made.text);
    /* An older caller's record may end inside the text. */
    size_t size = MIN((size_t)err->size, sizeof made);
    if (size > offsetof(emesh_error, text) && size < sizeof made)
        ((char *)&made)[size - 1] = '\0';
    if (size > sizeof made.size)
        memcpy((char *)err + sizeof made.size, (char *)&made + sizeof made.size,
               size - sizeof made.size);
    return code;
}
