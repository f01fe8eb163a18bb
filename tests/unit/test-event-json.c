/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents JSON: for each rule of the specification that implementations get wrong a text that
 * must be read and one that must be refused; then writing, batches, and what is kept by reference.
 */
#include "event/event.h"
#include "event/json-scan.h"
#include <string.h>

#define HEAD "\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\""
#define EVENT(more) "{" HEAD more "}"

static const emesh_event *
decode(const char *text, size_t len, int32_t expected, const char *says)
{
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };
    /* A copy of exactly this size: a sanitizer sees the first byte read behind it. */
    g_autofree char *exact = g_memdup2(text, len);
    emesh_part in = { .ptr = exact, .len = len };
    int32_t code = emesh_event_from_json(&in, &event, &err);
    if (code != expected)
        g_test_message("%.200s: %d %s", text, code, err.text);
    g_assert_cmpint(code, ==, expected);
    g_assert_true((code == EMESH_OK) == (event != NULL));
    if (says != NULL && strstr(err.text, says) == NULL)
        g_error("\"%s\" does not say \"%s\"", err.text, says);
    return event;
}

static char *
encode(const emesh_event *event)
{
    emesh_part out;
    g_assert_cmpint(emesh_event_to_json(&event, 1, false, &out), ==, EMESH_OK);
    char *text = g_strndup(out.ptr, out.len);
    emesh_buf_unref(out.owner);
    return text;
}

typedef struct vector {
    const char *rule, *text;
    int32_t code;
    const char *says;        /* part of the error text */
    uint32_t form;           /* of the data read */
    const char *data;
    const char *name, *value; /* an attribute that must be there; value NULL: must not */
    uint32_t type;
} vector;

#define GOOD(rule, text, ...) { rule, text, EMESH_OK, NULL, __VA_ARGS__ }
#define BAD(rule, text, says) { rule, text, EMESH_E_INVALID, says }

