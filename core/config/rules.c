/* SPDX-License-Identifier: Apache-2.0
 *
 * [topic …] and [group …]: from sections to rules, and the rule that holds for a name.
 */
#include "rules.h"
#include "pattern.h"
#include "value.h"
#include "eventmesh/ingress.h"
#include <string.h>

#define SECOND INT64_C(1000000000)
#define DAY (86400 * SECOND)
#define MIB (INT64_C(1024) * 1024)
#define WILD_MOST 10000u

static const emesh_option topic_table[] = {
    { .name = "store", .type = EMESH_OPT_TEXT, .min = 1, .max = 63,
      .help = "Storage instance that keeps the events; needed only when there are several." },
    { .name = "durability", .type = EMESH_OPT_CHOICE, .choices = "memory|os|synced|quorum",
      .help = "What an acknowledgement promises; without it the highest level the store gives." },
    { .name = "partitions", .type = EMESH_OPT_INT, .value = "1", .min = 1, .max = 10000,
      .help = "Partitions of the topic when it is created." },
    { .name = "retention-age", .type = EMESH_OPT_DURATION, .value = "7d",
      .help = "Events older than this are removed, consumed or not; 0 keeps them for ever." },
    { .name = "retention-bytes", .type = EMESH_OPT_SIZE, .value = "0",
      .help = "The oldest events beyond this size are removed; 0 is no limit." },
    { .name = "max-event", .type = EMESH_OPT_SIZE, .value = "1MiB", .min = 1, .max = 64 * MIB,
      .help = "Largest event that is accepted, attributes and data together." },
    { .name = "foreign", .type = EMESH_OPT_CHOICE, .value = "deliver",
      .choices = "deliver|dead-letter",
      .help = "What becomes of records in the store that are no CloudEvents." },
};

static const emesh_option group_table[] = {
    { .name = "start", .type = EMESH_OPT_TEXT, .value = "latest",
      .help = "Where a new group begins: latest, earliest, or a time as 2025-01-31T08:00:00Z." },
    { .name = "order", .type = EMESH_OPT_CHOICE, .value = "none", .choices = "none|key",
      .help = "key keeps the order of events with the same partitionkey, also when they are tried "
              "again." },
    { .name = "attempts", .type = EMESH_OPT_INT, .value = "16", .min = 1, .max = 10000,
      .help = "Deliveries of an event before it goes to the dead letters." },
    { .name = "retry-wait", .type = EMESH_OPT_DURATION, .value = "1s", .min = SECOND / 1000,
      .max = DAY, .help = "Wait after the first failed delivery; doubled with each further one." },
    { .name = "retry-wait-max", .type = EMESH_OPT_DURATION, .value = "5m", .min = SECOND / 1000,
      .max = DAY, .help = "Longest wait between two deliveries." },
    { .name = "ack-timeout", .type = EMESH_OPT_DURATION, .max = DAY,
      .help = "Time a subscriber has to acknowledge; without it what its protocol says, else 60 "
              "seconds." },
    { .name = "dead-letter", .type = EMESH_OPT_BOOL, .value = "on",
      .help = "Keep events whose attempts are used up in the group's dead-letter topic." },
    { .name = "dead-letter-store", .type = EMESH_OPT_TEXT, .min = 1, .max = 63,
      .help = "Storage instance of the dead letters; without it the one the event came from." },
    { .name = "forget-after", .type = EMESH_OPT_DURATION, .value = "7d",
      .help = "A group without members loses its positions after this time; 0 keeps them." },
};

const emesh_option *
emesh_topic_option_table(uint32_t *n)
{
    *n = G_N_ELEMENTS(topic_table);
    return topic_table;
}

const emesh_option *
emesh_group_option_table(uint32_t *n)
{
    *n = G_N_ELEMENTS(group_table);
    return group_table;
}

static void
rule_free(gpointer data)
{
    emesh_rule *rule = data;
    emesh_config_unref(rule->values);
    g_free(rule);
}

