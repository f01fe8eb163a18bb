/* SPDX-License-Identifier: Apache-2.0
 *
 * The URI API: a request belongs to the first path below that its target begins with. [lane]
 */
#include "api.h"
#include <string.h>

static const struct {
    const char *prefix;
    void (*serve)(http_request *r, const char *rest);
} paths[] = {
    { "/eventmesh/publish", http_uri_publish },
    { "/eventmesh/bridge/publish", http_uri_bridge },
    { "/eventmesh/subscribe/local", http_uri_subscribe },
    { "/eventmesh/unsubscribe/local", http_uri_unsubscribe },
    { "/eventmesh/subscribe/remote", http_uri_subscribe_remote },
    { "/eventmesh/unsubscribe/remote", http_uri_unsubscribe_remote },
    { "/eventmesh/poll", http_uri_poll },
    { "/eventmesh/ack", http_uri_ack },
    { "/eventmesh/subscribe/stream", http_uri_stream },
    { "/webhook", http_uri_receive },
    { "/eventmesh/topic/create", http_uri_topic_create },
    { "/eventmesh/topic/delete", http_uri_topic_delete },
    { "/eventmesh/subscrition/query", http_uri_query }, /* so spelt by the reference */
};

bool
http_uri(http_request *r)
{
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        size_t len = strlen(paths[i].prefix);
        if (strncmp(r->path, paths[i].prefix, len) != 0)
            continue;
        r->face = HTTP_FACE_URI;
        r->frame = true;
        paths[i].serve(r, r->path + len);
        return true;
    }
    return false;
}
