# SPDX-License-Identifier: Apache-2.0
"""Runs functions as tests and prints TAP; a function's name is the test's, and words on the command
line choose among them."""

import sys
import traceback


class Skip(Exception):
    """This machine cannot do it; the text says why."""


def run(tests, words):
    """Runs the tests that a word names (all without words); the exit code."""
    chosen = [t for t in tests if not words or any(w in t.__name__ for w in words)]
    failed = 0
    print(f"1..{len(chosen)}", flush=True)
    for n, test in enumerate(chosen, 1):
        name = test.__name__.replace("_", "-")
        try:
            test()
            print(f"ok {n} - {name}", flush=True)
        except Skip as skip:
            print(f"ok {n} - {name} # SKIP {skip}", flush=True)
        except Exception:  # noqa: BLE001: whatever it is, the test failed
            failed += 1
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            print(f"not ok {n} - {name}", flush=True)
    sys.exit(1 if failed else 0)