static const vector vectors[] = {
    /* 8: data xor data_base64; what a string in data is */
    GOOD("8-json-value", EVENT(",\"data\": { \"a\" : [1, 2.50e1 , null] } "), EMESH_DATA_JSON,
         "{ \"a\" : [1, 2.50e1 , null] }"),
    GOOD("8-absent-type-string-is-json", EVENT(",\"data\":\"a\\u0041\\n\""), EMESH_DATA_JSON,
         "\"a\\u0041\\n\""),
    GOOD("8-json-type-string-is-json",
         EVENT(",\"data\":\"{}\",\"datacontenttype\":\"Application/Vnd.x+JSON; charset=utf-8\""),
         EMESH_DATA_JSON, "\"{}\""),
    GOOD("8-text-type-string-is-text",
         EVENT(",\"datacontenttype\":\"text/plain\",\"data\":\"{\\\"a\\\":\\u00e4\\uD83D\\uDE00}\""),
         EMESH_DATA_TEXT, "{\"a\":\xc3\xa4\xf0\x9f\x98\x80}"),
    GOOD("8-text-before-type", EVENT(",\"data\":\"x\",\"datacontenttype\":\"text/xml\""),
         EMESH_DATA_TEXT, "x"),
    GOOD("8-base64", EVENT(",\"data_base64\":\"AAECaGk\\/Cg==\""), EMESH_DATA_BYTES, NULL),
    GOOD("8-base64-empty", EVENT(",\"data_base64\":\"\""), EMESH_DATA_BYTES, ""),
    GOOD("8-none", EVENT(""), EMESH_DATA_NONE, ""),
    BAD("8-both", EVENT(",\"data\":1,\"data_base64\":\"\""), "both"),
    BAD("8-value-under-text-type", EVENT(",\"data\":{},\"datacontenttype\":\"text/plain\""),
        "not JSON"),
    BAD("8-base64-number", EVENT(",\"data_base64\":1"), "string"),
    BAD("8-base64-garbage", EVENT(",\"data_base64\":\"AA=A\""), "base64"),
    BAD("8-base64-url-alphabet", EVENT(",\"data_base64\":\"AA-_\""), "base64"),
    BAD("8-base64-cut", EVENT(",\"data_base64\":\"AAA\""), "base64"),
    BAD("8-text-lone-surrogate",
        EVENT(",\"datacontenttype\":\"text/plain\",\"data\":\"\\uD83D\""), "surrogate"),
    /* 9: null */
    GOOD("9-null-attribute-is-not-set", EVENT(",\"subject\":null,\"ext\":null"), EMESH_DATA_NONE, "",
         "subject", NULL),
    GOOD("9-null-data-is-a-value", EVENT(",\"data\":null"), EMESH_DATA_JSON, "null"),
    GOOD("9-null-base64-is-not-set", EVENT(",\"data_base64\":null,\"data\":7"), EMESH_DATA_JSON,
         "7"),
    BAD("9-null-required", "{\"specversion\":\"1.0\",\"id\":null,\"source\":\"s\",\"type\":\"t\"}",
        "id is missing"),
    BAD("9-null-data-under-text-type", EVENT(",\"data\":null,\"datacontenttype\":\"text/plain\""),
        "not JSON"),
    /* 10: types of values */
    GOOD("10-integer", EVENT(",\"n\":-2147483648"), EMESH_DATA_NONE, "", "n", "-2147483648",
         EMESH_ATTR_INTEGER),
    GOOD("10-boolean", EVENT(",\"b\":true"), EMESH_DATA_NONE, "", "b", "true",
         EMESH_ATTR_BOOLEAN),
    GOOD("10-boolean-as-text", EVENT(",\"b\":\"True\""), EMESH_DATA_NONE, "", "b", "True",
         EMESH_ATTR_TEXT),
    GOOD("10-time-kept", EVENT(",\"time\":\"2024-12-31T23:59:60.1200-08:00\""), EMESH_DATA_NONE, "",
         "time", "2024-12-31T23:59:60.1200-08:00", EMESH_ATTR_TIME),
    GOOD("10-source-relative", EVENT(""), EMESH_DATA_NONE, "", "source", "/s",
         EMESH_ATTR_URI_REF),
    GOOD("10-schema", EVENT(",\"dataschema\":\"urn:a\""), EMESH_DATA_NONE, "", "dataschema",
         "urn:a", EMESH_ATTR_URI),
    BAD("10-integer-too-large", EVENT(",\"n\":2147483648"), "32 bits"),
    BAD("10-fraction", EVENT(",\"n\":1.0"), "32 bits"),
    BAD("10-exponent", EVENT(",\"n\":1e2"), "32 bits"),
    BAD("10-boolean-case", EVENT(",\"b\":True"), "not a JSON value"),
    BAD("10-time-without-offset", EVENT(",\"time\":\"2024-01-01T00:00:00\""), "RFC 3339"),
    BAD("10-time-number", EVENT(",\"time\":1700000000"), "type"),
    BAD("10-source-empty", "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"\",\"type\":\"t\"}",
        "source"),
    BAD("10-id-number", "{\"specversion\":\"1.0\",\"id\":1,\"source\":\"s\",\"type\":\"t\"}", "id"),
    /* 11: extensions, duplicates, order */
    GOOD("11-extension", EVENT(",\"traceparent\":\"00-ab-cd-01\""), EMESH_DATA_NONE, "",
         "traceparent", "00-ab-cd-01", EMESH_ATTR_TEXT),
    GOOD("11-order", "{\"zz\":\"\\u0061\",\"type\":\"t\",\"data\":[],\"source\":\"s\",\"id\":\"i\","
         "\"specversion\":\"1.0\"}", EMESH_DATA_JSON, "[]", "zz", "a", EMESH_ATTR_TEXT),
    BAD("11-nested", EVENT(",\"extensions\":{\"a\":\"b\"}"), "object"),
    BAD("11-array", EVENT(",\"ext\":[\"b\"]"), "array"),
    BAD("11-twice", EVENT(",\"a\":\"1\",\"a\":\"1\""), "twice"),
    BAD("11-twice-escaped", EVENT(",\"a\":\"1\",\"\\u0061\":\"1\""), "twice"),
    BAD("11-twice-null", EVENT(",\"a\":null,\"a\":\"1\""), "twice"),
    BAD("11-data-twice", EVENT(",\"data\":1,\"data\":1"), "twice"),
    BAD("11-version-twice", EVENT(",\"specversion\":\"1.0\""), "twice"),
    BAD("11-name-upper", EVENT(",\"traceParent\":\"1\""), "a-z"),
    BAD("11-name-hyphen-null", EVENT(",\"trace-parent\":null"), "a-z"),
    BAD("11-name-empty", EVENT(",\"\":\"1\""), "a-z"),
    BAD("11-zero-byte", EVENT(",\"a\":\"1\\u0000\""), "zero"),
    /* 15: the model */
    GOOD("15-ordinary-extensions", EVENT(",\"sampledrate\":5,\"sequence\":\"9\""), EMESH_DATA_NONE,
         "", "sampledrate", "5", EMESH_ATTR_INTEGER),
    BAD("15-subject-empty", EVENT(",\"subject\":\"\""), "subject"),
    BAD("15-no-version", "{\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}", "specversion"),
    { "15-version-0.3", "{\"specversion\":\"0.3\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}",
      EMESH_E_UNSUPPORTED, "0.3" },
    { "15-version-number", "{\"specversion\":1,\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}",
      EMESH_E_INVALID, "specversion" },
    BAD("15-no-id", "{\"specversion\":\"1.0\",\"source\":\"/s\",\"type\":\"t\"}", "id"),
    /* JSON itself */
    GOOD("json-white-space", " \r\n\t{ " HEAD " , \"data\" : [ ] } \n", EMESH_DATA_JSON, "[ ]"),
    BAD("json-empty", "", "not an object"),
    BAD("json-array", "[" EVENT("") "]", "not an object"),
    BAD("json-behind", EVENT("") "x", "behind"),
    BAD("json-comma-at-end", EVENT(","), "key"),
    BAD("json-comma-at-start", "{," HEAD "}", "key"),
    BAD("json-no-colon", "{" HEAD ",\"a\" 1}", "colon"),
    BAD("json-no-comma", "{" HEAD " \"a\":1}", "comma"),
    BAD("json-leading-zero", EVENT(",\"data\":[01]"), "leading zero"),
    BAD("json-minus", EVENT(",\"data\":[-]"), "digits"),
    BAD("json-point", EVENT(",\"data\":[1.]"), "digits"),
    BAD("json-exponent", EVENT(",\"data\":[1e+]"), "digits"),
    BAD("json-nul-word", EVENT(",\"data\":[nul]"), "value"),
    BAD("json-words-together", EVENT(",\"data\":[truefalse]"), "comma"),
    BAD("json-single-quotes", EVENT(",\"data\":['a']"), "value"),
    BAD("json-item-missing", EVENT(",\"data\":[1,]"), "value"),
    BAD("json-colon-in-array", EVENT(",\"data\":[\"a\":1]"), "comma"),
    BAD("json-brackets-crossed", EVENT(",\"data\":[{]}"), "key"),
    BAD("json-control-in-string", EVENT(",\"data\":\"a\tb\""), "control"),
    BAD("json-escape", EVENT(",\"data\":\"\\x41\""), "escape"),
    BAD("json-short-u", EVENT(",\"data\":\"\\u00g0\""), "escape"),
    BAD("json-utf8", EVENT(",\"data\":\"\xff\""), "UTF-8"),
    BAD("json-utf8-overlong", EVENT(",\"data\":\"\xc0\xaf\""), "UTF-8"),
    BAD("json-utf8-surrogate", EVENT(",\"data\":\"\xed\xa0\x80\""), "UTF-8"),
    BAD("json-utf8-too-high", EVENT(",\"data\":\"\xf4\x90\x80\x80\""), "UTF-8"),
    BAD("json-utf8-cut", EVENT(",\"data\":\"\xe2\x82\""), "UTF-8"),
    BAD("json-bom", "\xef\xbb\xbf" EVENT(""), "not an object"),
};

