// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import io.cloudevents.CloudEvent;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.apache.eventmesh.client.tcp.EventMeshTCPClient;
import org.apache.eventmesh.client.tcp.common.MessageUtils;
import org.apache.eventmesh.common.protocol.SubscriptionMode;
import org.apache.eventmesh.common.protocol.SubscriptionType;
import org.apache.eventmesh.common.protocol.tcp.Command;
import org.apache.eventmesh.common.protocol.tcp.EventMeshMessage;
import org.apache.eventmesh.common.protocol.tcp.Package;

/** Hooks that throw, redirect, drain, restart, silence. */
final class FaultScenarios {

    static void addTo(List<Main.Scenario> all) {
        all.add(new Main.Scenario("delivery-test-10 six clients and an event that kills them",
            FaultScenarios::killer));
        all.add(new Main.Scenario("tcp-scenario-27 redirect", FaultScenarios::redirect));
        all.add(new Main.Scenario("tcp-scenario-27 kick buries nothing", FaultScenarios::kick));
        all.add(new Main.Scenario("tcp-scenario-27 delivery-test-24 drain", FaultScenarios::drain));
        all.add(Main.Scenario.waits("tcp-scenario-23 an idle client stays",
            FaultScenarios::idle));
        all.add(Main.Scenario.waits("tcp-scenario-26 CloudEvents clients come back after a restart",
            FaultScenarios::restart));
    }

    private static void killer(Mesh mesh) throws Exception {
        String topic = "fault-killer";
        Inbox<EventMeshMessage> good = new Inbox<>();
        Inbox<EventMeshMessage> killed = new Inbox<>();
        for (int i = 0; i < 6; i++) {
            EventMeshTCPClient<EventMeshMessage> client = mesh.idleSubscriber(topic);
            client.registerSubBusiHandler(message -> {
                if (message.getBody().equals("bad")) {
                    killed.add(message);
                    throw new IllegalStateException("this one kills");
                }
                good.add(message);
                return Optional.empty();
            });
            client.subscribe(topic, SubscriptionMode.CLUSTERING, SubscriptionType.ASYNC);
            client.listen();
        }
        EventMeshTCPClient<EventMeshMessage> publisher = mesh.publisher(topic + "-pub");
        Set<String> expected = new HashSet<>();
        Check.acked(publisher.publish(Mesh.message(topic, "bad"), 10_000));
        for (int i = 0; i < 1000; i++) {
            Check.acked(publisher.publish(Mesh.message(topic, "" + i), 10_000));
            expected.add("" + i);
        }
        List<String> bodies = new ArrayList<>();
        good.await(1000).forEach(message -> bodies.add(message.getBody()));
        Check.same(expected, new HashSet<>(bodies), "good messages");
        killed.await(3);
        killed.stays(3);
        good.stays(1000);
        String letters = mesh.control().ctl("dead-letter browse " + topic).toString();
        for (int i = 0; i < 50 && !letters.contains("killed-sessions"); i++) {
            Thread.sleep(100);
            letters = mesh.control().ctl("dead-letter browse " + topic).toString();
        }
        Check.that(letters.contains("killed-sessions"), "dead letters: %s", letters);
        List<String> kinds = mesh.control().ctl("dead-letter browse " + topic)
            .findValuesAsText("kind");
        Check.that(kinds.stream().filter("letter"::equals).count() == 1, "dead letters: %s",
            letters);
    }

    private static Peer listening(Mesh mesh, String topic) throws Exception {
        Peer peer = mesh.helloPeer(topic, "sub");
        Check.answer(peer.call(MessageUtils.subscribe(topic, SubscriptionMode.CLUSTERING,
            SubscriptionType.ASYNC)), Command.SUBSCRIBE_RESPONSE, 0);
        Check.answer(peer.call(MessageUtils.listen()), Command.LISTEN_RESPONSE, 0);
        return peer;
    }

    private static void ack(Peer peer, Package push) throws Exception {
        peer.post(MessageUtils.asyncMessageAck(push));
    }

