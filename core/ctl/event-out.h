/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents in JSON format, made from flags and shown to people. Pure.
 */
#pragma once
#include "ctl/ctl.h"

/* The JSON text of the event that the flags and data describe. data NULL: an event without. NULL:
 * error. Given. */
GString *ctl_event_json(const ctl *c, GBytes *data, GError **error);
/* One received line for people: time, topic, id, type, data. Given. */
char *ctl_event_text(const ctl *c, const char *topic, const char *json, gsize len);
