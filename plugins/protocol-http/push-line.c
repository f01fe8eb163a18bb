/* SPDX-License-Identifier: Apache-2.0
 *
 * Pushes to plain http: connections of the lane itself, kept by target, one push at a time on each.
 * libsoup's client does the same with ten times the instructions: a message, a queue item, four
 * tasks and as many sources for each push. It has https, and the handshakes. [lane]
 */
#include "push.h"
#include "reply.h"
#include <string.h>

#define IDLE_NS (50 * HTTP_SECOND)

struct http_line {
    http_push *push;
    http_target *target; /* NULL: it is to end */
    emesh_conn *conn;    /* NULL: its host is being looked up */
    http_job *job;       /* NULL: it is idle, or is to end */
    GString *out;        /* what the job sends */
    GPtrArray *addresses;
    uint32_t at; /* the next of them */
    uint32_t refs;
    uint64_t idle_ns;
    emesh_task task;
    char *why; /* run by the task: what the job ends with */
    bool posted, connected, idle;
    bool used;      /* it has carried a push before */
    bool answering; /* a byte of the answer is here */
    bool ends;      /* the end of the connection is the end of the answer */
    http_reply reply;
    GList link; /* of target->lines while it is idle */
};

static void
line_unref(http_line *line)
{
    if (--line->refs > 0)
        return;
    if (line->out != NULL)
        g_string_free(line->out, TRUE);
    if (line->addresses != NULL)
        g_ptr_array_unref(line->addresses);
    http_reply_clear(&line->reply);
    g_free(line->why);
    g_free(line);
}

/* Takes the job off it. */
static http_job *
take_job(http_line *line)
{
    http_job *job = g_steal_pointer(&line->job);

    if (job != NULL)
        job->line = NULL;
    return job;
}

static void
close_idle(http_line *line)
{
    const emesh_net_api *net = line->push->lane->http->net;

    g_queue_unlink(&line->target->lines, &line->link);
    line->idle = false;
    line->target = NULL;
    net->close(line->conn, EMESH_CLOSE_ABORT); /* closed() frees it */
}

/* ---- failing ---- */

static void
on_fail(emesh_task *task, int32_t code)
{
    http_line *line = (http_line *)((char *)task - offsetof(http_line, task));
    http_job *job = take_job(line);
    (void)code;

    line->posted = false;
    if (job != NULL)
        http_job_failed(job, line->why);
    line_unref(line);
}

/* Not from inside of the call that started the job. */
static void
fail_later(http_line *line, const char *why)
{
    const http_lane *lane = line->push->lane;

    if (line->posted)
        return;
    line->posted = true;
    line->refs++;
    g_free(line->why);
    line->why = g_strdup(why);
    line->task.run = on_fail;
    lane->http->loop->post(lane->loop, &line->task);
}

/* ---- the connection ---- */

static void
send_out(http_line *line)
{
    const emesh_net_api *net = line->push->lane->http->net;
    emesh_part part = { line->out->str, line->out->len, NULL };

    line->answering = line->ends = false;
    if (net->write(line->conn, &part, 1) == EMESH_E_BUSY)
        net->close(line->conn, EMESH_CLOSE_ABORT);
}

static void
answered(http_line *line, bool keep)
{
    http_push *push = line->push;
    http_job *job = take_job(line);
    http_verdict v;

    http_judge(&v, line->reply.status,
               soup_message_headers_get_one(line->reply.head, "Retry-After"),
               (int64_t)(http_wall_ms(push->lane) / 1000), line->reply.body, line->reply.body_len);
    g_string_free(g_steal_pointer(&line->out), TRUE);
    if (keep) {
        line->idle = line->used = true;
        line->idle_ns = http_now(push->lane);
        g_queue_push_tail_link(&line->target->lines, &line->link);
    } else {
        line->target = NULL;
        if (line->conn != NULL)
            push->lane->http->net->close(line->conn, EMESH_CLOSE_ABORT);
    }
    http_job_over(job, &v);
}

