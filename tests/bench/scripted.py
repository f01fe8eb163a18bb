# SPDX-License-Identifier: Apache-2.0
"""A client whose every step waits for its answers, so that each batch meets an idle daemon and all
batches are equal: what is counted per event does not depend on the machine. For one daemon with one
worker, whose clocks are set so slow that nothing of theirs falls into a count."""

import json
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import wire  # noqa: E402
from daemon import BUILD, Daemon  # noqa: E402

BATCH = 16
CREDIT = 32  # of a member that has not acknowledged yet
CONF = {
    "00-eventmesh.conf": "[daemon]\nworkers = 1\n",
    # a small map: valgrind has no room for the usual one
    "20-storage-standalone.conf": "[instance]\ncomponent = storage-standalone\n[options]\n"
                                  "sync-interval = 1m\ncheckpoint-interval = 10m\n"
                                  "map-size = 256MiB\n",
    "30-topics.conf": "[topic *]\ndurability = os\n",
}


class Client(wire.Connection):
    """Publisher or subscriber."""

    def await_frames(self, cmd, n):
        found = []
        while len(found) < n:
            found += [f for f in wire.frames(self.read) if f[0]["cmd"] == cmd]
            if len(found) < n:
                more = self.socket.recv(1 << 20)
                if not more:
                    raise ConnectionError("the daemon closed a session")
                self.read += more
        return found

    def publish(self, topic, n, body, batch=BATCH):
        """n events in batches, each acknowledged before the next."""
        for begin in range(0, n, batch):
            self.socket.sendall(b"".join(wire.publish(topic, f"p{begin + i:09}", body)
                                         for i in range(batch)))
            for header, _ in self.await_frames("ASYNC_MESSAGE_TO_SERVER_ACK", batch):
                if header["code"] != 0:
                    raise ValueError(f"refused: {header}")

    def pushes(self, n):
        return self.await_frames("ASYNC_MESSAGE_TO_CLIENT", n)

    def acknowledge(self, pushes, batch=BATCH):
        """As the Java SDK does: the body comes back as a JSON string. A heartbeat behind each batch,
        sent with it, tells when it has been handled."""
        for begin in range(0, len(pushes), batch):
            self.socket.sendall(b"".join(
                wire.frame("ASYNC_MESSAGE_TO_CLIENT_ACK", header["seq"],
                           json.dumps(body.decode()).encode())
                for header, body in pushes[begin:begin + batch])
                + wire.frame("HEARTBEAT_REQUEST", "beat"))
            self.await_frames("HEARTBEAT_RESPONSE", 1)


def member(port, topic):
    """A subscriber that gets nothing before its LISTEN."""
    client = Client(port, f"group-{topic}", "sub")
    client.subscribe(topic)
    return client


def deliveries(port, publisher, taken, topic, events, body, batch):
    """What delivering a backlog costs, and then acknowledging it. A member gets CREDIT events before
    it has acknowledged one, so there are as many as together take all of it."""
    members = [member(port, topic) for _ in range(events // CREDIT)]
    publisher.publish(topic, events, body, batch)
    taken()
    pushes = []
    for one in members:
        one.socket.sendall(wire.frame("LISTEN_REQUEST", "listen"))
        pushes.append(one.pushes(CREDIT))
    delivered = taken("deliver")
    for one, got in zip(members, pushes):
        one.acknowledge(got, batch)
    acknowledged = taken("acknowledge")
    for one in members:
        one.close()
    return {"deliver": delivered, "acknowledge": acknowledged}


def steps(port, taken, events, body, batch=BATCH):
    """What an event costs in each step: taken() gives what was spent since it was called last, and
    is told the step that this was. The first time of everything is left out."""
    found = {}
    publisher = Client(port, "pub", "pub")
    try:
        for topic in ("first", "plain"):
            taken()
            publisher.publish(topic, events, body, batch)
            found["publish"] = taken("publish")
        deliveries(port, publisher, taken, "first-waiting", events, body, batch)
        rounds = [deliveries(port, publisher, taken, f"waiting-{i}", events, body, batch)
                  for i in range(3)]
        for name in rounds[0]:
            found[name] = min(r[name] for r in rounds)
        live = member(port, "live")
        live.call("LISTEN_REQUEST")
        for _ in range(2):
            taken()
            for _ in range(events // batch):
                publisher.publish("live", batch, body, batch)
                live.acknowledge(live.pushes(batch), batch)
            found["publish, deliver, acknowledge"] = taken("publish, deliver, acknowledge")
        live.close()
    finally:
        publisher.close()
    return {name: spent / events for name, spent in found.items()}


class Counted(Daemon):
    """A daemon with allocs.so: which is 0 for calls of allocators, 1 for bytes allocated, 2 for bytes
    copied in pieces of 1 KiB or more."""

    def __init__(self, which, **more):
        super().__init__(CONF, **more)
        self.counts, self.which, self.last = self.home / "counts", which, 0
        self.env.update(LD_PRELOAD=str(BUILD / "tests" / "bench" / "allocs.so"),
                        ALLOCS_FILE=str(self.counts))

    def taken(self, _step=None):
        now = struct.unpack("QQQ", self.counts.read_bytes())[self.which]
        spent, self.last = now - self.last, now
        return spent


def allocations(events=960, batch=BATCH, **more):
    """Allocations per event of each step."""
    with Counted(0, **more) as daemon:
        return steps(daemon.port(), daemon.taken, events, "x" * 512, batch)


def copies(events=160, batch=2, size=16384, **more):
    """Copies of a payload in the daemon's memory per event of each step."""
    with Counted(2, **more) as daemon:
        found = steps(daemon.port(), daemon.taken, events, "x" * size, batch)
    return {name: value / size for name, value in found.items()}
