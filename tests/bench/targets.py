# SPDX-License-Identifier: Apache-2.0
"""What the daemon is to reach: every line with its floor and its aim, and the verdict on a value."""


class Target:
    """floor and aim are bounds of value: least ones, or with most=True greatest ones."""

    def __init__(self, what, floor, aim, unit="", most=False):
        self.what, self.floor, self.aim, self.unit, self.most = what, floor, aim, unit, most

    def bound(self, value):
        return f"{'≤' if self.most else '≥'} {show(value)} {self.unit}".rstrip()

    def verdict(self, value):
        if value is None:
            return "not measured"

        def holds(bound):
            return value <= bound if self.most else value >= bound
        if holds(self.aim):
            return "aim reached"
        if holds(self.floor):
            return "floor reached"
        off = abs(value / self.floor - 1) * 100 if self.floor else 0
        return f"**missed by {off:.0f} %**" if self.floor else "**missed**"

    def row(self, value, how=""):
        measured = "" if value is None else f"{show(value)} {self.unit}".rstrip()
        return [self.what, self.bound(self.floor), self.bound(self.aim), measured, how,
                self.verdict(value)]


def show(value):
    if value >= 10000:
        return f"{value / 1000:.0f} k"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


HEAD = ["what", "floor", "aim", "measured", "how", "verdict"]

TARGETS = {
    **{f"nats {shape}": Target(f"acked publish at `os`, {shape}, against NATS JetStream", 1.3, 2, "×")
       for shape in ("1×1", "16×1", "1×64", "16×16")},
    **{f"everysec {shape}": Target(f"acked publish at `os`, {shape}, against redis everysec",
                                   floor, aim, "×")
       for shape, floor, aim in (("1×1", .8, 1), ("16×1", .8, 1), ("1×64", 1.3, 2),
                                 ("16×16", 1.3, 2))},
    "always": Target("acked publish at `synced`, 16×16, against redis always", 1.0, 1.5, "×"),
    "cpu": Target("CPU of the daemon per event published, stored, delivered, acknowledged both ways "
                  "(16×16)", 8, 4, "µs", most=True),
    "e2e p99": Target("end to end, 16×16 at half of the maximum rate, p99", 10, 3, "ms", most=True),
    "drain hot": Target("draining a backlog with client acks, hot, against the 16×16 publish rate",
                        0.8, 1.2, "×"),
    "drain cold": Target("the same, cold", 0.6, 1.0, "×"),
    "drain sparse": Target("draining 1/1000 of an interleaved log, cold", 100e3, 200e3, "/s"),
    "fan-out": Target("fan-out 1 → 100 broadcast, 512 B, acked deliveries", 250e3, 600e3, "/s"),
    "http ratio": Target("publishes over HTTP at `os` against a bare libsoup server that answers 200, "
                         "the least of all shapes", .7, 1, "×"),
    "http cpu": Target("CPU of the daemon per publish over HTTP at `os`, the most of all shapes", 45,
                       30, "µs", most=True),
    "push 1": Target("pushes to one webhook, which is that libsoup server", 2e3, 5e3, "/s"),
    "push 50": Target("pushes to 50 webhooks, all on that one libsoup server", 2e3, 5e3, "/s"),
    "ready stop": Target("ready with an existing store, after an orderly stop", 50, 20, "ms",
                         most=True),
    "ready kill": Target("the same after kill -9", 300, 20, "ms", most=True),
    "beside stuck": Target("p99 of sixteen beside a subscriber that is stuck, against without", 1.1, 1,
                           "×", most=True),
    "beside failing": Target("the same beside one that fails for 5 % of its events", 1.1, 1, "×",
                             most=True),
    "synced p99": Target("acknowledgement at `synced` at half of the rate, p99, against the p99 of the "
                         "disk's own sync at that load", 3, 2, "×", most=True),
    "rss idle": Target("resident, idle", 10, 6, "MB", most=True),
    "rss sessions": Target("resident with 10,000 idle TCP sessions", 80, 60, "MB", most=True),
    "growth names": Target("rate with many topics × groups known, against an empty store", .8, .95,
                           "×"),
    "growth events": Target("rate with many events stored, against an empty store", .8, .95, "×"),
    "allocations": Target("allocations per event beyond event and buffer", 0, 0, most=True),
    "copies": Target("copies of a payload between socket and store", 1, 1, most=True),
}
