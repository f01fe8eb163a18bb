/* SPDX-License-Identifier: Apache-2.0
 *
 * Delayed events: `delay` is a level of RocketMQ's table on every store, `deliverytime` an instant.
 * What is no level stays an attribute like any other.
 */
#include "bus/publish.h"
#include "event/event.h"

#define FARTHEST_MS (UINT64_C(30) * 86400 * 1000)

/* Seconds of levels 1 to 18, as RocketMQ's messageDelayLevel ships. */
static const uint16_t levels[] = { 1,   5,   10,  30,  60,  120,  180,  240,  300,
                                   360, 420, 480, 540, 600, 1200, 1800, 3600, 7200 };

static uint64_t
now_ms(void)
{
    return (uint64_t)g_get_real_time() / 1000u;
}

/* 1 to 18, or 0. */
static uint32_t
level_of(const emesh_attr *attr)
{
    const char *p = attr->value;
    uint32_t level = 0;

    if (attr->value_len == 0 || attr->value_len > 2)
        return 0;
    for (uint32_t i = 0; i < attr->value_len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return 0;
        level = level * 10 + (uint32_t)(p[i] - '0');
    }
    return level <= G_N_ELEMENTS(levels) ? level : 0;
}

static uint64_t
wished(const emesh_event *event)
{
    const emesh_attr *attr = emesh_event_attr(event, "deliverytime", 12);
    uint64_t ms = 0;
    uint32_t level;

    if (attr != NULL && emesh_time_read(attr->value, attr->value_len, &ms))
        return ms;
    attr = emesh_event_attr(event, "delay", 5);
    level = attr != NULL ? level_of(attr) : 0;
    return level != 0 ? now_ms() + levels[level - 1] * UINT64_C(1000) : 0;
}

int32_t
emesh_stage_delay(emesh_staged *item, emesh_why *why)
{
    uint64_t now;

    if (item->deliver_at_ms == 0)
        item->deliver_at_ms = wished(item->event);
    if (item->deliver_at_ms == 0)
        return EMESH_OK;
    now = now_ms();
    if (item->deliver_at_ms <= now) {
        item->deliver_at_ms = 0;
        return EMESH_OK;
    }
    if (item->deliver_at_ms - now > FARTHEST_MS) {
        *why = (emesh_why){ EMESH_WHY_REFUSED_FAR,
                        "an event can be delayed by 30 days at most" };
        return EMESH_E_INVALID;
    }
    if (emesh_store_can(item->topic->store, EMESH_STORE_CAN_DELAY) ||
        emesh_store_ladders(item->topic->store))
        return EMESH_OK;
    *why = (emesh_why){ EMESH_WHY_REFUSED_DELAY,
                        "the store of this topic cannot delay events" };
    return EMESH_E_UNSUPPORTED;
}
