// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import org.apache.eventmesh.client.tcp.EventMeshTCPClient;
import org.apache.eventmesh.client.tcp.common.MessageUtils;
import org.apache.eventmesh.common.protocol.SubscriptionMode;
import org.apache.eventmesh.common.protocol.SubscriptionType;
import org.apache.eventmesh.common.protocol.tcp.Command;
import org.apache.eventmesh.common.protocol.tcp.EventMeshMessage;

/** Who of several subscribers gets what. */
final class GroupScenarios {

    static void addTo(List<Main.Scenario> all) {
        all.add(new Main.Scenario("tcp-scenario-8 two of a group share 100 messages",
            GroupScenarios::share));
        all.add(new Main.Scenario("tcp-scenario-9 two groups each get all",
            GroupScenarios::twoGroups));
        all.add(new Main.Scenario("tcp-scenario-10 broadcast to three", GroupScenarios::broadcast));
        all.add(new Main.Scenario("tcp-scenario-11 broadcast to clustering, publish to broadcasting",
            GroupScenarios::mixed));
        all.add(new Main.Scenario("tcp-scenario-19 unsubscribe, then subscribe again",
            GroupScenarios::unsubscribe));
        all.add(new Main.Scenario("reconnect receives what came meanwhile",
            GroupScenarios::reconnect));
        all.add(new Main.Scenario("tcp-scenario-24 a session that goes leaves its events to another",
            GroupScenarios::goneWithout));
        all.add(new Main.Scenario("tcp-scenario-24 hook throws", GroupScenarios::hookThrows));
    }

    private static void publish(Mesh mesh, String topic, int from, int n) throws Exception {
        EventMeshTCPClient<EventMeshMessage> publisher = mesh.publisher(topic + "-pub");
        for (int i = from; i < from + n; i++) {
            Check.acked(publisher.publish(Mesh.message(topic, String.valueOf(i)), 10_000));
        }
    }

    /** Bodies of what came, ascending. */
    private static List<Integer> numbers(List<EventMeshMessage> messages) {
        List<Integer> numbers = new ArrayList<>();
        messages.forEach(message -> numbers.add(Integer.valueOf(message.getBody())));
        Collections.sort(numbers);
        return numbers;
    }

    private static List<Integer> range(int from, int n) {
        List<Integer> numbers = new ArrayList<>();
        for (int i = from; i < from + n; i++) {
            numbers.add(i);
        }
        return numbers;
    }

    private static void share(Mesh mesh) throws Exception {
        String topic = "group-share";
        Inbox<EventMeshMessage> either = new Inbox<>();
        Inbox<EventMeshMessage> first = new Inbox<>();
        Inbox<EventMeshMessage> second = new Inbox<>();
        for (Inbox<EventMeshMessage> own : List.of(first, second)) {
            EventMeshTCPClient<EventMeshMessage> client = mesh.idleSubscriber(topic);
            client.registerSubBusiHandler(message -> {
                own.add(message);
                either.add(message);
                return Optional.empty();
            });
            client.subscribe(topic, SubscriptionMode.CLUSTERING, SubscriptionType.ASYNC);
            client.listen();
        }
        publish(mesh, topic, 0, 100);
        Check.same(range(0, 100), numbers(either.await(100)), "messages");
        either.stays(100);
        Check.that(first.size() > 0 && second.size() > 0, "shares are %d and %d", first.size(),
            second.size());
    }

    private static void twoGroups(Mesh mesh) throws Exception {
        String topic = "group-two";
        Inbox<EventMeshMessage> first = new Inbox<>();
        Inbox<EventMeshMessage> second = new Inbox<>();
        mesh.subscriber("group-two-a", topic, SubscriptionMode.CLUSTERING, first);
        mesh.subscriber("group-two-b", topic, SubscriptionMode.CLUSTERING, second);
        publish(mesh, topic, 0, 50);
        Check.same(range(0, 50), numbers(first.await(50)), "messages of the first group");
        Check.same(range(0, 50), numbers(second.await(50)), "messages of the second group");
        first.stays(50);
        second.stays(50);
    }

    private static void broadcast(Mesh mesh) throws Exception {
        String topic = "group-broadcast";
        List<Inbox<EventMeshMessage>> inboxes =
            List.of(new Inbox<>(), new Inbox<>(), new Inbox<>());
        mesh.subscriber("group-bc-a", topic, SubscriptionMode.BROADCASTING, inboxes.get(0));
        mesh.subscriber("group-bc-a", topic, SubscriptionMode.BROADCASTING, inboxes.get(1));
        mesh.subscriber("group-bc-b", topic, SubscriptionMode.BROADCASTING, inboxes.get(2));
        Peer peer = mesh.helloPeer("group-bc-c", "sub");
        peer.call(MessageUtils.subscribe(topic, SubscriptionMode.BROADCASTING,
            SubscriptionType.ASYNC));
        peer.call(MessageUtils.listen());
        EventMeshTCPClient<EventMeshMessage> publisher = mesh.publisher("group-bc-pub");
        for (int i = 0; i < 20; i++) {
            publisher.broadcast(Mesh.message(topic, String.valueOf(i)), 10_000);
        }
        for (Inbox<EventMeshMessage> inbox : inboxes) {
            Check.same(range(0, 20), numbers(inbox.await(20)), "messages of one session");
            inbox.stays(20);
        }
        Check.same(Command.BROADCAST_MESSAGE_TO_CLIENT,
            peer.pushed.await(1).get(0).getHeader().getCmd(), "command of the push");
        // broadcast() does not wait for its acknowledgement, but there is one
        Check.answer(mesh.helloPeer("group-bc-pub", "pub").call(MessageUtils.buildPackage(
            Mesh.message(topic, "20"), Command.BROADCAST_MESSAGE_TO_SERVER)),
            Command.BROADCAST_MESSAGE_TO_SERVER_ACK, 0);
    }

