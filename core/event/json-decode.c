/* SPDX-License-Identifier: Apache-2.0
 *
 * Events from the CloudEvents JSON format 1.0: one, or a batch. Texts are read where they lie; only
 * what is escaped is copied to be undone. JSON data stay the slice that came. Any thread.
 */
#include "event/base64.h"
#include "event/draft.h"
#include "event/json-scan.h"
#include <stdlib.h>
#include <string.h>

/* 16 MiB of data, every byte written as \u00XX, and attributes. */
#define TEXT_MAX ((size_t)128 << 20)
/* Undone texts of a usual event fit here; data up to this size are copied into the event anyway. */
#define SCRATCH_SIZE 4096u

typedef struct reader {
    emesh_json json;
    const char *begin;
    emesh_error *err;
    emesh_draft draft;
    emesh_json_value data, data_base64;
    bool has_data, has_base64, has_version;
    char *spare; /* where the next undone text goes */
    size_t n_spare;
    char *heap;
    char scratch[SCRATCH_SIZE];
} reader;

static int32_t
flaw(reader *r)
{
    return emesh_fail(r->err, EMESH_E_INVALID, "event as JSON, byte %zu: %s",
                      emesh_json_offset(&r->json), r->json.flaw);
}

/* Room for n bytes that live as long as the reader. After the first that does not fit, all is
 * taken from one block as long as the text that was left when the event began: no more strings can
 * be undone than were written, and small data may follow (data_room). */
static char *
room(reader *r, size_t n)
{
    if (n > r->n_spare) {
        if (r->heap != NULL)
            return NULL;
        r->n_spare = (size_t)(r->json.end - r->begin) + SCRATCH_SIZE;
        r->heap = malloc(r->n_spare);
        if (r->heap == NULL)
            return NULL;
        r->spare = r->heap;
    }
    char *at = r->spare;
    r->spare += n;
    r->n_spare -= n;
    return at;
}

/* The text of a string: in place, or undone. */
static int32_t
text_of(reader *r, const emesh_json_value *value, emesh_slice *out)
{
    *out = (emesh_slice){ .ptr = value->ptr, .len = value->len };
    if (!value->escaped)
        return EMESH_OK;
    char *dst = room(r, value->len);
    if (dst == NULL)
        return emesh_fail(r->err, EMESH_E_NO_MEMORY, "no memory for a string of %zu bytes",
                          value->len);
    if (!emesh_json_unescape(value, dst, &out->len))
        return emesh_fail(r->err, EMESH_E_INVALID, "string \"%.*s\" has half a surrogate pair",
                          (int)MIN(value->len, 80u), value->ptr);
    out->ptr = dst;
    return EMESH_OK;
}

static int32_t
take_version(reader *r, const emesh_attr *attr)
{
    r->has_version = true;
    if (attr->type == EMESH_ATTR_TEXT && attr->value_len == 3 && memcmp(attr->value, "1.0", 3) == 0)
        return EMESH_OK;
    return emesh_fail(r->err, EMESH_E_UNSUPPORTED, "specversion \"%.*s\" is not 1.0",
                      (int)MIN(attr->value_len, 20u), (const char *)attr->value);
}

