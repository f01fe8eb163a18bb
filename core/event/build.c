/* SPDX-License-Identifier: Apache-2.0
 *
 * Building an event from a view, alone or on a base: duplicates and checks. What leaves here holds:
 * id, source and type first, names unique, values of their types, text data is UTF-8 and JSON data
 * is JSON, so that nothing behind has to look again. Any thread.
 */
#include "event/draft.h"
#include "event/json-scan.h"
#include <string.h>

/* One attribute of the spec; over a base an empty value removes. */
static int32_t
put(emesh_draft *draft, const emesh_attr *in, bool on_base, emesh_error *err)
{
    emesh_attr attr = *in;
    emesh_attr_kind kind = EMESH_ATTR_EXTENSION;
    if (attr.name != NULL)
        kind = emesh_attr_kind_of(attr.name, attr.name_len);
    if (kind == EMESH_ATTR_IS_SPECVERSION) {
        if (attr.value_len == 3 && memcmp(attr.value, "1.0", 3) == 0)
            return EMESH_OK; /* implied */
        return emesh_fail(err, EMESH_E_UNSUPPORTED, "specversion \"%.*s\" is not 1.0",
                          (int)MIN(attr.value_len, 20u), (const char *)attr.value);
    }
    bool remove = on_base && attr.value_len == 0 && attr.name != NULL &&
                  emesh_attr_name_ok(attr.name, attr.name_len);
    int32_t code = remove ? EMESH_OK : emesh_attr_check(&attr, kind, err);
    if (code != EMESH_OK)
        return code;
    int32_t at = emesh_names_find(&draft->names, draft->attrs, attr.name, attr.name_len);
    if (at < 0)
        return remove ? EMESH_OK : emesh_draft_add(draft, &attr, true, err);
    if (draft->given[at])
        return emesh_fail(err, EMESH_E_INVALID, "attribute %.*s is given twice",
                          (int)MIN(attr.name_len, 40u), attr.name);
    attr.zero = remove ? EMESH_DRAFT_DROPPED : 0;
    draft->dropped |= remove;
    draft->attrs[at] = attr;
    draft->given[at] = true;
    return EMESH_OK;
}

static int32_t
check_data(const emesh_event_view *view, emesh_error *err)
{
    const emesh_part none = { .ptr = "" };
    const emesh_part *part = view->n_data > 0 ? &view->data[0] : &none;
    emesh_json json;
    switch (view->data_form) {
    case EMESH_DATA_TEXT:
        if (!emesh_utf8_ok(part->ptr, part->len))
            return emesh_fail(err, EMESH_E_INVALID, "data of form text is not UTF-8");
        return EMESH_OK;
    case EMESH_DATA_JSON:
        emesh_json_init(&json, part->ptr, part->len);
        if (!emesh_json_is_one_value(&json))
            return emesh_fail(err, EMESH_E_INVALID, "data of form JSON, byte %zu: %s",
                              emesh_json_offset(&json), json.flaw);
        return EMESH_OK;
    default:
        return EMESH_OK;
    }
}

int32_t
emesh_event_build(const emesh_event_view *spec, const emesh_event *base, const emesh_event **out,
                  emesh_error *err)
{
    if (spec->data_form > EMESH_DATA_PROTO)
        return emesh_fail(err, EMESH_E_TOO_NEW, "data form %u is unknown here", spec->data_form);
    if (spec->data_form == EMESH_DATA_NONE && spec->n_data > 0)
        return emesh_fail(err, EMESH_E_INVALID, "data given with form none");

    emesh_draft draft;
    emesh_draft_init(&draft);
    int32_t code = EMESH_OK;
    for (uint32_t i = 0; base != NULL && i < base->view.n_attrs && code == EMESH_OK; i++)
        code = emesh_draft_add(&draft, &base->attrs[i], false, err);
    for (uint32_t i = 0; i < spec->n_attrs && code == EMESH_OK; i++)
        code = put(&draft, &spec->attrs[i], base != NULL, err);
    if (code != EMESH_OK)
        return code;

    const emesh_event_view *source = spec;
    if (base != NULL && spec->data_form == EMESH_DATA_NONE)
        source = &base->view;
    bool whole = source->data_form == EMESH_DATA_TEXT || source->data_form == EMESH_DATA_JSON;
    emesh_event *event = NULL;
    code = emesh_draft_make(&draft, source->data_form, source->data, source->n_data, whole, &event,
                            err);
    if (code == EMESH_OK && source == spec)
        code = check_data(&event->view, err);
    if (code != EMESH_OK) {
        emesh_event_unref(event);
        return code;
    }
    *out = event;
    return EMESH_OK;
}
