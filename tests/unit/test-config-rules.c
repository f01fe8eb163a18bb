/* SPDX-License-Identifier: Apache-2.0
 *
 * [topic …] and [group …]: names, patterns and their overlap, which section wins, what it says.
 */
#include "config/pattern.h"
#include "eventmesh/ingress.h"
#include <string.h>

static void
test_names(void)
{
    g_autofree char *longest = g_strnfill(249, 'a');
    g_autofree char *longer = g_strnfill(250, 'a');
    static const char *const good[] = { "a", "TEST-TOPIC-1", "%DLQ%g", "a/b.c:d", "!~", "emesh-x" };
    static const char *const bad[] = { "", "a b", "a*", "?", "[", "a]", "\x7f", "\xc3\xa4", "a\n" };
    for (size_t k = 0; k < G_N_ELEMENTS(good); k++)
        g_assert_true(emesh_name_ok(good[k], strlen(good[k])));
    for (size_t k = 0; k < G_N_ELEMENTS(bad); k++)
        g_assert_false(emesh_name_ok(bad[k], strlen(bad[k])));
    g_assert_true(emesh_name_ok(longest, 249));
    g_assert_false(emesh_name_ok(longer, 250));
    g_assert_false(emesh_name_ok("a\0b", 3));
    g_assert_false(emesh_name_ok(NULL, 0));
}

static void
test_match(void)
{
    static const struct {
        const char *pattern;
        const char *name;
        bool matches;
    } cases[] = {
        { "a", "a", true },         { "a", "b", false },       { "a", "ab", false },
        { "*", "a", true },         { "*", "anything", true }, { "a*", "a", true },
        { "a*", "abc", true },      { "a*", "b", false },      { "*c", "abc", true },
        { "*c", "abd", false },     { "a*c", "ac", true },     { "a*c", "abbc", true },
        { "a*c", "acb", false },    { "a**c", "abc", true },   { "?", "a", true },
        { "?", "ab", false },       { "a?c", "abc", true },    { "a?c", "ac", false },
        { "*a*b*", "xaxbx", true }, { "*a*b*", "xbxa", false }, { "*ab", "aab", true },
        { "a*b*c", "abcbc", true }, { "?*", "a", true },       { "*?", "a", true },
        /* the daemon's own names want to be spelled out */
        { "*", "%DLQ%g", false },   { "?DLQ%g", "%DLQ%g", false },
        { "%*", "%DLQ%g", true },   { "%DLQ%*", "%DLQ%g", true },
        { "%DLQ%g", "%DLQ%g", true }, { "*", "emesh-dlq-g", false },
        { "e*", "emesh-dlq-g", false }, { "emesh*", "emesh-dlq-g", false },
        { "emesh?*", "emesh-dlq-g", false }, { "emesh-*", "emesh-dlq-g", true },
        { "emesh-dlq-g", "emesh-dlq-g", true }, { "*", "emesh", true },
        { "*", "emeshes", true },   { "e*", "emes", true },    { "*", "a%b", true },
        { "*", "x-emesh-", true },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_test_message("%s %s", cases[k].pattern, cases[k].name);
        g_assert_cmpint(emesh_pattern_match(cases[k].pattern, cases[k].name, strlen(cases[k].name)),
                        ==, cases[k].matches);
    }
    g_assert_true(emesh_pattern_match("ab", "abc", 2)); /* names are not NUL-terminated */
}

/* A backtracking pattern that a naive matcher needs years for. */
static void
test_match_is_quick(void)
{
    g_autofree char *name = g_strnfill(249, 'a');
    g_assert_false(emesh_pattern_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name, 249));
}

