/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents in JSON to an event and back; the codec is the host's. [lane]
 */
#ifndef TCP_CE_H
#define TCP_CE_H
#include "message.h"

/* The frame's body as an event, with the frame's properties as extensions. Given. NULL:
 * r->error.text. */
const emesh_event *tcp_ce_read(tcp_reader *r, const emesh_part *in, const tcp_frame *frame,
                               const tcp_header *header);
/* Writes the body of a push. old: for a client whose library writes and reads data_base64. */
bool tcp_ce_write(tcp_out *o, tcp_reader *r, const emesh_event *event, const emesh_event_view *view,
                  bool old, const tcp_stamps *stamps, const char **why);

#endif
