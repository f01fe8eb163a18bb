/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffers, building events alone and on a base, the flat image, the service table.
 */
#include "event/event.h"
#include <string.h>

#define ATTR(n, v) \
    { .name = n, .name_len = sizeof(n) - 1, .value = v, .value_len = sizeof(v) - 1 }

static const emesh_event *
build(const emesh_attr *attrs, uint32_t n, uint32_t form, const char *data, int32_t expected)
{
    emesh_part part = { .ptr = data, .len = data != NULL ? strlen(data) : 0 };
    emesh_event_view spec = { .size = sizeof spec, .data_form = form, .attrs = attrs,
                              .n_attrs = n, .data = &part, .n_data = data != NULL };
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };
    int32_t code = emesh_event_build(&spec, NULL, &event, &err);
    if (code != expected)
        g_test_message("%s", err.text);
    g_assert_cmpint(code, ==, expected);
    if (code != EMESH_OK) {
        g_assert_cmpint(err.code, ==, code);
        g_assert_cmpuint(strlen(err.text), >, 0);
        g_assert_null(event);
    }
    return event;
}

static void
assert_attr(const emesh_event *event, const char *name, const char *value, uint32_t type)
{
    const emesh_attr *attr = emesh_event_attr(event, name, strlen(name));
    if (value == NULL) {
        g_assert_null(attr);
        return;
    }
    g_assert_nonnull(attr);
    g_assert_cmpmem(attr->value, attr->value_len, value, strlen(value));
    g_assert_cmpuint(attr->type, ==, type);
}

static void
test_buf(void)
{
    void *mem = NULL;
    emesh_buf *buf = emesh_buf_new(100, &mem);
    memset(mem, 'x', 100);
    g_assert_true(emesh_buf_mem(buf) == mem);
    g_assert_cmpuint(emesh_buf_size(buf), ==, 100);
    g_assert_true(emesh_buf_is_unique(buf));
    emesh_buf_ref(buf);
    g_assert_false(emesh_buf_is_unique(buf));
    emesh_buf_unref(buf);
    emesh_buf_unref(buf);
    emesh_buf_unref(NULL);
    g_assert_null(emesh_buf_new(((size_t)64 << 20) + 1, &mem));

    GBytes *bytes = g_bytes_new("hello", 5);
    emesh_part part;
    buf = emesh_buf_new_bytes(bytes, &part);
    g_bytes_unref(bytes);
    g_assert_cmpmem(part.ptr, part.len, "hello", 5);
    g_assert_true(part.owner == buf);
    emesh_buf_unref(buf);
}

static void
test_order(void)
{
    const emesh_attr attrs[] = {
        ATTR("zeta", ""), ATTR("type", "t"), ATTR("specversion", "1.0"), ATTR("id", "1"),
        ATTR("time", "2024-02-29T12:00:00.123456789+05:30"), ATTR("source", "/rel"),
        ATTR("alpha", "a\tb"),
    };
    const emesh_event *event = build(attrs, 7, EMESH_DATA_TEXT, "payload", EMESH_OK);
    const emesh_event_view *view = emesh_event_peek(event);
    const char *const order[] = { "id", "source", "type", "zeta", "time", "alpha" };
    g_assert_cmpuint(view->n_attrs, ==, G_N_ELEMENTS(order));
    for (uint32_t i = 0; i < G_N_ELEMENTS(order); i++)
        g_assert_cmpmem(view->attrs[i].name, view->attrs[i].name_len, order[i], strlen(order[i]));
    assert_attr(event, "time", "2024-02-29T12:00:00.123456789+05:30", EMESH_ATTR_TIME);
    assert_attr(event, "source", "/rel", EMESH_ATTR_URI_REF);
    assert_attr(event, "zeta", "", EMESH_ATTR_TEXT);
    assert_attr(event, "specversion", NULL, 0);
    g_assert_cmpuint(view->data_form, ==, EMESH_DATA_TEXT);
    g_assert_cmpmem(view->data[0].ptr, view->data_len, "payload", 7);
    g_assert_cmpuint(emesh_event_size(event), ==,
                     2 + 1 + 6 + 4 + 4 + 1 + 4 + 4 + 35 + 5 + 3 + 7);
    emesh_event_unref(emesh_event_ref(event));
    emesh_event_unref(event);
}

