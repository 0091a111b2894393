# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions for others: who is asked, in which order, and what is believed."""
import collections
import socket
import time

import dns.flags
import dns.rcode
import pytest

from support import stub
from support import upstream as up
from support.cni import sanitized
from support.stub import ask, now_servers, values
from support.upstream import Upstream

STAGGER = 0.25      # until the next server is asked
SOON = 0.6 if sanitized() else 0.15         # nobody was waited for


def timed(function, *args, **kwargs):
    began = time.monotonic()
    result = function(*args, **kwargs)
    return result, time.monotonic() - began


@pytest.fixture
def two(lab, resolving):
    """The host's servers: 192.0.2.2, then 192.0.2.3."""
    lab.run(["ip", "addr", "add", "192.0.2.3/24", "dev", "eth0"], netns="outside")
    with Upstream(lab, "192.0.2.3", default=up.address("198.51.100.3")) as other:
        now_servers(lab, "192.0.2.2", "192.0.2.3")
        yield resolving, other


# ---- an answer ----

def test_answer_comes_as_it_is(lab, resolving):
    records = [up.record(b"\5alias\xc0\x0c", 5, 77), up.record(socket.inet_aton("198.51.100.9"), up.A, 66, b"\5alias\xc0\x0c")]
    resolving.on("a.test", up.made(lambda q: up.message(q, records, [up.record(b"\2ns\xc0\x0c", up.NS, 99)], flags=up.AA)))
    answer = ask(lab, "a.test")
    assert values(answer) == ["alias.a.test.", "198.51.100.9"]
    assert stub.ttls(answer) == [77, 66, 99]
    assert answer.flags == dns.flags.QR | dns.flags.RD | dns.flags.RA | dns.flags.AA
    assert [(q.source, q.transport) for q in resolving.seen] == [("192.0.2.1", "udp")], "from the host, once"


def test_case_of_the_question_is_the_askers(lab, resolving):
    query = stub.simple("MiXed.TeSt", 7)
    with stub.client(lab) as sock:
        sock.send(query)
        answer = sock.recv(4096)
    assert answer[12:len(query)] == query[12:]
    assert resolving.seen[0].raw[2:] == query[2:], "and nothing but the id is another"


@pytest.mark.parametrize("rdtype", ["A", "AAAA", "MX", "HTTPS", "CAA", "DNSKEY", "TYPE65534"])
def test_types_are_forwarded_as_they_are(lab, resolving, rdtype):
    resolving.on("a.test", lambda q: [up.Reply(up.message(q, [up.record(bytes(16), q.type)]))])
    with stub.client(lab) as sock:
        sock.send(stub.make("a.test", rdtype).to_wire())
        answer = sock.recv(4096)
    assert answer[6:8] == b"\0\1" and answer.endswith(b"\0\x10" + bytes(16))


def test_nxdomain_is_final(lab, two):
    first, second = two
    first.on("none.test", up.negative())
    answer = ask(lab, "none.test")
    assert answer.rcode() == dns.rcode.NXDOMAIN and len(answer.authority) == 1
    assert not second.seen


def test_nothing_of_that_type_is_final(lab, two):
    first, second = two
    first.on("a.test", up.negative(up.NOERROR))
    answer = ask(lab, "a.test")
    assert answer.rcode() == dns.rcode.NOERROR and not answer.answer and len(answer.authority) == 1
    assert not second.seen


@pytest.mark.parametrize("rcode", [up.FORMERR, 6, 9])
def test_what_is_said_of_the_question_is_final(lab, two, rcode):
    """YXDOMAIN and the like; and a client that hears FORMERR asks again without EDNS."""
    first, second = two
    first.on("a.test", up.fail(rcode))
    assert ask(lab, "a.test").rcode() == rcode
    assert not second.seen


# ---- servers that fail ----

@pytest.mark.parametrize("rcode", [up.SERVFAIL, up.NOTIMP, up.REFUSED])
def test_refusal_leads_to_the_next(lab, two, rcode):
    first, second = two
    first.on("a.test", up.fail(rcode))
    answer, took = timed(ask, lab, "a.test")
    assert values(answer) == ["198.51.100.3"] and took < SOON
    assert len(first.seen) == len(second.seen) == 1


