/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents 0.3 in JSON, as clients with protocolversion 0.3 send them. Pure; any thread.
 */
#ifndef HTTP_OLD_EVENT_H
#define HTTP_OLD_EVENT_H
#include <stddef.h>

/* The same event as 1.0: schemaurl is dataschema, base64 by datacontentencoding is data_base64.
 * Given; NULL: it is no 0.3. */
char *http_old_event(const char *text, size_t len);

#endif
