/* SPDX-License-Identifier: Apache-2.0
 *
 * Building an event from a view, alone or on a base: order, duplicates, checks. What leaves here
 * holds: id, source and type first, names unique, values of their types, text data is UTF-8 and
 * JSON data is JSON, so that nothing behind has to look again.
 */
#include "event/attr.h"
#include "event/event-struct.h"
#include <string.h>

typedef struct draft {
    uint32_t n;
    bool given[EMESH_ATTRS_MAX]; /* by the spec, not the base: twice is an error */
    emesh_attr attrs[EMESH_ATTRS_MAX];
    emesh_names names;
} draft;

static int32_t
draft_add(draft *d, const emesh_attr *attr, bool given, emesh_error *err)
{
    if (d->n == EMESH_ATTRS_MAX)
        return emesh_fail(err, EMESH_E_TOO_LARGE, "more than %u attributes", EMESH_ATTRS_MAX);
    d->attrs[d->n] = *attr;
    d->given[d->n++] = given;
    emesh_names_add(&d->names, d->attrs);
    return EMESH_OK;
}

/* One attribute of the spec; over a base an empty value removes. */
static int32_t
draft_put(draft *d, const emesh_attr *in, bool on_base, emesh_error *err)
{
    emesh_attr attr = *in;
    int shown = (int)MIN(attr.name_len, 40u);
    emesh_attr_kind kind = EMESH_ATTR_EXTENSION;
    if (attr.name != NULL)
        kind = emesh_attr_kind_of(attr.name, attr.name_len);
    if (kind == EMESH_ATTR_IS_SPECVERSION) {
        if (attr.value_len == 3 && memcmp(attr.value, "1.0", 3) == 0)
            return EMESH_OK; /* implied */
        return emesh_fail(err, EMESH_E_UNSUPPORTED, "specversion \"%.*s\" is not 1.0",
                          (int)MIN(attr.value_len, 20u), (const char *)attr.value);
    }
    bool remove = on_base && attr.value_len == 0;
    if (remove && !emesh_attr_name_ok(attr.name, attr.name_len))
        remove = false; /* let the check name it */
    if (!remove) {
        int32_t code = emesh_attr_check(&attr, err);
        if (code != EMESH_OK)
            return code;
    }
    int32_t at = emesh_names_find(&d->names, d->attrs, attr.name, attr.name_len);
    if (at < 0)
        return remove ? EMESH_OK : draft_add(d, &attr, true, err);
    if (d->given[at])
        return emesh_fail(err, EMESH_E_INVALID, "attribute %.*s is given twice", shown, attr.name);
    if (remove)
        attr.value = NULL;
    d->attrs[at] = attr;
    d->given[at] = true;
    if (remove)
        d->attrs[at].zero = 1; /* swept by draft_order */
    return EMESH_OK;
}

/* id, source, type to the front, the removed out, the rest as it came. */
static int32_t
draft_order(draft *d, emesh_attr *out, uint32_t *n_out, emesh_error *err)
{
    static const char *const required[] = { "id", "source", "type" };
    uint32_t front[3];
    for (uint32_t i = 0; i < 3; i++) {
        int32_t at = emesh_names_find(&d->names, d->attrs, required[i],
                                      (uint32_t)strlen(required[i]));
        if (at < 0 || d->attrs[at].zero != 0)
            return emesh_fail(err, EMESH_E_INVALID, "attribute %s is missing", required[i]);
        out[i] = d->attrs[at];
        front[i] = (uint32_t)at;
    }
    uint32_t n = 3;
    size_t bytes = 0;
    for (uint32_t i = 0; i < d->n; i++) {
        bytes += d->attrs[i].name_len + (size_t)d->attrs[i].value_len;
        if (d->attrs[i].zero == 0 && i != front[0] && i != front[1] && i != front[2])
            out[n++] = d->attrs[i];
    }
    *n_out = n;
    if (bytes > EMESH_ATTR_BYTES_MAX)
        return emesh_fail(err, EMESH_E_TOO_LARGE, "attributes of %zu bytes, more than %zu", bytes,
                          EMESH_ATTR_BYTES_MAX);
    return EMESH_OK;
}

static int32_t
check_data(const emesh_event *event, emesh_error *err)
{
    const emesh_event_view *view = &event->view;
    const emesh_part *part = view->n_data > 0 ? &view->data[0] : NULL;
    if (view->data_form == EMESH_DATA_TEXT && part != NULL
        && !emesh_utf8_ok(part->ptr, part->len))
        return emesh_fail(err, EMESH_E_INVALID, "data of form text is not UTF-8");
    return EMESH_OK;
}

int32_t
emesh_event_build(const emesh_event_view *spec, const emesh_event *base, const emesh_event **out,
                  emesh_error *err)
{
    if (spec->data_form > EMESH_DATA_PROTO)
        return emesh_fail(err, EMESH_E_TOO_NEW, "data form %u is unknown here", spec->data_form);
    if (spec->data_form == EMESH_DATA_NONE && spec->n_data > 0)
        return emesh_fail(err, EMESH_E_INVALID, "data given with form none");

    draft d;
    d.n = 0;
    emesh_names_init(&d.names);
    int32_t code = EMESH_OK;
    for (uint32_t i = 0; base != NULL && i < base->view.n_attrs && code == EMESH_OK; i++)
        code = draft_add(&d, &base->attrs[i], false, err);
    for (uint32_t i = 0; i < spec->n_attrs && code == EMESH_OK; i++)
        code = draft_put(&d, &spec->attrs[i], base != NULL, err);
    if (code != EMESH_OK)
        return code;
    emesh_attr attrs[EMESH_ATTRS_MAX];
    uint32_t n = 0;
    code = draft_order(&d, attrs, &n, err);
    if (code != EMESH_OK)
        return code;

    const emesh_event_view *source = spec;
    if (base != NULL && spec->data_form == EMESH_DATA_NONE)
        source = &base->view;
    bool whole = source->data_form == EMESH_DATA_TEXT || source->data_form == EMESH_DATA_JSON;
    emesh_event *event = NULL;
    code = emesh_event_make(attrs, n, source->data_form, source->data, source->n_data, whole,
                            &event, err);
    if (code != EMESH_OK)
        return code;
    if (source == spec)
        code = check_data(event, err);
    if (code != EMESH_OK) {
        emesh_event_unref(event);
        return code;
    }
    *out = event;
    return EMESH_OK;
}