@pytest.mark.parametrize("kind", ["empty", "cut", "more"])
def test_broken_answer_leads_to_the_next(lab, two, kind):
    first, second = two
    def broken(q):
        whole = up.message(q, [up.record(bytes(4))])
        return [up.Reply({"empty": up.message(q, [b""]), "cut": whole[:-1], "more": whole + b"x"}[kind])]
    first.on("a.test", broken)
    answer, took = timed(ask, lab, "a.test")
    assert values(answer) == ["198.51.100.3"] and took < SOON


def test_nobody_there_leads_to_the_next(lab, two):
    """ICMP tells."""
    two[0].close()
    answer, took = timed(ask, lab, "a.test")
    assert values(answer) == ["198.51.100.3"] and took < SOON


def test_no_way_leads_to_the_next(lab, two):
    lab.run(["ip", "-6", "route", "del", "default"])
    now_servers(lab, "2001:db8:77::1", "192.0.2.3")
    answer, took = timed(ask, lab, "a.test")
    assert values(answer) == ["198.51.100.3"] and took < SOON


def test_dead_server_costs_a_moment_and_then_nothing(lab, two):
    first, second = two
    first.on("*.test", up.silent)
    for n in range(3):
        answer, took = timed(ask, lab, f"dead{n}.test")
        assert values(answer) == ["198.51.100.3"]
        assert STAGGER * 0.9 < took < STAGGER + SOON
    assert len(first.seen) == 3
    answer, took = timed(ask, lab, "later.test")
    assert values(answer) == ["198.51.100.3"] and took < SOON
    assert len(first.seen) == 3, "it is not asked any more"


def test_server_that_was_dead_is_asked_when_the_other_one_fails(lab, two):
    first, second = two
    first.on("*.dead.test", up.silent)
    for n in range(3):
        ask(lab, f"{n}.dead.test")
    second.on("a.test", up.fail())
    answer, took = timed(ask, lab, "a.test")
    assert values(answer) == ["198.51.100.1"] and took < SOON


def test_server_asked_after_a_slow_one_is_not_to_blame(lab, two):
    """The first answers just after the second was asked, again and again; later the second is needed."""
    first, second = two
    lab.run(["ip", "addr", "add", "192.0.2.4/24", "dev", "eth0"], netns="outside")
    with Upstream(lab, "192.0.2.4") as third:
        now_servers(lab, "192.0.2.2", "192.0.2.3", "192.0.2.4")
        first.on("*.slow.test", up.late(STAGGER + 0.1, up.address()))
        second.on("*.slow.test", up.silent)
        for n in range(3):
            assert values(ask(lab, f"{n}.slow.test")) == ["198.51.100.1"]
        assert len(second.seen) == 3
        first.on("a.test", up.fail())
        assert values(ask(lab, "a.test")) == ["198.51.100.3"]
        assert not third.seen


def test_all_refuse(lab, two):
    for server, rcode in zip(two, (up.REFUSED, up.NOTIMP)):
        server.on("a.test", up.fail(rcode))
    answer, took = timed(ask, lab, "a.test", use_edns=True)
    assert answer.rcode() == dns.rcode.SERVFAIL and took < SOON
    assert answer.edns == 0 and answer.flags & dns.flags.RA


def test_servers_own_reason_is_told(lab, two):
    """Extended errors, RFC 8914."""
    reason = up.opt([(15, b"\0\6bogus")])
    for server in two:
        server.on("a.test", up.fail(additional=[reason]))
    answer = ask(lab, "a.test", use_edns=True)
    assert answer.rcode() == dns.rcode.SERVFAIL
    assert [(o.code, o.text) for o in answer.options] == [(6, "bogus")]
    assert ask(lab, "a.test").edns == -1


def test_no_server_at_all(lab, cni):
    stub.host_servers(lab)
    cni.add("bridge", stub.config()).expect()
    answer, took = timed(ask, lab, "a.test")
    assert answer.rcode() == dns.rcode.SERVFAIL and took < SOON


