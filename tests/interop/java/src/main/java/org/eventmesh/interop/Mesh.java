// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import io.cloudevents.CloudEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.eventmesh.client.tcp.EventMeshTCPClient;
import org.apache.eventmesh.client.tcp.EventMeshTCPClientFactory;
import org.apache.eventmesh.client.tcp.conf.EventMeshTCPClientConfig;
import org.apache.eventmesh.common.protocol.SubscriptionMode;
import org.apache.eventmesh.common.protocol.SubscriptionType;
import org.apache.eventmesh.common.protocol.tcp.EventMeshMessage;
import org.apache.eventmesh.common.protocol.tcp.UserAgent;

/** The daemon under test as one scenario sees it: makes SDK clients and closes them all at the end. */
final class Mesh implements AutoCloseable {

    private final String host;
    private final int port;
    private final Control control;
    private final List<AutoCloseable> open = new ArrayList<>();

    Mesh(String host, int port, Control control) {
        this.host = host;
        this.port = port;
        this.control = control;
    }

    Control control() {
        return control;
    }

    static UserAgent agent(String group, String purpose) {
        return UserAgent.builder().env("test").subsystem("5017").path("/opt/interop").pid(42893)
            .host("127.0.0.1").port(9362).version("2.0.11").username("app").password("secret")
            .idc("FT").group(group).purpose(purpose).build();
    }

    EventMeshTCPClientConfig config(UserAgent agent) {
        return EventMeshTCPClientConfig.builder().host(host).port(port).userAgent(agent).build();
    }

    private <M> EventMeshTCPClient<M> client(Class<M> flavour, UserAgent agent) throws Exception {
        EventMeshTCPClient<M> client =
            EventMeshTCPClientFactory.createEventMeshTCPClient(config(agent), flavour);
        client.init();
        open.add(client);
        return client;
    }

    EventMeshTCPClient<EventMeshMessage> publisher(String group) throws Exception {
        return client(EventMeshMessage.class, agent(group, "pub"));
    }

    EventMeshTCPClient<CloudEvent> cloudPublisher(String group) throws Exception {
        return client(CloudEvent.class, agent(group, "pub"));
    }

    EventMeshTCPClient<io.openmessaging.api.Message> openMessageClient(String group)
        throws Exception {
        return client(io.openmessaging.api.Message.class, agent(group, "pub"));
    }

    /** A client that has said HELLO with purpose sub, and nothing more. */
    EventMeshTCPClient<EventMeshMessage> idleSubscriber(String group) throws Exception {
        return client(EventMeshMessage.class, agent(group, "sub"));
    }

    EventMeshTCPClient<CloudEvent> idleCloudSubscriber(String group) throws Exception {
        return client(CloudEvent.class, agent(group, "sub"));
    }

    /** A client that listens to one topic and puts what comes into the inbox. */
    EventMeshTCPClient<EventMeshMessage> subscriber(String group, String topic,
        SubscriptionMode mode, Inbox<EventMeshMessage> inbox) throws Exception {
        return listen(client(EventMeshMessage.class, agent(group, "sub")), topic, mode, inbox);
    }

    EventMeshTCPClient<CloudEvent> cloudSubscriber(String group, String topic,
        SubscriptionMode mode, Inbox<CloudEvent> inbox) throws Exception {
        return listen(client(CloudEvent.class, agent(group, "sub")), topic, mode, inbox);
    }

    private static <M> EventMeshTCPClient<M> listen(EventMeshTCPClient<M> client, String topic,
        SubscriptionMode mode, Inbox<M> inbox) throws Exception {
        client.registerSubBusiHandler(message -> {
            inbox.add(message);
            return Optional.empty();
        });
        client.subscribe(topic, mode, SubscriptionType.ASYNC);
        client.listen();
        return client;
    }

    /** A single connection made of the SDK's own parts: sees every answer's code and sequence. */
    Peer peer(UserAgent agent) throws Exception {
        Peer peer = new Peer(config(agent));
        open.add(peer);
        peer.connect();
        return peer;
    }

    Peer helloPeer(String group, String purpose) throws Exception {
        Peer peer = peer(agent(group, purpose));
        peer.hello();
        return peer;
    }

    void close(AutoCloseable client) throws Exception {
        open.remove(client);
        try {
            client.close();
        } finally {
            // the SDK says goodbye on a connection it has just closed, and leaves an interrupt behind
            Thread.interrupted();
        }
    }

    @Override
    public void close() throws Exception {
        while (!open.isEmpty()) {
            close(open.get(open.size() - 1));
        }
    }

    static EventMeshMessage message(String topic, String body) {
        EventMeshMessage message = new EventMeshMessage();
        message.setTopic(topic);
        message.setBody(body);
        message.setProperties(new java.util.HashMap<>());
        message.setHeaders(new java.util.HashMap<>());
        return message;
    }
}
