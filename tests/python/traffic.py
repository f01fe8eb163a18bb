# SPDX-License-Identifier: Apache-2.0
"""Load over TCP whose every step is written into a ledger: publishers that keep a window of publishes
under way, members of groups that acknowledge, hold, leave unanswered or break off as their choice
says. One thread, one selector; knows nothing of the daemon's code."""

import itertools
import json
import random
import selectors
import socket
import struct
import time

import wire

ACK, HOLD, IGNORE, CUT = "ack", "hold", "ignore", "cut"


def text_of(name, size):
    """The body of an event: its name first, then filling up to size."""
    return name + "|" + "x" * max(0, size - len(name) - 1)


class Link:
    """A connection in the selector."""

    def __init__(self, traffic, group, purpose):
        self.traffic = traffic
        self.wire = wire.Connection(traffic.port, group, purpose)
        self.gone = False
        self.goodbye = 0
        self.eof = False

    def live(self, listen=False):
        self.wire.set_live(listen)
        self.traffic.selector.register(self.wire.socket, selectors.EVENT_READ, self)
        self.traffic.links.append(self)

    def pump(self):
        """Takes what came; the end of the connection only after the last of it."""
        if self.gone:
            return
        found = self.wire.receive()
        for header, body in found or []:
            if header["cmd"] == "SERVER_GOODBYE_REQUEST":
                self.goodbye += 1
            else:
                self.take(header, body)
                if self.gone:
                    return
        if found is None:
            self.eof = True
            self.close()
        elif not self.wire.flush():
            pass  # what it wrote before it went is still to be read

    def close(self, reset=False):
        if self.gone:
            return
        self.gone = True
        self.traffic.selector.unregister(self.wire.socket)
        self.traffic.links.remove(self)
        if reset:
            self.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wire.close()


class Publisher(Link):
    """Publishes names of its own to one topic. more(number) gives (properties, key, due, size)."""

    def __init__(self, traffic, log, name, topic, window=32, more=None, start=0):
        super().__init__(traffic, f"pub-{name}", "pub")
        self.log, self.name, self.topic, self.window, self.more = log, name, topic, window, more
        self.number = start
        self.under_way, self.since = {}, {}  # by seq: the event, and when it was sent
        self.paused = False
        self.acked = self.refused = 0
        self.sure = True  # TCP has one code for "not stored" and "perhaps": not where disks fail
        self.live()

    def fill(self):
        while not self.gone and not self.paused and len(self.under_way) < self.window:
            self.one()
        if not self.gone:
            self.wire.flush()

    def one(self):
        properties, key, due, size = self.more(self.number) if self.more else ({}, None, None, 100)
        event = f"{self.name}-{self.number}"
        seq = f"s{self.number}"
        self.number += 1
        self.under_way[seq] = event
        self.since[seq] = time.monotonic()
        self.log.at("sent", event, key=key, due=due)
        body = {"topic": self.topic, "properties": properties, "headers": {},
                "body": text_of(event, size)}
        self.wire.unsent += wire.frame(
            "ASYNC_MESSAGE_TO_SERVER", seq, body,
            {"protocolversion": "1.0", "protocoldesc": "tcp", "protocoltype": "eventmeshmessage"})

    def waits(self):
        """So long its oldest publish has no answer."""
        return time.monotonic() - next(iter(self.since.values()), time.monotonic())

    def take(self, header, _body):
        if header["cmd"] != "ASYNC_MESSAGE_TO_SERVER_ACK":
            return
        event = self.under_way.pop(header["seq"])  # one that is not due is an error here
        self.since.pop(header["seq"])
        if header["code"] == 0:
            self.acked += 1
            self.log.at("acked", event)
            self.log.done.add(event)
        else:
            self.refused += 1
            if self.sure:
                self.log.at("refused", event)


