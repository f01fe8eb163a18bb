/* SPDX-License-Identifier: Apache-2.0
 *
 * Values: every type, its limits, its errors; expansion; did-you-mean.
 */
#include "config/value.h"
#include <string.h>

typedef struct good {
    uint32_t type;
    const char *text;
    int64_t i;
    double d;
} good;

static const good goods[] = {
    { EMESH_OPT_BOOL, "true", 1, 0 },
    { EMESH_OPT_BOOL, "YES", 1, 0 },
    { EMESH_OPT_BOOL, "on", 1, 0 },
    { EMESH_OPT_BOOL, "1", 1, 0 },
    { EMESH_OPT_BOOL, "false", 0, 0 },
    { EMESH_OPT_BOOL, "No", 0, 0 },
    { EMESH_OPT_BOOL, "off", 0, 0 },
    { EMESH_OPT_BOOL, "0", 0, 0 },
    { EMESH_OPT_INT, "0", 0, 0 },
    { EMESH_OPT_INT, "-17", -17, 0 },
    { EMESH_OPT_INT, "+17", 17, 0 },
    { EMESH_OPT_INT, "007", 7, 0 },
    { EMESH_OPT_INT, "9223372036854775807", INT64_MAX, 0 },
    { EMESH_OPT_INT, "-9223372036854775808", INT64_MIN, 0 },
    { EMESH_OPT_REAL, "0.5", 0, 0.5 },
    { EMESH_OPT_REAL, "-2", 0, -2 },
    { EMESH_OPT_REAL, "1e3", 0, 1000 },
    { EMESH_OPT_TEXT, "", 0, 0 },
    { EMESH_OPT_TEXT, "anything # at all", 0, 0 },
    { EMESH_OPT_CHOICE, "one", 0, 0 },
    { EMESH_OPT_CHOICE, "three", 2, 0 },
    { EMESH_OPT_DURATION, "0", 0, 0 },
    { EMESH_OPT_DURATION, "1ns", 1, 0 },
    { EMESH_OPT_DURATION, "7us", 7000, 0 },
    { EMESH_OPT_DURATION, "250ms", 250000000, 0 },
    { EMESH_OPT_DURATION, "30s", 30000000000, 0 },
    { EMESH_OPT_DURATION, "30 s", 30000000000, 0 },
    { EMESH_OPT_DURATION, "1.5s", 1500000000, 0 },
    { EMESH_OPT_DURATION, "0.000000001s", 1, 0 },
    { EMESH_OPT_DURATION, "5m", 300000000000, 0 },
    { EMESH_OPT_DURATION, "2h", 7200000000000, 0 },
    { EMESH_OPT_DURATION, "7d", 604800000000000, 0 },
    { EMESH_OPT_DURATION, "9223372036854775807ns", INT64_MAX, 0 },
    { EMESH_OPT_SIZE, "0", 0, 0 },
    { EMESH_OPT_SIZE, "512", 512, 0 },
    { EMESH_OPT_SIZE, "512B", 512, 0 },
    { EMESH_OPT_SIZE, "64k", 65536, 0 },
    { EMESH_OPT_SIZE, "64K", 65536, 0 },
    { EMESH_OPT_SIZE, "64KiB", 65536, 0 },
    { EMESH_OPT_SIZE, "64 kib", 65536, 0 },
    { EMESH_OPT_SIZE, "1.5M", 1572864, 0 },
    { EMESH_OPT_SIZE, "1MiB", 1048576, 0 },
    { EMESH_OPT_SIZE, "2G", INT64_C(2) << 30, 0 },
    { EMESH_OPT_SIZE, "1GiB", INT64_C(1) << 30, 0 },
    { EMESH_OPT_SIZE, "3T", INT64_C(3) << 40, 0 },
    { EMESH_OPT_SIZE, "1TiB", INT64_C(1) << 40, 0 },
    { EMESH_OPT_URL, "http://host:80/path?q=1", 0, 0 },
    { EMESH_OPT_URL, "redis://[::1]:6379", 0, 0 },
    { EMESH_OPT_PATH, "/", 0, 0 },
    { EMESH_OPT_PATH, "/etc/a b", 0, 0 },
    { EMESH_OPT_ADDRESS, "127.0.0.1:10000", 10000, 0 },
    { EMESH_OPT_ADDRESS, "a-b.example_c:0", 0, 0 },
    { EMESH_OPT_ADDRESS, "[::]:65535", 65535, 0 },
    { EMESH_OPT_ADDRESS, "[fe80::1%eth0]:9", 9, 0 },
};