#define BASIC ATTR("id", "1"), ATTR("source", "s"), ATTR("type", "t")

static void
test_refusals(void)
{
    const struct {
        emesh_attr more;
        int32_t code;
    } cases[] = {
        { ATTR("id", "2"), EMESH_E_INVALID },
        { ATTR("Upper", "x"), EMESH_E_INVALID },
        { ATTR("with_score", "x"), EMESH_E_INVALID },
        { ATTR("data", "x"), EMESH_E_INVALID },
        { ATTR("", "x"), EMESH_E_INVALID },
        { ATTR("specversion", "0.3"), EMESH_E_UNSUPPORTED },
        { ATTR("subject", ""), EMESH_E_INVALID },
        { ATTR("time", "2023-02-29T12:00:00Z"), EMESH_E_INVALID },
        { ATTR("time", "2023-02-28 12:00:00Z"), EMESH_E_INVALID },
        { ATTR("time", "2023-02-28T12:00:00.Z"), EMESH_E_INVALID },
        { ATTR("time", "2023-02-28T12:00:00"), EMESH_E_INVALID },
        { ATTR("x", "\xff"), EMESH_E_INVALID },
        { ATTR("x", "\xc0\x80"), EMESH_E_INVALID },
        { ATTR("x", "\xed\xa0\x80"), EMESH_E_INVALID },
        { ATTR("x", "longer than eight, then \0"), EMESH_E_INVALID },
        { { .name = "x", .name_len = 1, .value = "-0", .value_len = 2,
            .type = EMESH_ATTR_INTEGER }, EMESH_E_INVALID },
        { { .name = "x", .name_len = 1, .value = "2147483648", .value_len = 10,
            .type = EMESH_ATTR_INTEGER }, EMESH_E_INVALID },
        { { .name = "x", .name_len = 1, .value = "TRUE", .value_len = 4,
            .type = EMESH_ATTR_BOOLEAN }, EMESH_E_INVALID },
        { { .name = "x", .name_len = 1, .value = "rel/path", .value_len = 8,
            .type = EMESH_ATTR_URI }, EMESH_E_INVALID },
        { { .name = "x", .name_len = 1, .type = EMESH_ATTR_URI_REF }, EMESH_E_INVALID },
        { { .name = "x", .name_len = 1, .type = 77 }, EMESH_E_TOO_NEW },
        { { .name = "subject", .name_len = 7, .value = "1", .value_len = 1,
            .type = EMESH_ATTR_INTEGER }, EMESH_E_INVALID },
    };
    for (uint32_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const emesh_attr attrs[] = { BASIC, cases[i].more };
        build(attrs, 4, EMESH_DATA_NONE, NULL, cases[i].code);
    }
    const emesh_attr basic[] = { BASIC };
    build(basic, 2, EMESH_DATA_NONE, NULL, EMESH_E_INVALID);
    build(basic, 3, EMESH_DATA_NONE, "data", EMESH_E_INVALID);
    build(basic, 3, EMESH_DATA_TEXT, "\xfe", EMESH_E_INVALID);
    build(basic, 3, 9, "data", EMESH_E_TOO_NEW);
    build(NULL, 0, EMESH_DATA_NONE, NULL, EMESH_E_INVALID);
}

static void
test_accepted_values(void)
{
    const emesh_attr attrs[] = {
        BASIC,
        { .name = "low", .name_len = 3, .value = "-2147483648", .value_len = 11,
          .type = EMESH_ATTR_INTEGER },
        { .name = "zero", .name_len = 4, .value = "0", .value_len = 1,
          .type = EMESH_ATTR_INTEGER },
        { .name = "yes", .name_len = 3, .value = "true", .value_len = 4,
          .type = EMESH_ATTR_BOOLEAN },
        { .name = "bin", .name_len = 3, .value = "\0\xff", .value_len = 2,
          .type = EMESH_ATTR_BINARY },
        { .name = "link", .name_len = 4, .value = "urn:x", .value_len = 5, .type = EMESH_ATTR_URI },
        ATTR("dataschema", "type.googleapis.com/a.B"),
        ATTR("unicode", "gr\xc3\xbc\xc3\x9f dich, \xf0\x9f\x8c\x8d"),
    };
    const emesh_event *event = build(attrs, G_N_ELEMENTS(attrs), EMESH_DATA_BYTES, "", EMESH_OK);
    g_assert_cmpmem(emesh_event_attr(event, "bin", 3)->value, 2, "\0\xff", 2);
    assert_attr(event, "dataschema", "type.googleapis.com/a.B", EMESH_ATTR_URI_REF);
    /* Empty data are not absent data. */
    g_assert_cmpuint(emesh_event_peek(event)->data_form, ==, EMESH_DATA_BYTES);
    g_assert_cmpuint(emesh_event_peek(event)->data_len, ==, 0);
    emesh_event_unref(event);
}

