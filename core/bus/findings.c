/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of findings. Any thread, under its lock; rare.
 */
#include "bus/findings.h"
#include "daemon/log.h"

#include <stdarg.h>
#include <string.h>

#define MOST 1000u /* more would tell nobody anything: the log has them */

struct emesh_findings {
    pthread_mutex_t lock;
    GPtrArray *all; /* emesh_finding */
};

static void
finding_free(void *data)
{
    emesh_finding *f = data;

    g_free(f->finding);
    g_free(f->about);
    g_free(f->text);
    g_free(f);
}

emesh_findings *
emesh_findings_new(void)
{
    emesh_findings *findings = g_new0(emesh_findings, 1);

    pthread_mutex_init(&findings->lock, NULL);
    findings->all = g_ptr_array_new_with_free_func(finding_free);
    return findings;
}

void
emesh_findings_free(emesh_findings *findings)
{
    g_ptr_array_unref(findings->all);
    pthread_mutex_destroy(&findings->lock);
    g_free(findings);
}

/* lock held. Its place, or the length. */
static uint32_t
place_of(const emesh_findings *findings, const char *finding, const char *about)
{
    uint32_t i;

    for (i = 0; i < findings->all->len; i++) {
        const emesh_finding *f = findings->all->pdata[i];
        if (strcmp(f->finding, finding) == 0 && strcmp(f->about, about) == 0)
            break;
    }
    return i;
}

void
emesh_finding_raise(emesh_bus *bus, const char *finding, const char *about, const char *format, ...)
{
    emesh_findings *findings = bus->findings;
    g_autofree char *text = NULL;
    bool known;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    pthread_mutex_lock(&findings->lock);
    known = place_of(findings, finding, about) < findings->all->len;
    if (!known && findings->all->len < MOST) {
        emesh_finding *f = g_new0(emesh_finding, 1);
        *f = (emesh_finding){ g_strdup(finding), g_strdup(about), g_strdup(text),
                              (uint64_t)g_get_real_time() / 1000u };
        g_ptr_array_add(findings->all, f);
    }
    pthread_mutex_unlock(&findings->lock);
    if (!known)
        emesh_bus_warn(bus, "findings", "%s: %s: %s", finding, about, text);
}

void
emesh_finding_clear(emesh_bus *bus, const char *finding, const char *about)
{
    emesh_findings *findings = bus->findings;
    uint32_t place;
    bool known;

    pthread_mutex_lock(&findings->lock);
    place = place_of(findings, finding, about);
    known = place < findings->all->len;
    if (known)
        g_ptr_array_remove_index(findings->all, place);
    pthread_mutex_unlock(&findings->lock);
    if (known)
        emesh_log_say(bus->log, EMESH_LOG_NOTICE, "findings", "%s: %s: over", finding, about);
}

void
emesh_findings_each(emesh_bus *bus, void (*visit)(void *ctx, const emesh_finding *finding),
                    void *ctx)
{
    pthread_mutex_lock(&bus->findings->lock);
    for (uint32_t i = 0; i < bus->findings->all->len; i++)
        visit(ctx, bus->findings->all->pdata[i]);
    pthread_mutex_unlock(&bus->findings->lock);
}
