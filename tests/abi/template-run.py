#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The template in a daemon, above the memory store of the fixtures: lines go in, answers come out in
order. Arguments: the folder of the template's module, the folder of the fixtures."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.environ["EMESH_SOURCE"], "tests", "python"))
from daemon import Daemon  # pylint: disable=wrong-import-position

CONF = {
    "10-protocol-tcp.conf": "",  # masked
    "20-storage-standalone.conf": "",
    "50-storage-memory.conf": "[instance]\ncomponent = storage-memory\n",
    "60-lines.conf": "[instance]\ncomponent = protocol-lines\n"
                     "[options]\nlisten = 127.0.0.1:0\nmax-line = 100\n",
}


def main():
    with Daemon(CONF, plugin_dirs=sys.argv[1:3]) as daemon:
        with socket.create_connection(("127.0.0.1", daemon.port("lines")), timeout=20) as peer:
            peer.sendall(b"".join(b"line %d\n" % i for i in range(500)) + b"half")
            answers = peer.makefile("rb")
            for number in range(500):
                answer = answers.readline()
                assert answer == b"ok\n", (number, answer, daemon.words())
            peer.sendall(b" a line\n")
            assert answers.readline() == b"ok\n"
            peer.sendall(b"x" * 101)
            assert answers.readline() == b"", "a line without end is cut off"
        code = daemon.stop()
        assert code == 0, (code, daemon.words())


main()
