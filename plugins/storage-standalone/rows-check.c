/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks over LMDB's file before LMDB does: its pages carry no check sum, and a bad one would end the
 * process. Walks every tree from the newest meta page: page numbers, bounds, order of keys, counts,
 * and the CRC of every value. What it says no to is set aside and made anew from the log.
 *
 * The layout is that of LMDB 0.9 on 64-bit little-endian machines with the page size it was made
 * with; elsewhere nothing is judged.
 */
#include "crc32c.h"
#include "rows.h"
#include "store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_HEAD 16u
#define META_MAGIC 0xbeefc0deu
#define META_VERSION 1u
#define META_SIZE (PAGE_HEAD + 136u)
#define MAP_MAX (1ull << 44)
#define P_BRANCH 0x01u
#define P_LEAF 0x02u
#define P_OVERFLOW 0x04u
#define P_META 0x08u
#define F_BIGDATA 0x01u
#define F_SUBDATA 0x02u
#define F_DUPDATA 0x04u
#define NODE_HEAD 8u
#define DB_SIZE 48u
#define KEY_MAX 512u
#define DEPTH_MAX 32u
#define NO_PAGE UINT64_MAX

enum tree_kind { TREE_MAIN, TREE_FREE, TREE_ROWS };

typedef bool (*each_row)(void *ctx, const char *table, uint32_t len, const MDB_val *key,
                         const MDB_val *value);

typedef struct file { /* one look at the file */
    int fd;
    each_row each; /* judges the rows; NULL: their check sums must be right */
    void *ctx;
    uint32_t page_size;
    uint64_t n_pages;
    uint8_t *seen; /* one bit a page */
} file;

typedef struct tree { /* one tree being walked */
    file *f;
    enum tree_kind kind;
    const uint8_t *name; /* of the table */
    uint32_t name_len;
    uint8_t last[KEY_MAX], bound[KEY_MAX]; /* key before; least key of what comes */
    uint32_t last_len, bound_len;
    uint64_t entries, branches, leaves, overflows;
} tree;

typedef struct node {
    uint32_t flags, key_len, size;
    const uint8_t *key, *data;
    uint64_t child;
} node;

static bool tree_ok(file *f, enum tree_kind kind, const node *name, const uint8_t *db);