static void
test_base(void)
{
    const emesh_attr attrs[] = { BASIC, ATTR("keep", "k"), ATTR("drop", "d"), ATTR("swap", "1") };
    const emesh_event *base = build(attrs, 6, EMESH_DATA_TEXT, "payload", EMESH_OK);
    const emesh_attr change[] = { ATTR("swap", "22"), ATTR("drop", ""), ATTR("absent", ""),
                                  ATTR("more", "m"), ATTR("type", "u") };
    emesh_event_view spec = { .size = sizeof spec, .attrs = change, .n_attrs = 5 };
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };
    g_assert_cmpint(emesh_event_build(&spec, base, &event, &err), ==, EMESH_OK);
    emesh_event_unref(base);
    assert_attr(event, "keep", "k", 0);
    assert_attr(event, "drop", NULL, 0);
    assert_attr(event, "swap", "22", 0);
    assert_attr(event, "more", "m", 0);
    assert_attr(event, "type", "u", 0);
    g_assert_cmpuint(emesh_event_peek(event)->n_attrs, ==, 6);
    g_assert_cmpmem(emesh_event_peek(event)->data[0].ptr, 7, "payload", 7);

    const emesh_attr twice[] = { ATTR("swap", "1"), ATTR("swap", "") };
    spec.attrs = twice;
    spec.n_attrs = 2;
    const emesh_event *none = NULL;
    g_assert_cmpint(emesh_event_build(&spec, event, &none, &err), ==, EMESH_E_INVALID);
    const emesh_attr headless[] = { ATTR("id", "") };
    spec.attrs = headless;
    spec.n_attrs = 1;
    g_assert_cmpint(emesh_event_build(&spec, event, &none, &err), ==, EMESH_E_INVALID);
    g_assert_nonnull(strstr(err.text, "id"));

    emesh_part part = { .ptr = "{}", .len = 2 };
    spec = (emesh_event_view){ .size = sizeof spec, .data_form = EMESH_DATA_JSON, .data = &part,
                               .n_data = 1 };
    g_assert_cmpint(emesh_event_build(&spec, event, &none, &err), ==, EMESH_OK);
    g_assert_cmpuint(emesh_event_peek(none)->data_form, ==, EMESH_DATA_JSON);
    g_assert_cmpuint(emesh_event_peek(none)->data_len, ==, 2);
    emesh_event_unref(none);
    emesh_event_unref(event);
}

/* Which data are kept by reference and which are copied. */
static void
test_data_owner(void)
{
    const emesh_attr attrs[] = { BASIC };
    const struct {
        size_t buffer, used;
        bool kept;
    } cases[] = {
        { 512, 100, true }, { 65536, 100, false }, { 65536, 20000, true },
        { 65536, 16000, false }, { 1 << 20, 1 << 20, true },
    };
    for (uint32_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        void *mem;
        emesh_buf *buf = emesh_buf_new(cases[i].buffer, &mem);
        memset(mem, (int)i + 1, cases[i].buffer);
        emesh_part part = { .ptr = (char *)mem, .len = cases[i].used, .owner = buf };
        emesh_event_view spec = { .size = sizeof spec, .data_form = EMESH_DATA_BYTES,
                                  .attrs = attrs, .n_attrs = 3, .data = &part, .n_data = 1 };
        const emesh_event *event = NULL;
        g_assert_cmpint(emesh_event_build(&spec, NULL, &event, NULL), ==, EMESH_OK);
        const emesh_part *got = emesh_event_peek(event)->data;
        g_assert_true((got->owner == buf) == cases[i].kept);
        g_assert_true(emesh_buf_is_unique(buf) == !cases[i].kept);
        g_assert_cmpmem(got->ptr, got->len, mem, cases[i].used);
        emesh_event_unref(event);
        g_assert_true(emesh_buf_is_unique(buf));
        part.ptr = (char *)mem + 1;
        part.len = cases[i].buffer;
        g_assert_cmpint(emesh_event_build(&spec, NULL, &event, NULL), ==, EMESH_E_INVALID);
        emesh_buf_unref(buf);
    }
}

