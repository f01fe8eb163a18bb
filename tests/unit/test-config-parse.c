/* SPDX-License-Identifier: Apache-2.0
 *
 * The key-file reader: what it tells of a text, line by line.
 */
#include "config/parse.h"
#include <string.h>

/* Writes what it is told: "2[kind name]" "3key=value" "4!key why". */
static bool
told_section(void *ctx, uint32_t line, const char *kind, const char *name)
{
    g_string_append_printf(ctx, "%u[%s%s%s]\n", line, kind, name != NULL ? " " : "",
                           name != NULL ? name : "");
    return strcmp(kind, "unwanted") != 0;
}

static void
told_entry(void *ctx, uint32_t line, const char *key, const char *value, size_t len)
{
    g_assert_cmpuint(strlen(value), ==, len);
    g_string_append_printf(ctx, "%u%s=%s|\n", line, key, value);
}

static void
told_refuse(void *ctx, uint32_t line, const char *key, const char *why)
{
    g_string_append_printf(ctx, "%u!%s %s\n", line, key != NULL ? key : "", why);
}

static char *
told(const char *text, size_t len)
{
    static const emesh_conf_reader reader = { told_section, told_entry, told_refuse };
    GString *out = g_string_new(NULL);
    /* a copy to the byte, so that a sanitizer sees a read beyond it */
    char *copy = g_memdup2(text, len);
    emesh_conf_read(copy, len, &reader, out);
    g_free(copy);
    return g_string_free(out, FALSE);
}

static void
test_good(void)
{
    static const struct {
        const char *text;
        const char *told;
    } cases[] = {
        { "", "" },
        { "\n\n", "" },
        { "# c\n; c\n  # c\n\t; c\n", "" },
        { "[a]", "1[a]\n" },
        { "[a]\nk=v", "1[a]\n2k=v|\n" },
        { "[a]\r\nk = v\r\n", "1[a]\n2k=v|\n" },
        { "\xef\xbb\xbf[a]\n", "1[a]\n" },
        { " [ topic   a*b? ] \n", "1[topic a*b?]\n" },
        { "[topic\t%DLQ%g]", "1[topic %DLQ%g]\n" },
        { "[a]\nk=\nk2 =\t \n", "1[a]\n2k=|\n3k2=|\n" },
        { "[a]\n\t k\t=\t v w \t\n", "1[a]\n2k=v w|\n" },
        { "[a]\nk = v # no comment ; neither\n", "1[a]\n2k=v # no comment ; neither|\n" },
        { "[a]\nk = a=b=c\n", "1[a]\n2k=a=b=c|\n" },
        { "[a]\nk = \" v \"\n", "1[a]\n2k= v |\n" },
        { "[a]\nk = \"\"\n", "1[a]\n2k=|\n" },
        { "[a]\nk = \"a\\\\b\\\"c\\nd\\te\"\n", "1[a]\n2k=a\\b\"c\nd\te|\n" },
        { "[a]\nk = v\"w\"\n", "1[a]\n2k=v\"w\"|\n" },
        { "[a]\nk = a\\nb\n", "1[a]\n2k=a\\nb|\n" },
        { "[a]\nk = \xc3\xa4\n", "1[a]\n2k=\xc3\xa4|\n" },
        { "[a]\nstore.x/y = 1\n", "1[a]\n2store.x/y=1|\n" },
        { "[unwanted]\nk = v\n[a]\nk = v\n", "1[unwanted]\n3[a]\n4k=v|\n" },
        { "[a]\nk = 1\nk = 2\n", "1[a]\n2k=1|\n3k=2|\n" },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_autofree char *got = told(cases[k].text, strlen(cases[k].text));
        g_assert_cmpstr(got, ==, cases[k].told);
    }
}

static void
test_bad(void)
{
    static const struct {
        const char *text;
        const char *told; /* begins so, in the line that matters */
    } cases[] = {
        { "k = v\n", "1!k stands before the first section" },
        { "[a]\nword\n", "2! neither a section nor a key" },
        { "[a]\n= v\n", "2! a key is 1 to 255" },
        { "[a]\nk k = v\n", "2! a key is 1 to 255" },
        { "[a]\n\xc3\xa4 = v\n", "2! a key is 1 to 255" },
        { "[a\n", "1! a section's line ends" },
        { "[\n", "1! a section's line ends" },
        { "[a] x\n", "1! a section's line ends" },
        { "[]\n", "1! a section is named" },
        { "[ ]\n", "1! a section is named" },
        { "[topic a b]\n", "1! a section is named" },
        { "[topic \xc3\xa4]\n", "1! a section is named" },
        { "[a]\nk = \"v\n", "2!k the value's closing quote is missing" },
        { "[a]\nk = \"\n", "2!k the value's closing quote is missing" },
        { "[a]\nk = \"v\\\n", "2!k unknown escape" },
        { "[a]\nk = \"v\\\"\n", "2!k the value's closing quote is missing" },
        { "[a]\nk = \"v\\x\"\n", "2!k unknown escape" },
        { "[a]\nk = \"v\" w\n", "2!k text after the closing quote" },
        { "[a]\nk = v\x01\n", "2! control character 0x01 in column 6" },
        { "[a]\nk = \rv\n", "2! control character 0x0d in column 5" },
        { "[a]\nk = \x7f\n", "2! control character 0x7f" },
        { "[a]\nk = \xff\n", "2! not UTF-8" },
        { "[a]\n# \xc0\x80\n", "2! not UTF-8" },
        { "[a]\nk = \xed\xa0\x80\n", "2! not UTF-8" },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_autofree char *got = told(cases[k].text, strlen(cases[k].text));
        const char *line = strrchr(got, '\n') == got + strlen(got) - 1 ? got : NULL;
        g_assert_nonnull(line);
        if (g_str_has_prefix(got, "1[")) /* the good header before it */
            line = strchr(got, '\n') + 1;
        g_test_message("%s", line);
        g_assert_true(g_str_has_prefix(line, cases[k].told));
        g_assert_null(strchr(strchr(line, '\n') + 1, '\n')); /* one line, one error */
    }
}