typedef struct bad {
    uint32_t type;
    const char *text;
    const char *why; /* what stands in the error */
} bad;

static const bad bads[] = {
    { EMESH_OPT_BOOL, "maybe", "\"maybe\" is neither true nor false" },
    { EMESH_OPT_BOOL, "", "neither" },
    { EMESH_OPT_BOOL, "2", "neither" },
    { EMESH_OPT_INT, "", "is no integer" },
    { EMESH_OPT_INT, " 1", "is no integer" },
    { EMESH_OPT_INT, "1 ", "is no integer" },
    { EMESH_OPT_INT, "0x10", "is no integer" },
    { EMESH_OPT_INT, "1.0", "is no integer" },
    { EMESH_OPT_INT, "--1", "is no integer" },
    { EMESH_OPT_INT, "9223372036854775808", "is no integer" },
    { EMESH_OPT_REAL, "", "is no number" },
    { EMESH_OPT_REAL, "nan", "is no number" },
    { EMESH_OPT_REAL, "inf", "is no number" },
    { EMESH_OPT_REAL, "1e999", "is no number" },
    { EMESH_OPT_REAL, "0x1p3", "is no number" },
    { EMESH_OPT_REAL, "1,5", "is no number" },
    { EMESH_OPT_CHOICE, "thre", "none of one, two, three; did you mean \"three\"?" },
    { EMESH_OPT_CHOICE, "", "none of one, two, three" },
    { EMESH_OPT_CHOICE, "one|two", "none of" },
    { EMESH_OPT_DURATION, "12 parsecs",
      "\"12 parsecs\" is no duration; write 250ms, 30s, 5m, 2h or 7d" },
    { EMESH_OPT_DURATION, "", "is no duration" },
    { EMESH_OPT_DURATION, "5", "is no duration" },
    { EMESH_OPT_DURATION, "-5s", "is no duration" },
    { EMESH_OPT_DURATION, "5S", "is no duration" },
    { EMESH_OPT_DURATION, "5.s", "is no duration" },
    { EMESH_OPT_DURATION, ".5s", "is no duration" },
    { EMESH_OPT_DURATION, "0.5", "is no duration" },
    { EMESH_OPT_DURATION, "0.5ns", "is no duration" },
    { EMESH_OPT_DURATION, "0.0000000001s", "is no duration" },
    { EMESH_OPT_DURATION, "1h30m", "is no duration" },
    { EMESH_OPT_DURATION, "106752d", "is no duration" },
    { EMESH_OPT_DURATION, "99999999999999999999s", "is no duration" },
    { EMESH_OPT_SIZE, "", "is no size" },
    { EMESH_OPT_SIZE, "64MB", "\"64MB\" is no size; write 512, 64k, 16MiB or 1GiB" },
    { EMESH_OPT_SIZE, "-1", "is no size" },
    { EMESH_OPT_SIZE, "1.5", "is no size" },
    { EMESH_OPT_SIZE, "0.3k", "is no size" },
    { EMESH_OPT_SIZE, "8388608T", "is no size" },
    { EMESH_OPT_URL, "host:80", "is no URL" },
    { EMESH_OPT_URL, "http//host", "is no URL" },
    { EMESH_OPT_URL, "http://ho st/", "is no URL" },
    { EMESH_OPT_PATH, "", "is no absolute path" },
    { EMESH_OPT_PATH, "key.pem", "\"key.pem\" is no absolute path; begin it with /" },
    { EMESH_OPT_ADDRESS, "", "is no address" },
    { EMESH_OPT_ADDRESS, "10000", "is no address" },
    { EMESH_OPT_ADDRESS, ":10000", "is no address" },
    { EMESH_OPT_ADDRESS, "host:", "is no address" },
    { EMESH_OPT_ADDRESS, "host:65536", "is no address" },
    { EMESH_OPT_ADDRESS, "host:000001", "is no address" },
    { EMESH_OPT_ADDRESS, "host:-1", "is no address" },
    { EMESH_OPT_ADDRESS, "host:1x", "is no address" },
    { EMESH_OPT_ADDRESS, "ho st:1", "is no address" },
    { EMESH_OPT_ADDRESS, "::1:80", "is no address" },
    { EMESH_OPT_ADDRESS, "[::1:80", "is no address" },
    { EMESH_OPT_ADDRESS, "[::1]80", "is no address" },
    { EMESH_OPT_ADDRESS, "[1.2.3.4]:80", "is no address" },
    { EMESH_OPT_ADDRESS, "[fe80::1%]:80", "is no address" },
    { EMESH_OPT_ADDRESS, "[x::1]:80", "is no address" },
    { 99, "x", "does not know" },
};

