#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the daemon beside NATS JetStream and Redis on loopback, in one run, and says which of
the things to be reached are reached. Writes report.md, results.json and plots into the folder that
--out names."""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import details
import neighbours
import parts
import report
import web
from servers import SOURCE, TOOLS, missing_peers

PARTS = ["publish", "end to end", "drain", "growth", "fan-out", "requests", "http",
         "neighbours", "resident", "counts", "details"]
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


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
            ["load before the run", f"{os.getloadavg()[0]:.1f}"],
            ["data folder", " on ".join(mount)],
            ["548-byte append + fdatasync, one thread", f"{probe['syncs']:.0f}/s"],
            ["4 KiB at random places of a cold file, one thread, 256 ahead", f"{probe['reads']:.0f}/s"],
            ["1-byte loopback round trips, two threads", f"{probe['round_trips']:.0f}/s"],
            ["memory copied", f"{probe['copy_gb']:.1f} GB/s"]]
    for name, words in (("nats-server", ["--version"]), ("redis-server", ["--version"])):
        if shutil.which(name):
            said = subprocess.run([name, *words], capture_output=True, text=True, check=False)
            rows.append([name, (said.stdout + said.stderr).strip()])
    return rows


def run_details(folder, plan):
    found = {"idle": details.idle(folder), "wakes": details.wakes(folder, plan.seconds),
             "allocations": details.allocations(folder, plan.seconds)}
    if shutil.which("strace"):
        found["system calls"] = details.system_calls(folder, 1)
    if shutil.which("perf"):
        found["profile"] = details.profile(folder, plan.seconds)
    return found


def measure(folder, plan, results):
    """Runs the parts; what is done is in results even if a later one fails."""
    facts = results.setdefault("facts", {})
    for part in plan.parts:
        begun = time.monotonic()
        print(f"{part} …", end=" ", flush=True)
        if part == "publish":
            results[part] = parts.publish(folder, plan)
        elif part == "end to end":
            results[part] = parts.end_to_end(folder, plan)
        elif part == "drain":
            results[part] = parts.drain(folder, plan)
        elif part == "growth":
            results[part], some = parts.growth(folder, plan)
            facts.update(some)
        elif part == "fan-out":
            results[part] = parts.fan_out(folder, plan)
        elif part == "requests":
            results[part] = parts.requests(folder, plan)
        elif part == "http":
            results[part], some = web.http(folder, plan)
            facts.update(some)
        elif part == "neighbours":
            results[part], some = neighbours.neighbours(folder, plan)
            facts.update(some)
        elif part == "resident":
            facts.update(parts.resident(folder, plan))
        elif part == "counts":
            facts.update(parts.counts(folder, plan))
        elif part == "details":
            results[part] = run_details(folder, plan)
        print(f"{time.monotonic() - begun:.0f} s", flush=True)


def write_doc(results, plots, out):
    """The tables go into doc/performance.md, between its two marks, the plots beside it; those of the
    last soak as well."""
    doc = SOURCE / "doc" / "performance.md"
    text = doc.read_text(encoding="utf-8")
    before, after = text[:text.index(BEGIN)], text[text.index(END):]
    soak = ""
    if (out / "soak.md").exists():
        soak = "##" + (out / "soak.md").read_text(encoding="utf-8") + "\n"
        plots = {**plots, **{path.name: path.read_text(encoding="utf-8")
                             for path in sorted(out.glob("soak-*.svg"))}}
    pictures = "\n".join(f"![{name[:-4]}](performance/{name})\n" for name in plots)
    doc.write_text(f"{before}{BEGIN}\n\n{report.markdown(results)}\n{soak}{pictures}\n{after}",
                   encoding="utf-8")
    (SOURCE / "doc" / "performance").mkdir(exist_ok=True)
    for name, picture in plots.items():
        (SOURCE / "doc" / "performance" / name).write_text(picture, encoding="utf-8")
    print(f"doc: {doc}")


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about 3 minutes instead of 10")
    parser.add_argument("--seconds", type=float, help="of each run")
    parser.add_argument("--rounds", type=int, help="runs of each, of which the median counts")
    parser.add_argument("--backlog", type=int, help="events to drain")
    parser.add_argument("--stored", type=int, help="events in a store that has grown")
    parser.add_argument("--sessions", type=int, default=10000, help="idle TCP sessions")
    parser.add_argument("--group-topics", type=int, default=10, choices=[1, 10, 100, 1000],
                        help="topics of each of the 1,000 groups known")
    parser.add_argument("--parts", help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, default=SOURCE / "build" / "bench")
    parser.add_argument("--doc", action="store_true",
                        help="writes the results of this run into doc/performance.md")
    parser.add_argument("--keep", action="store_true",
                        help="results.json keeps what it has of other parts than --parts")
    parser.add_argument("--from-results", action="store_true",
                        help="measures nothing: reports what results.json keeps")
    plan = parser.parse_args()
    usual = {"seconds": 1, "rounds": 1, "backlog": 200000, "stored": 1000000} if plan.quick else \
        {"seconds": 2, "rounds": 3, "backlog": 1000000, "stored": 10000000}
    for name, value in usual.items():
        if getattr(plan, name) is None:
            setattr(plan, name, value)
    plan.parts = [p.strip() for p in plan.parts.split(",")] if plan.parts else PARTS
    if set(plan.parts) - set(PARTS):
        parser.error(f"parts are: {', '.join(PARTS)}")
    return plan


def main():
    plan = options()
    missing = missing_peers()
    plan.names = [name for name, program in (
        ("os", None), ("nats", "nats-server"), ("everysec", "redis-server"), ("synced", None),
        ("always", "redis-server")) if program not in missing]
    plan.out = plan.out.resolve()
    plan.out.mkdir(parents=True, exist_ok=True)
    kept = plan.out / "results.json"
    if plan.from_results:
        results = json.loads(kept.read_text(encoding="utf-8"))
    else:
        folder = plan.out / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        results = json.loads(kept.read_text(encoding="utf-8")) if plan.keep and kept.exists() else {}
        results.update({"machine": machine(folder), "plan": {
            name: getattr(plan, name)
            for name in ("seconds", "rounds", "backlog", "stored", "sessions", "group_topics")}})
        if missing:
            print(f"not installed, not measured: {', '.join(missing)}", file=sys.stderr)
        try:
            measure(folder, plan, results)
        finally:
            kept.write_text(json.dumps(results, indent=1), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
    plots = report.plots(results)
    for name, picture in plots.items():
        (plan.out / name).write_text(picture, encoding="utf-8")
    pictures = "\n".join(f"![{name[:-4]}]({name})\n" for name in plots)
    (plan.out / "report.md").write_text(f"# Benchmark\n\n{report.markdown(results)}\n{pictures}",
                                        encoding="utf-8")
    print("\n" + report.markdown(results))
    print(f"report: {plan.out / 'report.md'}")
    if plan.doc:
        write_doc(results, plots, plan.out)
    return 0


sys.exit(main())
