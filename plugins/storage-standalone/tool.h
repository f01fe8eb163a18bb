/* SPDX-License-Identifier: Apache-2.0
 *
 * storage-standalone-tool: looks into the folder of a store without changing anything in it, while a
 * daemon uses it or not. Every byte is read through the decoders of the plugin. One thread.
 *
 * On a folder in use only the files of the log are read; they may grow and go meanwhile. What a bad
 * byte means is judged by the durable mark as it was before the look began: below it is damage, above
 * it is a torn end, or being written.
 */
#ifndef SA_TOOL_H
#define SA_TOOL_H
#include "catalog.h"
#include "footer.h"
#include "format.h"
#include "groups.h"
#include "rows.h"
#include "scan.h"
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>

#define TOOL_OK 0
#define TOOL_DAMAGE 1
#define TOOL_FAILED 2 /* could not look: usage, no folder, no access, too new */

typedef struct tool_options {
    const char *command;
    gboolean json, quiet, data;
    char *topic, *type;
    gint64 partition, from, to, limit; /* -1: any */
} tool_options;

typedef struct tool_topic {
    uint32_t id;
    char *name;
    bool deleted;
    uint32_t level;
    uint64_t retention_ms, retention_bytes;
} tool_topic;

typedef struct tool_part {
    uint32_t id, number;
    tool_topic *topic; /* NULL: no catalogue names it */
    uint64_t first;    /* oldest offset kept */
    uint64_t next;     /* as far as a catalogue knows */
    uint64_t seen;     /* check: 1 + last offset in the log so far */
    /* stats */
    uint64_t events, bytes, oldest_us, newest_us;
    uint64_t lowest;   /* offset kept */
    uint64_t last_end; /* 1 + largest offset in the log */
} tool_part;

typedef struct tool_group {
    uint32_t id;
    char *name;
    bool deleted;
} tool_group;

typedef struct tool_names {
    GHashTable *topics, *parts, *groups; /* by id */
} tool_names;

typedef struct tool_file { /* one file of the log */
    char *name;
    uint64_t base, size;
    uint64_t last; /* LSN behind it, as its header says; 0: no header */
    int fd;        /* -1: not opened, or gone */
    sa_head_state state;
    sa_seg_head head;
    bool sealed;  /* carries a trailer */
    bool foot_ok;
    sa_trailer trailer;
    sa_foot_head foot;
    uint64_t end;  /* LSN behind the last record */
    uint64_t held; /* bytes of live held events */
    bool empty;  /* no record: prepared, or being made */
    GArray *inputs; /* of a cleaned one: u64 bases; NULL: not cleaned */
    bool unused; /* a cleaned file has taken its place; or it is one whose inputs all are there */
    bool gone;
} tool_file;

typedef struct tool_bar {
    bool shown;
    gint64 begun, drawn;
    uint64_t done, total;
} tool_bar;

typedef struct tool_index { /* rows of the index, on a folder nobody uses */
    bool there, good; /* LMDB's file holds together */
    bool have_meta;
    sa_meta meta;
    GArray *chunks;    /* tool_chunk, sorted */
    GArray *segments;  /* tool_segrow */
    GHashTable *places; /* group << 32 | partition → tool_place */
    GArray *holds;     /* sa_hold_row_value of hold.h */
    GPtrArray *bad;    /* texts: rows whose check sum or form is wrong */
} tool_index;

typedef struct tool_place { /* of a group in a partition */
    uint64_t key;
    uint32_t group, partition;
    sa_pair pair; /* floor, ranges, epoch, lsn alone */
} tool_place;

typedef struct tool_chunk {
    uint64_t base;
    sa_entry entry;
} tool_chunk;

typedef struct tool_segrow {
    uint64_t base, last, end, size, live_bytes;
    uint32_t live;
} tool_segrow;

