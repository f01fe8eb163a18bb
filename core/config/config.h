/* SPDX-License-Identifier: Apache-2.0
 *
 * conf.d: search, merge, and the typed values of one instance. The reader is ours, because GLib's
 * key files keep neither line numbers nor repeated keys.
 *
 *   conf_load()   folders → files → sections with entries, each entry with its origin "FILE:LINE"
 *   options       a table of emesh_option + mixed-in groups → emesh_config (typed, checked)
 *   rules         [topic …] and [group …] patterns → the values that hold for a name
 *
 * Every refusal reads: FILE:LINE: KEY: why (did you mean …?).
 */
#pragma once
#include "eventmesh/option.h"
#include "eventmesh/subscription.h"
#include "io/net.h"
#include <glib.h>
#include <stdbool.h>

#define EMESH_CONF_ERROR emesh_conf_error_quark()
GQuark emesh_conf_error_quark(void);

/* ---- conf.c: files and sections ---- */
typedef struct emesh_conf emesh_conf;           /* everything read; immutable, counted */
typedef struct emesh_conf_section emesh_conf_section;

typedef struct emesh_conf_entry {
    const char *key;
    const char *value;  /* unquoted, NUL-terminated */
    const char *origin; /* "10-protocol-tcp.conf:7" */
    size_t value_len;
} emesh_conf_entry;

typedef struct emesh_conf_instance { /* one file with [instance] */
    const char *name;      /* file name without NN- and .conf */
    const char *file;      /* full path */
    const char *component;
    const char *component_origin; /* "FILE:LINE" of component = */
    const char *plugin;    /* file name of the .so, NULL = found by component */
    bool enabled;
    bool refuse_unavailable; /* on-unavailable = refuse */
    const emesh_conf_section *options; /* [options], may be NULL */
} emesh_conf_instance;

/* Folders, a later one overrides (same file name), an empty file or link to /dev/null masks. A
 * folder that is absent is skipped. NULL: error. Given: unref. */
emesh_conf *emesh_conf_load(const char *const *dirs, GError **error);
/* For tests and fuzzing: one file's text, as if named name. It may name instances of others. */
emesh_conf *emesh_conf_parse(const char *name, const char *text, size_t len, GError **error);
emesh_conf *emesh_conf_ref(emesh_conf *conf);
void emesh_conf_unref(emesh_conf *conf);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(emesh_conf, emesh_conf_unref)

uint32_t emesh_conf_n_instances(const emesh_conf *conf);
const emesh_conf_instance *emesh_conf_instance_at(const emesh_conf *conf, uint32_t i);
const emesh_conf_instance *emesh_conf_instance_find(const emesh_conf *conf, const char *name);
const emesh_conf_section *emesh_conf_daemon(const emesh_conf *conf); /* merged [daemon], or NULL */
uint32_t emesh_conf_section_n(const emesh_conf_section *section);
emesh_conf_entry emesh_conf_section_at(const emesh_conf_section *section, uint32_t i);

/* Typed values of [daemon], defaults where there is none; borrowed from conf. */
const emesh_config *emesh_conf_daemon_config(const emesh_conf *conf);

/* ---- options.c: from text to typed values ---- */
/* Checks and converts section's entries by the declared options and groups ("emesh.listen/1",
 * "emesh.dial/1" with their prefix; others are refused). option_size is the stride of options.
 * section may be NULL. NULL: error with origin, key, why, did you mean. Given: unref. */
emesh_config *emesh_config_new(const emesh_conf_section *section, const emesh_option *options,
                               uint32_t n_options, uint32_t option_size,
                               const emesh_option_group *groups, uint32_t n_groups,
                               GError **error);
