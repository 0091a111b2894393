# SPDX-License-Identifier: GPL-2.0-or-later
"""`netctl why` to and from containers of other nodes."""
import pytest

from support import dns
from support.netctl import NO, NOT_FOUND
from support.peers import FAR, FAR6, peer, tunnel


def steps(host_netctl, *argv, verdict):
    shown = host_netctl(*argv, "--json")
    assert shown.json["verdict"] == verdict, shown
    return {s["step"]: s for s in shown.json["steps"]}, shown.json


@pytest.mark.parametrize("words", ["web", "www", "0123456789abcdef", "0123", FAR, FAR6, "web:80", f"[{FAR6}]:80"])
def test_why_to_a_peer(host_netctl, peers, host, words):
    peers.put(peer("web", FAR, FAR6, id="0123456789abcdef", aliases=["www"]))
    found, shown = steps(host_netctl, "why", "near", words, verdict="not known")
    assert shown["to"] == "container web of node node-b"
    assert f"on node node-b: behind the tunnel {tunnel(host)} of network ov" in found["node"]["detail"] and found["node"]["ok"]
    own = dns.lookup(host, "c1", "near", "AAAA" if FAR6 in words else "A")[0]
    assert found["elsewhere"]["ok"] is None and found["elsewhere"]["remedy"] == f"on node node-b: netctl why {own} web"


def test_why_to_a_peer_of_another_network(host_netctl, peers, host):
    """By way of the host, as to a container here."""
    peers.put(peer("far", "10.6.2.10", network="ov2"))
    found, _ = steps(host_netctl, "why", "near", "far", verdict="not known")
    assert f"behind the tunnel {tunnel(host, 5002)} of network ov2" in found["node"]["detail"] and found["host route"]["ok"]
    found, _ = steps(host_netctl, "why", "host", "far", verdict="not known")
    assert found["node"]["ok"]


def test_why_on_a_network_in_common(host_netctl, peers, host):
    """A container of two networks is asked for by the address that both have."""
    peers.put(peer("web", "10.6.2.10", network="ov2"), peer("web", FAR))
    for asker, net, address in (("near", "ov", FAR), ("other", "ov2", "10.6.2.10")):
        found, _ = steps(host_netctl, "why", asker, "web", verdict="not known")
        assert f"are both on network {net}: address {address}" in found["endpoints"]["detail"]


def test_why_from_a_peer(host_netctl, peers, host):
    """What the other node's netctl says to ask here."""
    peers.put(peer("web", FAR, FAR6))
    host.tcp_server("c1", "0.0.0.0", 80)
    for words in ("web", FAR):
        found, shown = steps(host_netctl, "why", words, "near:80", verdict="reached")
        assert shown["from"] == "container web of node node-b"
        assert f"comes in through the tunnel {tunnel(host)}" in found["node"]["detail"]
    host_netctl("why", "web", "near:81").expect(NO)


def test_why_with_a_tunnel_that_is_down_and_a_node_that_is_lost(host_netctl, peers, host):
    peers.put(peer("web", FAR, suspect=True))
    found, _ = steps(host_netctl, "why", "near", "web", verdict="not known")
    assert "no sign of life" in found["node"]["detail"] and "node-b" in found["node"]["remedy"]
    name = tunnel(host)
    host.run(["ip", "link", "set", name, "down"])
    found, _ = steps(host_netctl, "why", "near", "web", verdict="not reached")
    assert found["tunnel"]["remedy"] == f"ip link set {name} up"
    host.run(["ip", "link", "del", name])
    found, _ = steps(host_netctl, "why", "near", "web", verdict="not reached")
    assert "does not exist" in found["tunnel"]["detail"]


def test_why_of_several_and_of_none(host_netctl, peers):
    peers.put(peer("web", FAR, id="a1"), peer("web", "10.5.3.10", node="node-c", id="a2"), peer("near", "10.5.2.20"))
    host_netctl("why", "near", "web").expect(NOT_FOUND, "node-b", "node-c", "give the address")
    host_netctl("why", "near", "nobody").expect(NOT_FOUND, "no container of this name or id")
    assert host_netctl.json("why", "other", "near")["to"] == "container near", "whoever is here goes before"
    # A whole name goes before the beginning of an id, wherever the two are.
    peers.put(peer("c1x", "10.5.2.30", id="zz"), peer("c", "10.5.2.31", id="yy"))
    assert host_netctl("why", "near", "c", "--json").json["to"] == "container c of node node-b"


def test_a_peer_without_an_address(host_netctl, peers):
    peers.put(peer("web"))
    found, _ = steps(host_netctl, "why", "near", "web", verdict="not reached")
    assert "addresses" in found
