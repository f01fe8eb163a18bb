/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding the dead letters of a group, telling two of the same apart from two that are alike, and
 * taking the event out again. See letters.h.
 */
#include "delivery/letters.h"
#include "bus/own-topic.h"
#include "delivery/groups.h"
#include "delivery/sub.h"
#include "event/event.h"

#include <string.h>

#define SEEN_MOST 65536u

static const char *const own_attrs[] = { "dlgroup",    "dltopic", "dlposition", "dlattempts",
                                         "dlcause",    "dlerror", "dltime" };

char *
emesh_letter_text(const emesh_event *letter, const char *name)
{
    const emesh_attr *attr = emesh_event_attr(letter, name, strlen(name));

    return attr != NULL ? g_strndup(attr->value, attr->value_len) : NULL;
}

GHashTable *
emesh_letters_seen_new(void)
{
    return g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
}

bool
emesh_letters_first(GHashTable *seen, const emesh_event *letter)
{
    static const char *const parts[] = { "dlgroup", "dltopic", "dlposition", "source", "id" };
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_MD5);
    guint8 digest[16];
    gsize len = sizeof digest;

    if (emesh_event_attr(letter, "dlposition", 10) == NULL)
        return true; /* it does not say where it is from */
    for (uint32_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        const emesh_attr *attr = emesh_event_attr(letter, parts[i], strlen(parts[i]));
        if (attr != NULL)
            g_checksum_update(sum, (const guchar *)attr->value, (gssize)attr->value_len);
        g_checksum_update(sum, (const guchar *)"", 1);
    }
    g_checksum_get_digest(sum, digest, &len);
    if (g_hash_table_size(seen) >= SEEN_MOST) /* what is twice lies near each other */
        g_hash_table_remove_all(seen);
    return g_hash_table_add(seen, g_bytes_new(digest, len));
}

static bool
is_own(const emesh_attr *attr)
{
    for (uint32_t i = 0; i < G_N_ELEMENTS(own_attrs); i++)
        if (attr->name_len == strlen(own_attrs[i]) &&
            memcmp(attr->name, own_attrs[i], attr->name_len) == 0)
            return true;
    return false;
}

const emesh_event *
emesh_letter_open(const emesh_event *letter)
{
    emesh_event_view spec = *emesh_event_peek(letter);
    g_autofree emesh_attr *attrs = g_new(emesh_attr, MAX(1u, spec.n_attrs));
    const emesh_event *event = NULL;
    uint32_t n = 0;

    for (uint32_t i = 0; i < spec.n_attrs; i++)
        if (!is_own(&spec.attrs[i]))
            attrs[n++] = spec.attrs[i];
    spec.size = sizeof spec;
    spec.attrs = attrs;
    spec.n_attrs = n;
    return emesh_event_build(&spec, NULL, &event, NULL) == EMESH_OK ? event : NULL;
}

/* ---- where they are ---- */

typedef struct finding {
    emesh_bus *bus;
    char *group;
    uint32_t next; /* store to look into */
    emesh_letters found;
    void (*done)(void *ctx, const emesh_letters *found);
    void *ctx;
} finding;

static void
finding_end(finding *f)
{
    f->done(f->ctx, &f->found);
    g_hash_table_unref(f->found.lasts);
    g_free(f->found.topic);
    g_free(f->group);
    g_free(f);
}

static void
places_listed(void *ctx, GArray *rows)
{
    finding *f = ctx;
    uint64_t left = 0;

    for (uint32_t i = 0; i < rows->len; i++) {
        const emesh_listed *listed = &g_array_index(rows, emesh_listed, i);
        f->found.placed = true;
        left = listed->count == UINT64_MAX || left == UINT64_MAX ? UINT64_MAX
                                                                : left + listed->count;
    }
    f->found.left = f->found.placed ? left : f->found.kept;
    finding_end(f);
}

static void look(finding *f);

static void
parts_listed(void *ctx, GArray *rows)
{
    finding *f = ctx;
    emesh_store *store = f->bus->stores->pdata[f->next - 1];
    emesh_bus_topic *open = g_hash_table_lookup(f->bus->topics, f->found.topic);

    for (uint32_t i = 0; i < rows->len; i++) {
        const emesh_listed *listed = &g_array_index(rows, emesh_listed, i);
        f->found.store = listed->store;
        f->found.kept += listed->count != UINT64_MAX ? listed->count : 0;
        g_hash_table_insert(f->found.lasts, g_strdup(listed->partition),
                            g_memdup2(&listed->last, sizeof listed->last));
    }
    if (f->found.store == NULL && open != NULL && open->store == store) {
        f->found.store = store; /* one that does not list has it open */
        f->found.kept = UINT64_MAX;
    }
    if (f->found.store == NULL)
        look(f);
    else
        emesh_groups_list(f->bus, &(emesh_groups_query){ .topic = f->found.topic,
                                                         .group = EMESH_LETTERS_GROUP },
                          places_listed, f);
}

/* One store after the other: each has a name of its own for the topic. */
static void
look(finding *f)
{
    emesh_admin ask = { .size = sizeof ask, .what = EMESH_LIST_PARTITIONS };
    emesh_store *store;

    if (f->next == f->bus->stores->len) {
        finding_end(f);
        return;
    }
    store = f->bus->stores->pdata[f->next++];
    g_free(f->found.topic);
    f->found.topic = emesh_letter_topic(store, f->group);
    ask.topic = (emesh_slice){ f->found.topic, strlen(f->found.topic) };
    emesh_list_ask(f->bus, store, &ask, parts_listed, f);
}

void
emesh_letters_find(emesh_bus *bus, const char *group,
                   void (*done)(void *ctx, const emesh_letters *found), void *ctx)
{
    finding *f = g_new0(finding, 1);

    f->bus = bus;
    f->group = g_strdup(group);
    f->found.lasts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    f->done = done;
    f->ctx = ctx;
    look(f);
}

char *
emesh_letters_group(const char *topic)
{
    static const char plain[] = "%DLQ%", strict[] = "emesh-dlq-";
    GString *group;

    if (!g_str_has_prefix(topic, strict))
        return g_strdup(g_str_has_prefix(topic, plain) ? topic + sizeof plain - 1 : topic);
    group = g_string_new(NULL);
    for (const char *p = topic + sizeof strict - 1; *p != '\0'; p++) {
        bool escaped = *p == '_' && g_ascii_isxdigit(p[1]) && g_ascii_isxdigit(p[2]);
        g_string_append_c(group, escaped ? (char)(g_ascii_xdigit_value(p[1]) << 4 |
                                                  g_ascii_xdigit_value(p[2]))
                                         : *p);
        p += escaped ? 2 : 0;
    }
    return g_string_free(group, FALSE);
}
