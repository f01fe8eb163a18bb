# SPDX-License-Identifier: Apache-2.0
"""Clients that behave badly, each kind in a process of its own, so that whoever measures beside it
is not disturbed by it. Knows nothing of the daemon's code."""

import multiprocessing
import os
import resource
import socket
import struct
import time

import wire

FORK = multiprocessing.get_context("fork")
HALF_HELLO = bytes.fromhex("160301020001000100")  # of a TLS client


def allow_descriptors(n):
    """May this process have n descriptors?"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n), hard))
    return True


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def reset(plain):
    """RST instead of FIN."""
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.close()


def half_a_frame(size=4000):
    return wire.publish("attack", "half", "x" * size)[:-100]


class Attack:
    """kind(port, begun, over, *args) runs from enter (which waits for begun()) to exit; count is
    what it returns then."""

    def __init__(self, kind, port, *args):
        self.begun, self.over = FORK.Event(), FORK.Event()
        self.result, result = FORK.Pipe(False)
        self.process = FORK.Process(target=self.run, args=(kind, port, result, args))
        self.count = None

    def run(self, kind, port, result, args):
        os.nice(5)  # what is measured comes first
        result.send(kind(port, self.begun.set, self.over.is_set, *args))

    def __enter__(self):
        self.process.start()
        if not self.begun.wait(120):
            raise TimeoutError("the attack does not get under way")
        return self

    def __exit__(self, *_):
        self.over.set()
        self.count = self.result.recv() if self.result.poll(30) else None
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def idle(_port, begun, over):
    """No attack: the process is there all the same."""
    begun()
    while not over():
        time.sleep(0.05)
    return 0


class Sink:
    """A peer to be attacked in the daemon's place: it answers HELLO, closes who does not send it within
    a second, and reads nothing else. So what an attack costs the machine by itself is in both runs of a
    comparison, and what the daemon does about it in one."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.process = FORK.Process(target=self.run, daemon=True)

    def run(self):
        self.listener.setblocking(False)
        fresh, said = [], []  # [socket, since, what came]
        while True:
            time.sleep(0.02)
            try:
                while True:
                    one, _ = self.listener.accept()
                    one.setblocking(False)
                    fresh.append([one, time.monotonic(), bytearray()])
            except BlockingIOError:
                pass
            for item in list(fresh):
                if self.hello(item):
                    fresh.remove(item)
                    said.append(item[0])
                elif time.monotonic() > item[1] + 1:
                    fresh.remove(item)
                    item[0].close()

    @staticmethod
    def hello(item):
        one, since, came = item
        if came and len(came) < 100 and time.monotonic() > since + 0.2:
            return False  # it trickles
        try:
            came += one.recv(4096)
            found = wire.frames(came)
        except (OSError, ValueError):
            return False
        if found:
            one.send(wire.frame("HELLO_RESPONSE", found[0][0]["seq"]))
        return bool(found)

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()
        self.listener.close()


def crowd_of(more, begun, over, pause, step=None):
    """A crowd until it is over. more(crowd) yields who is missing: a socket, and what it has to send,
    step bytes of it a round. Who is closed comes again; how many were."""
    crowd, closed = [], 0
    while not over():
        for one, text in more(crowd):
            one.setblocking(False)
            crowd.append([one, memoryview(text)])
        begun()
        for item in list(crowd):
            try:
                if item[1]:
                    item[1] = item[1][item[0].send(item[1][:step]):]
                if not item[0].recv(100):
                    raise ConnectionError
            except BlockingIOError:
                pass
            except OSError:
                item[0].close()
                crowd.remove(item)
                closed += 1
        time.sleep(pause)
    return closed


def slow_loris(port, begun, over, n):
    """Half of them trickle before HELLO, half in the middle of a frame; who is closed comes again."""
    text = wire.MAGIC + struct.pack(">ii", 3000000, 100) + b"{" * 2000000

    def more(crowd):
        while len(crowd) < n:
            if len(crowd) % 2:
                yield wire.Connection(port, "loris", "pub").socket, text
            else:
                yield connect(port), text

    return crowd_of(more, begun, over, 0.05, step=1)


def silent(port, begun, over, n, hello=False):
    """Connections, or sessions, that say nothing."""
    if hello:
        crowd = [wire.Connection(port, f"silent-{i % 100}", "sub") for i in range(n)]
    else:
        crowd = [connect(port) for _ in range(n)]
    begun()
    while not over():
        time.sleep(0.05)
    return len(crowd)


def churn(port, begun, over, end_with_reset=True):
    """Opens and closes as fast as it can. FINs leave this side in TIME_WAIT: many addresses."""
    begun()
    n = 0
    to = ("127.0.0.1", port)
    linger = struct.pack("ii", 1, 0)
    while n % 256 or not over():
        one = socket.socket()
        try:
            if end_with_reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            else:
                one.bind((f"127.0.{1 + n // 8000 % 250}.1", 0))
            one.connect(to)
            n += 1
        finally:
            one.close()
    return n


def resets(port, begun, over):
    """HELLO, half a frame, RST."""
    begun()
    n = 0
    half = half_a_frame()
    while not over():
        one = wire.Connection(port, "resets", "pub")
        one.socket.sendall(half)
        reset(one.socket)
        n += 1
    return n


def never_reads(port, begun, over, n):
    """Publishes without end and reads no answer; under way when it is read from no more. The frames
    that were taken."""
    frame = wire.publish("unread", "u", "x" * 200)
    taken, crowd = 0, []
    for i in range(n):
        one = wire.Connection(port, f"unread-{i}", "pub")
        one.socket.setblocking(False)
        crowd.append([one.socket, 0])
    last = time.monotonic()
    while not over():
        for item in crowd:
            try:
                sent = item[0].send((frame[item[1]:] + frame * 200))
                last = time.monotonic()
                taken += (item[1] + sent) // len(frame)
                item[1] = (item[1] + sent) % len(frame)
            except BlockingIOError:
                pass
        if time.monotonic() - last > 0.5:
            begun()
        if time.monotonic() - last > 0.01:
            time.sleep(0.01)
    return taken


def stalled_tls(port, begun, over, n):
    """Half a ClientHello each, again when it was closed."""

    def more(crowd):
        while len(crowd) < n:
            one = connect(port)
            one.sendall(HALF_HELLO)
            yield one, b""

    return crowd_of(more, begun, over, 0.05)


def hoards(port, begun, over, large, small):
    """Halves of large messages and, behind them, many of small ones; who is ended comes again."""

    def more(crowd):
        for i in range(large + small - len(crowd)):
            try:
                one = wire.Connection(port, "hoards", "pub").socket
            except (OSError, ValueError):
                return  # refused, as it should be
            yield one, half_a_frame(3000000 if i < large else 12000)

    return crowd_of(more, begun, over, 0.01)
