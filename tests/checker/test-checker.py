#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checker on logs made by hand: good ones, and one for each fault that it must find. Speaks TAP."""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]
import checker  # noqa: E402
import tap  # noqa: E402


def lines(text):
    """Blanks of the test stand for tabs."""
    return ["\t".join(line.split()) + "\n" for line in text.strip().splitlines()]


def counts(*texts, **options):
    logs = checker.Logs()
    for number, text in enumerate(texts):
        logs.read(lines(text), f"log {number}")
    return checker.judge(logs, **options).counts


def expect(found, **wanted):
    """These counts, and none of what is wrong beside them."""
    wanted = {name.replace("_", " "): n for name, n in wanted.items()}
    for name in set(wanted) | set(checker.WRONG):
        assert found[name] == wanted.get(name, 0), (name, dict(found))


THREE = """publisher p
sent a 1
acked a 1.1
sent b 2
acked b 2.1
sent c 3
refused c 3.1"""


def a_good_run():
    expect(counts(THREE, "subscriber s group=g\ngot a 4\ndone a 4\ngot b 5\ndone b 5"),
           sent=3, acked=2, refused=1, delivered=2, repeated=0)


def lost_is_found():
    expect(counts(THREE, "subscriber s group=g\ngot a 4\ndone a 4"), lost=1)


def lost_by_a_group_that_got_nothing():
    expect(counts(THREE, "subscriber s group=g\ngot a 4\ngot b 5", "subscriber t group=h"), lost=2)


def members_share():
    expect(counts(THREE, "subscriber s group=g\ngot a 4\ndone a 4",
                  "subscriber t group=g\ngot b 4\ndone b 4"), delivered=2)


def unanswered_may_be_there_or_not():
    sent = "publisher p\nsent a 1\nsent b 2"
    expect(counts(sent, "subscriber s group=g\ngot a 3"), unanswered=2, delivered=1)


def refused_must_not_come():
    expect(counts(THREE, "subscriber s group=g\ngot a 4\ngot b 4\ngot c 4"), unasked=1)


def what_nobody_sent():
    expect(counts(THREE, "subscriber s group=g\ngot a 4\ngot b 4\ngot z 4"), unasked=1)


def again_before_an_ack_is_allowed():
    expect(counts(THREE, "subscriber s group=g\ngot a 4\nfailed a 4\ngot b 4\ndone b 4",
                  "subscriber t group=g\ngot a 6\ndone a 6"), repeated=1)


def again_after_an_ack_is_not():
    expect(counts(THREE, "subscriber s group=g\ngot a 4\ndone a 4.5\ngot b 4\ndone b 4",
                  "subscriber t group=g\ngot a 6\ndone a 6"), duplicated=1, repeated=0)


def a_crash_soon_behind_the_ack_excuses():
    group = "subscriber s group=g\ngot a 4\ndone a 4.5\ngot b 4\ndone b 4\ngot a 6\ndone a 6"
    expect(counts(THREE, group, "faults f\ncrash 4.6"), repeated=1)
    expect(counts(THREE, group, "faults f\ncrash 4.6", settle=0.05), duplicated=1)
    expect(counts(THREE, group, "faults f\ncrash 4.4"), duplicated=1)  # before it
    expect(counts(THREE, group, "faults f\ncrash 7"), duplicated=1)  # behind both


def a_cut_of_the_member_excuses_its_own():
    group = "subscriber s group=g\ngot a 4\ndone a 4.5\ngot b 4\ndone b 4"
    again = "subscriber t group=g\ngot a 6\ndone a 6"
    expect(counts(THREE, group, again, "faults f\ncut s 4.5"), repeated=1)
    expect(counts(THREE, group, again, "faults f\ncut t 4.5"), duplicated=1)
    expect(counts(THREE, group, again, "faults f\ncut s 7"), duplicated=1)


def each_group_for_itself():
    one = "subscriber s group=g\ngot a 4\ndone a 4\ngot b 4\ndone b 4"
    expect(counts(THREE, one, one.replace("group=g", "group=h")), delivered=4, repeated=0)


def broadcasting_is_for_each_member():
    first = "subscriber s group=g mode=broadcasting\njoined 0.5\ngot a 4\ndone a 4\ngot b 4\ndone b 4"
    expect(counts(THREE, first, first.replace("s group", "t group")), delivered=4)
    expect(counts(THREE, first, "subscriber t group=g mode=broadcasting\njoined 0.5\ngot a 4"),
           lost=1)
    # who comes later, or goes before, is not owed it
    expect(counts(THREE, first, "subscriber t group=g mode=broadcasting\njoined 1.5\ngot b 4"))
    expect(counts(THREE, first,
                  "subscriber t group=g mode=broadcasting\njoined 0.5\nleft 2\ngot a 4"))


