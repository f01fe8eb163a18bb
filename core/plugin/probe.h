/* SPDX-License-Identifier: Apache-2.0
 *
 * Trying a plugin in a child process before the daemon lets its constructors run, and remembering
 * the files that passed, so that a start takes milliseconds.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>

/* [main] Runs `prober --probe path`, 2 s at most. Its refusal, or CRASHED, or SLOW, is the error.
 */
bool emesh_probe_run(const char *prober, const char *path, GError **error);

/* The files that passed, by device, inode, mtime in ns and size; only good verdicts are kept, so a
 * plugin that crashed for want of memory or of a library gets its second chance. [main] */
typedef struct emesh_probe_cache emesh_probe_cache;
emesh_probe_cache *emesh_probe_cache_new(const char *file); /* NULL: remembers nothing */
void emesh_probe_cache_free(emesh_probe_cache *cache);
bool emesh_probe_cache_has(const emesh_probe_cache *cache, const struct stat *st);
void emesh_probe_cache_add(emesh_probe_cache *cache, const struct stat *st);