static void
test_vector(gconstpointer user_data)
{
    const vector *v = user_data;
    const emesh_event *event = decode(v->text, strlen(v->text), v->code, v->says);
    if (event == NULL)
        return;
    const emesh_event_view *view = emesh_event_peek(event);
    g_assert_cmpuint(view->data_form, ==, v->form);
    if (v->data != NULL && *v->data != '\0')
        g_assert_cmpmem(view->data[0].ptr, view->data_len, v->data, strlen(v->data));
    else if (v->data != NULL)
        g_assert_cmpuint(view->data_len, ==, 0);
    if (v->name != NULL) {
        const emesh_attr *attr = emesh_event_attr(event, v->name, strlen(v->name));
        g_assert_true((attr != NULL) == (v->value != NULL));
        if (attr != NULL) {
            g_assert_cmpmem(attr->value, attr->value_len, v->value, strlen(v->value));
            g_assert_cmpuint(attr->type, ==, v->type);
        }
    }
    /* What was read is written so that it reads the same. */
    g_autofree char *text = encode(event);
    const emesh_event *again = decode(text, strlen(text), EMESH_OK, NULL);
    emesh_slice a = emesh_event_image(event), b = emesh_event_image(again);
    g_assert_cmpmem(a.ptr, a.len, b.ptr, b.len);
    g_assert_cmpuint(view->data_len, ==, emesh_event_peek(again)->data_len);
    if (view->data_len > 0)
        g_assert_cmpmem(view->data[0].ptr, view->data_len, emesh_event_peek(again)->data[0].ptr,
                        view->data_len);
    emesh_event_unref(again);
    emesh_event_unref(event);
}