def dead_letters_are_delivered():
    group = "subscriber s group=g\ngot a 4\nfailed a 4\ngot b 4\ndone b 4"
    expect(counts(THREE, group, "deadletters d group=g\ngot a 9"), dead=1)
    expect(counts(THREE, "subscriber s group=g\ngot b 4", "deadletters d group=g\ngot a 9"), dead=1)
    expect(counts(THREE, group, "deadletters d group=g\ngot a 9\ngot a 10"), duplicated=1)
    expect(counts(THREE, group, "deadletters d group=g\ngot y 9"), unasked=1)
    expect(counts(THREE, "deadletters d group=g\ngot a 9"), lost=1)


FOUR = "publisher p\n" + "\n".join(f"sent {e} {n} key={e[0]}\nacked {e} {n}.5"
                                   for n, e in enumerate(("a1", "b1", "a2", "b2")))


def order_of_the_log():
    good = "subscriber s group=g order=log\ngot a1 5\ngot b1 6\ngot a2 7\ngot b1 8\ngot b2 9"
    expect(counts(FOUR, good), repeated=1)  # what comes again may overtake
    expect(counts(FOUR, "subscriber s group=g order=log\ngot a1 5\ngot a2 6\ngot b1 7\ngot b2 9"),
           out_of_order=1)


def order_of_keys():
    good = """subscriber s group=g order=key
got a1 5
got b1 5
got a2 5.5
done a1 6
done a2 7
done b1 8
got b2 9
done b2 9"""
    expect(counts(FOUR, good))
    unfinished = good.replace("done b1 8", "failed b1 8")
    expect(counts(FOUR, unfinished), out_of_order=1)
    # dead is an end as well, from the moment on that it is
    expect(counts(FOUR, unfinished, "deadletters d group=g\ngot b1 8.5"), dead=1)
    expect(counts(FOUR, unfinished, "deadletters d group=g\ngot b1 9.5"), out_of_order=1)
    # what was skipped, and over the members of a group
    expect(counts(FOUR, "subscriber s group=g order=key\ngot a2 5\ngot b1 5\ndone b1 5.5",
                  "subscriber t group=g order=key\ngot a1 6\ngot b2 6\ndone a1 6.1\ndone b2 6.1"),
           out_of_order=1)
    expect(counts(FOUR, "subscriber s group=g order=key\ngot a1 5\ngot b1 5\ndone b1 5.5",
                  "subscriber t group=g order=key\ngot a2 6\ngot b2 6\ndone a2 7"), out_of_order=1)


DUE = "publisher p\nsent a 1 due=10\nacked a 1\nsent b 1 due=10\nacked b 1"


def due_times():
    expect(counts(DUE, "subscriber s group=g\ngot a 10\ngot b 13"))
    expect(counts(DUE, "subscriber s group=g\ngot a 9.9\ngot b 10"), early=1)
    expect(counts(DUE, "subscriber s group=g\ngot a 10\ngot b 13", late=2.0), late=1)


def expired_need_not_come():
    sent = "publisher p\nsent a 1 expires=2\nacked a 1"
    expect(counts(sent, "subscriber s group=g"))


def nonsense_is_refused():
    for text in ("", "nobody p\nsent a 1", "publisher p\nsent a", "publisher p\nacked a 1",
                 "publisher p\nsent a 1\nsent a 2", "publisher p\nsent a 1\nacked a 1\nrefused a 1",
                 "subscriber s\ngot a 1", "subscriber s group=g mode=none",
                 "subscriber s group=g\nsent a 1", "faults f\nrain 1", "subscriber s group=g\ngot a x"):
        try:
            counts(text)
        except checker.Unreadable:
            continue
        raise AssertionError(f"taken: {text!r}")


def as_a_program():
    """Exit codes and words."""
    with tempfile.TemporaryDirectory() as home:
        files = []
        for n, text in enumerate((THREE, "subscriber s group=g\ngot a 4\ndone a 4", "nonsense")):
            path = Path(home) / str(n)
            path.write_text("".join(lines(text)), encoding="utf-8")
            files.append(str(path))
        for arguments, code, words in ((files[:1], 0, "2 acked, 1 refused, 0 lost"),
                                       (files[:2], 1, "lost: b never came to g"),
                                       (files, 2, "/2:1: ")):
            done = subprocess.run([sys.executable, HERE / "checker.py", *arguments],
                                  capture_output=True, text=True, check=False)
            assert done.returncode == code, done
            assert words in done.stdout + done.stderr, done


if __name__ == "__main__":
    tap.run([value for name, value in list(globals().items())
             if callable(value) and getattr(value, "__module__", "") == "__main__"
             and name not in ("lines", "counts", "expect")], sys.argv[1:])
