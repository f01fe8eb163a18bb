// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Function;
import org.apache.eventmesh.client.tcp.EventMeshTCPClient;
import org.apache.eventmesh.common.protocol.SubscriptionMode;
import org.apache.eventmesh.common.protocol.SubscriptionType;
import org.apache.eventmesh.common.protocol.tcp.Command;
import org.apache.eventmesh.common.protocol.tcp.EventMeshMessage;
import org.apache.eventmesh.common.protocol.tcp.Package;

/** rr and asyncRR. */
final class RequestScenarios {

    private static final ObjectMapper JSON = new ObjectMapper();

    static void addTo(List<Main.Scenario> all) {
        all.add(new Main.Scenario("tcp-scenario-12 rr with an echo hook", RequestScenarios::echo));
        all.add(new Main.Scenario("tcp-scenario-12 rr of CloudEvents", RequestScenarios::cloudEcho));
        all.add(new Main.Scenario("tcp-scenario-13 delivery-test-19 50 concurrent rr of 2 clients",
            RequestScenarios::concurrent));
        all.add(new Main.Scenario("tcp-scenario-14 a reply without properties",
            RequestScenarios::fresh));
        all.add(new Main.Scenario("tcp-scenario-15 rr without responder",
            RequestScenarios::nobody));
        all.add(new Main.Scenario("tcp-scenario-16 50 asyncRR", RequestScenarios::async));
        all.add(new Main.Scenario("tcp-scenario-17 a hook of ASYNC that returns something",
            RequestScenarios::stray));
    }

    static EventMeshMessage request(String topic, String body) {
        EventMeshMessage message = Mesh.message(topic, body);
        message.getProperties().put("ttl", "10000");
        return message;
    }

    /** A client that answers what comes to the topic. */
    private static void responder(Mesh mesh, String topic, SubscriptionType type,
        Function<EventMeshMessage, EventMeshMessage> answer) throws Exception {
        EventMeshTCPClient<EventMeshMessage> client = mesh.idleSubscriber(topic);
        client.registerSubBusiHandler(message -> Optional.of(answer.apply(message)));
        client.subscribe(topic, SubscriptionMode.CLUSTERING, type);
        client.listen();
    }

    private static EventMeshMessage re(EventMeshMessage message) {
        message.setBody("re: " + message.getBody());
        return message;
    }

    private static String replied(Package answer) throws Exception {
        Check.answer(answer, Command.RESPONSE_TO_CLIENT, 0);
        return JSON.readTree(String.valueOf(answer.getBody())).path("body").asText();
    }

    private static void echo(Mesh mesh) throws Exception {
        String topic = "rr-echo";
        responder(mesh, topic, SubscriptionType.SYNC, RequestScenarios::re);
        EventMeshTCPClient<EventMeshMessage> client = mesh.publisher(topic + "-pub");
        for (String body : List.of("plain", "quotes \" and \\ and\nlines", "日本 😀")) {
            Check.same("re: " + body, replied(client.rr(request(topic, body), 10_000)), "reply");
        }
        // and the very frames
        Peer peer = mesh.helloPeer(topic + "-peer", "pub");
        Package asked = org.apache.eventmesh.client.tcp.common.MessageUtils.buildPackage(
            request(topic, "x"), Command.REQUEST_TO_SERVER);
        Package answer = peer.call(asked);
        Check.same("re: x", replied(answer), "reply");
        Check.same(asked.getHeader().getSeq(), answer.getHeader().getSeq(), "sequence");
    }

    private static void cloudEcho(Mesh mesh) throws Exception {
        String topic = "rr-cloud";
        EventMeshTCPClient<CloudEvent> responder = mesh.idleCloudSubscriber(topic);
        responder.registerSubBusiHandler(event -> Optional.of(CloudEventBuilder.from(event)
            .withId(UUID.randomUUID().toString())
            .withData("{\"answer\":true}".getBytes(StandardCharsets.UTF_8)).build()));
        responder.subscribe(topic, SubscriptionMode.CLUSTERING, SubscriptionType.SYNC);
        responder.listen();
        EventMeshTCPClient<CloudEvent> client = mesh.cloudPublisher(topic + "-pub");
        Inbox<CloudEvent> hooked = new Inbox<>();
        client.registerPubBusiHandler(event -> {
            hooked.add(event);
            return Optional.empty();
        });
        CloudEvent sent = CloudEventScenarios.event(topic).withExtension("ttl", "10000")
            .withData("{\"question\":1}".getBytes(StandardCharsets.UTF_8)).build();
        Package answer = client.rr(sent, 10_000);
        Check.answer(answer, Command.RESPONSE_TO_CLIENT, 0);
        CloudEvent got = hooked.await(1).get(0);
        Check.same("{\"answer\":true}",
            new String(got.getData().toBytes(), StandardCharsets.UTF_8), "data of the reply");
    }

