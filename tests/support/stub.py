# SPDX-License-Identifier: GPL-2.0-or-later
"""Who asks the resolver in a sandbox, what the host's resolv.conf says, and the daemon's control socket."""
import contextlib
import dataclasses
import glob
import json
import os
import selectors
import socket
import struct
import time

import dns.flags
import dns.message
import dns.query

from . import configs
from .cni import libexec

OWN = "127.0.0.11"
WITHIN = 15         # seconds, for a broken run: the resolver gives up after 10


# ---- one question ----

def make(name, rdtype="A", **edns):
    return dns.message.make_query(name, rdtype, **edns)


def ask(lab, name, rdtype="A", netns="c1", tcp=False, server=OWN, timeout=WITHIN, **edns):
    """The answer, a dns.message.Message. `name` may be a query that is ready."""
    query = name if isinstance(name, dns.message.Message) else make(name, rdtype, **edns)
    return lab.call(dns.query.tcp if tcp else dns.query.udp, query, server, timeout, netns=netns)


def values(answer):
    """Its answers as text, in order."""
    return [rdata.to_text() for rrset in answer.answer for rdata in rrset]


def addresses(lab, name, **kwargs):
    return values(ask(lab, name, **kwargs))


def ttls(answer):
    return [rrset.ttl for section in (answer.answer, answer.authority) for rrset in section]


def client(lab, netns="c1", server=OWN, timeout=WITHIN, kind=socket.SOCK_DGRAM):
    """A connected socket in the namespace."""
    def connect():
        sock = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, kind)
        sock.settimeout(timeout)
        sock.connect((server, 53))
        return sock
    return lab.call(connect, netns=netns)


def read_stream(sock):
    """One message of a TCP connection; None at its end."""
    data = b""
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
        more = sock.recv(65536)
        if not more:
            assert not data, "cut off"
            return None
        data += more
    assert len(data) == 2 + int.from_bytes(data[:2], "big"), "more than one at once"
    return data[2:]


def framed(wire):
    return len(wire).to_bytes(2, "big") + wire


# ---- many ----

@dataclasses.dataclass
class Outcome:
    netns: str
    name: str
    sent: float
    took: float = None      # seconds; None: there was no answer
    rcode: int = None


