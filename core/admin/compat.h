/* SPDX-License-Identifier: Apache-2.0
 *
 * What tools of the reference's admin server ask for, answered from our commands. [lane]
 */
#pragma once
#include "admin/face.h"

/* false: nothing of it is at path. */
bool emesh_compat_serve(emesh_admin_request *request, const char *path, const char *method);

/* ---- for the files of this family ---- */
typedef void (*emesh_compat_then)(emesh_admin_request *request, int32_t code,
                                  const emesh_error *err);

void emesh_compat_text(emesh_admin_request *request, char *text);      /* 200, text/html; taken */
void emesh_compat_json(emesh_admin_request *request, JsonNode *root);  /* 200; taken */
void emesh_compat_empty(emesh_admin_request *request);                 /* 200 */
/* {"data":null,"message":…} */
void emesh_compat_error(emesh_admin_request *request, uint32_t status, const char *message);
void emesh_compat_failed(emesh_admin_request *request, int32_t code, const emesh_error *err);
/* Runs verb with name, value pairs up to a NULL name; then has the rows. */
void emesh_compat_run(emesh_admin_request *request, emesh_compat_then then, const char *verb, ...)
    G_GNUC_NULL_TERMINATED;
/* A field of the body, a form or a JSON object, or of the query; NULL: neither has it. */
const char *emesh_compat_field(emesh_admin_request *request, const char *name);
const char *emesh_row_member(JsonObject *row, const char *name); /* "" when absent */
int64_t emesh_row_count(JsonObject *row, const char *name);

/* compat-client.c: sessions */
void emesh_compat_show(emesh_admin_request *request);
void emesh_compat_show_system(emesh_admin_request *request);
void emesh_compat_show_topic(emesh_admin_request *request);
void emesh_compat_reject_all(emesh_admin_request *request);
void emesh_compat_reject_port(emesh_admin_request *request);
void emesh_compat_reject_system(emesh_admin_request *request);
void emesh_compat_redirect_system(emesh_admin_request *request);
void emesh_compat_redirect_path(emesh_admin_request *request);
void emesh_compat_redirect_port(emesh_admin_request *request);
void emesh_compat_tcp(emesh_admin_request *request);
void emesh_compat_http(emesh_admin_request *request);
void emesh_compat_grpc(emesh_admin_request *request);
void emesh_compat_tcp_delete(emesh_admin_request *request);
void emesh_compat_http_delete(emesh_admin_request *request);
void emesh_compat_grpc_delete(emesh_admin_request *request);

/* compat-mesh.c: topics, events, configuration, counters */
void emesh_compat_recommend(emesh_admin_request *request);
void emesh_compat_configuration(emesh_admin_request *request);
void emesh_compat_configuration_2(emesh_admin_request *request);
void emesh_compat_meta(emesh_admin_request *request);
void emesh_compat_metrics(emesh_admin_request *request);
void emesh_compat_topics(emesh_admin_request *request);
void emesh_compat_topic_create(emesh_admin_request *request);
void emesh_compat_topic_delete(emesh_admin_request *request);
void emesh_compat_events(emesh_admin_request *request);
void emesh_compat_publish(emesh_admin_request *request);
