# SPDX-License-Identifier: GPL-2.0-or-later
"""A name server that does as it is told, and remembers who asked.

    server = Upstream(lab)                              # 192.0.2.2, port 53, UDP and TCP, in `outside`
    server.on("a.test", address("198.51.100.7", ttl=2))
    server.on("*.lost.test", drop_first(1, address()))  # everything below it
    server.seen                                         # of each query: source, id, transport, bytes, time

A behaviour is a function of the query that returns what to send: replies, maybe later, maybe from
elsewhere, maybe none. Those below make the usual ones. Without one for a name it is answered by its address.
The sockets are in a namespace of the lab; one thread of the test's process serves them.
"""
import collections
import dataclasses
import functools
import heapq
import itertools
import selectors
import socket
import struct
import threading
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

A, NS, SOA, TXT, OPT = 1, 2, 6, 16, 41
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
TO_NAME = b"\xc0\x0c"   # a pointer to the question's


@dataclasses.dataclass(frozen=True)
class Query:
    source: str
    port: int
    transport: str      # "udp", "tcp"
    raw: bytes
    at: float           # time.monotonic()

    @property
    def id(self):
        return int.from_bytes(self.raw[:2], "big")

    @property
    def flags(self):
        return int.from_bytes(self.raw[2:4], "big")

    @functools.cached_property
    def question(self):
        at = 12
        while self.raw[at]:
            at += 1 + self.raw[at]
        return self.raw[12:at + 5]

    @property
    def type(self):
        return int.from_bytes(self.question[-4:-2], "big")

    @functools.cached_property
    def name(self):
        """In lower case, as one writes it."""
        labels, at = [], 0
        while self.question[at]:
            labels.append(self.question[at + 1:at + 1 + self.question[at]])
            at += 1 + self.question[at]
        return b".".join(labels).lower().decode("latin-1")

    @functools.cached_property
    def message(self):
        return dns.message.from_wire(self.raw)

    @property
    def options(self):
        """{code: bytes} of its EDNS."""
        return {int(o.otype): o.to_wire() for o in self.message.options}


@dataclasses.dataclass(frozen=True)
class Reply:
    data: bytes
    after: float = 0            # seconds
    socket: object = None       # another UDP one to send from
    close: bool = False         # of a TCP connection: end it instead


# ---- messages ----

def record(rdata, rtype=A, ttl=60, owner=TO_NAME):
    return owner + struct.pack("!HHIH", rtype, 1, ttl, len(rdata)) + rdata


def soa(ttl, minimum, owner=b"\0"):
    return record(b"\0\0" + struct.pack("!5I", 1, 3600, 600, 86400, minimum), SOA, ttl, owner)


def opt(options=(), size=1232, do=False, rcode=0):
    """An OPT record; `options` are (code, bytes)."""
    data = b"".join(struct.pack("!HH", code, len(value)) + value for code, value in options)
    return b"\0" + struct.pack("!HHBBHH", OPT, size, rcode >> 4, 0, 0x8000 if do else 0, len(data)) + data


def message(query, answer=(), authority=(), additional=(), rcode=0, flags=0, ident=None, question=None):
    """Bytes of an answer to the query. OPT is the caller's."""
    flags |= QR | RA | (query.flags & (RD | CD)) | (rcode & 15)
    head = struct.pack("!6H", query.id if ident is None else ident, flags, 1, len(answer), len(authority), len(additional))
    return b"".join([head, query.question if question is None else question, *answer, *authority, *additional])


# ---- behaviours ----

def address(*texts, ttl=60, flags=0, edns=False):
    data = [socket.inet_pton(socket.AF_INET6 if ":" in t else socket.AF_INET, t) for t in texts or ("198.51.100.1",)]
    records = [record(d, A if len(d) == 4 else 28, ttl) for d in data]
    return lambda q: [Reply(message(q, records, additional=[opt()] if edns else (), flags=flags))]


def text(size, ttl=60, rtype=TXT):
    """An answer of exactly `size` bytes, which some rdata fills; with TC and nothing by UDP where that is too much."""
    def behave(q):
        asked = max(q.message.payload, 512)
        if q.transport == "udp" and size > asked:
            return [Reply(message(q, flags=TC))]
        room = size - 12 - len(q.question) - 12
        data = b"".join(bytes([min(255, room - at - 1)]) + b"x" * min(255, room - at - 1) for at in range(0, room, 256))
        return [Reply(message(q, [record(data, rtype, ttl)]))]
    return behave


def negative(rcode=NXDOMAIN, ttl=60, minimum=60):
    return lambda q: [Reply(message(q, authority=[soa(ttl, minimum)], rcode=rcode))]


def fail(rcode=SERVFAIL, **more):
    return lambda q: [Reply(message(q, rcode=rcode, **more))]


def silent(q):
    return []


def late(seconds, behave):
    return lambda q: [dataclasses.replace(reply, after=reply.after + seconds) for reply in behave(q)]


def drop_first(n, behave):
    left = collections.Counter()

    def once_dropped(q):
        left[q.name] += 1
        return [] if left[q.name] <= n else behave(q)
    return once_dropped


def in_turn(*behaviours):
    """The first, then the second, ...; the last for ever."""
    count = itertools.count()
    return lambda q: behaviours[min(next(count), len(behaviours) - 1)](q)


def by_transport(udp, tcp):
    return lambda q: (udp if q.transport == "udp" else tcp)(q)


def truncated(tcp):
    return by_transport(lambda q: [Reply(message(q, flags=TC))], tcp)