static size_t
on_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    http_line *line = ctx;
    size_t taken;
    bool keep;

    if (line->job == NULL) { /* nobody asked */
        if (line->idle)
            close_idle(line);
        else
            line->push->lane->http->net->close(conn, EMESH_CLOSE_ABORT);
        return in->len;
    }
    line->answering = true;
    switch (http_reply_read(&line->reply, in->ptr, in->len)) {
    case HTTP_REPLY_MORE:
        return 0;
    case HTTP_REPLY_ENDS:
        g_string_truncate(line->reply.plain, 0);
        g_string_append_len(line->reply.plain, line->reply.body, (gssize)line->reply.body_len);
        line->ends = true;
        return 0;
    case HTTP_REPLY_WHOLE:
        keep = line->reply.keep && line->reply.len == in->len;
        taken = in->len;
        line->refs++;
        answered(line, keep);
        line_unref(line);
        return taken;
    default:
        fail_later(line, "its answer is no HTTP");
        line->target = NULL;
        line->push->lane->http->net->close(conn, EMESH_CLOSE_ABORT);
        return in->len;
    }
}

static void
on_connected(void *ctx, emesh_conn *conn)
{
    http_line *line = ctx;
    (void)conn;
    line->connected = true;
}

static bool dial_next(http_line *line);
static void line_open(http_job *job, GString *out);

/* The last call for a connection; its job, if it has one, was not answered. */
static void
on_closed(void *ctx, emesh_conn *conn, int32_t code, const emesh_error *err)
{
    http_line *line = ctx;
    http_job *job = line->job;
    (void)conn, (void)code;

    line->conn = NULL;
    if (line->idle)
        g_queue_unlink(&line->target->lines, &line->link);
    line->idle = false;
    if (job == NULL || line->posted) {
        line_unref(line);
        return;
    }
    if (!line->connected && !job->cut && dial_next(line))
        return;
    if (line->used && !line->answering && !job->cut) { /* it was closed as we wrote: anew */
        take_job(line);
        line_open(job, g_steal_pointer(&line->out));
    } else if (line->ends && !job->cut) {
        line->reply.body = line->reply.plain->str;
        line->reply.body_len = line->reply.plain->len;
        answered(line, false);
    } else {
        take_job(line);
        http_job_failed(job, http_why(err, "the connection was closed before it answered"));
    }
    line_unref(line);
}

static const emesh_conn_ops line_ops = {
    .size = sizeof line_ops, .connected = on_connected, .data = on_data, .closed = on_closed
};

/* false: there is no address left. */
static bool
dial_next(http_line *line)
{
    const http_lane *lane = line->push->lane;

    while (line->at < line->addresses->len) {
        const char *address = line->addresses->pdata[line->at++];
        emesh_dial spec = { .size = sizeof spec,
                            .address = { address, strlen(address) },
                            .deadline_ns =
                                line->job->since_ns + lane->http->options.push_timeout_ns };
        if (lane->http->net->dial(lane->loop, &spec, &line_ops, line, &line->conn) == EMESH_OK) {
            send_out(line);
            return true;
        }
    }
    return false;
}

static void
dial(http_line *line, const emesh_slice *found, uint32_t n)
{
    char *refused = http_guard_says(&line->push->lane->http->options.guard, found, n);

    if (refused != NULL) {
        fail_later(line, refused);
        line_unref(line);
        g_free(refused);
        return;
    }
    line->addresses = g_ptr_array_new_with_free_func(g_free);
    for (uint32_t i = 0; i < n; i++)
        g_ptr_array_add(line->addresses, g_strndup(found[i].ptr, found[i].len));
    if (!dial_next(line)) {
        fail_later(line, "it cannot be connected to");
        line_unref(line);
    }
}

static void
on_found(void *ctx, int32_t code, const emesh_slice *found, uint32_t n)
{
    http_line *line = ctx;

    if (line->job == NULL || line->posted) { /* it took too long */
        line_unref(line);
    } else if (code != EMESH_OK || n == 0) {
        fail_later(line, "its host is not known");
        line_unref(line);
    } else {
        dial(line, found, n);
    }
}