/* Every prefix of a good text is refused; so is every text with one byte missing at the end. */
static void
test_cut(void)
{
    static const char text[] = EVENT(",\"data\":{\"a\":[true,1.5e3,\"\\u00e4\xe2\x82\xac\"]}");
    for (size_t len = 0; len < sizeof text - 1; len++)
        decode(text, len, EMESH_E_INVALID, NULL);
    emesh_event_unref(decode(text, sizeof text - 1, EMESH_OK, NULL));
}

static char *
nested(uint32_t depth, const char *open, const char *close)
{
    GString *text = g_string_new("{" HEAD ",\"data\":");
    for (uint32_t i = 0; i < depth; i++)
        g_string_append(text, open);
    g_string_append(text, "1");
    for (uint32_t i = 0; i < depth; i++)
        g_string_append(text, close);
    g_string_append(text, "}");
    return g_string_free(text, FALSE);
}

static void
test_depth(void)
{
    g_autofree char *deep = nested(EMESH_JSON_DEPTH_MAX, "[", "]");
    emesh_event_unref(decode(deep, strlen(deep), EMESH_OK, NULL));
    g_autofree char *objects = nested(EMESH_JSON_DEPTH_MAX, "{\"a\":", "}");
    emesh_event_unref(decode(objects, strlen(objects), EMESH_OK, NULL));
    g_autofree char *deeper = nested(EMESH_JSON_DEPTH_MAX + 1, "[", "]");
    decode(deeper, strlen(deeper), EMESH_E_INVALID, "deep");
    g_autofree char *abyss = nested(100000, "[", "]");
    decode(abyss, strlen(abyss), EMESH_E_INVALID, "deep");
}

static const emesh_event *
event_of(uint32_t form, const char *type, const char *data)
{
    const emesh_attr attrs[] = {
        { .name = "id", .name_len = 2, .value = "1", .value_len = 1 },
        { .name = "source", .name_len = 6, .value = "s", .value_len = 1 },
        { .name = "type", .name_len = 4, .value = "t", .value_len = 1 },
        { .name = "datacontenttype", .name_len = 15, .value = type,
          .value_len = type != NULL ? (uint32_t)strlen(type) : 0 },
    };
    emesh_part parts[] = { { .ptr = data, .len = strlen(data) / 2 },
                           { .ptr = data + strlen(data) / 2,
                             .len = strlen(data) - strlen(data) / 2 } };
    emesh_event_view spec = { .size = sizeof spec, .data_form = form, .attrs = attrs,
                              .n_attrs = type != NULL ? 4 : 3, .data = parts, .n_data = 2 };
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };
    if (emesh_event_build(&spec, NULL, &event, &err) != EMESH_OK)
        g_error("%s", err.text);
    return event;
}

