/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin face over a real Unix socket, with raw HTTP on the client's side so that malformed and
 * half requests can be sent; the mesh behind it is a fake.
 */
#include "admin/admin.h"
#include "admin/command.h"
#include "fake-mesh.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct fixture {
    char *dir, *path;
    fake_mesh *mesh;
} fixture;

static void
set_up(fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("emesh-admin-XXXXXX", NULL);
    f->path = g_build_filename(f->dir, "admin.sock", NULL);
    f->mesh = fake_mesh_new(&emesh_admin_component, f->path);
    g_assert_true(fake_mesh_up(f->mesh));
}

static void
remove_dir(fixture *f)
{
    g_autofree char *lock = g_strconcat(f->path, ".lock", NULL);
    g_unlink(lock);
    g_unlink(f->path);
    g_assert_cmpint(g_rmdir(f->dir), ==, 0);
    g_free(f->path);
    g_free(f->dir);
}

static void
tear_down(fixture *f, gconstpointer data)
{
    (void)data;
    fake_mesh_down(f->mesh);
    fake_mesh_free(f->mesh);
    g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
    remove_dir(f);
}

static int
dial(const fixture *f)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(addr.sun_path, f->path, sizeof addr.sun_path);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof addr), ==, 0);
    g_assert_cmpint(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
    return fd;
}

static void
put(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent > 0) {
            text += sent;
            len -= (size_t)sent;
        } else if (errno != EAGAIN) {
            return; /* cut by the daemon */
        }
        g_main_context_iteration(NULL, FALSE);
    }
}

static gboolean
give_up(gpointer data)
{
    g_error("no %s within 20 s", (const char *)data);
    return G_SOURCE_REMOVE;
}

/* Runs the loop until got holds want, or the peer closed when want is NULL. */
static void
get_until(int fd, GString *got, const char *want)
{
    guint timer = g_timeout_add_seconds(20, give_up, (gpointer)(want != NULL ? want : "end"));
    for (;;) {
        char piece[4096];
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n > 0)
            g_string_append_len(got, piece, n);
        if ((want != NULL && strstr(got->str, want) != NULL) || n == 0 ||
            (n < 0 && errno != EAGAIN))
            break;
        g_main_context_iteration(NULL, FALSE);
    }
    g_source_remove(timer);
}

/* One request on a connection of its own; the whole answer. Given. */
static char *
ask(const fixture *f, const char *method, const char *target, const char *body)
{
    int fd = dial(f);
    g_autofree char *text = g_strdup_printf("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                            "Content-Length: %zu\r\n\r\n%s",
                                            method, target, strlen(body), body);
    GString *got = g_string_new(NULL);
    put(fd, text, strlen(text));
    get_until(fd, got, NULL);
    close(fd);
    return g_string_free(got, FALSE);
}

static void
assert_answer(const char *answer, const char *status, const char *holds)
{
    g_autofree char *line = g_strdup_printf("HTTP/1.1 %s ", status);
    if (!g_str_has_prefix(answer, line) || strstr(answer, holds) == NULL)
        g_error("expected %s … %s, got: %s", line, holds, answer);
}

static void
test_command(fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *list = ask(f, "POST", "/v1/command/command.list", "{}");
    assert_answer(list, "200", "\"verb\":\"command.list\"");
    assert_answer(list, "200", "\"changes\":false");
    g_autofree char *empty = ask(f, "POST", "/v1/command/command.list", "");
    assert_answer(empty, "200", "{\"rows\":[");
    g_autofree char *unknown = ask(f, "POST", "/v1/command/topic.lst", "{}");
    assert_answer(unknown, "404", "there is no command 'topic.lst'");
    g_autofree char *extra = ask(f, "POST", "/v1/command/command.list", "{\"colour\":1}");
    assert_answer(extra, "400", "command.list has no argument 'colour'");
    g_autofree char *missing = ask(f, "POST", "/v1/command/plugin.show", "{}");
    assert_answer(missing, "400", "plugin.show needs the argument 'name'");
    /* all of them shared one session, which is open until the end */
    g_assert_cmpuint(f->mesh->sessions->len, ==, 1);
    g_assert_cmpstr(f->mesh->log->str, ==, "");
}