static void
test_overlap(void)
{
    char left[202] = "*";
    char right[202];
    memset(left + 1, 'a', 200);
    memset(right, 'b', 200);
    left[201] = right[201] = '\0';
    right[200] = '*';
    const struct {
        const char *a;
        const char *b;
        bool overlap;
    } cases[] = {
        { "a*", "*b", true },       { "a*", "b*", false },       { "*a", "*b", false },
        { "a?", "?b", true },       { "a?", "a*", true },        { "a?c", "a??c", false },
        { "*", "?", true },         { "*", "**", true },         { "a*c", "a?c", true },
        { "a*b", "b*a", false },    { "*ab*", "*ba*", true },    { "ab*", "a*b", true },
        { "*.log", "app.*", true }, { "?.log", "app.*", false },
        /* reserved names do not count, unless both spell them out */
        { "*", "%*", false },       { "%a*", "%*b", true },      { "?x", "%?", false },
        { "*x", "emesh-?", false }, { "emesh-*", "emesh-?", true }, { "*%x", "*%x*", true },
        { "*mesh-x", "e*", true },  { "?mesh-x", "e*x", false }, { "*mesh*", "emes*", true },
        { "emesh-a*", "*mesh-a", false }, { "em?sh-*", "emesh?a", false },
        { "em?sh*", "emesh?a", true },
        /* no name is that long */
        { left, right, false },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_test_message("%s %s", cases[k].a, cases[k].b);
        g_assert_cmpint(emesh_patterns_overlap(cases[k].a, cases[k].b), ==, cases[k].overlap);
        g_assert_cmpint(emesh_patterns_overlap(cases[k].b, cases[k].a), ==, cases[k].overlap);
    }
}

/* Against all names of up to six letters of a small alphabet. */
static void
test_overlap_by_force(void)
{
    static const char letters[] = "ab%";
    static const char signs[] = "ab%*?*?";
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (uint32_t len = 1, all = 3; len <= 6; len++, all *= 3) {
        for (uint32_t code = 0; code < all; code++) {
            char name[8] = "";
            for (uint32_t i = 0, rest = code; i < len; i++, rest /= 3)
                name[i] = letters[rest % 3];
            g_ptr_array_add(names, g_strdup(name));
        }
    }
    uint32_t yes = 0;
    for (int round = 0; round < 3000; round++) {
        char p[2][4] = { "", "" };
        for (int k = 0; k < 2; k++) {
            const int len = g_test_rand_int_range(1, 4);
            for (int i = 0; i < len; i++)
                p[k][i] = signs[g_test_rand_int_range(0, sizeof signs - 1)];
        }
        bool found = false; /* six letters are enough for two patterns of three */
        for (uint32_t i = 0; i < names->len && !found; i++) {
            const char *name = names->pdata[i];
            found = emesh_pattern_match(p[0], name, strlen(name)) &&
                    emesh_pattern_match(p[1], name, strlen(name));
        }
        g_test_message("%s %s", p[0], p[1]);
        g_assert_cmpint(emesh_patterns_overlap(p[0], p[1]), ==, found);
        yes += found;
    }
    g_assert_cmpuint(yes, >, 300);
    g_assert_cmpuint(yes, <, 2700);
}

/* ---- sections ---- */

static emesh_conf *
parsed(const char *text)
{
    GError *error = NULL;
    emesh_conf *conf = emesh_conf_parse("20-t.conf", text, strlen(text), &error);
    g_assert_no_error(error);
    return conf;
}

static char *
refused(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(emesh_conf_parse("20-t.conf", text, strlen(text), &error));
    g_assert_error(error, EMESH_CONF_ERROR, 1);
    return g_strdup(error->message);
}

static void
test_topic_defaults(void)
{
    g_autoptr(emesh_conf) conf = parsed("[topic other]\npartitions = 5\n");
    emesh_topic_rule rule;
    emesh_conf_topic(conf, "t", 1, &rule);
    g_assert_null(rule.store);
    g_assert_cmpuint(rule.level, ==, EMESH_LEVEL_TOPIC);
    g_assert_cmpuint(rule.partitions, ==, 1);
    g_assert_cmpuint(rule.foreign_dead_letter, ==, 0);
    g_assert_cmpuint(rule.retention_ms, ==, 7ull * 86400 * 1000);
    g_assert_cmpuint(rule.retention_bytes, ==, 0);
    g_assert_cmpuint(rule.max_event, ==, 1 << 20);
    g_assert_cmpstr(rule.origin, ==, "default");
    g_assert_cmpstr(rule.level_origin, ==, "default");
}

