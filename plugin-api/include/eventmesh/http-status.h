/* SPDX-License-Identifier: Apache-2.0
 *
 * What a code of this ABI is as a status of HTTP, for plugins that speak it: their clients, and those
 * of the administration, then see the same. No service of the host: this is all of it.
 */
#ifndef EMESH_HTTP_STATUS_H
#define EMESH_HTTP_STATUS_H
#include "base.h"
EMESH_BEGIN

/* [any] */
static inline uint32_t
emesh_http_status(int32_t code)
{
    switch (code) {
    case EMESH_OK:
        return 200;
    case EMESH_E_UNSUPPORTED:
        return 501;
    case EMESH_E_DENIED:
        return 403;
    case EMESH_E_NOT_FOUND:
        return 404;
    case EMESH_E_EXISTS:
        return 409;
    case EMESH_E_TOO_LARGE:
        return 413;
    case EMESH_E_CONFIG:
        return 422;
    case EMESH_E_BUSY:
        return 429;
    case EMESH_E_NO_SPACE:
        return 507;
    default:
        break;
    }
    switch (EMESH_CLASS(code)) {
    case 1:
    case 2:
        return 400;
    case 3:
    case 5:
        return 503;
    case 4: /* it may have been done */
        return 504;
    default:
        return 500;
    }
}

EMESH_END
#endif
