# SPDX-License-Identifier: Apache-2.0
"""Many quiet EventMesh TCP sessions: to see what they cost while nothing happens, and to make many
topics and groups known."""

import resource
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import wire  # noqa: E402


def hello(group, purpose):
    return wire.frame("HELLO_REQUEST", "h1", {
        "env": "bench", "subsystem": "5017", "path": "/", "pid": 1, "host": "127.0.0.1", "port": 1,
        "version": "2.0.11", "username": "u", "password": "p", "idc": "FT", "group": group,
        "purpose": purpose, "unack": 0})


def answered(sock, buffer=b""):
    """Waits for one whole frame."""
    while True:
        if len(buffer) >= wire.HEAD:
            length = int.from_bytes(buffer[13:17], "big") + 8
            if len(buffer) >= length:
                if b'"code":0' not in buffer[:length]:
                    raise SystemExit(f"refused: {buffer[:400]!r}")
                return
        more = sock.recv(65536)
        if not more:
            raise SystemExit("the daemon closed a session")
        buffer += more


class Crowd:
    """n sessions that have said hello, closed at the end of the with statement."""

    def __init__(self, port, n, purpose="sub", topics=(), name="crowd-"):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, n + 1000), most))
        self.socks = []
        for begin in range(0, n, 200):
            some = []
            for i in range(begin, min(begin + 200, n)):
                sock = socket.create_connection(("127.0.0.1", port), 60)
                sock.sendall(hello(f"{name}{i}", purpose))
                some.append(sock)
            for sock in some:
                answered(sock)
                if topics:
                    sock.sendall(wire.frame("SUBSCRIBE_REQUEST", "s1", {"topicList": [
                        {"topic": t, "mode": "CLUSTERING", "type": "ASYNC"} for t in topics]}))
                    answered(sock)
            self.socks += some

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.socks:
            sock.close()
