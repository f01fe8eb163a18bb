#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A long run at half of the rate that publishers and subscribers can keep: 16 publishers, four
subscribers of one group, old events removed by retention. Samples memory, disk and latency; fails
when memory is not flat, or an event is refused or lost. Writes soak.md, soak.json and plots."""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import report
import svg
from servers import SOURCE, TOOLS, Ours

CONF = {"30-topics.conf": "[topic *]\ndurability = os\nretention-bytes = 1GiB\n"}
SLACK = 2e6  # bytes that memory may creep over the run
SHARE = 0.05  # and the share of what it was


def slope(points):
    """Of the line through points (least squares), per unit of x."""
    mean_x = statistics.fmean(x for x, _ in points)
    mean_y = statistics.fmean(y for _, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0


def disk(folder):
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_blocks * 512
        except FileNotFoundError:  # retention was quicker
            pass
    return found


def soak(server, seconds, every, rate):
    """Samples of the run, and emload's last line."""
    words = {"to": "eventmesh", "port": server.port(), "topic": "soak", "group": "soak",
             "clients": 16, "window": 256, "subscribers": 4, "rate": rate, "seconds": seconds,
             "warmup": 1, "every": every, "pid": server.process.pid}
    samples = []
    with subprocess.Popen([TOOLS / "emload", *(f"--{k}={v}" for k, v in words.items())],
                          stdout=subprocess.PIPE, text=True) as load:
        for line in load.stdout:
            told = json.loads(line)
            if "at" not in told:
                return samples, told
            samples.append({"rss": server.resident() * 1e6, "disk": disk(server.data), **told})
            if sys.stderr.isatty():
                print(f"\r{told['at']:.0f} s: {told['rate']:.0f}/s, p99 "
                      f"{told['arrival_us']['p99'] / 1000:.1f} ms, "
                      f"{samples[-1]['rss'] / 1e6:.1f} MB ", end="", file=sys.stderr, flush=True)
    raise SystemExit(f"emload ended with {load.returncode}: {server.words()}")


def judge(samples, last):
    """What is wrong; empty when all is well. The first fifth is warming up."""
    wrong = []
    kept = [(s["at"], s["rss"]) for s in samples[len(samples) // 5:]]
    crept = slope(kept) * (kept[-1][0] - kept[0][0])
    allowed = SLACK + SHARE * statistics.median(y for _, y in kept)
    if crept > allowed:
        wrong.append(f"memory grows: by {crept / 1e6:.1f} MB behind the warm-up, "
                     f"{allowed / 1e6:.1f} MB are allowed")
    if last["refused"] or last["all_acked"] != last["sent"]:
        wrong.append(f"{last['sent']} sent, {last['all_acked']} acknowledged, "
                     f"{last['refused']} refused")
    if last["all_arrived"] != last["sent"]:
        wrong.append(f"{last['sent']} sent, {last['all_arrived']} arrived")
    return crept, wrong


def write(out, samples, last, crept, wrong, wanted):
    rows = [["schedule, half of the maximum", f"{wanted:.0f} events/s"], ["seconds", f"{last['seconds']:.0f}"], ["events sent", last["sent"]],
            ["events arrived", last["all_arrived"]], ["events/s kept", f"{last['rate']:.0f}"],
            ["publish call to handler, p50 / p99 / p99.9 µs",
             " / ".join(f"{last['arrival_us'][at]:.0f}" for at in ("p50", "p99", "p999"))],
            ["resident, first and last sample", f"{samples[0]['rss'] / 1e6:.1f} MB, "
             f"{samples[-1]['rss'] / 1e6:.1f} MB"],
            ["memory crept behind the warm-up", f"{crept / 1e6:+.2f} MB"],
            ["verdict", "; ".join(wrong) or "flat, nothing lost"]]
    (out / "soak.md").write_text("# Soak\n\n" + report.table(["fact", "value"], rows),
                                 encoding="utf-8")
    (out / "soak.json").write_text(json.dumps({"samples": samples, "last": last}, indent=1),
                                   encoding="utf-8")
    (out / "soak-memory.svg").write_text(svg.lines(
        "Resident memory, MB", {"eventmeshd": [(s["at"], s["rss"] / 1e6) for s in samples]}),
        encoding="utf-8")
    (out / "soak-latency.svg").write_text(svg.lines(
        "Publish call to handler, ms", {name: [(s["at"], s["arrival_us"][key] / 1000)
                                               for s in samples]
                                        for name, key in (("p50", "p50"), ("p99", "p99"))}),
        encoding="utf-8")
    (out / "soak-disk.svg").write_text(svg.lines(
        "Disk, MB", {"data folder": [(s["at"], s["disk"] / 1e6) for s in samples]}),
        encoding="utf-8")
    print(report.table(["fact", "value"], rows))
    print(f"report: {out / 'soak.md'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--out", type=Path, default=SOURCE / "build" / "bench")
    plan = parser.parse_args()
    plan.out = plan.out.resolve()
    plan.out.mkdir(parents=True, exist_ok=True)
    every = max(plan.seconds / 360, 0.5)
    with Ours(plan.out, conf=CONF) as server:
        most = server.load(topic="soak", group="soak", clients=16, window=16, subscribers=4,
                           seconds=min(5, plan.seconds))
        samples, last = soak(server, plan.seconds, every, most["rate"] / 2)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if len(samples) < 10:
        raise SystemExit(f"{len(samples)} samples are too few to judge: give it 10 s or more")
    crept, wrong = judge(samples, last)
    write(plan.out, samples, last, crept, wrong, most["rate"] / 2)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
