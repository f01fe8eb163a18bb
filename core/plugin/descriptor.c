/* SPDX-License-Identifier: Apache-2.0
 *
 * The checks of descriptor, components, options and tables, in the order in which one may be
 * touched only after another was found sane. First done in the probe child, where a wild pointer
 * kills nobody, then again in the daemon. Pure, [any].
 */
#include "plugin/descriptor.h"

#include <stdarg.h>
#include <string.h>

#include "config/config.h"
#include "plugin/loader.h"

#define SIZE_MOST 65536u /* of any struct or table */
#define COMPONENTS_MOST 64u
#define ENTRIES_MOST 1024u /* options, groups, needs */
#define TEXT_MOST 256u

/* Size of the first version of a struct, whatever was appended since. */
#define FIRST(type, last) ((uint32_t)(offsetof(type, last) + sizeof(((type *)0)->last)))

typedef struct check {
    const char *path;
    const emesh_plugin *plugin;
    const emesh_component *component; /* NULL outside one */
    const emesh_elf *elf;
    GError **error;
} check;

static bool refuse(const check *in, emesh_refusal code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static bool
refuse(const check *in, emesh_refusal code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *why = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(in->error, EMESH_REFUSED, (int)code,
                "E%02d %s: %s%s%s (plugin ABI %u.%u, host %u.%u)", (int)code, in->path,
                in->component != NULL ? in->component->name : "",
                in->component != NULL ? ": " : "", why, EMESH_ABI_MAJOR, in->elf->minor,
                EMESH_ABI_MAJOR, EMESH_ABI_MINOR);
    return false;
}

static bool
size_ok(const check *in, const char *what, uint32_t size, uint32_t least)
{
    if (size >= least && size <= SIZE_MOST)
        return true;
    return refuse(in, EMESH_REFUSED_SIZE,
                  "%s says it has %u bytes, at least %u and at most %u are possible: rebuild it",
                  what, size, least, SIZE_MOST);
}

static bool
text_ok(const check *in, const char *what, const char *text)
{
    size_t len = text != NULL ? strnlen(text, TEXT_MOST + 1) : 0;

    if (len == 0 || len > TEXT_MOST)
        return refuse(in, EMESH_REFUSED_TEXT, "%s is %s: give it a text", what,
                      len == 0 ? "missing" : "too long");
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return refuse(in, EMESH_REFUSED_TEXT, "%s holds a control character", what);
    if (!g_utf8_validate(text, (gssize)len, NULL))
        return refuse(in, EMESH_REFUSED_TEXT, "%s is not UTF-8", what);
    return true;
}

static bool
name_ok(const check *in, const char *what, const char *name)
{
    if (!text_ok(in, what, name))
        return false;
    if (strlen(name) > 64 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name))
        return refuse(in, EMESH_REFUSED_TEXT, "%s is \"%s\": use a-z, 0-9 and -, at most 64", what,
                      name);
    return true;
}

/* ---- tables ---- */

typedef struct table_op {
    const char *name;
    uint32_t offset;
    uint64_t claim; /* mandatory with any of these claims; 0 = always */
} table_op;
#define OP(type, member, claim) { #member, (uint32_t)offsetof(type, member), claim }

static bool
ops_ok(const check *in, const char *what, const void *table, const table_op *ops, size_t n)
{
    uint64_t claims = in->component->claims;

    for (size_t i = 0; i < n; i++) {
        void *op;
        memcpy(&op, (const char *)table + ops[i].offset, sizeof op);
        if (op != NULL || (ops[i].claim != 0 && (claims & ops[i].claim) == 0))
            continue;
        return refuse(in, EMESH_REFUSED_OP_MISSING, "%s lacks %s, which is mandatory%s", what,
                      ops[i].name, ops[i].claim != 0 ? " with what the component claims" : "");
    }
    return true;
}

static bool
life_ok(const check *in)
{
    static const table_op ops[] = { OP(emesh_life_ops, create, 0), OP(emesh_life_ops, destroy, 0) };
    const emesh_life_ops *life = in->component->life;

    if (life == NULL)
        return refuse(in, EMESH_REFUSED_OP_MISSING, "it has no life table");
    return size_ok(in, "the life table", life->size, FIRST(emesh_life_ops, destroy)) &&
           ops_ok(in, "the life table", life, ops, G_N_ELEMENTS(ops));
}

