/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the state room share: the environment, its lock, the queue of the writer.
 */
#pragma once
#include "event/event.h"
#include "state/state.h"
#include <lmdb.h>
#include <pthread.h>

#define EMESH_STATE_MAP ((size_t)1 << 30)
#define EMESH_STATE_KEY_MAX 511u /* LMDB's, with the space before it */
#define EMESH_STATE_VALUE_MAX (64u << 10)
#define EMESH_STATE_QUEUE_MAX ((size_t)64 << 20) /* bytes that wait for the writer */
#define EMESH_STATE_BATCH ((size_t)4 << 20)      /* bytes of one transaction */

typedef struct emesh_state_page { /* a piece of a range, in key order */
    GByteArray *bytes;            /* keys (whole) and values in turn */
    GArray *spans;                /* emesh_state_span */
    bool more;
} emesh_state_page;

typedef struct emesh_state_span {
    uint32_t key_len, value_len;
} emesh_state_span;

typedef struct emesh_state_put {
    MDB_val key, value;
    bool remove;
} emesh_state_put;

/* One call of write or fetch on its way: queued, done by the writer, posted home. */
typedef struct emesh_state_request emesh_state_request;
struct emesh_state_request {
    emesh_job job; /* first */
    emesh_state *state;
    emesh_worker *home;
    GList link;                /* in state->open; data is the request */
    emesh_state_request *next; /* in the queue */
    size_t size;               /* what it holds of the queue's bound */
    int32_t code;
    emesh_error err;
    void (*done)(void *ctx, int32_t code, const emesh_error *err);
    void (*paged)(void *ctx, int32_t code, const emesh_error *err, const emesh_state_page *page);
    void *ctx;
    emesh_state_put *puts; /* write */
    uint32_t n_puts;
    MDB_val prefix, after; /* fetch */
    emesh_state_page page;
    char *bytes;
};

struct emesh_state {
    char *dir;
    int lock_fd;

    pthread_rwlock_t env_lock; /* read: env is used; write: it is closed and opened anew */
    MDB_env *env;              /* NULL: could not be opened again */
    MDB_dbi dbi;

    pthread_mutex_t lock; /* below */
    pthread_cond_t wake;
    emesh_state_request *first, *last;
    size_t queued;
    GQueue open; /* requests whose done was not called yet, by their links */
    bool closing;
    pthread_t writer;
};

/* ---- lock.c ---- */
/* Makes dir and takes its lock; the descriptor, or -1. */
int emesh_state_lock(const char *dir, GError **error);

/* ---- env.c ---- */
int32_t emesh_state_env_open(emesh_state *state, emesh_error *err);
void emesh_state_env_close(emesh_state *state);
/* Closes and opens anew, since LMDB trusts no environment after a failed commit. */
void emesh_state_env_renew(emesh_state *state);
/* Fills err from a code of LMDB. perhaps: it may have been stored nevertheless. */
int32_t emesh_state_fail(emesh_error *err, const emesh_state *state, const char *what, int rc,
                         bool perhaps);
/* The pairs below prefix behind the key after, up to a page. */
int32_t emesh_state_page_read(emesh_state *state, const MDB_val *prefix, const MDB_val *after,
                              emesh_state_page *page, emesh_error *err);

/* ---- writer.c ---- */
void *emesh_state_writer(void *state);
/* [any] request is the queue's from here on; done or paged runs on its home. */
void emesh_state_submit(emesh_state_request *request);
void emesh_state_request_free(emesh_state_request *request);

/* ---- state.c ---- */
/* [any] The pairs below prefix whose keys come behind after, a page of them; read behind the
 * writes that were queued before. paged runs on home. */
void emesh_state_fetch(emesh_state *state, emesh_worker *home, emesh_slice prefix,
                       emesh_slice after,
                       void (*paged)(void *ctx, int32_t code, const emesh_error *err,
                                     const emesh_state_page *page),
                       void *ctx);
