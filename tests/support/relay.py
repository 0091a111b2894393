# SPDX-License-Identifier: GPL-2.0-or-later
"""Between an agent and a member of etcd: what is asked for passes when it may.

    with Relay(node.lab, "http://192.0.2.101:2379") as relay:
        relay.hold("/node/")                # requests for a key, or all that begins with it, that ends so
        node.configure(endpoints=[relay.url])
        relay.wait("watch", "/alive/")      # one of these was let pass
        relay.release()
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
        self._held, self._asked = (), []
        self._changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, *keys):
        self._held = keys

    def release(self):
        with self._changed:
            self._held = ()
            self._changed.notify_all()

    def wait(self, verb, key, times=1):
        """So many requests of this verb (range, watch) for the key were let pass."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._count(verb, key) >= times, WITHIN), (verb, key, self._asked)

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
                member = self._lab.call(socket.create_connection, self._to)
                self._open += [agent, member]
                threading.Thread(target=self._requests, args=(agent, member), daemon=True).start()
                threading.Thread(target=self._answers, args=(member, agent), daemon=True).start()

    def _requests(self, agent, member):
        with contextlib.suppress(OSError, ValueError), agent.makefile("rb") as stream:
            while request := read_request(stream):
                body = request.body or {}
                key = body.get("create_request", body).get("key", "")
                verb, key = request.path.rsplit("/", 1)[1], base64.b64decode(key).decode()
                with self._changed:
                    self._changed.wait_for(lambda: not any(key.endswith(held) for held in self._held))
                    self._asked.append((verb, key))
                    self._changed.notify_all()
                data = json.dumps(body).encode() if request.body else b""
                fields = {**request.headers, "content-length": str(len(data))}
                head = [f"{'POST' if data else 'GET'} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
                member.sendall("\r\n".join([*head, "", ""]).encode() + data)
        _end(member)

    @staticmethod
    def _answers(member, agent):
        with contextlib.suppress(OSError):
            while data := member.recv(65536):
                agent.sendall(data)
        _end(agent)


def _end(sock):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