/* How data of each form are written under each content type: a receiver gets the same bytes. */
static void
test_faces(void)
{
    const struct {
        uint32_t form;
        const char *type, *data, *written;
    } cases[] = {
        { EMESH_DATA_BYTES, NULL, "hello", ",\"data_base64\":\"aGVsbG8=\"}" },
        { EMESH_DATA_BYTES, "text/plain", "hell", ",\"data_base64\":\"aGVsbA==\"}" },
        { EMESH_DATA_PROTO, "application/protobuf", "hellos", ",\"data_base64\":\"aGVsbG9z\"}" },
        { EMESH_DATA_TEXT, "text/plain", "a\"\\/\n\x01\xc3\xa4",
          ",\"data\":\"a\\\"\\\\/\\n\\u0001\xc3\xa4\"}" },
        { EMESH_DATA_TEXT, "text/plain", "", ",\"data\":\"\"}" },
        { EMESH_DATA_TEXT, NULL, "hi", ",\"data_base64\":\"aGk=\"}" },
        { EMESH_DATA_TEXT, "application/json", "{\"a\": 1}", ",\"data\":{\"a\": 1}}" },
        { EMESH_DATA_TEXT, "application/json", "hi", ",\"data_base64\":\"aGk=\"}" },
        { EMESH_DATA_TEXT, "application/json", "", ",\"data_base64\":\"\"}" },
        { EMESH_DATA_JSON, NULL, " [1, 2]", ",\"data\": [1, 2]}" },
        { EMESH_DATA_JSON, "text/json", "null", ",\"data\":null}" },
        { EMESH_DATA_JSON, "text/plain", "\"x\"", ",\"data\":\"\\\"x\\\"\"}" },
    };
    for (uint32_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const emesh_event *event = event_of(cases[i].form, cases[i].type, cases[i].data);
        g_autofree char *text = encode(event);
        if (!g_str_has_suffix(text, cases[i].written))
            g_error("%s does not end in %s", text, cases[i].written);
        emesh_event_unref(decode(text, strlen(text), EMESH_OK, NULL));
        emesh_event_unref(event);
    }
}

static void
test_json_form_is_json(void)
{
    emesh_part part = { .ptr = "{} \"injected\":1", .len = 15 };
    const emesh_event *base = event_of(EMESH_DATA_JSON, NULL, "1");
    emesh_event_view spec = { .size = sizeof spec, .data_form = EMESH_DATA_JSON, .data = &part,
                              .n_data = 1 };
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };
    g_assert_cmpint(emesh_event_build(&spec, base, &event, &err), ==, EMESH_E_INVALID);
    g_assert_nonnull(strstr(err.text, "byte 3"));
    part.len = 0;
    g_assert_cmpint(emesh_event_build(&spec, base, &event, &err), ==, EMESH_E_INVALID);
    emesh_event_unref(base);
}

static void
test_written(void)
{
    static const char text[] = "{\"type\":\"t\",\"specversion\":\"1.0\",\"source\":\"s\",\"n\":5,"
                               "\"id\":\"q\\\"\",\"b\":false,\"none\":null,\"e\":\"\"}";
    const emesh_event *event = decode(text, sizeof text - 1, EMESH_OK, NULL);
    g_autofree char *written = encode(event);
    g_assert_cmpstr(written, ==,
                    "{\"specversion\":\"1.0\",\"id\":\"q\\\"\",\"source\":\"s\",\"type\":\"t\","
                    "\"n\":5,\"b\":false,\"e\":\"\"}");
    emesh_event_unref(event);

    const emesh_attr binary = { .name = "bin", .name_len = 3, .value = "\0\xff", .value_len = 2,
                                .type = EMESH_ATTR_BINARY };
    emesh_event_view spec = { .size = sizeof spec, .attrs = &binary, .n_attrs = 1 };
    const emesh_event *base = event_of(EMESH_DATA_BYTES, NULL, ""), *more = NULL;
    g_assert_cmpint(emesh_event_build(&spec, base, &more, NULL), ==, EMESH_OK);
    g_autofree char *with = encode(more);
    g_assert_nonnull(strstr(with, ",\"bin\":\"AP8=\",\"data_base64\":\"\"}"));
    emesh_event_unref(base);
    emesh_event_unref(more);
}

/* Payloads stay where they are; small ones out of large buffers are copied. */
static void
test_by_reference(void)
{
    const size_t pads[] = { 100, 20000 };
    for (uint32_t i = 0; i < 2; i++) {
        g_autofree char *pad = g_strnfill(pads[i], 'x');
        g_autofree char *text = g_strdup_printf(EVENT(",\"data\":[\"%s\"]"), pad);
        size_t len = strlen(text);
        void *mem;
        emesh_buf *buf = emesh_buf_new(i == 0 ? 65536 : len, &mem);
        memcpy(mem, text, len);
        emesh_part in = { .ptr = mem, .len = len, .owner = buf };
        const emesh_event *event = NULL;
        g_assert_cmpint(emesh_event_from_json(&in, &event, NULL), ==, EMESH_OK);
        const emesh_part *data = emesh_event_peek(event)->data;
        g_assert_true((data->owner == buf) == (i == 1));
        if (i == 1)
            g_assert_true(data->ptr == memchr(mem, '[', len));
        emesh_event_unref(event);
        g_assert_true(emesh_buf_is_unique(buf));
        emesh_buf_unref(buf);
    }
}

