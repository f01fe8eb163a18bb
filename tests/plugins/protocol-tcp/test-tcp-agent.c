/* SPDX-License-Identifier: Apache-2.0
 *
 * The one thing that lanes share: joined, shown and left from several threads at once.
 */
#include "agent.h"
#include <glib.h>
#include <pthread.h>
#include <string.h>

static tcp_field
field(const char *text)
{
    return (tcp_field){ text, strlen(text) };
}

static void
test_same_client(void)
{
    tcp_agents *all = tcp_agents_new();
    tcp_agent *a = tcp_agent_join(all, field("10.0.0.1"), field("{\"pid\":1}"));
    tcp_agent *b = tcp_agent_join(all, field("10.0.0.1"), field("{\"pid\":1}"));
    tcp_agent *other_host = tcp_agent_join(all, field("10.0.0.2"), field("{\"pid\":1}"));
    tcp_agent *other = tcp_agent_join(all, field("10.0.0.1"), field("{\"pid\":2}"));
    g_assert_true(a == b && a != other && a != other_host);
    g_assert_cmpint(tcp_agent_shown(a), ==, TCP_FLAVOUR_UNKNOWN);
    tcp_agent_show(a, TCP_FLAVOUR_CE);
    tcp_agent_leave(all, a);
    g_assert_cmpint(tcp_agent_shown(b), ==, TCP_FLAVOUR_CE);
    g_assert_cmpint(tcp_agent_shown(other), ==, TCP_FLAVOUR_UNKNOWN);
    tcp_agent_show(b, TCP_FLAVOUR_CE);
    g_assert_cmpint(tcp_agent_shown(b), ==, TCP_FLAVOUR_CE);
    tcp_agent_show(b, TCP_FLAVOUR_MESSAGE);
    g_assert_cmpint(tcp_agent_shown(b), ==, TCP_FLAVOUR_MIXED);
    tcp_agent_leave(all, b); /* the last: what it showed is forgotten */
    b = tcp_agent_join(all, field("10.0.0.1"), field("{\"pid\":1}"));
    g_assert_cmpint(tcp_agent_shown(b), ==, TCP_FLAVOUR_UNKNOWN);
    tcp_agent_leave(all, b);
    tcp_agent_leave(all, other);
    tcp_agent_leave(all, other_host);
    tcp_agent_leave(all, NULL);
    tcp_agents_free(all);
}

#define AGENTS 300 /* more than the table has slots at first */

typedef struct worker {
    tcp_agents *all;
    guint seed;
} worker;

static void *
work(void *data)
{
    worker *w = data;
    tcp_agent *mine[AGENTS];
    for (int round = 0; round < 20; round++) {
        for (guint i = 0; i < AGENTS; i++) {
            g_autofree char *text = g_strdup_printf("{\"pid\":%u}", (i * 7 + w->seed) % AGENTS);
            mine[i] = tcp_agent_join(w->all, field("10.0.0.1"), field(text));
            tcp_agent_show(mine[i], TCP_FLAVOUR_MESSAGE);
        }
        for (guint i = 0; i < AGENTS; i++) {
            /* its own reference keeps what it showed */
            g_assert_cmpint(tcp_agent_shown(mine[i]), ==, TCP_FLAVOUR_MESSAGE);
            tcp_agent_leave(w->all, mine[i]);
        }
    }
    return NULL;
}

static void
test_threads(void)
{
    tcp_agents *all = tcp_agents_new();
    pthread_t threads[4];
    worker workers[4];
    for (guint i = 0; i < 4; i++) {
        workers[i] = (worker){ all, i };
        g_assert_cmpint(pthread_create(&threads[i], NULL, work, &workers[i]), ==, 0);
    }
    for (guint i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    tcp_agents_free(all);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/protocol-tcp/agent/same-client", test_same_client);
    g_test_add_func("/protocol-tcp/agent/threads", test_threads);
    return g_test_run();
}
