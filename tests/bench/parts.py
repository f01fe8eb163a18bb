# SPDX-License-Identifier: Apache-2.0
"""The measurements beside the peers: each part starts its servers, runs what is compared side by
side, and returns rows (one dictionary each: what was run, on whom, and emload's line)."""

import contextlib
import statistics

import scripted
from servers import Nats, Ours, Redis

SHAPES = [(1, 1), (16, 1), (1, 64), (16, 16)]
BATCHES = 4  # subscribers of an end to end run


def shape_name(clients, window):
    return f"{clients}×{window}"


def median(runs, key=lambda r: r["rate"]):
    """The run in the middle, whole: what is told of it belongs together."""
    return sorted(runs, key=key)[(len(runs) - 1) // 2]


def everybody(folder, stack, names):
    """Starts the servers that are named."""
    makers = {"os": lambda: Ours(folder), "synced": lambda: Ours(folder, "synced"),
              "nats": lambda: Nats(folder), "everysec": lambda: Redis(folder, "everysec"),
              "always": lambda: Redis(folder, "always")}
    return {name: stack.enter_context(makers[name]()) for name in names}


def side_by_side(servers, rounds, **options):
    """Rounds of one run on each, who begins changing; of each the run in the middle."""
    runs, names = {name: [] for name in servers}, list(servers)
    for turn in range(rounds):
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            runs[name].append(servers[name].load(**options))
            servers[name].forget()
    return {name: median(some) for name, some in runs.items()}


def publish(folder, plan):
    """Acked publishes: every shape at 512 bytes, and 16×16 at 16 bytes and 16 KiB."""
    rows = []
    for clients, window, size in [(*shape, 512) for shape in SHAPES] + [(16, 16, 16),
                                                                        (16, 16, 16384)]:
        with contextlib.ExitStack() as stack:
            servers = everybody(folder, stack, plan.names)
            for name, run in side_by_side(servers, plan.rounds, clients=clients, window=window,
                                          bytes=size, seconds=plan.seconds, warmup=0.3).items():
                rows.append({"shape": shape_name(clients, window), "bytes": size, "server": name,
                             "label": servers[name].label, **run})
    return rows


def end_to_end(folder, plan):
    """Publish call to handler, 16×16: first as fast as both ends keep up, then on a fixed schedule
    at half of that rate, latency counted from the scheduled time."""
    rows = []
    with contextlib.ExitStack() as stack:
        servers = everybody(folder, stack, [n for n in plan.names if n not in ("synced", "always")])
        most = side_by_side(servers, plan.rounds, clients=16, window=16, subscribers=BATCHES,
                            seconds=plan.seconds, warmup=0.3)
        for name, server in servers.items():
            rows.append({"shape": "16×16, closed loop", "server": name, "label": server.label,
                         **most[name]})
        half = {name: [] for name in servers}
        for _ in range(plan.rounds):
            for name, server in servers.items():
                half[name].append(server.load(
                    clients=16, window=256, subscribers=BATCHES, seconds=plan.seconds, warmup=0.5,
                    rate=most[name]["rate"] / 2))
                server.forget()
        for name, server in servers.items():
            rows.append({"shape": "16×16, half rate", "server": name, "label": server.label,
                         **median(half[name], key=lambda r: r["arrival_us"]["p99"])})
    return rows


def drain(folder, plan):
    """A backlog with groups that wait for it: drained while it is in memory, after the page cache
    forgot it; and one topic among a thousand that share the log."""
    rows = []
    conf = {"40-groups.conf": "[group drain-*]\nstart = earliest\n"}
    with Ours(folder, conf=conf) as server:
        best = server.load(topic="os-first", clients=16, window=16, seconds=plan.seconds)
        fill = server.load(topic="os-backlog", clients=16, window=16, events=plan.backlog)
        rows.append({"what": "publish 16×16", "n": best["acked"], "value": best["rate"], **best})
        rows.append({"what": "fill the backlog", "n": plan.backlog, "value": fill["rate"], **fill})
        for what in ("hot", "cold"):
            if what == "cold":
                server.drop_cache()
            run = server.load(topic="os-backlog", group=f"drain-{what}", subscribers=BATCHES,
                              drain=plan.backlog)
            rows.append({"what": f"drain, {what}", "n": run["arrived"],
                         "value": run["arrival_rate"], **run})
    return rows


def growth(folder, plan):
    """An empty daemon beside one that knows many topics and groups, and one that keeps many
    events; and what a start takes with those."""
    from crowd import Crowd
    rows, facts = [], {}
    conf = {"40-groups.conf": "[group drain-*]\nstart = earliest\n"}
    with contextlib.ExitStack() as stack:
        empty, names, full = (stack.enter_context(Ours(folder, conf=conf)) for _ in range(3))
        topics = [f"os-known-{i:04}" for i in range(1000)]
        each = plan.group_topics
        for begin in range(0, 1000, each):
            with Crowd(names.port(), each, topics=topics[begin:begin + each],
                       name=f"known-{begin}-"):
                pass
        fill = full.load(topic="os-many", topics=1000, clients=16, window=64, events=plan.stored)
        rows.append({"what": "fill", "label": f"{plan.stored} events in 1,000 topics", **fill})
        full.drop_cache()
        sparse = full.load(topic="os-many000500", group="drain-sparse", subscribers=1,
                           drain=plan.stored // 1000)
        rows.append({"what": "drain 1 topic of 1,000, cold",
                     "label": f"{plan.stored // 1000} of {plan.stored} events",
                     **sparse, "rate": sparse["arrival_rate"]})
        facts["drain sparse"] = sparse["arrival_rate"]
        best = side_by_side({"empty": empty, "names": names, "events": full}, plan.rounds + 2,
                            clients=16, window=16, seconds=plan.seconds, warmup=0.3)
        known = f"1,000 topics, 1,000 groups, {1000 * plan.group_topics} pairs known"
        for name, label in (("empty", "empty store"), ("names", known),
                            ("events", f"{plan.stored} events stored")):
            rows.append({"what": "publish 16×16", "label": label, **best[name]})
        facts["growth names"] = best["names"]["rate"] / best["empty"]["rate"]
        facts["growth events"] = best["events"]["rate"] / best["empty"]["rate"]
        for how in ("stop", "kill"):
            starts = []
            for _ in range(3):
                if how == "kill":
                    full.load(topic="os-more", clients=16, window=16, seconds=1, warmup=0)
                    full.kill()
                else:
                    full.stop()
                starts.append(full.timed_start())
            facts[f"ready {how}"], facts[f"ready {how} cpu"] = median(starts, lambda s: s[0])
    return rows, facts


def fan_out(folder, plan):
    """One publisher, a hundred members that each get every event."""
    with Ours(folder) as server:
        run = median([server.load(clients=1, window=64, subscribers=100, broadcast=True,
                                  seconds=plan.seconds) for _ in range(plan.rounds)],
                     key=lambda r: r["arrival_rate"])
    return [{"what": "1 → 100", **run}]


def requests(folder, plan):
    """Request to reply: one requester, one responder that answers at once, 512 bytes each way, with 1
    and 64 under way, at the lightest level and the heaviest."""
    rows = []
    for window in (1, 64):
        with contextlib.ExitStack() as stack:
            servers = everybody(folder, stack, ["os", "synced"])
            for name, run in side_by_side(servers, plan.rounds, clients=1, window=window,
                                          subscribers=1, requests=True, seconds=plan.seconds,
                                          warmup=0.3).items():
                rows.append({"what": f"{window} in flight", "label": servers[name].label, **run})
    return rows


def resident(folder, plan):
    """Megabytes of a daemon that has just started, and with idle sessions; medians of three."""
    from crowd import Crowd
    idle, crowded = [], []
    for _ in range(3):
        with Ours(folder) as server:
            idle.append(server.resident())
            port = server.port()
            with Crowd(port, plan.sessions):
                crowded.append(server.resident())
    return {"rss idle": statistics.median(idle), "rss sessions": statistics.median(crowded)}


def counts(folder, _plan):
    """What does not depend on the machine. Of the allocations two are the event and its buffer, which
    the events of one read share."""
    each = scripted.allocations(folder=folder)["publish, deliver, acknowledge"]
    return {"allocations": max(0, round(each - 2, 2)), "allocations in all": each,
            "copies": round(scripted.copies(folder=folder)["publish"], 1)}
