/* SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters: the event as it was, with what happened to it in attributes of its own.
 * [owner's lane]
 */
#include "delivery/sub.h"
#include "event/event.h"

#include <string.h>

#define ERROR_MAX 256u

/* What an attribute may hold: UTF-8 without control characters, not empty. */
static char *
tidy(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, (gssize)MIN(strlen(text), ERROR_MAX));

    for (char *p = valid; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    return valid[0] != '\0' ? g_steal_pointer(&valid) : NULL;
}

typedef struct letter {
    emesh_attr attrs[7];
    uint32_t n;
} letter;

static void
put(letter *l, const char *name, uint32_t type, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    l->attrs[l->n++] = (emesh_attr){ .name = name,
                                     .name_len = (uint32_t)strlen(name),
                                     .value = value,
                                     .value_len = (uint32_t)strlen(value),
                                     .type = type };
}

const emesh_event *
emesh_letter_new(const emesh_sub *sub, uint32_t index, emesh_cause cause, const char *error)
{
    const emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
    g_autofree char *place = emesh_slot_origin(sub, index);
    g_autofree char *attempts = g_strdup_printf("%u", slot->attempt);
    g_autofree char *words = error != NULL ? tidy(error) : NULL;
    letter l = { .n = 0 };
    emesh_event_view spec = { .size = sizeof spec };
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };

    put(&l, "dlgroup", EMESH_ATTR_TEXT, sub->group);
    put(&l, "dltopic", EMESH_ATTR_TEXT, sub->topic->name);
    put(&l, "dlposition", EMESH_ATTR_TEXT, place);
    put(&l, "dlattempts", EMESH_ATTR_INTEGER, attempts);
    put(&l, "dlcause", EMESH_ATTR_TEXT, emesh_cause_name(cause));
    put(&l, "dlerror", EMESH_ATTR_TEXT, words);
    put(&l, "dltime", EMESH_ATTR_TIME, time);
    spec.attrs = l.attrs;
    spec.n_attrs = l.n;
    if (emesh_event_build(&spec, slot->event, &event, &err) != EMESH_OK) {
        emesh_bus_warn(sub->owner->lane->bus, "delivery",
                       "a dead letter of group \"%s\" keeps no cause: %s", sub->group, err.text);
        return emesh_event_ref(slot->event);
    }
    return event;
}
