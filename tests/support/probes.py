# SPDX-License-Identifier: GPL-2.0-or-later
"""Echo servers and clients.

A socket belongs to the namespace it was created in, whoever uses it later. So servers of all
namespaces of a lab are served by one thread, and a server is ready as soon as it was created.
Each answer says who answered and which address the question came from.
"""
import dataclasses
import itertools
import json
import selectors
import socket
import threading


class Unreachable(Exception):
    """Refused, rejected, or no answer in the time given."""


@dataclasses.dataclass(frozen=True)
class Answer:
    server: str     # name given to the server
    peer: str       # address of the client as the server saw it
    peer_port: int
    address: str    # address and port that the server was reached at
    port: int
    data: str


def _family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _plain(address):
    return address[7:] if address.startswith("::ffff:") else address


def listen(proto, address, port):
    """A bound (and listening) socket in the calling thread's namespace."""
    kind = socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM
    sock = socket.socket(_family(address), kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if proto == "udp" and sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(512)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


class Server:
    """One listening socket; `port` is the one that the kernel chose when 0 was asked for."""

    def __init__(self, reactor, sock, proto, name, netns):
        self.sock, self.proto, self.name, self.netns = sock, proto, name, netns
        self.address, self.port = sock.getsockname()[:2]
        self.seen = []          # peers, in order
        self._reactor = reactor

    def close(self):
        self._reactor.drop(self)


class Reactor:
    """The thread that serves every server of a lab."""

    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._todo = []
        self._lock = threading.Lock()
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_wake)
        self._servers = []
        self._thread = None
        self._running = True

    def add(self, sock, proto, name, netns):
        server = Server(self, sock, proto, name, netns)
        self._ask(lambda: self._selector.register(
            sock, selectors.EVENT_READ, lambda: self._on_server(server)))
        self._servers.append(server)
        return server

    def drop(self, server):
        self._ask(lambda: self._close_sockets(server))

    def servers(self):
        return list(self._servers)

    def close(self):
        if self._thread is not None:
            self._ask(self._stop)
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._wake.close()
        self._selector.close()

    def _ask(self, work):
        """Run `work` in the serving thread and wait until it is done."""
        done = threading.Event()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="echo", daemon=True)
                self._thread.start()
            self._todo.append((work, done))
        self._wake.send(b"x")
        done.wait()

    def _serve(self):
        while self._running:
            for key, _ in self._selector.select():
                key.data()

    def _stop(self):
        self._running = False

    def _on_wake(self):
        self._woken.recv(4096)
        with self._lock:
            todo, self._todo = self._todo, []
        for work, done in todo:
            try:
                work()
            finally:
                done.set()

    def _close_sockets(self, server):
        for key in list(self._selector.get_map().values()):
            if getattr(key.data, "owner", None) is server:
                self._close(key.fileobj)
        if server in self._servers:
            self._servers.remove(server)
            self._close(server.sock)

    def _close(self, sock):
        self._selector.unregister(sock)
        sock.close()

    def _on_server(self, server):
        try:
            if server.proto == "udp":
                self._answer_datagram(server)
            else:
                self._accept(server)
        except OSError:
            pass  # an ICMP error of an earlier answer, or the peer has gone

    def _answer_datagram(self, server):
        data, ancillary, _, peer = server.sock.recvmsg(65536, 256)
        address, reply = server.address, []
        for level, kind, value in ancillary:
            if (level, kind) == (socket.IPPROTO_IP, 8):
                address = socket.inet_ntoa(value[8:12])
                # the answer leaves from the address that was asked, whatever the route prefers
                reply = [(level, kind, bytes(4) + value[8:12] + bytes(4))]
        server.seen.append(peer[0])
        server.sock.sendmsg([_report(server, peer, (address, server.port), data)], reply, 0, peer)

    def _accept(self, server):
        conn, peer = server.sock.accept()
        conn.setblocking(False)
        server.seen.append(peer[0])

        def on_data():
            self._on_stream(server, conn, peer)
        on_data.owner = server
        self._selector.register(conn, selectors.EVENT_READ, on_data)

    def _on_stream(self, server, conn, peer):
        try:
            data = conn.recv(65536)
            if data:
                conn.send(_report(server, peer, conn.getsockname(), data))
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(conn)


def _report(server, peer, local, data):
    return json.dumps({"server": server.name, "peer": _plain(peer[0]), "peer_port": peer[1],
                       "address": _plain(local[0]), "port": local[1],
                       "data": data.decode(errors="replace")}).encode() + b"\n"


def _read_answer(sock, udp):
    data = b""
    while not data.endswith(b"\n"):
        more = sock.recv(65536)
        if not more:
            raise Unreachable("closed before an answer")
        data += more
        if udp:
            break
    return Answer(**json.loads(data))


def open_client(proto, address, port, timeout, source=None):
    """A connected socket in the calling thread's namespace. Raises Unreachable."""
    kind = socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM
    sock = socket.socket(_family(address), kind)
    try:
        sock.settimeout(timeout)
        if source is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(source)
        sock.connect((address, port))
    except OSError as error:
        sock.close()
        raise Unreachable(f"{proto} {address} port {port}: {error}") from error
    except BaseException:
        sock.close()
        raise
    return sock


_serial = itertools.count()


def ask(sock, proto, text=None, timeout=3.0):
    """Send on a connected socket and read the answer. A lost datagram is sent again; late answers to others are dropped."""
    udp = proto == "udp"
    text = text or f"hello {next(_serial)}"
    tries = max(1, round(timeout / 0.5)) if udp else 1
    sock.settimeout(timeout / tries)
    for left in range(tries - 1, -1, -1):
        try:
            sock.send(text.encode())
            answer = _read_answer(sock, udp)
            while udp and answer.data != text:
                answer = _read_answer(sock, udp)
            return answer
        except TimeoutError as error:
            if not left:
                raise Unreachable(f"{proto} {sock.getpeername()}: no answer") from error
        except OSError as error:
            raise Unreachable(f"{proto}: {error}") from error
    raise AssertionError("not reached")


def probe(proto, address, port, timeout=3.0, source=None, text=None):
    with open_client(proto, address, port, timeout, source) as sock:
        return ask(sock, proto, text, timeout)
