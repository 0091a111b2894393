# SPDX-License-Identifier: GPL-2.0-or-later
"""The resolver at 127.0.0.11: messages that are none, too long or too many, by UDP and TCP. Names are in test_dns_names.py."""
import contextlib
import random
import socket
import struct
import time

import pytest

from support import configs, dns

NET = dns.network()
STREAMS = 64        # of a sandbox, at once
LINGER_NOT = struct.pack("ii", 1, 0)


@pytest.fixture
def one(lab, cni):
    """The address of c1, called web; whatever a test does there, the process that answers must survive it."""
    with dns.upstream(lab):
        [address] = dns.attach(cni, NET, "c1", "web")
        before = dns.worker(lab)
        yield address
        assert dns.lookup(lab, "c1", "web") == [address]
        assert dns.lookup(lab, "c1", "web", tcp=True) == [address]
        assert dns.worker(lab) == before


@pytest.fixture
def many(lab, cni):
    """Containers m0 to m2 with 16 addresses of either family each, all called db."""
    found = [[], []]
    for i in range(3):
        ranges = [[f"10.1.{i}.{n}" for n in range(2, 10)], [f"fd00:1::{i + 1}:{n}" for n in range(1, 9)]]
        config = dns.network(isDefaultGateway=None, ipMasq=None, ipam={"type": "static", "addresses": [
            {"address": f"{a}/{length}"} for family, length in zip(ranges, (16, 64)) for a in family]})
        lab.netns(f"m{i}")
        dns.attach(cni, config, f"m{i}", aliases=["db"])
        for to, family in zip(found, ranges):
            to += family
    return found


# ---- what is not answered from the names ----

@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("kind, rdclass", [("TXT", "CH"), ("A", "CH"), ("A", "HS"), ("A", "ANY"), ("AXFR", "IN"), ("IXFR", "IN")])
def test_refused(lab, one, kind, rdclass, tcp):
    for name in ("web", "version.bind", "example.org"):
        answer = dns.ask(lab, "c1", name, kind, rdclass=rdclass, tcp=tcp)
        assert dns.rcode(answer) == "REFUSED" and not answer.answer


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 15], ids=["IQUERY", "STATUS", "NOTIFY", "UPDATE", "15"])
def test_not_implemented(lab, one, opcode):
    message = bytearray(dns.query("web").to_wire())
    message[2] |= opcode << 3
    with contextlib.closing(dns.udp(lab, "c1")) as sock:
        sock.send(message)
        answer = sock.recv(4096)
    assert answer[:2] == message[:2] and answer[2] & 0xf8 == message[2] & 0x78 | 0x80 and answer[3] & 15 == 4


def test_without_recursion_desired(lab, one):
    answer = dns.ask(lab, "c1", "web", flags=0)
    assert dns.data(answer) == [one] and dns.flags(answer) == "QR AA RA"


def test_edns(lab, one):
    assert dns.ask(lab, "c1", "web").edns == -1
    answer = dns.ask(lab, "c1", "web", payload=4096, want_dnssec=True)
    assert answer.edns == 0 and answer.payload == 1232 and dns.data(answer) == [one] and answer.ednsflags & 0x8000
    newer = dns.query("web", payload=1232)
    newer.ednsflags |= 1 << 16
    assert dns.rcode(dns.ask(lab, "c1", newer)) == "BADVERS"


# ---- answers that are too long ----

