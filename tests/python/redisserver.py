# SPDX-License-Identifier: Apache-2.0
"""Starts redis-server for tests on a random port of loopback in a private folder, and asks it through
redis-cli. A server is ended by its process, and comes back on the same port and folder."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path


# the store that daemon.Daemon brings by itself, away
NO_STANDALONE = {"20-storage-standalone.conf": ""}


def free_port():
    """One below those that a cluster refuses."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port < 55535:
            return port


def need():
    """Skips the whole program where there is no redis-server."""
    if shutil.which("redis-server") is None or shutil.which("redis-cli") is None:
        print("1..0 # SKIP redis-server or redis-cli is not installed")
        sys.exit(0)


class Redis:
    """One server; settings are lines of its configuration."""

    def __init__(self, *settings, fsync="always", password=None, tls=None):
        self.folder = tempfile.TemporaryDirectory(prefix="emesh-redis-")
        self.home = Path(self.folder.name)
        self.port, self.password, self.tls, self.process = free_port(), password, tls, None
        port = ("port 0", f"tls-port {self.port}", *tls) if tls else (f"port {self.port}",)
        self.config = self.home / "redis.conf"
        self.config.write_text("\n".join([
            *port, "bind 127.0.0.1", f"dir {self.home}", "save \"\"", "daemonize no",
            "appendonly no" if fsync is None else f"appendonly yes\nappendfsync {fsync}",
            *([f"requirepass {password}"] if password else []), *settings]) + "\n",
            encoding="utf-8")

    def start(self):
        with (self.home / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(["redis-server", str(self.config)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while True:
            done = self.run("PING")
            if done.stdout.strip() == b"PONG" or b"NOAUTH" in done.stdout:
                return self
            assert self.process.poll() is None and time.monotonic() < end, \
                (self.home / "redis.log").read_text()
            time.sleep(0.02)

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def run(self, *args, binary=None):
        more = ["--no-auth-warning", "-a", self.password] if self.password else []
        if self.tls:
            more += ["--tls", "--insecure"]
        return subprocess.run(["redis-cli", "-p", str(self.port), *more, *args], input=binary,
                              capture_output=True, timeout=30, check=False)

    def ask(self, *args):
        """The answer as redis-cli prints it, lines."""
        done = self.run(*args)
        return done.stdout.decode("utf-8", "replace").rstrip("\n").split("\n")

    def entries(self, key):
        """All entries of a stream: [(id, {field: value as text})]."""
        said = json.loads(self.run("--json", "XRANGE", key, "-", "+").stdout.decode("utf-8", "replace"))
        return [(i, dict(zip(f[::2], f[1::2])) if isinstance(f, list) else f) for i, f in said]

    def conf(self, more=""):
        """The conf.d text of an instance of storage-redis on it."""
        return (f"[instance]\ncomponent = storage-redis\n[options]\n"
                f"address = 127.0.0.1:{self.port}\nreconnect-wait = 50ms\n"
                f"reconnect-wait-max = 500ms\n"
                f"{f'password = {self.password}' if self.password else ''}\n{more}")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()