static void
test_topic_given(void)
{
    g_autoptr(emesh_conf) conf =
        parsed("[topic t]\nstore = s\ndurability = os\npartitions = 8\nretention-age = 5s\n"
               "retention-bytes = 1GiB\nmax-event = 64k\nforeign = dead-letter\n"
               "[topic m*]\ndurability = memory\n[topic q*]\ndurability = quorum\n"
               "[topic s*]\ndurability = synced\nretention-age = 0\n");
    emesh_topic_rule rule;
    emesh_conf_topic(conf, "t", 1, &rule);
    g_assert_cmpstr(rule.store, ==, "s");
    g_assert_cmpuint(rule.level, ==, EMESH_LEVEL_OS);
    g_assert_cmpuint(rule.partitions, ==, 8);
    g_assert_cmpuint(rule.foreign_dead_letter, ==, 1);
    g_assert_cmpuint(rule.retention_ms, ==, 5000);
    g_assert_cmpuint(rule.retention_bytes, ==, 1 << 30);
    g_assert_cmpuint(rule.max_event, ==, 65536);
    g_assert_cmpstr(rule.origin, ==, "20-t.conf:1");
    g_assert_cmpstr(rule.level_origin, ==, "20-t.conf:3");
    emesh_conf_topic(conf, "m1", 2, &rule);
    g_assert_cmpuint(rule.level, ==, EMESH_LEVEL_MEMORY);
    emesh_conf_topic(conf, "q1", 2, &rule);
    g_assert_cmpuint(rule.level, ==, EMESH_LEVEL_QUORUM);
    emesh_conf_topic(conf, "s1", 2, &rule);
    g_assert_cmpuint(rule.level, ==, EMESH_LEVEL_SYNCED);
    g_assert_cmpuint(rule.retention_ms, ==, 0);
}

static void
test_group_defaults(void)
{
    g_autoptr(emesh_conf) conf = parsed("");
    emesh_group_rule rule;
    emesh_conf_group(conf, "g", 1, &rule);
    g_assert_cmpuint(rule.start.size, ==, sizeof rule.start);
    g_assert_cmpuint(rule.start.kind, ==, EMESH_START_LATEST);
    g_assert_cmpuint(rule.ordered, ==, 0);
    g_assert_cmpuint(rule.attempts, ==, 16);
    g_assert_cmpuint(rule.retry_wait_ns, ==, 1000000000);
    g_assert_cmpuint(rule.retry_wait_max_ns, ==, 300000000000);
    g_assert_cmpuint(rule.ack_timeout_ns, ==, 0);
    g_assert_cmpuint(rule.forget_after_ns, ==, 7ull * 86400 * 1000000000);
    g_assert_cmpuint(rule.dead_letter, ==, 1);
    g_assert_null(rule.dead_letter_store);
    g_assert_cmpstr(rule.origin, ==, "default");
}

static void
test_group_given(void)
{
    g_autoptr(emesh_conf) conf =
        parsed("[group g*]\nstart = earliest\norder = key\nattempts = 3\nretry-wait = 10ms\n"
               "retry-wait-max = 2s\nack-timeout = 5s\ndead-letter = off\ndead-letter-store = s\n"
               "forget-after = 0\n[group h]\nack-timeout = 0\n");
    emesh_group_rule rule;
    emesh_conf_group(conf, "g1", 2, &rule);
    g_assert_cmpuint(rule.start.kind, ==, EMESH_START_EARLIEST);
    g_assert_cmpuint(rule.ordered, ==, 1);
    g_assert_cmpuint(rule.attempts, ==, 3);
    g_assert_cmpuint(rule.retry_wait_ns, ==, 10000000);
    g_assert_cmpuint(rule.retry_wait_max_ns, ==, 2000000000);
    g_assert_cmpuint(rule.ack_timeout_ns, ==, 5000000000);
    g_assert_cmpuint(rule.forget_after_ns, ==, 0);
    g_assert_cmpuint(rule.dead_letter, ==, 0);
    g_assert_cmpstr(rule.dead_letter_store, ==, "s");
    g_assert_cmpstr(rule.origin, ==, "20-t.conf:1");
}