emesh_config *emesh_config_ref(emesh_config *config);
void emesh_config_unref(emesh_config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(emesh_config, emesh_config_unref)

/* Are a table's names unique, types known, ranges sane, and does every default parse? For the
 * plugin room's descriptor check. must bits this host does not know are an error. */
bool emesh_options_check(const emesh_option *options, uint32_t n, uint32_t option_size,
                         GError **error);

typedef enum emesh_config_change {
    EMESH_CONFIG_SAME,    /* same values */
    EMESH_CONFIG_LIVE,    /* only options with EMESH_OPT_LIVE differ: apply() */
    EMESH_CONFIG_RESTART, /* others differ */
} emesh_config_change;
emesh_config_change emesh_config_diff(const emesh_config *a, const emesh_config *b);

/* Options of a group by its id, without prefix; NULL when this host has no such group. */
const emesh_option *emesh_option_group_table(const char *id, uint32_t *n);

/* Core's own look at a value (secrets too: core only). false: absent. */
bool emesh_config_get(const emesh_config *config, const char *name, uint32_t index,
                      emesh_value *out);
/* Origin of an option's value, "default" when not set, NULL when unknown. */
const char *emesh_config_origin(const emesh_config *config, const char *name);
/* Fills spec from group "emesh.listen/1" with this prefix; borrowed from config. false: the
 * component did not mix it in, or no listen address is set. */
bool emesh_config_listen(const emesh_config *config, const char *prefix, emesh_listen_spec *spec);
void emesh_config_dial(const emesh_config *config, const char *prefix, emesh_dial_spec *spec);

/* --dump-config and `config show`: visits all values, merged with defaults; secrets as "***". */
typedef void (*emesh_config_visit)(void *ctx, const char *key, const char *value,
                                   const char *origin);
void emesh_config_each(const emesh_config *config, emesh_config_visit visit, void *ctx);
/* The conf.d sample of a component, every option with help, type, range and default, commented. */
char *emesh_config_sample(const char *component, const char *summary, const emesh_option *options,
                          uint32_t n, uint32_t option_size, const emesh_option_group *groups,
                          uint32_t n_groups);

/* The table of service "emesh.config/1". Constant. */
extern const emesh_config_api emesh_config_service;

/* ---- rules.c: [topic …] and [group …] ---- */
typedef struct emesh_topic_rule { /* what holds for one topic name; texts live as long as conf */
    const char *store;    /* instance name, NULL = the only store */
    uint32_t level;       /* EMESH_LEVEL_*, TOPIC (0) = the highest the store gives */
    uint32_t partitions;
    uint32_t foreign_dead_letter; /* 0 = deliver */
    uint64_t retention_ms;
    uint64_t retention_bytes;
    uint64_t max_event;
    const char *origin;   /* of the section, or "default" */
    const char *level_origin;
} emesh_topic_rule;

typedef struct emesh_group_rule {
    emesh_start start;
    uint32_t ordered;
    uint32_t attempts;
    uint64_t retry_wait_ns, retry_wait_max_ns, ack_timeout_ns, forget_after_ns;
    uint32_t dead_letter; /* 0 = off */
    const char *dead_letter_store;
    const char *origin;
} emesh_group_rule;

/* An exact name wins, then the longest literal text; "*" never matches %… or emesh-…. Values not
 * set in the winning section are defaults. Ties were refused by emesh_conf_load(). */
void emesh_conf_topic(const emesh_conf *conf, const char *name, size_t len, emesh_topic_rule *out);
void emesh_conf_group(const emesh_conf *conf, const char *name, size_t len, emesh_group_rule *out);
/* Keys INSTANCE.KEY of the winning section as typed values of the store's topic_options (group:
 * group_options). NULL: error. Given. */
emesh_config *emesh_conf_topic_options(const emesh_conf *conf, const char *name, size_t len,
                                       const char *instance, const emesh_option *options,
                                       uint32_t n, uint32_t option_size, GError **error);
emesh_config *emesh_conf_group_options(const emesh_conf *conf, const char *name, size_t len,
                                       const char *instance, const emesh_option *options,
                                       uint32_t n, uint32_t option_size, GError **error);
/* Are all INSTANCE.KEY of this store's instance what it declared? For start, reload and check. */
bool emesh_conf_check_store(const emesh_conf *conf, const char *instance,
                            const emesh_option *topic_options, uint32_t n_topic_options,
                            const emesh_option *group_options, uint32_t n_group_options,
                            uint32_t option_size, GError **error);
/* The option tables of [instance], [topic …] and [group …], for man page and completion. */
const emesh_option *emesh_instance_option_table(uint32_t *n);
const emesh_option *emesh_topic_option_table(uint32_t *n);
const emesh_option *emesh_group_option_table(uint32_t *n);
/* Every [topic …]/[group …] section of the conf, for checks at start ("unknown store X"). */
typedef void (*emesh_conf_rule_visit)(void *ctx, bool is_group, const char *pattern,
                                      const emesh_topic_rule *topic, const emesh_group_rule *group);
void emesh_conf_each_rule(const emesh_conf *conf, emesh_conf_rule_visit visit, void *ctx);
/* May this be a topic or group name? 1-249 bytes of 0x21-0x7E without *?[]. */
bool emesh_name_ok(const char *name, size_t len);
/* Pattern match with * and ?; %… and emesh-… only when the pattern spells that beginning out. */
bool emesh_pattern_match(const char *pattern, const char *name, size_t len);

/* ---- daemon.c: [daemon] ---- */
typedef struct emesh_daemon_options {
    uint32_t workers;          /* 0 = cores */
    uint32_t log_level;        /* EMESH_LOG_* */
    uint64_t journal_size;     /* of the decision journal, 256 MiB */
    uint32_t journal_sample;   /* one of so many events is told at every stage, 1024; 0 = none */
    uint64_t no_progress_ns;   /* until it is a finding, 60 s; 0 = never */
    uint32_t publisher_events; /* un-acked publishes of one session, 256 */
    uint64_t publisher_bytes;  /* 1 MiB */
    uint64_t append_queue;     /* bytes, whole daemon, 64 MiB */
    uint64_t session_memory;   /* bytes, buffers of all connections, 512 MiB */
    uint32_t window_events;    /* of one partition, 4096 */
    uint64_t window_bytes;     /* 16 MiB */
    uint64_t total_window_events; /* of the whole daemon, 1000000 */
    uint64_t total_window_bytes;  /* 256 MiB */
    uint32_t credit_events;    /* of one session, most, 1024 */
    uint64_t credit_bytes;     /* 4 MiB */
    uint32_t turn_events;      /* of one subscription in one wake-up, 64 */
    uint64_t turn_bytes;       /* 64 KiB */
    uint64_t turn_ns;          /* 200 us */
    uint64_t drain_timeout_ns; /* at a stop, for acknowledgements; 30 s */
    uint64_t request_wait_ns;  /* of one that names no ttl, 3 s */
    uint64_t request_wait_most_ns; /* 10 min */
    uint32_t requests;         /* that wait for replies, 65,536 */
    uint32_t session_requests; /* of one session, 1024 */
} emesh_daemon_options;
/* The option table of [daemon], for check, dump and the man page. */
const emesh_option *emesh_daemon_option_table(uint32_t *n);
bool emesh_daemon_options_read(const emesh_conf *conf, emesh_daemon_options *out, GError **error);

/* ---- admin.c: what [daemon] says of the HTTP administration ---- */
/* The admin-… values of [daemon], defaults too, and socket, as typed values of the component that
 * declares them under the same names. NULL: error. Given. */
emesh_config *emesh_conf_admin_options(const emesh_conf *conf, const char *socket,
                                       const emesh_option *options, uint32_t n,
                                       const emesh_option_group *groups, uint32_t n_groups,
                                       GError **error);

/* ---- dump.c: --dump-config ---- */
typedef struct emesh_conf_dump_view { /* what only the plugins know */
    /* Typed options of an instance, borrowed; NULL: its component is not loaded. */
    const emesh_config *(*options)(void *ctx, const emesh_conf_instance *instance);
    /* What a store declares for [topic …] or [group …]; NULL: nothing, no store, not loaded. */
    const emesh_option *(*store)(void *ctx, const emesh_conf_instance *instance, bool groups,
                                 uint32_t *n, uint32_t *option_size);
    void *ctx;
} emesh_conf_dump_view;
/* The effective configuration as text, "key = value  # origin", secrets as "***". Given. */
char *emesh_conf_dump(const emesh_conf *conf, const emesh_conf_dump_view *view);
