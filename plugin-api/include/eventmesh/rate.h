/* SPDX-License-Identifier: Apache-2.0
 *
 * A limit of so many things a second, for protocols that refuse what is over it. One number, the
 * moment up to which the rate is used up, so that all lanes may share it without a lock. No service
 * of the host: this is all of it.
 */
#ifndef EMESH_RATE_H
#define EMESH_RATE_H
#include "base.h"
EMESH_BEGIN

#define EMESH_RATE_SECOND UINT64_C(1000000000)

/* [any] May n more come now? 1: they may, and are counted; 0: over the rate. rate 0: no limit. A
 * second's worth may come at once. n above that passes as well, and is waited for afterwards. */
static inline int32_t
emesh_rate_take(uint64_t *until_ns, uint32_t rate, uint32_t n, uint64_t now_ns)
{
    uint64_t was = __atomic_load_n(until_ns, __ATOMIC_RELAXED), begin, step;

    if (rate == 0)
        return 1;
    step = EMESH_RATE_SECOND / rate;
    do {
        begin = was > now_ns ? was : now_ns;
        if (begin + step > now_ns + EMESH_RATE_SECOND)
            return 0;
    } while (!__atomic_compare_exchange_n(until_ns, &was, begin + n * step, 1, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return 1;
}

EMESH_END
#endif
