/* SPDX-License-Identifier: Apache-2.0
 *
 * group reset and group delete: what would be repeated or skipped is counted first, and shown;
 * without dry-run it is done then. [main]
 */
#include "admin/command.h"
#include "daemon/daemon.h"
#include "delivery/change.h"
#include "delivery/commands.h"
#include "delivery/groups.h"
#include "delivery/patterns.h"
#include "delivery/rest.h"
#include "delivery/where.h"

#include <string.h>

bool
emesh_command_says(const emesh_attr *args, uint32_t n, const char *name)
{
    g_autofree char *text = emesh_command_text(args, n, name);

    return text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "yes") == 0);
}

/* ---- reset ---- */

typedef struct reset_part { /* of the topic */
    char *partition;
    emesh_store *store;
    emesh_position floor, last;
    uint64_t lag;        /* not done now */
    uint64_t lag_after;  /* of them, from the new place on */
    uint64_t there;      /* records from the new place on */
    bool listed;
} reset_part;

typedef struct reset {
    emesh_bus *bus;
    emesh_command_reply *reply;
    char *group, *topic, *partition;
    emesh_start to;
    bool dry;
    GArray *parts; /* of reset_part */
} reset;

static void
part_clear(void *data)
{
    g_free(((reset_part *)data)->partition);
}

static void
reset_end(reset *r, int32_t code, const char *why)
{
    if (code != EMESH_OK)
        emesh_command_fail(r->reply, code, "group \"%s\", topic \"%s\": %s", r->group, r->topic,
                           why != NULL ? why : "refused");
    else
        r->reply->end(r->reply, EMESH_OK, NULL);
    g_array_unref(r->parts);
    g_free(r->group);
    g_free(r->topic);
    g_free(r->partition);
    g_free(r);
}

static reset_part *
part_of(reset *r, const emesh_listed *listed)
{
    for (uint32_t i = 0; i < r->parts->len; i++) {
        reset_part *part = &g_array_index(r->parts, reset_part, i);
        if (part->store == listed->store && strcmp(part->partition, listed->partition) == 0)
            return part;
    }
    return NULL;
}

static void
rows_out(reset *r)
{
    for (uint32_t i = 0; i < r->parts->len; i++) {
        const reset_part *part = &g_array_index(r->parts, reset_part, i);
        g_autofree char *floor = emesh_position_text(part->floor);
        emesh_row_builder *row = emesh_row_new();

        emesh_row_text(row, "group", r->group, -1);
        emesh_row_text(row, "topic", r->topic, -1);
        emesh_row_text(row, "partition", part->partition, -1);
        emesh_row_text(row, "floor", floor, -1);
        if (part->listed) {
            emesh_row_number(row, "lag", part->lag);
            emesh_row_number(row, "repeated", part->there - MIN(part->there, part->lag_after));
            emesh_row_number(row, "skipped", part->lag - MIN(part->lag, part->lag_after));
            emesh_row_number(row, "lag-after", part->there);
        }
        emesh_row_text(row, "done", r->dry ? "no" : "yes", -1);
        emesh_row_send(row, r->reply);
    }
}

static void
reset_done(void *ctx, int32_t code, const char *why)
{
    reset *r = ctx;

    if (code == EMESH_OK)
        rows_out(r);
    reset_end(r, code, why);
}

static void
reset_go(reset *r)
{
    const reset_part *first = &g_array_index(r->parts, reset_part, 0);
    emesh_change_spec spec = { .store = first->store, .topic = r->topic, .group = r->group,
                               .partition = r->partition, .to = &r->to };

    for (uint32_t i = 0; i < r->parts->len; i++) {
        const reset_part *part = &g_array_index(r->parts, reset_part, i);
        if (part->listed && r->to.kind == EMESH_START_AFTER &&
            emesh_position_compare(r->to.position, part->last) > 0) {
            g_autofree char *last = emesh_position_text(part->last);
            g_autofree char *why = g_strdup_printf("the last event of partition %s is at %s; the "
                                                   "end is \"latest\"", part->partition, last);
            reset_end(r, EMESH_E_INVALID, why);
            return;
        }
    }
    if (r->dry)
        reset_done(r, EMESH_OK, NULL);
    else
        emesh_group_change(r->bus, &spec, reset_done, r);
}

