/* SPDX-License-Identifier: Apache-2.0
 *
 * Costs from /proc; see meter.h. One thread.
 */
#include "meter.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *
read_file(const char *path, char *text, size_t size)
{
    text[0] = '\0';
    FILE *f = fopen(path, "r");
    if (f != NULL) {
        text[fread(text, 1, size - 1, f)] = '\0';
        fclose(f);
    }
    return text;
}

/* The number behind "name" in lines of "name number". */
static uint64_t
named(const char *text, const char *name)
{
    unsigned long long value = 0;
    const char *at = strstr(text, name);
    if (at != NULL)
        sscanf(at + strlen(name), "%*[: \t]%llu", &value);
    return value;
}

static void
read_threads(meter *m, pid_t pid)
{
    char path[320], text[4096];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    for (struct dirent *e; tasks != NULL && (e = readdir(tasks)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        unsigned long long ran = 0;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, e->d_name);
        sscanf(read_file(path, text, sizeof text), "%llu", &ran);
        m->cpu_ns += ran;
        snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, e->d_name);
        read_file(path, text, sizeof text);
        m->switches += named(text, "\nvoluntary_ctxt_switches") +
                       named(text, "nonvoluntary_ctxt_switches");
        m->threads++;
    }
    if (tasks != NULL)
        closedir(tasks);
}

void
meter_read(meter *m, pid_t pid)
{
    char path[64], text[4096];
    *m = (meter){ 0 };
    read_threads(m, pid);

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    const char *fields = strrchr(read_file(path, text, sizeof text), ')');
    unsigned long long user = 0, system = 0;
    if (fields != NULL)
        sscanf(fields, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu", &user, &system);
    m->ticks = user + system;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    unsigned long long pages = 0;
    sscanf(read_file(path, text, sizeof text), "%*s %llu", &pages);
    m->rss = pages * (uint64_t)sysconf(_SC_PAGESIZE);

    snprintf(path, sizeof path, "/proc/%d/io", (int)pid);
    read_file(path, text, sizeof text);
    m->reads = named(text, "syscr");
    m->writes = named(text, "syscw");
    m->written = named(text, "\nwrite_bytes");

    unsigned long long steal = 0;
    sscanf(read_file("/proc/stat", text, sizeof text), "cpu %*s %*s %*s %*s %*s %*s %*s %llu",
           &steal);
    m->steal_ticks = steal;
}
