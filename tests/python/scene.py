# SPDX-License-Identifier: Apache-2.0
"""A daemon, load of every stage of delivery on it, and the ledger over all its lives: groups that
acknowledge, park, bury and break off, some events delayed; whoever uses it makes something fail
meanwhile, and asks for the verdict. Held to: nothing acknowledged is lost, an event comes again only
where at-least-once allows it, no event of a good group is a dead letter, and each poison one is."""

import random
import time

import traffic as load
from daemon import Daemon
from ledger import Ledger
from traffic import ACK, CUT, HOLD, IGNORE, Member, Publisher, Traffic

STORE = ("[instance]\ncomponent = storage-standalone\n[options]\nsegment-size = 4M\n"
         "checkpoint-interval = 200ms\n")
# what is not acknowledged in 1 s is tried again; group "parks" waits so long for its second try
# that the event goes to the inbox meanwhile, "buries" gives up after three
RULES = """
[topic *]
durability = synced
[group *]
start = earliest
ack-timeout = 10s
[group parks]
ack-timeout = 1s
attempts = 4
retry-wait = 9s
[group buries]
ack-timeout = 1s
attempts = 3
retry-wait = 20ms
[group cut]
ack-timeout = 10s
retry-wait-max = 2s
"""
POISON, SLOW, DELAYED = 400, 60, 30  # one of so many; more poison than that is a member that is down


def number_of(event):
    return int(event.rpartition("-")[2])


