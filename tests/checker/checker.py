#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""checker.py [--settle S] [--late S] [--json] LOG…: compares what publishers say was acknowledged with
what subscribers say they got, by id. Knows these logs and nothing else: no daemon, no protocol, no store.

A log is lines of fields between tabs. Its first line says whose it is, each later one what happened
and when, in seconds of one clock that all logs share:

  publisher NAME                                subscriber NAME group=G [mode=M] [order=O]
  sent ID T [key=K] [due=T] [expires=T]         joined T      left T
  acked ID T    with success                    got ID T      it was delivered
  refused ID T  surely not stored               done ID T     and acknowledged
                                                failed ID T   and given back, or left without answer
  deadletters NAME group=G: got ID T            faults NAME: crash T (of the daemon), cut MEMBER T

mode is clustering (one member of the group gets an event) or broadcasting (each member does, of what
was sent between its joined and its left). order is none, log (first deliveries in the order in which
each publisher sent, to a group of one member), or key (the same for each key, over all members; and
none is acknowledged before the one in front of it is done or dead, by members that take what comes in
the order in which it comes).

Counted, and wrong unless 0:
  lost          acknowledged, and neither delivered to a group nor among its dead letters
  unasked       delivered though it was refused, or never sent
  duplicated    delivered again after a member had acknowledged it, with no crash of the daemon, and no
                cut of that member, so soon behind that the acknowledgement may not have reached the
                daemon or not been kept (--settle seconds); dead twice
  out of order  as above
  early         delivered before its due time
  late          delivered more than --late seconds after it (only with --late)
Counted, and allowed:
  repeated      delivered more than once where at-least-once allows it
  unanswered    sent, and neither acknowledged nor refused: may be there or not