/* After a refused header its keys are not taken for those of the section before. */
static void
test_skips_after_bad_header(void)
{
    g_autofree char *got = told("[a]\nx = 1\n[b\ny = 2\n[c]\nz = 3\n",
                                strlen("[a]\nx = 1\n[b\ny = 2\n[c]\nz = 3\n"));
    g_assert_null(strstr(got, "y=2"));
    g_assert_nonnull(strstr(got, "6z=3|"));
}

static void
test_nul(void)
{
    static const char text[] = "[a]\nk = v\0w\n";
    g_autofree char *got = told(text, sizeof text - 1);
    g_assert_cmpstr(got, ==, "1[a]\n2! control character 0x00 in column 6\n");
}

static void
test_secret_line_is_not_shown(void)
{
    static const char text[] = "[a]\npassword hunter2\nsecret = \"hunter2\n";
    g_autofree char *got = told(text, sizeof text - 1);
    g_assert_null(strstr(got, "hunter2"));
}

static void
test_limits(void)
{
    g_autoptr(GString) text = g_string_new("[a]\n");
    g_string_append_printf(text, "k = %0*d\n", (int)EMESH_CONF_LINE_MOST - 4, 7);
    g_autofree char *longest = told(text->str, text->len);
    g_assert_null(strchr(longest, '!'));
    g_assert_cmpuint(strlen(longest), >, EMESH_CONF_LINE_MOST - 4);

    g_string_insert(text, 4, "x");
    g_autofree char *too_long = told(text->str, text->len);
    g_assert_cmpstr(too_long, ==, "1[a]\n2! line of 65537 bytes; at most 65536 are read\n");

    g_string_printf(text, "[a]\n%0*d = 1\n", (int)EMESH_CONF_KEY_MOST, 0);
    g_autofree char *key = told(text->str, text->len);
    g_assert_null(strchr(key, '!'));
    g_string_insert(text, 4, "0");
    g_autofree char *long_key = told(text->str, text->len);
    g_assert_nonnull(strstr(long_key, "2! a key is 1 to 255"));

    g_string_truncate(text, 0);
    while (text->len < EMESH_CONF_FILE_MOST)
        g_string_append_c(text, '\n');
    g_autofree char *full = told(text->str, text->len);
    g_assert_cmpstr(full, ==, "");
    g_string_append_c(text, '\n');
    g_autofree char *over = told(text->str, text->len);
    g_assert_cmpstr(over, ==, "0! 1048577 bytes; a file has at most 1048576\n");
}

/* Any bytes: no crash, and at most one thing told of each line. */
static void
test_noise(void)
{
    static const char alphabet[] = "[]=\"\\#; \t\r\nabk*?%.\xc3\xa4\x01";
    for (int round = 0; round < 20000; round++) {
        char text[64];
        const size_t len = (size_t)g_test_rand_int_range(0, sizeof text);
        size_t lines = 1;
        for (size_t i = 0; i < len; i++) {
            text[i] = alphabet[g_test_rand_int_range(0, sizeof alphabet)];
            lines += text[i] == '\n';
        }
        g_autofree char *got = told(text, len);
        size_t told_lines = 0;
        for (const char *p = got; *p != '\0'; p++)
            told_lines += *p == '\n';
        g_assert_cmpuint(told_lines, <=, 2 * lines); /* a quoted value may hold a \n */
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/parse/good", test_good);
    g_test_add_func("/config/parse/bad", test_bad);
    g_test_add_func("/config/parse/skips-after-bad-header", test_skips_after_bad_header);
    g_test_add_func("/config/parse/nul", test_nul);
    g_test_add_func("/config/parse/secret-line-is-not-shown", test_secret_line_is_not_shown);
    g_test_add_func("/config/parse/limits", test_limits);
    g_test_add_func("/config/parse/noise", test_noise);
    return g_test_run();
}
