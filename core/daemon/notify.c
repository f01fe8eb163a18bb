/* SPDX-License-Identifier: Apache-2.0
 *
 * Telling that the daemon is ready, and alive: a log line, sd_notify, a byte on --ready-fd, and the
 * watchdog, which is fed only when every worker has answered since the last time.
 */
#include "daemon/private.h"
#include "emesh-build.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The protocol of sd_notify(3) is one datagram, and a stable interface; libsystemd would cost a
 * megabyte of resident memory for it. No manager, or one that does not listen, is no error. */
void
emesh_daemon_tell(emesh_daemon *daemon, const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t len = path != NULL ? strlen(path) : 0;

    (void)daemon;
    if (len < 2 || len >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@') /* an abstract name */
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

/* The manager's limit between two signs of life, if it is meant for this process; 0 = none. */
static uint64_t
watchdog_usec(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (usec == NULL || (pid != NULL && strtoll(pid, NULL, 10) != (long long)getpid()))
        return 0;
    return strtoull(usec, NULL, 10);
}

void
emesh_daemon_say(emesh_daemon *daemon, uint32_t level, const char *text)
{
    for (const char *at = text, *end; at != NULL; at = *end != '\0' ? end + 1 : NULL) {
        end = strchrnul(at, '\n');
        emesh_log_write(daemon->log, level, "daemon", at, (size_t)(end - at), NULL, 0);
    }
}

typedef struct beat {
    emesh_job job;
    emesh_daemon *daemon;
    emesh_worker *worker;
    bool out;
} beat;

static void
beat_home(emesh_job *job)
{
    beat *b = (beat *)job;

    b->out = false;
    b->daemon->beats_left--;
}

static void
beat_run(emesh_job *job)
{
    beat *b = (beat *)job;

    b->job = (emesh_job){ .run = beat_home };
    emesh_worker_post(b->daemon->main, &b->job);
}

static void
watchdog_due(emesh_alarm *alarm)
{
    emesh_daemon *daemon = (emesh_daemon *)((char *)alarm - offsetof(emesh_daemon, watchdog));
    beat *beats = (beat *)daemon->beats;

    if (daemon->beats_left == 0) {
        emesh_daemon_tell(daemon, "WATCHDOG=1");
        for (uint32_t i = 0; i < daemon->n_workers && !daemon->stopping; i++) {
            beats[i].job = (emesh_job){ .run = beat_run };
            beats[i].out = true;
            daemon->beats_left++;
            emesh_worker_post(daemon->workers[i], &beats[i].job);
        }
    }
    emesh_worker_alarm(daemon->main, &daemon->watchdog,
                       emesh_worker_now(daemon->main) + daemon->watchdog_ns);
}

static void
watchdog_start(emesh_daemon *daemon)
{
    uint64_t usec = watchdog_usec();

    if (usec == 0)
        return;
    daemon->watchdog_ns = usec * 1000u / 2;
    daemon->watchdog.due = watchdog_due;
    daemon->beats = (emesh_job *)g_new0(beat, daemon->n_workers);
    for (uint32_t i = 0; i < daemon->n_workers; i++) {
        ((beat *)daemon->beats)[i].daemon = daemon;
        ((beat *)daemon->beats)[i].worker = daemon->workers[i];
    }
    watchdog_due(&daemon->watchdog);
}

void
emesh_daemon_tell_ready(emesh_daemon *daemon)
{
    const char byte = '\n';

    emesh_log_say(daemon->log, EMESH_LOG_NOTICE, "daemon",
                  "ready: version %s, %u instances, %u workers, data in %s", EMESH_VERSION,
                  daemon->instances->len, daemon->n_workers, daemon->args->data_dir);
    emesh_daemon_tell(daemon, "READY=1");
    if (daemon->args->ready_fd >= 0) {
        if (write(daemon->args->ready_fd, &byte, 1) != 1)
            emesh_log_say(daemon->log, EMESH_LOG_WARNING, "daemon",
                          "could not tell --ready-fd %d that the daemon is ready",
                          daemon->args->ready_fd);
        close(daemon->args->ready_fd);
    }
    watchdog_start(daemon);
}