def test_silence_of_all_ends_in_servfail(lab, two):
    for server in two:
        server.on("a.test", up.silent)
    answer, took = timed(ask, lab, "a.test")
    assert answer.rcode() == dns.rcode.SERVFAIL and 9.5 < took < 10.5
    assert [len(server.seen) for server in two] == [3, 3]
    assert stub.stats(lab).total["waiting"] == 0


def test_lost_packet_is_sent_again_as_another(lab, resolving):
    resolving.on("a.test", up.drop_first(1, up.address()))
    answer, took = timed(ask, lab, "a.test")
    assert values(answer) == ["198.51.100.1"] and took < 2.5
    first, second = resolving.seen
    assert first.id != second.id and first.port != second.port


def test_late_answer_to_the_first_attempt_counts(lab, resolving):
    resolving.on("a.test", up.late(2.2, up.address()), up.silent)
    answer, took = timed(ask, lab, "a.test")
    assert values(answer) == ["198.51.100.1"] and took < 2.6
    assert len(resolving.seen) == 2


def test_retransmission_is_not_forwarded_twice(lab, resolving):
    resolving.on("a.test", up.late(0.2, up.address()))
    with stub.client(lab) as sock:
        for _ in range(5):
            sock.send(stub.simple("a.test", 7))
        sock.send(stub.simple("b.test", 7))     # another question, though the id is the same
        assert sock.recv(4096)[12:].startswith(b"\1b")
        assert sock.recv(4096)[12:].startswith(b"\1a")
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(4096)
    assert collections.Counter(q.name for q in resolving.seen) == {"a.test": 1, "b.test": 1}
    assert stub.counters(lab)["forwarded"] == 2


# ---- whom it believes ----

def test_spoofed_answers_are_ignored(lab, resolving):
    lab.run(["ip", "addr", "add", "192.0.2.9/24", "dev", "eth0"], netns="outside")
    evil, wrong = up.address("203.0.113.66"), [up.record(socket.inet_aton("203.0.113.66"))]
    resolving.on("a.test", up.all_of(
        up.from_socket(resolving.elsewhere("192.0.2.9"), evil),
        up.from_socket(resolving.elsewhere(port=5353), evil),
        up.made(lambda q: up.message(q, wrong, ident=q.id ^ 1)),
        up.made(lambda q: up.message(q, wrong, question=b"\1b\4test\0\0\1\0\1")),
        up.made(lambda q: up.message(q, wrong, question=b"\1a\4test\0\0\x1c\0\1")),
        up.made(lambda q: q.raw),
        up.made(lambda q: q.raw[:2] + b"\x81\x80" + bytes(8)),     # no question
        up.made(lambda q: b""), up.made(lambda q: q.raw[:11]), up.made(lambda q: bytes(range(256)) * 8),
        up.late(0.05, up.address("198.51.100.1"))))
    answer, took = timed(ask, lab, "a.test")
    assert values(answer) == ["198.51.100.1"] and took < SOON + 0.05
    assert len(resolving.seen) == 1


def test_stale_answer_does_not_reach_the_next_query(lab, resolving):
    """Of a socket that is used again: it has another port by then."""
    resolving.on("a.test", up.all_of(up.address(), up.address(), up.late(0.05, up.address("203.0.113.66"))))
    resolving.on("b.test", up.late(0.2, up.address("198.51.100.2")))
    assert values(ask(lab, "a.test")) == ["198.51.100.1"]
    assert values(ask(lab, "b.test")) == ["198.51.100.2"]


@pytest.mark.parametrize("inside", [False, True], ids=["host", "inside"])
def test_ports_and_ids_are_random(lab, cni, upstream, inside):
    cni.add("bridge", stub.config(**{"nameservers": ["192.0.2.2"]} if inside else {})).expect()
    with stub.Crowd(lab, {"c1": [f"{n}.test" for n in range(1000)]}, window=8) as crowd:
        crowd.send()
        assert [o for o in crowd.wait() if o.rcode != 0] == []
    assert {q.source for q in upstream.seen} == {"10.1.0.2" if inside else "192.0.2.1"}
    assert len(upstream.seen) == 1000
    assert len({q.port for q in upstream.seen}) >= 500
    assert len({q.id for q in upstream.seen}) >= 500
