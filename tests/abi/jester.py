#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The jester's protocol above the jester's store, in a daemon, with clients that send dice and break
off. Nothing is asserted of what they get; the daemon lives, forgets every session, and ends in order.
Under a sanitizer build this is where its reports would come from."""
import os
import random
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.environ["EMESH_SOURCE"], "tests", "python"))
from daemon import BUILD, Daemon  # pylint: disable=wrong-import-position

SECONDS = float(os.environ.get("EMESH_JESTER_SECONDS", "4"))
CONF = {
    "10-protocol-tcp.conf": "",  # masked
    "20-storage-standalone.conf": "",
    "50-store.conf": "[instance]\ncomponent = jester-store\n",
    "60-jester.conf": "[instance]\ncomponent = jester-protocol\n[options]\nlisten = 127.0.0.1:0\n",
}


def client(port, seed, until, counts):
    dice = random.Random(seed)
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
                for _ in range(dice.randrange(1, 40)):
                    peer.sendall(dice.randbytes(dice.randrange(1, 200)))
                    counts[0] += 1
                    if dice.random() < 0.3:
                        peer.settimeout(0.01)
                        try:
                            if not peer.recv(4096):
                                break
                        except TimeoutError:
                            pass
                        peer.settimeout(5)
        except OSError:
            counts[1] += 1  # cut off: that is the game


def sessions(daemon):
    return sum(row["instance"] == "jester" for row in daemon.ctl("client", "list"))


def main():
    tests = []
    with Daemon(CONF, plugin_dirs=(Path(BUILD) / "tests" / "abi",)) as daemon:
        port, counts = daemon.port("jester"), [0, 0]
        until = time.monotonic() + SECONDS
        threads = [threading.Thread(target=client, args=(port, n, until, counts)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tests.append(("the daemon lives through it", daemon.process.poll() is None))
        tests.append(("and the jester was let in", counts[0] > 100))
        deadline = time.monotonic() + 20
        while sessions(daemon) > 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        left = sessions(daemon)
        tests.append((f"no session is left behind ({left})", left == 0))
        tests.append(("it stops in order", daemon.stop() == 0))
        words = daemon.words()
    print(f"1..{len(tests)}")
    for number, (name, fine) in enumerate(tests, 1):
        print(f"{'ok' if fine else 'not ok'} {number} - {name}")
    print(f"# {counts[0]} sends, {counts[1]} cut off")
    if not all(fine for _, fine in tests):
        print("# " + words.replace("\n", "\n# "))


main()
