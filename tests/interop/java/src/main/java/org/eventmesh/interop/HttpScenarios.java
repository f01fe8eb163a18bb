// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import com.sun.net.httpserver.HttpServer;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.apache.eventmesh.client.http.conf.EventMeshHttpClientConfig;
import org.apache.eventmesh.client.http.consumer.EventMeshHttpConsumer;
import org.apache.eventmesh.client.http.producer.EventMeshHttpProducer;
import org.apache.eventmesh.common.EventMeshMessage;
import org.apache.eventmesh.common.protocol.SubscriptionItem;
import org.apache.eventmesh.common.protocol.SubscriptionMode;
import org.apache.eventmesh.common.protocol.SubscriptionType;

/** The HTTP half of the SDK: producer, consumer, and a webhook as applications write it. */
final class HttpScenarios {

    static void addTo(List<Main.Scenario> all) {
        MessageScenarios.bodies().forEach((kind, body) -> all.add(new Main.Scenario(
            "http-scenario-3 message with " + kind, mesh -> roundTrip(kind, body))));
        all.add(new Main.Scenario("http-scenario-1 publish with ttl, 2 without",
            mesh -> published()));
        all.add(new Main.Scenario("http-scenario-4 CloudEvent 1.0",
            mesh -> cloudEvent("h4", CloudEventBuilder.v1())));
        all.add(new Main.Scenario("http-scenario-5 CloudEvent 0.3",
            mesh -> cloudEvent("h5", CloudEventBuilder.v03())));
        all.add(new Main.Scenario("http-scenario-6 OpenMessage", mesh -> openMessage()));
        all.add(new Main.Scenario("http-scenario-7 subscribe, receive, unsubscribe",
            mesh -> subscribeAndLeave()));
        all.add(new Main.Scenario("http-scenario-9 pooled connection, failures among successes",
            mesh -> pooled()));
        all.add(new Main.Scenario("http-scenario-10 no sys, 11 no bizSeqNo, 12 too large",
            mesh -> refused()));
        all.add(new Main.Scenario("http-scenario-13 webhook asks for a retry", mesh -> retried()));
        all.add(new Main.Scenario("http-scenario-16 two URLs share, one leaves", mesh -> shared()));
        all.add(new Main.Scenario("http-scenario-20 request without responder",
            mesh -> noResponder()));
        all.add(new Main.Scenario("http-scenario-33 TCP to HTTP and back", HttpScenarios::crossed));
    }

    // ---- what applications have ----

    private static EventMeshHttpClientConfig config(String group, String sys) {
        return EventMeshHttpClientConfig.builder()
            .liteEventMeshAddr("127.0.0.1:" + System.getProperty("http.port"))
            .producerGroup("P-" + group).consumerGroup(group).env("env").idc("idc").ip("127.0.0.1")
            .sys(sys).pid("4711").userName("u").password("secret").build();
    }

    private static EventMeshHttpProducer producer() {
        return new EventMeshHttpProducer(config("any", "1234"));
    }

    private static EventMeshMessage message(String topic, String content, String seq) {
        return EventMeshMessage.builder().topic(topic).content(content).bizSeqNo(seq)
            .uniqueId("unique-" + seq).prop(new HashMap<>()).build();
    }

    /** A servlet that is called back, as the shipped example is. */
    private static final class Hook implements AutoCloseable {
        final BlockingQueue<Map<String, String>> pushes = new LinkedBlockingQueue<>();
        final String url;
        private final HttpServer server;
        private final EventMeshHttpConsumer consumer;
        private final List<SubscriptionItem> items;

