/* SPDX-License-Identifier: Apache-2.0
 *
 * emload: publishers, and subscribers if asked for, on EventMesh TCP, NATS JetStream or Redis
 * streams. Each publisher keeps WINDOW publishes un-acknowledged; with --rate publishes follow a
 * fixed schedule and latency counts from the scheduled time. With subscribers a publish counts as
 * under way until it is acknowledged and has arrived, so the rate is one that both ends keep. With
 * --requests publishes are requests, which subscribers answer: a round trip is one acknowledgement.
 * Measures between warm-up and end (or N --events, or a --drain of N), and prints one line of JSON.
 */
#include "load.h"
#include "meter.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
print_latency(const char *name, const histogram *h)
{
    printf(",\"%s\":{\"n\":%" PRIu64 ",\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}",
           name, h->n, (double)histogram_at(h, 0.5) / 1e3, (double)histogram_at(h, 0.99) / 1e3,
           (double)histogram_at(h, 0.999) / 1e3, (double)h->largest / 1e3);
}

static void
print_costs(const meter *before, const meter *after, double events)
{
    printf(",\"cpu_us\":%.3f,\"cpu_ticks\":%" PRIu64 ",\"switches\":%.3f,\"reads\":%.3f,"
           "\"writes\":%.3f,\"disk_bytes\":%.1f,\"rss\":%" PRIu64 ",\"threads\":%u,"
           "\"steal_ticks\":%" PRIu64,
           (double)(after->cpu_ns - before->cpu_ns) / 1e3 / events, after->ticks - before->ticks,
           (double)(after->switches - before->switches) / events,
           (double)(after->reads - before->reads) / events,
           (double)(after->writes - before->writes) / events,
           (double)(after->written - before->written) / events, after->rss, after->threads,
           after->steal_ticks - before->steal_ticks);
}

/* Runs to the end; every so many seconds a line tells of the time since the last one. */
static void
run_told(load *l, uint64_t until)
{
    histogram acks = { 0 }, arrivals = { 0 };
    uint64_t begin = load_now(), step = (uint64_t)(l->every * 1e9);
    for (uint64_t at = begin; at < until; at = load_now()) {
        uint64_t acked = l->acked;
        load_run(l, at + step < until ? at + step : until);
        double took = (double)(load_now() - at) / 1e9;
        printf("{\"at\":%.1f,\"rate\":%.1f", (double)(load_now() - begin) / 1e9,
               (double)(l->acked - acked) / took);
        print_latency("ack_us", &l->acks);
        print_latency("arrival_us", &l->arrivals);
        puts("}");
        fflush(stdout);
        histogram_merge(&acks, &l->acks);
        histogram_merge(&arrivals, &l->arrivals);
        memset(&l->acks, 0, sizeof l->acks);
        memset(&l->arrivals, 0, sizeof l->arrivals);
    }
    l->acks = acks;
    l->arrivals = arrivals;
}

/* What is measured: all of a counted run, else the time behind the warm-up. */
static void
run_measured(load *l, uint64_t begin)
{
    if (l->events > 0 || l->drain > 0) {
        load_fill(l);
        load_run(l, begin + UINT64_C(600000000000));
    } else if (l->every > 0) {
        run_told(l, begin + (uint64_t)(l->seconds * 1e9));
    } else {
        load_run(l, begin + (uint64_t)(l->seconds * 1e9));
    }
}

static void
measure(load *l)
{
    meter before = { 0 }, after = { 0 };
    l->sending = l->drain == 0;
    l->due_ns = load_now();
    if (l->events == 0 && l->drain == 0) {
        load_fill(l);
        load_run(l, l->due_ns + (uint64_t)(l->warmup * 1e9));
    }
    uint64_t acked = l->acked, arrived = l->arrived, refused = l->refused;
    memset(&l->acks, 0, sizeof l->acks);
    memset(&l->arrivals, 0, sizeof l->arrivals);
    meter_read(&before, l->pid);
    uint64_t begin = load_now();
    run_measured(l, begin);
    meter_read(&after, l->pid);
    double took = (double)(load_now() - begin) / 1e9;
    acked = l->acked - acked;
    arrived = l->arrived - arrived;
    double events = (double)(l->drain > 0 || l->broadcast ? arrived : acked);
    printf("{\"seconds\":%.3f,\"acked\":%" PRIu64 ",\"rate\":%.1f,\"refused\":%" PRIu64
           ",\"arrived\":%" PRIu64 ",\"arrival_rate\":%.1f", took, acked, (double)acked / took,
           l->refused - refused, arrived, (double)arrived / took);
    print_latency("ack_us", &l->acks);
    print_latency("arrival_us", &l->arrivals);
    print_costs(&before, &after, events > 0 ? events : 1);
    l->sending = false;
    load_run(l, load_now() + UINT64_C(10000000000));
    printf(",\"sent\":%" PRIu64 ",\"all_acked\":%" PRIu64 ",\"all_arrived\":%" PRIu64 "}\n",
           l->sent, l->acked, l->arrived);
}