/* An attribute, or specversion; null keeps the name taken. */
static int32_t
take_attribute(reader *r, emesh_slice name, const emesh_json_value *value)
{
    emesh_attr attr = { .name = name.ptr, .name_len = (uint32_t)name.len };
    int shown = (int)MIN(name.len, 40u);
    emesh_slice text = { .ptr = value->ptr, .len = value->len };
    int32_t code = EMESH_OK;
    switch (value->type) {
    case EMESH_JSON_STRING:
        code = text_of(r, value, &text);
        break;
    case EMESH_JSON_NUMBER:
        attr.type = EMESH_ATTR_INTEGER;
        break;
    case EMESH_JSON_BOOLEAN:
        attr.type = EMESH_ATTR_BOOLEAN;
        break;
    case EMESH_JSON_NULL:
        attr.zero = EMESH_DRAFT_DROPPED;
        break;
    default:
        return emesh_fail(r->err, EMESH_E_INVALID,
                          "attribute %.*s is an %s, not a string, number or boolean", shown,
                          attr.name, value->type == EMESH_JSON_OBJECT ? "object" : "array");
    }
    if (code != EMESH_OK)
        return code;
    if (text.len > EMESH_ATTR_BYTES_MAX || name.len > EMESH_ATTR_BYTES_MAX)
        return emesh_fail(r->err, EMESH_E_TOO_LARGE, "attribute %.*s of %zu bytes", shown,
                          attr.name, text.len);
    if (emesh_names_find(&r->draft.names, r->draft.attrs, attr.name, attr.name_len) >= 0)
        return emesh_fail(r->err, EMESH_E_INVALID, "attribute %.*s is given twice", shown,
                          attr.name);
    emesh_attr_kind kind = emesh_attr_kind_of(attr.name, attr.name_len);
    if (attr.zero != EMESH_DRAFT_DROPPED) {
        attr.value = text.ptr;
        attr.value_len = (uint32_t)text.len;
        code = emesh_attr_check(&attr, kind, r->err);
    } else {
        code = emesh_attr_check_name(&attr, r->err);
    }
    if (code != EMESH_OK)
        return code;
    if (kind == EMESH_ATTR_IS_SPECVERSION) {
        if (attr.zero != EMESH_DRAFT_DROPPED)
            code = take_version(r, &attr);
        attr.zero = EMESH_DRAFT_DROPPED;
    }
    return code == EMESH_OK ? emesh_draft_add(&r->draft, &attr, true, r->err) : code;
}

static int32_t
take_member(reader *r, const emesh_json_value *key)
{
    emesh_slice name;
    int32_t code = text_of(r, key, &name);
    if (code != EMESH_OK)
        return code;
    emesh_json_value value;
    if (!emesh_json_value_next(&r->json, &value))
        return flaw(r);
    bool is_data = name.len == 4 && memcmp(name.ptr, "data", 4) == 0;
    bool is_base64 = name.len == 11 && memcmp(name.ptr, "data_base64", 11) == 0;
    if (!is_data && !is_base64)
        return take_attribute(r, name, &value);
    if (is_data ? r->has_data : r->has_base64)
        return emesh_fail(r->err, EMESH_E_INVALID, "member %.*s is given twice", (int)name.len,
                          (const char *)name.ptr);
    *(is_data ? &r->data : &r->data_base64) = value;
    *(is_data ? &r->has_data : &r->has_base64) = true;
    return EMESH_OK;
}

/* Room for data that have to be made: small ones in scratch, to be copied into the event, others
 * in a buffer that the event keeps. */
static void *
data_room(reader *r, size_t n, emesh_part *out)
{
    void *mem = NULL;
    if (n <= SCRATCH_SIZE)
        mem = room(r, n);
    else
        out->owner = emesh_buf_new(n, &mem);
    if (mem == NULL)
        emesh_fail(r->err, EMESH_E_NO_MEMORY, "no memory for data of %zu bytes", n);
    out->ptr = mem;
    return mem;
}

static int32_t
text_data(reader *r, const emesh_part *in, emesh_part *out)
{
    if (!r->data.escaped) {
        *out = (emesh_part){ .ptr = r->data.ptr, .len = r->data.len, .owner = in->owner };
        return EMESH_OK;
    }
    if (data_room(r, r->data.len, out) == NULL)
        return EMESH_E_NO_MEMORY;
    if (emesh_json_unescape(&r->data, (char *)(uintptr_t)out->ptr, &out->len))
        return EMESH_OK;
    return emesh_fail(r->err, EMESH_E_INVALID, "data have half a surrogate pair");
}

