/* SPDX-License-Identifier: Apache-2.0
 *
 * See push-judge.h. Any thread.
 */
#include "push-judge.h"
#include "eventmesh/subscription.h"
#include "json.h"
#include <libsoup/soup.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_S 3600

enum { RET_RETRY = 2, RET_NOLISTEN = 5 }; /* of EventMesh's clients; all others acknowledge */

uint64_t
http_retry_after_ms(const char *text, int64_t now)
{
    int64_t seconds = 0;

    if (text == NULL)
        return 0;
    if (*text != '\0' && strspn(text, "0123456789") == strlen(text)) {
        seconds = (int64_t)MIN(g_ascii_strtoull(text, NULL, 10), LONGEST_S);
    } else {
        g_autoptr(GDateTime) when = soup_date_time_new_from_http_string(text);
        if (when == NULL)
            return 0;
        seconds = CLAMP(g_date_time_to_unix(when) - now, 0, LONGEST_S);
    }
    return (uint64_t)seconds * 1000;
}

/* retCode of the object, -1: there is none. */
static int
ret_code(const char *body, size_t len)
{
    http_json j;
    http_value key, value;
    int ret = -1;
    bool first = true;

    http_json_begin(&j, body, len);
    if (!http_json_open(&j, '{'))
        return -1;
    for (; http_json_key(&j, first, &key); first = false) {
        if (!http_json_value(&j, &value))
            return -1;
        if (!http_json_is(&key, "retCode"))
            continue;
        g_autofree char *text = http_json_scalar(&value);
        if (text != NULL && *text != '\0' && strlen(text) < 9 &&
            strspn(text, "0123456789") == strlen(text))
            ret = atoi(text);
    }
    return http_json_end(&j) ? ret : -1;
}

void
http_judge(http_verdict *v, uint32_t status, const char *retry_after, int64_t now, const char *body,
           size_t len)
{
    *v = (http_verdict){ .outcome = EMESH_SETTLE_RETRY };
    if (status >= 200 && status < 300) {
        int ret = ret_code(body, len);
        if (ret != RET_RETRY && ret != RET_NOLISTEN) {
            v->outcome = EMESH_SETTLE_DONE;
            return;
        }
        g_snprintf(v->reason, sizeof v->reason, "retCode %d", ret);
        return;
    }
    g_snprintf(v->reason, sizeof v->reason, "status %u", status);
    switch (status) {
    case 410:
        v->outcome = EMESH_SETTLE_RETURN;
        v->is_gone = true;
        break;
    case 415:
        v->outcome = EMESH_SETTLE_DEAD;
        break;
    case 429:
    case 502:
    case 503:
    case 504:
        v->outcome = EMESH_SETTLE_DOWN;
        v->is_down = true;
        v->wait_ms = http_retry_after_ms(retry_after, now);
        break;
    default:
        break;
    }
}

void
http_judge_none(http_verdict *v, bool timeout, const char *why)
{
    *v = (http_verdict){ .outcome = timeout ? EMESH_SETTLE_RETRY : EMESH_SETTLE_DOWN,
                         .is_down = !timeout };
    g_strlcpy(v->reason, timeout ? "no answer in time" : why, sizeof v->reason);
}
