/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents as they are published over HTTP. [lane]
 */
#ifndef HTTP_CLOUDEVENTS_H
#define HTTP_CLOUDEVENTS_H
#include "http.h"

/* Publishes what the request carries to topic (NULL: each event's subject names its own), and
 * answers. false: it is no CloudEvent, nothing was done. */
bool http_cloudevents(http_request *r, const char *topic);

#endif
