/* SPDX-License-Identifier: Apache-2.0
 *
 * C++17: tables without designated initialisers, and nothing exported but the entry. It counts what
 * it is given, and keeps nothing.
 */
#include <atomic>
#include <new>

#include "eventmesh/eventmesh.h"

namespace
{

struct Store {
    const emesh_host *host;
    const emesh_store_api *store;
    std::atomic<uint64_t> position;
};

Store *
of(emesh_instance *self)
{
    return reinterpret_cast<Store *>(self);
}

int32_t
create(const emesh_host *host, const emesh_config *, emesh_instance **out, emesh_error *) noexcept
{
    auto *self = new (std::nothrow) Store { host, nullptr, {} };
    if (self == nullptr)
        return EMESH_E_NO_MEMORY;
    self->store = static_cast<const emesh_store_api *>(host->service(host, EMESH_STORE_ID));
    *out = reinterpret_cast<emesh_instance *>(self);
    return EMESH_OK;
}

void
start(emesh_instance *self, emesh_op *op) noexcept
{
    emesh_store_info info {};
    info.size = sizeof info;
    info.levels = 1u << EMESH_LEVEL_MEMORY;
    info.max_event_bytes = 1u << 20;
    info.window_events = 64;
    info.window_bytes = 1u << 24;
    of(self)->store->ready(of(self)->host, &info);
    of(self)->host->complete(of(self)->host, op, EMESH_OK, nullptr, nullptr);
}

int32_t
attach(emesh_instance *self, emesh_loop *, uint32_t, emesh_lane **out, emesh_error *) noexcept
{
    *out = reinterpret_cast<emesh_lane *>(self);
    return EMESH_OK;
}

void
destroy(emesh_instance *self) noexcept
{
    delete of(self);
}

void
topic_open(emesh_instance *self, const emesh_topic_spec *, emesh_op *op) noexcept
{
    of(self)->host->complete(of(self)->host, op, EMESH_OK, nullptr, self);
}

void
topic_close(emesh_instance *, emesh_topic *) noexcept
{
}

void
append(emesh_lane *lane, const emesh_append *items, uint32_t n) noexcept
{
    auto *self = reinterpret_cast<Store *>(lane);
    for (uint32_t i = 0; i < n; i++) {
        emesh_appended result {};
        result.cookie = items[i].cookie;
        result.position.lo = ++self->position;
        result.level = EMESH_LEVEL_MEMORY;
        self->store->appended(self->host, &result, 1);
    }
}

emesh_cursor *
open(emesh_lane *lane, const emesh_read_spec *, emesh_reader *) noexcept
{
    return reinterpret_cast<emesh_cursor *>(lane);
}

void
begin(emesh_cursor *, uint32_t, uint32_t, const emesh_start *) noexcept
{
}

void
want(emesh_cursor *, uint32_t, uint64_t) noexcept
{
}

void
close(emesh_cursor *cursor, emesh_op *op) noexcept
{
    auto *self = reinterpret_cast<Store *>(cursor);
    self->host->complete(self->host, op, EMESH_OK, nullptr, nullptr);
}

const emesh_life_ops life { sizeof life, 0,       nullptr, create,  start,  attach,
                            nullptr,     nullptr, nullptr, nullptr, destroy };
const emesh_storage_ops ops { sizeof ops,  0,           nullptr, nullptr, 0,     0,
                              topic_open,  topic_close, nullptr, append,  open,  begin,
                              nullptr,     want,        nullptr, close,   nullptr };
const emesh_need needs[] { EMESH_NEED(EMESH_STORE_ID, emesh_store_api, appended) };
const emesh_component component { sizeof component,
                                  sizeof(emesh_option),
                                  0,
                                  0,
                                  EMESH_STORAGE_KIND,
                                  FIXTURE_NAME,
                                  "counts and keeps nothing",
                                  &life,
                                  &ops,
                                  nullptr,
                                  nullptr,
                                  needs,
                                  0,
                                  0,
                                  1,
                                  EMESH_LANES_HOME };
const emesh_component *const components[] { &component };
const emesh_layout layout EMESH_LAYOUT;
const emesh_plugin plugin { sizeof plugin, EMESH_ABI_MINOR, 0,           1,
                            "eventmesh.store-cpp", "1.0.0", "Apache-2.0", "EventMesh",
                            "counts and keeps nothing", components, &layout };
EMESH_NOTE(0);

} // namespace

EMESH_ENTRY(uint32_t)
{
    return &plugin;
}
