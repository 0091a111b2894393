# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes, TCP on either side, and what EDNS carries."""
import collections
import socket
import threading

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from support import configs, stub
from support import upstream as up
from support.stub import ask, framed, read_stream, values

COOKIE = bytes(range(8))


def long_answer(lab, size, server, **kwargs):
    server.on("long.test", up.text(size))
    return ask(lab, "long.test", "TXT", **kwargs)


# ---- sizes ----

@pytest.mark.parametrize("size, edns, fits", [
    (512, None, True), (513, None, False), (1232 - 11, 1232, True), (1232 - 10, 1232, False), (800, 600, False),
    (512 - 11, 0, True), (512 - 10, 0, False), (1232 - 11, 4096, True), (1500, 4096, False), (65535, None, False), (65535, 4096, False)])
def test_fitted_to_what_the_client_takes(lab, resolving, size, edns, fits):
    """An OPT of ours takes 11 bytes. By UDP never more than 1,232, which every path carries."""
    options = {} if edns is None else {"payload": edns, "use_edns": 0}
    answer = long_answer(lab, size, resolving, **options)
    assert bool(answer.flags & dns.flags.TC) == (not fits)
    assert bool(answer.answer) == fits
    assert answer.rcode() == dns.rcode.NOERROR and (answer.edns == 0) == (edns is not None)


@pytest.mark.parametrize("size", [100, 1232, 5000, 65535])
def test_all_of_it_by_tcp(lab, resolving, size):
    answer = long_answer(lab, size, resolving, tcp=True)
    assert len(answer.to_wire(max_size=65535)) == size and not answer.flags & dns.flags.TC
    assert [q.transport for q in resolving.seen] == (["udp"] if size <= 512 else ["udp", "tcp"])


def test_largest_answer_has_no_room_for_edns(lab, resolving):
    answer = long_answer(lab, 65535, resolving, tcp=True, use_edns=0)
    assert answer.flags & dns.flags.TC and answer.edns == 0 and not answer.answer


def test_dig_comes_again_by_tcp(lab, resolving):
    resolving.on("long.test", up.text(3000))
    shown = lab.run(["dig", "+tries=1", "+time=5", "@127.0.0.11", "long.test", "TXT"], netns="c1").stdout
    assert "Truncated, retrying in TCP mode" in shown and "status: NOERROR" in shown and "(TCP)" in shown
    assert "MSG SIZE  rcvd: 3011" in shown
    assert len(resolving.of("long.test", "tcp")) == 1, "the second answer is from the cache"


# ---- TCP to the server ----

def test_truncated_answer_is_fetched_by_tcp(lab, resolving):
    resolving.on("a.test", up.truncated(up.address("198.51.100.7")))
    assert values(ask(lab, "a.test")) == ["198.51.100.7"]
    first, second = resolving.seen
    assert (first.transport, second.transport) == ("udp", "tcp")
    assert first.raw[2:] == second.raw[2:] and first.id != second.id


def test_tcp_that_fails_leads_to_the_next(lab, resolving):
    lab.run(["ip", "addr", "add", "192.0.2.3/24", "dev", "eth0"], netns="outside")
    with up.Upstream(lab, "192.0.2.3", default=up.address("198.51.100.3")):
        stub.now_servers(lab, "192.0.2.2", "192.0.2.3")
        closed = [up.Reply(b"", close=True)]
        for n, tcp in enumerate((lambda q: closed, up.made(lambda q: up.message(q, ident=q.id ^ 1)), up.made(lambda q: b""),
                                 up.made(lambda q: q.raw), up.fail(up.REFUSED), up.made(lambda q: up.message(q, [b""])))):
            resolving.on(f"{n}.test", up.truncated(tcp))
            assert values(ask(lab, f"{n}.test")) == ["198.51.100.3"], n
            assert len(resolving.of(f"{n}.test", "tcp")) == 1