static bool
options_ok(const check *in, const char *what, const emesh_option *options, uint32_t n)
{
    uint32_t stride = in->component->option_size;
    g_autoptr(GError) why = NULL;

    if (n == 0)
        return true;
    if (n > ENTRIES_MOST || options == NULL)
        return refuse(in, EMESH_REFUSED_OPTIONS, "%s: %u of them%s", what, n,
                      options == NULL ? " at no address" : ", at most 1024 are possible");
    if (!size_ok(in, "an option", stride, FIRST(emesh_option, since)))
        return false;
    return emesh_options_check(options, n, stride, &why) ||
           refuse(in, EMESH_REFUSED_OPTIONS, "%s: %s", what, why->message);
}

static bool
storage_ok(const check *in)
{
    static const table_op ops[] = {
        OP(emesh_storage_ops, topic_open, 0),
        OP(emesh_storage_ops, topic_close, 0),
        OP(emesh_storage_ops, append, 0),
        OP(emesh_storage_ops, open, 0),
        OP(emesh_storage_ops, begin, 0),
        OP(emesh_storage_ops, want, 0),
        OP(emesh_storage_ops, close, 0),
        OP(emesh_storage_ops, release, EMESH_STORE_CAN_GROUPS),
        OP(emesh_storage_ops, commit, EMESH_STORE_CAN_GROUPS),
        OP(emesh_storage_ops, admin, EMESH_STORE_CAN_GROUPS),
        OP(emesh_storage_ops, idle, EMESH_STORE_CAN_WATCH),
    };
    const emesh_storage_ops *table = in->component->ops;

    return size_ok(in, "the storage table", table->size, FIRST(emesh_storage_ops, close)) &&
           ops_ok(in, "the storage table", table, ops, G_N_ELEMENTS(ops)) &&
           options_ok(in, "topic options", table->topic_options, table->n_topic_options) &&
           options_ok(in, "group options", table->group_options, table->n_group_options);
}

static bool
listens(const emesh_component *component)
{
    for (uint32_t i = 0; i < component->n_groups; i++)
        if (strcmp(component->groups[i].id, "emesh.listen/1") == 0)
            return true;
    return false;
}

static bool
protocol_ok(const check *in)
{
    static const table_op ops[] = {
        OP(emesh_client_ops, opened, 0),
        OP(emesh_client_ops, published, 0),
        OP(emesh_client_ops, room, 0),
        OP(emesh_client_ops, ask, 0),
        OP(emesh_client_ops, subscribed, EMESH_PROTOCOL_CAN_SUBSCRIBE),
        OP(emesh_client_ops, deliver, EMESH_PROTOCOL_CAN_SUBSCRIBE),
        OP(emesh_client_ops, adopt, EMESH_PROTOCOL_CAN_PUSH_HTTP),
    };
    const emesh_protocol_ops *table = in->component->ops;

    if (!size_ok(in, "the protocol table", table->size, FIRST(emesh_protocol_ops, accept)))
        return false;
    if (table->client == NULL)
        return refuse(in, EMESH_REFUSED_OP_MISSING, "the protocol table has no client table");
    if (table->accept == NULL && listens(in->component) &&
        in->component->lanes != EMESH_LANES_GLIB)
        return refuse(in, EMESH_REFUSED_OP_MISSING,
                      "the protocol table lacks accept, which is mandatory with listeners on the "
                      "host's lanes");
    return size_ok(in, "the client table", table->client->size, FIRST(emesh_client_ops, adopt)) &&
           ops_ok(in, "the client table", table->client, ops, G_N_ELEMENTS(ops));
}

typedef struct kind {
    const char *id;
    bool (*check)(const check *in);
} kind;

static const kind kinds[] = { { EMESH_STORAGE_KIND, storage_ok },
                              { EMESH_PROTOCOL_KIND, protocol_ok } };

static const kind *
find_kind(const char *id)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (strcmp(kinds[i].id, id) == 0)
            return &kinds[i];
    return NULL;
}

bool
emesh_kind_known(const char *id)
{
    return find_kind(id) != NULL;
}

/* ---- component ---- */