static void
test_good(void)
{
    for (size_t k = 0; k < G_N_ELEMENTS(goods); k++) {
        int64_t i;
        double d;
        g_autofree char *why = emesh_value_parse(goods[k].type, goods[k].text, "one|two|three", 0,
                                                 0, true, &i, &d);
        g_assert_cmpstr(why, ==, NULL);
        g_assert_cmpint(i, ==, goods[k].i);
        g_assert_cmpfloat(d, ==, goods[k].d);
    }
}

static void
test_bad(void)
{
    for (size_t k = 0; k < G_N_ELEMENTS(bads); k++) {
        int64_t i;
        double d;
        g_autofree char *why = emesh_value_parse(bads[k].type, bads[k].text, "one|two|three", 0, 0,
                                                 true, &i, &d);
        g_test_message("%s", why != NULL ? why : bads[k].text);
        g_assert_nonnull(why);
        g_assert_nonnull(strstr(why, bads[k].why));
    }
}

static void
test_secret_is_not_shown(void)
{
    for (uint32_t type = EMESH_OPT_BOOL; type <= EMESH_OPT_ADDRESS; type++) {
        int64_t i;
        double d;
        if (type == EMESH_OPT_TEXT)
            continue;
        g_autofree char *why = emesh_value_parse(type, "hunter2", "a|b", 0, 0, false, &i, &d);
        g_assert_nonnull(why);
        g_assert_null(strstr(why, "hunter2"));
    }
    int64_t i;
    double d;
    g_autofree char *why = emesh_value_parse(EMESH_OPT_INT, "31337", NULL, 1, 9, false, &i, &d);
    g_assert_cmpstr(why, ==, "the value is out of range; write 1 to 9");
}

static void
test_range(void)
{
    static const struct {
        uint32_t type;
        const char *text;
        int64_t min, max;
        const char *why; /* NULL: inside */
    } cases[] = {
        { EMESH_OPT_INT, "1", 1, 9, NULL },
        { EMESH_OPT_INT, "9", 1, 9, NULL },
        { EMESH_OPT_INT, "0", 1, 9, "\"0\" is out of range; write 1 to 9" },
        { EMESH_OPT_INT, "10", 1, 9, "\"10\" is out of range; write 1 to 9" },
        { EMESH_OPT_INT, "-5", 0, 0, NULL },
        { EMESH_OPT_INT, "0", 1, INT64_MAX, "\"0\" is out of range; write at least 1" },
        { EMESH_OPT_INT, "3", INT64_MIN, 2, "\"3\" is out of range; write at most 2" },
        { EMESH_OPT_REAL, "0.5", 0, 1, NULL },
        { EMESH_OPT_REAL, "1.5", 0, 1, "\"1.5\" is out of range; write 0 to 1" },
        { EMESH_OPT_DURATION, "999ms", 1000000000, 60000000000,
          "\"999ms\" is out of range; write 1s to 1m" },
        { EMESH_OPT_DURATION, "60s", 1000000000, 60000000000, NULL },
        { EMESH_OPT_SIZE, "1k", 4096, 1 << 30, "\"1k\" is out of range; write 4KiB to 1GiB" },
        { EMESH_OPT_TEXT, "abc", 1, 3, NULL },
        { EMESH_OPT_TEXT, "", 1, 3, "\"\" is out of range; write 1 to 3 bytes" },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        int64_t i;
        double d;
        g_autofree char *why = emesh_value_parse(cases[k].type, cases[k].text, NULL, cases[k].min,
                                                 cases[k].max, true, &i, &d);
        g_assert_cmpstr(why, ==, cases[k].why);
    }
}

