/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two headers of the plugin's own say, and what is meant without them. Constant tables.
 */
#ifndef KF_FORM_H
#define KF_FORM_H
#include "kafka.h"

#define KF_FORM_HEADER "emesh-data"
#define KF_TYPES_HEADER "emesh-types"
#define KF_TYPES 7u

extern const char kf_type_letters[KF_TYPES + 1]; /* by EMESH_ATTR_* */
extern const char *const kf_form_names[5];       /* by EMESH_DATA_* */

/* The form of data of this content type, unless a header says otherwise. */
uint32_t kf_form_of(const void *type, size_t len);
/* The type ahead of its parameters is application/cloudevents…; *json: +json, and no batch. */
bool kf_is_structured(const void *type, size_t len, bool *json);

#endif