static bool
groups_ok(const check *in)
{
    const emesh_component *component = in->component;
    uint32_t listeners = 0;

    if (component->n_groups > ENTRIES_MOST ||
        (component->n_groups > 0 && component->groups == NULL))
        return refuse(in, EMESH_REFUSED_GROUP, "%u option groups are impossible",
                      component->n_groups);
    for (uint32_t i = 0; i < component->n_groups; i++) {
        const emesh_option_group *group = &component->groups[i];
        if (group->id == NULL || group->prefix == NULL ||
            (strcmp(group->id, "emesh.listen/1") != 0 && strcmp(group->id, "emesh.dial/1") != 0))
            return refuse(in, EMESH_REFUSED_GROUP,
                          "option group \"%s\" is unknown here, this host has emesh.listen/1 and "
                          "emesh.dial/1: use a newer host",
                          group->id != NULL ? group->id : "(null)");
        listeners += group->id[6] == 'l';
    }
    if (listeners > 1)
        return refuse(in, EMESH_REFUSED_GROUP,
                      "it mixes in emesh.listen/1 %u times, this host can do it once", listeners);
    return true;
}

static bool
needs_ok(const check *in)
{
    const emesh_component *component = in->component;

    if (component->n_needs > ENTRIES_MOST || (component->n_needs > 0 && component->needs == NULL))
        return refuse(in, EMESH_REFUSED_NEED, "%u needs are impossible", component->n_needs);
    for (uint32_t i = 0; i < component->n_needs; i++)
        if (component->needs[i].id == NULL || component->needs[i].min_size > SIZE_MOST)
            return refuse(in, EMESH_REFUSED_NEED, "need %u has no id or an impossible size", i);
    return true;
}

static bool
lanes_ok(const check *in)
{
    uint32_t lanes = in->component->lanes;

    if (lanes > EMESH_LANES_GLIB)
        return refuse(in, EMESH_REFUSED_LANES, "lanes %u are unknown here: use a newer host",
                      lanes);
    if (lanes == EMESH_LANES_GLIB && !in->elf->links_glib)
        return refuse(in, EMESH_REFUSED_LANES,
                      "it wants GLib lanes and does not link the system's libglib-2.0: two copies "
                      "of GLib in one process do not get along");
    return true;
}

static bool
must_ok(const check *in)
{
    uint64_t must = in->component->must;

    if ((must & ~(uint64_t)EMESH_MUST_ISOLATE) != 0)
        return refuse(in, EMESH_REFUSED_MUST,
                      "it needs something this host does not know (must bits 0x%" G_GINT64_MODIFIER
                      "x): use a newer host",
                      must);
    if ((must & EMESH_MUST_ISOLATE) != 0)
        return refuse(in, EMESH_REFUSED_ISOLATE,
                      "it brings a language runtime of its own and must run in another process, "
                      "which this host cannot give yet");
    return true;
}

static bool
component_ok(check *in, const emesh_component *component)
{
    in->component = NULL; /* its name is not to be trusted yet */
    if (component == NULL)
        return refuse(in, EMESH_REFUSED_SIZE, "a component is missing");
    if (!size_ok(in, "a component", component->size, FIRST(emesh_component, lanes)) ||
        !name_ok(in, "a component's name", component->name) ||
        !text_ok(in, "a component's kind", component->kind))
        return false;
    const kind *known = find_kind(component->kind);
    if (known == NULL)
        return true; /* skipped: of a kind this host lacks nothing is known */
    in->component = component;
    if (!must_ok(in) || !text_ok(in, "summary", component->summary) || !lanes_ok(in) ||
        !groups_ok(in) || !needs_ok(in) || !life_ok(in) ||
        !options_ok(in, "options", component->options, component->n_options))
        return false;
    if (component->ops == NULL)
        return refuse(in, EMESH_REFUSED_OP_MISSING, "it has no table of its kind");
    return known->check(in);
}

static bool
names_differ(check *in)
{
    const emesh_plugin *plugin = in->plugin;

    for (uint32_t i = 0; i < plugin->n_components; i++)
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(plugin->components[i]->name, plugin->components[j]->name) == 0)
                return refuse(in, EMESH_REFUSED_NAME, "two components are called %s",
                              plugin->components[i]->name);
    return true;
}

/* ---- plugin ---- */

