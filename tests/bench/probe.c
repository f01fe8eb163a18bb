/* SPDX-License-Identifier: Apache-2.0
 *
 * probe FOLDER: what this machine can do at best, measured beside a benchmark so that its numbers
 * can be compared with those of another machine: appends of 548 bytes followed by fdatasync, round
 * trips of one byte over loopback TCP between two threads, and memory copied. One line of JSON.
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

int
main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: probe FOLDER\n");
        return 2;
    }
    printf("{\"syncs\":%.0f,\"round_trips\":%.0f,\"copy_gb\":%.1f}\n", syncs_per_second(argv[1]),
           round_trips_per_second(), gigabytes_copied_per_second());
    return 0;
}
