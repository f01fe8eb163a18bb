# SPDX-License-Identifier: Apache-2.0
"""EventMesh TCP for tests written in Python: frames of the 1.9+ length convention, one blocking-free
connection, and the few commands that the crash tests speak. Knows nothing of the daemon's code."""

import json
import socket
import struct

MAGIC = b"EventMesh0000"
HEAD = len(MAGIC) + 8


def frame(cmd, seq, body=b"", properties=None):
    """The bytes of one frame; body is bytes, or an object to be written as JSON."""
    if not isinstance(body, bytes):
        body = json.dumps(body, ensure_ascii=False).encode()
    header = json.dumps({"cmd": cmd, "code": 0, "seq": seq, "properties": properties or {},
                         "command": cmd}).encode()
    return MAGIC + struct.pack(">ii", len(MAGIC) + len(header) + len(body), len(header)) + \
        header + body


def publish(topic, seq, text):
    """The frame of an asynchronous publish in the EventMeshMessage flavour."""
    return frame("ASYNC_MESSAGE_TO_SERVER", seq,
                 {"topic": topic, "properties": {}, "headers": {}, "body": text},
                 {"protocolversion": "1.0", "protocoldesc": "tcp",
                  "protocoltype": "eventmeshmessage"})


def frames(buffer):
    """Takes the complete frames (header object, body bytes) off the front of a bytearray."""
    at = 0
    found = []
    while len(buffer) - at >= HEAD:
        if buffer[at:at + len(MAGIC)] != MAGIC:
            raise ValueError(f"bad magic {bytes(buffer[at:at + 13])!r}")
        length, header = struct.unpack_from(">ii", buffer, at + len(MAGIC))
        total = length + 8
        if len(buffer) - at < total:
            break
        begin = at + HEAD
        found.append((json.loads(buffer[begin:begin + header]),
                      bytes(buffer[begin + header:at + total])))
        at += total
    del buffer[:at]
    return found


def agent(group, purpose):
    """What a client says of itself in HELLO."""
    return {"env": "test", "subsystem": "crash", "path": "/", "pid": 1, "host": "127.0.0.1",
            "port": 1, "version": "2.0.11", "username": "u", "password": "p", "idc": "FT",
            "group": group, "purpose": purpose, "unack": 0}


class Connection:
    """One connection: what is to go out is queued, what came in is cut into frames."""

    def __init__(self, port, group, purpose, host="127.0.0.1", wrap=None):
        self.socket = socket.create_connection((host, port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if wrap is not None:  # TLS
            self.socket = wrap(self.socket)
        self.read, self.unsent = bytearray(), bytearray()
        self.agent = agent(group, purpose)
        self.call("HELLO_REQUEST", self.agent)

    def call(self, cmd, body=b""):
        """Sends one request and waits for its answer; only before set_live()."""
        seq = f"c{cmd[:8]}"
        self.socket.sendall(frame(cmd, seq, body))
        while True:
            for header, _ in frames(self.read):
                if header.get("seq") == seq:
                    if header["code"] != 0:
                        raise ValueError(f"{cmd} was refused: {header}")
                    return header
            more = self.socket.recv(1 << 16)
            if not more:
                raise ConnectionError(f"closed instead of an answer to {cmd}")
            self.read += more

    def subscribe(self, topic):
        """Subscribes in clustering mode; listen() after it starts the pushes."""
        self.call("SUBSCRIBE_REQUEST",
                  {"topicList": [{"topic": topic, "mode": "CLUSTERING", "type": "ASYNC"}]})

    def set_live(self, listen=False):
        """From here on without blocking; a subscriber's pushes begin with its LISTEN."""
        if listen:
            self.socket.sendall(frame("LISTEN_REQUEST", "clisten"))
        self.socket.setblocking(False)

    def flush(self):
        """Writes what can be written. False: the peer is gone."""
        while self.unsent:
            try:
                sent = self.socket.send(self.unsent)
            except BlockingIOError:
                return True
            except OSError:
                return False
            del self.unsent[:sent]
        return True

    def receive(self):
        """The frames that have come, or None when the peer is gone (after the last of them)."""
        gone = False
        while True:
            try:
                more = self.socket.recv(1 << 18)
            except BlockingIOError:
                break
            except OSError:
                more = b""
            if not more:
                gone = True
                break
            self.read += more
        found = frames(self.read)
        return found if found or not gone else None

    def close(self):
        self.socket.close()
