// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.eventmesh.client.tcp.EventMeshTCPClient;
import org.apache.eventmesh.client.tcp.common.MessageUtils;
import org.apache.eventmesh.common.protocol.SubscriptionMode;
import org.apache.eventmesh.common.protocol.tcp.Command;
import org.apache.eventmesh.common.protocol.tcp.EventMeshMessage;
import org.apache.eventmesh.common.protocol.tcp.Package;

/** Many messages: order, and the answer of each publish. */
final class StreamScenarios {

    private static final int MANY = 1000;

    static void addTo(List<Main.Scenario> all) {
        all.add(new Main.Scenario("1,000 messages in order", StreamScenarios::inOrder));
        all.add(new Main.Scenario("1,000 pipelined publishes, every ack matched",
            StreamScenarios::pipelined));
        all.add(new Main.Scenario("8 clients at once, every ack its own",
            StreamScenarios::parallelClients));
        all.add(new Main.Scenario("16 threads on one client", StreamScenarios::threads));
    }

    private static void inOrder(Mesh mesh) throws Exception {
        String topic = "stream-order";
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        EventMeshTCPClient<EventMeshMessage> publisher = mesh.publisher("stream-order-pub");
        for (int i = 0; i < MANY; i++) {
            Check.acked(publisher.publish(Mesh.message(topic, String.valueOf(i)), 10_000));
        }
        inOrder(inbox.await(MANY));
        inbox.stays(MANY);
    }

    private static void inOrder(List<EventMeshMessage> messages) {
        for (int i = 0; i < messages.size(); i++) {
            Check.same(String.valueOf(i), messages.get(i).getBody(), "message " + i);
        }
    }

    private static void pipelined(Mesh mesh) throws Exception {
        String topic = "stream-pipeline";
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber(topic, topic, SubscriptionMode.CLUSTERING, inbox);
        Peer peer = mesh.helloPeer("stream-pipeline-pub", "pub");
        int before = peer.received.size();
        Map<String, Integer> due = new HashMap<>();
        for (int i = 0; i < MANY; i++) {
            Package request = MessageUtils.buildPackage(Mesh.message(topic, String.valueOf(i)),
                Command.ASYNC_MESSAGE_TO_SERVER);
            due.put(request.getHeader().getSeq(), i);
            peer.post(request);
        }
        Check.same(MANY, due.size(), "different sequences");
        List<Package> answers = peer.received.await(before + MANY);
        for (Package answer : answers.subList(before, answers.size())) {
            Check.acked(answer);
            Check.that(due.remove(answer.getHeader().getSeq()) != null,
                "an ack with sequence %s was not due", answer.getHeader().getSeq());
        }
        Check.same(0, due.size(), "publishes without an ack");
        inOrder(inbox.await(MANY));
        inbox.stays(MANY);
        peer.received.stays(before + MANY);
    }

    private static void parallelClients(Mesh mesh) throws Exception {
        List<EventMeshTCPClient<EventMeshMessage>> clients = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            clients.add(mesh.publisher("stream-parallel-" + i));
        }
        Inbox<EventMeshMessage> inbox = new Inbox<>();
        mesh.subscriber("stream-parallel", "stream-parallel", SubscriptionMode.CLUSTERING, inbox);
        together(clients.size(), worker -> {
            for (int i = 0; i < 60; i++) {
                Check.acked(clients.get(worker).publish(
                    Mesh.message("stream-parallel", worker + "-" + i), 10_000));
            }
        });
        inbox.await(8 * 60);
        inbox.stays(8 * 60);
    }

    private static void threads(Mesh mesh) throws Exception {
        EventMeshTCPClient<EventMeshMessage> client = mesh.publisher("stream-threads");
        together(16, worker -> {
            for (int i = 0; i < 20; i++) {
                Check.acked(client.publish(
                    Mesh.message("stream-threads", worker + "-" + i), 10_000));
            }
        });
    }

    private interface Work {
        void run(int worker) throws Exception;
    }

    /** Runs work on so many threads, and fails when one of them does. */
    private static void together(int n, Work work) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(n);
        try {
            List<Future<Void>> all = new ArrayList<>();
            for (int i = 0; i < n; i++) {
                int worker = i;
                all.add(pool.submit(() -> {
                    work.run(worker);
                    return null;
                }));
            }
            for (Future<Void> each : all) {
                each.get();
            }
        } finally {
            pool.shutdownNow();
        }
    }

    private StreamScenarios() {
    }
}
