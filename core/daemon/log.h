/* SPDX-License-Identifier: Apache-2.0
 *
 * Where log lines go: standard error, or the journal behind it. One object per daemon, every thread
 * writes to it. A line is `TIME LEVEL [SCOPE] TEXT key=value …`; scope is the instance, or the room
 * of the core. Each scope may write 100 lines a second; of the rest their number is told.
 */
#pragma once
#include "eventmesh/host.h"
#include <glib.h>
#include <stdarg.h>
#include <stdbool.h>

typedef struct emesh_log emesh_log;

/* fd is written to and stays the caller's. When it is the journal's stream, lines carry a priority
 * and no time. level: EMESH_LOG_*, lines above it are dropped. */
emesh_log *emesh_log_new(int fd, uint32_t level);
void emesh_log_free(emesh_log *log);
void emesh_log_set_level(emesh_log *log, uint32_t level); /* [any] */
const char *emesh_log_level_name(uint32_t level);

/* [any] log may be NULL: then nothing is on. */
bool emesh_log_on(const emesh_log *log, uint32_t level);
/* [any] Text and values may hold anything; what is not printable is escaped, so a record is one
 * line always. */
void emesh_log_write(emesh_log *log, uint32_t level, const char *scope, const char *text,
                     size_t len, const emesh_attr *fields, uint32_t n_fields);
void emesh_log_say(emesh_log *log, uint32_t level, const char *scope, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* Lines suppressed since the start, all scopes. [any] */
uint64_t emesh_log_suppressed(emesh_log *log);
