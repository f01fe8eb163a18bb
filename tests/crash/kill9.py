#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill9.py [--cuts N] [--seed S]: publishes on `synced` topics through several connections, ends the
daemon with kill -9 at a random moment, starts it again on the same data, and checks from outside
what it kept. Prints TAP; the seed is printed, so a run can be repeated as far as time allows.

An event is *acked* when its acknowledgement with code 0 reached us. Held to:
  every acked event is in its topic, read from the earliest by a group that is new;
  nothing is there that was not published, and every byte of an event is right;
  no event is there twice; the store opens every time;
  what a group had not acknowledged is offered to it again."""

import argparse
import hashlib
import json
import os
import random
import selectors
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import wire  # noqa: E402
from daemon import Daemon, Failed  # noqa: E402

CONF = {
    "20-storage-standalone.conf": """
[instance]
component = storage-standalone
[options]
# small, so that cuts meet the change of segments too
segment-size = 4M
""",
    "30-topics.conf": """
[topic crash-*]
durability = synced
[group reader-*]
start = earliest
""",
}
PUBLISHERS = 4
WINDOW = 32
MOST_ACKED = 2500
PATIENCE = 30


def text_of(name):
    """The body of an event: its name and bytes that follow from the name, of many lengths."""
    seed = hashlib.sha256(name.encode()).hexdigest()
    size = int(seed[:4], 16) % 3000
    if seed[4:6] == "00":
        size *= 40
    return f"{name}|{(seed * (size // len(seed) + 1))[:size]}"


class Wrong(Exception):
    """What must not happen."""


class Round:
    """One topic: published to until the cut, then read."""

    def __init__(self, number):
        self.topic = f"crash-{number}"
        self.number = number
        self.sent, self.acked, self.refused = set(), set(), 0
        self.kept_by_group = set()  # delivered to the group that listens all the time
        self.repeated = 0

    def publish(self, daemon, rng):
        """Publishes, with a subscriber beside it, and cuts in the midst of it."""
        port = daemon.port()
        keeper = wire.Connection(port, f"keeper-{self.number}", "sub")
        keeper.subscribe(self.topic)
        keeper.set_live(listen=True)
        publishers = [wire.Connection(port, f"pub-{i}", "pub") for i in range(PUBLISHERS)]
        selector = selectors.DefaultSelector()
        for connection in (keeper, *publishers):
            if connection is not keeper:
                connection.set_live()
                connection.under_way, connection.next = {}, 0
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        enough = rng.randrange(1, MOST_ACKED)
        begun = time.monotonic()
        while len(self.acked) < enough and time.monotonic() - begun < PATIENCE:
            for index, connection in enumerate(publishers):
                self.fill(index, connection)
            for key, _ in selector.select(0.01):
                self.take(key.data, keeper, rng)
        for index, connection in enumerate(publishers):
            self.fill(index, connection)
        time.sleep(rng.uniform(0, 0.003))
        daemon.kill()
        # what had left the daemon before the cut counts as said
        for connection in (keeper, *publishers):
            while self.take(connection, keeper, rng):
                pass
            connection.close()

    def fill(self, index, connection):
        while len(connection.under_way) < WINDOW:
            name = f"{self.topic}/{index}/{connection.next}"
            seq = f"b{connection.next:09d}"
            connection.next += 1
            connection.under_way[seq] = name
            self.sent.add(name)
            connection.unsent += wire.publish(self.topic, seq, text_of(name))
        connection.flush()

    def take(self, connection, keeper, rng):
        """Handles what came. False: the peer is gone."""
        found = connection.receive()
        if found is None:
            return False
        for header, body in found:
            if header["cmd"] == "ASYNC_MESSAGE_TO_SERVER_ACK":
                name = connection.under_way.pop(header["seq"], None)
                if name is None:
                    raise Wrong(f"an acknowledgement that was not due: {header}")
                if header["code"] == 0:
                    self.acked.add(name)
                else:
                    self.refused += 1
                    print(f"# refused: {header}")
            elif header["cmd"] == "ASYNC_MESSAGE_TO_CLIENT" and connection is keeper:
                name = self.checked(body)
                if rng.random() < 0.9:
                    # acknowledged, so it need not come again
                    self.kept_by_group.add(name)
                    keeper.unsent += wire.frame("ASYNC_MESSAGE_TO_CLIENT_ACK", header["seq"])
        connection.flush()
        return bool(found)

    def checked(self, body):
        """The name of a delivered event, whose every byte was looked at."""
        text = json.loads(body)["body"]
        name = text.partition("|")[0]
        if name not in self.sent:
            raise Wrong(f"{self.topic} holds {name[:80]!r}, which was never published")
        if text != text_of(name):
            raise Wrong(f"{name} came back altered ({len(text)} characters)")
        return name


def read(daemon, rounds, group, until):
    """Everything of the rounds' topics that the group is offered: topic -> names in order. Reads
    until each topic gave what `until` says and its end mark."""
    connection = wire.Connection(daemon.port(), group, "sub")
    by_topic = {r.topic: r for r in rounds}
    got = {topic: [] for topic in by_topic}
    missing = {topic: set(until[topic]) for topic in by_topic}
    open_topics = {topic for topic in by_topic if missing[topic]}
    for topic in by_topic:
        connection.subscribe(topic)
    connection.set_live(listen=True)
    selector = selectors.DefaultSelector()
    selector.register(connection.socket, selectors.EVENT_READ)
    last = time.monotonic()
    quiet = 0.5
    while open_topics or time.monotonic() - last < quiet:
        if time.monotonic() - last > PATIENCE:
            break
        if not selector.select(0.05):
            continue
        found = connection.receive()
        if found is None:
            raise Wrong(f"the daemon closed the connection of {group}")
        for header, body in found:
            if header["cmd"] != "ASYNC_MESSAGE_TO_CLIENT":
                continue
            last = time.monotonic()
            topic = json.loads(body)["topic"]
            name = by_topic[topic].checked(body)
            got[topic].append(name)
            missing[topic].discard(name)
            if not missing[topic]:
                open_topics.discard(topic)
            connection.unsent += wire.frame("ASYNC_MESSAGE_TO_CLIENT_ACK", header["seq"])
        if not connection.flush():
            raise Wrong(f"the daemon closed the connection of {group}")
    connection.close()
    return got


class Result:
    """Counts of the whole run, and what went wrong by property."""

    def __init__(self):
        self.cuts = self.sent = self.acked = self.stored = self.early_cuts = 0
        self.lost, self.twice, self.strange, self.closed, self.group = [], [], [], [], []
        self.slowest = 0.0

    def judge(self, which, names, what):
        if names:
            which.append(f"{len(names)} {what}, such as {sorted(names)[:3]}")


def one_cut(daemon, number, rng, result):
    r = Round(number)
    r.publish(daemon, rng)
    result.cuts += 1
    if rng.random() < 0.3:
        # and again while it recovers
        os.close(daemon.launch())
        time.sleep(rng.uniform(0, 0.03))
        daemon.kill()
        result.early_cuts += 1
    result.slowest = max(result.slowest, daemon.start())
    got = read(daemon, [r], f"reader-{number}", {r.topic: r.acked})[r.topic]
    result.judge(result.lost, r.acked - set(got), f"acked events of {r.topic} are gone")
    result.judge(result.twice, {name for name, n in Counter(got).items() if n > 1},
                 f"events of {r.topic} are there twice")
    due = r.acked - r.kept_by_group
    again = read(daemon, [r], f"keeper-{number}", {r.topic: due})[r.topic]
    result.judge(result.group, due - set(again), f"events of {r.topic} were not offered again")
    r.repeated = len(set(again) & r.kept_by_group)
    result.sent += len(r.sent)
    result.acked += len(r.acked)
    result.stored += len(set(got))
    print(f"# cut {number}: {len(r.sent)} sent, {len(r.acked)} acked, {len(set(got))} stored, "
          f"{r.repeated} offered again though acknowledged")
    sys.stdout.flush()
    return r


def run(cuts, rng, result):
    rounds = []
    with Daemon(CONF) as daemon:
        try:
            for number in range(cuts):
                rounds.append(one_cut(daemon, number, rng, result))
            if daemon.stop() != 0:
                result.closed.append("the daemon did not stop with code 0")
            daemon.start()
            # once more all of it, after the orderly stop
            got = read(daemon, rounds, "reader-last", {r.topic: r.acked for r in rounds})
            for r in rounds:
                result.judge(result.lost, r.acked - set(got[r.topic]),
                             f"acked events of {r.topic} are gone after the last start")
        except Wrong as wrong:
            result.strange.append(str(wrong))
        except (Failed, ConnectionError, ValueError, OSError) as failed:
            result.closed.append(f"{type(failed).__name__}: {failed}")
        if any((result.lost, result.twice, result.strange, result.closed, result.group)):
            print("# the end of the daemon's log:")
            print("\n".join(f"#   {line}" for line in daemon.words().splitlines()[-20:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--cuts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print("1..5")
    print(f"# seed {options.seed}")
    result = Result()
    run(options.cuts, random.Random(options.seed), result)
    if result.cuts == options.cuts and not result.acked:
        result.closed.append("not one publish was acknowledged: nothing was tried")
    properties = [
        ("no acknowledged event lost", result.lost),
        ("nothing stored that was not published", result.strange),
        ("no event stored twice", result.twice),
        ("the store opens every time", result.closed),
        ("what a group did not acknowledge comes again", result.group),
    ]
    for number, (name, wrong) in enumerate(properties, 1):
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}")
        for line in wrong:
            print("\n".join(f"#   {part}" for part in line.splitlines()))
    print(f"# {result.cuts} cuts and {result.early_cuts} during recovery: {result.sent} sent, "
          f"{result.acked} acked, {result.stored} stored, {len(result.lost)} lost, "
          f"{len(result.twice)} twice; slowest start {result.slowest:.3f} s")
    return 1 if any(wrong for _, wrong in properties) else 0


sys.exit(main())
