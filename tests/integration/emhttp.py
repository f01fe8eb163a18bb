# SPDX-License-Identifier: Apache-2.0
"""Raw HTTP peers: a client that sends the bytes it is told to and reads exactly one answer for each
request, and a webhook that records what is pushed to it and answers as the test wishes. Pure standard
library; knows nothing of the daemon's code."""

import json
import queue
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HTTP = "30-protocol-http.conf"
CONF_HTTP = """
[instance]
component = protocol-http
[options]
listen = 127.0.0.1:0
"""


class Answer:
    """What the server said."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        """The body as an object."""
        return json.loads(self.body)

    @property
    def code(self):
        """retCode."""
        return self.json()["retCode"]

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


def read_answer(sock, buffer, head_only=False):
    """One answer off a socket; what follows stays in buffer. Framed by Content-Length alone."""
    while b"\r\n\r\n" not in buffer:
        more = sock.recv(65536)
        if not more:
            raise ConnectionError(f"closed with {bytes(buffer)!r}")
        buffer += more
    end = buffer.index(b"\r\n\r\n")
    lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    del buffer[:end + 4]
    length = int(headers.get("content-length", "0"))
    while not head_only and len(buffer) < length:
        more = sock.recv(65536)
        if not more:
            raise ConnectionError("closed in the middle of a body")
        buffer += more
    body = bytes(buffer[:length])
    del buffer[:length]
    return Answer(int(lines[0].split(" ")[1]), headers, body)


class Client:
    """One keep-alive connection."""

    def __init__(self, port, timeout=20, wrap=None, source=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout,
                                               source_address=source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if wrap is not None:
            self.socket = wrap(self.socket)
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, method, path, headers=(), body=b""):
        """Sends one request; headers: pairs, or a dictionary."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        names = {name.lower() for name, _ in pairs}
        text = f"{method} {path} HTTP/1.1\r\n"
        if "host" not in names:
            pairs.insert(0, ("Host", "127.0.0.1"))
        if method != "GET" and not names & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", str(len(body))))
        text += "".join(f"{name}: {value}\r\n" for name, value in pairs) + "\r\n"
        self.socket.sendall(text.encode() + body)

    def read(self):
        """One answer."""
        return read_answer(self.socket, self.buffer)

    def call(self, method, path, headers=(), body=b""):
        """Sends one request and reads its one answer."""
        if isinstance(body, str):
            body = body.encode()
        self.send(method, path, headers, body)
        return self.read()

    def nothing_more(self, seconds=0.3):
        """No second answer comes."""
        self.socket.settimeout(seconds)
        try:
            more = self.socket.recv(100)
            raise AssertionError(f"unexpected: {more!r}")
        except TimeoutError:
            self.socket.settimeout(20)


def call(port, method, path, headers=(), body=b""):
    """One request on a connection of its own."""
    with Client(port) as client:
        return client.call(method, path, headers, body)


# ---- the request-code API, as SDKs write it ----

WHO = {"language": "JAVA", "version": "1.0", "env": "env", "idc": "idc", "sys": "1234",
       "pid": "4711", "ip": "127.0.0.1", "username": "u", "passwd": "p"}
MESSAGE = {"protocoltype": "eventmeshmessage", "protocoldesc": "http", "protocolversion": "1.0"}
CLOUDEVENT = {**MESSAGE, "protocoltype": "cloudevents"}
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}


def form(fields):
    """Fields as a form; a value of None is a name without =, as the Java SDK writes it."""
    return "&".join(urllib.parse.quote_plus(k) if v is None else
                    f"{urllib.parse.quote_plus(k)}={urllib.parse.quote_plus(v)}"
                    for k, v in fields.items())


def code(port, number, fields, headers=None, flavour=None, client=None):
    """One request of the request-code API."""
    head = {"code": str(number), **WHO, **(flavour or {}), **FORM, **(headers or {})}
    head = {k: v for k, v in head.items() if v is not None}
    body = fields if isinstance(fields, bytes) else form(fields).encode()
    if client is not None:
        return client.call("POST", "/", head, body)
    return call(port, "POST", "/", head, body)


def message(topic, content, seq="biz1", **more):
    """Fields of 104 in the eventmeshmessage flavour."""
    return {"topic": topic, "bizseqno": seq, "ttl": "4000", "content": content,
            "uniqueid": f"uid-{seq}", "producergroup": "PG", **more}


def subscribe(port, group, topics, url, **more):
    """206."""
    items = [{"topic": t, "mode": more.get("mode", "CLUSTERING"), "type": more.get("kind", "ASYNC")}
             for t in topics]
    return code(port, 206, {"topic": json.dumps(items), "url": url, "consumerGroup": group},
                more.get("headers"))


def unsubscribe(port, group, topics, url):
    """207."""
    return code(port, 207, {"topic": json.dumps(topics), "url": url, "consumerGroup": group})


# ---- a webhook ----

class Push:
    """One request that came to the webhook."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.at = time.monotonic()

    def form(self):
        """Fields of the form."""
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True,
                                           strict_parsing=True))

    def __repr__(self):
        return f"<{self.method} {self.path} {dict(self.headers)} {self.body[:300]!r}>"


class Webhook:
    """A server on a port of its own. answer(push) returns (status, headers, body); what it is given
    is put into .pushes first."""

    def __init__(self, answer=None, options=None, port=0):
        self.pushes, self.options_seen = queue.Queue(), queue.Queue()
        self.answer = answer or (lambda push: (200, {}, b'{"retCode":1}'))
        self.options = options  # headers of the answer to OPTIONS; None: 404
        self.connections = 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                hook.connections += 1
                super().setup()

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                push = Push(self.command, self.path, self.headers, body)
                if self.command == "OPTIONS":
                    hook.options_seen.put(push)
                    status, headers, text = (200, hook.options, b"") if hook.options is not None \
                        else (404, {}, b"")
                else:
                    hook.pushes.put(push)
                    status, headers, text = hook.answer(push)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204 and "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_OPTIONS = do_GET = serve

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass  # a peer that went away

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Nobody answers at this port any more."""
        self.server.shutdown()
        self.server.server_close()

    def url(self, path="/hook"):
        """Where it is."""
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, seconds=20):
        """The next push."""
        try:
            return self.pushes.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError("no push in time") from None

    def silent(self, seconds):
        """Nothing is pushed for so long."""
        try:
            raise AssertionError(f"unexpected: {self.pushes.get(timeout=seconds)}")
        except queue.Empty:
            pass