static bool
layout_ok(const check *in)
{
    const emesh_layout *layout = in->plugin->layout;
    static const struct {
        const char *name;
        uint32_t offset, least;
    } elements[] = {
#define ELEMENT(member, last) \
    { #member, offsetof(emesh_layout, member), FIRST(emesh_##member, last) }
        ELEMENT(publish, level),   ELEMENT(published, level), ELEMENT(delivery, flags),
        ELEMENT(settle, delay_ms), ELEMENT(append, zero),     ELEMENT(appended, zero),
        ELEMENT(record, flags),    ELEMENT(commit, zero),     ELEMENT(row, bytes),
        ELEMENT(pair, value),
    };

    if (layout == NULL)
        return refuse(in, EMESH_REFUSED_SIZE, "it has no layout: write EMESH_LAYOUT");
    if (!size_ok(in, "the layout", layout->size, FIRST(emesh_layout, pair)))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(elements); i++) {
        uint32_t size;
        memcpy(&size, (const char *)layout + elements[i].offset, sizeof size);
        if (size < elements[i].least || size > SIZE_MOST || size % _Alignof(emesh_record) != 0)
            return refuse(in, EMESH_REFUSED_SIZE,
                          "its layout gives %u bytes to an emesh_%s, at least %u and a multiple "
                          "of %zu are possible: rebuild it",
                          size, elements[i].name, elements[i].least, _Alignof(emesh_record));
    }
    return true;
}

/* 1.2.3, or that with a tail: -rc.1, +build. By hand, because the first regular expression of a
 * process brings 400 KiB of libpcre2 into memory. */
static bool
is_version(const char *at)
{
    for (int part = 0; part < 3; part++) {
        size_t digits = strspn(at, "0123456789");
        if (digits == 0 || (part < 2 && at[digits] != '.'))
            return false;
        at += digits + (part < 2);
    }
    if (*at == '\0')
        return true;
    return (*at == '-' || *at == '+') && at[1] != '\0' &&
           at[1 + strspn(at + 1, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS ".+-")] == '\0';
}

static bool
version_ok(const check *in)
{
    const char *version = in->plugin->version;

    if (!text_ok(in, "version", version))
        return false;
    if (!is_version(version))
        return refuse(in, EMESH_REFUSED_TEXT, "version is \"%s\": use MAJOR.MINOR.PATCH", version);
    return true;
}

static bool
numbers_ok(const check *in)
{
    const emesh_plugin *plugin = in->plugin;

    if (plugin->abi_min > EMESH_ABI_MINOR)
        return refuse(in, EMESH_REFUSED_MINOR, "works from %u.%u on: update the host",
                      EMESH_ABI_MAJOR, plugin->abi_min);
    if (plugin->abi_minor != in->elf->minor || plugin->abi_min != in->elf->oldest)
        return refuse(in, EMESH_REFUSED_MINOR,
                      "descriptor and note disagree about the ABI (%u from %u on, %u from %u on): "
                      "rebuild it",
                      plugin->abi_minor, plugin->abi_min, in->elf->minor, in->elf->oldest);
    return true;
}

bool
emesh_descriptor_check(const emesh_plugin *plugin, const char *path, const emesh_elf *elf,
                       GError **error)
{
    check in = { .path = path, .plugin = plugin, .elf = elf, .error = error };
    uint32_t known = 0;

    if (plugin == NULL)
        return refuse(&in, EMESH_REFUSED_NO_ENTRY, "its entry returned no descriptor");
    if (!size_ok(&in, "the descriptor", plugin->size, FIRST(emesh_plugin, layout)) ||
        !numbers_ok(&in) || !text_ok(&in, "id", plugin->id) || !version_ok(&in) ||
        !text_ok(&in, "licence", plugin->licence) || !text_ok(&in, "vendor", plugin->vendor) ||
        !text_ok(&in, "summary", plugin->summary) || !layout_ok(&in))
        return false;
    if (plugin->n_components == 0 || plugin->n_components > COMPONENTS_MOST ||
        plugin->components == NULL)
        return refuse(&in, EMESH_REFUSED_SIZE, "%u components are impossible",
                      plugin->n_components);
    for (uint32_t i = 0; i < plugin->n_components; i++) {
        if (!component_ok(&in, plugin->components[i]))
            return false;
        known += emesh_kind_known(plugin->components[i]->kind);
    }
    in.component = NULL;
    if (!names_differ(&in))
        return false;
    if (known == 0)
        return refuse(&in, EMESH_REFUSED_KIND, "none of its components is of a kind this host has");
    return true;
}
