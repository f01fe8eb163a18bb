# SPDX-License-Identifier: Apache-2.0
"""Results of a run as Markdown and plots. `results` is what bench.py collects and keeps as JSON."""

import svg
from targets import HEAD, TARGETS

SHAPES = ["1×1", "16×1", "1×64", "16×16"]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def latency(r, which):
    return [f"{r[which][at]:.0f}" for at in ("p50", "p99", "p999")]


def costs(r):
    return [f"{r['cpu_us']:.2f}", f"{r['rss'] / 1e6:.0f}", f"{r['steal']:.1f}"]


COSTS = ["CPU µs/event", "RSS MB", "steal %"]


def find(rows, **want):
    return next((r for r in rows if all(r.get(k) == v for k, v in want.items())), None)


def ratio(rows, shape, ours, theirs):
    a = find(rows, shape=shape, bytes=512, server=ours)
    b = find(rows, shape=shape, bytes=512, server=theirs)
    return a["rate"] / b["rate"] if a and b else None


def against(rows, shape, ours, theirs):
    a = find(rows, shape=shape, bytes=512, server=ours)
    b = find(rows, shape=shape, bytes=512, server=theirs)
    return f"{a['rate'] / 1000:.1f} k/s against {b['rate'] / 1000:.1f} k/s" if a and b else ""


def measured(results):
    """Name of each target: (value, how)."""
    rows, plan, values = results.get("publish", []), results["plan"], {}
    for shape in SHAPES:
        for peer in ("nats", "everysec"):
            values[f"{peer} {shape}"] = (ratio(rows, shape, "os", peer),
                                         against(rows, shape, "os", peer))
    values["always"] = (ratio(rows, "16×16", "synced", "always"),
                        against(rows, "16×16", "synced", "always"))
    ends = results.get("end to end", [])
    closed = find(ends, shape="16×16, closed loop", server="os")
    half = find(ends, shape="16×16, half rate", server="os")
    if closed and half:
        values["cpu"] = closed["cpu_us"], f"at {closed['rate'] / 1000:.0f} k/s"
        values["e2e p99"] = half["arrival_us"]["p99"] / 1000, f"at {half['rate'] / 1000:.0f} k/s"
    drains = {r["what"]: r for r in results.get("drain", [])}
    for what in ("hot", "cold"):
        if f"drain, {what}" in drains:
            rate, base = drains[f"drain, {what}"]["value"], drains["publish 16×16"]["value"]
            values[f"drain {what}"] = rate / base, (f"{plan['backlog']} events at {rate / 1000:.0f}"
                                                    f" k/s; publish {base / 1000:.0f} k/s")
    stored = f"{plan['stored']} events stored"
    how = {"drain sparse": f"{plan['stored'] // 1000} of {plan['stored']} events",
           "growth names": f"1,000 topics, 1,000 groups, {1000 * plan['group_topics']} pairs",
           "growth events": stored,
           **{f"ready {how}": f"{stored}; {results.get('facts', {}).get(f'ready {how} cpu', 0):.0f} ms"
              " of it on a core" for how in ("stop", "kill")},
           "allocations": f"scripted run: {results.get('facts', {}).get('allocations in all', 0):.2f}"
           " in all, batches of 16",
           "copies": "scripted run, 16 KiB", "rss sessions": f"{plan['sessions']} sessions", "rss idle": "just started",
           "synced p99": results.get("facts", {}).get("synced alone", "")}
    for name, value in results.get("facts", {}).items():
        values[name] = value, how.get(name, "")
    web = results.get("http", {})
    least = min((r for r in web.get("publishes", []) if r["level"] == "os"),
                key=lambda r: r["ratio"], default=None)
    if least:
        values["http ratio"] = least["ratio"], (f"{least['shape']}, {least['client']}: "
                                                f"{least['ours rate'] / 1000:.1f} k/s against "
                                                f"{least['bare rate'] / 1000:.1f} k/s")
    for r in web.get("pushes", []):
        values[f"push {r['hooks']}"] = r["rate"], f"{r['cpu_us']:.0f} µs of the daemon a push"
    if results.get("fan-out"):
        values["fan-out"] = results["fan-out"][0]["arrival_rate"], ""
    return values


def reach(results):
    values = measured(results)
    return table(HEAD, [target.row(*values.get(name, (None,)))
                        for name, target in TARGETS.items()])


def rate_rows(rows, first, which="ack_us", rate="rate"):
    return [[*(r.get(name, "") for name in first), f"{r[rate]:.0f}", *latency(r, which), *costs(r)]
            for r in rows]


LATENCY = ["p50 µs", "p99 µs", "p99.9 µs"]


