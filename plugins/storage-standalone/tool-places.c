/* SPDX-License-Identifier: Apache-2.0
 *
 * Where groups stand in a folder that nobody uses: the rows of the checkpoint, and what COMMIT
 * records behind it say, as a start would replay them.
 */
#include "le.h"
#include "tool.h"

static void
place_free(gpointer data)
{
    tool_place *place = data;
    sa_pair_clear(&place->pair);
    g_free(place);
}

GHashTable *
tool_places_new(void)
{
    return g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, place_free);
}

static tool_place *
need(GHashTable *places, const sa_commit_entry *e)
{
    uint64_t key = (uint64_t)e->group << 32 | e->partition;
    tool_place *place = g_hash_table_lookup(places, &key);
    if (place == NULL) {
        place = g_new0(tool_place, 1);
        sa_pair_init(&place->pair);
        place->key = key;
        place->group = e->group;
        place->partition = e->partition;
        place->pair.floor = e->floor;
        place->pair.epoch = e->epoch;
        g_hash_table_insert(places, &place->key, place);
    }
    return place;
}

bool
tool_places_row(GHashTable *places, const MDB_val *key, const MDB_val *value)
{
    sa_commit_entry entry;
    ssize_t len = sa_row_check(key, value);
    const uint8_t *v = value->mv_data;
    if (len < 8 || !sa_commit_read(v + 8, (size_t)len - 8, &entry))
        return false;
    tool_place *place = need(places, &entry);
    sa_commit_take(&place->pair, &entry);
    place->pair.lsn = sa_get64(v);
    return true;
}

static void
replay(GHashTable *places, uint64_t lsn, const sa_commit_entry *e)
{
    uint64_t key = (uint64_t)e->group << 32 | e->partition;
    tool_place *place = g_hash_table_lookup(places, &key);
    if (place != NULL && (place->pair.lsn > lsn || e->epoch < place->pair.epoch))
        return;
    if (e->op == SA_OP_DELETE) {
        g_hash_table_remove(places, &key);
        return;
    }
    place = need(places, e);
    sa_commit_take(&place->pair, e);
    place->pair.lsn = lsn + 1;
}

static bool
each(void *ctx, const sa_found *found)
{
    tool *t = ctx;
    const uint8_t *body = found->body;
    size_t n = found->head.body;
    sa_commit_entry e;
    if (!found->whole || found->head.type != SA_COMMIT
        || found->head.lsn < t->index.meta.applied)
        return true;
    for (; n > 0 && sa_commit_read(body, n, &e); body += e.size, n -= e.size)
        replay(t->index.places, found->head.lsn, &e);
    return true;
}

int
tool_places_replay(tool *t)
{
    int rc = 0;
    sa_scan scan;
    if (!t->index.have_meta || t->index.meta.clean != 0)
        return 0;
    for (guint i = 0; i < t->files->len && rc == 0; i++) {
        tool_file *f = t->files->pdata[i];
        if (!f->unused && f->end > t->index.meta.applied)
            rc = tool_scan(t, f, &scan, each, t);
    }
    return rc;
}

static gint
by_key(gconstpointer a, gconstpointer b)
{
    const tool_place *x = *(tool_place *const *)a, *y = *(tool_place *const *)b;
    return x->key < y->key ? -1 : x->key > y->key;
}

GPtrArray *
tool_places_list(const tool *t)
{
    GPtrArray *list = g_ptr_array_new();
    GHashTableIter iter;
    gpointer place;
    if (t->index.places == NULL)
        return list;
    g_hash_table_iter_init(&iter, t->index.places);
    while (g_hash_table_iter_next(&iter, NULL, &place))
        g_ptr_array_add(list, place);
    g_ptr_array_sort(list, by_key);
    return list;
}
