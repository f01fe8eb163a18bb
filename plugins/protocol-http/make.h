/* SPDX-License-Identifier: Apache-2.0
 *
 * Making events: data in the form that their content type allows. [lane]
 */
#ifndef HTTP_MAKE_H
#define HTTP_MAKE_H
#include "attrs.h"
#include "http.h"

/* Tries the form that type (NULL: none) suggests, else plain bytes; data NULL: none. NULL: err. */
const emesh_event *http_make_event(const http_lane *lane, const http_attrs *attrs, const char *type,
                                   const emesh_part *data, emesh_error *err);
/* A new identity: unlike any other, also after a restart. */
char *http_make_id(http_lane *lane);
/* So many random digits, as EventMesh's serial numbers are. Given. */
char *http_make_digits(unsigned n);

#endif
