# SPDX-License-Identifier: Apache-2.0
"""Where the costs of our daemon come from: idle, wake-ups, allocations and system calls an event.
Accounts to read beside the rates, not rates."""

import signal
import struct
import subprocess
import time
from pathlib import Path

from servers import LEVELS, TOOLS, Ours


def workers(daemon):
    """Sums over the worker rows of `eventmeshctl status`."""
    total = {}
    for row in daemon.ctl("status"):
        if row.get("kind") == "worker":
            for name in ("wake-ups", "jobs", "signals", "alarms"):
                total[name] = total.get(name, 0) + int(row.get(name, 0))
    return total


def idle(folder):
    with Ours(folder) as daemon:
        daemon.port()
        starts = [daemon.stop() or daemon.start() for _ in range(3)]
        threads = list(Path(f"/proc/{daemon.process.pid}/task").glob("*/schedstat"))

        def ran():
            return sum(int(t.read_text().split()[0]) for t in threads)
        before, spent = workers(daemon), ran()
        time.sleep(3)
        spent, after = ran() - spent, workers(daemon)
        memory = Path(f"/proc/{daemon.process.pid}/smaps_rollup").read_text().split()
        private = int(memory[memory.index("Anonymous:") + 1])
        return [["resident, MB", f"{daemon.resident():.1f}"],
                ["of it its own, the rest is code and libraries, MB", f"{private / 1e3:.1f}"],
                ["start to ready, ms", " ".join(f"{s * 1000:.0f}" for s in starts)],
                ["threads", len(threads)], ["CPU, ms per second", f"{spent / 3e6:.2f}"],
                ["worker wake-ups per second",
                 f"{(after.get('wake-ups', 0) - before.get('wake-ups', 0)) / 3:.1f}"]]


def wakes(folder, seconds):
    """What a worker does per event: wake-ups, signals between lanes, context switches."""
    rows = []
    for clients, window, subscribers in ((1, 1, 0), (16, 16, 0), (1, 1, 1), (16, 16, 4)):
        for level in LEVELS:
            with Ours(folder, level) as daemon:
                before = workers(daemon)
                r = daemon.load(clients=clients, window=window, subscribers=subscribers,
                                seconds=seconds, warmup=0)
                after = workers(daemon)
            events = max(r["all_acked"], 1)
            rows.append([f"{clients}×{window}" + (f" → {subscribers}" if subscribers else ""),
                         level, *(f"{(after[n] - before.get(n, 0)) / events:.3f}"
                                  for n in ("wake-ups", "signals")),
                         f"{r['switches']:.2f}", f"{r['reads'] + r['writes']:.2f}",
                         f"{r['disk_bytes']:.0f}"])
    return rows


def allocations(folder, seconds):
    """Allocations per event, counted by a preloaded allocs.so; the rest of the process included."""
    rows = []
    for clients, window, subscribers in ((1, 1, 0), (16, 16, 0), (1, 1, 1), (16, 16, 4)):
        for level in LEVELS:
            counts = folder / "allocs"
            with Ours(folder, level, env={"LD_PRELOAD": str(TOOLS / "allocs.so"),
                                          "ALLOCS_FILE": str(counts)}) as daemon:
                shape = {"clients": clients, "window": window, "subscribers": subscribers}
                daemon.load(topic=f"{level}-a", group="a", **shape, seconds=0.5)
                before = struct.unpack("QQ", counts.read_bytes()[:16])
                r = daemon.load(topic=f"{level}-a", group="a", **shape, seconds=seconds, warmup=0)
                after = struct.unpack("QQ", counts.read_bytes()[:16])
            events = max(r["all_acked"], 1)
            rows.append([f"{clients}×{window}" + (f" → {subscribers}" if subscribers else ""),
                         level, *(f"{(b - a) / events:.2f}" for a, b in zip(before, after))])
            counts.unlink()
    return rows


def system_calls(folder, seconds):
    """Calls per event under strace -c. Slower than life, so batches differ."""
    rows = []
    for clients, window, subscribers in ((1, 1, 0), (16, 16, 0), (1, 1, 1)):
        with Ours(folder) as daemon:
            counts = daemon.home / "strace"
            shape = {"clients": clients, "window": window, "subscribers": subscribers}
            daemon.load(topic="os-t", group="t", **shape, seconds=0.3, warmup=0)
            tracer = subprocess.Popen(
                ["strace", "-c", "-f", "-qq", "-o", counts, "-p", str(daemon.process.pid)],
                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while "TracerPid:\t0" in Path(f"/proc/{daemon.process.pid}/status").read_text():
                if tracer.poll() is not None:
                    return rows
                time.sleep(0.02)
            r = daemon.load(topic="os-t", group="t", **shape, seconds=seconds, warmup=0)
            tracer.terminate()
            tracer.wait()
            calls = {}
            for line in counts.read_text().splitlines():
                words = line.split()
                if len(words) >= 5 and words[0][0].isdigit() and words[-1] != "total":
                    calls[words[-1]] = int(words[3])
        events = max(r["all_acked"], 1)
        most = sorted(calls.items(), key=lambda call: -call[1])[:8]
        rows.append([f"{clients}×{window}" + (" → 1" if subscribers else ""),
                     f"{sum(calls.values()) / events:.2f}",
                     ", ".join(f"{name} {n / events:.2f}" for name, n in most)])
    return rows


PROFILED = {
    "publish 1×1": {"clients": 1, "window": 1},
    "publish 16×16": {"clients": 16, "window": 16},
    "16×16 → 4, acknowledged": {"clients": 16, "window": 16, "subscribers": 4},
    "broadcast 1 → 100": {"clients": 1, "window": 64, "subscribers": 100, "broadcast": True},
}


def profile(folder, seconds):
    """Where the daemon's CPU time goes, sampled by perf: the functions above 1.5 % of each shape."""
    rows = []
    for name, shape in PROFILED.items():
        with Ours(folder) as daemon:
            data = daemon.home / "perf.data"
            sampler = subprocess.Popen(
                ["perf", "record", "-q", "-F", "999", "-o", data, "-p", str(daemon.process.pid)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            r = daemon.load(**shape, seconds=seconds, warmup=0.3)
            sampler.send_signal(signal.SIGINT)
            if sampler.wait() not in (0, -signal.SIGINT) or not data.exists():
                return []  # perf may not sample here
            said = subprocess.run(
                ["perf", "report", "-i", data, "--stdio", "--no-children", "-g", "none", "-F",
                 "overhead,dso,symbol", "--percent-limit", "1.5"],
                capture_output=True, text=True, check=False).stdout
        tops = [line.split(None, 3) for line in said.splitlines()
                if line.strip() and not line.startswith("#")]
        rows.append([name, f"{r['cpu_us']:.2f}", ", ".join(
            f"{words[3].strip()} {words[0]}" if words[1] != "[kernel.kallsyms]" else
            f"*{words[3].strip()}* {words[0]}" for words in tops if len(words) == 4)])
    return rows
