#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench.py [--seconds S] [--report FILE]: runs emload against daemons of its own and writes a table:
publish with ack at `os` and `synced` in four shapes (clients x window), publish-to-subscriber, the
idle daemon, and system calls per event where strace is there. Levels of one shape are measured side
by side, and a probe of the machine stands beside them."""

import argparse
import json
import os
import platform
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from daemon import BUILD, SOURCE, Daemon  # noqa: E402

TOOLS = BUILD / "tests" / "bench"
SHAPES = [(1, 1), (16, 1), (1, 64), (16, 16)]
LEVELS = ["os", "synced"]
CONF = {"30-topics.conf": "\n".join(
    f"[topic {level}-*]\ndurability = {level}\n" for level in LEVELS)}


def load(daemon, topic, clients, window, seconds, **more):
    """One run of emload; its line of JSON."""
    args = {"port": daemon.port(), "topic": topic, "group": f"group-{topic}", "clients": clients,
            "window": window, "seconds": seconds, "pid": daemon.process.pid, **more}
    done = subprocess.run(
        [TOOLS / "emload", *[f"--{name}={value}" for name, value in args.items()]],
        capture_output=True, text=True, timeout=seconds + 120, check=False)
    if not done.stdout:
        raise SystemExit(f"emload failed: {done.stderr}\n{daemon.words()}")
    result = json.loads(done.stdout)
    result["complete"] = done.returncode == 0
    if done.returncode != 0:
        print(f"warning: {topic}: {result['sent']} sent, {result['all_acked']} acked, "
              f"{result['all_arrived']} arrived: {done.stderr}", file=sys.stderr)
    return result


def workers(daemon):
    """Sums over the worker rows of `eventmeshctl status`."""
    total = {}
    for row in daemon.ctl("status"):
        if row.get("kind") == "worker":
            for name in ("wake-ups", "jobs", "signals", "alarms"):
                total[name] = total.get(name, 0) + int(row.get(name, 0))
    return total


def metered(daemon, *args, **more):
    """A run, with the workers' wake-ups per event beside what emload measured."""
    before = workers(daemon)
    result = load(daemon, *args, **more)
    after = workers(daemon)
    events = max(result["all_acked"], 1)
    for name, value in after.items():
        result[name] = (value - before.get(name, 0)) / events
    return result


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def costs(r):
    ticks = os.sysconf("SC_CLK_TCK")
    return [f"{r['cpu_us']:.1f}", f"{r['switches']:.2f}", f"{r.get('wake-ups', 0):.2f}",
            f"{r.get('signals', 0):.2f}", f"{r['reads'] + r['writes']:.2f}",
            f"{r['disk_bytes']:.0f}", f"{r['rss'] / 2**20:.1f}",
            f"{100 * r['steal_ticks'] / ticks / r['seconds'] / os.cpu_count():.1f}"]


COSTS = ["CPU µs", "switches", "wake-ups", "signals", "read+write calls", "disk bytes", "RSS MiB",
         "steal %"]


def latency(r, which):
    return [f"{r[which][at]:.0f}" for at in ("p50", "p99", "p999")]


def publish_runs(folder, seconds, probe):
    rows = []
    with Daemon(CONF, folder=folder) as daemon:
        for clients, window in SHAPES:
            for level in LEVELS:
                r = metered(daemon, f"{level}-{clients}x{window}", clients, window, seconds)
                against = r["rate"] / (probe["syncs"] if level == "synced"
                                       else probe["round_trips"])
                rows.append([f"{clients}×{window}", level, f"{r['rate']:.0f}", f"{against:.2f}",
                             *latency(r, "ack_us"), *costs(r)])
    return rows


def subscriber_runs(folder, seconds):
    rows = []
    runs = [(1, 1, 1, 0), (16, 1, 1, 0), (16, 16, 4, 0), (1, 16, 1, 2000)]
    with Daemon(CONF, folder=folder) as daemon:
        for clients, window, subscribers, rate in runs:
            for level in LEVELS:
                r = metered(daemon, f"{level}-sub-{clients}x{window}-{rate}", clients, window,
                            seconds, subscribers=subscribers, rate=rate)
                rows.append([f"{clients}×{window} → {subscribers}" +
                             (f" at {rate}/s" if rate else ""), level,
                             f"{r['arrival_us']['n'] / r['seconds']:.0f}",
                             *latency(r, "arrival_us"), *latency(r, "ack_us"), *costs(r)])
    return rows


def idle(folder):
    with Daemon(CONF, folder=folder) as daemon:
        daemon.port()
        starts = [daemon.stop() or daemon.start() for _ in range(3)]
        pid = daemon.process.pid
        before = workers(daemon)
        threads = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
        ran = sum(int(t.read_text().split()[0]) for t in threads)
        time.sleep(5)
        ran = sum(int(t.read_text().split()[0]) for t in threads) - ran
        after = workers(daemon)
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return [["start to ready, ms", " ".join(f"{s * 1000:.0f}" for s in starts)],
                ["resident, MiB", f"{pages * os.sysconf('SC_PAGESIZE') / 2**20:.1f}"],
                ["threads", len(threads)],
                ["CPU, ms per second", f"{ran / 5e6:.2f}"],
                ["worker wake-ups per second",
                 f"{(after.get('wake-ups', 0) - before.get('wake-ups', 0)) / 5:.1f}"]]


