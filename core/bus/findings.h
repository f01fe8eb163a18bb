/* SPDX-License-Identifier: Apache-2.0
 *
 * Findings: what is not as it should be right now, for `status` and the log. Raised by whoever sees
 * it, on any thread, and cleared by the same when it is over; each is logged once.
 */
#pragma once
#include "bus/bus.h"

/* [any] finding: its word, "no-progress"; about: which one, "group \"g\" of topic \"t\"". The same
 * again changes nothing. */
void emesh_finding_raise(emesh_bus *bus, const char *finding, const char *about, const char *format,
                         ...) G_GNUC_PRINTF(4, 5);
/* [any] It is over, if it was there. */
void emesh_finding_clear(emesh_bus *bus, const char *finding, const char *about);

typedef struct emesh_finding {
    char *finding, *about, *text;
    uint64_t since_ms;
} emesh_finding;
/* [any] visit runs under the lock: it must not raise or clear. The oldest first. */
void emesh_findings_each(emesh_bus *bus, void (*visit)(void *ctx, const emesh_finding *finding),
                         void *ctx);

emesh_findings *emesh_findings_new(void);
void emesh_findings_free(emesh_findings *findings);
