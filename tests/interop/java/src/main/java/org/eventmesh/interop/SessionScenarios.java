// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import java.util.List;
import java.util.Optional;
import org.apache.eventmesh.client.tcp.EventMeshTCPClient;
import org.apache.eventmesh.client.tcp.common.MessageUtils;
import org.apache.eventmesh.common.protocol.SubscriptionMode;
import org.apache.eventmesh.common.protocol.SubscriptionType;
import org.apache.eventmesh.common.protocol.tcp.Command;
import org.apache.eventmesh.common.protocol.tcp.EventMeshMessage;
import org.apache.eventmesh.common.protocol.tcp.Package;
import org.apache.eventmesh.common.protocol.tcp.UserAgent;

/** Hello, heartbeat, listen, goodbye. */
final class SessionScenarios {

    static void addTo(List<Main.Scenario> all) {
        all.add(new Main.Scenario("tcp-scenario-1 hello pub and sub", SessionScenarios::hello));
        all.add(new Main.Scenario("tcp-scenario-2 hello refused", SessionScenarios::helloRefused));
        all.add(new Main.Scenario("heartbeat", SessionScenarios::heartbeat));
        all.add(new Main.Scenario("no session before hello", SessionScenarios::noSession));
        all.add(new Main.Scenario("tcp-scenario-18 subscribe without listen",
            SessionScenarios::subscribeWithoutListen));
        all.add(new Main.Scenario("tcp-scenario-18 listen with purpose pub",
            SessionScenarios::listenAsPublisher));
        all.add(new Main.Scenario("tcp-scenario-25 close is quick", SessionScenarios::close));
        all.add(new Main.Scenario("tcp-scenario-30 an OpenMessage client says nothing",
            SessionScenarios::openMessage));
        all.add(new Main.Scenario("tcp-scenario-28 second listen", SessionScenarios::listenTwice));
    }

    private static void hello(Mesh mesh) throws Exception {
        mesh.publisher("session-hello");
        mesh.idleSubscriber("session-hello");
        mesh.cloudPublisher("session-hello");
        for (String purpose : List.of("pub", "sub")) {
            UserAgent agent = Mesh.agent("session-hello", purpose);
            Package request = MessageUtils.hello(agent);
            Package answer = mesh.peer(agent).call(request);
            Check.answer(answer, Command.HELLO_RESPONSE, 0);
            Check.same(request.getHeader().getSeq(), answer.getHeader().getSeq(), "sequence");
        }
    }

    private static void helloRefused(Mesh mesh) throws Exception {
        UserAgent noGroup = Mesh.agent(null, "sub");
        UserAgent badPurpose = Mesh.agent("session-refused", "both");
        UserAgent noVersion = Mesh.agent("session-refused", "pub");
        noVersion.setVersion(null);
        for (UserAgent agent : List.of(noGroup, badPurpose, noVersion)) {
            Peer peer = mesh.peer(agent);
            Package answer = peer.call(MessageUtils.hello(agent));
            Check.answer(answer, Command.HELLO_RESPONSE, 1);
            Check.that(answer.getHeader().getDesc() != null, "a refused hello says why");
            peer.awaitEnd(10);
        }
    }

    private static void heartbeat(Mesh mesh) throws Exception {
        for (String purpose : List.of("pub", "sub")) {
            Peer peer = mesh.helloPeer("session-heartbeat", purpose);
            for (int i = 0; i < 3; i++) {
                Check.answer(peer.heartBeat(), Command.HEARTBEAT_RESPONSE, 0);
            }
        }
    }

    private static void noSession(Mesh mesh) throws Exception {
        UserAgent agent = Mesh.agent("session-none", "sub");
        Peer peer = mesh.peer(agent);
        Check.answer(peer.heartBeat(), Command.HEARTBEAT_RESPONSE, 1);
        Check.answer(peer.call(MessageUtils.listen()), Command.LISTEN_RESPONSE, 1);
        Package publish = MessageUtils.buildPackage(Mesh.message("session-none", "x"),
            Command.ASYNC_MESSAGE_TO_SERVER);
        Check.answer(peer.call(publish), Command.ASYNC_MESSAGE_TO_SERVER_ACK, 1);
        Check.answer(peer.call(MessageUtils.hello(agent)), Command.HELLO_RESPONSE, 0);
        Check.answer(peer.heartBeat(), Command.HEARTBEAT_RESPONSE, 0);
    }

