# SPDX-License-Identifier: GPL-2.0-or-later
"""Between an agent and a member of etcd: what is asked for passes when it may.

    with Relay(node.lab, "http://192.0.2.101:2379") as relay:
        relay.hold("/node/")                # requests for a key, or all that begins with it, that ends so
        node.configure(endpoints=[relay.url])
        relay.wait("watch", "/alive/")      # one of these was let pass
    relay.wait_held()                   # one is waiting
        relay.release()
    relay.lose("/join/web/node1")       # the next transaction that writes it is done, and its answer lost; what reads it is held
    relay.lose(key, done=False)         # ... or never reaches the member
    relay.lost.wait(10)
    relay.mute("/ep/web/")              # what a watch tells is held back,
    relay.tell()                        # but for the next line
"""
import base64
import contextlib
import json
import socket
import threading

from .gateway import read_request

WITHIN = 20.0


class Relay:
    def __init__(self, lab, member):
        host, port = member.removeprefix("http://").rsplit(":", 1)
        self._lab, self._to = lab, (host, int(port))
        self._socket = lab.call(socket.create_server, ("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open = [self._socket]
        self._held, self._asked, self._waiting = (), [], 0
        self._lose, self.lost = None, threading.Event()
        self._muted, self._lines = None, 0
        self._changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, *keys):
        self._held = keys

    def release(self):
        with self._changed:
            self._held, self._muted = (), None
            self._changed.notify_all()

    def lose(self, key, done=True):
        self.lost.clear()
        self._lose = (key, done)

    def mute(self, key):
        self._muted, self._lines = key, 0

    def tell(self):
        with self._changed:
            self._lines += 1
            self._changed.notify_all()

    def wait(self, verb, key, times=1):
        """So many requests of this verb (range, watch) for the key were let pass."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._count(verb, key) >= times, WITHIN), (verb, key, self._asked)

    def wait_held(self):
        with self._changed:
            assert self._changed.wait_for(lambda: self._waiting, WITHIN), self._asked

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    # ---- inside ----

    def _count(self, verb, key):
        return sum(verb == v and k.endswith(key) for v, k in self._asked)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                agent, _ = self._socket.accept()
                self._open.append(agent)
                try:
                    member = self._lab.call(socket.create_connection, self._to, WITHIN)
                    member.settimeout(None)
                except OSError:         # there is no way to it just now
                    _end(agent)
                    continue
                self._open.append(member)
                pair = Pair(agent, member)
                threading.Thread(target=self._requests, args=(pair,), daemon=True).start()
                threading.Thread(target=self._answers, args=(pair,), daemon=True).start()

    def _requests(self, pair):
        with contextlib.suppress(OSError, ValueError), pair.agent.makefile("rb") as stream:
            while request := read_request(stream):
                body = request.body or {}
                verb, keys = request.path.rsplit("/", 1)[1], list(_keys(body))
                with self._changed:
                    self._waiting += 1
                    self._changed.notify_all()
                    self._changed.wait_for(lambda keys=keys: not any(key.endswith(held) for key in keys for held in self._held))
                    self._waiting -= 1
                    self._asked += [(verb, key) for key in keys]
                    self._changed.notify_all()
                pair.watched = keys[0] if verb == "watch" else None
                if self._is_lost(body):
                    (key, done), self._lose = self._lose, None
                    self._held, pair.silent = (key,), True
                    if not done:
                        break
                data = json.dumps(body).encode() if request.body else b""
                fields = {**request.headers, "content-length": str(len(data))}
                head = [f"{'POST' if data else 'GET'} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
                pair.member.sendall("\r\n".join([*head, "", ""]).encode() + data)
        _end(pair.member)

    def _is_lost(self, body):
        return self._lose and any(_text(op, "key").endswith(self._lose[0]) for op in _writes(body))

    def _answers(self, pair):
        with contextlib.suppress(OSError):
            while data := pair.member.recv(65536):
                if pair.silent:
                    break
                for line in data.splitlines(keepends=True) if pair.watched else [data]:
                    if line.startswith(b"{"):
                        self._wait_to_tell(pair)
                    pair.agent.sendall(line)
        _end(pair.agent)
        if pair.silent:
            self.lost.set()

    def _wait_to_tell(self, pair):
        def may():
            return not (self._muted and pair.watched and pair.watched.endswith(self._muted)) or self._lines > 0
        with self._changed:
            self._changed.wait_for(may)
            self._lines -= self._lines > 0


class Pair:
    """A connection of an agent's, and the one to the member."""

    def __init__(self, agent, member):
        self.agent, self.member = agent, member
        self.watched, self.silent = None, False


def _writes(body):
    return [op[kind] for op in body.get("success", []) for kind in ("request_put", "request_delete_range") if kind in op]


def _keys(body):
    ops = [op[kind] for op in body.get("success", []) for kind in op]
    return [_text(part, "key") for part in ops or [body.get("create_request", body)]]


def _text(part, name):
    return base64.b64decode(part.get(name, "")).decode()


def _end(sock):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
