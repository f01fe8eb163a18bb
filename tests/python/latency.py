# SPDX-License-Identifier: Apache-2.0
"""How long the others wait: one client publishes and one is pushed to, one event at a time, and
each round is timed from the publish to its acknowledgement and to the push."""

import gc
import select
import time

import wire


class Others:
    """Two clients on connections of their own, made before whatever is to disturb them."""

    def __init__(self, port, topic="others"):
        self.topic = topic
        self.pub = wire.Connection(port, "others-pub", "pub")
        self.sub = wire.Connection(port, "others-sub", "sub")
        self.sub.subscribe(topic)
        self.sub.set_live(listen=True)
        self.pub.set_live()
        self.n = 0

    def one(self):
        """Publishes one event; the seconds until it is acknowledged and pushed."""
        self.n += 1
        seq = f"o{self.n}"
        acked = pushed = False
        begun = time.perf_counter()
        self.pub.unsent += wire.publish(self.topic, seq, "x" * 100)
        self.pub.flush()
        while not (acked and pushed):
            ready, _, _ = select.select([self.pub.socket, self.sub.socket], [], [], 30)
            assert ready, f"event {self.n}: acked {acked}, pushed {pushed} after 30 s"
            for connection in (self.pub, self.sub):
                if connection.socket not in ready:
                    continue
                found = connection.receive()
                assert found is not None, "the daemon closed a good client's connection"
                for header, _ in found:
                    if header["seq"] == seq:
                        assert header["code"] == 0, header
                        acked = True
                    elif header["cmd"] == "ASYNC_MESSAGE_TO_CLIENT":
                        pushed = True
                        self.sub.unsent += wire.frame("ASYNC_MESSAGE_TO_CLIENT_ACK", header["seq"])
                        self.sub.flush()
        return time.perf_counter() - begun

    def run(self, seconds, every=0.002):
        """One each so many seconds; all their times."""
        times = []
        gc.disable()
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                took = self.one()
                times.append(took)
                if took < every:
                    time.sleep(every - took)
        finally:
            gc.enable()
        return times

    def close(self):
        self.pub.close()
        self.sub.close()


def quantile(times, share):
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