def test_truncated(lab, many):
    """At 512 bytes without EDNS, at what EDNS says, and never above 1232; TCP has all of it."""
    for family, kind in enumerate(("A", "AAAA")):
        for payload in (None, 512, 700, 1232, 4096):
            how = {"payload": payload} if payload else {}
            answer = dns.ask(lab, "m0", "db", kind, **how)
            room = min(payload or 512, 1232)
            record, found = 16 + 12 * family, dns.data(answer)
            taken = 12 + len(dns.query("db").to_wire()) - 12 + (11 if payload else 0)
            assert len(found) == min(len(many[family]), (room - taken) // record)
            assert dns.truncated(answer) == (len(found) < len(many[family]))
            assert set(found) <= set(many[family]) and len(set(found)) == len(found)
            assert bool(payload) == (answer.edns == 0)
        assert sorted(dns.lookup(lab, "m0", "db", kind, tcp=True)) == sorted(many[family])
    assert sorted(dns.lookup(lab, "m0", "db", "ANY", tcp=True)) == sorted(many[0] + many[1])


def test_answers_of_a_client_that_does_not_read(lab, many):
    """More than the connection's limit of unread bytes: reading stops, and goes on when they are fetched."""
    wire, count = dns.query("db", "ANY").to_wire(), 900
    with contextlib.closing(dns.tcp(lab, "m0", receive=4096)) as sock:
        sock.sendall(dns.framed(wire) * count)
        # Served in the meantime: others, and it is they who are asked when the first answers are there.
        sock.recv(1, socket.MSG_PEEK)
        assert len(dns.lookup(lab, "m0", "db", tcp=True)) == 24
        sizes = [len(message) for message in dns.read_messages(sock, count)]
    assert len(sizes) == count and sum(sizes) > 1 << 19 and len(set(sizes)) == 1


# ---- TCP ----

def test_pipelined(lab, one):
    """All in one write: those that are known and, more than a connection may have at work at once, those that are forwarded."""
    names = [f"n{i}.example.org" if i % 2 else "web" for i in range(300)]
    queries = [dns.query(name, id=i) for i, name in enumerate(names)]
    with contextlib.closing(dns.tcp(lab, "c1")) as sock:
        sock.sendall(b"".join(dns.framed(q.to_wire()) for q in queries))
        answers = [dns.parse(wire) for wire in dns.read_messages(sock, len(queries))]
    assert sorted(a.id for a in answers) == list(range(len(queries)))
    for answer in answers:
        assert queries[answer.id].is_response(answer)
        assert dns.data(answer) == [dns.FOREIGN if answer.id % 2 else one]


def test_byte_by_byte(lab, one):
    wire = dns.framed(dns.query("web").to_wire())
    with contextlib.closing(dns.tcp(lab, "c1")) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in wire + wire:
            sock.send(bytes([byte]))
        assert len(dns.read_messages(sock, 2)) == 2


@pytest.mark.parametrize("more", [b"", b"\0", b"\0\x20abc"])
def test_half_closed(lab, one, more):
    """Whoever says no more still gets what was asked, and then the end; also behind the beginning of another query."""
    names = ["web", "a.example.org", "web", "b.example.org"]
    with contextlib.closing(dns.tcp(lab, "c1")) as sock:
        sock.sendall(b"".join(dns.framed(dns.query(name).to_wire()) for name in names) + more)
        sock.shutdown(socket.SHUT_WR)
        answers = [dns.data(dns.parse(wire)) for wire in dns.read_messages(sock)]
    assert sorted(answers) == sorted([[one], [one], [dns.FOREIGN], [dns.FOREIGN]])


@pytest.mark.parametrize("data", [b"\0\0", b"\0\1x", b"\0\x0b" + b"x" * 11, dns.framed(b"\xff" * 600)],
                         ids=["empty", "one byte", "short", "an answer"])
def test_garbage_ends_its_connection(lab, one, data):
    with contextlib.closing(dns.tcp(lab, "c1")) as sock:
        sock.sendall(data)
        assert dns.ended(sock)


def test_malformed_query_by_tcp_is_told_so(lab, one):
    wire = dns.query("web").to_wire()
    with contextlib.closing(dns.tcp(lab, "c1")) as sock:
        sock.sendall(dns.framed(wire[:-1]) + dns.framed(wire))
        first, second = dns.read_messages(sock, 2)
    assert first[3] & 15 == 1 and second[3] & 15 == 0


@pytest.mark.parametrize("sent", [b"", b"\0", b"\0\x20abc", "whole", "forwarded"])
def test_reset(lab, one, sent):
    """A query that is cut off, then RST: no loop (aardvark-dns, CVE-2026-35406)."""
    known = {"whole": dns.framed(dns.query("web").to_wire()), "forwarded": dns.framed(dns.query("x.example.org").to_wire())}
    for _ in range(20):
        sock = dns.tcp(lab, "c1")
        sock.send(known.get(sent, sent))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        sock.close()
    assert dns.lookup(lab, "c1", "web", tcp=True) == [one]
    pid = dns.worker(lab)
    before, began = dns.cpu(lab, pid), time.monotonic()
    time.sleep(0.1)     # in which nothing must happen
    assert dns.cpu(lab, pid) - before < (time.monotonic() - began) / 2


def test_idle_connections(lab, cni, one):
    """Up to a limit; beyond it the newest is closed, and everything else works: by UDP, elsewhere, and here when one has ended."""
    dns.attach(cni, NET, "c2", "two")
    idle = [dns.tcp(lab, "c1") for _ in range(STREAMS)]
    try:
        late = dns.tcp(lab, "c1")
        assert dns.ended(late)
        late.close()
        idle[0].sendall(dns.framed(dns.query("web").to_wire()))
        assert len(dns.read_messages(idle[0], 1)) == 1
        assert dns.lookup(lab, "c1", "web") == [one] and dns.lookup(lab, "c2", "web", tcp=True) == [one]
        idle.pop().close()
        configs.eventually(lambda: served(lab))
    finally:
        for sock in idle:
            sock.close()
    configs.eventually(lambda: served(lab))


def served(lab):
    """Is a connection of its own answered?"""
    with contextlib.closing(dns.tcp(lab, "c1")) as sock:
        try:
            sock.sendall(dns.framed(dns.query("web").to_wire()))
            return bool(dns.read_messages(sock, 1))
        except ConnectionError:
            return False


# ---- UDP ----

def test_every_prefix(lab, one):
    """A query that was cut off anywhere: without a header it is dropped, else it is told to be malformed."""
    for wire in (dns.query("web.net").to_wire(), dns.query("web", payload=1400, want_dnssec=True).to_wire()):
        with contextlib.closing(dns.udp(lab, "c1")) as sock:
            for end in range(len(wire)):
                sock.send(wire[:end])
                if end >= 12:
                    answer = sock.recv(4096)
                    assert answer[:2] == wire[:2] and answer[3] & 15 == 1, end
            sock.send(wire)
            assert sock.recv(4096)[3] & 15 == 0, "nothing else came"


def test_bytes_behind_the_end(lab, one):
    wire = dns.query("web").to_wire()
    with contextlib.closing(dns.udp(lab, "c1")) as sock:
        for more in (b"\0", b"x" * 100, b"x" * 1900):
            sock.send(wire + more)
            assert sock.recv(4096)[3] & 15 == 1
        for more in (b"x" * 3000, b"x" * 60000):    # more than any query has: dropped
            sock.send(wire + more)
        sock.send(wire)
        assert sock.recv(4096)[3] & 15 == 0


def test_answers_are_not_answered(lab, one):
    """Or two resolvers could talk to each other for ever."""
    wire = bytearray(dns.query("web").to_wire())
    with contextlib.closing(dns.udp(lab, "c1")) as sock:
        for bits in (0x80, 0x84, 0xa0):
            wire[2] = bits
            sock.send(wire)
        sock.send(dns.query("web", id=77).to_wire())
        assert sock.recv(4096)[:2] == b"\0\x4d"


def test_random_bytes(lab, one):
    """Anything, and queries in which anything was changed."""
    draw = random.Random(53)
    wire = dns.query("web.net", payload=1232).to_wire()
    with contextlib.closing(dns.udp(lab, "c1")) as sock:
        for _ in range(1500):
            changed = bytearray(wire)
            for _ in range(draw.randrange(1, 6)):
                changed[draw.randrange(len(wire))] = draw.randrange(256)
            sock.send(changed if draw.randrange(2) else draw.randbytes(draw.randrange(200)))
            if not draw.randrange(8):
                assert dns.lookup(lab, "c1", "web") == [one]


def test_many_at_once(lab, one):
    """As fast as they can be sent: the socket is read in batches, and each is answered."""
    count = 64
    with contextlib.closing(dns.udp(lab, "c1")) as sock:
        for turn in range(5):
            for i in range(count):
                sock.send(dns.query("web" if i % 4 else f"t{turn}i{i}.example.org", id=i).to_wire())
            answers = [dns.parse(sock.recv(4096)) for _ in range(count)]
            assert sorted(a.id for a in answers) == list(range(count))
            for answer in answers:
                assert dns.data(answer) == [one if answer.id % 4 else dns.FOREIGN]