    private static void mixed(Mesh mesh) throws Exception {
        String topic = "group-mixed";
        Inbox<EventMeshMessage> clustering = new Inbox<>();
        Inbox<EventMeshMessage> one = new Inbox<>();
        Inbox<EventMeshMessage> two = new Inbox<>();
        mesh.subscriber("group-mixed-c", topic, SubscriptionMode.CLUSTERING, clustering);
        mesh.subscriber("group-mixed-c", topic, SubscriptionMode.CLUSTERING, clustering);
        mesh.subscriber("group-mixed-b", topic, SubscriptionMode.BROADCASTING, one);
        mesh.subscriber("group-mixed-b", topic, SubscriptionMode.BROADCASTING, two);
        publish(mesh, topic, 0, 10);
        EventMeshTCPClient<EventMeshMessage> publisher = mesh.publisher("group-mixed-pub");
        for (int i = 10; i < 20; i++) {
            publisher.broadcast(Mesh.message(topic, String.valueOf(i)), 10_000);
        }
        for (Inbox<EventMeshMessage> inbox : List.of(clustering, one, two)) {
            Check.same(range(0, 20), numbers(inbox.await(20)), "messages");
            inbox.stays(20);
        }
    }

    private static void unsubscribe(Mesh mesh) throws Exception {
        String topic = "group-unsubscribe";
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        EventMeshTCPClient<EventMeshMessage> client =
            mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        publish(mesh, topic, 0, 1);
        inbox.await(1);
        client.unsubscribe();
        publish(mesh, topic, 1, 1);
        inbox.stays(1);
        // the group kept its place: what came meanwhile comes now, then what comes next
        client.subscribe(topic, SubscriptionMode.CLUSTERING, SubscriptionType.ASYNC);
        publish(mesh, topic, 2, 1);
        Check.same(range(0, 3), numbers(inbox.await(3)), "messages");
        inbox.stays(3);
    }

    private static void reconnect(Mesh mesh) throws Exception {
        String topic = "group-reconnect";
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        EventMeshTCPClient<EventMeshMessage> first =
            mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        publish(mesh, topic, 0, 1);
        inbox.await(1);
        mesh.close(first);
        publish(mesh, topic, 1, 10);
        inbox.stays(1);
        mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        Check.same(range(0, 11), numbers(inbox.await(11)), "messages");
        publish(mesh, topic, 11, 1);
        inbox.await(12);
        inbox.stays(12);
    }

    private static void goneWithout(Mesh mesh) throws Exception {
        String topic = "group-gone";
        Peer silent = mesh.helloPeer(topic, "sub");
        Check.answer(silent.call(MessageUtils.subscribe(topic, SubscriptionMode.CLUSTERING,
            SubscriptionType.ASYNC)), Command.SUBSCRIBE_RESPONSE, 0);
        Check.answer(silent.call(MessageUtils.listen()), Command.LISTEN_RESPONSE, 0);
        publish(mesh, topic, 0, 10);
        silent.pushed.await(10);
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        inbox.stays(0);
        mesh.close(silent);
        Check.same(range(0, 10), numbers(inbox.await(10)), "messages");
        inbox.stays(10);
    }

    private static void hookThrows(Mesh mesh) throws Exception {
        String topic = "group-throws";
        Inbox<EventMeshMessage> thrown = new Inbox<>();
        EventMeshTCPClient<EventMeshMessage> bad = mesh.idleSubscriber(topic);
        bad.registerSubBusiHandler(message -> {
            thrown.add(message);
            throw new IllegalStateException("the hook fails");
        });
        bad.subscribe(topic, SubscriptionMode.CLUSTERING, SubscriptionType.ASYNC);
        bad.listen();
        publish(mesh, topic, 0, 1);
        thrown.await(1);
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        Check.same(range(0, 1), numbers(inbox.await(1)), "messages");
        publish(mesh, topic, 1, 5);
        Check.same(new HashSet<>(range(0, 6)), new HashSet<>(numbers(inbox.await(6))), "messages");
        thrown.stays(1);
    }

    private GroupScenarios() {
    }
}
