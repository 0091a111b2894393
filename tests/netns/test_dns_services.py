# SPDX-License-Identifier: GPL-2.0-or-later
"""SRV records of published ports (RFC 2782): by number on either side, by name, with the addresses beside them."""
import pytest

from support import configs, dns
from support.cni import Chain

NET = dns.network()


@pytest.fixture
def upstream(lab):
    with dns.upstream(lab) as server:
        yield server


def services(lab, name, netns="c1", kind="SRV"):
    """[(port, target)] in the answer's order; those who ask get "0 0 PORT TARGET"."""
    found = [item.split() for item in dns.lookup(lab, netns, name, kind)]
    assert all(item[:2] == ["0", "0"] for item in found)
    return [(int(item[2]), item[3]) for item in found]


def publish(config, *ports, **more):
    return configs.publish(dns.named(config, "web"), *ports, **more)


def test_by_number_and_by_name(lab, cni, upstream):
    [one] = cni.add("bridge", publish(NET, (8080, 80), (5353, 53, "udp")), "c1").expect().addresses()
    for name in ("_80._tcp.web", "_8080._tcp.web", "_http._tcp.web", "_HTTP._TCP.Web.net", "_80._tcp.c1"):
        answer = dns.ask(lab, "c1", name, "SRV")
        assert dns.data(answer) == ["0 0 80 web.net."] and dns.additional(answer) == [("web.net.", one)], name
    assert services(lab, "_53._udp.web") == services(lab, "_domain._udp.web") == [(53, "web.net.")]
    assert services(lab, "_80._tcp.web", kind="ANY") == [(80, "web.net.")]
    assert not upstream.asked


@pytest.mark.parametrize("name", ["_81._tcp.web", "_80._udp.web", "_80._sctp.web", "_https._tcp.web", "_nothing._tcp.web",
                                  "_0._tcp.web", "_080._tcp.web", "_99999._tcp.web", "_4294967376._tcp.web", "_80x._tcp.web"])
def test_what_is_not_published(lab, cni, upstream, name):
    """The host is known: nothing of it is asked elsewhere."""
    cni.add("bridge", publish(NET, (8080, 80)), "c1").expect()
    assert dns.no_data(dns.ask(lab, "c1", name, "SRV")) and not upstream.asked


def test_other_types_at_a_service(lab, cni, upstream):
    cni.add("bridge", publish(NET, (8080, 80)), "c1").expect()
    for kind in ("A", "AAAA", "TXT"):
        assert dns.no_data(dns.ask(lab, "c1", "_80._tcp.web", kind))
    assert not upstream.asked


def test_of_hosts_that_are_not_there(lab, cni, upstream):
    cni.add("bridge", publish(NET, (8080, 80)), "c1").expect()
    names = ["_80._tcp.nobody", "_80._tcp.example.org", "_80._icmp.web", "_80.web", "_tcp.web", "80._tcp.web"]
    for name in names:
        assert dns.lookup(lab, "c1", name, "SRV") == []
    assert upstream.asked == names


def test_range(lab, cni, upstream):
    """The port inside is told, whichever side's was asked for."""
    ports = configs.port(9000, 7000, range=10), configs.port(1000, 2000, "udp", range=2)
    cni.add("bridge", publish(NET, *ports), "c1").expect()
    for asked, inside in ((9000, 7000), (9009, 7009), (7000, 7000), (7009, 7009)):
        assert services(lab, f"_{asked}._tcp.web") == [(inside, "web.net.")]
    assert services(lab, "_1001._udp.web") == [(2001, "web.net.")]
    for asked in (8999, 9010, 6999, 7010):
        assert services(lab, f"_{asked}._tcp.web") == []


def test_several_with_one_name(lab, cni, upstream):
    """One record for each that publishes the port, and the addresses of each, of both families."""
    found = {}
    for i in range(4):
        lab.netns(f"m{i}")
        config = dns.named(dns.dual(), f"m{i}", aliases=["db"])
        if i:
            config = configs.publish(config, (9000 + i, 5432))
        found[f"m{i}.net."] = cni.add("bridge", config, f"m{i}").expect().addresses()
    answer = dns.ask(lab, "m0", "_5432._tcp.db", "SRV", tcp=True)
    assert sorted(dns.data(answer)) == [f"0 0 5432 m{i}.net." for i in (1, 2, 3)]
    del found["m0.net."]
    assert sorted(dns.additional(answer)) == sorted((name, a) for name, pair in found.items() for a in pair)
    assert services(lab, "_9002._tcp.db", "m0") == [(5432, "m2.net.")]


def test_ports_of_the_chained_plugin(lab, cni, upstream):
    """portmap has a record of its own for them."""
    main = {key: value for key, value in NET.items() if key not in ("cniVersion", "name")}
    chain = Chain(cni, configs.conflist({**main, "args": {"cni": {"name": "web"}}},
                                        {"type": "portmap", "capabilities": {"portMappings": True}}))
    chain.add("c1", capabilities={"portMappings": [configs.port(8080, 80)]}).expect()
    assert services(lab, "_http._tcp.web") == services(lab, "_8080._tcp.web") == [(80, "web.net.")]
    chain.delete("c1").expect()


def test_on_two_networks(lab, cni, upstream):
    """Published on one of them: that one's name is told, with its address."""
    cni.add("bridge", publish(NET, (8080, 80)), "c1").expect()
    [two] = cni.add("bridge", publish(dns.second(), (8081, 81)), "c1", ifname="eth1").expect().addresses()
    assert services(lab, "_80._tcp.web") == [(80, "web.net.")]
    answer = dns.ask(lab, "c1", "_81._tcp.web", "SRV")
    assert dns.data(answer) == ["0 0 81 web.other."] and dns.additional(answer) == [("web.other.", two)]
