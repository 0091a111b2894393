# SPDX-License-Identifier: GPL-2.0-or-later
"""What fits: packets that may not be fragmented, at the limit and one byte above it."""
import pytest

from support import configs, nodes as bed
from support.nodes import Nodes, container_address

OVERHEAD = {4: 50, 6: 70}


def attach_all(nodes, **more):
    return [node.attach(nodes.config(node.index, **more), "c1")[0] for node in nodes]


def ask(node, address, size, netns="c1", **more):
    return node.lab.call(bed.ping, address, size, netns=netns, **more)


@pytest.mark.parametrize("underlay", [4, 6])
@pytest.mark.parametrize("mtu", [1280, 1500, 9000])
def test_the_limit(mtu, underlay):
    fits = mtu - OVERHEAD[underlay]
    inside = (4, 6) if fits >= 1280 else (4,)
    with Nodes(2, mtu=mtu) as nodes:
        results = attach_all(nodes, underlay=underlay, inside=inside)
        assert [i["mtu"] for i in results[0].json["interfaces"]] == [fits] * 3
        links = {link["ifname"][:3]: link["mtu"] for link in nodes[0].lab.ip("link")}
        assert (links["flo"], links["flx"]) == (fits, mtu)
        for family in inside:
            to = container_address(1, 10, family)
            assert ask(nodes[0], to, fits) == "answered"
            assert ask(nodes[0], to, fits + 1) == ("local", fits)
            assert ask(nodes[0], bed.node_address(1, family), fits) == "answered"
            assert ask(nodes[0], to, fits, netns=None) == "answered"


def test_the_bridge_keeps_its_mtu(nodes):
    """It would take the least of its ports' as soon as one comes or goes: alone, the tunnel's."""
    config = nodes.config(0)
    nodes[0].attach(config, "c1", "c2")
    nodes[0].cni.delete("overlay", config, "c1").expect()
    nodes[0].lab.run(["ip", "link", "del", "eth0"], netns="c2")
    [bridge] = nodes[0].lab.ip("link", "show", "type", "bridge")
    assert bridge["mtu"] == 1450


@pytest.mark.parametrize("family", [4, 6])
def test_a_container_that_sends_more_is_told(nodes, family):
    """Its interface was set to 1500 by hand: the tunnel answers in the other container's name, and nothing is lost in silence."""
    attach_all(nodes, inside=(4, 6))
    for node in nodes:
        node.lab.run(["ip", "link", "set", "eth0", "mtu", "1500"], netns="c1")
        port = next(link["ifname"] for link in node.lab.ip("link") if link["ifname"].startswith("veth"))
        node.lab.run(["ip", "link", "set", port, "mtu", "1500"])
    assert ask(nodes[0], container_address(1, 10, family), 1500) == ("path", 1450)
    assert ask(nodes[0], container_address(1, 10, family), 1450) == "answered"


def test_from_outside_too_large(nodes):
    attach_all(nodes)
    nodes.outside.run(["ip", "route", "add", bed.SUBNET, "via", bed.vtep(0)], netns="outside")
    assert nodes.outside.call(bed.ping, container_address(0, 10), 1450, netns="outside") == "answered"
    assert nodes.outside.call(bed.ping, container_address(0, 10), 1451, netns="outside") == ("path", 1450)


def test_a_route_may_be_narrower_than_its_link(nodes):
    """RTAX_MTU of the route to a peer: the least of all peers' counts."""
    nodes[0].lab.run(["ip", "route", "add", bed.vtep(1), "dev", "up0", "mtu", "1400"])
    [result] = nodes[0].attach(nodes.config(0, peers=[bed.vtep(0), bed.OUTSIDE4, bed.vtep(1)]), "c1")
    assert result.json["interfaces"][2]["mtu"] == 1350


@pytest.mark.parametrize("mtu", [1300, 1500])
def test_by_hand(nodes, mtu):
    results = attach_all(nodes, mtu=mtu)
    assert results[0].json["interfaces"][2]["mtu"] == mtu
    fits = min(mtu, 1450)
    assert ask(nodes[0], container_address(1, 10), fits) == "answered"
    if mtu > fits:
        assert ask(nodes[0], container_address(1, 10), mtu) == ("path", fits)


def test_too_narrow_for_ipv6():
    with Nodes(2, mtu=1300) as nodes:
        nodes[0].lab.netns("c1")
        refused = nodes[0].cni.add("overlay", nodes.config(0, inside=(4, 6)), "c1")
        refused.refused(7, "IPv6 needs an MTU of 1280", "leaves 1250")
        assert configs.link(nodes[0].lab, "eth0", "c1") is None