/* Escaped texts and base64 of all sizes around the limits of the scratch space. */
static void
test_undone_sizes(void)
{
    for (size_t n = 0; n < 20000; n = n * 5 / 4 + 1) {
        g_autofree char *text = g_strnfill(n, 'x');
        g_autofree char *json = g_strdup_printf(
            EVENT(",\"datacontenttype\":\"text/plain\",\"a\":\"\\n%s\",\"b\":\"%s\\t\","
                  "\"data\":\"\\u20ac%s\""), text, text, text);
        const emesh_event *event = decode(json, strlen(json), EMESH_OK, NULL);
        g_assert_cmpuint(emesh_event_attr(event, "a", 1)->value_len, ==, n + 1);
        const char *b = emesh_event_attr(event, "b", 1)->value;
        g_assert_cmpint(b[n], ==, '\t');
        g_assert_cmpuint(emesh_event_peek(event)->data_len, ==, n + 3);
        g_assert_cmpmem(emesh_event_peek(event)->data[0].ptr, 3, "\xe2\x82\xac", 3);
        emesh_event_unref(event);

        g_autofree char *base64 = g_base64_encode((const guchar *)text, n);
        g_autofree char *escaped = g_strdup_printf(
            EVENT(",\"a\":\"\\n%s\",\"data_base64\":\"%s%s\""), text, n > 0 ? "\\u0065" : "",
            base64 + (n > 0));
        event = decode(escaped, strlen(escaped), EMESH_OK, NULL);
        g_assert_cmpuint(emesh_event_peek(event)->data_len, ==, n);
        g_autofree char *written = encode(event);
        emesh_event_unref(event);
        g_autofree char *tail = g_strdup_printf("\"data_base64\":\"%s%s\"}", n > 0 ? "e" : "",
                                                base64 + (n > 0));
        g_assert_true(g_str_has_suffix(written, tail));
    }
}

static void
test_limits(void)
{
    g_autofree char *big = g_strnfill((16 << 20) + 1, 'x');
    g_autofree char *over = g_strdup_printf(EVENT(",\"data\":\"%s\""), big);
    decode(over, strlen(over), EMESH_E_TOO_LARGE, "data");
    big[(16 << 20) - 2] = '\0';
    g_autofree char *fits = g_strdup_printf(EVENT(",\"data\":\"%s\""), big);
    emesh_event_unref(decode(fits, strlen(fits), EMESH_OK, NULL));
    big[1 << 20] = '\0';
    g_autofree char *attr = g_strdup_printf(EVENT(",\"a\":\"%s\""), big);
    decode(attr, strlen(attr), EMESH_E_TOO_LARGE, "attributes");
    big[65536] = '\0'; /* what every intermediary must forward */
    g_autofree char *kept = g_strdup_printf(EVENT(",\"a\":\"%s\""), big);
    emesh_event_unref(decode(kept, strlen(kept), EMESH_OK, NULL));

    GString *many = g_string_new("{" HEAD);
    for (uint32_t i = 4; i < 1024; i++)
        g_string_append_printf(many, ",\"n%u\":%u", i, i);
    g_string_append(many, "}");
    emesh_event_unref(decode(many->str, many->len, EMESH_OK, NULL));
    g_string_truncate(many, many->len - 1);
    g_string_append(many, ",\"more\":1}");
    decode(many->str, many->len, EMESH_E_TOO_LARGE, "1024");
    g_string_free(many, TRUE);
}

static int32_t
decode_batch(const char *text, const emesh_event **out, uint32_t cap, uint32_t *n,
             const char *says)
{
    g_autofree char *exact = g_memdup2(text, strlen(text));
    emesh_part in = { .ptr = exact, .len = strlen(text) };
    emesh_error err = { .size = sizeof err };
    int32_t code = emesh_event_service.decode(NULL, EMESH_FORM_JSON_BATCH, &in, 1, out, cap, n,
                                              &err);
    if (says != NULL && strstr(err.text, says) == NULL)
        g_error("\"%s\" does not say \"%s\"", err.text, says);
    return code;
}

