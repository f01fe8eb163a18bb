/* SPDX-License-Identifier: Apache-2.0
 *
 * probe FOLDER: what this machine can do at best, measured beside a benchmark so that its numbers
 * can be compared with those of another machine: appends of 548 bytes followed by fdatasync, 4 KiB
 * read at random places, round trips of one byte over loopback TCP between two threads, and memory
 * copied. One line of JSON.
 *
 * probe FOLDER BYTES: the disk's own sync at that load: a bare loop that appends so many bytes a
 * second for two seconds to allocated files of 64 MiB, what has come meanwhile with each sync.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RECORD 548
#define COPY (1u << 20)

static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
syncs_per_second(const char *folder)
{
    char path[4096], record[RECORD];
    snprintf(path, sizeof path, "%s/probe.XXXXXX", folder);
    int fd = mkstemp(path);
    if (fd < 0)
        return 0;
    unlink(path);
    memset(record, 'x', sizeof record);
    double begin = now(), end;
    uint64_t n = 0;
    do {
        if (write(fd, record, sizeof record) != RECORD || fdatasync(fd) != 0)
            break;
        n++;
    } while ((end = now()) - begin < 1);
    close(fd);
    return (double)n / (now() - begin);
}

static void *
echo(void *arg)
{
    int listener = *(int *)arg, one = 1;
    int fd = accept(listener, NULL, NULL);
    char byte;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
        ;
    close(fd);
    return NULL;
}

static double
round_trips_per_second(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof to;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    pthread_t thread;
    if (bind(listener, (struct sockaddr *)&to, sizeof to) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&to, &size) != 0 ||
        pthread_create(&thread, NULL, echo, &listener) != 0)
        return 0;
    double rate = 0;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        double begin = now(), end;
        uint64_t n = 0;
        char byte = 'x';
        do {
            if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
                break;
            n++;
        } while ((end = now()) - begin < 1);
        rate = (double)n / (now() - begin);
    }
    close(fd);
    shutdown(listener, SHUT_RDWR);
    close(listener);
    pthread_join(thread, NULL);
    return rate;
}

static double
gigabytes_copied_per_second(void)
{
    char *from = calloc(2, COPY), *to = from + COPY;
    uint64_t n = 0;
    double begin = now(), end;
    if (from == NULL)
        return 0;
    do {
        from[n % COPY] = (char)n;
        memcpy(to, from, COPY);
        __asm__ volatile("" : : "r"(to) : "memory");
        n++;
    } while ((end = now()) - begin < 0.3);
    free(from);
    return (double)n * COPY / (end - begin) / 1e9;
}

#define SEGMENT (64u << 20)
#define SYNCS 200000u

static int
segment(const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/probe.XXXXXX", folder);
    int fd = mkstemp(path);
    if (fd < 0 || unlink(path) != 0 || fallocate(fd, 0, 0, SEGMENT) != 0 || fsync(fd) != 0)
        return -1;
    return fd;
}

#define READS 16384u /* each page of the file once */
#define AHEAD 256u

/* Pages of a file that no cache has, in no order, the disk told of 256 ahead. */
static double
reads_per_second(const char *folder)
{
    uint32_t order[READS], seed = 1, i;
    char *page = malloc(SEGMENT);
    int fd = segment(folder);
    double begin = 0;
    if (page == NULL || fd < 0)
        return 0;
    memset(page, 'x', SEGMENT);
    if (pwrite(fd, page, SEGMENT, 0) != SEGMENT || fsync(fd) != 0)
        return 0;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    for (i = 0; i < READS; i++) {
        uint32_t other = (seed = seed * 1664525u + 1013904223u) % (i + 1);
        order[i] = order[other];
        order[other] = i;
    }
    begin = now();
    for (i = 0; i < READS + AHEAD; i++) {
        if (i < READS)
            posix_fadvise(fd, (off_t)order[i] * 4096, 4096, POSIX_FADV_WILLNEED);
        if (i >= AHEAD && pread(fd, page, 4096, (off_t)order[i - AHEAD] * 4096) != 4096)
            break;
    }
    begin = now() - begin;
    close(fd);
    free(page);
    return READS / begin;
}

static int
shorter(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int
sync_at(const char *folder, double rate)
{
    char *bytes = calloc(1, SEGMENT);
    double *took = calloc(SYNCS, sizeof *took), begin = now();
    int fd = segment(folder);
    size_t at = 0, all = 0;
    uint32_t n = 0;
    while (fd >= 0 && bytes != NULL && took != NULL && n < SYNCS && now() - begin < 2) {
        size_t come = (size_t)((now() - begin) * rate) - all;
        if (come < RECORD) {
            usleep(20);
            continue;
        }
        if (at + come > SEGMENT) {
            close(fd);
            fd = segment(folder);
            at = 0;
            come = come < SEGMENT ? come : SEGMENT;
            if (fd < 0)
                break;
        }
        double asked = now();
        if (pwrite(fd, bytes, come, (off_t)at) != (ssize_t)come || fdatasync(fd) != 0)
            break;
        took[n++] = now() - asked;
        at += come;
        all += come;
    }
    close(fd);
    if (n == 0)
        return 1;
    qsort(took, n, sizeof *took, shorter);
    printf("{\"syncs\":%u,\"bytes\":%.0f,\"p50_us\":%.0f,\"p99_us\":%.0f}\n", n,
           (double)all / n, took[n / 2] * 1e6, took[n - 1 - n / 100] * 1e6);
    free(bytes);
    free(took);
    return 0;
}

int
main(int argc, char **argv)
{
    if (argc == 3)
        return sync_at(argv[1], atof(argv[2]));
    if (argc != 2) {
        fprintf(stderr, "usage: probe FOLDER [BYTES]\n");
        return 2;
    }
    printf("{\"syncs\":%.0f,\"reads\":%.0f,\"round_trips\":%.0f,\"copy_gb\":%.1f}\n",
           syncs_per_second(argv[1]), reads_per_second(argv[1]), round_trips_per_second(),
           gigabytes_copied_per_second());
    return 0;
}
