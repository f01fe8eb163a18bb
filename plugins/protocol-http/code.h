/* SPDX-License-Identifier: Apache-2.0
 *
 * What the codes of the request-code API do. [lane]
 */
#ifndef HTTP_CODE_H
#define HTTP_CODE_H
#include "api.h"

void http_code_send(http_request *r, http_params *p);  /* 101, 104, 107, 301 */
void http_code_batch(http_request *r, http_params *p); /* 102 */
void http_code_subscribe(http_request *r, http_params *p);
void http_code_unsubscribe(http_request *r, http_params *p);
void http_code_heartbeat(http_request *r, http_params *p);
/* A field that must be JSON is none: 500, retCode 18. */
void http_code_broken(http_request *r, const char *flaw);

#endif