static void
test_parts(void)
{
    const emesh_attr attrs[] = { BASIC };
    char text[200];
    emesh_part parts[200];
    for (uint32_t i = 0; i < 200; i++) {
        text[i] = (char)('a' + i % 26);
        parts[i] = (emesh_part){ .ptr = &text[i], .len = i % 2 };
    }
    emesh_event_view spec = { .size = sizeof spec, .data_form = EMESH_DATA_BYTES, .attrs = attrs,
                              .n_attrs = 3, .data = parts, .n_data = 10 };
    const emesh_event *event = NULL;
    g_assert_cmpint(emesh_event_build(&spec, NULL, &event, NULL), ==, EMESH_OK);
    g_assert_cmpuint(emesh_event_peek(event)->n_data, ==, 5);
    g_assert_cmpuint(emesh_event_peek(event)->data_len, ==, 5);
    g_assert_cmpmem(emesh_event_peek(event)->data[1].ptr, 1, "d", 1);
    emesh_event_unref(event);
    spec.n_data = 200; /* joined */
    g_assert_cmpint(emesh_event_build(&spec, NULL, &event, NULL), ==, EMESH_OK);
    g_assert_cmpuint(emesh_event_peek(event)->n_data, ==, 1);
    g_assert_cmpuint(emesh_event_peek(event)->data_len, ==, 100);
    g_assert_cmpmem(emesh_event_peek(event)->data[0].ptr, 3, "bdf", 3);
    emesh_event_unref(event);
    spec.n_data = 4;
    spec.data_form = EMESH_DATA_TEXT; /* text is always whole */
    g_assert_cmpint(emesh_event_build(&spec, NULL, &event, NULL), ==, EMESH_OK);
    g_assert_cmpuint(emesh_event_peek(event)->n_data, ==, 1);
    emesh_event_unref(event);
}

static void
test_limits(void)
{
    g_autofree emesh_attr *attrs = g_new0(emesh_attr, 1026);
    g_autofree char *names = g_malloc(1026 * 8);
    const emesh_attr basic[] = { BASIC };
    memcpy(attrs, basic, sizeof basic);
    for (uint32_t i = 3; i < 1026; i++) {
        char *name = names + (size_t)i * 8;
        g_snprintf(name, 8, "n%u", i);
        attrs[i] = (emesh_attr){ .name = name, .name_len = (uint32_t)strlen(name), .value = "v",
                                 .value_len = 1 };
    }
    const emesh_event *event = build(attrs, 1024, EMESH_DATA_NONE, NULL, EMESH_OK);
    g_assert_cmpuint(emesh_event_peek(event)->n_attrs, ==, 1024);
    assert_attr(event, "n1023", "v", 0);
    emesh_event_unref(event);
    build(attrs, 1025, EMESH_DATA_NONE, NULL, EMESH_E_TOO_LARGE);
    attrs[1000].name = "n17"; /* a duplicate far away */
    attrs[1000].name_len = 3;
    build(attrs, 1024, EMESH_DATA_NONE, NULL, EMESH_E_INVALID);

    g_autofree char *big = g_malloc((16 << 20) + 1);
    memset(big, 'b', (16 << 20) + 1);
    attrs[3].value = big;
    attrs[3].value_len = 1 << 20;
    build(attrs, 4, EMESH_DATA_NONE, NULL, EMESH_E_TOO_LARGE);
    attrs[3].value_len = 64 << 10;
    big[16 << 20] = '\0';
    event = build(attrs, 4, EMESH_DATA_TEXT, big, EMESH_OK);
    g_assert_cmpuint(emesh_event_peek(event)->data_len, ==, 16 << 20);
    emesh_event_unref(event);
    emesh_part part = { .ptr = big, .len = (16 << 20) + 1 };
    emesh_event_view spec = { .size = sizeof spec, .data_form = EMESH_DATA_BYTES, .attrs = attrs,
                              .n_attrs = 3, .data = &part, .n_data = 1 };
    g_assert_cmpint(emesh_event_build(&spec, NULL, &event, NULL), ==, EMESH_E_TOO_LARGE);
}

