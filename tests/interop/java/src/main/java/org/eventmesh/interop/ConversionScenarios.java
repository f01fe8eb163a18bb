// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.eventmesh.client.tcp.EventMeshTCPClient;
import org.apache.eventmesh.common.protocol.SubscriptionMode;
import org.apache.eventmesh.common.protocol.tcp.EventMeshMessage;

/**
 * One flavour in, the other one out. A subscriber does not say which flavour it reads; the daemon
 * learns it from what the same client has published.
 */
final class ConversionScenarios {

    private static final String TEXT = "Grüße \"x\" \\ \n 😀";

    static void addTo(List<Main.Scenario> all) {
        all.add(new Main.Scenario("event to a subscriber of messages",
            ConversionScenarios::toMessage));
        all.add(new Main.Scenario("message to a subscriber of events",
            ConversionScenarios::toEvent));
        all.add(new Main.Scenario("both flavours on one topic", ConversionScenarios::both));
    }

    private static CloudEvent event(String topic, String data) {
        return CloudEventBuilder.v1().withId("id-1").withSource(URI.create("/interop"))
            .withType("org.example.made").withSubject(topic)
            .withDataContentType("application/cloudevents+json").withExtension("colour", "blau")
            .withData(data.getBytes(StandardCharsets.UTF_8)).build();
    }

    private static EventMeshMessage message(String topic, String body) {
        EventMeshMessage message = Mesh.message(topic, body);
        message.getProperties().put("colour", "blau");
        return message;
    }

    private static void toMessage(Mesh mesh) throws Exception {
        String topic = "conversion-to-message";
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        EventMeshTCPClient<EventMeshMessage> client =
            mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        Check.acked(client.publish(message(topic + "-own", "shows my flavour"), 10_000));
        Check.acked(mesh.cloudPublisher(topic + "-pub")
            .publish(event(topic, "{\"content\":\"text\"}"), 10_000));
        EventMeshMessage got = inbox.await(1).get(0);
        Check.same(topic, got.getTopic(), "topic");
        Check.same("{\"content\":\"text\"}", got.getBody(), "body");
        Check.same("blau", got.getProperties().get("colour"), "extension");
    }

    private static void toEvent(Mesh mesh) throws Exception {
        String topic = "conversion-to-event";
        Inbox<CloudEvent> inbox = new Inbox<>();
        EventMeshTCPClient<CloudEvent> client =
            mesh.cloudSubscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        Check.acked(client.publish(event(topic + "-own", "{}"), 10_000));
        Check.acked(mesh.publisher(topic + "-pub").publish(message(topic, TEXT), 10_000));
        CloudEvent got = inbox.await(1).get(0);
        Check.same(topic, got.getSubject(), "subject");
        Check.same("blau", got.getExtension("colour"), "property");
        Check.same(TEXT, CloudEventScenarios.text(got), "data");
    }

    private static void both(Mesh mesh) throws Exception {
        String topic = "conversion-both";
        Inbox<EventMeshMessage> messages = new Inbox<>();
        Inbox<CloudEvent> events = new Inbox<>();
        EventMeshTCPClient<EventMeshMessage> reader =
            mesh.subscriber(topic + "-m", topic, SubscriptionMode.CLUSTERING, messages);
        EventMeshTCPClient<CloudEvent> eventReader =
            mesh.cloudSubscriber(topic + "-e", topic, SubscriptionMode.CLUSTERING, events);
        Check.acked(reader.publish(message(topic + "-own", "shows my flavour"), 10_000));
        Check.acked(eventReader.publish(event(topic + "-own", "{}"), 10_000));
        for (int i = 0; i < 10; i++) {
            Check.acked(reader.publish(message(topic, "message " + i), 10_000));
            Check.acked(eventReader.publish(event(topic, "\"event " + i + "\""), 10_000));
        }
        // each reads all twenty in its own flavour, and neither lost its connection over it
        messages.await(20);
        events.await(20);
        messages.stays(20);
        events.stays(20);
    }

    private ConversionScenarios() {
    }
}
