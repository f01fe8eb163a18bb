/* SPDX-License-Identifier: Apache-2.0
 *
 * Polling with leases. [lane]
 */
#ifndef HTTP_POLL_H
#define HTTP_POLL_H
#include "http.h"

void http_polls_sweep(http_lane *lane, uint64_t now);
void http_polls_free(http_lane *lane);

#endif