static int32_t
base64_data(reader *r, emesh_part *out)
{
    if (r->data_base64.type != EMESH_JSON_STRING)
        return emesh_fail(r->err, EMESH_E_INVALID, "data_base64 is not a string");
    emesh_slice text;
    int32_t code = text_of(r, &r->data_base64, &text); /* some write "\/" */
    if (code != EMESH_OK)
        return code;
    uint8_t *mem = data_room(r, text.len / 4 * 3, out);
    if (mem == NULL)
        return EMESH_E_NO_MEMORY;
    if (!emesh_base64_decode(text.ptr, text.len, mem, &out->len))
        return emesh_fail(r->err, EMESH_E_INVALID, "data_base64 is not base64");
    return EMESH_OK;
}

/* What the data are: the content type decides whether `data` is JSON or a text. */
static int32_t
settle_data(reader *r, const emesh_part *in, uint32_t *form, emesh_part *out)
{
    if (r->has_base64 && r->data_base64.type == EMESH_JSON_NULL)
        r->has_base64 = false;
    *form = EMESH_DATA_NONE;
    if (r->has_base64 && r->has_data)
        return emesh_fail(r->err, EMESH_E_INVALID, "both data and data_base64 are given");
    if (r->has_base64) {
        *form = EMESH_DATA_BYTES;
        return base64_data(r, out);
    }
    if (!r->has_data)
        return EMESH_OK;
    static const char name[] = "datacontenttype";
    int32_t at = emesh_names_find(&r->draft.names, r->draft.attrs, name, sizeof name - 1);
    const emesh_attr *type = at >= 0 && r->draft.attrs[at].zero == 0 ? &r->draft.attrs[at] : NULL;
    if (type == NULL || emesh_type_is_json(type->value, type->value_len)) {
        size_t quote = r->data.type == EMESH_JSON_STRING;
        *out = (emesh_part){ .ptr = r->data.ptr - quote,
                             .len = r->data.len + 2 * quote,
                             .owner = in->owner };
        *form = EMESH_DATA_JSON;
        return EMESH_OK;
    }
    if (r->data.type != EMESH_JSON_STRING)
        return emesh_fail(r->err, EMESH_E_INVALID,
                          "data are not a string, but datacontenttype \"%.*s\" is not JSON",
                          (int)MIN(type->value_len, 80u), (const char *)type->value);
    *form = EMESH_DATA_TEXT;
    return text_data(r, in, out);
}

static void
reader_start(reader *r, const emesh_json *json, emesh_error *err)
{
    r->json = *json;
    r->begin = json->at;
    r->err = err;
    emesh_draft_init(&r->draft);
    r->has_data = r->has_base64 = r->has_version = false;
    r->spare = r->scratch;
    r->n_spare = sizeof r->scratch;
    r->heap = NULL;
}

/* Reads the object that comes next in json. */
static int32_t
read_event(emesh_json *json, const emesh_part *in, const emesh_event **out, emesh_error *err)
{
    reader r;
    reader_start(&r, json, err);
    int32_t code = EMESH_OK;
    bool first = true;
    emesh_json_value key;
    if (emesh_json_open(&r.json, '{')) {
        for (; code == EMESH_OK && emesh_json_key(&r.json, first, &key); first = false)
            code = take_member(&r, &key);
    }
    if (code == EMESH_OK && r.json.flaw != NULL)
        code = flaw(&r);
    if (code == EMESH_OK && !r.has_version)
        code = emesh_fail(err, EMESH_E_INVALID, "attribute specversion is missing");
    uint32_t form = EMESH_DATA_NONE;
    emesh_part data = { 0 };
    if (code == EMESH_OK)
        code = settle_data(&r, in, &form, &data);
    emesh_event *event = NULL;
    if (code == EMESH_OK)
        code = emesh_draft_make(&r.draft, form, &data, 1, false, &event, err);
    if (data.owner != NULL && data.owner != in->owner)
        emesh_buf_unref(data.owner);
    free(r.heap);
    *json = r.json;
    *out = event;
    return code;
}

