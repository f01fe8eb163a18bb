#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Old and new plugins in old and new daemons. "New" is what newer.py makes of the headers: every struct
that may grow is one member longer. A daemon is built once more against them, from the same sources with
the same flags, and so are a store and a protocol; then each of the four pairs carries events from a
publisher to a store and on to a subscriber, who acknowledges them; once with the smallest plugins and
once with those that ship. What is new is also used once: a
publish that means more than the old daemon knows is refused as TOO_NEW, a record is delivered all the
same. Under a sanitizer build all of it is sanitized."""
import json
import os
import select
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCE, BUILD = Path(os.environ["EMESH_SOURCE"]), Path(os.environ["EMESH_BUILD"])
sys.path.insert(0, str(SOURCE / "tests" / "python"))
import wire  # pylint: disable=wrong-import-position
from daemon import Daemon  # pylint: disable=wrong-import-position

API = SOURCE / "plugin-api" / "include"
EVENTS = 200
CONF = {
    "10-protocol-tcp.conf": "",  # masked
    "20-storage-standalone.conf": "",
    "50-store.conf": "[instance]\ncomponent = storage-memory\n",
    "60-line.conf": "[instance]\ncomponent = protocol-line\n[options]\nlisten = 127.0.0.1:0\n",
}
SHIPPED = ["protocol-tcp", "storage-standalone"]


def run(argv, **more):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(map(str, argv))}\n{done.stderr}")


def variant(command, include, output):
    """A compile command of the build, with other headers, another output and no optimiser."""
    words = shlex.split(command)
    keep = []
    skip = False
    for word in words:
        if skip or word == "-MD":
            skip = False
            continue
        if word in ("-MQ", "-MF", "-o"):
            skip = True
            continue
        if word.startswith("-I") and \
           os.path.realpath(os.path.join(BUILD, word[2:])) == str(API.resolve()):
            word = f"-I{include}"
        keep.append(word)
    return keep + ["-O0", "-w", "-o", str(output)]


def build_daemon(include, folder):
    """The core against longer headers. Returns the path of its eventmeshd."""
    with open(BUILD / "compile_commands.json", encoding="utf-8") as file:
        commands = [c for c in json.load(file)
                    if c["output"].startswith(("core/libemesh-core.a.p", "core/eventmeshd.p"))]
    jobs = [(c, folder / f"{i}.o") for i, c in enumerate(commands)]
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(lambda j: run(variant(j[0]["command"], include, j[1]), cwd=BUILD), jobs):
            pass
    libraries = subprocess.run(
        ["pkg-config", "--libs", "glib-2.0", "gio-unix-2.0", "libsoup-3.0", "json-glib-1.0",
         "openssl", "lmdb"], check=True, capture_output=True, text=True).stdout.split()
    daemon = folder / "eventmeshd"
    run([*compiler(commands), *sanitizers(commands), *(o for _, o in jobs), "-o", daemon, *libraries,
         "-ldl", "-pthread"])
    return daemon


def compiler(commands):
    words = shlex.split(commands[0]["command"])
    return words[:next(i for i, w in enumerate(words) if w.startswith("-"))]


def sanitizers(commands):
    return [w for w in shlex.split(commands[0]["command"]) if w.startswith("-fsanitize")]


def using_what_is_new(name, text):
    """The fixture's source, setting new members for topics of these names."""
    old, new = {
        "store-memory": (".attempt = 1,", ".attempt = 1,\n.newer = strcmp(c->topic->name, "
                         "\"newer-record\") == 0 ? 5 : 0,"),
        "protocol-line": (".cookie = p->seq + 1 };", ".cookie = p->seq + 1,\n.newer = "
                          "memcmp(arg, \"newer-publish \", 14) == 0 ? 5 : 0 };"),
    }[name]
    assert old in text, name
    return text.replace(old, new)


def build_plugins(include, folder):
    with open(BUILD / "compile_commands.json", encoding="utf-8") as file:
        commands = json.load(file)
    flags = [*compiler(commands), *sanitizers(commands), "-g", "-std=gnu11", "-w", "-fPIC",
             "-shared", "-fvisibility=hidden", f"-I{include}"]
    for module, source in {"storage-memory": "store-memory", "protocol-line": "protocol-line"}.items():
        text = (SOURCE / "tests" / "abi" / f"{source}.c").read_text(encoding="utf-8")
        (folder / f"{source}.c").write_text(using_what_is_new(source, text), encoding="utf-8")
        run([*flags, folder / f"{source}.c", "-o", folder / f"{module}.so"])


def build_shipped(include, folder):
    """The plugins that ship, from the commands of the build."""
    with open(BUILD / "compile_commands.json", encoding="utf-8") as file:
        all_commands = json.load(file)
    libraries = subprocess.run(["pkg-config", "--libs", "glib-2.0", "lmdb"], check=True,
                               capture_output=True, text=True).stdout.split()
    for name in SHIPPED:
        commands = [c for c in all_commands if c["output"].startswith(f"plugins/{name}/")
                    and "-tool" not in c["output"]]  # its program is no plugin
        jobs = [(c, folder / f"{name}-{i}.o") for i, c in enumerate(commands)]
        with ThreadPoolExecutor(2) as pool:
            for _ in pool.map(lambda j: run(variant(j[0]["command"], include, j[1]), cwd=BUILD),
                              jobs):
                pass
        run([*compiler(commands), *sanitizers(commands), "-shared", *(o for _, o in jobs), "-o",
             folder / f"{name}.so", *libraries, "-pthread"])