/* RFC 3339 with a zone: 2025-01-31T08:00:00Z. */
static bool
read_time(const char *text, uint64_t *ms)
{
    static const char shape[] = "0000-00-00T00:00:00";
    for (size_t i = 0; i < sizeof shape - 1; i++)
        if (shape[i] == '0' ? !g_ascii_isdigit(text[i]) : text[i] != shape[i])
            return false;
    const char *p = text + sizeof shape - 1;
    if (*p == '.') {
        do
            p++;
        while (g_ascii_isdigit(*p));
        if (p[-1] == '.')
            return false;
    }
    const bool zone = strcmp(p, "Z") == 0 ||
                      (strlen(p) == 6 && (p[0] == '+' || p[0] == '-') && g_ascii_isdigit(p[1]) &&
                       g_ascii_isdigit(p[2]) && p[3] == ':' && g_ascii_isdigit(p[4]) &&
                       g_ascii_isdigit(p[5]));
    g_autoptr(GDateTime) time = zone ? g_date_time_new_from_iso8601(text, NULL) : NULL;
    if (time == NULL || g_date_time_to_unix(time) < 0)
        return false;
    *ms = (uint64_t)g_date_time_to_unix(time) * 1000 +
          (uint64_t)g_date_time_get_microsecond(time) / 1000;
    return true;
}

static void
read_start(const emesh_config *values, emesh_start *start, emesh_problems *problems)
{
    *start = (emesh_start){ .size = sizeof *start, .kind = EMESH_START_LATEST };
    const emesh_config_value *value = emesh_config_first(values, NULL, "start");
    if (strcmp(value->text, "earliest") == 0)
        start->kind = EMESH_START_EARLIEST;
    else if (read_time(value->text, &start->time_ms))
        start->kind = EMESH_START_TIME;
    else if (strcmp(value->text, "latest") != 0)
        emesh_problems_add(problems, value->origin, "start",
                           "\"%s\" is no place to start; write latest, earliest or a time as "
                           "2025-01-31T08:00:00Z", value->text);
}

static const char *
origin_of(const emesh_rule *rule)
{
    return rule->section != NULL ? rule->section->origin : "default";
}

static void
fill_topic(emesh_rule *rule)
{
    const emesh_config *values = rule->values;
    const emesh_config_value *level = emesh_config_first(values, NULL, "durability");
    rule->topic = (emesh_topic_rule){
        .store = emesh_config_text(values, NULL, "store"),
        .level = level != NULL ? (uint32_t)level->i + EMESH_LEVEL_MEMORY : EMESH_LEVEL_TOPIC,
        .partitions = (uint32_t)emesh_config_number(values, NULL, "partitions"),
        .foreign_dead_letter = (uint32_t)emesh_config_number(values, NULL, "foreign"),
        .retention_ms = (uint64_t)emesh_config_number(values, NULL, "retention-age") / 1000000,
        .retention_bytes = (uint64_t)emesh_config_number(values, NULL, "retention-bytes"),
        .max_event = (uint64_t)emesh_config_number(values, NULL, "max-event"),
        .origin = origin_of(rule),
        .level_origin = level != NULL ? level->origin : "default",
    };
}

static void
fill_group(emesh_rule *rule, emesh_problems *problems)
{
    const emesh_config *values = rule->values;
    rule->group = (emesh_group_rule){
        .ordered = (uint32_t)emesh_config_number(values, NULL, "order"),
        .attempts = (uint32_t)emesh_config_number(values, NULL, "attempts"),
        .retry_wait_ns = (uint64_t)emesh_config_number(values, NULL, "retry-wait"),
        .retry_wait_max_ns = (uint64_t)emesh_config_number(values, NULL, "retry-wait-max"),
        .ack_timeout_ns = (uint64_t)emesh_config_number(values, NULL, "ack-timeout"),
        .forget_after_ns = (uint64_t)emesh_config_number(values, NULL, "forget-after"),
        .dead_letter = (uint32_t)emesh_config_number(values, NULL, "dead-letter"),
        .dead_letter_store = emesh_config_text(values, NULL, "dead-letter-store"),
        .origin = origin_of(rule),
    };
    read_start(values, &rule->group.start, problems);
    if (rule->group.retry_wait_ns > rule->group.retry_wait_max_ns) {
        const emesh_config_value *most = emesh_config_first(values, NULL, "retry-wait-max");
        const emesh_config_value *wait = emesh_config_first(values, NULL, "retry-wait");
        emesh_problems_add(problems, wait->origin, "retry-wait", "\"%s\" is above the "
                           "retry-wait-max of \"%s\" (%s)", wait->text, most->text, most->origin);
    }
}

static emesh_rule *
rule_new(const emesh_rules *rules, const emesh_conf_section *section, emesh_problems *problems)
{
    emesh_rule *rule = g_new0(emesh_rule, 1);
    const emesh_config_source source = { .section = section, .filter = EMESH_KEYS_PLAIN };
    uint32_t n;
    const emesh_option *table = rules->groups ? emesh_group_option_table(&n)
                                              : emesh_topic_option_table(&n);
    const uint32_t before = problems->n;
    rule->section = section;
    rule->values = emesh_config_build(&source, table, n, sizeof *table, NULL, 0, problems);
    if (section != NULL)
        rule->weight = emesh_pattern_is_exact(section->name) ? UINT32_MAX
                                                             : emesh_pattern_weight(section->name);
    if (problems->n > before)
        return rule;
    if (rules->groups)
        fill_group(rule, problems);
    else
        fill_topic(rule);
    return rule;
}

