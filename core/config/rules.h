/* SPDX-License-Identifier: Apache-2.0
 *
 * The [topic …] and [group …] sections of a configuration as rules. Built while it is loaded.
 */
#pragma once
#include "options.h"

typedef struct emesh_rule {
    const emesh_conf_section *section; /* the conf's */
    uint32_t weight;                   /* UINT32_MAX: an exact name */
    emesh_config *values;              /* keys of the section's own */
    emesh_topic_rule topic;            /* one of the two */
    emesh_group_rule group;
} emesh_rule;

typedef struct emesh_rules { /* of one kind */
    bool groups;
    GPtrArray *sorted;   /* emesh_rule, the one that says most first */
    GHashTable *by_name; /* pattern text → emesh_rule */
    emesh_rule *none;    /* defaults, for what no section matches */
} emesh_rules;

emesh_rules *emesh_rules_new(bool groups);
void emesh_rules_free(emesh_rules *rules);
/* section is kept, and outlives rules. */
void emesh_rules_add(emesh_rules *rules, const emesh_conf_section *section,
                     emesh_problems *problems);
/* After the last add: sorts, refuses ties. */
void emesh_rules_finish(emesh_rules *rules, emesh_problems *problems);
/* Refuses stores and INSTANCE.KEY of instances that conf does not have. */
void emesh_rules_check_instances(const emesh_rules *rules, const emesh_conf *conf,
                                 emesh_problems *problems);
const emesh_rule *emesh_rules_find(const emesh_rules *rules, const char *name, size_t len);
const emesh_rules *emesh_conf_rules(const emesh_conf *conf, bool groups); /* conf.c */
