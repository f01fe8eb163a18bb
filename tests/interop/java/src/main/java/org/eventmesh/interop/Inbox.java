// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import java.util.ArrayList;
import java.util.List;

/** What a subscriber's hook got, in the order it got it. */
final class Inbox<M> {

    static final long PATIENCE_MS = 20_000;
    static final long QUIET_MS = 300;

    private final List<M> got = new ArrayList<>();

    synchronized void add(M message) {
        got.add(message);
        notifyAll();
    }

    synchronized int size() {
        return got.size();
    }

    synchronized List<M> all() {
        return new ArrayList<>(got);
    }

    synchronized void clear() {
        got.clear();
    }

    /** Waits until n messages are there; fails after 20 s without a new one. */
    synchronized List<M> await(int n) throws InterruptedException {
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        int seen = got.size();
        while (got.size() < n) {
            if (got.size() > seen) {
                seen = got.size();
                deadline = System.currentTimeMillis() + PATIENCE_MS;
            }
            long left = deadline - System.currentTimeMillis();
            Check.that(left > 0, "only %d of %d messages came", got.size(), n);
            wait(left);
        }
        return new ArrayList<>(got);
    }

    /** Fails when more than n messages are there, or come within a moment. */
    synchronized void stays(int n) throws InterruptedException {
        long deadline = System.currentTimeMillis() + QUIET_MS;
        for (long left = QUIET_MS; left > 0 && got.size() <= n;
            left = deadline - System.currentTimeMillis()) {
            wait(left);
        }
        Check.that(got.size() == n, "%d messages came where %d were due", got.size(), n);
    }
}