class Scene:
    """One daemon, its traffic, and the ledger over all its lives."""

    def __init__(self, conf=None, rng=random, **more):
        self.rng = rng
        self.daemon = Daemon({"20-storage-standalone.conf": STORE, "30-rules.conf": RULES,
                              **(conf or {})}, **more)
        self.ledger = Ledger()
        self.logs, self.published, self.traffic = {}, {}, None
        self.kills = 0
        self.poison, self.slow, self.delayed = POISON, SLOW, DELAYED
        self.publishers = []

    def is_poison(self, event):
        return number_of(event) % self.poison == self.poison - 1

    def __enter__(self):
        self.daemon.__enter__()
        return self

    def __exit__(self, *what):
        if self.traffic is not None:
            self.traffic.close()
        self.daemon.__exit__(*what)
        self.ledger.__exit__(*what)

    def log(self, kind, name, *more):
        if name not in self.logs:
            self.logs[name] = getattr(self.ledger, kind)(name, *more)
        return self.logs[name]

    def slow_once(self, event, seen):
        """Group "parks": some get no answer the first time they come to this connection."""
        return IGNORE if number_of(event) % self.slow == self.slow - 1 and seen == 1 and \
            self.logs["parks"].once(event) else ACK

    def connect(self, publishers=2, window=16, delayed=True, cutters=0):
        """Groups good (two members), parks, buries, cut; publishers that begin behind what they had."""
        t = self.traffic = Traffic(self.daemon.port())
        for n in range(2):
            Member(t, self.log("subscriber", f"good-{n}", "good"), "good", "faults")
        seen = self.log("subscriber", "parks", "parks")
        if not hasattr(seen, "once"):
            had = set()
            seen.once = lambda event: event not in had and not had.add(event)
        Member(t, seen, "parks", "faults", self.slow_once)
        Member(t, self.log("subscriber", "buries", "buries"), "buries", "faults",
               lambda event, _n: IGNORE if self.is_poison(event) else ACK)
        self.cutters = cutters
        self.cut_now()
        for n in range(publishers):
            name = f"p{n}"
            p = Publisher(t, self.log("publisher", name), name, "faults", window,
                          self.properties if delayed else None, self.published.setdefault(name, 0))
            self.publishers.append(p)

    def properties(self, number):
        """One of so many is delayed by up to a second."""
        size = self.rng.choice((20, 200, 2000))
        if number % self.delayed != self.delayed - 1:
            return {}, None, None, size
        due = int((time.time() + self.rng.uniform(0.1, 1.0)) * 1000)
        return {"deliverytime": str(due)}, None, due / 1000, size

    def cut_now(self):
        """Members of group "cut" that break off now and then, with what they hold."""
        while self.cutters and sum(getattr(link, "cuts", False)
                                   for link in self.traffic.links) < self.cutters:
            name = f"cut-{len(self.logs)}"
            member = Member(self.traffic, self.log("subscriber", name, "cut"), "cut", "faults",
                            lambda _event, _n: self.rng.choices((ACK, HOLD, CUT), (97, 2.5, 0.5))[0])
            member.cuts = True

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()
            self.cut_now()

    def step(self):
        """One round. When it took so long that acknowledgements may have missed their deadline, or when
        the daemon answers so late, which the machine's load can do, these members are excused."""
        begun = time.monotonic()
        self.traffic.step()
        if max(time.monotonic() - begun, *(p.waits() for p in self.publishers), 0) > 0.25:
            for name in ("parks", "buries"):
                self.ledger.cut(self.logs[name])

    def kill(self):
        """kill -9; what had left the daemon before counts as said."""
        self.daemon.kill()
        self.kills += 1
        self.forget()
        self.ledger.crash()

    def stop(self):
        """The orderly end: who is connected may answer what it holds, and closes."""
        self.daemon.process.terminate()
        self.forget()
        code = self.daemon.process.wait(60)
        assert code == 0, f"the daemon ended with {code}:\n{self.daemon.words()}"

    def forget(self):
        for p in self.publishers:
            self.published[p.name] = p.number
            p.paused = True
        self.publishers = []
        if self.traffic is not None:
            self.traffic.finish()
        self.traffic = None

    def settle_down(self, seconds=60):
        """One publisher goes on slowly, until every group has all and waits for nothing; then the
        dead letters are read."""
        t = self.traffic
        for p in self.publishers:
            p.paused = True
        self.cutters = 0
        for link in list(t.links):
            if getattr(link, "cuts", False):
                link.close()
        if any(name.startswith("cut-") for name in self.logs):
            Member(t, self.log("subscriber", "cut-last", "cut"), "cut", "faults")
        t.until(lambda: not any(p.under_way for p in self.publishers), "publishes without answer")
        trickle = self.publishers[0]
        trickle.more, trickle.number = (lambda _n: ({}, None, None, 20)), 10000000
        end = time.monotonic() + seconds
        while any(self.waiting().values()):
            assert time.monotonic() < end, (self.waiting(), self.daemon.ctl("group", "list"))
            while self.is_poison(f"x-{trickle.number}") or \
                    trickle.number % self.slow == self.slow - 1:
                trickle.number += 1
            trickle.one()
            self.run(0.2)
        self.run(0.3)
        for group in self.groups():
            self.letters(group)

    def groups(self):
        return ["good", "parks", "buries"] + \
            ["cut"] * any(name.startswith("cut-") for name in self.logs)

    def waiting(self):
        """What each group has not finished: by its own logs, where nothing is buried, else as the
        daemon tells."""
        acked = set().union(*(self.logs[name].done for name in self.published))
        rows = {r["group"]: r for r in self.daemon.ctl("group", "list") if r["topic"] == "faults"}
        left = {"good": len(acked - self.logs["good-0"].done - self.logs["good-1"].done),
                "parks": len(acked - self.logs["parks"].done)}
        for group in set(self.groups()) - set(left):
            left[group] = sum(int(rows[group].get(k, 0)) for k in ("lag", "in-flight"))
        return left

    def letters(self, group):
        got = load.letters(self.daemon, self.letters_log(group), group)
        wrong = [e for e, properties in got
                 if group in ("good", "parks") or (group == "buries" and not self.is_poison(e))
                 or (group == "cut" and properties["dlcause"] != "killed-sessions")]
        assert not wrong, f"dead letters of {group}: {wrong[:3]}"

    def letters_log(self, group):
        name = f"dead of {group}"
        if name not in self.logs:
            self.logs[name] = self.ledger.letters(group)
        return self.logs[name]