emesh_rules *
emesh_rules_new(bool groups)
{
    emesh_rules *rules = g_new0(emesh_rules, 1);
    rules->groups = groups;
    rules->sorted = g_ptr_array_new_with_free_func(rule_free);
    rules->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    g_auto(emesh_problems) none;
    emesh_problems_init(&none);
    rules->none = rule_new(rules, NULL, &none);
    g_assert(none.n == 0);
    return rules;
}

void
emesh_rules_free(emesh_rules *rules)
{
    if (rules == NULL)
        return;
    g_hash_table_unref(rules->by_name);
    g_ptr_array_unref(rules->sorted);
    rule_free(rules->none);
    g_free(rules);
}

void
emesh_rules_add(emesh_rules *rules, const emesh_conf_section *section, emesh_problems *problems)
{
    if (!emesh_pattern_ok(section->name)) {
        emesh_problems_add(problems, section->origin, NULL,
                           "[%s %s]: a name is 1 to 249 printable ASCII characters without [ and ]",
                           section->kind, section->name);
        return;
    }
    const emesh_rule *same = g_hash_table_lookup(rules->by_name, section->name);
    if (same != NULL) {
        emesh_problems_add(problems, section->origin, NULL, "[%s %s] is given twice; first in %s",
                           section->kind, section->name, same->section->origin);
        return;
    }
    emesh_rule *rule = rule_new(rules, section, problems);
    g_ptr_array_add(rules->sorted, rule);
    g_hash_table_insert(rules->by_name, section->name, rule);
}

static gint
by_weight(gconstpointer a, gconstpointer b)
{
    const emesh_rule *x = *(emesh_rule *const *)a;
    const emesh_rule *y = *(emesh_rule *const *)b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return strcmp(x->section->name, y->section->name);
}

void
emesh_rules_finish(emesh_rules *rules, emesh_problems *problems)
{
    g_ptr_array_sort(rules->sorted, by_weight);
    uint32_t first = 0; /* pattern behind the exact names */
    while (first < rules->sorted->len &&
           ((emesh_rule *)rules->sorted->pdata[first])->weight == UINT32_MAX)
        first++;
    if (rules->sorted->len - first > WILD_MOST) {
        emesh_problems_add(problems, NULL, NULL, "%u [%s …] patterns; at most %u",
                           rules->sorted->len - first, rules->groups ? "group" : "topic",
                           WILD_MOST);
        return;
    }
    for (uint32_t i = first; i < rules->sorted->len; i++) {
        const emesh_rule *rule = rules->sorted->pdata[i];
        for (uint32_t j = i + 1; j < rules->sorted->len; j++) {
            const emesh_rule *other = rules->sorted->pdata[j];
            if (other->weight != rule->weight)
                break;
            if (!emesh_patterns_overlap(rule->section->name, other->section->name))
                continue;
            emesh_problems_add(problems, other->section->origin, NULL,
                               "[%s %s] and [%s %s] (%s) match the same names and say equally much "
                               "about them; write one of them longer, or one name out",
                               other->section->kind, other->section->name, rule->section->kind,
                               rule->section->name, rule->section->origin);
        }
    }
}

static void
check_known(const emesh_conf *conf, const char *instance, const char *origin, const char *key,
            emesh_problems *problems)
{
    if (emesh_conf_instance_find(conf, instance) != NULL)
        return;
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    for (uint32_t i = 0; i < emesh_conf_n_instances(conf); i++)
        g_ptr_array_add(known, (gpointer)emesh_conf_instance_at(conf, i)->name);
    const char *meant = emesh_suggest(instance, (const char *const *)known->pdata, known->len);
    if (meant != NULL)
        emesh_problems_add(problems, origin, key, "no instance \"%s\"; did you mean \"%s\"?",
                           instance, meant);
    else
        emesh_problems_add(problems, origin, key, "no instance \"%s\"", instance);
}

