/* SPDX-License-Identifier: Apache-2.0
 *
 * The service "emesh.event/1" as plugins see it: sizes of their structs are translated here, the
 * work is done in build.c, image.c and json-*.c. Any thread.
 */
#include "event/event.h"
#include <string.h>

static emesh_buf *
svc_buf(const emesh_host *host, size_t n, void **mem)
{
    (void)host;
    return emesh_buf_new(n, mem);
}

/* A newer plugin's view may be longer: what this host does not know must be zero. */
static int32_t
take_view(const emesh_event_view *in, emesh_event_view *view, emesh_error *err)
{
    *view = (emesh_event_view){ 0 };
    memcpy(view, in, MIN((size_t)in->size, sizeof *view));
    for (size_t i = sizeof *view; i < in->size; i++) {
        if (((const char *)in)[i] != 0)
            return emesh_fail(err, EMESH_E_TOO_NEW,
                              "event view of %u bytes has members this host lacks", in->size);
    }
    view->size = sizeof *view;
    return EMESH_OK;
}

static int32_t
svc_build(const emesh_host *host, const emesh_event_view *spec, const emesh_event *base,
          const emesh_event **out, emesh_error *err)
{
    (void)host;
    emesh_event_view view;
    int32_t code = take_view(spec, &view, err);
    return code == EMESH_OK ? emesh_event_build(&view, base, out, err) : code;
}

static void
svc_unref(const emesh_event *const *events, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        emesh_event_unref(events[i]);
}

static void
svc_view(const emesh_event *event, emesh_event_view *out)
{
    const emesh_event_view *view = emesh_event_peek(event);
    size_t size = out->size;
    size_t mine = MIN(size, sizeof *view);
    memcpy((char *)out + sizeof out->size, (const char *)view + sizeof out->size,
           mine - sizeof out->size);
    if (size > sizeof *view)
        memset((char *)out + sizeof *view, 0, size - sizeof *view);
}

/* JSON is read from contiguous bytes: several parts are put together first. */
static int32_t
join(const emesh_part *in, uint32_t n_in, emesh_part *out, emesh_error *err)
{
    size_t len = 0;
    for (uint32_t i = 0; i < n_in; i++)
        len += in[i].len;
    void *mem = NULL;
    emesh_buf *buf = emesh_buf_new(len, &mem);
    if (buf == NULL)
        return emesh_fail(err, len > EMESH_BUF_MAX ? EMESH_E_TOO_LARGE : EMESH_E_NO_MEMORY,
                          "JSON of %zu bytes in %u parts", len, n_in);
    char *at = mem;
    for (uint32_t i = 0; i < n_in; i++) {
        if (in[i].len > 0)
            memcpy(at, in[i].ptr, in[i].len);
        at += in[i].len;
    }
    *out = (emesh_part){ .ptr = mem, .len = len, .owner = buf };
    return EMESH_OK;
}

static int32_t
decode_json(uint32_t form, const emesh_part *in, const emesh_event **out, uint32_t cap,
            uint32_t *n_out, emesh_error *err)
{
    if (form == EMESH_FORM_JSON_BATCH)
        return emesh_event_batch_from_json(in, out, cap, n_out, err);
    if (cap == 0)
        return emesh_fail(err, EMESH_E_INVALID, "decode without room for an event");
    int32_t code = emesh_event_from_json(in, out, err);
    *n_out = code == EMESH_OK;
    return code;
}

static int32_t
svc_decode(const emesh_host *host, uint32_t form, const emesh_part *in, uint32_t n_in,
           const emesh_event **out, uint32_t cap, uint32_t *n_out, emesh_error *err)
{
    (void)host;
    *n_out = 0;
    if ((form == EMESH_FORM_IMAGE || form == EMESH_FORM_KEPT) && cap > 0) {
        int32_t code = emesh_event_from_image(in, n_in, form == EMESH_FORM_KEPT, out, err);
        *n_out = code == EMESH_OK;
        return code;
    }
    if (form != EMESH_FORM_JSON && form != EMESH_FORM_JSON_BATCH)
        return emesh_fail(err, EMESH_E_UNSUPPORTED, "decode of form %u", form);
    if (n_in == 1)
        return decode_json(form, &in[0], out, cap, n_out, err);
    emesh_part whole;
    int32_t code = join(in, n_in, &whole, err);
    if (code != EMESH_OK)
        return code;
    code = decode_json(form, &whole, out, cap, n_out, err);
    emesh_buf_unref(whole.owner);
    return code;
}

static int32_t
svc_encode(const emesh_host *host, uint32_t form, const emesh_event *const *events, uint32_t n,
           emesh_part *out)
{
    (void)host;
    switch (form) {
    case EMESH_FORM_JSON:
    case EMESH_FORM_JSON_BATCH:
        return emesh_event_to_json(events, n, form == EMESH_FORM_JSON_BATCH, out);
    case EMESH_FORM_IMAGE:
        break;
    default:
        return EMESH_E_UNSUPPORTED;
    }
    if (n != 1)
        return EMESH_E_INVALID;
    emesh_slice image = emesh_event_image(events[0]);
    *out = (emesh_part){ .ptr = image.ptr, .len = image.len };
    return EMESH_OK;
}

const emesh_event_api emesh_event_service = {
    .size = sizeof(emesh_event_api),
    .buf = svc_buf,
    .buf_ref = emesh_buf_ref,
    .buf_unref = emesh_buf_unref,
    .build = svc_build,
    .ref = emesh_event_ref,
    .unref = svc_unref,
    .view = svc_view,
    .decode = svc_decode,
    .encode = svc_encode,
};