        Hook(String group, String topic, Function<Map<String, String>, String> answer)
            throws Exception {
            server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
            server.createContext("/sub/test", exchange -> {
                Map<String, String> form = new HashMap<>();
                String body = new String(exchange.getRequestBody().readAllBytes(),
                    StandardCharsets.UTF_8);
                String method = exchange.getRequestMethod();
                for (String pair : method.equals("POST") ? body.split("&") : new String[0]) {
                    String[] parts = pair.split("=", 2);
                    form.put(parts[0], URLDecoder.decode(parts[1], StandardCharsets.UTF_8));
                }
                byte[] text = new byte[0];
                if (method.equals("POST")) {
                    pushes.add(form);
                    text = answer.apply(form).getBytes(StandardCharsets.UTF_8);
                }
                exchange.sendResponseHeaders(200, text.length == 0 ? -1 : text.length);
                exchange.getResponseBody().write(text);
                exchange.close();
            });
            server.start();
            url = "http://127.0.0.1:" + server.getAddress().getPort() + "/sub/test";
            consumer = new EventMeshHttpConsumer(config(group, "1234"));
            SubscriptionItem item = new SubscriptionItem();
            item.setTopic(topic);
            item.setMode(SubscriptionMode.CLUSTERING);
            item.setType(SubscriptionType.ASYNC);
            items = List.of(item);
            consumer.subscribe(items, url);
        }

        Hook(String group, String topic) throws Exception {
            this(group, topic, form -> "{\"retCode\":1}");
        }

        void heartBeat() {
            consumer.heartBeat(items, url);
        }

        void unsubscribe() {
            consumer.unsubscribe(List.of(items.get(0).getTopic()), url);
        }

        Map<String, String> next() throws InterruptedException {
            Map<String, String> form = pushes.poll(20, TimeUnit.SECONDS);
            Check.that(form != null, "no push in time");
            return form;
        }

        void silent(long millis) throws InterruptedException {
            Check.same(null, pushes.poll(millis, TimeUnit.MILLISECONDS), "an unexpected push");
        }

        @Override
        public void close() {
            consumer.close();
            server.stop(0);
        }
    }

    /** The retCode in what the SDK throws. */
    private static void fails(Runnable call, String... codes) {
        try {
            call.run();
        } catch (RuntimeException wrong) {
            StringBuilder said = new StringBuilder();
            for (Throwable at = wrong; at != null; at = at.getCause()) {
                said.append(at).append(' ');
            }
            for (String code : codes) {
                if (said.toString().contains("errorCode: " + code + ",")) {
                    return;
                }
            }
            throw new AssertionError("refused otherwise: " + said);
        }
        throw new AssertionError("it was not refused");
    }

    // ---- scenarios ----

    private static void published() {
        try (EventMeshHttpProducer producer = producer()) {
            producer.publish(message("h1", "x", "1").addProp("ttl", "4000"));
            producer.publish(message("h1", "x", "2"));
        }
    }

    private static void roundTrip(String kind, String body) throws Exception {
        String topic = "h3-" + Integer.toHexString(kind.hashCode());
        try (Hook hook = new Hook(topic, topic); EventMeshHttpProducer producer = producer()) {
            producer.publish(message(topic, body, "seq-3"));
            Map<String, String> form = hook.next();
            Check.same(body, form.get("content"), "content");
            Check.same("seq-3", form.get("bizseqno"), "bizseqno");
            Check.same("unique-seq-3", form.get("uniqueId"), "uniqueId");
            Check.same(topic, form.get("topic"), "topic");
            Check.that(!form.get("extFields").contains("secret"), "the password is pushed");
        }
    }

    private static void cloudEvent(String topic, CloudEventBuilder builder) throws Exception {
        CloudEvent event = builder.withId("id-" + topic).withSource(URI.create("/app"))
            .withType("t").withSubject(topic).withDataContentType("application/cloudevents+json")
            .withExtension("ttl", "4000")
            .withData("{\"content\":\"testAsyncMessage\"}".getBytes(StandardCharsets.UTF_8)).build();
        try (Hook hook = new Hook(topic, topic); EventMeshHttpProducer producer = producer()) {
            producer.publish(event);
            String content = hook.next().get("content");
            for (String part : List.of("\"id\":\"id-" + topic + "\"", "\"protocoltype\":\"cloudevents\"",
                "testAsyncMessage")) {
                Check.that(content.contains(part), "%s is not in %s", part, content);
            }
        }
    }

