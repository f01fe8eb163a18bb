# SPDX-License-Identifier: Apache-2.0
"""A raw peer of the EventMesh TCP protocol: frames of all eras (A to E, as the specification names
them), a blocking connection, and the exchanges that SDKs make. Pure standard library; knows nothing
of the daemon's code, so what it accepts is what a client accepts."""

import itertools
import json
import random
import socket
import struct
import time

MAGIC = b"EventMesh0000"
HEAD = len(MAGIC) + 8
MOST = 4194304  # the limit of every SDK, on what it writes and (era E) on what it reads

EM = "eventmeshmessage"
CE = "cloudevents"


class Refused(Exception):
    """The server answered with a code other than 0."""


class Broken(Exception):
    """The server sent what would make a client close its connection."""


def convention(era):
    """What the length field counts besides header and body: 8 up to era C, then 13."""
    return 8 if era in "ABC" else 13


def new_seq():
    """A seq as SDKs make it: ten digits, never a 9."""
    return "".join(random.choice("012345678") for _ in range(10))


def pack(era, header, body=None):
    """The bytes of one frame. header: object or bytes; body: object, bytes, or None for absent."""
    if not isinstance(header, bytes):
        header = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    if body is None:
        body = b"null" if era in "ABC" else b""
    elif not isinstance(body, bytes):
        body = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    length = convention(era) + len(header) + len(body)
    return MAGIC + struct.pack(">ii", length, len(header)) + header + body


def make_header(era, cmd, seq=None, flavour=None, code=0):
    """A header as the SDK of that era writes it. flavour: EM, CE or None for control frames."""
    header = {"code": code}
    if seq is not None:
        header["seq"] = seq
    if era != "A":
        header["cmd"] = cmd
        header["properties"] = {} if flavour is None else {
            "protocolversion": "1.0", "protocoldesc": "tcp", "protocoltype": flavour}
    if era != "B":
        header["command"] = cmd
    return header


def user_agent(era, group, purpose, **more):
    """The body of HELLO. In eras A and B the group goes by two other names."""
    agent = {"env": "test", "subsystem": "5017", "path": "/opt/app", "pid": 4711,
             "host": "127.0.0.1", "port": 9362, "version": "2.0.11", "username": "app",
             "password": "secret", "idc": "FT", "purpose": purpose, "unack": 0}
    if era in "AB":
        agent["producerGroup" if purpose == "pub" else "consumerGroup"] = group
    else:
        agent["group"] = group
    agent.update(more)
    return {key: value for key, value in agent.items() if value is not None}


class Frame:
    """One frame from the server: header object, body bytes."""

    def __init__(self, header, body):
        self.header, self.body = header, body
        self.cmd = header.get("cmd")
        self.code = header.get("code")
        self.seq = header.get("seq")
        self.flavour = (header.get("properties") or {}).get("protocoltype")

    def json(self):
        """The body as an object."""
        return json.loads(self.body)

    def text(self):
        """What an application gets to read of a push."""
        body = self.json()
        return body["body"] if self.flavour == EM else body.get("data")

    def __repr__(self):
        return f"<{self.header} {self.body[:200]!r}>"


def take(era, buffer):
    """Takes the first frame off a bytearray, or returns None when it is not complete."""
    if bytes(buffer[:len(MAGIC)]) != MAGIC[:len(buffer)]:
        raise Broken(f"bad magic {bytes(buffer[:13])!r}")
    if len(buffer) < HEAD:
        return None
    length, header = struct.unpack_from(">ii", buffer, len(MAGIC))
    if length > MOST - 8 or header < 0 or header > length - convention(era):
        raise Broken(f"lengths {length} and {header}")
    total = HEAD + length - convention(era)
    if len(buffer) < total:
        return None
    frame = Frame(json.loads(buffer[HEAD:HEAD + header]), bytes(buffer[HEAD + header:total]))
    del buffer[:total]
    return frame


PUSHES = {"ASYNC_MESSAGE_TO_CLIENT", "BROADCAST_MESSAGE_TO_CLIENT", "REQUEST_TO_CLIENT"}