/* What format writes, parse reads, for every number that has a place in it. */
static void
test_format_is_parsed(void)
{
    static const uint32_t types[] = { EMESH_OPT_INT, EMESH_OPT_DURATION, EMESH_OPT_SIZE };
    for (size_t t = 0; t < G_N_ELEMENTS(types); t++) {
        for (int round = 0; round < 10000; round++) {
            const int64_t number =
                (int64_t)(((uint64_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int()) >>
                          (1 + round % 60));
            g_autofree char *text = emesh_value_format(types[t], number);
            int64_t i;
            double d;
            g_autofree char *why = emesh_value_parse(types[t], text, NULL, 0, 0, true, &i, &d);
            g_assert_cmpstr(why, ==, NULL);
            g_assert_cmpint(i, ==, number);
        }
    }
    g_autofree char *week = emesh_value_format(EMESH_OPT_DURATION, 604800000000000);
    g_assert_cmpstr(week, ==, "7d");
    g_autofree char *mib = emesh_value_format(EMESH_OPT_SIZE, 256 << 20);
    g_assert_cmpstr(mib, ==, "256MiB");
}

static void
test_expand(void)
{
    g_setenv("EMESH_TEST_A", "alpha", TRUE);
    g_setenv("EMESH_TEST_NONE", "", TRUE);
    g_setenv("EMESH_TEST_BYTES", "\xff\xfe", TRUE);
    g_unsetenv("EMESH_TEST_UNSET");
    static const struct {
        const char *text;
        const char *out;
        const char *why;
    } cases[] = {
        { "", "", NULL },
        { "plain", "plain", NULL },
        { "${EMESH_TEST_A}", "alpha", NULL },
        { "x${EMESH_TEST_A}y${EMESH_TEST_A}", "xalphayalpha", NULL },
        { "x${EMESH_TEST_NONE}y", "xy", NULL },
        { "$$", "$", NULL },
        { "$${EMESH_TEST_A}", "${EMESH_TEST_A}", NULL },
        { "pa$word$", "pa$word$", NULL },
        { "$1$abc", "$1$abc", NULL },
        { "${EMESH_TEST_UNSET}", NULL, "the environment has no \"EMESH_TEST_UNSET\"" },
        { "a${}", NULL, "the environment has no \"\"" },
        { "a${EMESH_TEST_A", NULL, "without \"}\"" },
        { "${EMESH_TEST_BYTES}", NULL, "not UTF-8" },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_autofree char *why = NULL;
        g_autofree char *out = emesh_value_expand(cases[k].text, &why);
        g_assert_cmpstr(out, ==, cases[k].out);
        if (cases[k].why == NULL)
            g_assert_null(why);
        else
            g_assert_nonnull(strstr(why, cases[k].why));
    }
}

static void
test_suggest(void)
{
    static const char *const known[] = { "listen", "max-connections", "max-memory", "tls-key",
                                         "os", "" };
    static const struct {
        const char *word;
        const char *meant;
    } cases[] = {
        { "max-connectionss", "max-connections" },
        { "max-conections", "max-connections" },
        { "max_connections", "max-connections" },
        { "lisen", "listen" },
        { "ilsten", "listen" },
        { "tls-kye", "tls-key" },
        { "ox", "os" },
        { "list", "listen" },
        { "xy", NULL },
        { "z", NULL },
        { "", NULL },
        { "retention", NULL },
        { "completely-different", NULL },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++)
        g_assert_cmpstr(emesh_suggest(cases[k].word, known, G_N_ELEMENTS(known)), ==,
                        cases[k].meant);
    g_autofree char *longest = g_strnfill(64, 'a');
    g_autofree char *longer = g_strnfill(65, 'a');
    const char *one[] = { longest };
    g_assert_true(emesh_suggest(longest, one, 1) == longest);
    g_assert_null(emesh_suggest(longer, one, 1));
    g_assert_null(emesh_suggest("x", NULL, 0));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/value/good", test_good);
    g_test_add_func("/config/value/bad", test_bad);
    g_test_add_func("/config/value/secret-is-not-shown", test_secret_is_not_shown);
    g_test_add_func("/config/value/range", test_range);
    g_test_add_func("/config/value/format-is-parsed", test_format_is_parsed);
    g_test_add_func("/config/value/expand", test_expand);
    g_test_add_func("/config/value/suggest", test_suggest);
    return g_test_run();
}