def test_server_without_tcp(lab, cni):
    """It says TC, and then nobody is there."""
    with up.Upstream(lab, tcp=False) as server:
        stub.host_servers(lab, "192.0.2.2")
        cni.add("bridge", stub.config()).expect()
        server.on("a.test", up.truncated(up.silent))
        assert ask(lab, "a.test", timeout=2).rcode() == dns.rcode.SERVFAIL


# ---- TCP from the client ----

def test_many_on_one_connection_as_they_are_ready(lab, resolving):
    resolving.on("slow.test", up.late(0.3, up.address()))
    with stub.client(lab, kind=socket.SOCK_STREAM) as sock:
        sock.sendall(framed(stub.simple("slow.test", 1)) + b"".join(framed(stub.simple(f"{n}.test", n)) for n in range(2, 40)))
        order = [int.from_bytes(read_one(sock)[:2], "big") for _ in range(39)]
    assert sorted(order) == list(range(1, 40)) and order[-1] == 1


def read_one(sock):
    def exactly(n):
        data = b""
        while len(data) < n:
            more = sock.recv(n - len(data))
            assert more, "the end"
            data += more
        return data
    return exactly(int.from_bytes(exactly(2), "big"))


def test_half_closed_connection_gets_its_answers(lab, resolving):
    resolving.on("*.test", up.late(0.1, up.address()))
    with stub.client(lab, kind=socket.SOCK_STREAM) as sock:
        sock.sendall(b"".join(framed(stub.simple(f"{n}.test", n)) for n in range(5)))
        sock.shutdown(socket.SHUT_WR)
        assert sorted(read_one(sock)[1] for _ in range(5)) == [0, 1, 2, 3, 4]
        assert sock.recv(1) == b""


