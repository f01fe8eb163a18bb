/* SPDX-License-Identifier: Apache-2.0
 *
 * Built against ABI 1.7, as it might be: longer descriptor, component, tables, options and array
 * elements, unknown claims and may bits. It works with 1.0, so it says, and so it must load. What is
 * new in its options stays zero: an option that means more than this host sees would be misread.
 */
#include "eventmesh/eventmesh.h"
#undef EMESH_ABI_MINOR
#define EMESH_ABI_MINOR 7u
#include "../fixture.h"

struct newer_life {
    emesh_life_ops base;
    void (*pause)(emesh_instance *self);
};
struct newer_storage {
    emesh_storage_ops base;
    void (*compact)(emesh_instance *self);
    uint64_t hints;
};
struct newer_component {
    emesh_component base;
    const char *icon;
};
struct newer_plugin {
    emesh_plugin base;
    const char *homepage;
};
struct newer_option {
    emesh_option base;
    const char *unit;
};

static void
unknown(emesh_instance *self)
{
    (void)self;
}

static const struct newer_option options[] = {
    { { .name = "path", .value = "/tmp", .type = EMESH_OPT_PATH, .may = 0x40000000u,
        .help = "a folder", .since = 100 }, NULL },
    { { .name = "window", .value = "7", .type = EMESH_OPT_INT, .min = 1, .max = 9,
        .help = "how many", .since = 107 }, NULL },
};
static const struct newer_life life = {
    { .size = sizeof life, .create = fixture_create, .destroy = fixture_destroy }, unknown
};
static const struct newer_storage ops = {
    { .size = sizeof ops, .topic_open = fixture_topic_open, .topic_close = fixture_topic_close,
      .append = fixture_append, .open = fixture_open, .begin = fixture_begin,
      .want = fixture_want, .close = fixture_close }, unknown, 5
};
static const struct newer_component component = {
    { .size = sizeof component, .option_size = sizeof options[0], .kind = EMESH_STORAGE_KIND,
      .name = FIXTURE_NAME, .summary = "a fixture", .claims = UINT64_C(1) << 50, .life = &life.base,
      .ops = &ops, .options = &options[0].base, .n_options = 2 }, "icon.png"
};
static const emesh_component *const components[] = { &component.base };
static const emesh_layout layout = { sizeof(emesh_layout), sizeof(emesh_publish) + 8,
                                     sizeof(emesh_published) + 8, sizeof(emesh_delivery) + 8,
                                     sizeof(emesh_settle) + 8, sizeof(emesh_append) + 8,
                                     sizeof(emesh_appended) + 8, sizeof(emesh_record) + 8,
                                     sizeof(emesh_commit) + 8, sizeof(emesh_row) + 8,
                                     sizeof(emesh_pair) + 8 };
static const struct newer_plugin plugin = {
    { .size = sizeof plugin, .abi_minor = EMESH_ABI_MINOR, .n_components = 1,
      .id = "eventmesh.newer", .version = "1.7.0-rc.1", .licence = "Apache-2.0",
      .vendor = "EventMesh", .summary = "a fixture", .components = components,
      .layout = &layout }, "https://eventmesh.apache.org"
};
EMESH_NOTE(0);

EMESH_ENTRY(uint32_t host_minor)
{
    (void)host_minor;
    return &plugin.base;
}
