/* SPDX-License-Identifier: Apache-2.0
 *
 * What the answer of a webhook means. Pure; any thread.
 */
#ifndef HTTP_PUSH_JUDGE_H
#define HTTP_PUSH_JUDGE_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct http_verdict {
    uint32_t outcome; /* EMESH_SETTLE_* */
    uint64_t wait_ms; /* at least so long; 0: as the mesh sees fit */
    bool is_down;     /* the target, not the event, is at fault */
    bool is_gone;     /* it wants nothing any more */
    char reason[200]; /* empty when it is done */
} http_verdict;

/* body: as much of it as was read. retry_after: the header's text or NULL. now: Unix seconds. */
void http_judge(http_verdict *v, uint32_t status, const char *retry_after, int64_t now,
                const char *body, size_t len);
/* There was no answer at all. timeout: it took too long. */
void http_judge_none(http_verdict *v, bool timeout, const char *why);
/* Seconds, or an HTTP date, as milliseconds from now; 0: neither. At most an hour. */
uint64_t http_retry_after_ms(const char *text, int64_t now);

#endif