static void
test_start_times(void)
{
    static const struct {
        const char *text;
        uint64_t ms; /* 0: refused */
    } cases[] = {
        { "2025-01-31T08:00:00Z", 1738310400000 },
        { "2025-01-31T08:00:00.250Z", 1738310400250 },
        { "2025-01-31T09:30:00+01:30", 1738310400000 },
        { "1970-01-01T00:00:01Z", 1000 },
        { "2025-01-31", 0 },
        { "2025-01-31T08:00:00", 0 },
        { "2025-01-31 08:00:00Z", 0 },
        { "2025-02-30T08:00:00Z", 0 },
        { "2025-01-31T25:00:00Z", 0 },
        { "2025-01-31T08:00:00.Z", 0 },
        { "2025-01-31T08:00:00+0100", 0 },
        { "2025-01-31T08:00:00Zulu", 0 },
        { "1969-12-31T23:59:59Z", 0 },
        { "Latest", 0 },
        { "", 0 },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_autofree char *text = g_strdup_printf("[group g]\nstart = %s\n", cases[k].text);
        if (cases[k].ms == 0) {
            g_autofree char *why = refused(text);
            g_assert_nonnull(strstr(why, "20-t.conf:2: start: \""));
            g_assert_nonnull(strstr(why, "is no place to start; write latest, earliest or a time"));
            continue;
        }
        g_autoptr(emesh_conf) conf = parsed(text);
        emesh_group_rule rule;
        emesh_conf_group(conf, "g", 1, &rule);
        g_assert_cmpuint(rule.start.kind, ==, EMESH_START_TIME);
        g_assert_cmpuint(rule.start.time_ms, ==, cases[k].ms);
    }
}

/* An exact name, then the longest literal text; what the winner leaves out is a default. */
static void
test_precedence(void)
{
    g_autoptr(emesh_conf) conf =
        parsed("[topic *]\npartitions = 2\nmax-event = 1k\n[topic order*]\npartitions = 3\n"
               "[topic orders-*]\npartitions = 4\n[topic *-eu]\npartitions = 5\n"
               "[topic orders-us]\npartitions = 6\n[topic %DLQ%*]\npartitions = 7\n");
    static const struct {
        const char *name;
        uint32_t partitions;
    } cases[] = {
        { "x", 2 },         { "order", 3 },    { "orders", 3 },      { "orders-", 4 },
        { "orders-fr", 4 }, { "orders-eu", 4 }, { "orders-us", 6 },  { "order-eu", 3 },
        { "x-eu", 5 },      { "%DLQ%g", 7 },   { "%RETRY%g", 1 },    { "emesh-dlq-g", 1 },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        emesh_topic_rule rule;
        emesh_conf_topic(conf, cases[k].name, strlen(cases[k].name), &rule);
        g_test_message("%s", cases[k].name);
        g_assert_cmpuint(rule.partitions, ==, cases[k].partitions);
        g_assert_cmpuint(rule.max_event, ==, cases[k].partitions == 2 ? 1024 : 1 << 20);
    }
}