    private static void concurrent(Mesh mesh) throws Exception {
        String topic = "rr-50";
        for (int i = 0; i < 2; i++) {
            responder(mesh, topic, SubscriptionType.SYNC, message -> {
                try {
                    Thread.sleep(ThreadLocalRandom.current().nextInt(20));
                } catch (InterruptedException stop) {
                    Thread.currentThread().interrupt();
                }
                return re(message);
            });
        }
        List<EventMeshTCPClient<EventMeshMessage>> clients =
            List.of(mesh.publisher(topic + "-a"), mesh.publisher(topic + "-b"));
        ExecutorService threads = Executors.newFixedThreadPool(50);
        try {
            List<Callable<String>> calls = new ArrayList<>();
            for (int i = 0; i < 50; i++) {
                int n = i;
                calls.add(() -> replied(clients.get(n % 2).rr(request(topic, "q" + n), 15_000)));
            }
            List<Future<String>> answers = threads.invokeAll(calls);
            for (int i = 0; i < 50; i++) {
                Check.same("re: q" + i, answers.get(i).get(), "reply");
            }
        } finally {
            threads.shutdownNow();
        }
    }

    private static void fresh(Mesh mesh) throws Exception {
        String topic = "rr-fresh";
        responder(mesh, topic, SubscriptionType.SYNC,
            message -> Mesh.message("elsewhere", "re: " + message.getBody()));
        EventMeshTCPClient<EventMeshMessage> client = mesh.publisher(topic + "-pub");
        for (int i = 0; i < 5; i++) {
            Check.same("re: " + i, replied(client.rr(request(topic, "" + i), 10_000)), "reply");
        }
    }

    private static void nobody(Mesh mesh) throws Exception {
        String topic = "rr-nobody";
        EventMeshTCPClient<EventMeshMessage> client = mesh.publisher(topic);
        EventMeshMessage message = request(topic, "?");
        message.getProperties().put("ttl", "1000");
        long begun = System.nanoTime();
        Package answer = client.rr(message, 5_000);
        long ms = (System.nanoTime() - begun) / 1_000_000;
        Check.answer(answer, Command.RESPONSE_TO_CLIENT, 1);
        Check.that(ms >= 950 && ms < 4_000, "answered after %d ms", ms);
        Check.acked(client.publish(Mesh.message(topic + "-after", "x"), 10_000));
        // a timeout of the client's own leaves the connection usable as well
        boolean thrown = false;
        try {
            client.rr(request(topic, "?"), 500);
        } catch (Exception timeout) {
            thrown = true;
        }
        Check.that(thrown, "rr() returned though nobody answers");
        Check.acked(client.publish(Mesh.message(topic + "-after", "y"), 10_000));
    }

    private static void async(Mesh mesh) throws Exception {
        String topic = "rr-async";
        responder(mesh, topic, SubscriptionType.SYNC, RequestScenarios::re);
        EventMeshTCPClient<EventMeshMessage> client = mesh.publisher(topic + "-pub");
        Inbox<EventMeshMessage> replies = new Inbox<>();
        client.registerPubBusiHandler(message -> {
            replies.add(message);
            return Optional.empty();
        });
        Set<String> expected = new HashSet<>();
        for (int i = 0; i < 50; i++) {
            client.asyncRR(request(topic, "a" + i), never -> { }, 10_000);
            expected.add("re: a" + i);
        }
        Set<String> got = new HashSet<>();
        replies.await(50).forEach(message -> got.add(message.getBody()));
        Check.same(expected, got, "replies");
        replies.stays(50);
    }

    private static void stray(Mesh mesh) throws Exception {
        String topic = "rr-stray";
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        responder(mesh, topic, SubscriptionType.ASYNC, message -> {
            inbox.add(message);
            return re(message);
        });
        EventMeshTCPClient<EventMeshMessage> client = mesh.publisher(topic + "-pub");
        for (int i = 0; i < 20; i++) {
            Check.acked(client.publish(Mesh.message(topic, "" + i), 10_000));
        }
        inbox.await(20);
        inbox.stays(20);
        Check.acked(client.publish(Mesh.message(topic, "20"), 10_000));
        inbox.await(21);
    }

    private RequestScenarios() {
    }
}
