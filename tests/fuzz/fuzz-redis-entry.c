/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries of a stream as events: the input is cut into fields at its zero bytes. Whatever the fields are,
 * there is an event or none; what is a CloudEvent is written again as the same fields' event.
 */
#include "codec.h"
#include "event/event.h"
#include "fuzz.h"

#include <string.h>

#define MOST 64u

static void
same(const emesh_event *a, const emesh_event *b)
{
    emesh_event_view x = { .size = sizeof x }, y = { .size = sizeof y };

    emesh_event_service.view(a, &x);
    emesh_event_service.view(b, &y);
    g_assert_cmpuint(x.n_attrs, ==, y.n_attrs);
    g_assert_cmpuint(x.data_form, ==, y.data_form);
    g_assert_cmpuint(x.data_len, ==, y.data_len);
    for (uint32_t i = 0; i < x.n_attrs; i++) {
        g_assert_cmpmem(x.attrs[i].name, x.attrs[i].name_len, y.attrs[i].name, y.attrs[i].name_len);
        g_assert_cmpmem(x.attrs[i].value, x.attrs[i].value_len, y.attrs[i].value, y.attrs[i].value_len);
        g_assert_cmpuint(x.attrs[i].type, ==, y.attrs[i].type);
    }
}

static void
again(const emesh_event *event)
{
    g_autoptr(GStringChunk) chunk = g_string_chunk_new(1024);
    rs_args *words = g_new0(rs_args, 1);
    g_autofree redisReply *texts = NULL;
    g_autofree const redisReply **fields = NULL;
    const emesh_event *back;
    bool foreign;

    rs_words_of(&emesh_event_service, event, chunk, words);
    texts = g_new0(redisReply, words->n);
    fields = g_new0(const redisReply *, words->n);
    for (uint32_t i = 0; i < words->n; i++) {
        texts[i] = (redisReply){ .type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)words->v[i],
                                 .len = words->len[i] };
        fields[i] = &texts[i];
    }
    back = rs_event_of(NULL, &emesh_event_service, fields, words->n, "T", "1-1", &foreign);
    g_assert_nonnull(back);
    g_assert_false(foreign);
    same(event, back);
    emesh_event_service.unref(&back, 1);
    rs_args_free(words);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    redisReply texts[MOST];
    const redisReply *fields[MOST] = { NULL };
    const emesh_event *event;
    bool foreign = false;
    size_t n = 0;

    for (size_t at = 0; at < size && n < MOST; n++) {
        const uint8_t *end = memchr(data + at, 0, size - at);
        size_t len = end != NULL ? (size_t)(end - data) - at : size - at;
        texts[n] = (redisReply){ .type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)(data + at),
                                 .len = len };
        fields[n] = &texts[n];
        at += len + 1;
    }
    event = rs_event_of(NULL, &emesh_event_service, fields, n, "T\xff", "1-1", &foreign);
    g_assert_true(event != NULL || n < 2 || n % 2 != 0 || foreign);
    if (event != NULL && !foreign)
        again(event);
    emesh_event_service.unref(&event, 1);
    return 0;
}
