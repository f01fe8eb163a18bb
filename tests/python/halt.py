# SPDX-License-Identifier: Apache-2.0
"""One thread of a process that the test has started stands still, the others go on: ptrace(2), as a
debugger does it. Linux; the caller must be the thread that started it, until it lets go."""

import ctypes
import os
from pathlib import Path

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # __WALL: threads are waited for as well

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long


class Denied(Exception):
    """This system allows no ptrace."""


def threads(pid):
    """Names of the threads of a process: {name: [tid, …]}."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text(encoding="utf-8").strip()
        found.setdefault(name, []).append(int(task.name))
    return found


class Halted:
    """The thread stands still inside the with statement."""

    def __init__(self, tid):
        self.tid = tid

    def call(self, request):
        if LIBC.ptrace(request, self.tid, None, None) != 0:
            error = ctypes.get_errno()
            raise Denied(f"ptrace({request:#x}) of {self.tid}: {os.strerror(error)}")

    def __enter__(self):
        self.call(SEIZE)
        self.call(INTERRUPT)
        os.waitpid(self.tid, WALL)  # it has stopped
        return self

    def __exit__(self, *_):
        self.call(DETACH)
