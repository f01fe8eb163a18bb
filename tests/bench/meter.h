/* SPDX-License-Identifier: Apache-2.0
 *
 * What a process and the machine have spent so far, from /proc: read twice, the difference is the
 * cost of what happened between.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>

typedef struct meter {
    uint64_t cpu_ns;      /* on a core, all threads */
    uint64_t ticks;       /* utime + stime, in clock ticks: the kernel's other account of it */
    uint64_t switches;    /* context switches, given up and taken away */
    uint64_t reads, writes; /* read- and write-like system calls (/proc/PID/io) */
    uint64_t written;     /* bytes sent to block devices */
    uint64_t steal_ticks; /* of the whole machine: cores taken away by its host */
    uint64_t rss;         /* bytes resident now */
    uint32_t threads;
} meter;

/* Zeros where /proc does not tell. */
void meter_read(meter *m, pid_t pid);
