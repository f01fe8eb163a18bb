# SPDX-License-Identifier: Apache-2.0
"""The same as scripted.py over HTTP: one connection publishes, one request at a time, and one webhook
is pushed to, each push before the next publish."""

import json
import socket
import threading

import scripted

CONF = {**scripted.CONF,
        "30-protocol-http.conf": "[instance]\ncomponent = protocol-http\n[options]\n"
                                 "listen = 127.0.0.1:0\npush-handshake = false\n"}
ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/bench", "type": "t"}
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"retCode":0}'


def post(target, headers, body):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def take(sock, buffer):
    """One message off a socket, which the buffer keeps the rest of; its head. None: closed."""
    def more():
        got = sock.recv(65536)
        buffer.extend(got)
        return bool(got)
    while b"\r\n\r\n" not in buffer:
        if not more():
            return None
    head, _, _ = bytes(buffer).partition(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(buffer) < len(head) + 4 + size:
        if not more():
            return None
    del buffer[:len(head) + 4 + size]
    return head


class Hook:
    """Acknowledges what it is pushed, on whatever connections it comes."""

    def __init__(self):
        self.socket, self.seen = socket.create_server(("127.0.0.1", 0)), threading.Semaphore(0)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = bytearray()
        with peer:
            while take(peer, buffer) is not None:
                peer.sendall(ANSWER)
                self.seen.release()


def steps(port, taken, events, body):
    """What an event costs in each step, as scripted.steps says."""
    found, buffer = {}, bytearray()
    binary = {**{f"ce-{name}": value for name, value in ATTRIBUTES.items()},
              "Content-Type": "text/plain"}
    structured = {"Content-Type": "application/cloudevents+json"}
    hook = Hook()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def call(request):
            client.sendall(request)
            head = take(client, buffer)
            if head is None or not head.startswith(b"HTTP/1.1 200 "):
                raise ValueError(f"refused: {head}")

        for name, headers, text in (
                ("HTTP publish, binary", binary, body),
                ("HTTP publish, structured", structured, json.dumps({**ATTRIBUTES, "data": body}))):
            request = post("/eventmesh/publish/http", headers, text)
            for n in (events // 4, events):
                taken()
                for _ in range(n):
                    call(request)
                found[name] = taken(name) / n
        url = f"http://127.0.0.1:{hook.socket.getsockname()[1]}/hook"
        call(post("/eventmesh/subscribe/local", {"Content-Type": "application/json"}, json.dumps(
            {"url": url, "consumerGroup": "push", "topic": [{"topic": "push"}], "format": "binary"})))
        request = post("/eventmesh/publish/push", binary, body)
        for n in (events // 4, events):
            taken()
            for _ in range(n):
                call(request)
                hook.seen.acquire()
            call(post("/eventmesh/publish/http", binary, body))  # the last settle is behind it
            found["HTTP publish, push, acknowledge"] = taken("HTTP publish, push, acknowledge") / n
    hook.socket.close()
    return found