static void
assert_same(const emesh_event *a, const emesh_event *b)
{
    emesh_slice ia = emesh_event_image(a), ib = emesh_event_image(b);
    g_assert_cmpmem(ia.ptr, ia.len, ib.ptr, ib.len);
    const emesh_event_view *va = emesh_event_peek(a), *vb = emesh_event_peek(b);
    g_assert_cmpuint(va->data_len, ==, vb->data_len);
    g_assert_cmpuint(va->data_form, ==, vb->data_form);
    g_assert_cmpuint(va->n_attrs, ==, vb->n_attrs);
    g_assert_cmpuint(emesh_event_size(a), ==, emesh_event_size(b));
    if (va->data_len > 0)
        g_assert_cmpmem(va->data[0].ptr, va->data_len, vb->data[0].ptr, vb->data_len);
}

static void
test_image(void)
{
    const emesh_attr attrs[] = { BASIC, ATTR("note", "hi") };
    const emesh_event *event = build(attrs, 4, EMESH_DATA_TEXT, "payload", EMESH_OK);
    /* The layout on disk, to the byte. */
    static const uint8_t expected[] = {
        1, EMESH_DATA_TEXT, 4, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 2, 0, EMESH_ATTR_TEXT, 0,
        1, 0, 0, 0, 6, 0, EMESH_ATTR_URI_REF, 0,
        1, 0, 0, 0, 4, 0, EMESH_ATTR_TEXT, 0,
        2, 0, 0, 0, 4, 0, EMESH_ATTR_TEXT, 0,
        'i', 'd', '1', 's', 'o', 'u', 'r', 'c', 'e', 's', 't', 'y', 'p', 'e', 't',
        'n', 'o', 't', 'e', 'h', 'i', 0, 0, 0,
    };
    emesh_slice image = emesh_event_image(event);
    g_assert_cmpmem(image.ptr, image.len, expected, sizeof expected);

    /* In one part and in two. */
    uint8_t whole[sizeof expected + 7];
    memcpy(whole, expected, sizeof expected);
    memcpy(whole + sizeof expected, "payload", 7);
    emesh_part one = { .ptr = whole, .len = sizeof whole };
    const emesh_event *again = NULL;
    emesh_error err = { .size = sizeof err };
    g_assert_cmpint(emesh_event_from_image(&one, 1, false, &again, &err), ==, EMESH_OK);
    assert_same(event, again);
    emesh_event_unref(again);
    emesh_part two[] = { { .ptr = whole, .len = sizeof expected },
                         { .ptr = "payload", .len = 7 } };
    g_assert_cmpint(emesh_event_from_image(two, 2, false, &again, &err), ==, EMESH_OK);
    assert_same(event, again);
    emesh_event_unref(again);

    /* Cut anywhere, it is refused or (from the end of the image on) has less data. */
    for (size_t len = 0; len < sizeof expected; len++) {
        g_autofree uint8_t *cut = g_memdup2(whole, len);
        one = (emesh_part){ .ptr = cut, .len = len };
        g_assert_cmpint(emesh_event_from_image(&one, 1, false, &again, &err), ==, EMESH_E_CORRUPT);
    }
    uint8_t bad[sizeof whole];
    memcpy(bad, whole, sizeof whole);
    one = (emesh_part){ .ptr = bad, .len = sizeof bad };
    bad[0] = 2;
    g_assert_cmpint(emesh_event_from_image(&one, 1, false, &again, &err), ==, EMESH_E_UNSUPPORTED);
    bad[0] = 1;
    bad[1] = EMESH_DATA_NONE; /* but data follow */
    g_assert_cmpint(emesh_event_from_image(&one, 1, false, &again, &err), ==, EMESH_E_CORRUPT);
    bad[1] = EMESH_DATA_TEXT;
    bad[11] = 0xff; /* a value of nearly 4 GiB */
    g_assert_cmpint(emesh_event_from_image(&one, 1, false, &again, &err), ==, EMESH_E_CORRUPT);
    bad[11] = 0;
    bad[40] = 'x'; /* "xd" is not id */
    g_assert_cmpint(emesh_event_from_image(&one, 1, false, &again, &err), ==, EMESH_E_CORRUPT);
    emesh_event_unref(event);
}

