/* SPDX-License-Identifier: Apache-2.0
 *
 * Composing frames. Offsets stand for pointers until the write, because the buffer moves when it
 * grows. [lane]
 */
#include "out.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

#define KEEP (256u << 10) /* what a lane keeps between two wake-ups */

static char *
room(tcp_out *o, size_t n)
{
    if (o->failed)
        return NULL;
    if (o->cap - o->len < n) {
        size_t cap = o->cap > 0 ? o->cap : 4096;
        while (cap - o->len < n)
            cap *= 2;
        char *mem = realloc(o->mem, cap);
        if (mem == NULL) {
            o->failed = true;
            return NULL;
        }
        o->mem = mem;
        o->cap = cap;
    }
    return o->mem + o->len;
}

void
tcp_out_grow(tcp_out *o, const void *text, size_t len)
{
    char *to = room(o, len);
    if (to == NULL || len == 0)
        return;
    memcpy(to, text, len);
    o->len += len;
}

void
tcp_out_number(tcp_out *o, uint64_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char text[20], *at = text + sizeof text;
    for (; value >= 10; value /= 100)
        memcpy(at -= 2, &pairs[value % 100 * 2], 2);
    if (value > 0 || at == text + sizeof text)
        *--at = (char)('0' + value);
    tcp_out_put(o, at, (size_t)(text + sizeof text - at));
}

void
tcp_out_escaped(tcp_out *o, const void *text, size_t len)
{
    /* small: room for the worst case is cheaper than looking first */
    size_t most = len <= 256 ? len * 6 : tcp_json_escaped_len(text, len);
    char *to = room(o, most);
    if (to == NULL)
        return;
    if (most == len)
        tcp_out_put(o, text, len);
    else
        o->len += tcp_json_escape(text, len, to);
}

static bool
part_add(tcp_out *o, emesh_part part)
{
    if (o->n_parts == o->cap_parts) {
        uint32_t cap = o->cap_parts > 0 ? o->cap_parts * 2 : 16;
        emesh_part *parts = realloc(o->parts, cap * sizeof *parts);
        if (parts == NULL) {
            o->failed = true;
            return false;
        }
        o->parts = parts;
        o->cap_parts = cap;
    }
    o->parts[o->n_parts++] = part;
    return true;
}

static void
close_run(tcp_out *o)
{
    if (o->len > o->run)
        part_add(o, (emesh_part){ (const void *)(uintptr_t)o->run, o->len - o->run, NULL });
    o->run = o->len;
}

static bool
given_add(tcp_out *o, emesh_buf *buf)
{
    if (o->n_given == o->cap_given) {
        uint32_t cap = o->cap_given > 0 ? o->cap_given * 2 : 8;
        emesh_buf **given = realloc(o->given, cap * sizeof *given);
        if (given == NULL) {
            o->failed = true;
            return false;
        }
        o->given = given;
        o->cap_given = cap;
    }
    o->given[o->n_given++] = buf;
    return true;
}

void
tcp_out_ref(tcp_out *o, const emesh_part *part, bool given)
{
    if (given && !given_add(o, part->owner))
        return; /* no memory: the reference is lost with the process's last bytes */
    if (o->copies) {
        tcp_out_put(o, part->ptr, part->len);
        return;
    }
    close_run(o);
    if (!o->failed && part_add(o, *part))
        o->refs += part->len;
}

void
tcp_out_begin(tcp_out *o)
{
    static const char blank[TCP_FRAME_HEAD];
    o->head = o->len;
    o->refs = 0;
    o->head_run = o->run;
    o->head_parts = o->n_parts;
    tcp_out_put(o, blank, sizeof blank);
}

void
tcp_out_body_here(tcp_out *o)
{
    o->body = o->len;
}

size_t
tcp_out_body_len(const tcp_out *o)
{
    return o->len - o->body + o->refs;
}

size_t
tcp_out_echo_len(const tcp_out *o)
{
    size_t n = tcp_json_escaped_len(o->mem + o->body, o->len - o->body);
    for (uint32_t i = o->head_parts; i < o->n_parts; i++) {
        if (o->parts[i].owner != NULL)
            n += tcp_json_escaped_len(o->parts[i].ptr, o->parts[i].len);
    }
    return n;
}

void
tcp_out_cancel(tcp_out *o)
{
    o->len = o->head;
    o->n_parts = o->head_parts;
    o->run = o->head_run; /* references given meanwhile are dropped with the others */
}

bool
tcp_out_end(tcp_out *o, tcp_convention convention)
{
    size_t header = o->body - o->head - TCP_FRAME_HEAD, body = tcp_out_body_len(o);
    if (o->failed)
        return true; /* told by the write */
    if (header + body + (size_t)convention > TCP_FRAME_MAX_OUT) {
        tcp_out_cancel(o);
        return false;
    }
    tcp_frame_head((uint8_t *)o->mem + o->head, convention, header, body);
    return true;
}

size_t
tcp_out_total(const tcp_out *o)
{
    size_t n = o->len;
    for (uint32_t i = 0; i < o->n_parts; i++)
        n += o->parts[i].owner != NULL ? o->parts[i].len : 0;
    return n;
}

bool
tcp_out_empty(const tcp_out *o)
{
    return o->len == 0 && !o->failed;
}

void
tcp_out_clear(tcp_out *o, const emesh_event_api *event)
{
    for (uint32_t i = 0; i < o->n_given; i++)
        event->buf_unref(o->given[i]);
    if (o->cap > KEEP) {
        free(o->mem);
        o->mem = NULL;
        o->cap = 0;
    }
    o->len = o->run = o->head = o->body = o->refs = 0;
    o->head_run = 0;
    o->n_parts = o->n_given = o->head_parts = 0;
    o->failed = false;
}

int32_t
tcp_out_write(tcp_out *o, const emesh_net_api *net, const emesh_event_api *event, emesh_conn *conn)
{
    int32_t code = EMESH_OK;
    close_run(o);
    for (uint32_t i = 0; i < o->n_parts; i++) {
        if (o->parts[i].owner == NULL)
            o->parts[i].ptr = o->mem + (uintptr_t)o->parts[i].ptr;
    }
    if (o->failed)
        code = EMESH_E_NO_MEMORY;
    else if (o->n_parts > 0)
        code = net->write(conn, o->parts, o->n_parts);
    tcp_out_clear(o, event);
    return code;
}

void
tcp_out_free(tcp_out *o, const emesh_event_api *event)
{
    tcp_out_clear(o, event);
    free(o->mem);
    free(o->parts);
    free(o->given);
    *o = (tcp_out){ 0 };
}