static int32_t
check_size(const emesh_part *in, emesh_error *err)
{
    if (in->len <= TEXT_MAX)
        return EMESH_OK;
    return emesh_fail(err, EMESH_E_TOO_LARGE, "JSON of %zu bytes, more than %zu", in->len,
                      TEXT_MAX);
}

int32_t
emesh_event_from_json(const emesh_part *in, const emesh_event **out, emesh_error *err)
{
    int32_t code = check_size(in, err);
    if (code != EMESH_OK)
        return code;
    emesh_json json;
    emesh_json_init(&json, in->ptr, in->len);
    const emesh_event *event = NULL;
    code = read_event(&json, in, &event, err);
    if (code == EMESH_OK && !emesh_json_end(&json))
        code = emesh_fail(err, EMESH_E_INVALID, "event as JSON, byte %zu: %s",
                          emesh_json_offset(&json), json.flaw);
    if (code == EMESH_OK) {
        *out = event;
        return EMESH_OK;
    }
    emesh_event_unref(event);
    return code;
}

/* ---- batches ---- */

/* One bad element refuses the batch; all bad ones are named, the first with its reason. */
typedef struct batch_flaws {
    uint32_t n;
    int32_t code;
    char which[64];
    emesh_error first;
} batch_flaws;

static void
note_flaw(batch_flaws *flaws, uint32_t index, const emesh_error *why)
{
    if (flaws->n++ == 0) {
        flaws->code = why->code;
        flaws->first = *why;
    }
    size_t used = strlen(flaws->which);
    if (used + 16 < sizeof flaws->which)
        g_snprintf(flaws->which + used, sizeof flaws->which - used, "%s%u", used > 0 ? ", " : "",
                   index);
    else if (flaws->which[used - 1] != '.')
        g_strlcat(flaws->which, ", ...", sizeof flaws->which);
}

/* Reads all elements; those that are bad are stepped over. */
static int32_t
read_elements(emesh_json *json, const emesh_part *in, const emesh_event **out, uint32_t cap,
              uint32_t *n_out, batch_flaws *flaws, emesh_error *err)
{
    uint32_t index = 0;
    if (!emesh_json_open(json, '['))
        return EMESH_OK;
    for (; emesh_json_item(json, index == 0); index++) {
        emesh_error why = { .size = sizeof why };
        emesh_json element = *json;
        const emesh_event *event = NULL;
        if (index == cap)
            return emesh_fail(err, EMESH_E_TOO_LARGE, "batch of more than %u events", cap);
        if (read_event(&element, in, &event, &why) == EMESH_OK) {
            out[(*n_out)++] = event;
            *json = element;
            continue;
        }
        note_flaw(flaws, index, &why);
        emesh_json_value skipped;
        if (!emesh_json_value_next(json, &skipped))
            break;
    }
    return EMESH_OK;
}

int32_t
emesh_event_batch_from_json(const emesh_part *in, const emesh_event **out, uint32_t cap,
                            uint32_t *n_out, emesh_error *err)
{
    *n_out = 0;
    int32_t code = check_size(in, err);
    if (code != EMESH_OK)
        return code;
    emesh_json json;
    emesh_json_init(&json, in->ptr, in->len);
    batch_flaws flaws = { .n = 0 };
    code = read_elements(&json, in, out, cap, n_out, &flaws, err);
    if (code == EMESH_OK && flaws.n > 0)
        code = emesh_fail(err, flaws.code, "batch refused, event %s: %s", flaws.which,
                          flaws.first.text);
    if (code == EMESH_OK && (json.flaw != NULL || !emesh_json_end(&json)))
        code = emesh_fail(err, EMESH_E_INVALID, "batch as JSON, byte %zu: %s",
                          emesh_json_offset(&json), json.flaw);
    if (code == EMESH_OK)
        return EMESH_OK;
    for (uint32_t i = 0; i < *n_out; i++) {
        emesh_event_unref(out[i]);
        out[i] = NULL;
    }
    *n_out = 0;
    return code;
}
