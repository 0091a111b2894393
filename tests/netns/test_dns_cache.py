# SPDX-License-Identifier: GPL-2.0-or-later
"""Foreign answers are kept for as long as they say, for those who would hear the same."""
import concurrent.futures
import time

import dns.flags
import dns.rcode
import pytest

from support import configs, stub
from support import upstream as up
from support.stub import ask, ttls, values
from support.upstream import Upstream


def asked(server, name="a.test"):
    return len(server.of(name))


def wait_for_a_second():
    """Till the cache's clock, which starts when an answer comes, has gone on by one."""
    time.sleep(1.05)


def test_positive_answer_counts_down_and_expires(lab, resolving):
    records = [up.record(bytes(4), ttl=2), up.record(bytes(4), ttl=300)]
    resolving.on("a.test", up.made(lambda q: up.message(q, records[:1], [up.record(b"\0", up.NS, 9)])),
                 up.address("198.51.100.9"))
    resolving.on("b.test", up.made(lambda q: up.message(q, records[1:])))
    for name in ("a.test", "b.test"):
        ask(lab, name)
    first = ask(lab, "a.test")
    assert (values(first), ttls(first)) == (["0.0.0.0"], [2, 9]) and asked(resolving) == 1
    wait_for_a_second()
    assert ttls(ask(lab, "a.test")) == [1, 8] and asked(resolving) == 1
    wait_for_a_second()
    assert values(ask(lab, "a.test")) == ["198.51.100.9"] and asked(resolving) == 2
    assert ttls(ask(lab, "b.test")) == [298] and asked(resolving, "b.test") == 1
    assert stub.counters(lab)["cached"] == 3


@pytest.mark.parametrize("rcode", [up.NXDOMAIN, up.NOERROR], ids=["no name", "no such type"])
def test_negative_answer_is_kept_by_the_minimum_of_its_soa(lab, resolving, rcode):
    """RFC 2308 section 5: the lesser of the record's TTL and its minimum."""
    resolving.on("a.test", up.negative(rcode, ttl=3600, minimum=1))
    resolving.on("b.test", up.negative(rcode, ttl=1, minimum=3600))
    resolving.on("c.test", up.negative(rcode, ttl=3600, minimum=3600))
    names = ("a.test", "b.test", "c.test")
    for name in names + names:
        answer = ask(lab, name)
        assert answer.rcode() == rcode and not answer.answer and len(answer.authority) == 1
    assert [asked(resolving, name) for name in names] == [1, 1, 1]
    wait_for_a_second()
    for name in names:
        ask(lab, name)
    assert [asked(resolving, name) for name in names] == [2, 2, 1]


@pytest.mark.parametrize("behave", [
    up.fail(up.SERVFAIL), up.fail(up.REFUSED), up.fail(up.FORMERR), up.fail(6), up.address(ttl=0), up.address(ttl=1 << 31),
    up.negative(minimum=0), up.made(lambda q: up.message(q)), up.made(lambda q: up.message(q, rcode=up.NXDOMAIN)),
    up.address(flags=up.TC)],
    ids=["servfail", "refused", "formerr", "yxdomain", "ttl 0", "ttl 2^31", "minimum 0", "nodata, no soa", "nxdomain, no soa", "tc by tcp"])
def test_not_kept(lab, resolving, behave):
    resolving.on("a.test", behave)
    first, second = (ask(lab, "a.test").to_text().split("\n", 1)[1] for _ in range(2))
    assert first == second and asked(resolving) in (2, 4)
    assert stub.counters(lab)["cached"] == 0
    assert stub.stats(lab).total["cache"]["entries"] == 0


def test_bits_that_change_the_answer_are_of_the_key(lab, resolving):
    resolving.on("a.test", up.echo)
    kinds = [(0, False), (dns.flags.CD, False), (0, True), (dns.flags.CD, True), (dns.flags.AD, False)]

    def once():
        for flags, do in kinds:
            query = stub.make("a.test", want_dnssec=do, use_edns=0)
            query.flags |= flags
            answer = ask(lab, query)
            assert answer.flags & (dns.flags.CD | dns.flags.AD) == flags
            assert bool(answer.ednsflags & dns.flags.DO) == do
    once()
    assert asked(resolving) == len(kinds)
    once()
    assert asked(resolving) == len(kinds)
    query = stub.make("a.test", use_edns=0)
    query.flags &= ~dns.flags.RD
    ask(lab, query)
    ask(lab, "a.test", "AAAA")
    assert asked(resolving) == len(kinds) + 2


def test_what_does_not_change_the_answer_is_not(lab, resolving):
    """The question's case, EDNS without DO, the way that it came; each is answered as it was asked."""
    resolving.on("a.test", up.address(edns=True))
    for name, options in (("a.test", {}), ("A.tesT", {}), ("a.test", {"use_edns": 0}), ("a.TEST", {"tcp": True}),
                          ("a.test", {"use_edns": 0, "payload": 4096, "tcp": True})):
        answer = ask(lab, name, **options)
        assert answer.question[0].name.to_text() == name + "."
        assert (answer.edns == 0) == ("use_edns" in options)
        assert values(answer) == ["198.51.100.1"]
    assert asked(resolving) == 1


def test_answer_from_the_cache_is_fitted(lab, resolving):
    resolving.on("long.test", up.text(3000))
    assert len(ask(lab, "long.test", "TXT", tcp=True).to_wire()) == 3000
    for options, fits in (({}, False), ({"payload": 1232}, False), ({"tcp": True}, True)):
        answer = ask(lab, "long.test", "TXT", **options)
        assert bool(answer.answer) == fits == (not answer.flags & dns.flags.TC)
    assert asked(resolving, "long.test") == 2, "by UDP and by TCP"