static bool
take_pages(file *f, uint64_t number, uint64_t n)
{
    if (n > f->n_pages)
        return false;
    for (uint64_t i = number; i < number + n; i++) {
        if (i < 2 || i >= f->n_pages || (f->seen[i / 8] & (1u << (i % 8))) != 0)
            return false;
        f->seen[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    return true;
}

static bool
read_at(const file *f, void *into, size_t n, uint64_t place)
{
    return pread(f->fd, into, n, (off_t)place) == (ssize_t)n;
}

/* LMDB's orders: whole numbers in the tree of free pages, bytes elsewhere. */
static int
compare(const tree *t, const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len)
{
    if (t->kind == TREE_FREE) {
        uint64_t x = sa_get64(a), y = sa_get64(b);
        return x < y ? -1 : x > y;
    }
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : a_len < b_len ? -1 : a_len > b_len;
}

static bool
key_ok(const tree *t, const node *n)
{
    return n->key_len > 0 && n->key_len < KEY_MAX && (t->kind != TREE_FREE || n->key_len == 8);
}

/* Keys rise through the whole tree, and none lies before the separator that leads to it. */
static bool
key_follows(tree *t, const node *n)
{
    if (!key_ok(t, n)
        || (t->last_len > 0 && compare(t, t->last, t->last_len, n->key, n->key_len) >= 0)
        || (t->bound_len > 0 && compare(t, t->bound, t->bound_len, n->key, n->key_len) > 0))
        return false;
    memcpy(t->last, n->key, n->key_len);
    t->last_len = n->key_len;
    t->bound_len = 0;
    return true;
}

static bool
separator_follows(tree *t, const node *n)
{
    if (!key_ok(t, n)
        || (t->last_len > 0 && compare(t, t->last, t->last_len, n->key, n->key_len) >= 0))
        return false;
    memcpy(t->bound, n->key, n->key_len);
    t->bound_len = n->key_len;
    return true;
}

/* A list of free pages names pages that nothing else uses. */
static bool
free_list_ok(file *f, const uint8_t *value, uint32_t size)
{
    uint64_t n = size >= 8 ? sa_get64(value) : 0;
    if (size < 8 || size % 8 != 0 || n > size / 8 - 1)
        return false;
    for (uint64_t i = 0; i < n; i++) {
        if (!take_pages(f, sa_get64(value + 8 + 8 * i), 1))
            return false;
    }
    return true;
}

static bool
value_ok(tree *t, const node *n, const uint8_t *value)
{
    MDB_val k = { n->key_len, (void *)(uintptr_t)n->key };
    MDB_val v = { n->size, (void *)(uintptr_t)value };
    if (t->kind == TREE_FREE)
        return free_list_ok(t->f, value, n->size);
    if (t->kind == TREE_ROWS && t->f->each != NULL)
        return t->f->each(t->f->ctx, (const char *)t->name, t->name_len, &k, &v);
    return t->kind == TREE_ROWS && sa_row_check(&k, &v) >= 0;
}

/* A value on pages of its own. */
static bool
big_value_ok(tree *t, const node *n)
{
    uint8_t head[PAGE_HEAD];
    file *f = t->f;
    uint64_t number = sa_get64(n->data);
    uint64_t pages = (PAGE_HEAD + (uint64_t)n->size + f->page_size - 1) / f->page_size;
    if (number >= f->n_pages || !read_at(f, head, sizeof head, number * f->page_size)
        || sa_get64(head) != number || sa_get16(head + 10) != P_OVERFLOW
        || sa_get32(head + 12) < pages || !take_pages(f, number, sa_get32(head + 12)))
        return false;
    t->overflows += sa_get32(head + 12);
    g_autofree uint8_t *value = g_try_malloc(n->size + 1u);
    return value != NULL && read_at(f, value, n->size, number * f->page_size + PAGE_HEAD)
           && value_ok(t, n, value);
}

static bool
leaf_ok(tree *t, const node *n)
{
    t->entries++;
    if (!key_follows(t, n) || (n->flags & ~(F_BIGDATA | F_SUBDATA)) != 0)
        return false;
    if ((n->flags & F_SUBDATA) != 0)
        return t->kind == TREE_MAIN && n->size == DB_SIZE && n->flags == F_SUBDATA
               && tree_ok(t->f, TREE_ROWS, n, n->data);
    return (n->flags & F_BIGDATA) != 0 ? big_value_ok(t, n) : value_ok(t, n, n->data);
}

/* The i-th node of a page; false when it does not lie within. */
static bool
read_node(const tree *t, const uint8_t *page, uint32_t i, bool branch, node *n)
{
    uint32_t upper = sa_get16(page + 14), at = sa_get16(page + PAGE_HEAD + 2 * i);
    if (at < upper || at + NODE_HEAD > t->f->page_size)
        return false;
    const uint8_t *p = page + at;
    n->size = sa_get16(p) | (uint32_t)sa_get16(p + 2) << 16;
    n->flags = sa_get16(p + 4);
    n->key_len = sa_get16(p + 6);
    n->key = p + NODE_HEAD;
    n->data = n->key + n->key_len;
    n->child = n->size | (uint64_t)n->flags << 32;
    uint64_t end = (uint64_t)at + NODE_HEAD + n->key_len;
    if (!branch)
        end += (n->flags & F_BIGDATA) != 0 ? 8u : n->size;
    return end <= t->f->page_size;
}

static bool
page_ok(tree *t, uint64_t number, uint32_t depth)
{
    file *f = t->f;
    g_autofree uint8_t *page = g_malloc(f->page_size);
    if (depth == 0 || !take_pages(f, number, 1)
        || !read_at(f, page, f->page_size, number * f->page_size) || sa_get64(page) != number)
        return false;
    uint32_t flags = sa_get16(page + 10), lower = sa_get16(page + 12), upper = sa_get16(page + 14);
    bool branch = flags == P_BRANCH;
    if ((!branch && flags != P_LEAF) || branch != (depth > 1) || lower < PAGE_HEAD
        || lower % 2 != 0 || lower > upper || upper > f->page_size)
        return false;
    *(branch ? &t->branches : &t->leaves) += 1;
    for (uint32_t i = 0; i < (lower - PAGE_HEAD) / 2; i++) {
        node n;
        if (!read_node(t, page, i, branch, &n))
            return false;
        if (branch && i > 0 && !separator_follows(t, &n))
            return false;
        if (branch ? !page_ok(t, n.child, depth - 1) : !leaf_ok(t, &n))
            return false;
    }
    return true;
}

static bool
tree_ok(file *f, enum tree_kind kind, const node *name, const uint8_t *db)
{
    tree t = { .f = f, .kind = kind, .name = name != NULL ? name->key : NULL,
               .name_len = name != NULL ? name->key_len : 0 };
    uint32_t depth = sa_get16(db + 6);
    uint64_t root = sa_get64(db + 40);
    if (depth > DEPTH_MAX || (root == NO_PAGE) != (depth == 0))
        return false;
    if (root != NO_PAGE && !page_ok(&t, root, depth))
        return false;
    return t.branches == sa_get64(db + 8) && t.leaves == sa_get64(db + 16)
           && t.overflows == sa_get64(db + 24) && t.entries == sa_get64(db + 32);
}

/* The newer of two meta pages, or NULL. */
static const uint8_t *
newest(const uint8_t *metas, uint32_t page_size)
{
    const uint8_t *best = NULL;
    for (uint32_t i = 0; i < 2; i++) {
        const uint8_t *p = metas + (size_t)i * page_size, *m = p + PAGE_HEAD;
        if (sa_get64(p) != i || sa_get16(p + 10) != P_META || sa_get32(m) != META_MAGIC
            || sa_get32(m + 4) != META_VERSION || sa_get32(m + 24) != page_size
            || sa_get64(m + 16) > MAP_MAX)
            return NULL;
        if (best == NULL || sa_get64(m + 128) > sa_get64(best + 128))
            best = m;
    }
    return best;
}

static bool
file_ok(file *f, uint64_t size)
{
    g_autofree uint8_t *metas = g_malloc0(2 * 65536);
    uint8_t head[META_SIZE];
    if (!read_at(f, head, sizeof head, 0))
        return false;
    f->page_size = sa_get32(head + PAGE_HEAD + 24);
    if (f->page_size < 512 || f->page_size > 65536 || (f->page_size & (f->page_size - 1)) != 0
        || !read_at(f, metas, 2 * (size_t)f->page_size, 0))
        return false;
    const uint8_t *meta = newest(metas, f->page_size);
    if (meta == NULL || sa_get64(meta + 120) >= size / f->page_size)
        return false;
    f->n_pages = sa_get64(meta + 120) + 1;
    g_autofree uint8_t *seen = g_malloc0(f->n_pages / 8 + 1);
    f->seen = seen;
    return tree_ok(f, TREE_MAIN, NULL, meta + 24 + DB_SIZE)
           && tree_ok(f, TREE_FREE, NULL, meta + 24);
}

int
sa_rows_walk_file(const char *path, each_row each, void *ctx)
{
    struct stat st;
    file f = { .fd = open(path, O_RDONLY | O_CLOEXEC), .each = each, .ctx = ctx };
    if (f.fd < 0)
        return errno == ENOENT ? 0 : -errno;
    bool good = fstat(f.fd, &st) == 0 && (st.st_size == 0 || file_ok(&f, (uint64_t)st.st_size));
    close(f.fd);
    return good ? 0 : MDB_CORRUPTED;
}

int
sa_rows_check_file(struct sa_store *store)
{
    g_autofree char *path = g_strdup_printf("%s/index/data.mdb", store->path);
    if (sizeof(size_t) != 8 || __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
        return 0;
    return sa_rows_walk_file(path, NULL, NULL);
}
