/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics, partitions and groups by name and id. Ids are never reused. A change is applied here
 * first, then written as a CATALOG record; whoever asked is answered when that is durable.
 *
 * Lock: cat->lock for the tables. Topic handles give lanes what they need without it. Topics,
 * partitions and groups live until the store ends (a deleted one keeps its few hundred bytes).
 */
#ifndef SA_CATALOG_H
#define SA_CATALOG_H
#include "eventmesh/kind-storage.h"
#include "index.h"
#include <glib.h>

struct sa_cursor;
struct sa_store;

typedef struct sa_tail_slot sa_tail_slot;

typedef struct sa_partition {
    uint32_t id;
    uint32_t number; /* within its topic */
    struct sa_topic *topic;
    _Atomic uint64_t next; /* offset of the next record, given when it is queued: log->lock */
    uint32_t pending; /* entries in the queue of what waits for the disk to be seen */
    /* any thread */
    _Atomic uint64_t visible; /* offsets below it may be read */
    _Atomic uint64_t shown;   /* 1 + offset of the last record that may be read; 0: none */
    _Atomic uint64_t first;   /* oldest offset kept */
    _Atomic uint64_t rows_to; /* 1 + last offset that has its chunk row in LMDB */
    /* the writer's */
    uint64_t turn;     /* last turn that wrote to it */
    uint64_t turn_end; /* 1 + last offset of that turn */
    bool turn_sync;    /* something of that turn waits for the disk */
    sa_vec *open;
    uint64_t open_base;
    /* segs->lock */
    sa_vec *vecs;   /* newest first */
    uint64_t bytes;   /* of entries not cut, in sealed segments */
    uint64_t dead_to; /* entries that end below it are cut */
    /* tail->lock: events in memory, dense from tail_base */
    sa_tail_slot *tail;
    uint64_t tail_base;
    uint32_t tail_n, tail_at, tail_cap;
} sa_partition;

/* Records below end may be read. */
static inline void
sa_part_show(sa_partition *part, uint64_t end)
{
    atomic_store_explicit(&part->shown, end, memory_order_relaxed);
    atomic_store(&part->visible, end);
}

typedef struct sa_topic {
    uint32_t id;
    uint32_t level;
    uint64_t retention_ms, retention_bytes;
    uint64_t created_us;
    char *name;
    sa_partition **_Atomic parts; /* grows by a new array: any thread reads n_parts, then this */
    _Atomic uint32_t n_parts;
    GSList *old_parts; /* arrays of before, until the end: somebody may be reading them */
    uint32_t handles;
    _Atomic bool deleted;
    bool row_dirty; /* in the keeper's list; keeper->lock */
    /* cursors on it: lock below; the numbers are read without it */
    pthread_mutex_t lock;
    struct sa_cursor *cursors;
    _Atomic uint32_t n_waiting;
    _Atomic uint32_t n_cursors; /* of the list, likewise */
} sa_topic;

typedef struct sa_group {
    uint32_t id;
    _Atomic bool deleted;
    bool lost;      /* its places may be lost with an index: what is missing is at the earliest */
    bool row_dirty; /* in the keeper's list; keeper->lock */
    uint64_t created_us;
    char *name;
    pthread_mutex_t lock; /* for its pairs and what is in them */
    struct sa_pair **pairs; /* by partition id */
    uint32_t n_pairs, room_pairs;
    GPtrArray *dead;      /* removed pairs, until the end: lanes may still name them; NULL: none */
} sa_group;

typedef struct sa_catalog {
    pthread_mutex_t lock;
    GHashTable *topics; /* name → sa_topic */
    GHashTable *groups; /* name → sa_group */
    GHashTable *topic_ids, *group_ids;
    GPtrArray *every;       /* all topics ever made in this life, for the end */
    GPtrArray *every_group;
    GPtrArray *parts;       /* sa_partition by id, NULL where unknown */
    uint32_t next_topic, next_part, next_group;
    uint32_t live_parts;
    sa_partition control; /* id 0: the control records of a segment */
} sa_catalog;

/* What the host holds as emesh_topic. */
struct emesh_topic {
    sa_topic *topic;
    sa_partition **parts;
    uint32_t n_parts;
    uint32_t level;
};

void sa_catalog_init(sa_catalog *cat);
void sa_catalog_clear(struct sa_store *store);

sa_partition *sa_catalog_part(sa_catalog *cat, uint32_t id); /* takes the lock; NULL: unknown */
sa_topic *sa_catalog_topic(sa_catalog *cat, const void *name, size_t len); /* lock held */
sa_group *sa_catalog_group(sa_catalog *cat, const void *name, size_t len); /* lock held */
sa_group *sa_catalog_group_id(sa_catalog *cat, uint32_t id);               /* lock held */

/* lock held. NULL: no memory. Ids 0: new ones are given. */
sa_topic *sa_catalog_make_topic(struct sa_store *store, const char *name, size_t len, uint32_t id,
                                uint32_t n_parts, const uint32_t *part_ids);
bool sa_catalog_grow_topic(struct sa_store *store, sa_topic *topic, uint32_t n_parts,
                           const uint32_t *part_ids);
void sa_catalog_drop_topic(sa_catalog *cat, sa_topic *topic);
sa_group *sa_catalog_make_group(sa_catalog *cat, const char *name, size_t len, uint32_t id);
void sa_catalog_drop_group(sa_catalog *cat, sa_group *group);

/* ---- one entry, as in CATALOG records, footers and LMDB rows ---- */
#define SA_CAT_TOPIC 1u
#define SA_CAT_GROUP 2u
#define SA_CAT_PUT 1u    /* made */
#define SA_CAT_CHANGE 2u
#define SA_CAT_DELETE 3u
#define SA_CAT_NAME_MAX 249u
#define SA_CAT_PARTS_MAX 65535u
/* u16 kind, u16 op, u32 id, u32 partitions, u16 name bytes, u16 level (of a group: 1 = lost), u64
 * retention ms, u64 retention bytes, u64 created; n × {u32 partition id, u32 0, u64 first, u64
 * next}; name; to 8 */
#define SA_CAT_HEAD 40u
#define SA_CAT_PART 24u

typedef struct sa_cat_entry {
    uint32_t kind, op, id, n_parts, level;
    uint32_t name_len;
    uint64_t retention_ms, retention_bytes, created_us;
    const uint8_t *parts; /* n_parts × 24 bytes */
    const char *name;
    size_t size; /* of the entry */
} sa_cat_entry;

/* False: not an entry. */
bool sa_cat_read(const uint8_t *p, size_t n, sa_cat_entry *entry);
/* Appends an entry. lock held. */
void sa_cat_put_topic(GByteArray *out, const sa_topic *topic, uint32_t op);
void sa_cat_put_group(GByteArray *out, const sa_group *group, uint32_t op);
/* All topics and groups that are there. lock held. */
void sa_cat_put_all(GByteArray *out, sa_catalog *cat);
/* Recovery: entries are taken over, what is newer is decided by the order of calls. Rows and footers
 * tell offsets too; what comes from footers and records is dirty, the rows do not know it. */
void sa_cat_apply_row(struct sa_store *store, const sa_cat_entry *entry);
/* False: the bytes are not entries. */
bool sa_cat_apply_footer(struct sa_store *store, const uint8_t *p, size_t n);
bool sa_cat_apply_record(struct sa_store *store, const uint8_t *p, size_t n);

#endif