class Peer:
    """One connection of one era. Pushes that come while an answer is awaited are kept."""

    def __init__(self, port, era="E", host="127.0.0.1", timeout=20):
        self.era, self.timeout = era, timeout
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.read = bytearray()
        self.pushes = []   # not yet taken by push()
        self.answers = {}  # seq: frame, not yet taken by answer()
        self.others = []   # goodbye and the like
        self.count = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- bytes ----

    def send_raw(self, data):
        """Any bytes at all."""
        self.socket.sendall(data)

    def send(self, cmd, body=None, flavour=None, seq=None):
        """Sends one frame and returns its seq."""
        seq = new_seq() if seq is None else seq
        self.send_raw(pack(self.era, make_header(self.era, cmd, seq, flavour), body))
        return seq

    def pump(self, seconds):
        """Reads until something came, and sorts it. False: nothing in time; raises at the end."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            more = self.socket.recv(1 << 18)
        except TimeoutError:
            return False
        if not more:
            raise ConnectionError("the server closed the connection")
        self.read += more
        while (frame := take(self.era, self.read)) is not None:
            self.sort(frame)
        return True

    def sort(self, frame):
        """What an SDK would choke on is an error here."""
        if frame.cmd in PUSHES:
            if not frame.body:
                raise Broken(f"a push without body: {frame}")
            if frame.seq is None:
                raise Broken(f"a push without seq: {frame}")
            if frame.flavour == EM and self.era in "ABC" and \
                    set(frame.json()) - {"topic", "properties", "body"}:
                raise Broken(f"members that era {self.era} does not know: {frame}")
            self.pushes.append(frame)
        elif frame.seq in self.answers:
            raise Broken(f"answered twice: {frame}")
        elif frame.cmd == "SERVER_GOODBYE_REQUEST":
            self.others.append(frame)
        else:
            self.answers[frame.seq] = frame

    def wait(self, found, seconds, what):
        """Pumps until found() is not None."""
        until = time.monotonic() + (self.timeout if seconds is None else seconds)
        while (value := found()) is None:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no {what} in time")
            self.pump(left)
        return value

    # ---- exchanges ----

    def answer(self, seq, seconds=None):
        """The answer to the frame of this seq."""
        return self.wait(lambda: self.answers.pop(seq, None), seconds, f"answer to {seq}")

    def call(self, cmd, body=None, flavour=None, expect=0):
        """Sends and waits for the answer, whose code must be expect (None: any)."""
        frame = self.answer(self.send(cmd, body, flavour))
        if expect is not None and frame.code != expect:
            raise Refused(f"{cmd}: {frame}")
        return frame

    def hello(self, group, purpose, expect=0, **more):
        """HELLO with a UserAgent of this era."""
        return self.call("HELLO_REQUEST", user_agent(self.era, group, purpose, **more),
                         expect=expect)

    def heartbeat(self):
        """HEARTBEAT."""
        return self.call("HEARTBEAT_REQUEST")

    def subscribe(self, topic, mode="CLUSTERING", kind="ASYNC", expect=0):
        """SUBSCRIBE to one topic, as SDKs do."""
        return self.call("SUBSCRIBE_REQUEST",
                         {"topicList": [{"topic": topic, "mode": mode, "type": kind}]},
                         expect=expect)

    def listen(self, expect=0):
        """LISTEN."""
        return self.call("LISTEN_REQUEST", expect=expect)

    def unsubscribe(self):
        """UNSUBSCRIBE: all topics."""
        return self.call("UNSUBSCRIBE_REQUEST")

    def goodbye(self):
        """CLIENT_GOODBYE and the end of the connection."""
        frame = self.call("CLIENT_GOODBYE_REQUEST")
        self.close()
        return frame

    def message(self, topic, text, properties=None, headers=None):
        """An EventMeshMessage of this era."""
        body = {"topic": topic, "properties": properties or {}, "body": text}
        if self.era in "DE":
            body["headers"] = headers or {}
        return body

    def event(self, topic, data, **attributes):
        """A CloudEvent; data is a JSON value."""
        event = {"specversion": "1.0", "id": f"{new_seq()}-{next(self.count)}", "source": "/",
                 "type": "cloudevents", "datacontenttype": "application/cloudevents+json",
                 "subject": topic}
        event.update(attributes)
        event["data"] = data
        return event

    def publish(self, topic, text, properties=None, broadcast=False, expect=0, headers=None):
        """Publishes an EventMeshMessage and waits for its acknowledgement."""
        cmd = "BROADCAST_MESSAGE_TO_SERVER" if broadcast else "ASYNC_MESSAGE_TO_SERVER"
        frame = self.call(cmd, self.message(topic, text, properties, headers), EM, expect)
        if frame.cmd != cmd + "_ACK":
            raise Broken(f"{cmd} was answered by {frame}")
        return frame

    def publish_event(self, event, expect=0):
        """Publishes a CloudEvent (object, or bytes) and waits for its acknowledgement."""
        return self.call("ASYNC_MESSAGE_TO_SERVER", event, CE, expect)

    def push(self, seconds=None, ack=True):
        """The next push, acknowledged as the SDK of this era does."""
        frame = self.wait(lambda: self.pushes.pop(0) if self.pushes else None, seconds, "push")
        if ack:
            self.ack(frame)
        return frame

    def ack(self, frame):
        """Acknowledges a push: era A with the body again, later ones with it as a string."""
        body = frame.body if self.era == "A" else frame.body.decode()
        self.send(frame.cmd + "_ACK", body, seq=frame.seq)

    def silent(self, seconds):
        """Nothing is pushed for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.pushes:
            self.pump(left)
        if self.pushes:
            raise Broken(f"an unexpected push: {self.pushes[0]}")

    def until_closed(self, seconds=None):
        """Reads until the server has closed; returns the goodbyes it sent."""
        until = time.monotonic() + (self.timeout if seconds is None else seconds)
        try:
            while self.pump(until - time.monotonic()) or time.monotonic() < until:
                pass
        except ConnectionError:
            return self.others
        raise TimeoutError("the server did not close the connection")

    def half_close(self):
        """FIN: nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """RST, as a process that is killed with unread input leaves."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        """FIN without goodbye, as most SDKs end."""
        self.socket.close()


def subscriber(port, group, topic, era="E", mode="CLUSTERING", kind="ASYNC"):
    """A Peer that said HELLO, SUBSCRIBE and LISTEN."""
    peer = Peer(port, era)
    peer.hello(group, "sub")
    peer.subscribe(topic, mode, kind)
    peer.listen()
    return peer


def publisher(port, group="pub", era="E"):
    """A Peer that said HELLO."""
    peer = Peer(port, era)
    peer.hello(group, "pub")
    return peer
