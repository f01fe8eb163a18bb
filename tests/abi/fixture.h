/* SPDX-License-Identifier: Apache-2.0
 *
 * A store that does nothing, in pieces, so that a fixture says only what is special about it: its
 * members come after the defaults and override them. FIXTURE_NAME is the file's name, from meson.
 */
#include "eventmesh/eventmesh.h"

static int fixture_self;

static inline int32_t
fixture_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out,
               emesh_error *err)
{
    (void)host, (void)cfg, (void)err;
    *out = (emesh_instance *)&fixture_self;
    return EMESH_OK;
}

static inline void
fixture_destroy(emesh_instance *self)
{
    (void)self;
}

static inline void
fixture_topic_open(emesh_instance *self, const emesh_topic_spec *spec, emesh_op *op)
{
    (void)self, (void)spec, (void)op;
}

static inline void
fixture_topic_close(emesh_instance *self, emesh_topic *topic)
{
    (void)self, (void)topic;
}

static inline void
fixture_append(emesh_lane *lane, const emesh_append *items, uint32_t n)
{
    (void)lane, (void)items, (void)n;
}

static inline emesh_cursor *
fixture_open(emesh_lane *lane, const emesh_read_spec *spec, emesh_reader *reader)
{
    (void)lane, (void)spec, (void)reader;
    return NULL;
}

static inline void
fixture_begin(emesh_cursor *cursor, uint32_t partition, uint32_t epoch, const emesh_start *start)
{
    (void)cursor, (void)partition, (void)epoch, (void)start;
}

static inline void
fixture_want(emesh_cursor *cursor, uint32_t records, uint64_t bytes)
{
    (void)cursor, (void)records, (void)bytes;
}

static inline void
fixture_close(emesh_cursor *cursor, emesh_op *op)
{
    (void)cursor, (void)op;
}

#define FIXTURE_LIFE(id, ...)                                                                 \
    static const emesh_life_ops id = { .size = sizeof id, .create = fixture_create,           \
                                       .destroy = fixture_destroy, __VA_ARGS__ }
#define FIXTURE_STORAGE(id, ...)                                                              \
    static const emesh_storage_ops id = {                                                     \
        .size = sizeof id,       .topic_open = fixture_topic_open, .topic_close = fixture_topic_close, \
        .append = fixture_append, .open = fixture_open,            .begin = fixture_begin,    \
        .want = fixture_want,    .close = fixture_close,           __VA_ARGS__                \
    }
#define FIXTURE_COMPONENT(id, ...)                                                            \
    static const emesh_component id = { .size = sizeof id,                                    \
                                        .option_size = sizeof(emesh_option),                  \
                                        .kind = EMESH_STORAGE_KIND,                           \
                                        .name = FIXTURE_NAME,                                 \
                                        .summary = "a fixture",                               \
                                        __VA_ARGS__ }
/* components is a parenthesised list */
#define FIXTURE_LIST(...) __VA_ARGS__
#define FIXTURE_PLUGIN(list, ...)                                                             \
    static const emesh_component *const fixture_components[] = { FIXTURE_LIST list };         \
    static const emesh_layout fixture_layout = EMESH_LAYOUT;                                  \
    static const emesh_plugin fixture_plugin = {                                              \
        .size = sizeof fixture_plugin,                                                        \
        .abi_minor = EMESH_ABI_MINOR,                                                         \
        .n_components = sizeof fixture_components / sizeof fixture_components[0],             \
        .id = "eventmesh." FIXTURE_NAME,                                                      \
        .version = "1.0.0",                                                                   \
        .licence = "Apache-2.0",                                                              \
        .vendor = "EventMesh",                                                                \
        .summary = "a fixture",                                                               \
        .components = fixture_components,                                                     \
        .layout = &fixture_layout,                                                            \
        __VA_ARGS__                                                                           \
    }
#define FIXTURE_ENTRY                                                                         \
    EMESH_ENTRY(uint32_t host_minor)                                                          \
    {                                                                                         \
        (void)host_minor;                                                                     \
        return &fixture_plugin;                                                               \
    }
/* all of it, for a fixture whose fault is in its component or descriptor */
#define FIXTURE_WHOLE(component_extra, plugin_extra)                                          \
    FIXTURE_LIFE(fixture_life, .zero = 0);                                                    \
    FIXTURE_STORAGE(fixture_storage, .zero = 0);                                              \
    FIXTURE_COMPONENT(fixture_component, .life = &fixture_life, .ops = &fixture_storage,      \
                      FIXTURE_LIST component_extra);                                          \
    FIXTURE_PLUGIN((&fixture_component), FIXTURE_LIST plugin_extra);                          \
    EMESH_NOTE(0);                                                                            \
    FIXTURE_ENTRY
#define FIXTURE_PLAIN (.lanes = EMESH_LANES_HOME)
#define FIXTURE_AS_IS (.abi_min = 0)