def use(daemon, topic, wanted):
    """One event to the topic: its result, and its delivery if it was taken."""
    with socket.create_connection(("127.0.0.1", daemon.port("line")), timeout=30) as peer:
        answers = peer.makefile("rb")
        peer.sendall(b"SUB %s g\n" % topic)
        assert answers.readline() == b"SUBOK\n", daemon.words()
        peer.sendall(b"PUB %s x\n" % topic)
        got = {answers.readline()}
        if wanted == b"OK 1\n":
            got.add(b" ".join(answers.readline().split()[:1]))
            assert got == {wanted, b"MSG"}, (topic, got)
        else:
            assert got == {wanted}, (topic, got)


def carry(daemon_path, plugins, too_new):
    """Publishes, receives, acknowledges; every answer and event is matched."""
    with Daemon(CONF, binary=daemon_path, plugin_dirs=(plugins,)) as daemon:
        with socket.create_connection(("127.0.0.1", daemon.port("line")), timeout=30) as peer:
            answers = peer.makefile("rb")
            peer.sendall(b"SUB orders readers\n")
            assert answers.readline() == b"SUBOK\n", daemon.words()
            peer.sendall(b"".join(b"PUB orders event %d\n" % i for i in range(EVENTS)))
            stored, seen = 0, 0
            while stored < EVENTS or seen < EVENTS:
                words = answers.readline().split()
                if words[:1] == [b"OK"]:
                    stored += 1
                    assert words[1] == b"%d" % stored, (words, stored)
                else:
                    assert words[:1] == [b"MSG"] and words[3] == b"%d" % seen, (words, seen)
                    seen += 1
                    peer.sendall(b"ACK %s\n" % words[1])
        use(daemon, b"newer-record", b"OK 1\n")
        use(daemon, b"newer-publish", b"ERR 1 -103\n" if too_new else b"OK 1\n")
        code = daemon.stop()
        assert code == 0, (code, daemon.words())


def report(number, name, test, *args):
    try:
        test(*args)
        print(f"ok {number} - {name}", flush=True)
    except Exception as error:  # pylint: disable=broad-except
        print(f"not ok {number} - {name}", flush=True)
        print("# " + str(error).replace("\n", "\n# "), flush=True)


def await_frames(connection, cmd, wanted, ack=False):
    """The first `wanted` frames with this command; ack: acknowledged as they come."""
    got = []
    until = time.monotonic() + 60
    while len(got) < wanted:
        assert time.monotonic() < until, (cmd, len(got))
        assert connection.flush()
        select.select([connection.socket], [], [], 0.2)
        frames = connection.receive()
        assert frames is not None, (cmd, len(got))
        new = [(h, b) for h, b in frames if h["cmd"] == cmd]
        for header, body in new if ack else []:
            connection.unsent += wire.frame(f"{cmd}_ACK", header["seq"], body)
        got += new
    return got


def carry_shipped(daemon_path, plugins):
    """The same over EventMesh TCP, and the embedded store: every ack and push is matched."""
    with Daemon(binary=daemon_path, plugin_dirs=(plugins,)) as daemon:
        port = daemon.port()
        reader = wire.Connection(port, "readers", "sub")
        reader.subscribe("orders")
        reader.set_live(listen=True)
        writer = wire.Connection(port, "writers", "pub")
        writer.set_live()
        for i in range(EVENTS):
            writer.unsent += wire.publish("orders", f"s{i}", f"event {i}")
        acks = await_frames(writer, "ASYNC_MESSAGE_TO_SERVER_ACK", EVENTS)
        assert sorted(h["seq"] for h, _ in acks) == sorted(f"s{i}" for i in range(EVENTS))
        assert all(h["code"] == 0 for h, _ in acks), acks[0]
        pushes = await_frames(reader, "ASYNC_MESSAGE_TO_CLIENT", EVENTS, ack=True)
        texts = [json.loads(b)["body"] for _, b in pushes]
        assert texts == [f"event {i}" for i in range(EVENTS)], texts[:5]
        assert reader.flush()
        rows = daemon.ctl("topic", "list")
        assert any(row.get("topic", row.get("name")) == "orders" for row in rows), rows
        reader.close()
        writer.close()
        code = daemon.stop()
        assert code == 0, (code, daemon.words())


def main():
    with tempfile.TemporaryDirectory(prefix="emesh-skew-") as place:
        folder = Path(place)
        include = folder / "include"
        (folder / "new").mkdir()
        run([sys.executable, SOURCE / "tests" / "abi" / "newer.py", API, include])
        daemons = {"old": BUILD / "core" / "eventmeshd", "new": build_daemon(include, folder)}
        build_plugins(include, folder / "new")
        build_shipped(include, folder / "new")
        plugins = {"old": BUILD / "tests" / "abi", "new": folder / "new"}
        shipped = {"old": BUILD / "plugins", "new": folder / "new"}
        print("1..8")
        number = 0
        for host in daemons:
            for plugin in plugins:
                too_new = (host, plugin) == ("old", "new")
                number += 1
                report(number, f"{plugin} fixtures in the {host} daemon", carry, daemons[host],
                       plugins[plugin], too_new)
                number += 1
                report(number, f"{plugin} shipped plugins in the {host} daemon", carry_shipped,
                       daemons[host], shipped[plugin])


main()