class Member(Link):
    """A member of a group on one topic. choose(event, attempts here) says what becomes of it."""

    def __init__(self, traffic, log, group, topic, choose=None, mode="CLUSTERING"):
        super().__init__(traffic, group, "sub")
        self.log, self.choose = log, choose
        self.held = []   # (seq, event): to be acknowledged by release()
        self.seen = {}
        self.acked = 0
        self.wire.call("SUBSCRIBE_REQUEST",
                       {"topicList": [{"topic": topic, "mode": mode, "type": "ASYNC"}]})
        if mode == "BROADCASTING":
            log.at("joined")
        self.push = "BROADCAST_MESSAGE_TO_CLIENT" if mode == "BROADCASTING" \
            else "ASYNC_MESSAGE_TO_CLIENT"
        self.live(listen=True)

    def take(self, header, body):
        if header["cmd"] != self.push:
            return
        event = json.loads(body)["body"].partition("|")[0]
        self.traffic.delivered.add(event)
        self.log.at("got", event)
        self.seen[event] = self.seen.get(event, 0) + 1
        choice = self.choose(event, self.seen[event]) if self.choose else ACK
        if choice == ACK:
            self.ack(header["seq"], event)
        elif choice == HOLD:
            self.held.append((header["seq"], event))
        elif choice == IGNORE:
            self.log.at("failed", event)
        else:
            self.log.at("failed", event)
            self.close(reset=True)
            self.log.ledger.cut(self.log)

    def ack(self, seq, event):
        self.wire.unsent += wire.frame(f"{self.push}_ACK", seq)
        self.log.at("done", event)
        self.log.done.add(event)
        self.acked += 1

    def release(self, n=None):
        """Acknowledges what it holds, the first n of it."""
        for seq, event in self.held[:n]:
            self.ack(seq, event)
        del self.held[:n]
        self.wire.flush()


class Traffic:
    """All connections of a test."""

    def __init__(self, port):
        self.port = port
        self.selector = selectors.DefaultSelector()
        self.links = []
        self.delivered = set()
        self.beat = time.monotonic()

    def step(self, seconds=0.01):
        if time.monotonic() > self.beat + 20:
            self.beat = time.monotonic()
            for link in self.links:
                link.wire.unsent += wire.frame("HEARTBEAT_REQUEST", "beat")
                link.wire.flush()
        for link in list(self.links):
            if isinstance(link, Publisher):
                link.fill()
        for key, _ in self.selector.select(seconds):
            key.data.pump()

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step(min(0.01, max(0.0, end - time.monotonic())))

    def until(self, done, what, seconds=30):
        """Goes on until done()."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, what() if callable(what) else what
            self.step()

    def finish(self):
        """Reads what had left the daemon before it ended, then forgets all connections."""
        end = time.monotonic() + 5
        while self.links and time.monotonic() < end:
            for key, _ in self.selector.select(0.05):
                key.data.pump()
        self.close()

    def close(self):
        for link in list(self.links):
            link.close()
        self.selector.close()


def letters(daemon, log, group, expected=(), quiet=0.5, number=itertools.count()):
    """Reads all dead letters of a group, by a group that is new each time (its start must be
    earliest), until all that are expected are there and then nothing comes."""
    connection = wire.Connection(daemon.port(), f"undertaker-{next(number)}", "sub")
    connection.subscribe(f"%DLQ%{group}")
    connection.set_live(listen=True)
    got, last, missing = [], time.monotonic(), set(expected)
    while missing or time.monotonic() - last < quiet:
        assert time.monotonic() - last < 20, f"{len(missing)} dead letters of {group} are missing"
        found = connection.receive()
        assert found is not None, "the daemon closed the connection"
        for header, body in found:
            if header["cmd"] == "ASYNC_MESSAGE_TO_CLIENT":
                message = json.loads(body)
                event = message["body"].partition("|")[0]
                got.append((event, message["properties"]))
                log.at("got", event)
                missing.discard(event)
                last = time.monotonic()
                connection.unsent += wire.frame("ASYNC_MESSAGE_TO_CLIENT_ACK", header["seq"])
        connection.flush()
        time.sleep(0.002)
    connection.close()
    return got


def seed_of(words):
    """--seed N on the command line, else any; printed, so that a run can be repeated."""
    seed = int(words[words.index("--seed") + 1]) if "--seed" in words else random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    return random.Random(seed)