void
emesh_rules_check_instances(const emesh_rules *rules, const emesh_conf *conf,
                            emesh_problems *problems)
{
    const char *store_key = rules->groups ? "dead-letter-store" : "store";
    for (uint32_t i = 0; i < rules->sorted->len; i++) {
        const emesh_rule *rule = rules->sorted->pdata[i];
        const emesh_config_value *store = emesh_config_first(rule->values, NULL, store_key);
        if (store != NULL)
            check_known(conf, store->text, store->origin, store_key, problems);
        for (uint32_t e = 0; e < emesh_conf_section_n(rule->section); e++) {
            const emesh_conf_entry entry = emesh_conf_section_at(rule->section, e);
            const char *dot = strchr(entry.key, '.');
            if (dot == NULL)
                continue;
            g_autofree char *instance = g_strndup(entry.key, (gsize)(dot - entry.key));
            check_known(conf, instance, entry.origin, entry.key, problems);
        }
    }
}

const emesh_rule *
emesh_rules_find(const emesh_rules *rules, const char *name, size_t len)
{
    for (uint32_t i = 0; i < rules->sorted->len; i++) {
        const emesh_rule *rule = rules->sorted->pdata[i];
        if (rule->weight == UINT32_MAX) {
            if (strlen(rule->section->name) == len && memcmp(rule->section->name, name, len) == 0)
                return rule;
        } else if (emesh_pattern_match(rule->section->name, name, len)) {
            return rule;
        }
    }
    return rules->none;
}

void
emesh_conf_topic(const emesh_conf *conf, const char *name, size_t len, emesh_topic_rule *out)
{
    *out = emesh_rules_find(emesh_conf_rules(conf, false), name, len)->topic;
}

void
emesh_conf_group(const emesh_conf *conf, const char *name, size_t len, emesh_group_rule *out)
{
    *out = emesh_rules_find(emesh_conf_rules(conf, true), name, len)->group;
}

void
emesh_conf_each_rule(const emesh_conf *conf, emesh_conf_rule_visit visit, void *ctx)
{
    for (int groups = 0; groups < 2; groups++) {
        const emesh_rules *rules = emesh_conf_rules(conf, groups != 0);
        for (uint32_t i = 0; i < rules->sorted->len; i++) {
            const emesh_rule *rule = rules->sorted->pdata[i];
            visit(ctx, groups != 0, rule->section->name, groups != 0 ? NULL : &rule->topic,
                  groups != 0 ? &rule->group : NULL);
        }
    }
}

static emesh_config *
store_options(const emesh_rule *rule, const char *instance, const emesh_option *options, uint32_t n,
              uint32_t option_size, GError **error)
{
    g_auto(emesh_problems) problems;
    emesh_problems_init(&problems);
    const emesh_config_source source = { .section = rule->section,
                                         .filter = EMESH_KEYS_INSTANCE,
                                         .instance = instance };
    g_autoptr(emesh_config) config = emesh_config_build(&source, options, n, option_size, NULL, 0,
                                                        &problems);
    return emesh_problems_end(&problems, error) ? g_steal_pointer(&config) : NULL;
}

emesh_config *
emesh_conf_topic_options(const emesh_conf *conf, const char *name, size_t len, const char *instance,
                         const emesh_option *options, uint32_t n, uint32_t option_size,
                         GError **error)
{
    return store_options(emesh_rules_find(emesh_conf_rules(conf, false), name, len), instance,
                         options, n, option_size, error);
}

emesh_config *
emesh_conf_group_options(const emesh_conf *conf, const char *name, size_t len, const char *instance,
                         const emesh_option *options, uint32_t n, uint32_t option_size,
                         GError **error)
{
    return store_options(emesh_rules_find(emesh_conf_rules(conf, true), name, len), instance,
                         options, n, option_size, error);
}

bool
emesh_conf_check_store(const emesh_conf *conf, const char *instance,
                       const emesh_option *topic_options, uint32_t n_topic_options,
                       const emesh_option *group_options, uint32_t n_group_options,
                       uint32_t option_size, GError **error)
{
    g_auto(emesh_problems) problems;
    emesh_problems_init(&problems);
    for (int groups = 0; groups < 2; groups++) {
        const emesh_rules *rules = emesh_conf_rules(conf, groups != 0);
        for (uint32_t i = 0; i < rules->sorted->len; i++) {
            const emesh_rule *rule = rules->sorted->pdata[i];
            const emesh_config_source source = { .section = rule->section,
                                                 .filter = EMESH_KEYS_INSTANCE,
                                                 .instance = instance };
            emesh_config_unref(emesh_config_build(
                &source, groups != 0 ? group_options : topic_options,
                groups != 0 ? n_group_options : n_topic_options, option_size, NULL, 0, &problems));
        }
    }
    return emesh_problems_end(&problems, error);
}
