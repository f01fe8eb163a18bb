# SPDX-License-Identifier: Apache-2.0
"""Logs of what a test's publishers and subscribers see, for tests/checker/checker.py, and its verdict
on them. The checker is a program of its own: it gets files, and says counts."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKER = Path(__file__).resolve().parents[1] / "checker" / "checker.py"


class Log:
    """One log; kind is the word its first line begins with."""

    def __init__(self, ledger, kind, name, **more):
        self.file = (ledger.home / f"{len(ledger.logs):04d}.log").open("w", encoding="utf-8")
        ledger.logs.append(self.file)
        self.kind, self.name, self.ledger = kind, name, ledger
        ledger.all.append(self)
        self.done = set()  # for tests that wait until all is
        self.say(kind, name, *(f"{k}={v}" for k, v in more.items() if v is not None))

    def say(self, *fields):
        self.file.write("\t".join(str(f) for f in fields) + "\n")

    def at(self, what, *fields, **more):
        """Something that happens now."""
        self.say(what, *fields, f"{time.time():.6f}",
                 *(f"{k}={v}" for k, v in more.items() if v is not None))


class Ledger:
    """All logs of a run, in a folder that goes with it."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="emesh-ledger-")
        self.home = Path(self.folder.name)
        self.logs, self.all = [], []
        self.faults = Log(self, "faults", "faults")

    def publisher(self, name):
        return Log(self, "publisher", name)

    def subscriber(self, name, group, mode=None, order=None):
        return Log(self, "subscriber", name, group=group, mode=mode, order=order)

    def letters(self, group):
        return Log(self, "deadletters", group, group=group)

    def crash(self):
        self.faults.at("crash")

    def cut(self, log):
        """The connection of this subscriber is broken off, perhaps with acknowledgements on it."""
        self.faults.at("cut", log.name)

    def verdict(self, what, settle=1.0, late=None):
        """Runs the checker, prints its counts as a comment of TAP; they must be without fault."""
        for file in self.logs:
            file.flush()
        done = subprocess.run(
            [sys.executable, CHECKER, "--json", "--settle", str(settle),
             *(["--late", str(late)] if late is not None else []),
             *(file.name for file in self.logs)], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        said = json.loads(done.stdout)
        counts = said["counts"]
        line = ", ".join(f"{n} {name}" for name, n in counts.items())
        print(f"# {what}: {line}, {counts.get('lost', 0)} lost", flush=True)
        assert done.returncode == 0, said["such"]
        return counts

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for file in self.logs:
            file.close()
        self.folder.cleanup()