def test_query_in_pieces(lab, resolving):
    data = framed(stub.simple("a.test", 7)) + framed(stub.simple("b.test", 8))
    with stub.client(lab, kind=socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            sock.send(bytes([byte]))
        assert [read_one(sock)[1] for _ in range(2)] == [7, 8]


def test_more_than_may_be_at_work_on_a_connection(lab, resolving):
    """The rest waits, and is answered; nothing is refused."""
    resolving.on("*.test", up.late(0.05, up.address()))
    with stub.client(lab, kind=socket.SOCK_STREAM) as sock:
        sock.sendall(b"".join(framed(stub.simple(f"{n}.test", n)) for n in range(300)))
        sock.shutdown(socket.SHUT_WR)
        answers = [read_one(sock) for _ in range(300)]
        assert sock.recv(1) == b""
    assert collections.Counter(a[3] & 15 for a in answers) == {0: 300}
    assert len({int.from_bytes(a[:2], "big") for a in answers}) == 300


def test_client_that_does_not_read_stops_itself_only(lab, resolving):
    resolving.on("long.test", up.text(60000))
    ask(lab, "long.test", "TXT", tcp=True)      # is in no cache: too long
    wire = framed(stub.make("long.test", "TXT").to_wire())
    with stub.client(lab, kind=socket.SOCK_STREAM) as sock:
        sender = threading.Thread(target=lambda: sock.sendall(wire * 200))
        sender.start()
        resolving.wait(lambda server: len(server.seen) > 60)
        for n in range(20):
            assert values(ask(lab, f"{n}.test", timeout=1)) == ["198.51.100.1"]
        for _ in range(200):
            assert len(read_one(sock)) == 60000
        sender.join()


def test_client_that_goes_away(lab, resolving):
    resolving.on("*.slow.test", up.late(0.2, up.address()))
    for end in (b"", framed(b"no query")):
        with stub.client(lab, kind=socket.SOCK_STREAM) as sock:
            sock.sendall(b"".join(framed(stub.simple(f"{n}.slow.test", n)) for n in range(40)) + end)
            configs.eventually(lambda: stub.stats(lab).total["waiting"] == 40 or end)
            if not end:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")   # a reset
            else:
                assert sock.recv(1) == b"", "who sends what is no query has no connection with us"
    configs.eventually(lambda: stub.stats(lab).total["waiting"] == 0)
    seen = stub.stats(lab).sandboxes[str(lab.cookie("c1"))]
    assert seen["connections"] == 0 and seen["waiting"] == 0
    assert values(ask(lab, "a.test")) == ["198.51.100.1"]


def test_connections_are_limited(lab, resolving):
    socks = [stub.client(lab, kind=socket.SOCK_STREAM) for _ in range(70)]
    try:
        answered = 0
        for n, sock in enumerate(socks):
            try:
                sock.sendall(framed(stub.simple(f"{n}.test", n)))
                answered += read_stream(sock) is not None
            except ConnectionError:
                pass
        assert answered == 64
    finally:
        for sock in socks:
            sock.close()
    configs.eventually(lambda: stub.counters(lab) and not stub.stats(lab).sandboxes[str(lab.cookie("c1"))]["connections"])
    assert values(ask(lab, "a.test", tcp=True)) == ["198.51.100.1"]


# ---- EDNS ----

def test_options_go_both_ways(lab, resolving):
    resolving.on("a.test", up.echo)
    answer = ask(lab, "a.test", options=[dns.edns.GenericOption(10, COOKIE), dns.edns.GenericOption(65001, b"x")], payload=1400)
    assert {int(o.otype): o.to_wire() for o in answer.options} == {10: COOKIE, 65001: b"x"}
    assert resolving.seen[0].options == {10: COOKIE, 65001: b"x"}
    assert resolving.seen[0].message.payload == 1400


def test_cookie_of_the_server(lab, resolving):
    """RFC 7873: a new one with BADCOOKIE is for the client, which asks again with it."""
    bad = up.opt([(10, COOKIE + b"server00")], rcode=23)
    resolving.on("a.test", up.fail(23, additional=[bad]))
    answer = ask(lab, "a.test", options=[dns.edns.GenericOption(10, COOKIE)])
    assert answer.rcode() == 23
    assert [o.to_wire() for o in answer.options] == [COOKIE + b"server00"]


def test_dig_with_cookie(lab, resolving):
    resolving.on("a.test", up.echo)
    shown = lab.run(["dig", "+tries=1", "+time=5", "+cookie=0001020304050607", "@127.0.0.11", "a.test"], netns="c1").stdout
    assert "COOKIE: 0001020304050607" in shown and "status: NOERROR" in shown


@pytest.mark.parametrize("flags", [0, dns.flags.AD, dns.flags.CD, dns.flags.AD | dns.flags.CD])
@pytest.mark.parametrize("do", [False, True])
def test_dnssec_bits(lab, resolving, do, flags):
    resolving.on("a.test", up.echo)
    query = stub.make("a.test", want_dnssec=do, use_edns=0)
    query.flags |= flags
    answer = ask(lab, query)
    asked = resolving.seen[0].message
    for message in (asked, answer):
        assert message.flags & (dns.flags.AD | dns.flags.CD) == flags
        assert bool(message.ednsflags & dns.flags.DO) == do


def test_no_recursion_wanted(lab, resolving):
    query = stub.make("a.test")
    query.flags &= ~dns.flags.RD
    assert not ask(lab, query).flags & dns.flags.RD
    assert not resolving.seen[0].flags & up.RD


def test_none_in_none_out(lab, resolving):
    """Whatever the server puts there."""
    resolving.on("a.test", up.address(edns=True))
    answer = ask(lab, "a.test")
    assert answer.edns == -1 and values(answer) == ["198.51.100.1"]
    assert resolving.seen[0].message.edns == -1


def test_ours_where_the_server_has_none(lab, resolving):
    answer = ask(lab, "a.test", use_edns=0, want_dnssec=True)
    assert answer.edns == 0 and answer.payload == 1232 and values(answer) == ["198.51.100.1"]
