// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import java.util.Objects;
import org.apache.eventmesh.common.protocol.tcp.Command;
import org.apache.eventmesh.common.protocol.tcp.Package;

/** What scenarios assert with. */
final class Check {

    static void that(boolean holds, String otherwise, Object... args) {
        if (!holds) {
            throw new AssertionError(String.format(otherwise, args));
        }
    }

    static void same(Object expected, Object got, String what) {
        that(Objects.equals(expected, got), "%s: expected %s, got %s", what, shown(expected),
            shown(got));
    }

    /** An answer with this command and code. */
    static void answer(Package answer, Command command, int code) {
        that(answer != null, "no answer to the request that expects %s", command);
        same(command, answer.getHeader().getCmd(), "command of the answer");
        that(code == answer.getHeader().getCode(), "code of %s: expected %d, got %d (%s)", command,
            code, answer.getHeader().getCode(), answer.getHeader().getDesc());
    }

    /** A publish that was accepted. */
    static void acked(Package answer) {
        answer(answer, Command.ASYNC_MESSAGE_TO_SERVER_ACK, 0);
    }

    private static String shown(Object value) {
        String text = String.valueOf(value);
        return text.length() <= 200 ? text : text.substring(0, 200) + "… (" + text.length() + ")";
    }

    private Check() {
    }
}
