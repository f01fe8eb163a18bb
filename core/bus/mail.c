/* SPDX-License-Identifier: Apache-2.0
 *
 * Boxes of mail between lanes. A box is owned by its writer until posted, then by its reader, who
 * keeps a few empty ones for its own letters.
 */
#include "bus/mail.h"
#include "bus/lane.h"

#define SPARE_BOXES 16u
#define BOX_ROOM 64u
#define BOX_KEEP 1024u /* a larger box is not worth keeping */

static void
box_run(emesh_job *job)
{
    emesh_mail_box *box = (emesh_mail_box *)job;
    emesh_bus_lane *here = box->dest;

    for (uint32_t i = 0; i < box->n; i++)
        box->mails[i].handle(here, &box->mails[i]);
    if (here->n_spare < SPARE_BOXES && box->room <= BOX_KEEP) {
        box->job.next = (emesh_job *)here->spare;
        here->spare = box;
        here->n_spare++;
        return;
    }
    g_free(box->mails);
    g_free(box);
}

emesh_mail_box *
emesh_mail_box_new(emesh_bus_lane *dest, uint32_t room)
{
    emesh_mail_box *box = g_new0(emesh_mail_box, 1);

    box->job.run = box_run;
    box->dest = dest;
    box->room = room;
    box->mails = g_new(emesh_mail, room);
    return box;
}

emesh_mail *
emesh_mail_box_add(emesh_mail_box *box, emesh_mail_handler handle, void *to)
{
    emesh_mail *mail;

    if (box->n == box->room) {
        box->room *= 2;
        box->mails = g_renew(emesh_mail, box->mails, box->room);
    }
    mail = &box->mails[box->n++];
    *mail = (emesh_mail){ .handle = handle, .to = to };
    return mail;
}

void
emesh_mail_box_send(emesh_mail_box *box)
{
    emesh_worker_post(box->dest->worker, &box->job);
}

static emesh_mail_box *
box_take(emesh_bus_lane *here, emesh_bus_lane *dest)
{
    emesh_mail_box *box = here->spare;

    if (box == NULL)
        return emesh_mail_box_new(dest, BOX_ROOM);
    here->spare = (emesh_mail_box *)box->job.next;
    here->n_spare--;
    box->job.next = NULL;
    box->dest = dest;
    box->n = 0;
    return box;
}

emesh_mail *
emesh_mail_to(emesh_bus_lane *here, emesh_bus_lane *dest, emesh_mail_handler handle, void *to)
{
    emesh_mail_box **out = &here->out[dest->id];

    if (*out == NULL)
        *out = box_take(here, dest);
    emesh_worker_phase(here->worker, EMESH_PHASE_MAIL, &here->mail_item);
    return emesh_mail_box_add(*out, handle, to);
}

/* The MAIL phase: own letters first, they may write further ones. */
void
emesh_mail_flush(emesh_phased *item)
{
    emesh_bus_lane *here = (emesh_bus_lane *)((char *)item - offsetof(emesh_bus_lane, mail_item));
    uint32_t n_lanes = __atomic_load_n(&here->bus->n_lanes, __ATOMIC_ACQUIRE);
    emesh_mail_box *own;

    while ((own = here->out[here->id]) != NULL) {
        here->out[here->id] = NULL;
        box_run(&own->job);
    }
    for (uint32_t i = 0; i < n_lanes; i++) {
        emesh_mail_box *box = here->out[i];
        if (box == NULL)
            continue;
        here->out[i] = NULL;
        here->counts.mail_boxes++;
        emesh_mail_box_send(box);
    }
}
