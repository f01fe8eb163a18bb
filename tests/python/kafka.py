# SPDX-License-Identifier: Apache-2.0
"""A real Kafka broker for tests, from the jars of Maven Central: one node in KRaft mode on random ports
and a private folder, stopped by its own process. Records are written and read with kcat, a client that
knows nothing of the daemon. Where Java, Maven or kcat are out of reach, Missing says why."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from daemon import BUILD

VERSION = "3.9.1"
JARS = BUILD / "tests" / "brokers" / f"kafka-{VERSION}"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>local.test</groupId><artifactId>kafka-run</artifactId><version>1</version>
<packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId>
<version>1.7.36</version></dependency></dependencies></project>
"""
SERVER = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listener}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listener}://127.0.0.1:{port}
inter.broker.listener.name={listener}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
log.dirs={home}/data
num.partitions=1
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
log.initial.task.delay.ms=100
log.retention.check.interval.ms=1000
num.network.threads=2
num.io.threads=2
"""
SASL = """sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required \
username="broker" password="inside" user_broker="inside" user_mesh="right";
"""
LOG4J = """log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n
"""


class Missing(Exception):
    """No broker can be had here; the words say why."""


def jars():
    """Folder of the jars, fetched once for a build folder."""
    for tool in ("java", "mvn", "kcat"):
        if shutil.which(tool) is None:
            raise Missing(f"{tool} is not installed")
    JARS.parent.mkdir(parents=True, exist_ok=True)
    with (JARS.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if JARS.exists():
            return JARS
        pom, fresh = JARS.parent / "kafka.xml", JARS.with_suffix(".new")
        pom.write_text(POM, encoding="utf-8")
        shutil.rmtree(fresh, ignore_errors=True)
        for network in (["-o"], []):
            done = subprocess.run(
                ["mvn", "-q", "-B", "-Dstyle.color=never", *network, "-f", pom,
                 "dependency:copy-dependencies", "-DincludeScope=runtime",
                 f"-DoutputDirectory={fresh}"],
                capture_output=True, text=True, timeout=600, check=False)
            if done.returncode == 0:
                fresh.rename(JARS)
                return JARS
    lines = [x for x in (done.stdout + done.stderr).splitlines() if "ERROR" in x]
    raise Missing("Maven cannot get Kafka: " + (lines[0][:200] if lines else "no reason given"))


def free_ports(n):
    """Ports that nobody has, all different."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [p.getsockname()[1] for p in probes]
    for probe in probes:
        probe.close()
    return ports


class Kafka:
    """One broker. Use it in a with statement."""

    def __init__(self, sasl=False, more=""):
        self.lib = jars()
        self.home = Path(tempfile.mkdtemp(prefix="emesh-kafka-"))
        self.port, controller = free_ports(2)
        self.sasl = sasl
        self.address = f"127.0.0.1:{self.port}"
        self.log = self.home / "kafka.log"
        self.process = None
        listener = "SASL_PLAINTEXT" if sasl else "PLAINTEXT"
        (self.home / "server.properties").write_text(
            SERVER.format(controller=controller, port=self.port, home=self.home,
                          listener=listener) + (SASL if sasl else "") + more, encoding="utf-8")
        (self.home / "log4j.properties").write_text(LOG4J, encoding="utf-8")

    def __enter__(self):
        try:
            self.java("kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c",
                      self.home / "server.properties")
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.kill()
        if os.environ.get("KEEP") != "1":
            shutil.rmtree(self.home, ignore_errors=True)

    def command(self, *args):
        """A Java program of the broker's jars."""
        return ["java", "-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                f"-Dlog4j.configuration=file:{self.home}/log4j.properties",
                "-cp", f"{self.lib}/*", *map(str, args)]

    def java(self, *args):
        """Runs one to its end; what it said."""
        done = subprocess.run(self.command(*args), capture_output=True, text=True, timeout=60,
                              check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def launch(self):
        """Starts the process and does not wait for it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command("kafka.Kafka", self.home / "server.properties"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self, seconds=60):
        """Starts and waits until the broker answers."""
        self.launch()
        end = time.monotonic() + seconds
        while not self.is_up():
            assert self.process.poll() is None and time.monotonic() < end, self.words()
            time.sleep(0.1)

    def is_up(self):
        """A client's metadata request is answered."""
        try:
            return self.kcat("-L", "-m", "2", check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def words(self):
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def kill(self):
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self):
        """SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    # ---- a client that is not ours ----

    def kcat(self, *args, data=None, check=True):
        """kcat with these arguments."""
        login = ["-X", "security.protocol=sasl_plaintext", "-X", "sasl.mechanisms=PLAIN", "-X",
                 "sasl.username=mesh", "-X", "sasl.password=right"] if self.sasl else []
        return subprocess.run(["kcat", "-b", self.address, *login, *map(str, args)], input=data,
                              capture_output=True, timeout=30, check=check)

    def records(self, topic, partition=None):
        """All records of a topic, as kcat reads them: headers (last wins), payload, key, offset."""
        place = [] if partition is None else ["-p", partition]
        said = self.kcat("-C", "-t", topic, *place, "-o", "beginning", "-e", "-J", "-q").stdout
        out = []
        for line in said.decode().splitlines():
            row = json.loads(line)
            flat = row.get("headers") or []
            row["headers"] = dict(zip(flat[::2], flat[1::2]))
            out.append(row)
        return out

    def write(self, topic, text, headers=None, key=None, partition=None):
        """One record; text None: null."""
        args = ["-P", "-t", topic, "-X", "acks=all"]
        if partition is not None:
            args += ["-p", partition]
        if key is not None:
            args += ["-k", key]
        for name, value in (headers or {}).items():
            args += ["-H", f"{name}={value}"]
        if text is None:
            args.append("-Z")
        with tempfile.NamedTemporaryFile(dir=self.home) as file:
            file.write((text or "").encode())
            file.flush()
            self.kcat(*args, *([file.name] if text else []), data=b"\n" if not text else None)

    def tool(self, *args):
        """tests/brokers/kafka-tool, for what kcat cannot do."""
        done = subprocess.run([BUILD / "tests" / "brokers" / "kafka-tool", self.address,
                               *map(str, args)], capture_output=True, text=True, timeout=60,
                              check=False)
        assert done.returncode == 0, done.stderr


def conf(broker, options="", security=None):
    """The conf.d text of an instance on this broker."""
    return ("[instance]\ncomponent = storage-kafka\n[options]\n"
            f"bootstrap-servers = {broker if isinstance(broker, str) else broker.address}\n"
            f"{security or ''}{options}\n")