def sections(results):
    """Title, words, head and rows of each table behind the first."""
    yield ("Acked publishes", "Shapes are clients × publishes under way each; loopback, one load "
           "client on one thread for every server; the median of runs side by side. CPU is the "
           "server process's.",
           ["shape", "bytes", "server", "acks/s", *LATENCY, *COSTS],
           rate_rows(results.get("publish", []), ("shape", "bytes", "label")))
    yield ("End to end", "From the publish call to the subscriber's handler, four subscribers of one "
           "group that acknowledge. *Half rate* follows a fixed schedule at half of the closed "
           "loop's rate; latency counts from the scheduled time.",
           ["shape", "server", "events/s", *LATENCY, *COSTS],
           rate_rows(results.get("end to end", []), ("shape", "label"), "arrival_us"))
    yield ("Backlog", "Client acknowledgements, four subscribers on TCP.",
           ["what", "events", "events/s", *COSTS],
           [[r["what"], r["n"], f"{r['value']:.0f}", *costs(r)] for r in results.get("drain", [])])
    yield ("Growth", "Daemons side by side.", ["what", "store", "events/s", *LATENCY, *COSTS],
           rate_rows(results.get("growth", []), ("what", "label")))
    yield ("Fan-out", "Broadcasting; each delivery is acknowledged.",
           ["shape", "deliveries/s", *LATENCY, *COSTS],
           rate_rows(results.get("fan-out", []), ("what",), "arrival_us", "arrival_rate"))
    yield ("Request and reply", "Round trips through the mesh: the request is stored at its topic's "
           "level, the reply is not.", ["in flight", "server", "replies/s", *LATENCY, *COSTS],
           rate_rows(results.get("requests", []), ("what", "label")))
    web = results.get("http", {})
    yield ("HTTP", "CloudEvents of 512 bytes, keep-alive, in turn to the daemon and to a bare libsoup "
           "server that answers 200 to whatever it gets and does nothing else. CPU is the servers'; one "
           "core is the client's.",
           ["shape", "client", "level", "publishes/s", "p99 µs", "CPU µs", "bare libsoup/s",
            "its p99 µs", "its CPU µs", "ratio"],
           [[r["shape"], r["client"], r["level"], f"{r['ours rate']:.0f}", f"{r['ours p99']:.0f}",
             f"{r['ours cpu_us']:.1f}", f"{r['bare rate']:.0f}", f"{r['bare p99']:.0f}",
             f"{r['bare cpu_us']:.1f}", f"{r['ratio']:.2f}"] for r in web.get("publishes", [])])
    yield ("Webhooks", "Groups with a webhook each, 8 connections that publish; from the first publish "
           "until all is acknowledged. The webhooks are one bare libsoup server, on one core.",
           ["webhooks", "pushes", "pushes/s", "CPU µs/push", "CPU µs/push of the webhooks"],
           [[r["hooks"], r["pushes"], f"{r['rate']:.0f}", f"{r['cpu_us']:.1f}",
             f"{r['hook cpu_us']:.1f}"] for r in web.get("pushes", [])])
    yield ("Neighbours", "16 publishers to a group of 16 subscribers, and one more group whose member "
           "acknowledges nothing, or 95 %; runs in pairs, the ratio is the median of theirs.",
           ["what", "events/s", *LATENCY, *COSTS],
           rate_rows(results.get("neighbours", []), ("what",), "arrival_us", "arrival_rate"))
    details = results.get("details", {})
    yield ("Idle", "No client, empty store.", ["what", "value"], details.get("idle", []))
    yield ("Wake-ups an event", "Of the daemon's workers.",
           ["shape", "level", "wake-ups", "signals", "switches", "read+write calls", "disk bytes"],
           details.get("wakes", []))
    yield ("Allocations an event", "The whole process, connections and timers included.",
           ["shape", "level", "calls", "bytes"], details.get("allocations", []))
    yield ("System calls an event", "Counted by strace, which slows the daemon down.",
           ["shape", "calls", "most frequent"], details.get("system calls", []))


def markdown(results):
    parts = ["### What is to be reached\n", reach(results),
             "### The machine\n", table(["fact", "value"], results["machine"])]
    for title, words, head, rows in sections(results):
        if rows:
            parts += [f"### {title}\n", words + "\n", table(head, rows)]
    return "\n".join(parts)


def plots(results):
    """File name: SVG."""
    found = {}
    rows = results.get("publish", [])
    labels = {r["server"]: r["label"] for r in rows}

    def bars(name, title, value, log, shapes=SHAPES, size=512):
        series = {}
        for server, label in labels.items():
            some = [find(rows, shape=s, bytes=size, server=server) for s in shapes]
            series[label] = [value(r) if r else None for r in some]
        found[name] = svg.bars(title, shapes, series, log)
    if rows:
        bars("rates.svg", "Acked publishes a second, 512 bytes (clients × window)",
             lambda r: r["rate"], True)
        bars("publish-p99.svg", "Publish to ack, p99, µs (closed loop)",
             lambda r: r["ack_us"]["p99"], True)
        bars("cpu.svg", "CPU of the server per acked publish, µs", lambda r: r["cpu_us"], True)
    half = [r for r in results.get("end to end", []) if r["shape"] == "16×16, half rate"]
    if half:
        found["end-to-end.svg"] = svg.bars(
            "Publish call to handler at half of the maximum rate, µs", ["p50", "p99", "p99.9"],
            {f"{r['label']}, {r['rate'] / 1000:.0f} k/s":
             [r["arrival_us"][at] for at in ("p50", "p99", "p999")] for r in half}, True)
    return found