typedef struct tool {
    tool_options opt;
    FILE *out;
    char *path;
    int dir, log_dir;
    bool live;     /* a daemon uses the folder */
    bool known;    /* id and salt are */
    uint8_t id[16];
    uint32_t salt;
    uint16_t minor; /* largest in a header */
    GPtrArray *files; /* tool_file, by base */
    GHashTable *replaced; /* bases of inputs of cleaned files that count */
    uint64_t durable; /* below it everything must be there */
    uint64_t top;
    tool_names names;
    tool_index index;
    tool_bar bar;
    GString *rows;  /* JSON: rows so far */
    uint64_t damages, notes;
    int failed;     /* TOOL_FAILED once something kept it from looking */
} tool;

/* "storage-standalone-tool: …" on standard error; returns TOOL_FAILED. */
int tool_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* ---- tool-folder.c ---- */
/* Opens the folder, reads all headers and footers, finds the mark and the names. 0 or TOOL_FAILED. */
int tool_open(tool *t, const char *path);
void tool_close(tool *t);
bool tool_in_use(const tool *t);
/* Opens the file of a segment; false: it is gone, or says why not. */
bool tool_file_open(tool *t, tool_file *f);
void tool_file_close(tool_file *f);
/* Of a file that was being made when it was looked at first: is its header there now? */
bool tool_head_again(tool *t, tool_file *f);
/* The file that holds an LSN, or NULL. */
tool_file *tool_file_at(const tool *t, uint64_t lsn);
/* Records of a file as they lie, up to its footer. 0 or a negative errno. */
int tool_scan(tool *t, tool_file *f, sa_scan *scan,
              bool (*each)(void *ctx, const sa_found *found), void *ctx);

/* ---- tool-names.c ---- */
void tool_names_init(tool_names *names);
void tool_names_clear(tool_names *names);
/* Entries of a footer, a row or (offsets false) a CATALOG record. False: they are none. */
bool tool_names_read(tool_names *names, const uint8_t *p, size_t n, bool offsets);
tool_part *tool_names_part(tool_names *names, uint32_t id); /* made when unknown */
const tool_part *tool_names_find(const tool_names *names, uint32_t id);
const char *tool_names_group(const tool_names *names, uint32_t id); /* NULL: unknown */
/* Partition by topic and number, topics by name: sorted. Given: g_ptr_array_unref. */
GPtrArray *tool_names_parts(const tool_names *names);

/* ---- tool-footer.c ---- */
typedef struct tool_footer { /* of one file, in memory */
    uint8_t *block; /* from the head to the end of the file */
    uint64_t place; /* of block[0] */
    sa_trailer t;
    sa_entry *dir;
    bool places_ok, prints_ok; /* can be used */
} tool_footer;
/* Its directory alone; NULL: it cannot be used. Given: g_free. */
sa_entry *tool_dir_load(tool *t, tool_file *f, uint32_t *n);
/* Reads it whole. NULL: all is well, else what is wrong; what can be used is there nevertheless. */
const char *tool_footer_load(tool *t, tool_file *f, tool_footer *footer);
void tool_footer_clear(tool_footer *footer);
uint32_t tool_footer_place8(const tool_footer *footer, uint32_t entry, uint32_t i);
/* The entry that has the offset, or n_dir. */
uint32_t tool_footer_find(const tool_footer *footer, uint32_t partition, uint64_t offset);
bool tool_footer_print(const tool_footer *footer, uint64_t hash, uint32_t place8);

/* ---- tool-index.c ---- */
void tool_index_load(tool *t);
void tool_index_clear(tool_index *index);
/* ---- tool-places.c ---- */
GHashTable *tool_places_new(void);
/* A row of the table of groups. */
bool tool_places_row(GHashTable *places, const MDB_val *key, const MDB_val *value);
/* What COMMIT records behind the checkpoint say. 0 or a negative errno. */
int tool_places_replay(tool *t);
/* Sorted by group and partition. Given: g_ptr_array_unref. */
GPtrArray *tool_places_list(const tool *t);

