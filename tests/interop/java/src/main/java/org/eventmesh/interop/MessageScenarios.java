// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.eventmesh.client.tcp.EventMeshTCPClient;
import org.apache.eventmesh.client.tcp.common.MessageUtils;
import org.apache.eventmesh.common.protocol.SubscriptionMode;
import org.apache.eventmesh.common.protocol.SubscriptionType;
import org.apache.eventmesh.common.protocol.tcp.Command;
import org.apache.eventmesh.common.protocol.tcp.EventMeshMessage;
import org.apache.eventmesh.common.protocol.tcp.Package;

/** One publisher, one subscriber, in the EventMeshMessage flavour. */
final class MessageScenarios {

    static void addTo(List<Main.Scenario> all) {
        all.add(new Main.Scenario("tcp-scenario-3 publish without subscriber",
            MessageScenarios::noSubscriber));
        bodies().forEach((kind, body) -> all.add(new Main.Scenario(
            "tcp-scenario-4 message with " + kind, mesh -> roundTrip(mesh, kind, body))));
        all.add(new Main.Scenario("tcp-scenario-6 message header datacontenttype",
            MessageScenarios::contentType));
        all.add(new Main.Scenario("tcp-scenario-17 hook that returns a message",
            MessageScenarios::hookAnswers));
        all.add(new Main.Scenario("tcp-scenario-20 message over the limit",
            MessageScenarios::tooLarge));
        all.add(new Main.Scenario("tcp-scenario-20 frame near 4 MiB", MessageScenarios::nearLimit));
        all.add(new Main.Scenario("tcp-scenario-22 property with an illegal name",
            MessageScenarios::illegalProperty));
    }

    /** Bodies that a careless codec spoils, by what they hold. */
    static Map<String, String> bodies() {
        Map<String, String> bodies = new LinkedHashMap<>();
        bodies.put("plain text", "testAsyncMessage");
        bodies.put("quotes and backslashes", "she said \"no\\yes\", 'so' \\\" \\\\ \\n / \\u0041");
        bodies.put("newlines and control characters", "one\ntwo\r\n\tthree\u0001\u001f\u007f");
        bodies.put("UTF-8", "Grüße, Ελλάδα, 日本語, עברית, e\u0301");
        bodies.put("emoji", "😀 👩‍👩‍👧 🇪🇺 \uD834\uDD1E");
        bodies.put("JSON inside", "{\"a\":[1,2.50,{\"b\":null}],\"c\":\"</script>\"}");
        bodies.put("0 bytes", "");
        bodies.put("200 kB", "äöü \"x\" 0123456789\n".repeat(200_000 / 22));
        return bodies;
    }

    private static void noSubscriber(Mesh mesh) throws Exception {
        Package answer = mesh.publisher("message-alone")
            .publish(Mesh.message("message-nobody", "hello"), 10_000);
        Check.acked(answer);
        Peer peer = mesh.helloPeer("message-alone", "pub");
        Package request = MessageUtils.buildPackage(
            Mesh.message("message-nobody", "again"), Command.ASYNC_MESSAGE_TO_SERVER);
        answer = peer.call(request);
        Check.acked(answer);
        Check.same(request.getHeader().getSeq(), answer.getHeader().getSeq(), "sequence");
    }

    private static void roundTrip(Mesh mesh, String kind, String body) throws Exception {
        String topic = "message-" + kind.replaceAll("[^A-Za-z0-9]", "-");
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        EventMeshMessage sent = Mesh.message(topic, body);
        sent.getProperties().put("ttl", "30000");
        sent.getProperties().put("msgtype", "persistent");
        sent.getProperties().put("keys", "1029384756");
        sent.getProperties().put("text", body.length() < 1000 ? body : "short");
        // publish() refuses an empty body before it is sent; the frame itself may carry one
        Check.acked(body.isEmpty()
            ? mesh.helloPeer(topic + "-pub", "pub").call(
                MessageUtils.buildPackage(sent, Command.ASYNC_MESSAGE_TO_SERVER))
            : mesh.publisher(topic + "-pub").publish(sent, 10_000));
        EventMeshMessage got = inbox.await(1).get(0);
        Check.same(topic, got.getTopic(), "topic");
        Check.same(body, got.getBody(), "body");
        sent.getProperties().forEach((name, value) ->
            Check.same(value, got.getProperties().get(name), "property " + name));
        inbox.stays(1);
    }