def test_too_long_to_be_kept(lab, resolving):
    resolving.on("long.test", up.text(20000))
    for _ in range(2):
        assert len(ask(lab, "long.test", "TXT", tcp=True).to_wire()) == 20000
    assert asked(resolving, "long.test") == 4


# ---- whose it is ----

def test_sandboxes_share_what_the_hosts_servers_say(lab, cni, upstream):
    configs.attach(cni, stub.config(), "c1", "c2")
    for netns in ("c1", "c2", "c1"):
        ask(lab, "a.test", netns=netns)
    assert asked(upstream) == 1
    assert stub.counters(lab, "c2")["cached"] == stub.counters(lab, "c1")["cached"] == 1


def test_sandboxes_with_servers_of_their_own_do_not(lab, cni, upstream):
    """127.0.0.1 is another server in each of them; and nobody hears what only the host may ask."""
    lab.netns("c3")
    configs.attach(cni, stub.config(nameservers=["127.0.0.1"]), "c1", "c2")
    cni.add("bridge", configs.second(dns={"enabled": True}), "c3").expect()
    with Upstream(lab, "127.0.0.1", netns="c1", default=up.address("198.51.100.11")), \
            Upstream(lab, "127.0.0.1", netns="c2", default=up.address("198.51.100.12")):
        for _ in range(2):
            assert [values(ask(lab, "a.test", netns=n)) for n in ("c1", "c2", "c3")] == [
                ["198.51.100.11"], ["198.51.100.12"], ["198.51.100.1"]]
    assert stub.counters(lab, "c1")["cached"] == stub.counters(lab, "c3")["cached"] == 1


def test_other_servers_of_a_sandbox(lab, cni, upstream):
    """A second network comes, with others: what the old ones said is not what these say."""
    lab.run(["ip", "addr", "add", "192.0.2.3/24", "dev", "eth0"], netns="outside")
    with Upstream(lab, "192.0.2.3", default=up.address("198.51.100.3")):
        cni.add("bridge", stub.config(nameservers=["192.0.2.2"]), ifname="eth1").expect()
        assert values(ask(lab, "a.test")) == ["198.51.100.1"]
        config = configs.second(ipMasq=False, isDefaultGateway=False, isGateway=True,
                                dns={"enabled": True, "nameservers": ["192.0.2.3"]})
        cni.add("bridge", config, ifname="eth0").expect()
        assert values(ask(lab, "a.test")) == ["198.51.100.3"], "eth0's come first"
        cni.delete("bridge", config, ifname="eth0").expect()
        assert values(ask(lab, "a.test")) == ["198.51.100.1"]


def test_network_without_a_cache(lab, cni, upstream):
    cni.add("bridge", stub.config(cache=False)).expect()
    cni.add("bridge", configs.second(dns={"enabled": True}), "c2").expect()
    for netns in ("c1", "c2", "c1", "c2"):
        ask(lab, "a.test", netns=netns)
    assert asked(upstream) == 3
    assert stub.counters(lab)["cached"] == 0


def test_daemon_without_a_cache(lab, cni, upstream):
    stub.daemon(lab, "--cache", "0")
    cni.add("bridge", stub.config()).expect()
    for _ in range(3):
        assert values(ask(lab, "a.test")) == ["198.51.100.1"]
    assert asked(upstream) == 3
    assert stub.stats(lab).total["cache"] == {"entries": 0, "bytes": 0}


def test_changed_servers_clear_it(lab, resolving):
    ask(lab, "a.test")
    stub.now_servers(lab, "192.0.2.2", "192.0.2.99")
    assert stub.stats(lab).total["cache"]["entries"] == 0
    ask(lab, "a.test")
    assert asked(resolving) == 2


# ---- how large ----

def test_it_is_bounded(lab, cni, upstream):
    stub.daemon(lab, "--cache", "1024")
    cni.add("bridge", stub.config()).expect()
    names = [f"name-{n}.test" for n in range(20000)]
    with stub.Crowd(lab, {"c1": names}, window=64) as crowd:
        crowd.send()
        assert not [o for o in crowd.wait() if o.rcode != 0]
    total = stub.stats(lab).total["cache"]
    assert 1 << 19 < total["bytes"] <= 1 << 20 and total["entries"] < 20000
    assert len(upstream.seen) == 20000
    for name, times in ((names[-1], 1), (names[0], 2)):
        ask(lab, name)
        assert asked(upstream, name) == times, "those of long ago have gone"


def test_what_is_asked_for_stays(lab, cni, upstream):
    stub.daemon(lab, "--cache", "64")
    cni.add("bridge", stub.config()).expect()
    for n in range(20):
        with stub.Crowd(lab, {"c1": [f"{n}-{m}.test" for m in range(30)]}, window=16) as crowd:
            crowd.send()
            crowd.wait()
        ask(lab, "a.test")
    assert asked(upstream) == 1


def test_many_at_once_for_one_name(lab, cni, upstream):
    """They are asked one by one, and each is answered; then none is."""
    upstream.on("a.test", up.late(0.05, up.address()))
    cni.add("bridge", stub.config()).expect()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: values(ask(lab, "a.test")), range(16)))
    assert answers == [["198.51.100.1"]] * 16
    before = asked(upstream)
    assert ask(lab, "a.test").rcode() == dns.rcode.NOERROR and asked(upstream) == before