def system_calls(folder):
    """Calls per event under strace -c. Slower than life, so batches differ: read it as an account
    of what is called, not as a rate."""
    rows = []
    for clients, window, subscribers in ((1, 1, 0), (16, 16, 0), (1, 1, 1)):
        for level in LEVELS:
            with Daemon(CONF, folder=folder) as daemon:
                counts = daemon.home / "strace"
                load(daemon, f"{level}-warm", clients, window, 0.3, subscribers=subscribers)
                tracer = subprocess.Popen(
                    ["strace", "-c", "-f", "-qq", "-o", counts, "-p", str(daemon.process.pid)],
                    stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.5)  # strace says nothing when it has attached
                r = load(daemon, f"{level}-traced", clients, window, 2, subscribers=subscribers,
                         warmup=0)
                tracer.terminate()
                tracer.wait()
                calls = {}
                for line in counts.read_text().splitlines():
                    words = line.split()
                    if len(words) >= 5 and words[0][0].isdigit() and words[-1] != "total":
                        calls[words[-1]] = int(words[3])
                events = max(r["all_acked"], 1)
                most = sorted(calls.items(), key=lambda call: -call[1])[:8]
                rows.append([f"{clients}×{window}" + (" → 1" if subscribers else ""), level,
                             f"{sum(calls.values()) / events:.2f}",
                             ", ".join(f"{name} {n / events:.2f}" for name, n in most)])
    return rows


def allocations(folder):
    """Allocations per event, counted by a preloaded allocs.so; the rest of the process included."""
    rows = []
    for clients, window, subscribers in ((1, 1, 0), (16, 16, 0), (1, 1, 1), (16, 16, 4)):
        for level in LEVELS:
            counts = folder / "allocs"
            with Daemon(CONF, folder=folder, env={
                    "LD_PRELOAD": str(TOOLS / "allocs.so"), "ALLOCS_FILE": str(counts)}) as daemon:
                load(daemon, f"{level}-warm", clients, window, 0.5, subscribers=subscribers)
                before = struct.unpack("QQ", counts.read_bytes())
                r = load(daemon, f"{level}-counted", clients, window, 2, subscribers=subscribers,
                         warmup=0)
                after = struct.unpack("QQ", counts.read_bytes())
            events = max(r["all_acked"], 1)
            rows.append([f"{clients}×{window}" + (f" → {subscribers}" if subscribers else ""),
                         level, *(f"{(b - a) / events:.1f}" for a, b in zip(before, after))])
            counts.unlink()
    return rows


def machine(folder):
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text()
                .splitlines() if line.startswith("model name")), platform.processor())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    mount = subprocess.run(["df", "--output=fstype,source", folder], capture_output=True,
                           text=True, check=False).stdout.splitlines()[-1].split()
    commit = subprocess.run(["git", "-C", SOURCE, "describe", "--always", "--dirty"],
                            capture_output=True, text=True, check=False).stdout.strip()
    probe = json.loads(subprocess.run([TOOLS / "probe", folder], capture_output=True, text=True,
                                      check=True).stdout)
    rows = [["commit", commit], ["time", time.strftime("%Y-%m-%d %H:%M %Z")],
            ["machine", f"{os.cpu_count()} × {cpu}, {memory:.0f} GiB, {platform.release()}"],
            ["data folder", " on ".join(mount)],
            ["548-byte append + fdatasync, one thread", f"{probe['syncs']:.0f}/s"],
            ["1-byte loopback round trips, two threads", f"{probe['round_trips']:.0f}/s"],
            ["memory copied", f"{probe['copy_gb']:.1f} GB/s"]]
    return rows, probe


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--report", type=Path, default=BUILD / "bench" / "report.md")
    options = parser.parse_args()
    folder = options.report.parent
    folder.mkdir(parents=True, exist_ok=True)
    facts, probe = machine(folder)
    parts = ["# Benchmark\n", table(["fact", "value"], facts)]

    def part(title, text, head, rows):
        parts.extend([f"## {title}\n", text + "\n", table(head, rows)])
        print("\n".join(parts[-3:]), flush=True)

    print("\n".join(parts), flush=True)
    part("Publish with ack", "512-byte bodies, EventMesh TCP. *Against*: rate over the probe's "
         "fdatasync rate (synced) or round trips (os). Costs are the daemon's, per event.",
         ["clients×window", "level", "acks/s", "against", "p50 µs", "p99 µs", "p99.9 µs", *COSTS],
         publish_runs(folder, options.seconds, probe))
    part("Publish to subscriber", "A publish is under way until it is acknowledged and has arrived; "
         "subscribers acknowledge as the Java SDK does. One group.",
         ["shape", "level", "arrivals/s", "p50 µs", "p99 µs", "p99.9 µs", "ack p50", "ack p99",
          "ack p99.9", *COSTS], subscriber_runs(folder, options.seconds))
    part("Idle", "No client, empty store.", ["what", "value"], idle(folder))
    part("Allocations per event", "The whole process, connections and timers included.",
         ["shape", "level", "calls", "bytes"], allocations(folder))
    try:
        part("System calls per event", "Counted by strace, which slows the daemon down.",
             ["shape", "level", "calls", "most frequent"], system_calls(folder))
    except FileNotFoundError:
        print("no strace: system calls not counted")
    options.report.write_text("\n".join(parts), encoding="utf-8")
    print(f"report: {options.report}")
    return 0


sys.exit(main())
