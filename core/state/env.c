/* SPDX-License-Identifier: Apache-2.0
 *
 * The LMDB environment of DATA/core: opening, opening anew after a failed commit, reading. Default
 * sync mode: a commit is on the disk. Any thread; a read transaction lasts one call.
 */
#include "state/state-db.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PAGE_PAIRS 256u
#define PAGE_BYTES (256u << 10)
#define LITTLE_SPACE (1u << 20)

/* A write that stops in the middle, as on a full disk, is EIO to LMDB. */
static bool
is_full(const emesh_state *state, int rc)
{
    struct statvfs disk;
    if (rc == MDB_MAP_FULL || rc == ENOSPC || rc == EDQUOT || rc == EFBIG)
        return true;
    return rc == EIO && statvfs(state->dir, &disk) == 0 &&
           (uint64_t)disk.f_bavail * disk.f_frsize < LITTLE_SPACE;
}

int32_t
emesh_state_fail(emesh_error *err, const emesh_state *state, const char *what, int rc, bool perhaps)
{
    int32_t code = EMESH_E_IO;
    if (perhaps)
        code = EMESH_E_LOST;
    else if (is_full(state, rc))
        code = EMESH_E_NO_SPACE;
    else if (rc == ENOMEM)
        code = EMESH_E_NO_MEMORY;
    else if (rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_INVALID)
        code = EMESH_E_CORRUPT;
    emesh_fail(err, code, "%s in %s/data.mdb: %s", what, state->dir,
               rc > 0 ? g_strerror(rc) : mdb_strerror(rc));
    if (err != NULL && EMESH_HAS(err, os_errno) && rc > 0)
        err->os_errno = (uint32_t)rc;
    return code;
}

/* Names that were just made are durable before the first answer depends on them. */
static int
sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int rc = fsync(fd) < 0 ? errno : 0;
    close(fd);
    return rc;
}

static int
open_dbi(MDB_env *env, MDB_dbi *dbi)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, dbi);
    if (rc == 0)
        return mdb_txn_commit(txn);
    if (txn != NULL)
        mdb_txn_abort(txn);
    return rc;
}

int32_t
emesh_state_env_open(emesh_state *state, emesh_error *err)
{
    MDB_env *env = NULL;
    int rc = mdb_env_create(&env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(env, EMESH_STATE_MAP);
    if (rc == 0)
        rc = mdb_env_open(env, state->dir, MDB_NOTLS, 0600);
    if (rc == 0)
        rc = open_dbi(env, &state->dbi);
    if (rc == 0)
        rc = sync_folder(state->dir);
    if (rc == 0) {
        state->env = env;
        return EMESH_OK;
    }
    if (env != NULL)
        mdb_env_close(env);
    return emesh_state_fail(err, state, "cannot open the daemon's state", rc, false);
}

void
emesh_state_env_close(emesh_state *state)
{
    if (state->env != NULL)
        mdb_env_close(state->env);
    state->env = NULL;
}

void
emesh_state_env_renew(emesh_state *state)
{
    pthread_rwlock_wrlock(&state->env_lock);
    emesh_state_env_close(state);
    emesh_state_env_open(state, NULL); /* tried again by the next write */
    pthread_rwlock_unlock(&state->env_lock);
}

/* ---- reading ---- */

/* At the first key not below from. Positions cursor; MDB_NOTFOUND: none. */
static int
seek(MDB_cursor *cursor, const MDB_val *from, MDB_val *key, MDB_val *value)
{
    *key = *from;
    return mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
}

static bool
is_below(const MDB_val *key, const MDB_val *prefix)
{
    return key->mv_size >= prefix->mv_size &&
           memcmp(key->mv_data, prefix->mv_data, prefix->mv_size) == 0;
}

/* Calls each for the pairs below prefix behind after (may be empty) until it says no. */
static int32_t
scan(emesh_state *state, const MDB_val *prefix, const MDB_val *after,
     bool (*each)(void *ctx, const MDB_val *key, const MDB_val *value), void *ctx, emesh_error *err)
{
    if (state->env == NULL)
        return emesh_fail(err, EMESH_E_IO, "the daemon's state in %s could not be opened again",
                          state->dir);
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int rc = mdb_txn_begin(state->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = mdb_cursor_open(txn, state->dbi, &cursor);
    if (rc == 0)
        rc = seek(cursor, after->mv_size > 0 ? after : prefix, &key, &value);
    if (rc == 0 && after->mv_size > 0 && key.mv_size == after->mv_size &&
        memcmp(key.mv_data, after->mv_data, key.mv_size) == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    while (rc == 0 && is_below(&key, prefix) && each(ctx, &key, &value))
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    if (txn != NULL)
        mdb_txn_abort(txn);
    if (rc == 0 || rc == MDB_NOTFOUND)
        return EMESH_OK;
    return emesh_state_fail(err, state, "cannot read the daemon's state", rc, false);
}

typedef struct listing {
    size_t space;
    void (*found)(void *ctx, const emesh_pair *pair);
    void *ctx;
} listing;

static bool
list_pair(void *ctx, const MDB_val *key, const MDB_val *value)
{
    const listing *l = ctx;
    emesh_pair pair = {
        .key = { (const char *)key->mv_data + l->space, key->mv_size - l->space },
        .value = { value->mv_data, value->mv_size },
    };
    l->found(l->ctx, &pair);
    return true;
}

int32_t
emesh_state_read(emesh_state *state, const char *space, const char *prefix, size_t len,
                 void (*found)(void *ctx, const emesh_pair *pair), void *ctx)
{
    char whole[EMESH_STATE_KEY_MAX];
    listing l = { .space = strlen(space), .found = found, .ctx = ctx };
    if (l.space + len > sizeof whole)
        return EMESH_OK; /* no key is that long */
    memcpy(whole, space, l.space);
    if (len > 0)
        memcpy(whole + l.space, prefix, len);
    MDB_val below = { .mv_data = whole, .mv_size = l.space + len }, none = { 0 };
    pthread_rwlock_rdlock(&state->env_lock);
    int32_t code = scan(state, &below, &none, list_pair, &l, NULL);
    pthread_rwlock_unlock(&state->env_lock);
    return code;
}

static bool
page_pair(void *ctx, const MDB_val *key, const MDB_val *value)
{
    emesh_state_page *page = ctx;
    if (page->spans->len == PAGE_PAIRS || page->bytes->len >= PAGE_BYTES) {
        page->more = true;
        return false;
    }
    emesh_state_span span = { (uint32_t)key->mv_size, (uint32_t)value->mv_size };
    g_array_append_val(page->spans, span);
    g_byte_array_append(page->bytes, key->mv_data, span.key_len);
    g_byte_array_append(page->bytes, value->mv_data, span.value_len);
    return true;
}

int32_t
emesh_state_page_read(emesh_state *state, const MDB_val *prefix, const MDB_val *after,
                      emesh_state_page *page, emesh_error *err)
{
    page->bytes = g_byte_array_new();
    page->spans = g_array_new(FALSE, FALSE, sizeof(emesh_state_span));
    page->more = false;
    pthread_rwlock_rdlock(&state->env_lock);
    int32_t code = scan(state, prefix, after, page_pair, page, err);
    pthread_rwlock_unlock(&state->env_lock);
    return code;
}
