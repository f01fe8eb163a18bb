/* SPDX-License-Identifier: Apache-2.0
 *
 * The two EventMesh APIs: requests named by a code, and by a path. [lane]
 */
#ifndef HTTP_API_H
#define HTTP_API_H
#include "attrs.h"
#include "form.h"
#include "http.h"

/* Answers. false: the path is none of the URI API. */
bool http_uri(http_request *r);
void http_code(http_request *r);

/* ---- params.c: fields of a body or query, whatever it is written in ---- */
typedef struct http_params {
    http_form form;      /* fields as texts */
    emesh_part body;     /* what they point into; owner given */
    bool json;           /* it was an object: values that are no texts are as written */
    GStringChunk *texts; /* decoded ones */
} http_params;
/* NULL: fine; else what is wrong. Takes the request's body. */
const char *http_params_read(http_params *p, http_request *r);
void http_params_clear(http_params *p, const http_lane *lane);

/* ---- who.c: the headers that say who a client is ---- */
/* Sets env, idc, sys, pid, ip, … from headers; defaults as the URI API has them if so wanted. */
void http_who_attrs(http_request *r, http_attrs *to, bool defaults);
/* idc, sys and pid are there, and pid is a number. NULL: fine; else the name of the bad one. */
const char *http_who_flaw(const http_attrs *attrs);

/* ---- code-subscribe.c ---- */
void http_uri_subscribe(http_request *r, const char *rest);
void http_uri_unsubscribe(http_request *r, const char *rest);

/* ---- uri-publish.c ---- */
void http_uri_publish(http_request *r, const char *rest);

/* ---- uri-bridge.c, uri-remote.c, uri-topic.c ---- */
void http_uri_bridge(http_request *r, const char *rest);
void http_uri_subscribe_remote(http_request *r, const char *rest);
void http_uri_unsubscribe_remote(http_request *r, const char *rest);
void http_uri_topic_create(http_request *r, const char *rest);
void http_uri_topic_delete(http_request *r, const char *rest);
void http_uri_query(http_request *r, const char *rest);

/* ---- stream.c: server-sent events ---- */
void http_uri_stream(http_request *r, const char *rest);
void http_streams_end(http_lane *lane); /* all of them, in an orderly way */

/* ---- poll.c ---- */
void http_uri_poll(http_request *r, const char *rest);
void http_uri_ack(http_request *r, const char *rest);

/* ---- receive.c: webhooks of others ---- */
void http_uri_receive(http_request *r, const char *rest);

/* retCode for what became of a publish. */
int http_ret_of(int32_t code, int otherwise);

#endif