static void
test_bad_input(fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *list = ask(f, "POST", "/v1/command/command.list", "[]");
    assert_answer(list, "400", "not a JSON object");
    g_autofree char *nested = ask(f, "POST", "/v1/command/command.list", "{\"a\":{}}");
    assert_answer(nested, "400", "neither text, whole number");
    g_autofree char *broken = ask(f, "POST", "/v1/command/command.list", "{\"a");
    assert_answer(broken, "400", "not JSON");
    g_autofree char *utf8 = ask(f, "POST", "/v1/command/command.list", "{\"a\":\"\xff\"}");
    assert_answer(utf8, "400", "not valid UTF-8");
    g_autofree char *deep = g_strnfill(60000, '[');
    g_autofree char *fathom = ask(f, "POST", "/v1/command/command.list", deep);
    assert_answer(fathom, "400", "nested deeper than 32");
    g_autofree char *long_args = g_strnfill(70000, ' ');
    g_autofree char *heavy = ask(f, "POST", "/v1/command/command.list", long_args);
    assert_answer(heavy, "413", "\"too-large\"");
    g_autofree char *method = ask(f, "GET", "/v1/command/command.list", "");
    assert_answer(method, "405", "Allow: POST");
    g_autofree char *nowhere = ask(f, "GET", "/v2", "");
    assert_answer(nowhere, "404", "nothing at '/v2'");
    g_autofree char *dots = ask(f, "POST", "/v1/command/../command/x", "{}");
    assert_answer(dots, "404", "x");

    int fd = dial(f);
    g_autoptr(GString) got = g_string_new(NULL);
    put(fd, "RUBBISH\r\n\r\n", 11);
    get_until(fd, got, "\r\n\r\n");
    g_assert_true(g_str_has_prefix(got->str, "HTTP/1.0 400") ||
                  g_str_has_prefix(got->str, "HTTP/1.1 400"));
    close(fd);

    fd = dial(f); /* no Host: libsoup takes the connection's address for one */
    g_string_truncate(got, 0);
    put(fd, "GET /v1/nothing HTTP/1.0\r\n\r\n", 28);
    get_until(fd, got, NULL);
    g_assert_nonnull(strstr(got->str, "404"));
    close(fd);
}

static void
test_body_limits(fixture *f, gconstpointer data)
{
    (void)data;
    int fd = dial(f);
    g_autoptr(GString) got = g_string_new(NULL);
    static const char told[] = "POST /v1/publish?topic=t HTTP/1.1\r\nHost: x\r\n"
                               "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n";
    put(fd, told, sizeof told - 1);
    get_until(fd, got, "\"too-large\"");
    assert_answer(got->str, "413", "over the limit");
    close(fd);

    /* a chunked body that never ends is cut off, after bounded memory */
    fd = dial(f);
    static const char head[] = "POST /v1/publish?topic=t HTTP/1.1\r\nHost: x\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    g_autofree char *chunk = g_strnfill((1 << 20) + 11, 'x');
    memcpy(chunk, "100000\r\n", 8);
    memcpy(chunk + 8 + (1 << 20), "\r\n", 2);
    put(fd, head, sizeof head - 1);
    for (int i = 0; i < 64; i++)
        put(fd, chunk, (1 << 20) + 10);
    g_string_truncate(got, 0);
    get_until(fd, got, NULL); /* the peer's end, without any answer of 200 */
    g_assert_null(strstr(got->str, " 200 "));
    close(fd);
}

static const char event_a[] =
    "{\"specversion\":\"1.0\",\"id\":\"a-1\",\"source\":\"/t\",\"type\":\"x\","
    "\"data\":{\"n\":1}}";

