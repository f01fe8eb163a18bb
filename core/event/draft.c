/* SPDX-License-Identifier: Apache-2.0
 *
 * From collected attributes to an event: order and bounds. Any thread.
 */
#include "event/draft.h"
#include <string.h>

void
emesh_draft_init(emesh_draft *draft)
{
    draft->n = 0;
    draft->dropped = false;
    emesh_names_init(&draft->names);
}

int32_t
emesh_draft_add(emesh_draft *draft, const emesh_attr *attr, bool given, emesh_error *err)
{
    if (draft->n == EMESH_ATTRS_MAX)
        return emesh_fail(err, EMESH_E_TOO_LARGE, "more than %u attributes", EMESH_ATTRS_MAX);
    draft->attrs[draft->n] = *attr;
    draft->given[draft->n++] = given;
    draft->dropped |= attr->zero == EMESH_DRAFT_DROPPED;
    emesh_names_add(&draft->names, draft->attrs);
    return EMESH_OK;
}

static const char *const required[] = { "id", "source", "type" };

/* As most protocols give them: nothing to sort, nothing to leave out. */
static bool
in_order(const emesh_draft *draft)
{
    bool ok = draft->n >= 3 && !draft->dropped;
    for (uint32_t i = 0; i < 3 && ok; i++)
        ok = draft->attrs[i].name_len == strlen(required[i]) &&
             memcmp(draft->attrs[i].name, required[i], draft->attrs[i].name_len) == 0;
    return ok;
}

/* The attributes of the event into attrs: their number, or 0. */
static uint32_t
sort(const emesh_draft *draft, emesh_attr *attrs, emesh_error *err)
{
    uint32_t front[3];
    for (uint32_t i = 0; i < 3; i++) {
        int32_t at = emesh_names_find(&draft->names, draft->attrs, required[i],
                                      (uint32_t)strlen(required[i]));
        if (at < 0 || draft->attrs[at].zero == EMESH_DRAFT_DROPPED) {
            emesh_fail(err, EMESH_E_INVALID, "attribute %s is missing", required[i]);
            return 0;
        }
        attrs[i] = draft->attrs[at];
        front[i] = (uint32_t)at;
    }
    uint32_t n = 3;
    for (uint32_t i = 0; i < draft->n; i++) {
        if (draft->attrs[i].zero != EMESH_DRAFT_DROPPED && i != front[0] && i != front[1] &&
            i != front[2])
            attrs[n++] = draft->attrs[i];
    }
    return n;
}

int32_t
emesh_draft_make(emesh_draft *draft, uint32_t form, const emesh_part *data, uint32_t n_data,
                 bool whole, emesh_event **out, emesh_error *err)
{
    emesh_attr sorted[EMESH_ATTRS_MAX];
    const emesh_attr *attrs = draft->attrs;
    uint32_t n = draft->n;
    if (!in_order(draft)) {
        n = sort(draft, sorted, err);
        if (n == 0)
            return EMESH_E_INVALID;
        attrs = sorted;
    }
    size_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        bytes += attrs[i].name_len + (size_t)attrs[i].value_len;
    if (bytes > EMESH_ATTR_BYTES_MAX)
        return emesh_fail(err, EMESH_E_TOO_LARGE, "attributes of %zu bytes, more than %zu", bytes,
                          EMESH_ATTR_BYTES_MAX);
    return emesh_event_make(attrs, n, form, data, n_data, whole, out, err);
}
