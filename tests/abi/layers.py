#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The walls: plugins see plugin-api only, core never a plugin, the ABI neither GLib nor core."""
import os
import re
import sys

SOURCE = os.environ["EMESH_SOURCE"]
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
CODE = (".c", ".h", ".cpp", ".hpp", ".inc")


def files(folder):
    for root, _, names in os.walk(os.path.join(SOURCE, folder)):
        for name in sorted(names):
            if name.endswith(CODE):
                yield os.path.join(root, name)


def includes(path):
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            found = INCLUDE.match(line)
            if found:
                yield number, found.group(1), found.group(2)


def say(path, number, what):
    return f"{os.path.relpath(path, SOURCE)}:{number}: {what}"


def plugin_faults():
    """A quoted include is a header of the ABI or lies in the plugin's own folder."""
    plugins = os.path.join(SOURCE, "plugins")
    for path in files("plugins"):
        own = os.path.join(plugins, os.path.relpath(path, plugins).split(os.sep)[0])
        for number, quoted, angled in includes(path):
            name = quoted or angled
            if name.startswith("eventmesh/"):
                continue
            here = [os.path.join(os.path.dirname(path), name), os.path.join(own, name)]
            if quoted and not any(os.path.exists(p) and os.path.realpath(p).startswith(own + os.sep)
                                  for p in here):
                yield say(path, number, f'"{name}" is neither the ABI nor the plugin\'s own')
            if angled and os.path.exists(os.path.join(SOURCE, "core", name)):
                yield say(path, number, f"<{name}> is core's")


def plugin_build_faults():
    """No plugin links core or looks into its folder."""
    for root, _, names in os.walk(os.path.join(SOURCE, "plugins")):
        if "meson.build" not in names:
            continue
        path = os.path.join(root, "meson.build")
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                code = line.split("#")[0]
                if re.search(r"\b(core|core_lib|core_inc|core_deps|core_sources)\b", code):
                    yield say(path, number, "a plugin builds with core")


def core_faults():
    for path in files("core"):
        for number, quoted, angled in includes(path):
            name = quoted or angled
            if name.startswith("plugins/") or re.match(r"(\.\./)+plugins/", name) or \
               re.match(r"(protocol|storage|function|source|sink)-[a-z]+/", name):
                yield say(path, number, f"core includes a plugin: {name}")


def api_faults():
    """Headers of the ABI include each other and freestanding ones; glib.h alone GLib."""
    standard = {"stddef.h", "stdint.h"}
    for path in files("plugin-api/include"):
        for number, quoted, angled in includes(path):
            if angled and angled not in standard and \
               not (os.path.basename(path) == "glib.h" and angled == "glib.h"):
                yield say(path, number, f"the ABI includes <{angled}>")
            if quoted and not os.path.exists(os.path.join(os.path.dirname(path), quoted)):
                yield say(path, number, f"the ABI includes \"{quoted}\", which is not its own")
            if (quoted or "").endswith("glib.h"):
                yield say(path, number, "another header brings the GLib bridge in")


def main():
    tests = [("plugins include the ABI and themselves", plugin_faults),
             ("plugins build without core", plugin_build_faults),
             ("core includes no plugin", core_faults),
             ("the ABI includes neither GLib nor anything of the host", api_faults)]
    print(f"1..{len(tests)}")
    for number, (name, find) in enumerate(tests, 1):
        faults = list(find())
        print(f"{'not ok' if faults else 'ok'} {number} - {name}")
        for fault in faults:
            print(f"# {fault}")
    return 0


sys.exit(main())
