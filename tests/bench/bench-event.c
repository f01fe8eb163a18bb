/* SPDX-License-Identifier: Apache-2.0
 *
 * What the event room costs per event: JSON both ways, build, image; beside it, on the same text in
 * the same rounds, what jsmn and yajl take to scan it (where their headers are installed): the
 * reason why the scanner is our own. Prints medians of nanoseconds.
 */
#include "event/event.h"
#include "event/json-scan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef HAVE_JSMN
#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
#include <jsmn.h>
#pragma GCC diagnostic pop
#endif
#ifdef HAVE_YAJL
#include <yajl/yajl_parse.h>
#endif

#define ROUNDS 15
#define TURNS 20000

typedef struct bench {
    emesh_part json, image;
    const emesh_event *event;
    uint64_t sink;
} bench;

static void
json_decode(bench *b)
{
    const emesh_event *event = NULL;
    if (emesh_event_from_json(&b->json, &event, NULL) != EMESH_OK)
        abort();
    b->sink += emesh_event_size(event);
    emesh_event_unref(event);
}

static void
json_scan(bench *b)
{
    emesh_json json;
    emesh_json_init(&json, b->json.ptr, b->json.len);
    b->sink += emesh_json_is_one_value(&json);
}

static void
json_encode(bench *b)
{
    emesh_part out;
    if (emesh_event_to_json(&b->event, 1, false, &out) != EMESH_OK)
        abort();
    b->sink += out.len;
    emesh_buf_unref(out.owner);
}

static void
build(bench *b)
{
    const emesh_event *event = NULL;
    if (emesh_event_build(emesh_event_peek(b->event), NULL, &event, NULL) != EMESH_OK)
        abort();
    b->sink += emesh_event_size(event);
    emesh_event_unref(event);
}

static void
image_decode(bench *b)
{
    const emesh_event *event = NULL;
    if (emesh_event_from_image(&b->image, 1, false, &event, NULL) != EMESH_OK)
        abort();
    b->sink += emesh_event_size(event);
    emesh_event_unref(event);
}

#ifdef HAVE_JSMN
static void
jsmn_scan(bench *b)
{
    jsmntok_t tokens[512];
    jsmn_parser parser;
    jsmn_init(&parser);
    b->sink += (uint64_t)jsmn_parse(&parser, b->json.ptr, b->json.len, tokens, 512);
}
#endif

#ifdef HAVE_YAJL
static void
yajl_scan(bench *b)
{
    static const yajl_callbacks none;
    yajl_handle handle = yajl_alloc(&none, NULL, b);
    b->sink += yajl_parse(handle, b->json.ptr, b->json.len) == yajl_status_ok;
    b->sink += yajl_complete_parse(handle) == yajl_status_ok;
    yajl_free(handle);
}
#endif

static uint64_t
now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return d < 0 ? -1 : d > 0;
}

static const struct {
    const char *name;
    void (*run)(bench *b);
} cases[] = {
    { "json decode", json_decode },   { "json encode", json_encode }, { "build", build },
    { "image decode", image_decode }, { "json scan", json_scan },
#ifdef HAVE_JSMN
    { "jsmn tokens", jsmn_scan },
#endif
#ifdef HAVE_YAJL
    { "yajl parse", yajl_scan },
#endif
};
#define N_CASES G_N_ELEMENTS(cases)

static void
measure(const char *what, const char *only, bench *b)
{
    double ns[N_CASES][ROUNDS];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < N_CASES; i++) {
            ns[i][round] = 0;
            if (only != NULL && strcmp(only, cases[i].name) != 0)
                continue;
            uint64_t start = now_ns();
            for (uint32_t turn = 0; turn < TURNS; turn++)
                cases[i].run(b);
            ns[i][round] = (double)(now_ns() - start) / TURNS;
        }
    }
    printf("%s, %zu bytes of JSON:\n", what, b->json.len);
    for (uint32_t i = 0; i < N_CASES; i++) {
        qsort(ns[i], ROUNDS, sizeof ns[i][0], by_value);
        printf("  %-14s %7.0f ns\n", cases[i].name, ns[i][ROUNDS / 2]);
    }
}

static void
run(const char *what, const char *only, const char *text)
{
    bench b = { 0 };
    size_t len = strlen(text);
    void *mem;
    emesh_buf *buf = emesh_buf_new(len, &mem);
    memcpy(mem, text, len);
    b.json = (emesh_part){ .ptr = mem, .len = len, .owner = buf };
    emesh_error err = { .size = sizeof err };
    if (emesh_event_from_json(&b.json, &b.event, &err) != EMESH_OK)
        g_error("%s", err.text);
    emesh_slice image = emesh_event_image(b.event);
    const emesh_event_view *view = emesh_event_peek(b.event);
    emesh_buf *kept = emesh_buf_new(image.len + view->data_len, &mem);
    memcpy(mem, image.ptr, image.len);
    memcpy((char *)mem + image.len, view->data[0].ptr, view->data_len);
    b.image = (emesh_part){ .ptr = mem, .len = image.len + view->data_len, .owner = kept };
    measure(what, only, &b);
    emesh_event_unref(b.event);
    emesh_buf_unref(buf);
    emesh_buf_unref(kept);
}

int
main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL; /* one case, for a profiler */
#define HEAD                                                                                       \
    "{\"specversion\":\"1.0\",\"id\":\"9d9f1d6e-6a3c-4d0e-8f47-0f4a0a1d2b3c\",\"source\":"         \
    "\"/orders/eu/4711\",\"type\":\"com.example.order.created\",\"subject\":\"orders\","           \
    "\"time\":\"2026-01-05T17:31:00.123Z\",\"datacontenttype\":\"application/json\","              \
    "\"protocoltype\":\"cloudevents\",\"ttl\":\"30000\",\"data\":"
    static const char small[] =
        HEAD "{\"order\":4711,\"customer\":\"M\xc3\xbcller & Co\",\"lines\":[{\"sku\":\"A-1\","
             "\"n\":2,\"price\":19.99},{\"sku\":\"B-22\",\"n\":1,\"price\":5.00}],\"note\":\"to the "
             "back door, please; ring twice\",\"paid\":true}}";
    run("small", only, small);
    GString *large = g_string_new(HEAD "[");
    for (uint32_t i = 0; i < 100; i++)
        g_string_append_printf(large, "%s{\"n\":%u,\"text\":\"line of some length\"}",
                               i > 0 ? "," : "", i);
    g_string_append(large, "]}");
    run("large", only, large->str);
    g_string_free(large, TRUE);
    return 0;
}
