#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the public headers as a later minor of the ABI might have them: one member more at the end of
every struct that may grow. newer.py FROM TO"""
import os
import re
import sys

FROZEN = {"emesh_slice", "emesh_part", "emesh_attr", "emesh_position", "emesh_task", "emesh_need",
          "emesh_option_group"}
SEAL = re.compile(r"EMESH_SEAL\((emesh_\w+), (\w+)\);")


def grow(text, name, last):
    """Adds a member behind `last` of struct `name`, and seals the struct there."""
    if name.endswith(("_ops", "_api")) or name == "emesh_host":
        member = "    void (*newer)(void);\n"
    else:
        member = "    uint32_t newer;\n" if name == "emesh_layout" else "    uint64_t newer;\n"
    end = re.search(r"^\}( %s)?;\n(?=EMESH_SEAL\(%s, )" % (name, name), text, re.M)
    assert end, name
    text = text[:end.start()] + member + text[end.start():]
    return text.replace(f"EMESH_SEAL({name}, {last});", f"EMESH_SEAL({name}, newer);")


def newer(text):
    grown = []
    for name, last in SEAL.findall(text):
        if name not in FROZEN:
            text = grow(text, name, last)
            grown.append(name)
    text = text.replace("#define EMESH_ABI_MINOR 0u", "#define EMESH_ABI_MINOR 1u")
    # the layout's new member is the stride of an element that only newer plugins know
    text = re.sub(r"(sizeof\(emesh_pair\)) +\\", r"\1, 24 \\", text)
    return text, grown


def main():
    source, target = sys.argv[1:3]
    grown = []
    os.makedirs(os.path.join(target, "eventmesh"), exist_ok=True)
    for name in sorted(os.listdir(os.path.join(source, "eventmesh"))):
        if not name.endswith(".h"):
            continue
        with open(os.path.join(source, "eventmesh", name), encoding="utf-8") as file:
            text, more = newer(file.read())
        grown += more
        with open(os.path.join(target, "eventmesh", name), "w", encoding="utf-8") as file:
            file.write(text)
    print(f"{len(grown)} structs are longer")


if __name__ == "__main__":
    main()
