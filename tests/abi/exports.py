#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What each built plugin gives and takes: one exported symbol, nothing undefined beyond the libraries
it names, and none of the host's. Arguments: the sanitizer of the build ("none"), then the files."""
import os
import re
import subprocess
import sys

ENTRY = "emesh_plugin_entry_1"
FURNITURE = re.compile(r"^(_init|_fini|_edata|_end|__bss_start|__(a|u|t|l)san_.*|__odr_asan.*)$")


def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def exported(path):
    symbols = (line.split()[-1] for line in run("nm", "-D", "--defined-only", path).splitlines())
    return sorted(s for s in symbols if not FURNITURE.match(s))


def unresolved(path):
    out = subprocess.run(["ldd", "-r", path], check=False, capture_output=True, text=True)
    return sorted(set(re.findall(r"undefined symbol: (\S+)", out.stdout + out.stderr)))


def wanted_of_host(path):
    symbols = (line.split()[-1] for line in run("nm", "-D", "--undefined-only", path).splitlines())
    return sorted(s for s in symbols if s.startswith("emesh_"))


def main():
    sanitizer, paths = sys.argv[1], sys.argv[2:]
    print(f"1..{3 * len(paths)}")
    number = 0
    for path in paths:
        name = os.path.basename(path)
        tests = [("exports its entry alone", [s for s in exported(path) if s != ENTRY] or
                  ([] if ENTRY in exported(path) else ["no entry"])),
                 ("asks the host for no symbol", wanted_of_host(path)),
                 ("has nothing undefined beyond its libraries",
                  None if sanitizer != "none" else unresolved(path))]
        for what, faults in tests:
            number += 1
            skip = " # SKIP the sanitizer's run-time library is the host's" if faults is None else ""
            print(f"{'not ok' if faults else 'ok'} {number} - {name} {what}{skip}")
            if faults:
                print("# " + " ".join(faults))
    return 0


sys.exit(main())
