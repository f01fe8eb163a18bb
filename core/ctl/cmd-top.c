/* SPDX-License-Identifier: Apache-2.0
 *
 * top: topics and groups on one screen, again every few seconds. Rates are differences of two
 * answers. Plain ANSI on the alternate screen; the terminal is as it was afterwards, whatever ends
 * it.
 */
#include "ctl/output.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

static const ctl_column topics[] = {
    { "topic", "TOPIC", CTL_TEXT },          { "store", "STORE", CTL_TEXT },
    { "published-rate", "IN/S", CTL_COUNT }, { "published", "PUBLISHED", CTL_COUNT },
    { "under-way", "UNDER WAY", CTL_COUNT }, { NULL, NULL, CTL_TEXT },
};

static const ctl_column groups[] = {
    { "group", "GROUP", CTL_TEXT },         { "topic", "TOPIC", CTL_TEXT },
    { "members", "MEMBERS", CTL_COUNT },    { "delivered-rate", "OUT/S", CTL_COUNT },
    { "settled-rate", "ACK/S", CTL_COUNT }, { "lag", "LAG", CTL_COUNT },
    { "age-ms", "OLDEST", CTL_SPAN },       { "in-flight", "IN FLIGHT", CTL_COUNT },
    { "waiting", "WAITING", CTL_COUNT },    { "retried-rate", "RETRY/S", CTL_COUNT },
    { "dead-letters", "DEAD", CTL_COUNT },  { "breakers", "BREAKERS", CTL_COUNT },
    { "slow", "SLOW", CTL_COUNT },          { NULL, NULL, CTL_TEXT },
};

static const ctl_column sessions[] = {
    { "session", "SESSION", CTL_TEXT },   { "state", "STATE", CTL_STATE },
    { "group", "GROUP", CTL_TEXT },       { "topic", "TOPIC", CTL_TEXT },
    { "open", "OPEN", CTL_COUNT },        { "credit", "CREDIT", CTL_COUNT },
    { "held-ms", "HOLDS FOR", CTL_SPAN }, { NULL, NULL, CTL_TEXT },
};

/* ---- rates ---- */

static const char *const counters[] = { "published", "refused", "delivered", "settled", "retried" };

static char *
key_of(JsonObject *row)
{
    return g_strjoin("\n", json_object_get_string_member_with_default(row, "kind", ""),
                     json_object_get_string_member_with_default(row, "topic", ""),
                     json_object_get_string_member_with_default(row, "group", ""), NULL);
}

static gint64
at_ms(JsonArray *rows)
{
    JsonObject *daemon = rows != NULL ? ctl_row_of_kind(rows, "daemon") : NULL;

    return daemon != NULL ? json_object_get_int_member_with_default(daemon, "at-ms", 0) : 0;
}

static void
rate_row(JsonObject *row, JsonObject *before, double seconds)
{
    for (gsize i = 0; i < G_N_ELEMENTS(counters); i++) {
        g_autofree char *name = g_strconcat(counters[i], "-rate", NULL);
        gint64 now, then;
        if (!json_object_has_member(row, counters[i]))
            continue;
        now = json_object_get_int_member_with_default(row, counters[i], 0);
        then = before != NULL ? json_object_get_int_member_with_default(before, counters[i], 0) : 0;
        json_object_set_int_member(row, name,
                                   now > then ? (gint64)((double)(now - then) / seconds + 0.5) : 0);
    }
}

static void
rate(JsonArray *rows, JsonArray *before)
{
    g_autoptr(GHashTable) old = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    double seconds = (double)(at_ms(rows) - at_ms(before)) / 1000.0;

    for (guint i = 0; i < json_array_get_length(before); i++) {
        JsonObject *row = json_array_get_object_element(before, i);
        g_hash_table_replace(old, key_of(row), row);
    }
    for (guint i = 0; seconds > 0 && i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        g_autofree char *key = key_of(row);
        rate_row(row, g_hash_table_lookup(old, key), seconds);
    }
}

/* ---- the screen ---- */

static void
heading(GString *out, const ctl *c, JsonArray *rows)
{
    JsonObject *d = ctl_row_of_kind(rows, "daemon");
    static const ctl_column in = { "published-rate", "", CTL_COUNT };
    static const ctl_column to = { "delivered-rate", "", CTL_COUNT };
    static const ctl_column acks = { "settled-rate", "", CTL_COUNT };
    static const ctl_column bad = { "refused-rate", "", CTL_COUNT };
    g_autofree char *published = ctl_cell(d, &in, 0);
    g_autofree char *delivered = ctl_cell(d, &to, 0);
    g_autofree char *settled = ctl_cell(d, &acks, 0);
    g_autofree char *refused = ctl_cell(d, &bad, 0);
    gint64 findings = json_object_get_int_member_with_default(d, "findings", 0);

    g_string_append_printf(
        out, "%s in/s, %s refused/s, %s out/s, %s acked/s, %" G_GINT64_FORMAT " sessions",
        published, refused, delivered, settled,
        json_object_get_int_member_with_default(d, "sessions", 0));
    if (findings > 0)
        g_string_append_printf(out, ", %s%" G_GINT64_FORMAT " finding%s%s (eventmeshctl status)",
                               ctl_bold(c->colour), findings, findings == 1 ? "" : "s",
                               ctl_plain(c->colour));
    g_string_append(out, "\n");
}