    private static void redirect(Mesh mesh) throws Exception {
        String topic = "fault-redirect";
        Peer peer = listening(mesh, topic);
        Check.acked(mesh.publisher(topic + "-pub").publish(Mesh.message(topic, "x"), 10_000));
        Package push = peer.pushed.await(1).get(0);
        mesh.control().ctl("client redirect group=" + topic + " 10.0.0.5:10000");
        Package told = peer.pushed.await(2).get(1);
        Check.same(Command.REDIRECT_TO_CLIENT, told.getHeader().getCmd(), "command");
        Check.that(told.getHeader().getSeq() != null, "a redirect without sequence");
        ack(peer, push);
        Check.same(Command.SERVER_GOODBYE_REQUEST,
            peer.pushed.await(3).get(2).getHeader().getCmd(), "command");
        peer.awaitEnd(10);
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        inbox.stays(0); // it was acknowledged
    }

    private static void kick(Mesh mesh) throws Exception {
        String topic = "fault-kick";
        for (int i = 0; i < 4; i++) {
            Peer peer = listening(mesh, topic);
            if (i == 0) {
                Check.acked(mesh.publisher(topic + "-pub")
                    .publish(Mesh.message(topic, "x"), 10_000));
            }
            peer.pushed.await(1);
            mesh.control().ctl("client kick group=" + topic);
            peer.awaitEnd(20);
        }
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        Check.same("x", inbox.await(1).get(0).getBody(), "message");
        Check.same(0, mesh.control().ctl("dead-letter list").findValuesAsText("group").stream()
            .filter(topic::equals).toList().size(), "dead letters");
    }

    /** The goodbye comes behind the acknowledgement of what was pushed, and that one counts. */
    private static void drain(Mesh mesh) throws Exception {
        String topic = "fault-drain";
        Peer peer = listening(mesh, topic);
        Inbox<EventMeshMessage> slow = new Inbox<>();
        EventMeshTCPClient<EventMeshMessage> client = mesh.idleSubscriber(topic + "-slow");
        client.registerSubBusiHandler(message -> {
            try {
                Thread.sleep(1_500);
            } catch (InterruptedException stop) {
                Thread.currentThread().interrupt();
            }
            slow.add(message);
            return Optional.empty();
        });
        client.subscribe(topic, SubscriptionMode.CLUSTERING, SubscriptionType.ASYNC);
        client.listen();
        Check.acked(mesh.publisher(topic + "-pub").publish(Mesh.message(topic, "x"), 10_000));
        Package push = peer.pushed.await(1).get(0);
        mesh.control().terminate();
        Thread.sleep(500);
        Check.same(1, peer.pushed.size(), "frames before the acknowledgement");
        ack(peer, push);
        Check.same(Command.SERVER_GOODBYE_REQUEST,
            peer.pushed.await(2).get(1).getHeader().getCmd(), "command");
        peer.awaitEnd(20);
        slow.await(1);
        mesh.control().revive();
        Inbox<EventMeshMessage> again = new Inbox<>();
        mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, again);
        mesh.subscriber(topic + "-slow", topic, SubscriptionMode.CLUSTERING, again);
        again.stays(0);
    }

    /** Longer than session-expiry: its heartbeats keep it. */
    private static void idle(Mesh mesh) throws Exception {
        String topic = "fault-idle";
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        EventMeshTCPClient<EventMeshMessage> publisher = mesh.publisher(topic + "-pub");
        Thread.sleep(100_000);
        Check.acked(publisher.publish(Mesh.message(topic, "still here"), 10_000));
        Check.same("still here", inbox.await(1).get(0).getBody(), "message");
    }

    private static void restart(Mesh mesh) throws Exception {
        String topic = "fault-restart";
        Inbox<CloudEvent> inbox = new Inbox<>();
        mesh.cloudSubscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        EventMeshTCPClient<CloudEvent> publisher = mesh.cloudPublisher(topic + "-pub");
        Check.acked(publisher.publish(event(topic, 1), 10_000));
        inbox.await(1);
        mesh.control().restart();
        Check.acked(mesh.cloudPublisher(topic + "-new").publish(event(topic, 2), 10_000));
        Thread.sleep(25_000); // both look every 30 s whether their connection lives
        inbox.await(2);
        Package answer = null;
        for (int i = 0; i < 40 && answer == null; i++) {
            try {
                answer = publisher.publish(event(topic, 3), 2_000);
            } catch (Exception notYet) {
                Thread.sleep(500);
            }
        }
        Check.acked(answer);
        inbox.await(3);
    }

    private static CloudEvent event(String topic, int n) {
        return CloudEventScenarios.event(topic)
            .withData(("{\"n\":" + n + "}").getBytes(StandardCharsets.UTF_8)).build();
    }

    private FaultScenarios() {
    }
}