static void
lag_after_listed(void *ctx, GArray *rows)
{
    reset *r = ctx;

    for (uint32_t i = 0; i < rows->len; i++) {
        const emesh_listed *listed = &g_array_index(rows, emesh_listed, i);
        reset_part *part = part_of(r, listed);
        if (part != NULL)
            part->lag_after = listed->count;
    }
    reset_go(r);
}

static void
partitions_listed(void *ctx, GArray *rows)
{
    reset *r = ctx;

    for (uint32_t i = 0; i < rows->len; i++) {
        const emesh_listed *listed = &g_array_index(rows, emesh_listed, i);
        reset_part *part = part_of(r, listed);
        if (part == NULL)
            continue;
        part->there = listed->count;
        part->last = listed->last;
        part->listed = listed->count != UINT64_MAX && part->lag != UINT64_MAX;
    }
    emesh_groups_list(r->bus, &(emesh_groups_query){ .topic = r->topic, .group = r->group,
                                                     .start = &r->to },
                      lag_after_listed, r);
}

static void
places_listed(void *ctx, GArray *rows)
{
    reset *r = ctx;
    emesh_admin ask = { .size = sizeof ask, .what = EMESH_LIST_PARTITIONS,
                        .topic = { r->topic, strlen(r->topic) }, .start = &r->to };

    for (uint32_t i = 0; i < rows->len; i++) {
        const emesh_listed *listed = &g_array_index(rows, emesh_listed, i);
        reset_part part = { NULL, listed->store, listed->committed, { 0, 0 }, listed->count,
                            0, 0, false };
        if (r->partition != NULL && strcmp(r->partition, listed->partition) != 0)
            continue;
        part.partition = g_strdup(listed->partition);
        g_array_append_val(r->parts, part);
    }
    if (r->parts->len == 0)
        reset_end(r, EMESH_E_NOT_FOUND, "it has no place there (see `group list`)");
    else if (r->parts->len > 1 && r->to.kind == EMESH_START_AFTER)
        reset_end(r, EMESH_E_INVALID, "the topic has several partitions: name the one that the "
                                      "position is in");
    else
        emesh_list_ask(r->bus, g_array_index(r->parts, reset_part, 0).store, &ask,
                       partitions_listed, r);
}

static void
group_reset(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    g_autofree char *to = emesh_command_text(args, n, "to");
    reset *r;
    emesh_start start;

    if (!emesh_place_read(to, &start)) {
        emesh_command_fail(reply, EMESH_E_INVALID, "\"%.60s\" is no place; there are "
                           EMESH_WHERE_PLACES, to);
        return;
    }
    r = g_new0(reset, 1);
    r->bus = emesh_daemon_bus(daemon);
    r->reply = reply;
    r->group = emesh_command_text(args, n, "group");
    r->topic = emesh_command_text(args, n, "topic");
    r->partition = emesh_command_text(args, n, "partition");
    r->to = start;
    r->dry = emesh_command_says(args, n, "dry-run");
    r->parts = g_array_new(FALSE, FALSE, sizeof(reset_part));
    g_array_set_clear_func(r->parts, part_clear);
    emesh_groups_list(r->bus, &(emesh_groups_query){ .topic = r->topic, .group = r->group },
                      places_listed, r);
}

/* ---- delete ---- */

typedef struct group_delete_place {
    emesh_store *store;
    char *topic;
    uint64_t lag;
    bool known;
} group_delete_place;

typedef struct deleting {
    emesh_bus *bus;
    emesh_command_reply *reply;
    char *group, *topic; /* topic NULL: all */
    bool dry;
    uint32_t members;
    GArray *places; /* of group_delete_place */
    uint32_t next;
} deleting;

static void
place_clear(void *data)
{
    g_free(((group_delete_place *)data)->topic);
}

static void
delete_end(deleting *d, int32_t code, const char *why)
{
    if (code != EMESH_OK)
        emesh_command_fail(d->reply, code, "group \"%s\": %s", d->group,
                           why != NULL ? why : "refused");
    else
        d->reply->end(d->reply, EMESH_OK, NULL);
    g_array_unref(d->places);
    g_free(d->group);
    g_free(d->topic);
    g_free(d);
}

static void
delete_row(deleting *d, const group_delete_place *place)
{
    emesh_row_builder *row = emesh_row_new();

    emesh_row_text(row, "group", d->group, -1);
    emesh_row_text(row, "topic", place->topic, -1);
    emesh_row_text(row, "store", place->store->inst->name, -1);
    if (place->known)
        emesh_row_number(row, "skipped", place->lag);
    emesh_row_text(row, "done", d->dry ? "no" : "yes", -1);
    emesh_row_send(row, d->reply);
}