static void
test_publish(fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *good = ask(f, "POST", "/v1/publish?topic=orders", event_a);
    assert_answer(good, "200", "{\"id\":\"a-1\",\"topic\":\"orders\",\"level\":\"synced\"}");
    g_assert_cmpuint(f->mesh->events->len, ==, 1);
    g_autofree char *topic = ask(f, "POST", "/v1/publish", event_a);
    assert_answer(topic, "400", "needs ?topic=NAME");
    g_autofree char *level = ask(f, "POST", "/v1/publish?topic=t&level=marble", event_a);
    assert_answer(level, "400", "unknown level 'marble'");
    g_autofree char *event = ask(f, "POST", "/v1/publish?topic=t", "{\"id\":1}");
    assert_answer(event, "400", "\"error\"");
    f->mesh->publish_code = EMESH_E_NO_SPACE;
    g_autofree char *space = ask(f, "POST", "/v1/publish?topic=orders", event_a);
    assert_answer(space, "507", "the store says no");
    f->mesh->publish_code = EMESH_E_TIMEOUT;
    g_autofree char *perhaps = ask(f, "POST", "/v1/publish?topic=orders", event_a);
    assert_answer(perhaps, "504", "\"timeout\"");
    f->mesh->full = true;
    g_autofree char *full = ask(f, "POST", "/v1/publish?topic=orders", event_a);
    assert_answer(full, "429", "\"busy\"");
    g_assert_cmpuint(f->mesh->events->len, ==, 1);
}

static void
test_denied(fixture *f, gconstpointer data)
{
    (void)data;
    f->mesh->open_code = EMESH_E_DENIED;
    g_autofree char *answer = ask(f, "POST", "/v1/publish?topic=orders", event_a);
    assert_answer(answer, "403", "you are not wanted");
    g_assert_cmpuint(f->mesh->sessions->len, ==, 0);
    f->mesh->open_code = EMESH_OK; /* the refusal is not remembered */
    g_autofree char *again = ask(f, "POST", "/v1/publish?topic=orders", event_a);
    assert_answer(again, "200", "a-1");
}

static void
publish_n(fixture *f, int n)
{
    for (int i = 0; i < n; i++) {
        g_autofree char *event = g_strdup_printf("{\"specversion\":\"1.0\",\"id\":\"e-%d\","
                                                 "\"source\":\"/t\",\"type\":\"x\"}",
                                                 i);
        g_autofree char *answer = ask(f, "POST", "/v1/publish?topic=orders", event);
        assert_answer(answer, "200", "synced");
    }
}

static guint
count(const char *text, const char *word)
{
    guint n = 0;
    for (; (text = strstr(text, word)) != NULL; text += strlen(word))
        n++;
    return n;
}

static void
test_subscribe_max(fixture *f, gconstpointer data)
{
    (void)data;
    publish_n(f, 5);
    g_autofree char *three =
        ask(f, "GET", "/v1/subscribe?topic=orders&group=g&from=earliest&max=3", "");
    assert_answer(three, "200", "application/x-ndjson");
    assert_answer(three, "200", "\r\n0\r\n\r\n"); /* ended, not broken off */
    g_assert_cmpuint(count(three, "\"id\":\"e-"), ==, 3);
    /* exactly three were taken from the mesh, all settled, and the session left orderly */
    g_assert_cmpstr(f->mesh->log->str, ==, "done done done left ");
    g_autofree char *mode = ask(f, "GET", "/v1/subscribe?topic=orders&mode=some", "");
    assert_answer(mode, "400", "unknown mode 'some'");
    g_autofree char *zero = ask(f, "GET", "/v1/subscribe?topic=orders&max=0", "");
    assert_answer(zero, "400", "max");
}