static char *
screen(const ctl *c, JsonArray *rows)
{
    GString *out = g_string_new(NULL);

    if (ctl_row_of_kind(rows, "daemon") == NULL)
        return g_string_free(out, FALSE);
    heading(out, c, rows);
    g_string_append_c(out, '\n');
    if (ctl_table(out, rows, "group", groups, c->colour, c->now_ms) > 0)
        g_string_append_c(out, '\n');
    if (ctl_table(out, rows, "session", sessions, c->colour, c->now_ms) > 0)
        g_string_append_c(out, '\n');
    ctl_table(out, rows, "topic", topics, c->colour, c->now_ms);
    return g_string_free(out, FALSE);
}

/* Cuts a line to the columns of the terminal; escape sequences take none. */
static void
put_line(GString *out, const char *line, size_t len, guint width)
{
    guint used = 0;

    for (size_t i = 0; i < len;) {
        if (line[i] == '\x1b') {
            size_t end = i + 1;
            while (end < len && line[end] != 'm')
                end++;
            g_string_append_len(out, line + i, (gssize)(MIN(end + 1, len) - i));
            i = end + 1;
            continue;
        }
        if (used < width && ((unsigned char)line[i] & 0xc0) != 0x80)
            used++;
        else if (((unsigned char)line[i] & 0xc0) != 0x80)
            break;
        g_string_append_c(out, line[i++]);
    }
    g_string_append(out, "\x1b[0m\x1b[K\r\n");
}

static void
draw(const char *text)
{
    struct winsize size = { .ws_row = 24, .ws_col = 80 };
    g_autoptr(GString) out = g_string_new("\x1b[H");
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 2 || size.ws_col < 2) {
        size.ws_row = 24;
        size.ws_col = 80;
    }
    for (guint i = 0; lines[i] != NULL && i + 1 < size.ws_row; i++)
        put_line(out, lines[i], strlen(lines[i]), size.ws_col);
    g_string_append(out, "\x1b[J");
    for (size_t done = 0; done < out->len;) {
        ssize_t n = write(STDOUT_FILENO, out->str + done, out->len - done);
        if (n < 0 && errno != EINTR)
            return;
        done += n > 0 ? (size_t)n : 0;
    }
}

/* What the terminal or the user says within ms: 'q', 0 (a new size), or -1 when nobody did. */
static int
wait_for(int signals, int ms)
{
    struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
                            { .fd = signals, .events = POLLIN } };
    struct signalfd_siginfo info;
    char key = 0;

    if (poll(fds, G_N_ELEMENTS(fds), ms) <= 0)
        return -1;
    if ((fds[1].revents & POLLIN) != 0 && read(signals, &info, sizeof info) == sizeof info)
        return info.ssi_signo == SIGWINCH ? 0 : 'q';
    if (fds[0].revents != 0 && read(STDIN_FILENO, &key, 1) <= 0)
        return 'q'; /* the terminal is gone */
    return key == 3 || key == 'Q' ? 'q' : key == 'q' ? 'q' : key == ' ' ? ' ' : 0;
}

static int
run_live(ctl *c)
{
    struct termios was, raw;
    sigset_t mask, old;
    int code = CTL_OK, signals;
    g_autoptr(JsonArray) before = NULL;

    sigemptyset(&mask);
    sigaddset(&mask, SIGWINCH);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGHUP);
    if (tcgetattr(STDIN_FILENO, &was) != 0) {
        ctl_say("top: needs a terminal, or --once");
        return CTL_USAGE;
    }
    before = ctl_rows(c, "top", NULL, &code); /* while errors can still be read */
    if (before == NULL)
        return code;
    sigprocmask(SIG_BLOCK, &mask, &old);
    signals = signalfd(-1, &mask, SFD_CLOEXEC);
    raw = was;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    fputs("\x1b[?1049h\x1b[?25l\x1b[2J", stdout);
    fflush(stdout);
    g_autofree char *text = screen(c, before);
    draw(text);
    for (gint64 next = g_get_monotonic_time() + 1000000; code == CTL_OK;) {
        int key = wait_for(signals, (int)CLAMP((next - g_get_monotonic_time()) / 1000, 0, 60000));
        if (key == 'q')
            break;
        if (key < 0 || key == ' ') {
            JsonArray *rows = ctl_rows_if_up(c, "top", NULL, &code);
            if (rows == NULL)
                break;
            rate(rows, before);
            g_free(text);
            text = screen(c, rows);
            json_array_unref(before);
            before = rows;
            next = g_get_monotonic_time() + c->opt.interval * 1000000;
        }
        draw(text);
    }
    fputs("\x1b[?25h\x1b[?1049l", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSANOW, &was);
    close(signals);
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (code != CTL_OK)
        ctl_say("top: the daemon does not answer any more");
    return code;
}

int
ctl_top(ctl *c, char **args, int n)
{
    int code = CTL_OK;

    (void)args, (void)n;
    if (c->opt.interval < 1 || c->opt.interval > 3600) {
        ctl_say("top: --interval is 1 to 3600 seconds");
        return CTL_USAGE;
    }
    if (!c->opt.once && !c->opt.json)
        return run_live(c);
    g_autoptr(JsonArray) before = ctl_rows(c, "top", NULL, &code);
    if (before == NULL)
        return code;
    g_usleep((gulong)c->opt.interval * 1000000u);
    g_autoptr(JsonArray) rows = ctl_rows(c, "top", NULL, &code);
    if (rows == NULL)
        return code;
    rate(rows, before);
    if (c->opt.json) {
        ctl_print_json(c, rows);
    } else {
        g_autofree char *text = screen(c, rows);
        fputs(text, c->out);
    }
    return CTL_OK;
}
