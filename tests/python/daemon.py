# SPDX-License-Identifier: Apache-2.0
"""Starts eventmeshd for tests written in Python, on a private folder and random ports, and talks to
it through the documented interface alone: flags, --ready-fd, exit codes, eventmeshctl."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

BUILD = Path(os.environ.get("EMESH_BUILD", "build")).resolve()
SOURCE = Path(os.environ.get("EMESH_SOURCE", Path(__file__).resolve().parents[2]))

# what sanitizers take in memory and time, and call by themselves, is no measure of the daemon's
SANITIZED = (BUILD / "core" / "eventmeshd").exists() and any(
    name in (BUILD / "core" / "eventmeshd").read_bytes() for name in (b"libasan.so", b"libtsan.so"))

# what a test needs of conf.d unless it says otherwise
CONF = {
    "10-protocol-tcp.conf": """
[instance]
component = protocol-tcp
[options]
listen = 127.0.0.1:0
""",
    "20-storage-standalone.conf": """
[instance]
component = storage-standalone
""",
}


# EMESH_STORE: the same suites over another store than the embedded one
SHAPES = {
    "ladder": "gap = 7\nmarks = 5\n",  # a broker's: groups, no inbox, no delay, no unit
    "plain": "claims = replay,time,order\nany-names = on\n",  # the least a third party writes
}
STORE = os.environ.get("EMESH_STORE", "standalone")
PLUGIN_DIRS = (BUILD / "plugins",)


def shaped(options):
    """The conf.d text of the fixture store with these options."""
    return f"[instance]\ncomponent = storage-shaped\n[options]\n{options}"


if STORE != "standalone":
    CONF["20-storage-shaped.conf"] = shaped(SHAPES[STORE])
    del CONF["20-storage-standalone.conf"]
    PLUGIN_DIRS += (BUILD / "tests" / "abi",)


def letters(group):
    """The dead-letter topic of a group, as the store takes names."""
    return ("emesh-dlq-" if STORE == "ladder" else "%DLQ%") + group


class Failed(Exception):
    """The daemon did not do what its interface promises."""


class Daemon:
    """One eventmeshd with a folder of its own. Use it in a with statement."""

    def __init__(self, conf=None, start_seconds=30, folder=None, env=None, plugin_dirs=None,
                 binary=None):
        # the socket's path must be short, so folder is for what asks for another disk than /tmp
        self.home = Path(tempfile.mkdtemp(prefix="emesh-", dir=folder))
        self.conf, self.data, self.run = (self.home / n for n in ("conf.d", "data", "run"))
        for folder in (self.conf, self.data, self.run):
            folder.mkdir()
        for name, text in {**CONF, **(conf or {})}.items():
            (self.conf / name).write_text(text, encoding="utf-8")
        self.log = self.home / "eventmeshd.log"
        self.env = {**os.environ, **(env or {})}
        self.process = None
        self.start_seconds = start_seconds
        self.plugin_dirs = plugin_dirs or PLUGIN_DIRS
        self.binary = binary or BUILD / "core" / "eventmeshd"

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        self.kill()
        if os.environ.get("KEEP") != "1":
            shutil.rmtree(self.home, ignore_errors=True)

    def launch(self):
        """Starts the process and returns the descriptor that tells when it is ready."""
        ready, told = os.pipe()
        os.set_inheritable(told, True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "--conf", self.conf, "--data", self.data,
                 "--run", self.run, "--ready-fd", str(told),
                 *(flag for d in self.plugin_dirs for flag in ("--plugin-dir", d))],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=True,
                pass_fds=(told,), env=self.env)
        os.close(told)
        return ready

    def start(self):
        """Starts and waits until it is ready; returns the seconds that took."""
        begun = time.monotonic()
        ready = self.launch()
        try:
            os.set_blocking(ready, False)
            while True:
                try:
                    if os.read(ready, 1):
                        return time.monotonic() - begun
                    raise Failed(f"eventmeshd ended with {self.process.wait()}:\n{self.words()}")
                except BlockingIOError:
                    if time.monotonic() - begun > self.start_seconds:
                        raise Failed(f"eventmeshd is not ready after {self.start_seconds} s:\n"
                                     f"{self.words()}") from None
                    time.sleep(0.002)
        finally:
            os.close(ready)

    def words(self):
        """The end of the log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-4000:]

    def stop(self, seconds=60):
        """Asks it to stop and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self.process = None
        return code

    def kill(self):
        """kill -9, as a power cut would end the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ctl(self, *args):
        """Runs eventmeshctl --json and returns its rows."""
        done = subprocess.run(
            [BUILD / "core" / "ctl" / "eventmeshctl", "--socket", self.run / "admin.sock",
             "--json", *args], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise Failed(f"eventmeshctl {' '.join(args)}: {done.returncode}: {done.stderr}")
        said = done.stdout.strip()
        return json.loads(said) if said else []

    def port(self, instance="protocol-tcp"):
        """The port that an instance listens on, from `eventmeshctl status`."""
        for row in self.ctl("status"):
            if row.get("kind") == "listener" and row.get("instance") == instance:
                found = re.search(r":(\d+)$", row["address"])
                if found:
                    return int(found.group(1))
        raise Failed(f"status names no listener of {instance}")