static void
test_batch(void)
{
    const emesh_event *events[4] = { NULL };
    uint32_t n = 9;
    g_assert_cmpint(decode_batch(" [ ] ", events, 0, &n, NULL), ==, EMESH_OK);
    g_assert_cmpuint(n, ==, 0);
    g_assert_cmpint(decode_batch("[" EVENT("") "," EVENT(",\"data\":[1]") "]", events, 4, &n, NULL),
                    ==, EMESH_OK);
    g_assert_cmpuint(n, ==, 2);
    emesh_part out;
    g_assert_cmpint(emesh_event_service.encode(NULL, EMESH_FORM_JSON_BATCH, events, 2, &out), ==,
                    EMESH_OK);
    static const char both[] = "[" EVENT("") "," EVENT(",\"data\":[1]") "]";
    g_assert_cmpmem(out.ptr, out.len, both, sizeof both - 1);
    emesh_buf_unref(out.owner);
    emesh_event_service.unref(events, 2);
    g_assert_cmpint(emesh_event_service.encode(NULL, EMESH_FORM_JSON_BATCH, NULL, 0, &out), ==,
                    EMESH_OK);
    g_assert_cmpmem(out.ptr, out.len, "[]", 2);
    emesh_buf_unref(out.owner);

    memset(events, 0, sizeof events);
    g_assert_cmpint(decode_batch("[" EVENT("") ",{}," EVENT("") ",7]", events, 4, &n,
                                 "event 1, 3: attribute specversion"), ==, EMESH_E_INVALID);
    g_assert_cmpuint(n, ==, 0);
    g_assert_null(events[0]);
    g_assert_cmpint(decode_batch("[" EVENT("") "," EVENT("") "]", events, 1, &n, "more than 1"), ==,
                    EMESH_E_TOO_LARGE);
    g_assert_null(events[0]);
    g_assert_cmpint(decode_batch("[" EVENT("") "", events, 4, &n, "ends"), ==, EMESH_E_INVALID);
    g_assert_cmpint(decode_batch("[" EVENT("") ",]", events, 4, &n, "event 1"), ==,
                    EMESH_E_INVALID);
    g_assert_cmpint(decode_batch(EVENT(""), events, 4, &n, "not an array"), ==, EMESH_E_INVALID);
    g_assert_cmpint(decode_batch("[]]", events, 4, &n, "behind"), ==, EMESH_E_INVALID);
}

/* Through the service, from bytes in several parts. */
static void
test_service(void)
{
    static const char text[] = EVENT(",\"data\":\"hello\"");
    for (size_t cut = 0; cut < sizeof text; cut++) {
        emesh_part in[] = { { .ptr = text, .len = cut },
                            { .ptr = text + cut, .len = sizeof text - 1 - cut } };
        const emesh_event *event = NULL;
        uint32_t n = 0;
        g_assert_cmpint(emesh_event_service.decode(NULL, EMESH_FORM_JSON, in, 2, &event, 1, &n,
                                                   NULL), ==, EMESH_OK);
        g_assert_cmpuint(n, ==, 1);
        emesh_part out;
        g_assert_cmpint(emesh_event_service.encode(NULL, EMESH_FORM_JSON, &event, 1, &out), ==,
                        EMESH_OK);
        g_assert_cmpmem(out.ptr, out.len, text, sizeof text - 1);
        emesh_buf_unref(out.owner);
        emesh_event_unref(event);
    }
    emesh_part none = { 0 };
    const emesh_event *event = NULL;
    uint32_t n = 7;
    g_assert_cmpint(emesh_event_service.decode(NULL, EMESH_FORM_JSON, &none, 0, &event, 1, &n,
                                               NULL), ==, EMESH_E_INVALID);
    g_assert_cmpuint(n, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (uint32_t i = 0; i < G_N_ELEMENTS(vectors); i++) {
        g_autofree char *path = g_strdup_printf("/event-json/ce-rule-%s", vectors[i].rule);
        g_test_add_data_func(path, &vectors[i], test_vector);
    }
    g_test_add_func("/event-json/cut", test_cut);
    g_test_add_func("/event-json/depth", test_depth);
    g_test_add_func("/event-json/faces", test_faces);
    g_test_add_func("/event-json/json-form-is-json", test_json_form_is_json);
    g_test_add_func("/event-json/written", test_written);
    g_test_add_func("/event-json/by-reference", test_by_reference);
    g_test_add_func("/event-json/undone-sizes", test_undone_sizes);
    g_test_add_func("/event-json/limits", test_limits);
    g_test_add_func("/event-json/batch", test_batch);
    g_test_add_func("/event-json/service", test_service);
    return g_test_run();
}
