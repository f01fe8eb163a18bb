/* SPDX-License-Identifier: Apache-2.0
 *
 * Webhooks of others that are received here, as conf.d describes them: webhook.NAME.KEY. Constant
 * once read; any thread.
 */
#ifndef HTTP_RECEIVE_H
#define HTTP_RECEIVE_H
#include "eventmesh/option.h"
#include <glib.h>
#include <stdbool.h>

typedef struct http_receiver {
    char *name;
    char *path; /* begins with /webhook */
    char *topic;
    char *source; /* of the events */
    char *type;   /* before what the sender calls its event */
    char *kind;   /* github, generic */
    char *secret; /* NULL: requests are not signed */
} http_receiver;

/* Reads all. false: err names the key at fault. */
bool http_receivers_read(GPtrArray *all, const emesh_config_api *config, const emesh_config *cfg,
                         emesh_error *err);
void http_receiver_free(gpointer receiver);
/* Does the header X-Hub-Signature-256 prove that body comes from who knows the secret? */
bool http_signature_ok(const char *header, const char *secret, const void *body, size_t len);

#endif
