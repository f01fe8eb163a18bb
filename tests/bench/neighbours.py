# SPDX-License-Identifier: Apache-2.0
"""Sixteen publishers to sixteen subscribers, and what they notice of one that is stuck (against none),
or that fails for one event in twenty, as a webhook may (against one that takes all, which costs the
processors the same): pairs of runs, in turns, at a part of the rate; and the wait for an
acknowledgement at `synced` beside the disk's own sync."""

import contextlib
import json
import statistics
import subprocess
import threading
import time

import wire
from parts import median
from servers import TOOLS, Ours

CLIENTS = 16
STORED = 770  # bytes in the log of an event of 512
CONF = {"40-groups.conf": "[group failing]\nack-timeout = 200ms\nattempts = 2\nretry-wait = 50ms\n"}


class Neighbour:
    """One more subscriber, on a thread of its own. fails: one of so many events is not acknowledged, 0:
    each is, 1: none is."""

    def __init__(self, server, topic, group, fails):
        self.link = wire.Connection(server.port(), group, "sub")
        self.link.subscribe(topic)
        self.link.set_live(listen=True)
        self.fails, self.over, self.got = fails, False, 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        beat = time.monotonic()
        while not self.over:
            for header, _ in self.link.receive() or []:
                if header["cmd"] != "ASYNC_MESSAGE_TO_CLIENT":
                    continue
                self.got += 1
                if not self.fails or self.got % self.fails:
                    self.link.unsent += wire.frame("ASYNC_MESSAGE_TO_CLIENT_ACK", header["seq"])
            if time.monotonic() - beat > 20:
                beat = time.monotonic()
                self.link.unsent += wire.frame("HEARTBEAT_REQUEST", "beat")
            self.link.flush()
            time.sleep(0.002)

    def close(self):
        self.over = True
        self.thread.join()
        self.link.close()


def pairs(server, plan, rate, name, fails):
    """Rows with the neighbour and without, or with one that takes all, and the median of the ratios of
    their p99."""
    with_it, without, ratios = [], [], []
    for turn in range(max(5, plan.rounds)):
        both = {}
        for on in (turn % 2 == 0, turn % 2 == 1):
            topic = f"os-{name}-{turn}-{on}"
            one = Neighbour(server, topic, name, fails if on else 0) if on or fails > 1 else None
            try:
                both[on] = server.load(topic=topic, group=f"others-{turn}", clients=CLIENTS,
                                       window=256, subscribers=CLIENTS, rate=rate,
                                       seconds=plan.seconds, warmup=0.5)
            finally:
                if one is not None:
                    one.close()
        with_it.append(both[True])
        without.append(both[False])
        ratios.append(both[True]["arrival_us"]["p99"] / both[False]["arrival_us"]["p99"])

    def p99(run):
        return run["arrival_us"]["p99"]
    return [{"what": f"16 → 16, {rate:.0f}/s, {label}", **median(runs, key=p99)}
            for label, runs in (("beside one that takes all" if fails > 1 else "alone", without),
                                (f"beside one that is {name}", with_it))], statistics.median(ratios)


def synced(folder, plan):
    """p99 of the acknowledgement at half of the rate, in times of the p99 of the disk's own sync when
    a bare loop writes so many bytes, measured right behind."""
    with Ours(folder, "synced") as server:
        most = median([server.load(clients=CLIENTS, window=16, seconds=plan.seconds, warmup=0.3)
                       for _ in range(plan.rounds)])
        runs, ratios, syncs = [], [], []
        for _ in range(max(3, plan.rounds)):
            run = server.load(clients=CLIENTS, window=256, seconds=plan.seconds, warmup=0.5,
                              rate=most["rate"] / 2)
            said = subprocess.run([TOOLS / "probe", folder, str(run["rate"] * STORED)],
                                  capture_output=True, text=True, check=True).stdout
            syncs.append(json.loads(said))
            runs.append(run)
            ratios.append(run["ack_us"]["p99"] / syncs[-1]["p99_us"])
    bare = sorted(syncs, key=lambda s: s["p99_us"])[len(syncs) // 2]
    how = (f"the disk alone: {bare['bytes'] / 1000:.0f} kB a sync, {bare['p50_us'] / 1000:.1f} ms, "
           f"p99 {bare['p99_us'] / 1000:.1f} ms")
    return median(runs, key=lambda r: r["ack_us"]["p99"]), statistics.median(ratios), how


def neighbours(folder, plan):
    rows, facts = [], {}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Ours(folder, conf=CONF))
        most = median([server.load(clients=CLIENTS, window=16, subscribers=CLIENTS,
                                   seconds=plan.seconds, warmup=0.3) for _ in range(plan.rounds)])
        rows.append({"what": "16 → 16, closed loop", **most})
        for name, fails, part in (("stuck", 1, 2), ("failing", 20, 16)):
            some, facts[f"beside {name}"] = pairs(server, plan, most["rate"] / part, name, fails)
            rows += some
    run, facts["synced p99"], facts["synced alone"] = synced(folder, plan)
    rows.append({"what": "acknowledgement at `synced`, half rate", **run, "arrival_us": run["ack_us"],
                 "arrival_rate": run["rate"]})
    return rows, facts
