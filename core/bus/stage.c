/* SPDX-License-Identifier: Apache-2.0
 *
 * The stage chain: what every event passes, whoever brings it. One table for what is known before
 * the topic is, one for what needs it. Authorisation, quotas, schema and functions take their places
 * here, and only here.
 */
#include "bus/own-topic.h"
#include "bus/publish.h"
#include "bus/rung.h"
#include "event/event.h"

static int32_t
stage_topic_name(const emesh_publish *item, emesh_why *why)
{
    if (emesh_is_closed_topic(item->topic.ptr, item->topic.len)) {
        *why = (emesh_why){ EMESH_WHY_REFUSED_NAME, "the delay ladder and the inboxes of groups are "
                                                    "written by the daemon alone" };
        return EMESH_E_DENIED;
    }
    if (emesh_name_ok(item->topic.ptr, item->topic.len))
        return EMESH_OK;
    *why = (emesh_why){ EMESH_WHY_REFUSED_NAME,
                        "a topic name is 1 to 249 bytes of printable ASCII without *, ?, [ and ]" };
    return EMESH_E_INVALID;
}

static int32_t
stage_kind(const emesh_publish *item, emesh_why *why)
{
    if (item->what == EMESH_PUB_EVENT || item->what == EMESH_PUB_REQUEST)
        return EMESH_OK; /* a reply goes another way: reply.c */
    *why = (emesh_why){ EMESH_WHY_REFUSED_KIND, "a newer kind of publish than this host knows" };
    return EMESH_E_TOO_NEW;
}

static int32_t
stage_attributes(const emesh_publish *item, emesh_why *why)
{
    if (emesh_event_attr(item->event, EMESH_RUNG_ATTR, sizeof EMESH_RUNG_ATTR - 1) == NULL)
        return EMESH_OK;
    *why = (emesh_why){ EMESH_WHY_REFUSED_NAME,
                        "the attribute " EMESH_RUNG_ATTR " is the daemon's own" };
    return EMESH_E_INVALID;
}

static int32_t
stage_size(emesh_staged *item, emesh_why *why)
{
    const emesh_store *store = item->topic->store;

    if (emesh_event_size(item->event) <= item->topic->max_event &&
        emesh_event_size(item->event) <= __atomic_load_n(&store->max_event_bytes, __ATOMIC_RELAXED))
        return EMESH_OK;
    *why = (emesh_why){ EMESH_WHY_REFUSED_SIZE,
                        "the event is larger than max-event of its topic, or than its store "
                        "takes" };
    return EMESH_E_TOO_LARGE;
}

static int32_t
stage_level(emesh_staged *item, emesh_why *why)
{
    const emesh_bus_topic *topic = item->topic;

    if (!emesh_store_gives(topic->store, topic->level)) {
        *why = (emesh_why){ EMESH_WHY_REFUSED_LEVEL_GONE,
                        "the store cannot give the durability of this topic any more" };
        return EMESH_E_UNAVAILABLE; /* it told so by ready(), and may be able again */
    }
    if (item->level == EMESH_LEVEL_TOPIC || emesh_store_gives(topic->store, item->level))
        return EMESH_OK;
    *why = (emesh_why){ EMESH_WHY_REFUSED_LEVEL,
                        "the store of this topic cannot give the durability that the publish "
                        "asks for" };
    return EMESH_E_UNSUPPORTED;
}

typedef int32_t (*stage_early)(const emesh_publish *item, emesh_why *why);
typedef int32_t (*stage_late)(emesh_staged *item, emesh_why *why);

static const stage_early early[] = { stage_topic_name, stage_attributes, stage_kind };
static const stage_late late[] = { stage_size, stage_level, emesh_stage_delay };

int32_t
emesh_stages_before_topic(const emesh_publish *item, emesh_why *why)
{
    int32_t code = EMESH_OK;

    for (uint32_t i = 0; i < G_N_ELEMENTS(early) && code == EMESH_OK; i++)
        code = early[i](item, why);
    return code;
}

int32_t
emesh_stages_with_topic(emesh_staged *item, emesh_why *why)
{
    int32_t code = EMESH_OK;

    for (uint32_t i = 0; i < G_N_ELEMENTS(late) && code == EMESH_OK; i++)
        code = late[i](item, why);
    return code;
}
