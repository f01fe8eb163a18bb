/* SPDX-License-Identifier: Apache-2.0
 *
 * The scripts that the server runs: each does at once what must not be done by halves.
 */
#ifndef RS_SCRIPTS_H
#define RS_SCRIPTS_H
#include "link.h"

enum {
    RS_SCRIPT_UNIT,        /* prefix, packed operations */
    RS_SCRIPT_FIRE,        /* prefix, most */
    RS_SCRIPT_TAKE,        /* stream: prefix, group, me, lease, most */
    RS_SCRIPT_MINE,        /* stream: group, me, from, most */
    RS_SCRIPT_GIVE,        /* stream: prefix, group, me */
    RS_SCRIPT_TRIED,       /* stream: group, me, entry, count */
    RS_SCRIPT_RENEW,       /* stream: group, me, idle */
    RS_SCRIPT_OWN,         /* lease: me, lease */
    RS_SCRIPT_DISOWN,      /* lease: prefix, me, stream */
    RS_SCRIPT_ALL,         /* stream: lease, group, me, from, most */
    RS_SCRIPT_READ_OWNED,  /* stream: lease, group, me, most */
    RS_SCRIPT_ACK_OWNED,   /* stream: lease, group, me, entries … */
    RS_SCRIPT_INBOX_READ,  /* inbox: me, lease, most */
    RS_SCRIPT_INBOX_BACK,  /* inbox: prefix, me, tokens to keep … */
    RS_SCRIPT_INBOX_ACK,   /* inbox: me, tokens … */
    RS_SCRIPT_INBOX_RENEW, /* inbox: lease, tokens … */
    RS_SCRIPT_INBOX_TRIED, /* inbox: token, attempts */
    RS_SCRIPT_TOPIC,       /* prefix, topic, partitions, create */
    RS_SCRIPT_PLACE,       /* prefix, place or seek, topic, group, id, only partition */
    RS_SCRIPT_FORGET,      /* prefix, topic, group */
    RS_SCRIPT_DELETE,      /* prefix, topic */
    RS_SCRIPT_LIST,        /* prefix, what, topic, group, from */
    RS_SCRIPT_FIND,        /* prefix, topic, id, source */
    RS_SCRIPT_TRIM,        /* prefix, topic, partition, id, bytes */
    RS_SCRIPTS
};

typedef struct rs_script {
    const char *text;
} rs_script;

extern const rs_script rs_scripts[RS_SCRIPTS];

/* The name the server has for a script; given. */
char *rs_script_sha(uint32_t script);
/* EVALSHA with its key, if it has one; the rest is added by the caller. */
void rs_script_begin(rs_args *a, const char *sha, const char *key);
#endif