def all_of(*behaviours):
    return lambda q: [reply for behave in behaviours for reply in behave(q)]


def made(function):
    """What `function(query)` returns, as the one reply."""
    return lambda q: [Reply(function(q))]


def from_socket(sock, behave):
    return lambda q: [dataclasses.replace(reply, socket=sock) for reply in behave(q)]


def echo(q):
    """Options, DO, AD and CD as they came."""
    has = q.message.edns >= 0
    back = [opt(q.options.items(), do=bool(q.message.ednsflags & dns.flags.DO))] if has else []
    return [Reply(message(q, [record(bytes(4))], additional=back, flags=q.flags & (AD | CD)))]


# ---- the server ----

def _listen(kind, address, port, interface):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        scope = socket.if_nametoindex(interface) if interface else 0
        sock.bind((address, port, 0, scope) if family == socket.AF_INET6 else (address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(512)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


class Upstream:
    def __init__(self, lab, address="192.0.2.2", port=53, netns="outside", interface=None, tcp=True, default=None):
        self.seen, self.default = [], default or _address_of_default
        self._behaviours, self._later, self._serial = {}, [], itertools.count()
        self._changed = threading.Condition()
        self._lab, self._place = lab, (address, port, interface)
        self._netns = netns
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_wake)
        self._udp = lab.call(_listen, socket.SOCK_DGRAM, *self._place, netns=netns)
        self._selector.register(self._udp, selectors.EVENT_READ, self._on_udp)
        if tcp:
            listener = lab.call(_listen, socket.SOCK_STREAM, *self._place, netns=netns)
            self._selector.register(listener, selectors.EVENT_READ, lambda: self._on_accept(listener))
        self._others = []
        self._running = True
        self._thread = threading.Thread(target=self._serve, name=f"upstream {address}", daemon=True)
        self._thread.start()

    def on(self, name, *behaviours):
        """For a name, or with "*.NAME" for all below it; several: each once, the last for ever."""
        self._behaviours[name.lower()] = behaviours[0] if len(behaviours) == 1 else in_turn(*behaviours)

    def of(self, name, transport=None):
        """The queries for a name."""
        return [q for q in list(self.seen) if q.name == name.lower() and transport in (None, q.transport)]

    def wait(self, condition, seconds=10.0):
        """Until `condition(self)` holds, looked at after each query."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), seconds), f"not seen; {len(self.seen)} queries were"

    def elsewhere(self, address=None, port=0):
        """Another UDP socket of the server's namespace, to answer from."""
        sock = self._lab.call(_listen, socket.SOCK_DGRAM, address or self._place[0], port, None, netns=self._netns)
        self._others.append(sock)
        return sock

    def close(self):
        if not self._running:
            return
        self._running = False
        self._wake.send(b"x")
        self._thread.join()
        for sock in [key.fileobj for key in list(self._selector.get_map().values())] + self._others + [self._wake]:
            sock.close()
        self._selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- in the thread ----

    def _serve(self):
        while self._running:
            timeout = max(0, self._later[0][0] - time.monotonic()) if self._later else None
            for key, _ in self._selector.select(timeout):
                key.data()
            while self._later and self._later[0][0] <= time.monotonic():
                heapq.heappop(self._later)[2]()

    def _on_wake(self):
        self._woken.recv(4096)

    def _behaviour(self, name):
        found = self._behaviours.get(name)
        while not found and "." in name:
            name = name.split(".", 1)[1]
            found = self._behaviours.get("*." + name)
        return found or self.default

    def _handle(self, query, send):
        replies = self._behaviour(query.name)(query)
        with self._changed:
            self.seen.append(query)
            self._changed.notify_all()
        for reply in replies:
            if reply.after:
                heapq.heappush(self._later, (time.monotonic() + reply.after, next(self._serial),
                                             functools.partial(send, reply)))
            else:
                send(reply)

    def _on_udp(self):
        for _ in range(256):
            try:
                raw, peer = self._udp.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError:     # ICMP: of an asker that has gone
                continue
            self._handle(Query(peer[0].split("%")[0], peer[1], "udp", raw, time.monotonic()),
                         functools.partial(self._send_udp, peer))

    def _send_udp(self, peer, reply):
        try:
            (reply.socket or self._udp).sendto(reply.data, peer)
        except OSError:
            pass                # its namespace is gone, or too large for UDP: as good as lost

    def _on_accept(self, listener):
        conn, peer = listener.accept()
        conn.setblocking(False)
        data = bytearray()
        self._selector.register(conn, selectors.EVENT_READ, lambda: self._on_stream(conn, peer, data))

    def _drop(self, conn):
        if conn.fileno() >= 0:
            self._selector.unregister(conn)
            conn.close()

    def _on_stream(self, conn, peer, data):
        try:
            more = conn.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if not more:
            self._drop(conn)
            return
        data += more
        while len(data) >= 2 and len(data) >= 2 + int.from_bytes(data[:2], "big"):
            size = 2 + int.from_bytes(data[:2], "big")
            raw = bytes(data[2:size])
            del data[:size]
            self._handle(Query(peer[0].split("%")[0], peer[1], "tcp", raw, time.monotonic()),
                         functools.partial(self._send_tcp, conn))

    def _send_tcp(self, conn, reply):
        try:
            if reply.close:
                self._drop(conn)
                return
            conn.setblocking(True)
            conn.sendall(len(reply.data).to_bytes(2, "big") + reply.data)
            conn.setblocking(False)
        except OSError:
            self._drop(conn)


_address_of_default = address()