static void
test_refusals(void)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        { "[topic a]\n[topic b]\n[topic a]\n",
          "20-t.conf:3: [topic a] is given twice; first in 20-t.conf:1" },
        { "[group a*]\n[group a*]\n",
          "20-t.conf:2: [group a*] is given twice; first in 20-t.conf:1" },
        { "[topic *b]\n[topic a*]\n",
          "20-t.conf:2: [topic a*] and [topic *b] (20-t.conf:1) match the same names and say "
          "equally much about them; write one of them longer, or one name out" },
        { "[topic ?]\n[topic *]\n",
          "20-t.conf:1: [topic ?] and [topic *] (20-t.conf:2) match the same names and say equally "
          "much about them; write one of them longer, or one name out" },
        { "[topic a[b]\n",
          "20-t.conf:1: [topic a[b]: a name is 1 to 249 printable ASCII characters without [ and "
          "]" },
        { "[topic a]\npartitons = 2\n",
          "20-t.conf:2: partitons: unknown key; did you mean \"partitions\"?" },
        { "[topic a]\npartitions = 0\n",
          "20-t.conf:2: partitions: \"0\" is out of range; write 1 to 10000" },
        { "[topic a]\npartitions = 10001\n",
          "20-t.conf:2: partitions: \"10001\" is out of range; write 1 to 10000" },
        { "[topic a]\ndurability = sync\n",
          "20-t.conf:2: durability: \"sync\" is none of memory, os, synced, quorum; did you mean "
          "\"synced\"?" },
        { "[topic a]\nmax-event = 65M\n",
          "20-t.conf:2: max-event: \"65M\" is out of range; write 1 to 64MiB" },
        { "[topic a]\nstore = a\nstore = b\n",
          "20-t.conf:3: store: given twice; first in 20-t.conf:2" },
        { "[group a]\nattempts = 0\n",
          "20-t.conf:2: attempts: \"0\" is out of range; write 1 to 10000" },
        { "[group a]\norder = keys\n",
          "20-t.conf:2: order: \"keys\" is none of none, key; did you mean \"key\"?" },
        { "[group a]\nretry-wait = 10s\nretry-wait-max = 9s\n",
          "20-t.conf:2: retry-wait: \"10s\" is above the retry-wait-max of \"9s\" (20-t.conf:3)" },
        { "[group a]\nretry-wait = 10m\n",
          "20-t.conf:2: retry-wait: \"10m\" is above the retry-wait-max of \"5m\" (default)" },
        { "[topic a]\nattempts = 3\n",
          "20-t.conf:2: attempts: unknown key; it stands in [group NAME]" },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_autofree char *message = refused(cases[k].text);
        g_assert_cmpstr(message, ==, cases[k].message);
    }
    /* the same pattern for topics and for groups, and patterns that cannot meet, are no tie */
    g_autoptr(emesh_conf) conf = parsed("[topic a*]\n[group a*]\n[topic b*]\n[topic ??]\n[topic "
                                        "*.a]\n");
    g_assert_nonnull(conf);
}

static void
count_rule(void *ctx, bool is_group, const char *pattern, const emesh_topic_rule *topic,
           const emesh_group_rule *group)
{
    g_assert_cmpint(topic != NULL, ==, !is_group);
    g_assert_cmpint(group != NULL, ==, is_group);
    g_string_append_printf(ctx, "%s%s:%u ", is_group ? "g:" : "t:", pattern,
                           is_group ? group->attempts : topic->partitions);
}

static void
test_each_rule(void)
{
    g_autoptr(emesh_conf) conf = parsed("[topic b*]\npartitions = 2\n[group g]\nattempts = 4\n"
                                        "[topic bb*]\n[topic a]\npartitions = 9\n");
    g_autoptr(GString) seen = g_string_new(NULL);
    emesh_conf_each_rule(conf, count_rule, seen);
    g_assert_cmpstr(seen->str, ==, "t:a:9 t:bb*:1 t:b*:2 g:g:4 ");
}

/* ---- keys of stores ---- */

static const emesh_option topic_keys[] = {
    { .name = "segment-age", .type = EMESH_OPT_DURATION, .value = "1h" },
    { .name = "lib.*", .type = EMESH_OPT_MAP },
};
static const emesh_option group_keys[] = {
    { .name = "fetch", .type = EMESH_OPT_INT, .value = "3", .min = 1, .max = 9 },
};

