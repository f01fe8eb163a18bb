# SPDX-License-Identifier: Apache-2.0
"""CloudEvents of 512 bytes over HTTP, published by wrk and by h2load, in turn to our daemon and to a
bare libsoup server that answers 200 to the same requests; and pushed to webhooks, which are that server."""

import json
import re
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from servers import TOOLS, Ours

BODY = "x" * 512
ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/bench", "type": "t"}
REQUESTS = {
    "binary": ({**{f"ce-{name}": value for name, value in ATTRIBUTES.items()},
                "Content-Type": "text/plain"}, BODY),
    "structured": ({"Content-Type": "application/cloudevents+json"},
                   json.dumps({**ATTRIBUTES, "data": BODY}))}
CONNECTIONS = [32, 512]
CONF = {"30-protocol-http.conf": "[instance]\ncomponent = protocol-http\n[options]\n"
                                 "listen = 127.0.0.1:0\nmax-connections = 2000\n"}


def cpu_seconds(pid):
    """On a core so far, all threads that are alive."""
    return sum(int(t.read_text().split()[0])
               for t in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


class Bare:
    """The bare libsoup server."""

    def __enter__(self):
        self.process = subprocess.Popen([TOOLS / "bare-soup"], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def wrk(url, request, connections, seconds):
    """Requests done, a second, and the p99 of their latency in µs."""
    headers, body = request
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write('wrk.method = "POST"\n' + f"wrk.body = {json.dumps(body)}\n" + "".join(
            f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers.items()))
        script.flush()
        said = subprocess.run(
            ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s",
             script.name, url], capture_output=True, text=True, check=True, timeout=120).stdout
    if "Non-2xx" in said:
        raise SystemExit(f"not all publishes were taken:\n{said}")
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\n", said).groups()
    return (int(re.search(r"(\d+) requests in", said).group(1)),
            float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1)),
            float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit])


def h2load(url, request, connections, events):
    """The same, of so many events. By number: by time, --h1 of Debian 12's does not come to its end."""
    headers, body = request
    with tempfile.NamedTemporaryFile("w") as data:
        data.write(body)
        data.flush()
        words = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
        said = subprocess.run(
            ["h2load", "--h1", "-t1", f"-c{min(connections, events)}", f"-n{events}", "-d",
             data.name, *words, url], capture_output=True, text=True, check=True, timeout=120).stdout
    if f"status codes: {events} 2xx" not in said:
        raise SystemExit(f"not all publishes were taken:\n{said}")
    return events, float(re.search(r"([\d.]+) req/s", said).group(1)), None


def measured(client, pid, *words):
    """One run, with the CPU that the server spent on each request."""
    before = cpu_seconds(pid)
    done, rate, p99 = client(*words)
    return {"rate": rate, "p99": p99, "cpu_us": (cpu_seconds(pid) - before) * 1e6 / done}


def in_turn(bare, daemon, name, connections, level, client, amount, rounds):
    """Bare server and daemon, in turn; of each the median, and of their ratios."""
    client = {"wrk": wrk, "h2load": h2load}[client]
    runs = []
    for turn in range(rounds):
        both = {}
        for server in (("bare", "ours"), ("ours", "bare"))[turn % 2]:
            port, pid = (bare.port, bare.process.pid) if server == "bare" else \
                (daemon.port("protocol-http"), daemon.process.pid)
            both[server] = measured(client, pid,
                                    f"http://127.0.0.1:{port}/eventmesh/publish/{level}-http",
                                    REQUESTS[name], connections, amount)
        runs.append(both)
    return {"shape": f"{name}, {connections} connections", "level": level,
            "ratio": statistics.median(r["ours"]["rate"] / r["bare"]["rate"] for r in runs),
            **{f"{server} {value}": statistics.median(r[server][value] or 0 for r in runs)
               for server in ("ours", "bare") for value in ("rate", "cpu_us", "p99")}}


def subscribe(port, group, topic, url):
    """A webhook, which gets CloudEvents in binary mode."""
    body = {"url": url, "consumerGroup": group, "topic": [{"topic": topic}], "format": "binary"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/eventmesh/subscribe/local", json.dumps(body).encode(),
        {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        if json.load(answer)["retCode"] != 0:
            raise SystemExit(f"{url} could not be subscribed")


def push(bare, daemon, hooks, events):
    """Groups with a webhook each: pushes a second from the first publish until all have all, and what
    the daemon and the webhooks spend on each, publishes included."""
    port, topic = daemon.port("protocol-http"), f"os-push{hooks}"
    for i in range(hooks):
        subscribe(port, f"{topic}-{i}", topic, f"http://127.0.0.1:{bare.port}/hook{i}")
    pids = daemon.process.pid, bare.process.pid
    begun, before = time.monotonic(), [cpu_seconds(pid) for pid in pids]
    h2load(f"http://127.0.0.1:{port}/eventmesh/publish/{topic}", REQUESTS["binary"], 8, events)
    while True:
        rows = [r for r in daemon.ctl("group", "list") if r["topic"] == topic]
        settled = sum(r["settled"] for r in rows)
        if settled >= hooks * events:
            break
        if time.monotonic() > begun + 120:
            raise SystemExit(f"{settled} of {hooks * events} events are pushed")
        time.sleep(0.05)
    spent = [(cpu_seconds(pid) - was) * 1e6 / settled for pid, was in zip(pids, before)]
    return {"hooks": hooks, "pushes": settled, "rate": settled / (time.monotonic() - begun),
            "cpu_us": spent[0], "hook cpu_us": spent[1]}


def http(folder, plan):
    """Rows of publishes and of pushes, and what of them is to be reached."""
    missing = [name for name in ("wrk", "h2load") if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)} (packaging/packages.txt, part bench)")
    publishes, pushes = [], []
    with Bare() as bare, Ours(folder, conf=CONF) as daemon:
        for name in REQUESTS:
            for n in CONNECTIONS:
                for level in ("os", "synced"):
                    publishes.append({"client": "wrk", **in_turn(
                        bare, daemon, name, n, level, "wrk", plan.seconds, plan.rounds)})
        for n in CONNECTIONS:
            publishes.append({"client": "h2load", **in_turn(
                bare, daemon, "binary", n, "os", "h2load", round(3000 * plan.seconds), plan.rounds)})
        for hooks, events in ((1, 4000), (50, 100)):
            pushes.append(push(bare, daemon, hooks, round(events * plan.seconds)))
    at_os = [r for r in publishes if r["level"] == "os"]
    facts = {"http ratio": min(r["ratio"] for r in at_os),
             "http cpu": max(r["ours cpu_us"] for r in at_os),
             **{f"push {r['hooks']}": r["rate"] for r in pushes}}
    return {"publishes": publishes, "pushes": pushes}, facts
