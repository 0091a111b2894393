# SPDX-License-Identifier: GPL-2.0-or-later
"""The resolver, asked for containers of other nodes: what is in the store's table of peers."""
import pytest
from dns import rdatatype

from support import configs, dns
from support.nodes import vtep
from support.peers import FAR, FAR6, Peers, attach, config, peer

TTL = 5     # as of what is here


@pytest.fixture
def here(nodes):
    """Node 0, its peers, and a name server of the outside that knows every name."""
    with dns.upstream(nodes[0].lab, None, vtep(0)) as server:
        yield attach(nodes), Peers(nodes[0].lab), server


def of_one(answer):
    """[(type, data, TTL)] of the answer section."""
    return [(rdatatype.to_text(rrset.rdtype), item.to_text(), rrset.ttl) for rrset in answer.answer for item in rrset]


def test_names(here):
    lab, peers, upstream = here
    peers.put(peer("web", FAR, FAR6, id="0123456789abcdef", aliases=["www", "api.example"]))
    for name in ("web", "WWW", "api.example", "0123456789ab", "web.ov"):
        assert of_one(dns.ask(lab, "c1", name)) == [("A", FAR, TTL)], name
        assert of_one(dns.ask(lab, "c1", name, "AAAA")) == [("AAAA", FAR6, TTL)], name
    for address in (FAR, FAR6):
        assert of_one(dns.ask(lab, "c1", dns.reverse(address), "PTR")) == [("PTR", "web.ov.", TTL)]
    answer = dns.ask(lab, "c1", "web")
    assert "AA" in dns.flags(answer) and not upstream.asked
    assert dns.no_data(dns.ask(lab, "c1", "web", "MX"))
    assert [p["id"] for p in peers.list()] == ["0123456789abcdef"]


def test_only_on_its_own_network(here):
    lab, peers, upstream = here
    peers.put(peer("web", FAR), peer("far", "10.6.2.10", network="ov2"))
    assert dns.lookup(lab, "c1", "web") == [FAR] and dns.lookup(lab, "c2", "far") == ["10.6.2.10"]
    for netns, name, address in (("c2", "web", FAR), ("c1", "far", "10.6.2.10")):
        assert not dns.knows(lab, netns, name)
        assert dns.data(dns.ask(lab, netns, dns.reverse(address), "PTR")) == []
    assert {"web", "far"} <= set(upstream.asked)


def test_beside_one_of_the_same_name(here):
    """Both answer, and when the other goes this one stays."""
    lab, peers, _ = here
    [own] = dns.lookup(lab, "c1", "near")
    peers.put(peer("near", FAR))
    assert sorted(dns.lookup(lab, "c1", "near")) == sorted([own, FAR])
    peers.delete("ov", "near-id")
    assert dns.lookup(lab, "c1", "near") == [own]
    assert dns.lookup(lab, "c1", dns.reverse(own), "PTR") == ["near.ov."]


def test_nothing_is_remembered(here):
    """Not by the worker's memory of answers either: the very same words again and again, over both transports."""
    lab, peers, _ = here
    for round in range(5):
        address = f"10.5.2.{10 + round}"
        peers.put(peer("web", address))
        for tcp in (False, True):
            for _ in range(3):
                assert dns.lookup(lab, "c1", "web", tcp=tcp) == [address]
        assert dns.lookup(lab, "c1", dns.reverse(address), "PTR") == ["web.ov."]
        peers.delete("ov", "web-id")
        assert not dns.knows(lab, "c1", "web") and not dns.knows(lab, "c1", "web", tcp=True)
        assert dns.data(dns.ask(lab, "c1", dns.reverse(address), "PTR")) == []
    assert peers.list() == []


def test_suspect(here):
    lab, peers, _ = here
    for suspect in (True, False, True):
        peers.put(peer("web", FAR, suspect=suspect))
        assert dns.knows(lab, "c1", "web") is not suspect
        assert dns.data(dns.ask(lab, "c1", dns.reverse(FAR), "PTR")) == ([] if suspect else ["web.ov."])


def test_moved(here):
    lab, peers, _ = here
    peers.put(peer("web", FAR, aliases=["old", "both"]))
    peers.put(peer("web", "10.5.3.10", node="node-c", aliases=["both", "new"]))
    assert dns.lookup(lab, "c1", "web") == dns.lookup(lab, "c1", "both") == dns.lookup(lab, "c1", "new") == ["10.5.3.10"]
    assert not dns.knows(lab, "c1", "old")


def test_without_an_address(here):
    """There is such a name, and the outside is not asked for it."""
    lab, peers, upstream = here
    peers.put(peer("web"))
    assert dns.no_data(dns.ask(lab, "c1", "web"))
    assert not upstream.asked


def test_services_are_those_of_this_node(nodes, here):
    """What another node publishes is not known; that many before it are called alike hides nothing of what is here."""
    lab, peers, _ = here
    published = configs.runtime(dns.named(config(nodes, capabilities={"portMappings": True}), "web"),
                                portMappings=[{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}])
    lab.netns("c3")
    own = nodes[0].cni.add("overlay", published, "c3").expect().addresses()
    peers.put(*(peer("web", f"10.5.0.{i}", id=f"far-{i}") for i in range(2, 200)))
    answer = dns.ask(lab, "c1", "_http._tcp.web", "SRV", tcp=True)
    assert dns.data(answer) == ["0 0 80 web.ov."]
    assert {a for _, a in dns.additional(answer)} == set(own)


def test_that_is_truly_there(nodes, here):
    """By name to a container of another node."""
    lab, peers, _ = here
    [outcome] = nodes[1].attach(nodes.config(1, inside=(4, 6)), "c1")
    address = outcome.addresses()[0]
    nodes[1].lab.tcp_server("c1", "0.0.0.0", 80)
    peers.put(peer("web", address))
    assert lab.probe("c1", dns.lookup(lab, "c1", "web")[0], 80).peer == dns.lookup(lab, "c1", "near")[0]