    private static void openMessage() throws Exception {
        try (Hook hook = new Hook("h6", "h6"); EventMeshHttpProducer producer = producer()) {
            producer.publish(new io.openmessaging.api.Message("h6", "tagA", "key1",
                "hello".getBytes(StandardCharsets.UTF_8)));
            Check.same("hello", hook.next().get("content"), "content");
        }
    }

    private static void subscribeAndLeave() throws Exception {
        try (Hook hook = new Hook("h7", "h7"); EventMeshHttpProducer producer = producer()) {
            producer.publish(message("h7", "one", "1"));
            Check.same("one", hook.next().get("content"), "content");
            hook.heartBeat();
            hook.unsubscribe();
            producer.publish(message("h7", "two", "2"));
            hook.silent(700);
        }
    }

    private static void pooled() throws Exception {
        try (Hook hook = new Hook("h9", "h9"); EventMeshHttpProducer producer = producer()) {
            for (int i = 0; i < 200; i++) {
                producer.publish(message("h9", "" + i, "seq" + i));
                fails(() -> producer.publish(message("h9", "x", "")), "7");
            }
            for (int i = 0; i < 200; i++) {
                hook.next();
            }
            hook.silent(300);
        }
    }

    private static void refused() {
        try (EventMeshHttpProducer nobody = new EventMeshHttpProducer(config("any", ""));
            EventMeshHttpProducer producer = producer()) {
            fails(() -> nobody.publish(message("h10", "x", "1")), "6");
            fails(() -> producer.publish(message("h11", "x", null)), "7");
            fails(() -> producer.publish(message("h12", "x".repeat((1 << 20) + 1), "1")), "8");
        }
    }

    private static void retried() throws Exception {
        AtomicInteger tries = new AtomicInteger();
        try (Hook hook = new Hook("h13", "h13",
            form -> tries.incrementAndGet() < 3 ? "{\"retCode\":2}" : "{\"retCode\":1}");
            EventMeshHttpProducer producer = producer()) {
            producer.publish(message("h13", "x", "same"));
            for (int i = 0; i < 3; i++) {
                Check.same("same", hook.next().get("bizseqno"), "bizseqno");
            }
            hook.silent(500);
        }
    }

    private static void shared() throws Exception {
        try (Hook one = new Hook("h16", "h16"); Hook two = new Hook("h16", "h16");
            EventMeshHttpProducer producer = producer()) {
            for (int i = 0; i < 40; i++) {
                producer.publish(message("h16", "" + i, "s" + i));
            }
            while (one.pushes.size() + two.pushes.size() < 40) {
                Thread.sleep(10);
            }
            Check.that(!one.pushes.isEmpty() && !two.pushes.isEmpty(), "one URL gets all");
            one.unsubscribe();
            one.pushes.clear();
            two.pushes.clear();
            producer.publish(message("h16", "last", "last"));
            Check.same("last", two.next().get("content"), "content");
            one.silent(200);
        }
    }

    private static void noResponder() {
        try (EventMeshHttpProducer producer = producer()) {
            fails(() -> producer.request(message("h20", "x", "1").addProp("ttl", "1000"), 5000),
                "3", "4");
        }
    }

    private static void crossed(Mesh mesh) throws Exception {
        Inbox<org.apache.eventmesh.common.protocol.tcp.EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber("h33t", "h33", SubscriptionMode.CLUSTERING, inbox);
        try (Hook hook = new Hook("h33", "h33"); EventMeshHttpProducer producer = producer()) {
            mesh.publisher("h33p").publish(Mesh.message("h33", "from TCP"), 10_000);
            Check.same("from TCP", hook.next().get("content"), "content");
            Check.same("from TCP", inbox.await(1).get(0).getBody(), "body");
            producer.publish(message("h33", "from HTTP", "s33"));
            Check.same("from HTTP", hook.next().get("content"), "content");
            org.apache.eventmesh.common.protocol.tcp.EventMeshMessage got =
                inbox.await(2).get(1);
            Check.same("from HTTP", got.getBody(), "body");
            Check.same("s33", got.getProperties().get("bizseqno"), "bizseqno");
        }
    }

    private HttpScenarios() {
    }
}
