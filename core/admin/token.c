/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and comparing the token of the HTTP administration.
 */
#include "admin/token.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_LEAST 16
#define TOKEN_MOST 512

int64_t
emesh_file_stamp(const char *path)
{
    struct stat st;
    if (path == NULL || stat(path, &st) != 0)
        return 0;
    return (int64_t)((uint64_t)st.st_ino * 31u + (uint64_t)st.st_mtim.tv_sec * 1000003u +
                     (uint64_t)st.st_mtim.tv_nsec + (uint64_t)st.st_mode * 7u);
}

static bool
refuse(GError **error, const char *path, const char *why)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, "the token file %s %s", path, why);
    return false;
}

/* May nobody but root, the daemon's user and its group read it, and only the first two write? */
static bool
judge_file(int fd, const char *path, GError **error)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return refuse(error, path, "is no plain file");
    if ((st.st_mode & (S_IRWXO | S_IWGRP)) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()))
        return true;
    if ((st.st_mode & (S_IRWXO | S_IWGRP)) != 0)
        return refuse(error, path, "is open to other users: chmod 0640 it, or less, and take a new "
                                   "token, for this one may be known");
    return refuse(error, path, "belongs to another user: it has to be root's or the daemon's own");
}

static bool
judge_text(const char *text, size_t len, const char *path, GError **error)
{
    if (len < TOKEN_LEAST)
        return refuse(error, path,
                      "has fewer than 16 characters in its first line: write one as "
                      "`openssl rand -hex 32` makes it");
    if (len > TOKEN_MOST)
        return refuse(error, path, "has more than 512 characters in its first line");
    for (size_t i = 0; i < len; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f)
            return refuse(error, path,
                          "has a character in its first line that is no printable ASCII");
    return true;
}

bool
emesh_token_load(emesh_token *out, const char *path, GError **error)
{
    char text[TOKEN_MOST + 3];
    int64_t stamp = emesh_file_stamp(path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    "cannot open the token file %s: %s", path, g_strerror(errno));
        return false;
    }
    ssize_t got = judge_file(fd, path, error) ? read(fd, text, sizeof text) : -1;
    bool good = got >= 0;
    close(fd);
    if (!good) {
        if (error != NULL && *error == NULL)
            refuse(error, path, "cannot be read");
        return false;
    }
    size_t len = 0;
    while (len < (size_t)got && text[len] != '\n' && text[len] != '\r')
        len++;
    good = judge_text(text, len, path, error);
    if (good) {
        SHA256((const unsigned char *)text, len, out->hash);
        out->stamp = stamp;
    }
    explicit_bzero(text, sizeof text);
    return good;
}

bool
emesh_token_matches(const emesh_token *token, const char *offered, size_t len)
{
    uint8_t hash[32];
    SHA256((const unsigned char *)offered, len, hash);
    bool same = CRYPTO_memcmp(hash, token->hash, sizeof hash) == 0;
    explicit_bzero(hash, sizeof hash);
    return same;
}
