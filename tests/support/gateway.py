# SPDX-License-Identifier: GPL-2.0-or-later
"""A fake of etcd's JSON gateway, for what no real one does.

    with Gateway(lab) as gateway:
        gateway.on("/v3/kv/range", lambda request: json_answer({"header": header(7)}))
        gateway.tool("range", "a")
        gateway.requests                      # [Request(path, body, headers)]

An answer is bytes, or an iterator of bytes that are sent one by one; what a handler does not finish, the connection's
end does. Listens at 127.0.0.1 of the private host.
"""
import base64
import collections
import contextlib
import json
import socket
import threading

from .etcd import Follower, Script, answer
from .tools import built

Request = collections.namedtuple("Request", "path body headers")


def header(revision, cluster="7", member="8"):
    return {"cluster_id": str(cluster), "member_id": str(member), "revision": str(revision), "raft_term": "2"}


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def kv(key, value="v", mod=5, **more):
    return {"key": b64("/test/v1/" + key), "value": b64(value), "create_revision": str(mod), "mod_revision": str(mod),
            "version": "1", **more}


def plain(body, status="200 OK", kind="application/json"):
    body = body if isinstance(body, bytes) else body.encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def json_answer(doc, status="200 OK"):
    return plain(json.dumps(doc), status)


def chunk(data):
    data = data if isinstance(data, bytes) else data.encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def line(**result):
    return json.dumps({"result": result}) + "\n"


class Gateway:
    def __init__(self, lab, port=0):
        self.lab = lab
        self.requests = []
        self.closing = threading.Event()
        self._handlers = {"/version": lambda request: json_answer({"etcdserver": "3.4.23", "etcdcluster": "3.4.0"})}
        self._socket = lab.call(socket.create_server, ("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self._connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def on(self, path, handler):
        """handler(request) -> answer"""
        self._handlers[path] = handler

    def paths(self):
        return [request.path for request in self.requests]

    def connections(self):
        return len(self._connections)

    def argv(self, *args, others=()):
        return [built("cluster-tool", "overlay"), *(f"--endpoint={url}" for url in (self.url, *others)), *map(str, args)]

    def tool(self, *args, others=(), timeout=30):
        return answer(self.lab, self.argv(*args, others=others), timeout)

    def follow(self, *args, wait=True):
        return Follower(self.lab, self.argv(*args), wait)

    def script(self, *args, others=()):
        return Script(self.lab, self.argv(*args, "script", others=others))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.set()
        for sock in (self._socket, *self._connections):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    # ---- inside ----

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as stream:
            while request := read_request(stream):
                self.requests.append(request)
                handler = self._handlers.get(request.path, lambda _: plain("404 page not found\n", "404 Not Found", "text/plain"))
                reply = handler(request)
                if reply is None:
                    return
                if isinstance(reply, bytes):
                    connection.sendall(reply)
                    continue
                for piece in reply:
                    connection.sendall(piece)
                return


def read_request(stream):
    first = stream.readline().split()
    if len(first) < 2:
        return None
    headers = {}
    while (text := stream.readline().strip()):
        name, value = text.decode().split(":", 1)
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return Request(first[1].decode(), json.loads(body) if body else None, headers)
