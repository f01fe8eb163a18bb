/* SPDX-License-Identifier: Apache-2.0
 *
 * The header of a frame, read in one pass without allocation. Texts are borrowed from the frame.
 */
#ifndef TCP_HEADER_H
#define TCP_HEADER_H
#include "command.h"
#include "json.h"

#define TCP_HEADER_PROPS 64u /* more is refused */

typedef struct tcp_prop {
    tcp_value name;
    tcp_value value; /* STRING, NUMBER, TRUE or FALSE */
} tcp_prop;

typedef struct tcp_header {
    const char *flaw; /* why it was refused */
    tcp_value seq;    /* type BAD: none. The raw text goes back byte for byte */
    int command;      /* tcp_command, -1 = none */
    int32_t code;
    bool has_cmd; /* both, one or none: tells the era within C8 */
    bool has_command;
    uint32_t n_props;
    tcp_value protocol;               /* property protocoltype; type BAD: absent */
    tcp_value version;                /* property protocolversion */
    tcp_prop props[TCP_HEADER_PROPS]; /* only the first n_props are set */
} tcp_header;

/* false: flaw says why. A missing command is no flaw here: command is -1. */
bool tcp_header_parse(const char *text, size_t len, tcp_header *out);

#endif
