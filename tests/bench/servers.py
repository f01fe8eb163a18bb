# SPDX-License-Identifier: Apache-2.0
"""The servers that are measured, each on loopback, a port of its own and a private folder: our
daemon, nats-server with JetStream on files, redis-server with an append-only file. All are used the
same way: in a with statement, then load()."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from daemon import BUILD, SOURCE, Daemon  # noqa: E402, F401

TOOLS = BUILD / "tests" / "bench"
LEVELS = ["os", "synced"]
CONF = {"30-topics.conf": "\n".join(
    f"[topic {level}-*]\ndurability = {level}\n" for level in LEVELS)}


def emload(pid, seconds=1.0, **options):
    """One run of emload; its line of JSON."""
    args = {"pid": pid, "seconds": seconds, **options}
    words = [f"--{name}" if value is True else f"--{name}={value}" for name, value in args.items()]
    done = subprocess.run([TOOLS / "emload", *words], capture_output=True, text=True,
                          timeout=seconds + 700, check=False)
    if not done.stdout:
        raise SystemExit(f"emload {' '.join(words)} failed: {done.stderr}")
    result = json.loads(done.stdout)
    if done.returncode != 0:
        print(f"warning: emload {' '.join(words)}: {result['sent']} sent, {result['all_acked']} "
              f"acked, {result['refused']} refused, {result['all_arrived']} arrived: "
              f"{done.stderr}", file=sys.stderr)
    ticks = os.sysconf("SC_CLK_TCK") * os.cpu_count()
    result["steal"] = 100 * result["steal_ticks"] / ticks / max(result["seconds"], 0.001)
    return result


class Ours(Daemon):
    """eventmeshd; the topic's durability is its name's beginning."""

    name, wire = "eventmeshd", "eventmesh"

    def __init__(self, folder, level="os", conf=None, **more):
        super().__init__({**CONF, **(conf or {})}, folder=folder, **more)
        self.level, self.runs = level, 0
        self.label = f"eventmeshd {level}"

    def load(self, topic=None, group=None, **options):
        """topic: without one, a new one."""
        self.runs += 1
        topic = topic or f"{self.level}-{self.runs}"
        return emload(self.process.pid, to=self.wire, port=self.port(), topic=topic,
                      group=group or f"group-{self.runs}", **options)

    def forget(self):
        """Nothing: its log is on the disk, and removed with its folder."""

    def timed_start(self):
        """Milliseconds until it is ready, and those of them that it was on a core."""
        took = self.start() * 1000
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return took, sum(int(t.read_text().split()[0]) for t in threads) / 1e6

    def resident(self):
        """Megabytes (10^6) that the process keeps in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6

    def drop_cache(self):
        """The page cache forgets the data folder's files, and no others."""
        for path in self.data.rglob("*"):
            if path.is_file():
                fd = os.open(path, os.O_RDONLY)
                os.fsync(fd)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Peer:
    """A server of somebody else."""

    def __init__(self, folder):
        self.home = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=folder))
        self.port, self.runs, self.process = free_port(), 0, None
        self.log = self.home / "log"

    def __enter__(self):
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.home)
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    words = self.log.read_text(errors="replace")[-2000:]
                    self.__exit__()
                    raise SystemExit(f"{self.name} does not start: {words}") from None
                time.sleep(0.01)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def load(self, **options):
        self.runs += 1
        return emload(self.process.pid, to=self.wire, port=self.port, topic=f"run{self.runs}",
                      group=f"group{self.runs}", **options)


class Nats(Peer):
    """JetStream with a file store; as NATS ships it, an ack does not wait for fsync."""

    name, wire, label = "nats-server", "nats", "nats-server -js"

    def command(self):
        conf = self.home / "nats.conf"
        conf.write_text(f"listen: 127.0.0.1:{self.port}\n"
                        f"jetstream {{ store_dir: \"{self.home}/js\", max_file_store: 64GB }}\n")
        return ["nats-server", "-c", conf]

    def forget(self):
        """Removes the stream of the last run."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            s.sendall(b'CONNECT {"verbose":false}\r\nSUB _INBOX.forget 1\r\n'
                      b"PUB $JS.API.STREAM.DELETE.run%d _INBOX.forget 0\r\n\r\n" % self.runs)
            said = b""
            while b"MSG _INBOX.forget" not in said:
                said += s.recv(4096) or b"MSG _INBOX.forget"


class Redis(Peer):
    """Streams with an append-only file; nothing else is written, and the file is not rewritten
    within a run."""

    name, wire = "redis-server", "redis"

    def __init__(self, folder, fsync):
        super().__init__(folder)
        self.fsync = fsync
        self.label = f"redis-server {fsync}"

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir",
                str(self.home), "--save", "", "--appendonly", "yes", "--appendfsync", self.fsync,
                "--auto-aof-rewrite-percentage", "0"]

    def forget(self):
        """Streams live in memory: the last run's goes."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as s:
            s.sendall(b"FLUSHALL\r\n")
            s.recv(100)


def missing_peers():
    """Names of the peers' programs that are not installed."""
    return [name for name in ("nats-server", "redis-server") if shutil.which(name) is None]
