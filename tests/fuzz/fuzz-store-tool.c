/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tool makes of bytes that have the right check sums and lie nevertheless. First byte: the
 * type of a record, whose body the rest is, or 0xff: the rest is LMDB's file. Whatever a record says,
 * its row is JSON and its line holds no control characters.
 */
#include "fuzz.h"
#include "le.h"
#include "tool.h"

#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAD 6u /* type, flags, u32 bytes of the image */

static void
show(tool *t, const sa_rec_head *head, const uint8_t *body)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;
    GString *row = tool_row("record");
    tool_record_row(t, row, head, body);
    g_string_append_c(row, '}');
    g_assert_true(g_utf8_validate(row->str, (gssize)row->len, NULL));
    if (!json_parser_load_from_data(parser, row->str, (gssize)row->len, &error))
        g_error("%s: %s", error->message, row->str);
    g_string_free(row, TRUE);
    g_autofree char *text = tool_record_text(t, head, body);
    for (const char *c = text; *c != '\0'; c++)
        g_assert_true((guchar)*c >= 0x20 || *c == '\n');
}

static void
record(const uint8_t *data, size_t size)
{
    tool t = { .opt = { .data = (data[1] & 1) != 0 } };
    size_t n = MIN(size - HEAD, SA_RECORD_MAX);
    sa_rec_head head = { .type = data[0], .body = (uint32_t)n, .partition = 1, .own = data[1],
                         .attrs = MIN(sa_get32(data + 2), (uint32_t)n) };
    g_autofree uint8_t *body = g_memdup2(data + HEAD, n); /* what is read behind it is seen */
    tool_names_init(&t.names);
    if (head.type == SA_CATALOG)
        tool_names_read(&t.names, body, n, true);
    tool_record_ok(&head, body);
    tool_record_about(&t, &head, body, "a", 0);
    show(&t, &head, body);
    g_ptr_array_unref(tool_names_parts(&t.names));
    tool_names_clear(&t.names);
}

static bool
touch(void *ctx, const char *table, uint32_t len, const MDB_val *key, const MDB_val *value)
{
    guint *sum = ctx;
    for (uint32_t i = 0; i < len; i++)
        *sum += (guchar)table[i];
    for (size_t i = 0; i < key->mv_size; i++)
        *sum += ((const uint8_t *)key->mv_data)[i];
    for (size_t i = 0; i < value->mv_size; i++)
        *sum += ((const uint8_t *)value->mv_data)[i];
    return sa_row_check(key, value) >= 0 || (*sum & 1) != 0;
}

static void
index_file(const uint8_t *data, size_t size)
{
    guint sum = 0;
    int fd = memfd_create("index", MFD_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, data, size), ==, (ssize_t)size);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    sa_rows_walk_file(path, touch, &sum);
    close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD)
        return 0;
    if (data[0] == 0xff)
        index_file(data + 1, size - 1);
    else
        record(data, size);
    return 0;
}
