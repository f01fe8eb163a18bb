// SPDX-License-Identifier: Apache-2.0
package org.eventmesh.interop;

import io.netty.channel.ChannelHandlerContext;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.eventmesh.client.tcp.common.MessageUtils;
import org.apache.eventmesh.client.tcp.common.RequestContext;
import org.apache.eventmesh.client.tcp.common.TcpClient;
import org.apache.eventmesh.client.tcp.conf.EventMeshTCPClientConfig;
import org.apache.eventmesh.common.protocol.tcp.Package;
import org.apache.eventmesh.client.tcp.impl.AbstractEventMeshTCPPubHandler;

/**
 * One connection of the SDK (its TcpClient, codec and message builder) without the calls that hide
 * the answer: the whole answer is seen, requests can be pipelined, and pushes are acknowledged only
 * when the scenario says so.
 */
final class Peer extends TcpClient {

    /** Every frame of the server that answers no request of ours: pushes. */
    final Inbox<Package> pushed = new Inbox<>();
    /** Every frame of the server. */
    final Inbox<Package> received = new Inbox<>();
    private final CompletableFuture<Void> ended = new CompletableFuture<>();

    Peer(EventMeshTCPClientConfig config) {
        super(config);
    }

    void connect() throws Exception {
        open(new Handler());
    }

    @Override
    protected void hello() throws Exception {
        super.hello();
    }

    /** Sends, and waits for the answer with the same sequence. */
    Package call(Package request) throws Exception {
        return io(request, 10_000);
    }

    Package heartBeat() throws Exception {
        return call(MessageUtils.heartBeat());
    }

    /** Sends without waiting. */
    void post(Package request) throws Exception {
        send(request);
    }

    /** Waits until the server has closed the connection. */
    void awaitEnd(long seconds) throws Exception {
        ended.get(seconds, TimeUnit.SECONDS);
    }

    boolean alive() {
        return isActive();
    }

    private final class Handler extends AbstractEventMeshTCPPubHandler<Object> {

        Handler() {
            super(contexts);
        }

        @Override
        protected void channelRead0(ChannelHandlerContext ctx, Package frame) {
            if (!contexts.containsKey(RequestContext.key(frame))) {
                pushed.add(frame);
            }
            received.add(frame);
            super.channelRead0(ctx, frame);
        }

        @Override
        public void channelInactive(ChannelHandlerContext ctx) {
            ended.complete(null);
        }

        @Override
        public void callback(Object message, ChannelHandlerContext ctx) {
            // replies to requests are no part of these scenarios
        }

        @Override
        public Object getMessage(Package frame) {
            return frame.getBody();
        }

        @Override
        public void sendResponse(Package frame) {
            // RESPONSE_TO_CLIENT is not acknowledged here
        }
    }
}