    private static void contentType(Mesh mesh) throws Exception {
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber("message-type", "message-type", SubscriptionMode.CLUSTERING, inbox);
        EventMeshMessage sent = Mesh.message("message-type", "text");
        sent.getHeaders().put("datacontenttype", "text/plain");
        Check.acked(mesh.publisher("message-type-pub").publish(sent, 10_000));
        EventMeshMessage got = inbox.await(1).get(0);
        Check.same("text", got.getBody(), "body");
        Check.same("text/plain", got.getHeaders().get("datacontenttype"), "datacontenttype");
    }

    private static void hookAnswers(Mesh mesh) throws Exception {
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        EventMeshTCPClient<EventMeshMessage> client = mesh.idleSubscriber("message-answer");
        client.registerSubBusiHandler(message -> {
            inbox.add(message);
            return Optional.of(Mesh.message("message-answer", "nobody asked"));
        });
        client.subscribe("message-answer", SubscriptionMode.CLUSTERING, SubscriptionType.ASYNC);
        client.listen();
        EventMeshTCPClient<EventMeshMessage> publisher = mesh.publisher("message-answer-pub");
        for (int i = 0; i < 5; i++) {
            Check.acked(publisher.publish(Mesh.message("message-answer", "n" + i), 10_000));
            Check.same("n" + i, inbox.await(i + 1).get(i).getBody(), "body");
        }
        inbox.stays(5);
    }

    private static void tooLarge(Mesh mesh) throws Exception {
        EventMeshTCPClient<EventMeshMessage> publisher = mesh.publisher("message-large");
        Package answer = publisher.publish(
            Mesh.message("message-large", "x".repeat(1_200_000)), 10_000);
        Check.answer(answer, Command.ASYNC_MESSAGE_TO_SERVER_ACK, 1);
        Check.that(answer.getHeader().getDesc() != null, "a refusal says why");
        Check.acked(publisher.publish(Mesh.message("message-large", "small"), 10_000));
    }

    /** The daemon is started with {@code max-event} of this topic raised to 4 MiB. */
    private static void nearLimit(Mesh mesh) throws Exception {
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber("interop-big", "interop-big", SubscriptionMode.CLUSTERING, inbox);
        EventMeshTCPClient<EventMeshMessage> publisher = mesh.publisher("interop-big-pub");
        String body = "x".repeat(4_000_000);
        Check.acked(publisher.publish(Mesh.message("interop-big", body), 15_000));
        Check.same(body, inbox.await(1).get(0).getBody(), "body");
        Check.acked(publisher.publish(Mesh.message("interop-big", "small"), 10_000));
        Check.same("small", inbox.await(2).get(1).getBody(), "body");
    }

    private static void illegalProperty(Mesh mesh) throws Exception {
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber("message-key", "message-key", SubscriptionMode.CLUSTERING, inbox);
        EventMeshTCPClient<EventMeshMessage> publisher = mesh.publisher("message-key-pub");
        EventMeshMessage sent = Mesh.message("message-key", "odd");
        sent.getProperties().put("Bad_Key", "value");
        Package answer = publisher.publish(sent, 10_000);
        // refused or accepted: either is an answer, and the connection goes on
        int due = answer.getHeader().getCode() == 0 ? 1 : 0;
        Check.answer(answer, Command.ASYNC_MESSAGE_TO_SERVER_ACK, 1 - due);
        Check.acked(publisher.publish(Mesh.message("message-key", "good"), 10_000));
        Check.same("good", inbox.await(due + 1).get(due).getBody(), "body");
    }

    private MessageScenarios() {
    }
}
