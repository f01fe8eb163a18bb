// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * The hand on the daemon, which run-java holds: a line "!WORDS" on standard output is an order, its
 * answer one line of JSON on standard input.
 */
final class Control {

    private final PrintStream out;
    private final BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    private final ObjectMapper json = new ObjectMapper();

    Control(PrintStream out) {
        this.out = out;
    }

    private synchronized JsonNode order(String words) throws IOException {
        out.println("!" + words);
        String line = in.readLine();
        Check.that(line != null, "nobody obeys \"%s\"", words);
        JsonNode said = json.readTree(line);
        Check.that(!said.has("error"), "%s: %s", words, said.path("error").asText());
        return said;
    }

    /** eventmeshctl --json: its rows. */
    JsonNode ctl(String words) throws IOException {
        return order("ctl " + words);
    }

    /** An orderly stop, and a start on the same port. */
    void restart() throws IOException {
        order("restart");
    }

    /** Asks it to stop, and does not wait. */
    void terminate() throws IOException {
        order("terminate");
    }

    /** Behind terminate(): waits for the end, and starts it again on the same port. */
    void revive() throws IOException {
        order("revive");
    }
}
