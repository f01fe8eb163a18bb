// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.OffsetDateTime;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.eventmesh.client.tcp.EventMeshTCPClient;
import org.apache.eventmesh.common.protocol.SubscriptionMode;
import org.apache.eventmesh.common.protocol.tcp.Command;
import org.apache.eventmesh.common.protocol.tcp.Package;

/** One publisher, one subscriber, in the CloudEvents flavour. */
final class CloudEventScenarios {

    /** The only kind of content type the SDK agrees to send. */
    private static final String CONTENT_TYPE = "application/cloudevents+json";
    private static final ObjectMapper JSON = new ObjectMapper();

    static void addTo(List<Main.Scenario> all) {
        all.add(new Main.Scenario("tcp-scenario-5 event with every attribute",
            CloudEventScenarios::everyAttribute));
        data().forEach((kind, data) -> all.add(new Main.Scenario(
            "tcp-scenario-5 event with " + kind, mesh -> roundTrip(mesh, kind, data))));
        all.add(new Main.Scenario("event with 0 bytes", CloudEventScenarios::noData));
        all.add(new Main.Scenario("event of spec version 0.3 is refused with a reason", CloudEventScenarios::oldVersion));
        all.add(new Main.Scenario("tcp-scenario-21 event whose data is no JSON",
            CloudEventScenarios::notJson));
    }

    private static Map<String, String> data() throws RuntimeException {
        Map<String, String> data = new LinkedHashMap<>();
        MessageScenarios.bodies().forEach((kind, body) -> {
            try {
                data.put(kind + " in a member",
                    "{\"content\":" + JSON.writeValueAsString(body) + "}");
            } catch (Exception impossible) {
                throw new IllegalStateException(impossible);
            }
        });
        data.put("a number as data", "12345678901234567890");
        data.put("an array as data", "[1,\"two\",null,true,{}]");
        data.put("a string as data", "\"just text\"");
        return data;
    }

    static io.cloudevents.core.v1.CloudEventBuilder event(String topic) {
        return CloudEventBuilder.v1().withId(UUID.randomUUID().toString())
            .withSource(URI.create("/interop")).withType("cloudevents").withSubject(topic)
            .withDataContentType(CONTENT_TYPE);
    }

    private static void everyAttribute(Mesh mesh) throws Exception {
        String topic = "event-attributes";
        Inbox<CloudEvent> inbox = new Inbox<>();
        mesh.cloudSubscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        CloudEvent sent = event(topic)
            .withId("id with \"quotes\" and 日本")
            .withSource(URI.create("https://example.org/shop?x=1#part"))
            .withType("org.example.order.created")
            .withDataSchema(URI.create("https://example.org/schema/order.json"))
            .withTime(OffsetDateTime.parse("2024-01-02T03:04:05.678901+01:00"))
            .withExtension("ttl", "30000")
            .withExtension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .withExtension("partitionkey", "Grüße 😀 \"\\")
            .withExtension("count", 2147483647)
            .withExtension("negative", -7)
            .withExtension("flag", true)
            .withExtension("empty", "")
            .withData("{\"content\":\"testAsyncMessage\"}".getBytes(StandardCharsets.UTF_8))
            .build();
        Check.acked(mesh.cloudPublisher(topic + "-pub").publish(sent, 10_000));
        CloudEvent got = inbox.await(1).get(0);
        Check.same(sent.getSpecVersion(), got.getSpecVersion(), "specversion");
        for (String name : sent.getAttributeNames()) {
            if (!name.equals("time")) {
                Check.same(sent.getAttribute(name), got.getAttribute(name), name);
            }
        }
        // the offset may be written another way, the instant may not change
        Check.that(sent.getTime().isEqual(got.getTime()), "time: expected %s, got %s",
            sent.getTime(), got.getTime());
        for (String name : sent.getExtensionNames()) {
            Check.same(sent.getExtension(name), got.getExtension(name), "extension " + name);
        }
        sameData(sent, got);
    }

    private static void roundTrip(Mesh mesh, String kind, String data) throws Exception {
        String topic = "event-" + kind.replaceAll("[^A-Za-z0-9]", "-");
        Inbox<CloudEvent> inbox = new Inbox<>();
        mesh.cloudSubscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        CloudEvent sent =
            event(topic).withData(data.getBytes(StandardCharsets.UTF_8)).build();
        Check.acked(mesh.cloudPublisher(topic + "-pub").publish(sent, 10_000));
        CloudEvent got = inbox.await(1).get(0);
        Check.same(sent.getId(), got.getId(), "id");
        sameData(sent, got);
        inbox.stays(1);
    }

    private static void noData(Mesh mesh) throws Exception {
        Inbox<CloudEvent> inbox = new Inbox<>();
        mesh.cloudSubscriber("event-empty", "event-empty", SubscriptionMode.CLUSTERING, inbox);
        CloudEvent sent = event("event-empty").build();
        Check.acked(mesh.cloudPublisher("event-empty-pub").publish(sent, 10_000));
        CloudEvent got = inbox.await(1).get(0);
        Check.same(sent.getId(), got.getId(), "id");
        Check.that(got.getData() == null || got.getData().toBytes().length == 0,
            "data came from nowhere");
    }

    private static void oldVersion(Mesh mesh) throws Exception {
        EventMeshTCPClient<CloudEvent> publisher = mesh.cloudPublisher("event-v03");
        CloudEvent old = CloudEventBuilder.v03().withId("old").withSource(URI.create("/interop"))
            .withType("cloudevents").withSubject("event-v03").withDataContentType(CONTENT_TYPE)
            .withData("{\"old\":true}".getBytes(StandardCharsets.UTF_8)).build();
        Package answer = publisher.publish(old, 10_000);
        Check.answer(answer, Command.ASYNC_MESSAGE_TO_SERVER_ACK, 1);
        Check.that(answer.getHeader().getDesc().contains("0.3"), "the refusal says why: %s",
            answer.getHeader().getDesc());
        Check.acked(publisher.publish(
            event("event-v03").withData("{}".getBytes(StandardCharsets.UTF_8)).build(), 10_000));
    }

    private static void notJson(Mesh mesh) throws Exception {
        EventMeshTCPClient<CloudEvent> publisher = mesh.cloudPublisher("event-bad");
        CloudEvent bad =
            event("event-bad").withData("not json".getBytes(StandardCharsets.UTF_8)).build();
        Check.answer(publisher.publish(bad, 10_000), Command.ASYNC_MESSAGE_TO_SERVER_ACK, 1);
        CloudEvent good = event("event-bad").withData("{}".getBytes(StandardCharsets.UTF_8)).build();
        Check.acked(publisher.publish(good, 10_000));
    }

    /** Data that are text, whether the SDK hands them out bare or as a JSON string. */
    static String text(CloudEvent event) throws Exception {
        Check.that(event.getData() != null, "the data is missing");
        String data = new String(event.getData().toBytes(), StandardCharsets.UTF_8);
        return data.startsWith("\"") ? JSON.readValue(data, String.class) : data;
    }

    /** The SDK parses and prints JSON data anew, so it is compared as JSON. */
    private static void sameData(CloudEvent sent, CloudEvent got) throws Exception {
        Check.that(got.getData() != null, "the data is missing");
        Check.same(JSON.readTree(sent.getData().toBytes()), JSON.readTree(got.getData().toBytes()),
            "data");
    }

    private CloudEventScenarios() {
    }
}
