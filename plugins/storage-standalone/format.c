/* SPDX-License-Identifier: Apache-2.0
 *
 * See format.h. The LSN in each record header and the salt of the store in its check sum reject
 * stale bytes of earlier files, and payloads that imitate records.
 */
#include "format.h"

#include "crc32c.h"
#include "footer.h"

static const char magic[8] = { 'E', 'M', 'S', 'H', 'S', 'E', 'G', '1' };

#define HEAD_FIXED 88u
#define HEAD_SWAP (SA_SEGMENT_HEAD - 8u)
#define HEAD_INPUTS ((HEAD_SWAP - HEAD_FIXED) / 8u)

void
sa_seg_head_write(uint8_t out[SA_SEGMENT_HEAD], const sa_seg_head *head, const uint64_t *inputs)
{
    memset(out, 0, SA_SEGMENT_HEAD);
    memcpy(out, magic, sizeof magic);
    sa_put16(out + 8, head->major);
    sa_put16(out + 10, head->minor);
    sa_put32(out + 12, head->incompat);
    sa_put32(out + 16, head->salt);
    memcpy(out + 20, head->store, 16);
    sa_put64(out + 40, head->base);
    sa_put64(out + 48, head->created);
    sa_put32(out + 56, head->epoch);
    sa_put32(out + 60, head->kind);
    sa_put64(out + 64, head->first);
    sa_put64(out + 72, head->last);
    sa_put32(out + 80, head->n_inputs);
    for (uint32_t i = 0; i < head->n_inputs && i < HEAD_INPUTS; i++)
        sa_put64(out + HEAD_FIXED + 8 * i, inputs[i]);
    sa_put32(out + HEAD_SWAP, head->swap);
    sa_put32(out + SA_SEGMENT_HEAD - 4, sa_crc32c(0, out, SA_SEGMENT_HEAD - 4));
}

sa_head_state
sa_seg_head_read(const uint8_t *p, size_t n, sa_seg_head *head)
{
    if (n < SA_SEGMENT_HEAD)
        return SA_HEAD_CUT;
    bool named = memcmp(p, magic, sizeof magic) == 0;
    bool whole = sa_get32(p + SA_SEGMENT_HEAD - 4) == sa_crc32c(0, p, SA_SEGMENT_HEAD - 4);
    if (!whole)
        return named ? SA_HEAD_DAMAGED : SA_HEAD_FOREIGN;
    if (!named)
        return SA_HEAD_FOREIGN;
    head->major = sa_get16(p + 8);
    head->minor = sa_get16(p + 10);
    head->incompat = sa_get32(p + 12);
    head->salt = sa_get32(p + 16);
    memcpy(head->store, p + 20, 16);
    head->base = sa_get64(p + 40);
    head->created = sa_get64(p + 48);
    head->epoch = sa_get32(p + 56);
    head->kind = sa_get32(p + 60);
    head->first = sa_get64(p + 64);
    head->last = sa_get64(p + 72);
    head->n_inputs = sa_get32(p + 80);
    head->swap = sa_get32(p + HEAD_SWAP);
    if (head->major != SA_MAJOR || (head->incompat & ~SA_INCOMPAT) != 0)
        return SA_HEAD_NEW;
    if (head->n_inputs > HEAD_INPUTS || head->base % 8 != 0 || head->last < head->first)
        return SA_HEAD_DAMAGED;
    return SA_HEAD_OK;
}

uint64_t
sa_seg_head_input(const uint8_t *p, uint32_t i)
{
    return sa_get64(p + HEAD_FIXED + 8 * i);
}

void
sa_rec_head_write(uint8_t out[SA_RECORD_HEAD], const sa_rec_head *head, uint32_t salt)
{
    sa_put32(out, SA_RECORD_MAGIC);
    sa_put64(out + 8, head->lsn);
    sa_put32(out + 16, head->body);
    sa_put32(out + 20, head->body_crc);
    sa_put32(out + 24, head->epoch);
    sa_put32(out + 28, head->lag);
    out[32] = head->type;
    out[33] = head->flags;
    sa_put16(out + 34, head->follow);
    sa_put32(out + 36, head->partition);
    sa_put64(out + 40, head->offset);
    sa_put64(out + 48, head->time_us);
    sa_put32(out + 56, head->attrs);
    sa_put32(out + 60, head->own);
    sa_put32(out + 4, sa_crc32c(salt, out + 8, SA_RECORD_HEAD - 8));
}

bool
sa_rec_head_read(const uint8_t *p, size_t n, uint64_t lsn, uint32_t salt, sa_rec_head *head)
{
    if (n < SA_RECORD_HEAD || sa_get32(p) != SA_RECORD_MAGIC || sa_get64(p + 8) != lsn
        || sa_get32(p + 4) != sa_crc32c(salt, p + 8, SA_RECORD_HEAD - 8))
        return false;
    head->lsn = lsn;
    head->body = sa_get32(p + 16);
    head->body_crc = sa_get32(p + 20);
    head->epoch = sa_get32(p + 24);
    head->lag = sa_get32(p + 28);
    head->type = p[32];
    head->flags = p[33];
    head->follow = sa_get16(p + 34);
    head->partition = sa_get32(p + 36);
    head->offset = sa_get64(p + 40);
    head->time_us = sa_get64(p + 48);
    head->attrs = sa_get32(p + 56);
    head->own = sa_get32(p + 60);
    return head->body <= SA_RECORD_MAX && head->attrs <= head->body
           && head->follow < SA_UNIT_RECORDS;
}

bool
sa_rec_body_ok(const sa_rec_head *head, const uint8_t *body, size_t n)
{
    uint64_t padded = sa_pad8(head->body);
    return n >= padded && sa_crc32c(0, body, padded) == head->body_crc;
}

sa_step
sa_step_at(const uint8_t *p, size_t n, uint64_t lsn, uint32_t salt, sa_rec_head *head,
           size_t *need)
{
    *need = SA_RECORD_HEAD;
    if (n < SA_RECORD_HEAD)
        return SA_STEP_MORE;
    if (!sa_rec_head_read(p, n, lsn, salt, head))
        return sa_footer_begins(p, n, lsn, salt) ? SA_STEP_FOOTER : SA_STEP_NONE;
    *need = sa_rec_size(head->body);
    if (n < *need)
        return SA_STEP_MORE;
    return sa_rec_body_ok(head, p + SA_RECORD_HEAD, n - SA_RECORD_HEAD) ? SA_STEP_RECORD
                                                                      : SA_STEP_BAD_BODY;
}
