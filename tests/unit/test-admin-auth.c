/* SPDX-License-Identifier: Apache-2.0
 *
 * The token of the HTTP administration, who guesses it, and where HTTP has the commands.
 */
#include "admin/command.h"
#include "admin/peers.h"
#include "admin/token.h"

#include <glib/gstdio.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
#define GOOD "0123456789abcdef"

static bool
load(const char *dir, const char *text, int mode, emesh_token *token, const char *why)
{
    g_autofree char *path = g_build_filename(dir, "token", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(g_chmod(path, mode), ==, 0);
    bool good = emesh_token_load(token, path, &error);
    g_assert_true(good == (why == NULL));
    if (!good) {
        g_assert_nonnull(strstr(error->message, why));
        g_assert_nonnull(strstr(error->message, path));
    }
    g_unlink(path);
    return good;
}

static void
test_token(void)
{
    g_autofree char *dir = g_dir_make_tmp("emesh-token-XXXXXX", NULL);
    g_autofree char *longest = g_strnfill(512, 'k'), *too_long = g_strnfill(513, 'k');
    g_autoptr(GError) error = NULL;
    emesh_token token = { .stamp = 0 };
    load(dir, GOOD "\nsecond line\n", 0640, &token, NULL);
    g_assert_true(emesh_token_matches(&token, GOOD, 16));
    g_assert_false(emesh_token_matches(&token, GOOD, 15));
    g_assert_false(emesh_token_matches(&token, GOOD "\n", 17));
    g_assert_false(emesh_token_matches(&token, "", 0));
    load(dir, GOOD "\r\n", 0400, &token, NULL);
    g_assert_true(emesh_token_matches(&token, GOOD, 16));
    load(dir, longest, 0600, &token, NULL);
    load(dir, too_long, 0600, &token, "more than 512");
    load(dir, "0123456789abcde\n", 0600, &token, "fewer than 16");
    load(dir, "", 0600, &token, "fewer than 16");
    load(dir, "0123 56789abcdef", 0600, &token, "no printable ASCII");
    load(dir, "0123\xc3\xa4" "56789abcdef", 0600, &token, "no printable ASCII");
    load(dir, GOOD, 0604, &token, "open to other users");
    load(dir, GOOD, 0602, &token, "open to other users");
    load(dir, GOOD, 0620, &token, "open to other users");
    /* what was refused left the token as it was */
    g_assert_true(emesh_token_matches(&token, longest, 512));
    g_assert_false(emesh_token_load(&token, dir, &error));
    g_assert_nonnull(strstr(error->message, "is no plain file"));
    g_rmdir(dir);
}

static void
test_stamp(void)
{
    g_autofree char *dir = g_dir_make_tmp("emesh-token-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "file", NULL);
    g_assert_cmpint(emesh_file_stamp(path), ==, 0);
    g_assert_cmpint(emesh_file_stamp(NULL), ==, 0);
    g_assert_true(g_file_set_contents(path, "a", 1, NULL));
    int64_t before = emesh_file_stamp(path);
    g_assert_cmpint(before, !=, 0);
    g_assert_true(g_file_set_contents(path, "b", 1, NULL));
    g_assert_cmpint(emesh_file_stamp(path), !=, before);
    g_unlink(path);
    g_rmdir(dir);
}

static void
test_guessing(void)
{
    emesh_peers *peers = emesh_peers_new();
    g_autoptr(GInetAddress) a = g_inet_address_new_from_string("192.0.2.1");
    g_autoptr(GInetAddress) b = g_inet_address_new_from_string("192.0.2.2");
    g_autoptr(GInetAddress) mapped = g_inet_address_new_from_string("::ffff:192.0.2.1");
    g_autoptr(GInetAddress) six = g_inet_address_new_from_string("2001:db8:1:2::1");
    g_autoptr(GInetAddress) neighbour = g_inet_address_new_from_string("2001:db8:1:2:ffff::9");
    g_autoptr(GInetAddress) far = g_inet_address_new_from_string("2001:db8:1:3::1");
    uint64_t now = 100 * SECOND;
    for (int i = 0; i < 10; i++) {
        g_assert_cmpuint(emesh_peers_wait(peers, a, now), ==, 0);
        emesh_peers_failed(peers, a, now);
        emesh_peers_failed(peers, six, now);
    }
    g_assert_cmpuint(emesh_peers_wait(peers, a, now), ==, 1);
    g_assert_cmpuint(emesh_peers_wait(peers, mapped, now), ==, 1); /* the same machine */
    g_assert_cmpuint(emesh_peers_wait(peers, neighbour, now), ==, 1);
    g_assert_cmpuint(emesh_peers_wait(peers, far, now), ==, 0);
    g_assert_cmpuint(emesh_peers_wait(peers, b, now), ==, 0);
    g_assert_cmpuint(emesh_peers_wait(peers, a, now + SECOND - 1), ==, 1);
    g_assert_cmpuint(emesh_peers_wait(peers, a, now + SECOND), ==, 0);
    emesh_peers_failed(peers, a, now + SECOND); /* one try a second, no ten more */
    g_assert_cmpuint(emesh_peers_wait(peers, a, now + SECOND), ==, 1);
    g_assert_cmpuint(emesh_peers_wait(peers, a, now + 60 * SECOND), ==, 0);
    emesh_peers_free(peers);
}

static void
test_told_once(void)
{
    emesh_peers *peers = emesh_peers_new();
    g_autoptr(GInetAddress) a = g_inet_address_new_from_string("192.0.2.1");
    uint64_t now = 5;
    g_assert_true(emesh_peers_tell(peers, a, EMESH_PEER_SLOW, now));
    g_assert_false(emesh_peers_tell(peers, a, EMESH_PEER_SLOW, now + SECOND));
    g_assert_true(emesh_peers_tell(peers, a, EMESH_PEER_FLOOD, now + SECOND));
    g_assert_true(emesh_peers_tell(peers, a, EMESH_PEER_SLOW, now + 600 * SECOND));
    for (uint32_t i = 0; i < 5000; i++) { /* memory stays bounded: the oldest are forgotten */
        g_autofree char *text = g_strdup_printf("10.%u.%u.1", i / 250, i % 250);
        g_autoptr(GInetAddress) other = g_inet_address_new_from_string(text);
        g_assert_true(emesh_peers_tell(peers, other, EMESH_PEER_SLOW, now + 601 * SECOND));
    }
    g_assert_true(emesh_peers_tell(peers, a, EMESH_PEER_SLOW, now + 602 * SECOND));
    emesh_peers_free(peers);
}

/* No two commands share a method and a path, and none hides an endpoint of its own. */
static void
test_routes(void)
{
    static const char *const own[] = { "GET /v1/openapi.json", "POST /v1/publish",
                                       "GET /v1/subscribe" };
    static const char *const some[][2] = { { "topic.list", "GET /v1/topic" },
                                           { "topic.create", "POST /v1/topic" },
                                           { "topic.delete", "DELETE /v1/topic" },
                                           { "topic.browse", "GET /v1/topic/browse" },
                                           { "group.reset", "POST /v1/group/reset" },
                                           { "log-level", "POST /v1/log-level" },
                                           { "health", "GET /v1/health" } };
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const emesh_command *const *tables = emesh_command_tables();
    for (uint32_t i = 0; i < G_N_ELEMENTS(own); i++)
        g_hash_table_add(seen, g_strdup(own[i]));
    for (uint32_t t = 0; tables[t] != NULL; t++) {
        for (const emesh_command *c = tables[t]; c->verb != NULL; c++) {
            g_autofree char *path = NULL;
            const char *method = emesh_command_route(c, &path);
            g_assert_true(g_hash_table_add(seen, g_strconcat(method, " ", path, NULL)));
            g_assert_true(c->changes || strcmp(method, "GET") == 0); /* GET changes nothing */
            g_assert_false(c->changes && strcmp(method, "GET") == 0);
        }
    }
    for (uint32_t i = 0; i < G_N_ELEMENTS(some); i++) {
        g_autofree char *path = NULL;
        const char *method = emesh_command_route(emesh_command_find(some[i][0]), &path);
        g_autofree char *both = g_strconcat(method, " ", path, NULL);
        g_assert_cmpstr(both, ==, some[i][1]);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/admin-auth/token", test_token);
    g_test_add_func("/admin-auth/stamp", test_stamp);
    g_test_add_func("/admin-auth/guessing", test_guessing);
    g_test_add_func("/admin-auth/told-once", test_told_once);
    g_test_add_func("/admin-auth/routes", test_routes);
    return g_test_run();
}