def simple(name, ident):
    """A query for an address as bytes: dnspython takes longer than the resolver."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


class Crowd:
    """Many questions at once, from as many sockets as there are namespaces, each sent once.

        crowd = Crowd(lab, {"c1": ["a.test", "b.test"], "c2": [...]})
        crowd.send("c2")                # or all of them
        crowd.wait()
        crowd.outcomes
    """

    def __init__(self, lab, wanted, window=None):
        self._lab, self.outcomes, self._open = lab, [], {}
        self._selector = selectors.DefaultSelector()
        self._todo, self._window = {}, window
        for netns, names in wanted.items():
            sock = client(lab, netns)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
            self._selector.register(sock, selectors.EVENT_READ, netns)
            self._todo[netns] = sock, list(enumerate(names))

    def send(self, *which, batch=0):
        """`batch`: so many, and then the next when the resolver has read them."""
        for netns in which or list(self._todo):
            sock, todo = self._todo.pop(netns)
            for ident, name in todo:
                outcome = Outcome(netns, name, time.monotonic())
                self.outcomes.append(outcome)
                self._open[sock, ident] = outcome
                sock.send(simple(name, ident))
                while self._window and len(self._open) >= self._window:
                    self._receive(WITHIN)
                if batch and ident % batch == batch - 1:
                    self._until_read(netns, ident + 1)

    def _until_read(self, netns, count):
        configs.eventually(lambda: counters(self._lab, netns)["queries"] >= count, WITHIN)

    def _receive(self, timeout):
        ready = self._selector.select(timeout)
        for key, _ in ready:
            with contextlib.suppress(BlockingIOError):
                while True:
                    data = key.fileobj.recv(4096)
                    outcome = self._open.pop((key.fileobj, int.from_bytes(data[:2], "big")), None)
                    if outcome:
                        outcome.took, outcome.rcode = time.monotonic() - outcome.sent, data[3] & 15
        return bool(ready)

    def wait(self, condition=lambda crowd: not crowd.waiting(), seconds=WITHIN):
        """Until the condition holds, else as long as it may take; returns the outcomes."""
        end = time.monotonic() + seconds
        while not condition(self) and time.monotonic() < end:
            self._receive(max(0, end - time.monotonic()))
        return self.outcomes

    def waiting(self, netns=None):
        return sum(netns in (None, outcome.netns) for outcome in self._open.values())

    def close(self):
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- who is asked ----

def config(name="net", **settings):
    """A bridge whose containers have a resolver. Their addresses are seen outside as they are."""
    return configs.bridge(name, ipMasq=False, dns={"enabled": True, **settings})


def conf(*servers, options=()):
    return "".join(f"nameserver {s}\n" for s in servers) + "".join(f"options {o}\n" for o in options)


def host_servers(lab, *servers):
    """Written into the lab's resolv.conf, which is a file of its own, mounted over the machine's."""
    if not lab.exists("/run/resolv.conf"):
        lab.write("/run/resolv.conf", conf(*servers))
        lab.run(["mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf"])
    lab.write("/etc/resolv.conf", conf(*servers))


def now_servers(lab, *servers):
    """The same while the daemon is at work: it knows of them afterwards."""
    host_servers(lab, *servers)
    known(lab, *servers)


def known(lab, *servers):
    configs.eventually(lambda: stats(lab).total["servers"] == [s.split("%")[0] for s in servers])


def daemon(lab, *options):
    """Started before a plugin does it, with options."""
    return lab.run([libexec("fairlead-dnsd"), "--background", *options])


# ---- the control socket ----

MAGIC = 0x31736e64
OPEN, CLOSE, ALIVE, SERVED, LISTEN, UNLISTEN, STATS, LOG, PING = range(1, 10)
REQUEST = struct.Struct("=IIQQQIB16s201s256s2x")
ANSWER = struct.Struct("=IiII512s")


def state_dir(lab):
    return lab.call(glob.glob, "/run/fairlead/*/dns.sock")[0].rsplit("/", 1)[0]


class Control:
    """A connection to the daemon."""

    def __init__(self, lab):
        self.lab, self.state = lab, state_dir(lab)
        self.sock = lab.call(self._connect)

    def _connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(WITHIN)
        sock.connect(self.state + "/dns.sock")
        return sock

    def request(self, op, sandbox=0, magic=MAGIC):
        found = self.lab.call(os.stat, self.state)
        return REQUEST.pack(magic, op, sandbox, found.st_dev, found.st_ino, 0, 0, b"", b"", b"")

    def exchange(self, data, fds=()):
        """What is answered: (result, text); None when the connection ends instead."""
        socket.send_fds(self.sock, [data], fds)
        got = self.sock.recv(4096)
        if not got:
            return None
        magic, result, _, _, text = ANSWER.unpack(got)
        assert magic == MAGIC
        return result, text.split(b"\0")[0].decode()

    def lines(self, op, sandbox=0):
        """JSON objects, as they come, until the connection ends."""
        assert self.exchange(self.request(op, sandbox)) == (0, "")
        return self._lines()

    def _lines(self):
        rest = b""
        while data := self.sock.recv(1 << 20):
            *complete, rest = (rest + data).split(b"\n")
            yield from map(json.loads, complete)
        assert not rest, "cut off"

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@dataclasses.dataclass
class Stats:
    sandboxes: dict     # id: {"networks", "waiting", "connections", "counters"}
    networks: dict      # name: hits
    total: dict         # "cache", "servers", "sandboxes", "waiting"


def stats(lab, sandbox=0):
    with Control(lab) as control:
        found = Stats({}, {}, {})
        for line in control.lines(STATS, sandbox):
            if "sandbox" in line or "listener" in line:
                found.sandboxes[line.get("sandbox") or line["listener"]] = line
            elif "network" in line:
                found.networks[line["network"]] = line["hits"]
            else:
                found.total = line
        return found


def counters(lab, netns="c1"):
    return stats(lab).sandboxes[str(lab.cookie(netns))]["counters"]
