# SPDX-License-Identifier: Apache-2.0
"""A daemon under fiu-run (package fiu-utils): calls of the C library fail when they are told to."""

import shutil
import subprocess

EIO, ENOSPC, EMFILE = 5, 28, 24
# name: (points of failure, probability, errno or None, may it end the daemon?)
FAULTS = {
    "sync": (("posix/io/sync/fdatasync", "posix/io/sync/fsync"), 0.01, EIO, False),
    "write": (("posix/io/rw/pwritev", "posix/io/rw/pwrite"), 0.005, EIO, False),
    "write_short": (("posix/io/rw/pwritev/reduce", "posix/io/rw/pwrite/reduce"), 0.1, None, False),
    "write_full": (("posix/io/rw/pwritev", "posix/io/rw/pwrite"), 0.02, ENOSPC, False),
    "read": (("posix/io/rw/pread", "posix/io/rw/pread/reduce"), 0.05, EIO, False),
    "open": (("posix/io/oc/open",), 0.3, EMFILE, False),
    "net": (("posix/io/net/accept", "posix/io/net/recv", "posix/io/net/sendmsg",
             "posix/io/rw/readv", "posix/io/rw/writev"), 0.02, None, False),
    "memory": (("libc/mm/malloc", "libc/mm/calloc", "libc/mm/realloc"), 0.0005, None, True),
}


def installed():
    return shutil.which("fiu-run") is not None


def start_under(daemon):
    """fiu-run sets what is loaded first, and makes the pipes by which failures are ordered."""
    wrapper = daemon.home / "under-fiu"
    wrapper.write_text(f'#!/bin/sh\nexec fiu-run -x -f "{daemon.home}/fiu" "{daemon.binary}" "$@"\n',
                       encoding="utf-8")
    wrapper.chmod(0o755)
    plain, daemon.binary = daemon.binary, wrapper
    daemon.start()
    daemon.binary = plain


def begin(daemon, name):
    """From now on calls of this kind fail at random."""
    points, probability, errno, _ = FAULTS[name]
    for point in points:
        subprocess.run(
            ["fiu-ctrl", "-f", daemon.home / "fiu", "-c",
             f"enable_random name={point},probability={probability}"
             + (f",failinfo={errno}" if errno is not None else ""), str(daemon.process.pid)],
            check=True, timeout=20)