    private static void subscribeWithoutListen(Mesh mesh) throws Exception {
        String topic = "session-late-listen";
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        EventMeshTCPClient<EventMeshMessage> client = mesh.idleSubscriber("session-late-listen");
        client.registerSubBusiHandler(message -> {
            inbox.add(message);
            return Optional.empty();
        });
        client.subscribe(topic, SubscriptionMode.CLUSTERING, SubscriptionType.ASYNC);
        EventMeshTCPClient<EventMeshMessage> publisher = mesh.publisher("session-late-listen-pub");
        Check.acked(publisher.publish(Mesh.message(topic, "before"), 10_000));
        inbox.stays(0);
        client.listen();
        Check.same("before", inbox.await(1).get(0).getBody(), "body");
        // a subscription made while listening takes effect at once
        client.subscribe(topic + "-2", SubscriptionMode.CLUSTERING, SubscriptionType.ASYNC);
        Check.acked(publisher.publish(Mesh.message(topic + "-2", "after"), 10_000));
        Check.same("after", inbox.await(2).get(1).getBody(), "body");
    }

    private static void listenAsPublisher(Mesh mesh) throws Exception {
        Peer peer = mesh.helloPeer("session-listen-pub", "pub");
        Check.answer(peer.call(MessageUtils.listen()), Command.LISTEN_RESPONSE, 1);
        Check.answer(peer.heartBeat(), Command.HEARTBEAT_RESPONSE, 0);
        // and the SDK's own call returns
        mesh.publisher("session-listen-pub").listen();
    }

    private static void close(Mesh mesh) throws Exception {
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        EventMeshTCPClient<?>[] clients = {
            mesh.publisher("session-close"),
            mesh.cloudPublisher("session-close"),
            mesh.subscriber("session-close", "session-close", SubscriptionMode.CLUSTERING, inbox),
            mesh.cloudSubscriber("session-close", "session-close-ce", SubscriptionMode.CLUSTERING,
                new Inbox<>()),
        };
        for (EventMeshTCPClient<?> client : clients) {
            long begun = System.nanoTime();
            mesh.close(client);
            long ms = (System.nanoTime() - begun) / 1_000_000;
            Check.that(ms < 5_000, "close() took %d ms", ms);
        }
        Peer peer = mesh.helloPeer("session-close", "sub");
        Check.answer(peer.call(MessageUtils.goodbye()), Command.CLIENT_GOODBYE_RESPONSE, 0);
    }

    private static void openMessage(Mesh mesh) throws Exception {
        int before = mesh.control().ctl("client list").size();
        EventMeshTCPClient<io.openmessaging.api.Message> client =
            mesh.openMessageClient("session-openmessage");
        io.openmessaging.api.Message message = new io.openmessaging.api.Message(
            "session-openmessage", "tag", "x".getBytes(java.nio.charset.StandardCharsets.UTF_8));
        client.publish(message, 1_000);
        client.broadcast(message, 1_000);
        client.rr(message, 1_000);
        client.asyncRR(message, never -> { }, 1_000);
        client.registerPubBusiHandler(got -> Optional.empty());
        client.registerSubBusiHandler(got -> Optional.empty());
        client.subscribe("session-openmessage", SubscriptionMode.CLUSTERING,
            SubscriptionType.ASYNC);
        client.listen();
        client.unsubscribe();
        Check.same(before, mesh.control().ctl("client list").size(), "clients of the daemon");
    }

    private static void listenTwice(Mesh mesh) throws Exception {
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        EventMeshTCPClient<EventMeshMessage> client = mesh.subscriber("session-twice",
            "session-twice", SubscriptionMode.CLUSTERING, inbox);
        client.listen();
        client.listen();
        Check.acked(mesh.publisher("session-twice-pub")
            .publish(Mesh.message("session-twice", "once"), 10_000));
        inbox.await(1);
        inbox.stays(1);
    }

    private SessionScenarios() {
    }
}