/* A new one for the job. */
static void
line_open(http_job *job, GString *out)
{
    http_target *target = job->hook->target;
    const http_lane *lane = target->push->lane;
    http_line *line = g_new0(http_line, 1);
    emesh_slice address = { target->address, strlen(target->address) };

    *line =
        (http_line){ .push = target->push, .target = target, .job = job, .out = out, .refs = 1 };
    line->link.data = line;
    http_reply_init(&line->reply);
    job->line = line;
    if (target->numeric)
        dial(line, &address, 1);
    else
        lane->http->net->resolve(lane->loop, address.ptr, address.len, on_found, line);
}

/* ---- a push ---- */

/* All of it in one piece. NULL: why says why it cannot be carried. Given. */
static GString *
compose(http_job *job, const char **why)
{
    const http_target *target = job->hook->target;
    http_sheet sheet = { .head = soup_message_headers_new(SOUP_MESSAGE_HEADERS_REQUEST) };
    SoupMessageHeadersIter iter;
    const char *name, *value;
    GString *out = NULL;

    *why = http_job_compose(job, &sheet);
    if (*why == NULL) {
        gsize len = 0;
        const char *body = sheet.body != NULL ? g_bytes_get_data(sheet.body, &len) : NULL;
        out = g_string_sized_new(len + 1024);
        g_string_append(out, target->preamble);
        soup_message_headers_iter_init(&iter, sheet.head);
        while (soup_message_headers_iter_next(&iter, &name, &value)) {
            g_string_append(out, name);
            g_string_append(out, ": ");
            g_string_append(out, value);
            g_string_append(out, "\r\n");
        }
        g_string_append_printf(out, "Content-Length: %zu\r\n\r\n", (size_t)len);
        g_string_append_len(out, body, (gssize)len);
    }
    soup_message_headers_unref(sheet.head);
    g_bytes_unref(sheet.body);
    return out;
}

const char *
http_line_push(http_job *job)
{
    http_target *target = job->hook->target;
    GList *link;
    const char *why;
    GString *out = compose(job, &why);
    http_line *line;

    if (out == NULL)
        return why;
    job->since_ns = http_now(target->push->lane);
    link = g_queue_pop_tail_link(&target->lines);
    if (link == NULL) {
        line_open(job, out);
        return NULL;
    }
    line = link->data;
    line->idle = false;
    line->job = job;
    line->out = out;
    job->line = line;
    send_out(line);
    return NULL;
}

void
http_line_cut(http_job *job)
{
    http_line *line = job->line;

    job->cut = true;
    if (line->conn != NULL)
        line->push->lane->http->net->close(line->conn, EMESH_CLOSE_ABORT);
    else
        fail_later(line, "it was cut off");
}

void
http_lines_sweep(http_target *target, uint64_t now)
{
    while (target->lines.head != NULL) { /* the longest idle first */
        http_line *line = target->lines.head->data;
        if (now - line->idle_ns < IDLE_NS)
            return;
        close_idle(line);
    }
}

void
http_lines_close(http_target *target)
{
    while (target->lines.head != NULL)
        close_idle(target->lines.head->data);
}

void
http_line_prepare(http_target *target)
{
    const char *host = g_uri_get_host(target->uri), *query = g_uri_get_query(target->uri);
    const char *path = g_uri_get_path(target->uri);
    bool six = strchr(host, ':') != NULL;
    int port = g_uri_get_port(target->uri);
    g_autofree char *number = port > 0 && port != 80 ? g_strdup_printf(":%d", port) : g_strdup("");

    target->plain = strcmp(g_uri_get_scheme(target->uri), "http") == 0;
    target->numeric = g_hostname_is_ip_address(host);
    target->address = g_strdup_printf(six ? "[%s]:%d" : "%s:%d", host, port > 0 ? port : 80);
    target->preamble =
        g_strdup_printf(six ? "POST %s%s%s HTTP/1.1\r\nHost: [%s]%s\r\nUser-Agent: eventmesh\r\n"
                            : "POST %s%s%s HTTP/1.1\r\nHost: %s%s\r\nUser-Agent: eventmesh\r\n",
                        *path != '\0' ? path : "/", query != NULL ? "?" : "",
                        query != NULL ? query : "", host, number);
    g_queue_init(&target->lines);
}