static void delete_next(deleting *d);

static void
place_forgotten(void *ctx, int32_t code, const char *why)
{
    deleting *d = ctx;

    if (code != EMESH_OK && code != EMESH_E_NOT_FOUND) {
        delete_end(d, code, why);
        return;
    }
    delete_row(d, &g_array_index(d->places, group_delete_place, d->next));
    d->next++;
    delete_next(d);
}

static void
delete_next(deleting *d)
{
    const group_delete_place *place;
    emesh_change_spec spec = { .group = d->group, .words = "group delete" };

    if (d->next == d->places->len) {
        if (d->topic == NULL)
            emesh_patterns_forget(d->bus, d->group);
        delete_end(d, EMESH_OK, NULL);
        return;
    }
    place = &g_array_index(d->places, group_delete_place, d->next);
    spec.store = place->store;
    spec.topic = place->topic;
    emesh_group_change(d->bus, &spec, place_forgotten, d);
}

static void
delete_listed(void *ctx, GArray *rows)
{
    deleting *d = ctx;

    for (uint32_t i = 0; i < rows->len; i++) {
        const emesh_listed *listed = &g_array_index(rows, emesh_listed, i);
        group_delete_place place = { listed->store, NULL, 0, true }, *at = NULL;
        for (uint32_t k = 0; k < d->places->len && at == NULL; k++) {
            group_delete_place *known = &g_array_index(d->places, group_delete_place, k);
            at = known->store == listed->store && strcmp(known->topic, listed->topic) == 0 ? known
                                                                                           : NULL;
        }
        if (at == NULL) {
            place.topic = g_strdup(listed->topic);
            g_array_append_val(d->places, place);
            at = &g_array_index(d->places, group_delete_place, d->places->len - 1);
        }
        at->known &= listed->count != UINT64_MAX;
        at->lag += listed->count;
    }
    if (d->places->len == 0)
        delete_end(d, EMESH_E_NOT_FOUND, "it has no place in any topic (see `group list`)");
    else if (!d->dry)
        delete_next(d);
    else {
        for (uint32_t i = 0; i < d->places->len; i++)
            delete_row(d, &g_array_index(d->places, group_delete_place, i));
        delete_end(d, EMESH_OK, NULL);
    }
}

static void
count_resting(void *ctx, const emesh_resting *r)
{
    deleting *d = ctx;

    if (strcmp(r->group, d->group) == 0 &&
        (d->topic == NULL || strcmp(r->topic->name, d->topic) == 0))
        d->members += r->members;
}

static void
count_members(void *ctx, emesh_bus_lane *lane)
{
    deleting *d = ctx;
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, lane->delivery->subs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const emesh_sub *sub = value;
        if (strcmp(sub->group, d->group) == 0 &&
            (d->topic == NULL || strcmp(sub->topic->name, d->topic) == 0))
            d->members += sub->consumers->len + emesh_rest_waits(sub);
    }
    emesh_rests_each(lane->delivery, count_resting, d);
}

static void
members_counted(void *ctx)
{
    deleting *d = ctx;

    if (d->members > 0) {
        g_autofree char *why = g_strdup_printf(
            "%u members are here (see `group show`); they must leave first", d->members);
        delete_end(d, EMESH_E_BUSY, why);
        return;
    }
    emesh_groups_list(d->bus, &(emesh_groups_query){ .topic = d->topic, .group = d->group },
                      delete_listed, d);
}

static void
group_delete(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    deleting *d = g_new0(deleting, 1);

    d->bus = emesh_daemon_bus(daemon);
    d->reply = reply;
    d->group = emesh_command_text(args, n, "group");
    d->topic = emesh_command_text(args, n, "topic");
    d->dry = emesh_command_says(args, n, "dry-run");
    d->places = g_array_new(FALSE, FALSE, sizeof(group_delete_place));
    g_array_set_clear_func(d->places, place_clear);
    emesh_gather(d->bus, count_members, members_counted, d);
}

const emesh_command emesh_place_commands[] = {
    { "group.reset", "group topic to partition? dry-run?",
      "moves a group to another place of a topic", true, group_reset },
    { "group.delete", "group topic? dry-run?", "forgets the places of a group without members",
      true, group_delete },
    { NULL, NULL, NULL, false, NULL },
};
