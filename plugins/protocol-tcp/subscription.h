/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of SUBSCRIBE: a list of topics, each with mode and type.
 */
#ifndef TCP_SUBSCRIPTION_H
#define TCP_SUBSCRIPTION_H
#include "json.h"

typedef struct tcp_topic_item {
    tcp_value topic; /* type BAD: missing */
    bool broadcasting;
    bool sync;
} tcp_topic_item;

/* Calls item for each in order; a refusal of its ends the scan. false: *flaw, or item refused and
 * *flaw is NULL. */
bool tcp_subscription_parse(const char *body, size_t len,
                            bool (*item)(void *ctx, const tcp_topic_item *item), void *ctx,
                            const char **flaw);

#endif