/* ---- tool-print.c: rows of JSON, numbers for people ---- */
GString *tool_row(const char *kind); /* begins a row */
void tool_row_text(GString *row, const char *key, const char *text);
void tool_row_bytes(GString *row, const char *key, const void *bytes, size_t n); /* valid UTF-8 */
void tool_row_count(GString *row, const char *key, uint64_t value);
void tool_row_flag(GString *row, const char *key, bool value);
void tool_row_time(GString *row, const char *key, uint64_t us);
/* A member, or with key NULL an element, that is an object or array itself: '{' or '['. */
void tool_row_open(GString *row, const char *key, char bracket);
void tool_row_close(GString *row, char bracket);
/* Ends a row (given) and keeps it for tool_rows_print. */
void tool_row_end(tool *t, GString *row);
void tool_row_line(tool *t, GString *row); /* … and prints it at once, on a line of its own */
void tool_rows_print(tool *t);
char *tool_size_text(uint64_t bytes);
char *tool_count_text(uint64_t n); /* 1,234,567 */
char *tool_time_text(uint64_t us); /* 2026-11-25T10:00:00.123456Z */
/* What a terminal may be shown: control characters and broken UTF-8 as \xNN. Given. */
char *tool_clean(const void *bytes, size_t n);
/* Cells row by row, columns wide; those whose heading begins with '>' to the right. */
void tool_table(FILE *out, const char *const *headings, guint columns, GPtrArray *cells);
void tool_bar_begin(tool *t, uint64_t total);
void tool_bar_add(tool *t, uint64_t bytes);
void tool_bar_hide(tool *t); /* before something else is printed */

/* Rows or cells of what lies in quarantine/; how many. */
guint tool_quarantine(tool *t, GPtrArray *cells);

/* ---- tool-record.c: what a record says ---- */
const char *tool_type_name(uint8_t type); /* NULL: unknown */
/* Its own members of a row, its attributes and with --data its data. */
void tool_record_row(tool *t, GString *row, const sa_rec_head *head, const uint8_t *body);
/* The same for people; given. */
char *tool_record_text(tool *t, const sa_rec_head *head, const uint8_t *body);
/* Is the body what its type says? */
bool tool_record_ok(const sa_rec_head *head, const uint8_t *body);
/* Does it touch this topic (NULL: any) and partition (-1: any)? */
bool tool_record_about(tool *t, const sa_rec_head *head, const uint8_t *body, const char *topic,
                       gint64 partition);
/* "topic orders, partition 0"; given. */
char *tool_part_text(const tool *t, uint32_t id);

/* ---- check ---- */
typedef struct tool_damage {
    const char *what; /* for programs: header, record, unit, footer, file, index, … */
    const char *text; /* for people, lower case, no stop */
    const tool_file *f; /* NULL: of the index */
    uint64_t place, size; /* in the file */
    bool record;      /* the rest says which */
    uint8_t type;     /* 0: unknown */
    uint32_t partition;
    uint64_t offset;
} tool_damage;
void tool_damaged(tool *t, const tool_damage *d);
/* What is no damage and worth a word. f may be NULL. */
void tool_note(tool *t, const tool_file *f, const char *format, ...) G_GNUC_PRINTF(3, 4);

typedef struct tool_done { /* tokens whose HOLD_DONE is in the log behind the checkpoint */
    GHashTable *tokens;
} tool_done;
typedef struct tool_sum {
    uint64_t records; /* checked */
    uint64_t above;   /* whole, but above the durable mark */
} tool_sum;
/* tool-check-segment.c: one file. 0 or TOOL_FAILED. */
int tool_check_segment(tool *t, tool_file *f, const tool_file *next, tool_done *done,
                       tool_sum *sum);
/* tool-check-index.c: rows against footers and records. */
void tool_check_index(tool *t, const tool_done *done);

/* ---- the commands; each returns the exit code ---- */
int tool_check(tool *t);
int tool_dump(tool *t);
int tool_stats(tool *t);

#endif