The exit code is 1 when something is wrong, 2 when a log cannot be read."""

import argparse
import json
import sys
from collections import defaultdict

WRONG = ("lost", "unasked", "duplicated", "out of order", "early", "late")
CLOCK_SLACK = 0.002  # a due time is written in milliseconds


class Unreadable(Exception):
    """A log that is none."""


class Sent:
    """What a publisher says of one event."""

    def __init__(self, publisher, number, at, more):
        self.publisher, self.number, self.at = publisher, number, at
        self.key = more.get("key")
        self.due = float(more["due"]) if "due" in more else None
        self.expires = "expires" in more
        self.acked = self.refused = None


class Member:
    """What a subscriber says."""

    def __init__(self, name, more):
        self.name, self.group = name, more["group"]
        self.mode, self.order = more.get("mode", "clustering"), more.get("order", "none")
        if self.mode not in ("clustering", "broadcasting") or \
                self.order not in ("none", "log", "key"):
            raise Unreadable(f"{name}: mode {self.mode}, order {self.order}")
        self.joined, self.left = None, None
        self.happened = []  # (time, what, id), as written


class Logs:
    """All that was read."""

    def __init__(self):
        self.sent, self.members, self.dead, self.crashes = {}, [], defaultdict(list), []
        self.cuts = defaultdict(list)  # by member

    def read(self, lines, where):
        """One log."""
        lines = iter(enumerate(lines, 1))
        number, first = next(lines, (1, ""))
        fields = first.rstrip("\n").split("\t")
        kind, more = fields[0], named(fields[2:])
        try:
            name = fields[1]
            take = {"publisher": self.publisher(name), "deadletters": self.letters(more),
                    "faults": self.fault, "subscriber": self.subscriber(name, more, kind)}[kind]
            for number, line in lines:
                if line.strip():
                    take(line.rstrip("\n").split("\t"))
        except (KeyError, IndexError, ValueError, Unreadable) as wrong:
            raise Unreadable(f"{where}:{number}: {type(wrong).__name__} {wrong}") from None

    def publisher(self, name):
        count = 0

        def take(fields):
            nonlocal count
            what, event, at = fields[0], fields[1], float(fields[2])
            if what == "sent":
                if event in self.sent:
                    raise Unreadable(f"{event} is sent twice: give each event an id of its own")
                self.sent[event] = Sent(name, count, at, named(fields[3:]))
                count += 1
            elif what in ("acked", "refused"):
                if self.sent[event].acked is not None or self.sent[event].refused is not None:
                    raise Unreadable(f"{event} was answered twice")
                setattr(self.sent[event], what, at)
            else:
                raise Unreadable(f"a publisher does not {what}")
        return take

    def subscriber(self, name, more, kind):
        member = None
        if kind == "subscriber":
            member = Member(name, more)
            self.members.append(member)

        def take(fields):
            if fields[0] in ("joined", "left"):
                setattr(member, fields[0], float(fields[1]))
            elif fields[0] in ("got", "done", "failed"):
                member.happened.append((float(fields[2]), fields[0], fields[1]))
            else:
                raise Unreadable(f"a subscriber does not {fields[0]}")
        return take

    def letters(self, more):
        def take(fields):
            if fields[0] != "got":
                raise Unreadable(f"among dead letters nobody {fields[0]}")
            self.dead[more["group"]].append((float(fields[2]), fields[1]))
        return take

    def fault(self, fields):
        if fields[0] == "crash":
            self.crashes.append(float(fields[1]))
        elif fields[0] == "cut":
            self.cuts[fields[1]].append(float(fields[2]))
        else:
            raise Unreadable(f"an unknown fault {fields[0]}")


def named(fields):
    """name=value fields."""
    return dict(field.split("=", 1) for field in fields)


class Verdict:
    """Counts, and the first few of each."""

    def __init__(self):
        self.counts, self.such = defaultdict(int), defaultdict(list)

    def add(self, what, text):
        self.counts[what] += 1
        if len(self.such[what]) < 5:
            self.such[what].append(text)

    def wrong(self):
        return [what for what in WRONG if self.counts[what] > 0]


class Judge:
    """Goes through the logs once for each group, or broadcasting member."""

    def __init__(self, logs, settle, late):
        self.logs, self.settle, self.late = logs, settle, late
        self.verdict = Verdict()
        self.crashes = sorted(logs.crashes)

    def all(self):
        for event in self.logs.sent.values():
            self.verdict.counts["sent"] += 1
            which = "acked" if event.acked is not None else \
                "refused" if event.refused is not None else "unanswered"
            self.verdict.counts[which] += 1
        groups = defaultdict(list)
        for member in self.logs.members:
            if member.mode == "clustering":
                groups[member.group].append(member)
            else:
                self.one(f"{member.group} of {member.name}", [member], [])
        for group in self.logs.dead:
            groups[group] += []
        for group, members in groups.items():
            self.one(group, members, self.logs.dead.get(group, []))
        return self.verdict

    def one(self, name, members, dead):
        happened = sorted(((*entry, m.name) for m in members for entry in m.happened),
                          key=lambda e: e[0])
        got = self.deliveries(name, happened)
        buried = defaultdict(int)
        for _, event in dead:
            buried[event] += 1
            self.verdict.counts["dead"] += 1
            if event not in self.logs.sent:
                self.verdict.add("unasked", f"{event} among the dead letters of {name}")
            elif buried[event] == 2:
                self.verdict.add("duplicated", f"{event} is among the dead letters of {name} twice")
        for event, sent in self.logs.sent.items():
            if sent.acked is not None and not sent.expires and event not in got and \
                    event not in buried and self.is_due(sent, members):
                self.verdict.add("lost", f"{event} never came to {name}")
        order = {m.order for m in members}
        if order == {"log"}:
            self.in_log_order(name, members, happened)
        if order == {"key"}:
            self.in_key_order(name, happened, {e: at for at, e in dead})

    @staticmethod
    def is_due(sent, members):
        """A broadcasting member gets what is sent while it is there."""
        if not members or members[0].mode == "clustering":
            return True
        member, = members
        return member.joined is not None and sent.at >= member.joined and \
            (member.left is None or sent.acked < member.left)

    def deliveries(self, name, happened):
        """Counts what came; the ids."""
        got, done = {}, {}
        for at, what, event, member in happened:
            if what == "done":
                done[event] = (at, member)
            if what != "got":
                continue
            self.verdict.counts["delivered"] += 1
            sent = self.logs.sent.get(event)
            if sent is None or sent.refused is not None:
                self.verdict.add("unasked", f"{event} came to {name}, and was "
                                 + ("never sent" if sent is None else "refused"))
            elif sent.due is not None and event not in got:
                self.timely(name, event, sent, at)
            if event in got:
                self.again(name, event, done.get(event), at)
            got.setdefault(event, at)
        return got

    def timely(self, name, event, sent, at):
        if at < sent.due - CLOCK_SLACK:
            self.verdict.add("early", f"{event} came to {name} {sent.due - at:.3f} s early")
        elif self.late is not None and at > sent.due + self.late:
            self.verdict.add("late", f"{event} came to {name} {at - sent.due:.3f} s late")

    def again(self, name, event, done, at):
        """May it come again? When nobody had acknowledged it, or a crash or a cut may have taken
        that."""
        if done is not None:
            acked, member = done
            excuses = self.crashes + self.logs.cuts.get(member, [])
            if not any(acked - CLOCK_SLACK <= e <= min(at, acked + self.settle) for e in excuses):
                self.verdict.add("duplicated", f"{event} came to {name} again {at - acked:.3f} s "
                                 f"after {member} had acknowledged it")
                return
        self.verdict.counts["repeated"] += 1

    def in_log_order(self, name, members, happened):
        if len(members) > 1:
            raise Unreadable(f"{name}: log order is of a group of one member")
        last, seen = {}, set()
        for _, what, event, _ in happened:
            sent = self.logs.sent.get(event)
            if what != "got" or event in seen or sent is None:
                continue
            seen.add(event)
            if sent.number < last.get(sent.publisher, (-1, ""))[0]:
                self.verdict.add("out of order", f"{event} came to {name} behind "
                                 f"{last[sent.publisher][1]}")
            else:
                last[sent.publisher] = (sent.number, event)

    def in_key_order(self, name, happened, dead):
        """First deliveries of a key in order; an event may be acknowledged when those of its key in
        front of it have ended."""
        queues = defaultdict(list)
        for event, sent in self.logs.sent.items():
            if sent.key is not None and sent.acked is not None:
                queues[sent.key].append((sent.number, event))
        place, ahead, first = {}, defaultdict(int), defaultdict(int)
        for key, queue in queues.items():
            queue.sort()
            place.update({event: (key, i) for i, (_, event) in enumerate(queue)})
        ended = set()
        for at, what, event, _ in happened:
            if event not in place:
                continue
            key, i = place[event]
            queue = queues[key]
            if what == "got":
                if i > first[key]:
                    self.verdict.add("out of order", f"{event} came to {name} before "
                                     f"{queue[first[key]][1]} of its key")
                first[key] = max(first[key], i + 1)
            while ahead[key] < len(queue) and (queue[ahead[key]][1] in ended or
                                               dead.get(queue[ahead[key]][1], at + 1) <= at):
                ahead[key] += 1
            if what == "done":
                if i > ahead[key]:
                    self.verdict.add("out of order", f"{event} was acknowledged by {name} before "
                                     f"{queue[ahead[key]][1]} of its key had ended")
                ended.add(event)


def judge(logs, settle=1.0, late=None):
    """The verdict on what was read."""
    return Judge(logs, settle, late).all()


def sentence(counts):
    """All counts in one line."""
    names = ("sent", "acked", "refused", "unanswered", "delivered", "repeated", "dead") + WRONG
    return ", ".join(f"{counts[name]} {name}" for name in names
                     if counts[name] or name in ("acked", "lost", "duplicated"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--settle", type=float, default=1.0)
    parser.add_argument("--late", type=float)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("log", nargs="+")
    options = parser.parse_args()
    logs = Logs()
    try:
        for path in options.log:
            with open(path, encoding="utf-8") as file:
                logs.read(file, path)
        verdict = judge(logs, options.settle, options.late)
    except (Unreadable, OSError) as wrong:
        print(f"checker: {wrong}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"counts": verdict.counts, "such": verdict.such}))
    else:
        print(sentence(verdict.counts))
        for what in verdict.wrong():
            for text in verdict.such[what]:
                print(f"  {what}: {text}")
    return 1 if verdict.wrong() else 0


if __name__ == "__main__":
    sys.exit(main())