/* Settled once written and not before; a peer that goes ends its session as cut. */
static void
test_subscribe_cut(fixture *f, gconstpointer data)
{
    (void)data;
    publish_n(f, 2);
    int fd = dial(f);
    g_autoptr(GString) got = g_string_new(NULL);
    static const char head[] = "GET /v1/subscribe?topic=orders&from=earliest HTTP/1.1\r\n"
                               "Host: x\r\n\r\n";
    put(fd, head, sizeof head - 1);
    get_until(fd, got, "\"e-1\"");
    while (count(f->mesh->log->str, "done ") < 2)
        g_main_context_iteration(NULL, TRUE);
    close(fd); /* the stream is quiet now: only a look at the descriptor can tell */
    while (strstr(f->mesh->log->str, "cut ") == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpstr(f->mesh->log->str, ==, "done done cut ");
}

/* A reader that does not read: what cannot be written stays unsettled, within the window. */
static void
test_subscribe_stuck(fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *fill = g_strnfill(100000, 'z');
    g_autofree char *event =
        g_strdup_printf("{\"specversion\":\"1.0\",\"id\":\"b\",\"source\":\"/t\","
                        "\"type\":\"x\",\"data\":\"%s\"}",
                        fill);
    for (int i = 0; i < 80; i++) {
        g_autofree char *answer = ask(f, "POST", "/v1/publish?topic=orders", event);
        assert_answer(answer, "200", "synced");
    }
    int fd = dial(f);
    static const char head[] = "GET /v1/subscribe?topic=orders&from=earliest HTTP/1.1\r\n"
                               "Host: x\r\n\r\n";
    put(fd, head, sizeof head - 1);
    while (f->mesh->next_delivery < 32)
        g_main_context_iteration(NULL, TRUE);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    guint done = count(f->mesh->log->str, "done ");
    g_assert_cmpuint(done, <, 32);
    g_assert_cmpuint(f->mesh->next_delivery - done, <=, 32);
    close(fd);
    while (strstr(f->mesh->log->str, "cut ") == NULL)
        g_main_context_iteration(NULL, TRUE);
}

static void
test_kick(fixture *f, gconstpointer data)
{
    (void)data;
    publish_n(f, 1);
    int fd = dial(f);
    g_autoptr(GString) got = g_string_new(NULL);
    static const char head[] = "GET /v1/subscribe?topic=orders&from=earliest HTTP/1.1\r\n"
                               "Host: x\r\nConnection: close\r\n\r\n";
    put(fd, head, sizeof head - 1);
    get_until(fd, got, "\"e-0\"");
    while (strstr(f->mesh->log->str, "done ") == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpuint(f->mesh->sessions->len, ==, 2);
    fake_mesh_kick(f->mesh, "maintenance");
    get_until(fd, got, NULL);
    g_assert_true(g_str_has_suffix(got->str, "\r\n0\r\n\r\n"));
    close(fd);
    g_assert_cmpuint(f->mesh->sessions->len, ==, 0);
    g_assert_null(strstr(f->mesh->log->str, "cut"));
    g_autofree char *again = ask(f, "POST", "/v1/publish?topic=orders", event_a);
    assert_answer(again, "200", "a-1");
}

/* 64 connections that say nothing: the 65th is told, and one that goes makes room. */
static void
test_connections(fixture *f, gconstpointer data)
{
    (void)data;
    int fds[64];
    for (int i = 0; i < 64; i++)
        fds[i] = dial(f);
    int fd = dial(f);
    g_autoptr(GString) got = g_string_new(NULL);
    get_until(fd, got, NULL);
    close(fd);
    assert_answer(got->str, "503", "64 admin connections");
    const char *body = strstr(got->str, "\r\n\r\n") + 4;
    g_autofree char *length = g_strdup_printf("Content-Length: %zu\r\n", strlen(body));
    g_assert_nonnull(strstr(got->str, length));
    close(fds[0]);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    g_autofree char *answer = ask(f, "POST", "/v1/command/command.list", "{}");
    assert_answer(answer, "200", "rows");
    for (int i = 1; i < 64; i++)
        close(fds[i]);
}

/* Requests under way when the daemon stops are answered or cut, and nothing is left behind. */
static void
test_stop_under_way(fixture *f, gconstpointer data)
{
    (void)data;
    int stream = dial(f), call = dial(f), half = dial(f);
    g_autoptr(GString) got = g_string_new(NULL);
    static const char subscribe[] = "GET /v1/subscribe?topic=orders HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char publish[] = "POST /v1/publish?topic=t HTTP/1.1\r\nHost: x\r\n"
                                  "Content-Length: 54\r\n\r\n{\"specversion\":\"1.0\",\"id\":\"1\","
                                  "\"source\":\"/\",\"type\":\"x\"}";
    put(stream, subscribe, sizeof subscribe - 1);
    get_until(stream, got, "\r\n\r\n");
    put(half, publish, 60);
    put(call, publish, sizeof publish - 1);
    while (f->mesh->sessions->len < 2) /* the publish waits for its session */
        g_main_context_iteration(NULL, TRUE);
    fake_mesh_down(f->mesh);
    get_until(stream, got, NULL);
    g_string_truncate(got, 0);
    get_until(call, got, NULL);
    g_assert_null(strstr(got->str, " 200 "));
    close(stream);
    close(call);
    close(half);
    g_assert_cmpuint(f->mesh->sessions->len, ==, 0);
    g_assert_true(fake_mesh_up(f->mesh)); /* and it starts again on the same path */
}

static void
test_second_daemon(fixture *f, gconstpointer data)
{
    (void)data;
    fake_mesh *second = fake_mesh_new(&emesh_admin_component, f->path);
    g_assert_false(fake_mesh_up(second));
    g_assert_nonnull(strstr(second->op_text, "belongs to a running eventmeshd (pid "));
    g_assert_nonnull(strstr(second->op_text, f->path));
    fake_mesh_free(second);
    g_autofree char *answer = ask(f, "POST", "/v1/command/command.list", "{}");
    assert_answer(answer, "200", "rows");
}

static void
bind_plain(const char *path, int *fd, bool listening)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(addr.sun_path, path, sizeof addr.sun_path);
    g_assert_cmpint(bind(*fd, (struct sockaddr *)&addr, sizeof addr), ==, 0);
    if (listening)
        g_assert_cmpint(listen(*fd, 1), ==, 0);
}

static void
test_paths(void)
{
    fixture f = { 0 };
    int fd = -1;
    struct stat st;
    f.dir = g_dir_make_tmp("emesh-admin-XXXXXX", NULL);
    f.path = g_build_filename(f.dir, "admin.sock", NULL);
    f.mesh = fake_mesh_new(&emesh_admin_component, f.path);

    g_assert_true(g_file_set_contents(f.path, "precious", -1, NULL));
    g_assert_false(fake_mesh_up(f.mesh));
    g_assert_nonnull(strstr(f.mesh->op_text, "is no socket"));
    g_assert_true(g_file_test(f.path, G_FILE_TEST_IS_REGULAR));
    g_unlink(f.path);

    bind_plain(f.path, &fd, true); /* some other program */
    g_assert_false(fake_mesh_up(f.mesh));
    g_assert_nonnull(strstr(f.mesh->op_text, "another program listens"));
    close(fd); /* now it is what a crash leaves */

    g_assert_true(fake_mesh_up(f.mesh));
    g_assert_cmpint(stat(f.path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 0777, ==, 0660);
    fake_mesh_down(f.mesh);

    g_autofree char *fill = g_strnfill(120, 'd');
    g_autofree char *far = g_build_filename(f.dir, fill, "admin.sock", NULL);
    f.mesh->socket = far;
    g_assert_false(fake_mesh_up(f.mesh));
    g_assert_nonnull(strstr(f.mesh->op_text, "choose a shorter --run"));
    g_autofree char *nowhere = g_build_filename(f.dir, "no", "admin.sock", NULL);
    f.mesh->socket = nowhere;
    g_assert_false(fake_mesh_up(f.mesh));
    g_assert_nonnull(strstr(f.mesh->op_text, "does the folder exist"));
    fake_mesh_free(f.mesh);
    remove_dir(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add("/admin-face/" name, fixture, NULL, set_up, fn, tear_down)
    ADD("command", test_command);
    ADD("bad-input", test_bad_input);
    ADD("body-limits", test_body_limits);
    ADD("publish", test_publish);
    ADD("denied", test_denied);
    ADD("subscribe-max", test_subscribe_max);
    ADD("subscribe-cut", test_subscribe_cut);
    ADD("subscribe-stuck", test_subscribe_stuck);
    ADD("kick", test_kick);
    ADD("connections", test_connections);
    ADD("stop-under-way", test_stop_under_way);
    ADD("second-daemon", test_second_daemon);
    g_test_add_func("/admin-face/paths", test_paths);
    return g_test_run();
}