static void
test_store_keys(void)
{
    g_autoptr(emesh_conf) conf =
        parsed("[topic a*]\ns.segment-age = 5m\ns.lib.x.y = 1\nss.segment-age = never\n"
               "[group g]\ns.fetch = 4\n");
    GError *error = NULL;
    emesh_value value;
    g_autoptr(emesh_config) topic = emesh_conf_topic_options(conf, "a1", 2, "s", topic_keys, 2,
                                                             sizeof *topic_keys, &error);
    g_assert_no_error(error);
    g_assert_true(emesh_config_get(topic, "segment-age", 0, &value));
    g_assert_cmpint(value.i, ==, 300000000000);
    g_assert_cmpstr(value.origin.ptr, ==, "20-t.conf:2");
    uint64_t cursor = 0;
    emesh_slice key;
    value.size = sizeof value;
    g_assert_cmpint(emesh_config_service.next(topic, "lib.*", &cursor, &key, &value), ==, 0);
    g_assert_cmpstr(key.ptr, ==, "x.y");

    g_autoptr(emesh_config) none = emesh_conf_topic_options(conf, "b", 1, "s", topic_keys, 2,
                                                            sizeof *topic_keys, &error);
    g_assert_true(emesh_config_get(none, "segment-age", 0, &value));
    g_assert_cmpstr(value.origin.ptr, ==, "default");
    g_autoptr(emesh_config) group = emesh_conf_group_options(conf, "g", 1, "s", group_keys, 1,
                                                             sizeof *group_keys, &error);
    g_assert_true(emesh_config_get(group, "fetch", 0, &value));
    g_assert_cmpint(value.i, ==, 4);

    g_assert_null(emesh_conf_topic_options(conf, "a1", 2, "ss", topic_keys, 2, sizeof *topic_keys,
                                           &error));
    g_assert_cmpstr(error->message, ==, "20-t.conf:4: ss.segment-age: \"never\" is no duration; "
                                        "write 250ms, 30s, 5m, 2h or 7d");
    g_clear_error(&error);
    g_assert_true(emesh_conf_check_store(conf, "s", topic_keys, 2, group_keys, 1,
                                         sizeof *topic_keys, &error));
    g_assert_no_error(error);
    g_assert_false(emesh_conf_check_store(conf, "s", group_keys, 1, NULL, 0, sizeof *topic_keys,
                                          &error));
    g_assert_cmpstr(error->message, ==, "20-t.conf:2: s.segment-age: unknown key\n"
                                        "20-t.conf:3: s.lib.x.y: unknown key\n"
                                        "20-t.conf:6: s.fetch: unknown key");
    g_clear_error(&error);

    g_autoptr(emesh_conf) typo = parsed("[topic a]\ns.segment-aeg = 5m\n");
    g_assert_null(emesh_conf_topic_options(typo, "a", 1, "s", topic_keys, 2, sizeof *topic_keys,
                                           &error));
    g_assert_cmpstr(error->message, ==, "20-t.conf:2: s.segment-aeg: unknown key; did you mean "
                                        "\"s.segment-age\"?");
    g_clear_error(&error);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/rules/names", test_names);
    g_test_add_func("/config/rules/match", test_match);
    g_test_add_func("/config/rules/match-is-quick", test_match_is_quick);
    g_test_add_func("/config/rules/overlap", test_overlap);
    g_test_add_func("/config/rules/overlap-by-force", test_overlap_by_force);
    g_test_add_func("/config/rules/topic-defaults", test_topic_defaults);
    g_test_add_func("/config/rules/topic-given", test_topic_given);
    g_test_add_func("/config/rules/group-defaults", test_group_defaults);
    g_test_add_func("/config/rules/group-given", test_group_given);
    g_test_add_func("/config/rules/start-times", test_start_times);
    g_test_add_func("/config/rules/precedence", test_precedence);
    g_test_add_func("/config/rules/refusals", test_refusals);
    g_test_add_func("/config/rules/each-rule", test_each_rule);
    g_test_add_func("/config/rules/store-keys", test_store_keys);
    return g_test_run();
}