static void
test_service(void)
{
    const emesh_event_api *svc = &emesh_event_service;
    const emesh_attr attrs[] = { BASIC };
    struct {
        emesh_event_view view;
        uint64_t tail;
    } wide = { .view = { .size = sizeof wide, .data_form = EMESH_DATA_NONE, .attrs = attrs,
                         .n_attrs = 3 }, .tail = 1 };
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };
    g_assert_cmpint(svc->build(NULL, &wide.view, NULL, &event, &err), ==, EMESH_E_TOO_NEW);
    wide.tail = 0;
    g_assert_cmpint(svc->build(NULL, &wide.view, NULL, &event, &err), ==, EMESH_OK);
    wide.tail = 7;
    svc->view(event, &wide.view);
    g_assert_cmpuint(wide.view.size, ==, sizeof wide);
    g_assert_cmpuint(wide.view.n_attrs, ==, 3);
    g_assert_cmpuint(wide.tail, ==, 0);
    emesh_event_view narrow = { .size = offsetof(emesh_event_view, n_attrs), .n_attrs = 99 };
    svc->view(event, &narrow);
    g_assert_cmpuint(narrow.n_attrs, ==, 99);
    g_assert_true(narrow.attrs == wide.view.attrs);

    emesh_part image;
    g_assert_cmpint(svc->encode(NULL, EMESH_FORM_IMAGE, &event, 1, &image), ==, EMESH_OK);
    const emesh_event *pair[2] = { event, NULL };
    uint32_t n = 0;
    g_assert_cmpint(svc->decode(NULL, EMESH_FORM_IMAGE, &image, 1, &pair[1], 1, &n, &err), ==,
                    EMESH_OK);
    g_assert_cmpuint(n, ==, 1);
    assert_same(pair[0], pair[1]);
    g_assert_cmpint(svc->decode(NULL, 99, &image, 1, &event, 1, &n, &err), ==,
                    EMESH_E_UNSUPPORTED);
    svc->unref(pair, 2);
}

static void
test_fail(void)
{
    emesh_error err = { .size = sizeof err, .option = "left over" };
    g_assert_cmpint(emesh_fail(&err, EMESH_E_IO, "read \"%s\"", "a\nb\xff\x7f"), ==, EMESH_E_IO);
    g_assert_cmpstr(err.text, ==, "read \"a?b??\"");
    g_assert_cmpstr(err.option, ==, "");
    g_assert_cmpint(emesh_fail(NULL, EMESH_E_IO, "nobody listens"), ==, EMESH_E_IO);
    char wide[400];
    memset(wide, 'x', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    memcpy(wide + 254, "\xc3\xa4", 2);
    emesh_fail(&err, EMESH_E_IO, "%s", wide);
    g_assert_true(g_utf8_validate(err.text, -1, NULL));
    g_assert_cmpuint(strlen(err.text), >=, 254);
    struct {
        emesh_error err;
    } small = { { .size = offsetof(emesh_error, text) + 8 } };
    memset(small.err.text, '!', sizeof small.err.text);
    emesh_fail(&small.err, EMESH_E_IO, "0123456789");
    g_assert_cmpmem(small.err.text, 9, "0123456\0!", 9);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/event/buf", test_buf);
    g_test_add_func("/event/order", test_order);
    g_test_add_func("/event/refusals", test_refusals);
    g_test_add_func("/event/accepted-values", test_accepted_values);
    g_test_add_func("/event/base", test_base);
    g_test_add_func("/event/data-owner", test_data_owner);
    g_test_add_func("/event/parts", test_parts);
    g_test_add_func("/event/limits", test_limits);
    g_test_add_func("/event/image", test_image);
    g_test_add_func("/event/service", test_service);
    g_test_add_func("/event/fail", test_fail);
    return g_test_run();
}
