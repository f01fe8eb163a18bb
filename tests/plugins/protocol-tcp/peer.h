/* SPDX-License-Identifier: Apache-2.0
 *
 * A client of any era in a test's hand: writes frames as that SDK does, reads what comes back with
 * a decoder of its own (json-glib).
 */
#pragma once
#include "protocol-host.h"
#include <json-glib/json-glib.h>

typedef struct peer {
    ph_conn *conn;
    char era;         /* 'A' to 'E' */
    GByteArray *read; /* written by the server, not yet taken as frames */
} peer;

typedef struct answer {
    JsonNode *root;
    JsonObject *header;
    char *body; /* NUL-terminated */
    size_t len;
} answer;

const emesh_plugin *emesh_plugin_entry_1(uint32_t host_minor);

/* A frame in the convention of era; body NULL: none, as that era writes it. Given. */
GByteArray *peer_frame(char era, const char *header, const char *body, gssize len);
/* A header as that era writes it. props: JSON object for eras B to E, or NULL. Given. */
char *peer_header(char era, const char *cmd, const char *seq, const char *props);
char *peer_agent(char era, const char *group, const char *purpose);

peer *peer_new(ph_host *h, char era);
void peer_free(peer *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(peer, peer_free)
void peer_send(peer *p, const char *cmd, const char *seq, const char *props, const char *body,
               gssize len);
/* The next frame of the server, NULL: none is there. Given: answer_free. */
answer *peer_next(peer *p);
void answer_free(answer *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(answer, answer_free)
/* Takes the next frame and checks command, code and seq (NULL: any). Given. */
answer *peer_expect(peer *p, const char *cmd, int code, const char *seq);
void peer_check(peer *p, const char *cmd, int code, const char *seq); /* and drops it */
void peer_silent(peer *p);                                            /* nothing more has come */

void peer_hello(peer *p, const char *group, const char *purpose);
void peer_subscribe(peer *p, const char *topic, const char *mode, const char *type);
void peer_listen(peer *p);
/* A subscriber in one call: HELLO, SUBSCRIBE, LISTEN. */
peer *peer_subscriber(ph_host *h, char era, const char *group, const char *topic);

extern const char *const em_props; /* header properties of the flavours */
extern const char *const ce_props;
void peer_publish(peer *p, const char *seq, const char *topic, const char *properties,
                  const char *body);
const char *answer_text(const answer *a, const char *member);
/* Body of a push as a JSON object; lives as long as parser. */
JsonObject *answer_body(const answer *a, JsonParser *parser);
const emesh_event *event_text(const char *topic, const char *text); /* EventMeshMessage, given */
