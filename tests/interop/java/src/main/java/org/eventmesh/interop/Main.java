// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import java.io.FileOutputStream;
import java.io.FileDescriptor;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Runs the official SDK against a daemon and speaks TAP: {@code Main HOST PORT [WORD...]} runs the
 * scenarios whose name contains one of the words, or all; with the word --waits those that only wait.
 */
public final class Main {

    /** One scenario; it throws when something is not as it must be. */
    interface Body {
        void run(Mesh mesh) throws Exception;
    }

    /** waits: it takes minutes and does next to nothing; run by itself, beside the rest. */
    record Scenario(String name, Body body, boolean waits) {
        Scenario(String name, Body body) {
            this(name, body, false);
        }

        static Scenario waits(String name, Body body) {
            return new Scenario(name, body, true);
        }
    }

    public static void main(String[] args) {
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true,
            StandardCharsets.UTF_8);
        // whatever a library prints must not stand between the lines of TAP
        System.setOut(System.err);

        List<Scenario> all = new ArrayList<>();
        SessionScenarios.addTo(all);
        MessageScenarios.addTo(all);
        CloudEventScenarios.addTo(all);
        ConversionScenarios.addTo(all);
        GroupScenarios.addTo(all);
        StreamScenarios.addTo(all);
        HttpScenarios.addTo(all);
        RequestScenarios.addTo(all);
        FaultScenarios.addTo(all);
        List<Scenario> chosen = all.stream().filter(s -> wanted(s, args)).toList();

        int failed = 0;
        Control control = new Control(out);
        out.println("1.." + chosen.size());
        for (int i = 0; i < chosen.size(); i++) {
            Scenario scenario = chosen.get(i);
            long begun = System.nanoTime();
            Throwable wrong = run(scenario, args[0], Integer.parseInt(args[1]),
                control);
            String line = (i + 1) + " - " + scenario.name();
            if (wrong == null) {
                out.printf("ok %s%n", line);
            } else {
                failed++;
                out.printf("not ok %s%n", line);
                diagnose(out, wrong);
            }
            out.printf("# %d ms%n", (System.nanoTime() - begun) / 1_000_000);
        }
        // the SDK's threads are no daemons
        System.exit(failed == 0 ? 0 : 1);
    }

    private static Throwable run(Scenario scenario, String host, int port, Control control) {
        try (Mesh mesh = new Mesh(host, port, control)) {
            scenario.body().run(mesh);
            return null;
        } catch (Throwable wrong) {
            return wrong;
        }
    }

    private static boolean wanted(Scenario scenario, String[] args) {
        boolean waits = args.length > 2 && args[args.length - 1].equals("--waits");
        if (args.length <= 2 || waits) {
            return scenario.waits() == waits;
        }
        for (int i = 2; i < args.length; i++) {
            if (scenario.name().contains(args[i])) {
                return true;
            }
        }
        return false;
    }

    private static void diagnose(PrintStream out, Throwable wrong) {
        for (Throwable at = wrong; at != null; at = at.getCause()) {
            out.println("# " + at.toString().replace("\n", "\n# "));
            for (StackTraceElement frame : at.getStackTrace()) {
                if (frame.getClassName().startsWith("org.eventmesh.interop")) {
                    out.println("#     at " + frame);
                }
            }
        }
    }

    private Main() {
    }
}
