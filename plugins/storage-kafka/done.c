/* SPDX-License-Identifier: Apache-2.0
 *
 * See done.h. The text is "em1:BITS:RUNS", both Base64. BITS has a bit for each of the first offsets
 * from the floor on, the lowest first, and is empty where runs alone do; RUNS are pairs of numbers,
 * not done and done in turn, seven bits a byte, from the end of BITS on.
 */
#include "done.h"

#include <string.h>

#define MARK "em1:"
#define RAW 2980u /* bytes of both, which Base64 makes a third longer */

void
kf_done_init(kf_done *done, int64_t floor)
{
    done->floor = floor;
    done->ranges = g_array_new(FALSE, FALSE, sizeof(kf_range));
}

void
kf_done_clear(kf_done *done)
{
    if (done->ranges != NULL)
        g_array_unref(done->ranges);
    done->ranges = NULL;
}

static kf_range *
at(const kf_done *done, guint i)
{
    return &g_array_index(done->ranges, kf_range, i);
}

/* The first range that ends at offset or behind it. */
static guint
find(const kf_done *done, int64_t offset)
{
    guint low = 0, high = done->ranges->len;

    while (low < high) {
        guint mid = (low + high) / 2;
        if (at(done, mid)->end < offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The floor goes over what is done right behind it. */
static void
settle(kf_done *done)
{
    guint n = 0;

    while (n < done->ranges->len && at(done, n)->first <= done->floor) {
        done->floor = MAX(done->floor, at(done, n)->end);
        n++;
    }
    if (n > 0)
        g_array_remove_range(done->ranges, 0, n);
}

bool
kf_done_up_to(kf_done *done, int64_t offset)
{
    if (offset <= done->floor)
        return false;
    done->floor = offset;
    settle(done);
    return true;
}

static void
add(kf_done *done, int64_t first, int64_t end)
{
    guint i = find(done, first), n = 0;
    kf_range range = { first, end };

    while (i + n < done->ranges->len && at(done, i + n)->first <= end) {
        range.first = MIN(range.first, at(done, i + n)->first);
        range.end = MAX(range.end, at(done, i + n)->end);
        n++;
    }
    if (n > 0)
        g_array_remove_range(done->ranges, i, n);
    g_array_insert_val(done->ranges, i, range);
}

bool
kf_done_one(kf_done *done, int64_t offset)
{
    if (kf_done_has(done, offset))
        return false;
    add(done, offset, offset + 1);
    settle(done);
    return true;
}

bool
kf_done_has(const kf_done *done, int64_t offset)
{
    guint i;

    if (offset < done->floor)
        return true;
    i = find(done, offset + 1);
    return i < done->ranges->len && at(done, i)->first <= offset;
}

int64_t
kf_done_count(const kf_done *done, int64_t end)
{
    int64_t n = 0;

    for (guint i = 0; i < done->ranges->len; i++)
        if (at(done, i)->first < end)
            n += MIN(at(done, i)->end, end) - at(done, i)->first;
    return n;
}

/* ---- text ---- */

static void
put(GByteArray *out, uint64_t n)
{
    uint8_t byte;

    do {
        byte = (uint8_t)(n & 0x7f);
        n >>= 7;
        if (n != 0)
            byte |= 0x80;
        g_byte_array_append(out, &byte, 1);
    } while (n != 0);
}

/* Runs from offset on; false: not all of them fit into room bytes. */
static bool
put_runs(const kf_done *done, int64_t from, guint room, GByteArray *out)
{
    for (guint i = find(done, from); i < done->ranges->len; i++) {
        kf_range range = *at(done, i);
        guint before = out->len;
        range.first = MAX(range.first, from);
        if (range.end <= range.first)
            continue;
        put(out, (uint64_t)(range.first - from));
        put(out, (uint64_t)(range.end - range.first));
        if (out->len > room) {
            g_byte_array_set_size(out, before);
            return false;
        }
        from = range.end;
    }
    return true;
}

static void
put_bits(const kf_done *done, GByteArray *out)
{
    g_byte_array_set_size(out, KF_DONE_BITS / 8);
    memset(out->data, 0, out->len);
    for (guint i = 0; i < done->ranges->len; i++)
        for (int64_t k = at(done, i)->first; k < at(done, i)->end; k++) {
            uint64_t bit = (uint64_t)(k - done->floor);
            if (bit >= KF_DONE_BITS)
                return;
            out->data[bit / 8] |= (uint8_t)(1u << bit % 8);
        }
}

char *
kf_done_write(const kf_done *done)
{
    g_autoptr(GByteArray) bits = g_byte_array_new(), runs = g_byte_array_new();
    g_autofree char *a = NULL, *b = NULL;

    if (done->ranges->len == 0)
        return g_strdup("");
    if (!put_runs(done, done->floor, RAW, runs)) {
        g_byte_array_set_size(runs, 0);
        put_bits(done, bits);
        put_runs(done, done->floor + KF_DONE_BITS, RAW - bits->len, runs);
    }
    a = g_base64_encode(bits->data, bits->len);
    b = g_base64_encode(runs->data, runs->len);
    return g_strconcat(MARK, a, ":", b, NULL);
}

static bool
get(const guchar **from, const guchar *end, uint64_t *n)
{
    *n = 0;
    for (unsigned shift = 0; *from < end && shift < 63; shift += 7) {
        guchar byte = *(*from)++;
        *n |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}

static void
get_bits(kf_done *done, const guchar *bits, gsize n)
{
    int64_t first = -1;

    for (gsize i = 0; i <= n * 8; i++) {
        bool set = i < n * 8 && (bits[i / 8] >> i % 8 & 1) != 0;
        if (set && first < 0)
            first = done->floor + (int64_t)i;
        if (!set && first >= 0) {
            add(done, first, done->floor + (int64_t)i);
            first = -1;
        }
    }
}

static void
get_runs(kf_done *done, int64_t from, const guchar *runs, gsize n)
{
    const guchar *end = runs + n;
    const uint64_t most = (uint64_t)1 << 61;
    uint64_t gap, length;

    while (get(&runs, end, &gap) && get(&runs, end, &length)) {
        if (gap > most || length > most || (uint64_t)from > most || length == 0)
            return;
        from += (int64_t)gap;
        add(done, from, from + (int64_t)length);
        from += (int64_t)length;
    }
}

bool
kf_done_read(kf_done *done, const char *text, size_t len)
{
    g_autofree char *copy = NULL;
    g_autofree guchar *bits = NULL, *runs = NULL;
    char *mark;
    gsize n_bits = 0, n_runs = 0;

    if (len < sizeof MARK - 1 || len > KF_DONE_TEXT + 96 ||
        memcmp(text, MARK, sizeof MARK - 1) != 0 || done->floor < 0)
        return false;
    copy = g_strndup(text + sizeof MARK - 1, len - (sizeof MARK - 1));
    mark = strchr(copy, ':');
    if (mark == NULL)
        return false;
    *mark = '\0';
    bits = g_base64_decode(copy, &n_bits);
    runs = g_base64_decode(mark + 1, &n_runs);
    get_bits(done, bits, n_bits);
    get_runs(done, done->floor + (int64_t)n_bits * 8, runs, n_runs);
    settle(done);
    return true;
}