static const wire *
wire_named(const char *name)
{
    static const wire *const all[] = { &wire_eventmesh, &wire_nats, &wire_redis };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    }
    return NULL;
}

static bool
read_options(load *l, int argc, char **argv)
{
    static const struct option names[] = {
        { "host", 1, NULL, 'h' },    { "port", 1, NULL, 'p' },        { "topic", 1, NULL, 't' },
        { "group", 1, NULL, 'g' },   { "clients", 1, NULL, 'c' },     { "window", 1, NULL, 'w' },
        { "bytes", 1, NULL, 'b' },   { "subscribers", 1, NULL, 's' }, { "seconds", 1, NULL, 'd' },
        { "warmup", 1, NULL, 'u' },  { "rate", 1, NULL, 'r' },        { "pid", 1, NULL, 'P' },
        { "to", 1, NULL, 'T' },      { "topics", 1, NULL, 'n' },      { "events", 1, NULL, 'e' },
        { "drain", 1, NULL, 'D' },   { "broadcast", 0, NULL, 'B' },   { "every", 1, NULL, 'E' },
        { "requests", 0, NULL, 'R' }, { NULL, 0, NULL, 0 },
    };
    for (int o; (o = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (o) {
        case 'h': l->host = optarg; break;
        case 't': l->topic = optarg; break;
        case 'g': l->group = optarg; break;
        case 'p': l->port = (uint32_t)atoi(optarg); break;
        case 'c': l->clients = (uint32_t)atoi(optarg); break;
        case 'w': l->window = (uint32_t)atoi(optarg); break;
        case 'b': l->body = (uint32_t)atoi(optarg); break;
        case 's': l->subscribers = (uint32_t)atoi(optarg); break;
        case 'd': l->seconds = atof(optarg); break;
        case 'u': l->warmup = atof(optarg); break;
        case 'r': l->rate = atof(optarg); break;
        case 'P': l->pid = (pid_t)atoi(optarg); break;
        case 'T': l->wire = wire_named(optarg); break;
        case 'n': l->topics = (uint32_t)atoi(optarg); break;
        case 'e': l->events = strtoull(optarg, NULL, 10); break;
        case 'D': l->drain = strtoull(optarg, NULL, 10); break;
        case 'B': l->broadcast = true; break;
        case 'E': l->every = atof(optarg); break;
        case 'R': l->requests = true; break;
        default: return false;
        }
    }
    if (l->drain > 0)
        l->clients = 0;
    bool good = l->wire != NULL && l->clients <= 10000 && l->clients + l->subscribers > 0 &&
                l->window >= 1 && l->body >= STAMP_LEN && l->body <= 1000000 &&
                (!l->requests || (l->wire == &wire_eventmesh && l->subscribers > 0)) &&
                strlen(l->topic) <= 200 && l->topics >= 1 && l->topics <= 1000000;
    if (!good)
        fprintf(stderr, "emload: --to eventmesh|nats|redis, clients up to 10000, window from 1, "
                        "bytes 16..1000000, topics 1..1000000, "
                        "requests on eventmesh with subscribers\n");
    return good;
}

int
main(int argc, char **argv)
{
    load *l = calloc(1, sizeof *l);
    *l = (load){ .host = "127.0.0.1", .topic = "bench", .group = "bench", .port = 10000,
                 .clients = 1, .window = 1, .body = 512, .topics = 1, .seconds = 5, .warmup = 1,
                 .wire = &wire_eventmesh };
    if (!read_options(l, argc, argv)) {
        free(l);
        return 2;
    }
    load_open(l);
    measure(l);
    bool complete = l->drain > 0 ? l->arrived == l->drain
                                 : l->acked == l->sent && l->arrived == l->sent * load_each(l);
    bool good = complete && l->refused == 0;
    load_close(l);
    free(l);
    return good ? 0 : 1;
}
