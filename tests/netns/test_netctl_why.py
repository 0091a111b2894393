# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl why: its verdict beside real traffic, pair by pair."""
import re
import pytest

from support import configs as net
from support.netctl import NO, NOT_FOUND, OK, USAGE

HOST, OUTSIDE = "192.0.2.1", "192.0.2.2"
HOST6, OUTSIDE6 = "2001:db8::1", "2001:db8::2"
REACHED, NOT = "reached", "not reached"


class World:
    """c1 and c2, each with a server at port 80; `agree` asks netctl and the network the same question."""

    def __init__(self, lab, cni, netctl):
        self.lab, self.cni, self.netctl = lab, cni, netctl
        self.servers = {}

    def add(self, config, container, **kwargs):
        return self.cni.add("bridge", config, container, **kwargs).expect()

    def serve(self, *namespaces, port=80, address="0.0.0.0"):
        for name in namespaces:
            self.servers[name, port] = self.lab.tcp_server(name, address, port)

    def why(self, source, target, verdict, failing=None, *options):
        outcome = self.netctl("why", source, target, "--json", *options)
        found = outcome.json
        failed = [s["step"] for s in found["steps"] if s["ok"] is False]
        assert found["verdict"] == verdict, (failed, found)
        assert outcome.status == (NO if verdict == NOT else OK)
        assert bool(failed) == (verdict == NOT)
        if failing:
            assert failing in failed, found
        return found

    def agree(self, source, target, address, port, verdict, failing=None, *options):
        """`source` is a namespace of the lab ("host" is None's) and a party of netctl; address:port is what `target` means."""
        netns = None if source == "host" else source
        if verdict == REACHED:
            assert self.lab.reaches(netns, address, port), f"{source} does not reach {address} port {port}"
        else:
            assert self.lab.blocked(netns, address, port), f"{source} reaches {address} port {port}"
        return self.why(source, target, verdict, failing, *options)


@pytest.fixture
def world(lab, cni, netctl):
    return World(lab, cni, netctl)


@pytest.fixture(params=[0, 1], ids=["bridged-unfiltered", "bridged-filtered"])
def both(request, lab, world):
    net.filter_bridged(lab, request.param)
    return world


def published(make=net.bridge, *ports, **more):
    return net.publish(make(**more), *(ports or ((8080, 80),)))


def filtered(lab):
    name = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    return lab.exists(name) and lab.read(name).strip() == "1"


# ---- one network, two networks ----

def test_same_network(both):
    one, two = (both.add(net.dual(), c) for c in ("c1", "c2"))
    both.serve("c2")
    both.lab.tcp_server("c2", "::", 80)
    found = both.agree("c1", "c2:80", two.address, 80, REACHED)
    assert "bridge" in [s["step"] for s in found["steps"]]
    both.agree("c1", f"{two.address}:80/tcp", two.address, 80, REACHED)
    both.agree("c1", "c2:80", two.addresses()[1], 80, REACHED, None, "--ipv6")
    both.agree("c1", f"[{two.addresses()[1]}]:80", two.addresses()[1], 80, REACHED)
    both.agree("c1", "c2:81", two.address, 81, NOT, "listener")
    both.agree("c1", "10.1.0.99:80", "10.1.0.99", 80, NOT)
    both.why(one.address, "c2", REACHED)
    both.why("c1", "c1", REACHED)


def test_two_networks(both):
    one, two = both.add(net.bridge(), "c1"), both.add(net.second(), "c2")
    both.serve("c1", "c2")
    both.agree("c1", "c2:80", two.address, 80, REACHED)
    both.agree("c2", "c1:80", one.address, 80, REACHED)
    both.agree("host", "c2:80", two.address, 80, REACHED)
    both.why("host", "c2", REACHED)
    both.agree("c2", "c1:9", one.address, 9, NOT, "listener")


@pytest.mark.parametrize("first, other", [(True, None), (None, True)])
def test_isolated(both, first, other):
    one = both.add(published(isolate=first), "c1")
    two = both.add(published(net.second, (8081, 80), isolate=other), "c2")
    both.serve("c1", "c2", "outside")
    both.agree("c1", "c2:80", two.address, 80, NOT, "forward")
    both.agree("c2", "c1:80", one.address, 80, NOT, "forward")
    both.agree("c1", "host:8081", HOST, 8081, REACHED)
    both.agree("c2", f"{HOST}:8080", HOST, 8080, REACHED)
    both.agree("c1", "outside:80", OUTSIDE, 80, REACHED)


def test_internal(both):
    config = net.bridge(internal=True, isDefaultGateway=None, isGateway=True)
    one = both.add(config, "c1")
    two = both.add(net.second(), "c2")
    both.lab.netns("c3")
    three = both.add(config, "c3")
    both.serve("c1", "c2", "c3", "outside")
    both.agree("c1", "c3:80", three.address, 80, REACHED)
    both.agree("host", "c1:80", one.address, 80, REACHED)
    both.agree("c1", "outside:80", OUTSIDE, 80, NOT, "route")
    both.agree("outside", "c1:80", one.address, 80, NOT, "forward")
    both.agree("c1", "c2:80", two.address, 80, NOT, "route")
    both.agree("c2", "c1:80", one.address, 80, NOT, "forward")


def test_no_icc(both):
    one, two = both.add(net.bridge(icc=False), "c1"), both.add(published(icc=False), "c2")
    both.serve("c1", "c2", "outside")
    both.agree("c1", "c2:80", two.address, 80, NOT, "isolation")
    both.agree("host", "c2:80", two.address, 80, REACHED)
    both.agree("c1", "outside:80", OUTSIDE, 80, REACHED)
    both.agree("outside", "host:8080", HOST, 8080, REACHED)
    if filtered(both.lab):
        both.agree("c1", "host:8080", HOST, 8080, NOT, "isolation")
    else:
        both.agree("c1", "host:8080", HOST, 8080, REACHED)


@pytest.mark.parametrize("more", [{"icc": False}, {"portIsolation": True}], ids=str)
def test_its_own_port_when_isolated(both, more):
    both.add(published(hairpinMode=True, **more), "c1")
    both.serve("c1")
    if filtered(both.lab):
        both.agree("c1", "host:8080", HOST, 8080, NOT, "isolation")
    else:
        both.agree("c1", "host:8080", HOST, 8080, REACHED)


def test_guarded(both):
    both.lab.netns("c3")
    one, two = both.add(published(guarded=True), "c1"), both.add(net.bridge(guarded=True), "c2")
    three = both.add(net.second(), "c3")
    both.serve("c1", "c2", "c3", "outside")
    both.agree("outside", "c1:80", one.address, 80, NOT, "forward")
    both.agree("outside", "c2:80", two.address, 80, NOT, "forward")
    both.agree("outside", "host:8080", HOST, 8080, REACHED)
    both.agree("c1", "outside:80", OUTSIDE, 80, REACHED)
    both.agree("c1", "c2:80", two.address, 80, REACHED)
    both.agree("c3", "c2:80", two.address, 80, REACHED)
    both.agree("host", "c2:80", two.address, 80, REACHED)


def test_routed_and_guarded(both):
    one = both.add(published(net.bridge, (8080, 80), gatewayMode="routed", guarded=True), "c1")
    both.serve("c1")
    both.serve("c1", port=81)
    both.agree("outside", "c1:80", one.address, 80, REACHED)
    both.agree("outside", "c1:81", one.address, 81, NOT, "forward")
    both.agree("outside", "host:8080", HOST, 8080, NOT, "published")
    both.why("outside", "c1", REACHED)      # ICMP passes there


# ---- published ports ----

def test_published(both):
    one = both.add(published(net.dual, (8080, 80), net.port(8082, 80, hostIP="127.0.0.1"), net.port(8083, 80, hostIP=HOST)), "c1")
    both.add(net.second(), "c2")
    both.serve("c1", "outside")
    both.lab.tcp_server("c1", "::", 80)
    both.agree("outside", "host:8080", HOST, 8080, REACHED)
    both.agree("outside", f"{HOST}:8080", HOST, 8080, REACHED)
    both.agree("outside", f"[{HOST6}]:8080", HOST6, 8080, REACHED)
    both.agree("c1", f"{HOST}:8080", HOST, 8080, REACHED)         # its own port, hairpin
    both.agree("c2", "host:8080", HOST, 8080, REACHED)
    both.agree("c2", "10.2.0.1:8080", "10.2.0.1", 8080, REACHED)
    both.agree("host", f"{HOST}:8080", HOST, 8080, REACHED)
    both.agree("host", "host:8080", "127.0.0.1", 8080, REACHED)
    both.agree("host", "[::1]:8080", "::1", 8080, NOT, "listener")
    both.agree("host", "127.0.0.1:8082", "127.0.0.1", 8082, REACHED)
    both.agree("outside", f"{HOST}:8082", HOST, 8082, NOT, "listener")
    both.agree("outside", f"{HOST}:8083", HOST, 8083, REACHED)
    both.agree("c2", "10.2.0.1:8083", "10.2.0.1", 8083, NOT, "listener")
    both.agree("outside", f"{HOST}:8081", HOST, 8081, NOT, "listener")
    both.agree("outside", "c1:80", one.address, 80, REACHED)      # the host's policy lets it pass
    both.lab.run(["ip", "route", "del", "default"], netns="c1")
    both.agree("outside", "host:8080", HOST, 8080, NOT, "answer")
    both.agree("c1", "outside:80", OUTSIDE, 80, NOT, "route")


def test_published_range(world):
    world.add(published(net.bridge, *((9000 + i, 9000 + i) for i in range(8)), *((7000 + i, 6000 + i) for i in range(3))), "c1")
    world.serve("c1", port=9005)
    world.serve("c1", port=6002)
    world.agree("outside", "host:9005", HOST, 9005, REACHED)
    world.agree("outside", "host:7002", HOST, 7002, REACHED)
    world.agree("outside", "host:9006", HOST, 9006, NOT, "listener")
    world.agree("outside", "host:9008", HOST, 9008, NOT, "listener")


def test_udp(world):
    one = world.add(net.publish(net.bridge(), (5353, 53, "udp")), "c1")
    world.add(net.bridge(), "c2")
    world.lab.udp_server("c1", port=53)
    assert world.lab.reaches("outside", HOST, 5353, "udp") and world.lab.reaches("c2", one.address, 53, "udp")
    world.why("outside", "host:5353/udp", REACHED)
    world.why("c2", "c1:53/udp", REACHED)
    world.why("c2", "c1:53", NOT, "listener")
    assert world.lab.blocked("outside", HOST, 5353)
    world.why("outside", "host:5353", NOT, "listener")


def test_without_hairpin_masquerade(both):
    """The answer would go straight to the neighbour that asked for another address."""
    both.add(published(), "c1")
    both.add(net.bridge(), "c2")
    both.serve("c1")
    both.agree("c2", f"{HOST}:8080", HOST, 8080, REACHED)
    both.lab.nft("flush set inet fairlead hairpin4")
    if filtered(both.lab):      # the bridge undoes the translation as the answer passes
        both.agree("c2", f"{HOST}:8080", HOST, 8080, REACHED)
    else:
        both.agree("c2", f"{HOST}:8080", HOST, 8080, NOT, "answer")
    both.agree("c1", f"{HOST}:8080", HOST, 8080, NOT, "answer")


# ---- IPv6 ----

def six(world, source, target, address, port, verdict, failing=None):
    return world.agree(source, target, address, port, verdict, failing, "-6")


def serve6(lab, *namespaces):
    for name in namespaces:
        lab.tcp_server(name, "::", 80)


def other6(**more):
    return net.bridge("other", subnets=("10.2.0.0/24", "fd00:2::/64"), **more)


def test_ipv6(both):
    one = both.add(published(net.dual), "c1").addresses()[1]
    two = both.add(other6(), "c2").addresses()[1]
    both.lab.netns("c3")
    both.add(net.dual(), "c3")
    serve6(both.lab, "c1", "c2", "outside")
    six(both, "c1", "c2:80", two, 80, REACHED)
    six(both, "c3", "c1:80", one, 80, REACHED)
    six(both, "c3", "host:8080", HOST6, 8080, REACHED)
    six(both, "c1", "host:8080", HOST6, 8080, REACHED)
    six(both, "c2", "host:8080", HOST6, 8080, REACHED)
    six(both, "host", "c1:80", one, 80, REACHED)
    six(both, "host", f"[{HOST6}]:8080", HOST6, 8080, REACHED)
    six(both, "outside", "host:8080", HOST6, 8080, REACHED)
    six(both, "outside", "c1:80", one, 80, REACHED)
    found = six(both, "c1", "outside:80", OUTSIDE6, 80, REACHED)
    assert both.lab.probe("c1", OUTSIDE6, 80).peer == HOST6
    assert f"sees {HOST6} (masquerade" in [s for s in found["steps"] if s["step"] == "source"][0]["detail"]
    both.lab.sysctl("net.ipv6.conf.all.forwarding", 0)
    six(both, "outside", "host:8080", HOST6, 8080, NOT, "forwarding")
    six(both, "c1", "c2:80", two, 80, NOT, "forwarding")


def test_ipv6_kept_apart(both):
    one = both.add(published(net.dual, isolate=True), "c1").addresses()[1]
    two = both.add(other6(guarded=True), "c2").addresses()[1]
    serve6(both.lab, "c1", "c2", "outside")
    six(both, "c1", "c2:80", two, 80, NOT, "forward")
    six(both, "c2", "c1:80", one, 80, NOT, "forward")
    six(both, "outside", "c2:80", two, 80, NOT, "forward")
    six(both, "outside", "host:8080", HOST6, 8080, REACHED)
    both.lab.nft("flush ruleset")
    six(both, "c1", "c2:80", two, 80, REACHED)
    six(both, "outside", "c2:80", two, 80, REACHED)
    six(both, "outside", "host:8080", HOST6, 8080, NOT, "published")


# ---- the host ----

def test_host_process(world):
    world.add(net.bridge(), "c1")
    world.lab.tcp_server(None, "0.0.0.0", 8000)
    world.lab.tcp_server(None, "127.0.0.1", 8001)
    world.agree("c1", "host:8000", HOST, 8000, REACHED)
    world.agree("c1", "10.1.0.1:8000", "10.1.0.1", 8000, REACHED)
    world.agree("outside", "host:8000", HOST, 8000, REACHED)
    world.agree("outside", "host:8001", HOST, 8001, NOT, "listener")
    world.agree("host", "host:8001", "127.0.0.1", 8001, REACHED)
    world.why("c1", "host", REACHED)
    world.lab.nft("table inet mine { chain input { type filter hook input priority 0; policy drop; }; }")
    world.agree("c1", "host:8000", HOST, 8000, NOT, "firewall")
    world.lab.nft("add rule inet mine input tcp dport 8000 accept")
    assert world.lab.reaches("c1", HOST, 8000)
    world.why("c1", "host:8000", "not known")


def test_default_route_without_a_gateway(world):
    world.add(published(), "c1")
    world.serve("c1", "outside")
    world.lab.run(["ip", "route", "replace", "default", "dev", "up0"])
    world.agree("outside", "host:8080", HOST, 8080, REACHED)
    world.agree("c1", "outside:80", OUTSIDE, 80, REACHED)


def test_ip_forward_off(world):
    one, two = world.add(published(), "c1"), world.add(net.second(), "c2")
    world.serve("c1", "c2", "outside")
    world.lab.sysctl("net.ipv4.ip_forward", 0)
    world.agree("outside", "host:8080", HOST, 8080, NOT, "forwarding")
    world.agree("c1", "c2:80", two.address, 80, NOT, "forwarding")
    world.agree("c1", "outside:80", OUTSIDE, 80, NOT, "forwarding")
    world.agree("host", "c1:80", one.address, 80, REACHED)
    world.lab.sysctl("net.ipv4.ip_forward", 1)
    world.lab.sysctl("net/ipv4/conf/other0/forwarding", 0)
    world.agree("c2", "c1:80", one.address, 80, NOT, "host route")


def test_reverse_path_filter(world):
    world.add(net.bridge(), "c1")
    world.add(net.second(), "c2")
    world.serve("outside")
    world.lab.sysctl("net/ipv4/conf/net0/rp_filter", 1)
    world.agree("c1", "outside:80", OUTSIDE, 80, REACHED)
    world.lab.run(["ip", "route", "add", "10.1.0.2/32", "dev", "other0"])
    found = world.agree("c1", "outside:80", OUTSIDE, 80, NOT, "host route")
    assert any("reverse path filter" in s["detail"] for s in found["steps"]), found


def test_masquerade_off(world):
    """Whether the outside has a route to the containers, this host cannot know."""
    world.add(net.bridge(ipMasq=False), "c1")
    world.serve("outside")
    assert world.lab.reaches("c1", OUTSIDE, 80)
    found = world.why("c1", "outside:80", "not known")
    assert [s["step"] for s in found["steps"] if s["ok"] is None] == ["source"]
    world.lab.run(["ip", "route", "del", "default"], netns="outside")
    assert world.lab.blocked("c1", OUTSIDE, 80)
    assert world.why("c1", "outside:80", "not known") == found


def test_sources(world):
    world.lab.run(["ip", "addr", "add", "192.0.2.7/24", "dev", "up0"])
    world.add(net.bridge(snatAddress="192.0.2.7"), "c1")
    world.add(net.second(), "c2")
    world.serve("outside")
    for container, peer in (("c1", "192.0.2.7"), ("c2", HOST)):
        assert world.lab.probe(container, OUTSIDE, 80).peer == peer
        found = world.agree(container, "outside:80", OUTSIDE, 80, REACHED)
        [step] = [s for s in found["steps"] if s["step"] == "source"]
        assert f"sees {peer} (" in step["detail"]


@pytest.mark.parametrize("how", ["flush ruleset", "flush table inet fairlead"])
def test_flushed(both, how):
    one, two = both.add(published(isolate=True), "c1"), both.add(published(net.second, (8081, 80)), "c2")
    both.serve("c1", "c2", "outside")
    both.agree("c1", "c2:80", two.address, 80, NOT, "forward")
    both.lab.nft(how)
    both.agree("c1", "c2:80", two.address, 80, REACHED)
    both.agree("host", "c1:80", one.address, 80, REACHED)
    both.agree("outside", "host:8080", HOST, 8080, NOT, "published")
    both.agree("c2", "host:8080", HOST, 8080, NOT, "published")
    both.why("c1", "outside:80", "not known")


def test_one_element_gone(world):
    world.add(published(net.bridge, (8080, 80), (8081, 80)), "c1")
    world.serve("c1")
    world.lab.nft("delete element inet fairlead publish4 { tcp . 8080 }")
    found = world.agree("outside", "host:8080", HOST, 8080, NOT, "published")
    assert "element is missing" in [s["detail"] for s in found["steps"] if s["step"] == "published"][0]
    world.agree("outside", "host:8081", HOST, 8081, REACHED)


def test_rules_that_somebody_changed(world):
    world.add(published(), "c1")
    world.lab.nft("add rule inet fairlead publish tcp dport 8080 drop")
    found = world.why("outside", "host:8080", NOT)
    assert any(s["step"] == "nftables" and s["ok"] is None for s in found["steps"])


def test_foreign_firewalls(world):
    one = world.add(published(), "c1")
    world.serve("c1", "outside")
    world.lab.nft("table ip mine { chain forward { type filter hook forward priority 0; policy drop; }; }")
    world.agree("outside", "host:8080", HOST, 8080, NOT, "firewall")
    world.agree("c1", "outside:80", OUTSIDE, 80, NOT, "firewall")
    world.agree("host", "c1:80", one.address, 80, REACHED)
    world.lab.nft("add rule ip mine forward meta mark and 0x100000 == 0x100000 accept")
    world.agree("outside", "host:8080", HOST, 8080, REACHED)
    assert world.lab.blocked("outside", one.address, 80)
    world.why("outside", "c1:80", "not known")
    world.lab.nft("flush chain ip mine forward\nadd rule ip mine forward ct state established accept")
    assert world.lab.blocked("outside", HOST, 8080)
    world.why("outside", "host:8080", "not known")


def stop_all(world, family, hook, device="", netns=None, rules="", policy="drop"):
    at = f"{hook} device {device}" if device else hook
    kind, priority = ("nat", -150) if "dnat" in rules else ("filter", -350)
    world.lab.nft(f"table {family} mine {{ chain stop {{ type {kind} hook {at} priority {priority}; policy {policy}; {rules} }}; }}", netns=netns)


FIREWALLS = [
    # family, hook, device, in the sandbox of; from, to, address, port
    ("ip", "prerouting", "", None, "outside", "host:8080", HOST, 8080),
    ("ip", "postrouting", "", None, "outside", "host:8080", HOST, 8080),
    ("inet", "prerouting", "", None, "c1", "c3:80", "10.2.0.2", 80),
    ("inet", "postrouting", "", None, "c1", "outside:80", OUTSIDE, 80),
    ("ip", "output", "", None, "host", "c1:80", "10.1.0.2", 80),
    ("ip", "postrouting", "", None, "host", "c1:80", "10.1.0.2", 80),
    ("ip", "input", "", None, "host", "c1:80", "10.1.0.2", 80),              # the answer
    ("inet", "output", "", None, "outside", "host:8000", HOST, 8000),        # the answer
    ("inet", "input", "", None, "outside", "host:8000", HOST, 8000),
    ("bridge", "prerouting", "", None, "c1", "c2:80", "10.1.0.3", 80),
    ("bridge", "forward", "", None, "c1", "c2:80", "10.1.0.3", 80),
    ("bridge", "postrouting", "", None, "c1", "c2:80", "10.1.0.3", 80),
    ("bridge", "input", "", None, "c1", "outside:80", OUTSIDE, 80),
    ("bridge", "output", "", None, "host", "c1:80", "10.1.0.2", 80),
    ("netdev", "ingress", "up0", None, "outside", "host:8080", HOST, 8080),
    ("netdev", "egress", "net0", None, "outside", "host:8080", HOST, 8080),
    ("netdev", "ingress", "{c2}", None, "c1", "c2:80", "10.1.0.3", 80),      # the answer
    ("inet", "ingress", "{c1}", None, "c1", "outside:80", OUTSIDE, 80),
    ("ip", "input", "", "c1", "outside", "host:8080", HOST, 8080),
    ("inet", "prerouting", "", "c2", "c1", "c2:80", "10.1.0.3", 80),
    ("ip", "output", "", "c1", "c1", "outside:80", OUTSIDE, 80),
    ("ip", "postrouting", "", "c1", "host", "c1:80", "10.1.0.2", 80),        # the answer
    ("netdev", "ingress", "eth0", "c1", "host", "c1:80", "10.1.0.2", 80),
]


@pytest.fixture
def walls(world):
    """c1 and c2 on one network, c3 on another, servers everywhere, 8080 -> c1; yields one that puts a firewall somewhere."""
    world.lab.netns("c3")
    world.add(published(), "c1")
    world.add(net.bridge(), "c2")
    world.add(net.second(), "c3")
    world.serve("c1", "c2", "c3", "outside")
    world.lab.tcp_server(None, "0.0.0.0", 8000)
    return world


@pytest.mark.parametrize("family, hook, device, inside, source, target, address, port", FIREWALLS,
                         ids=[f"{w[3] or 'host'}-{w[0]}-{w[1]}-{w[4]}" for w in FIREWALLS])
def test_firewalls_on_the_way(walls, family, hook, device, inside, source, target, address, port):
    walls.agree(source, target, address, port, REACHED)
    device = device.format(c1=host_end(walls), c2=host_end(walls, "c2"))
    stop_all(walls, family, hook, device, inside, policy="accept")
    walls.agree(source, target, address, port, REACHED)         # an empty chain stops nothing
    stop_all(walls, family, hook, device, inside, rules="counter;", policy="accept")
    walls.agree(source, target, address, port, REACHED)
    stop_all(walls, family, hook, device, inside)
    found = walls.agree(source, target, address, port, NOT, "firewall")
    [step] = [s for s in found["steps"] if s["step"] == "firewall"]
    assert f"chain stop of table {family} mine ({hook})" in step["detail"] and f"{family} mine stop" in step["remedy"]
    assert ("in the sandbox of" in step["detail"]) == bool(inside)
    stop_all(walls, family, hook, device, inside, rules="meta mark 7 accept; ")
    walls.why(source, target, "not known")
    stop_all(walls, family, hook, device, inside, rules="meta mark 7 drop; drop; ", policy="accept")
    walls.why(source, target, "not known")      # behind the accept of 7


@pytest.mark.parametrize("family, hook, device", [("ip6", "prerouting", ""), ("netdev", "ingress", "other0"), ("ip", "input", ""),
                                                  ("bridge", "forward", "")])
def test_firewalls_elsewhere(walls, family, hook, device):
    stop_all(walls, family, hook, device)
    walls.agree("outside", "host:8080", HOST, 8080, REACHED)


def test_somebody_translates_before_us(walls):
    stop_all(walls, "ip", "prerouting", rules="tcp dport 8080 dnat to 10.1.0.3:9; ", policy="accept")
    assert walls.lab.blocked("outside", HOST, 8080)
    found = walls.why("outside", "host:8080", "not known")
    assert "send it elsewhere" in [s for s in found["steps"] if s["step"] == "firewall"][0]["detail"]


def test_bridged_packets_meet_the_hosts_firewalls(both):
    two = [both.add(net.bridge(), c) for c in ("c1", "c2")][1]
    both.serve("c2")
    stop_all(both, "ip", "postrouting")
    if filtered(both.lab):
        both.agree("c1", "c2:80", two.address, 80, NOT, "firewall")
    else:
        both.agree("c1", "c2:80", two.address, 80, REACHED)


def test_resolver_of_ours_in_the_sandbox(world):
    """Table fairlead_dns is no firewall."""
    one = world.add({**net.bridge(), "dns": {}}, "c1")
    world.serve("c1")
    world.lab.nft("table ip fairlead_dns { chain output { type filter hook output priority -300; ip daddr 127.0.0.11 counter accept; }; }",
                  netns="c1")
    world.agree("host", "c1:80", one.address, 80, REACHED)


# ---- our own tables, as somebody changed them ----

def test_a_chain_in_our_table(walls):
    walls.lab.nft("add chain inet fairlead mine { type filter hook forward priority 10; policy drop; }")
    found = walls.agree("outside", "host:8080", HOST, 8080, NOT, "firewall")
    assert any("chain mine of table inet fairlead" in s["detail"] for s in found["steps"])
    walls.lab.nft("delete chain inet fairlead mine; add chain inet fairlead mine { type filter hook postrouting priority 10; policy drop; }")
    walls.agree("outside", "host:8080", HOST, 8080, NOT, "firewall")
    walls.agree("host", "c1:80", "10.1.0.2", 80, NOT, "firewall")


def test_policy_of_our_chain(walls):
    walls.lab.nft("add chain inet fairlead forward { policy drop; }")
    walls.agree("outside", "host:8080", HOST, 8080, REACHED)        # that one is let through
    walls.agree("outside", "c1:80", "10.1.0.2", 80, NOT, "nftables")
    walls.lab.nft("add chain inet fairlead forward { policy accept; }")
    walls.agree("outside", "c1:80", "10.1.0.2", 80, REACHED)
    walls.lab.nft("add chain inet fairlead postrouting { policy drop; }")
    walls.agree("host", "c1:80", "10.1.0.2", 80, NOT, "nftables")


def replace_rule(lab, chain, number, text):
    """The number-th rule of a chain of ours is another one now: their count stays."""
    import json
    rules = [r["rule"] for r in json.loads(lab.run(["nft", "-j", "-a", "list", "chain", "inet", "fairlead", chain]).stdout)["nftables"]
             if "rule" in r]
    lab.nft(f"replace rule inet fairlead {chain} handle {rules[number]['handle']} {text}")


@pytest.mark.parametrize("chain, number, text", [
    ("forward", 0, "drop"), ("forward", -1, "drop"), ("raw", 0, "iif != 1 ip daddr 126.0.0.0/8 drop"),
    ("publish", 2, "dnat ip to meta l4proto . th dport map @publish4"),
    ("containers", 4, "ct status snat goto admit"), ("admit", 0, "meta mark set mark or 0x200000 accept"),
    ("postrouting", 2, "ct status dnat ip saddr . ip daddr @hairpin4 masquerade random"),
], ids=lambda v: str(v).split()[0])
def test_a_rule_replaced(walls, chain, number, text):
    walls.agree("outside", "host:8080", HOST, 8080, REACHED)
    replace_rule(walls.lab, chain, number, text)
    found = walls.why("outside", "host:8080", "not known")
    step = [s for s in found["steps"] if s["step"] == "nftables"][0]
    assert step["ok"] is None and "netctl reload" in step["remedy"], step
    codes = {f["code"] for f in walls.netctl("doctor", "--json").json["findings"]}
    assert "rules-missing" in codes
    walls.netctl("reload").expect()
    walls.agree("outside", "host:8080", HOST, 8080, REACHED)
    assert not {f["code"] for f in walls.netctl("doctor", "--json").json["findings"]} & {"rules-missing", "rules-foreign"}


# ---- links and sandboxes ----

def host_end(world, container="c1", network="net"):
    return [e["hostInterface"] for e in world.netctl.json("endpoint", "ls", network) if e["container"] == container][0]


@pytest.mark.parametrize("harm, repair, failing", [
    ("ip link set {end} down", "ip link set {end} up", "link"),
    ("ip link set {end} nomaster", "ip link set {end} master net0", "link"),
    ("ip link set net0 down", "ip link set net0 up; ip addr replace 10.1.0.1/24 dev net0", None),
    ("ip addr del 10.1.0.1/24 dev net0", "ip addr add 10.1.0.1/24 dev net0", None),
    ("nsenter --net=/run/netns/c1 ip link set eth0 down", "nsenter --net=/run/netns/c1 sh -c 'ip link set eth0 up; "
     "ip route replace default via 10.1.0.1'", "interface"),
    ("nsenter --net=/run/netns/c1 ip addr replace 10.1.0.77/24 dev eth0; nsenter --net=/run/netns/c1 ip addr del 10.1.0.2/24 dev eth0",
     "nsenter --net=/run/netns/c1 sh -c 'ip addr add 10.1.0.2/24 dev eth0; ip addr del 10.1.0.77/24 dev eth0; "
     "ip route replace default via 10.1.0.1'", "interface"),
    ("ip route add 10.1.0.2/32 via 192.0.2.2", "ip route del 10.1.0.2/32", "host route"),
])
def test_damage(world, harm, repair, failing):
    world.add(published(), "c1")
    world.serve("c1")
    end = host_end(world)
    world.agree("outside", "host:8080", HOST, 8080, REACHED)
    world.lab.run(["sh", "-c", harm.format(end=end)])
    world.agree("outside", "host:8080", HOST, 8080, NOT, failing)
    world.lab.run(["sh", "-c", repair.format(end=end)])
    world.agree("outside", "host:8080", HOST, 8080, REACHED)


def test_gateway_gone(world):
    world.add(net.bridge(), "c1")
    world.serve("outside")
    world.lab.run(["ip", "addr", "del", "10.1.0.1/24", "dev", "net0"])
    world.agree("c1", "outside:80", OUTSIDE, 80, NOT, "gateway")


def test_spoofed_mac(world):
    config = net.bridge(macspoofchk=True)
    world.add(config, "c1")
    two = world.add(config, "c2")
    world.serve("c2")
    world.agree("c1", "c2:80", two.address, 80, REACHED)
    world.lab.run(["ip", "link", "set", "eth0", "address", "02:00:00:00:00:99"], netns="c1")
    world.agree("c1", "c2:80", two.address, 80, NOT, "spoof check")


def test_sandbox_gone(world):
    world.add(net.bridge(), "c1")
    world.add(published(net.second), "c2")
    world.lab.run(["umount", "/run/netns/c2"])
    world.why("c1", "c2:80", NOT, "sandbox")
    world.why("c2", "c1:80", NOT, "sandbox")


def test_loopback_listener(world):
    one = world.add(published(), "c1")
    world.lab.run(["ip", "link", "set", "lo", "up"], netns="c1")
    world.serve("c1", address="127.0.0.1")
    found = world.agree("outside", "host:8080", HOST, 8080, NOT, "listener")
    [step] = [s for s in found["steps"] if s["step"] == "listener"]
    assert "listens on 127.0.0.1 only" in step["detail"] and "0.0.0.0" in step["remedy"]
    world.agree("c1", f"{one.address}:80", one.address, 80, NOT, "listener")


def test_listener_of_the_other_family(world):
    one = world.add(published(net.dual), "c1")
    world.lab.tcp_server("c1", "::", 80)        # IPV6_V6ONLY
    world.agree("outside", f"{HOST}:8080", HOST, 8080, NOT, "listener")
    world.agree("outside", f"[{HOST6}]:8080", HOST6, 8080, REACHED)
    both_families = world.lab.start(["/usr/bin/python3", "-c", "import socket; s=socket.create_server(('::',81),family=socket.AF_INET6,"
                                     "dualstack_ipv6=True); print('r',flush=True)\nwhile 1:\n c,_=s.accept()\n d=c.recv(99); c.close()"],
                                    netns="c1", stdout=-1)
    both_families.stdout.readline()
    world.why("outside", f"{one.address}:81", REACHED)


def test_a_container_in_two_networks(world):
    world.add(net.bridge(), "c1")
    world.add(net.second(), "c1", ifname="eth1")
    two = world.add(net.second(), "c2")
    world.serve("c2")
    found = world.agree("c1", "c2:80", two.address, 80, REACHED)
    assert "network other" in found["steps"][0]["detail"]
    world.serve("c1")
    found = world.why("c2", "c1:80", REACHED)
    assert "both on network other" in found["steps"][0]["detail"] and "10.2.0.2" in found["steps"][0]["detail"]


def test_the_same_subnet_twice(world):
    """Two internal networks may have one; whose address it is depends on who asks."""
    def internal(name):
        return net.bridge(name, subnets=("10.5.0.0/24",), internal=True, isDefaultGateway=None)
    for container in ("c3", "c4"):
        world.lab.netns(container)
    for name, containers in (("a", ("c1", "c2")), ("b", ("c3", "c4"))):
        for container in containers:
            address = world.add(internal(name), container).address
    world.serve("c4")
    world.agree("c3", f"{address}:80", address, 80, REACHED)
    world.agree("c1", f"{address}:80", address, 80, NOT, "listener")


def test_one_address_in_two_networks(world):
    """Who is meant is the one on the asker's network; one's own address is nobody else's."""
    for container in ("c3", "c4"):
        world.lab.netns(container)
    for name, containers in (("a", ("c1", "c3")), ("b", ("c2", "c4"))):
        for container in containers:
            world.add(net.bridge(name, subnets=("10.5.0.0/24",), internal=True, isDefaultGateway=None), container)
    address, other = "10.5.0.2", "10.5.0.3"
    world.serve("c2")
    found = world.agree("c4", f"{address}:80", address, 80, REACHED)
    assert found["to"] == "container c2" and not re.search(r"\bc1\b", str(found))
    found = world.agree("c1", "c2:80", address, 80, NOT, "route")
    assert found["to"] == "container c2" and "networks a and b" in str(found["steps"][-1]["remedy"])
    assert world.agree("c3", f"{address}:80", address, 80, NOT, "listener")["to"] == "container c1"
    world.why("c1", "c1", REACHED)
    world.why("c1", address, REACHED)
    world.agree("c1", "c4:80", other, 80, NOT)
    assert world.why(other, f"{address}:9", NOT, "listener")["to"] == "container c1"
    world.lab.run(["ip", "route", "replace", "10.5.0.0/24", "dev", "b0"], check=False)
    world.lab.run(["ip", "addr", "add", "10.5.0.200/24", "dev", "b0", "noprefixroute"])
    found = world.agree("host", f"{address}:80", address, 80, REACHED)
    assert found["to"] == "container c2" and not re.search(r"\bc1\b", str(found))
    world.why("host", "c1:80", NOT, "host route")


def test_outside_of_a_host_without_a_default_route(world):
    """It is who is beside the host, by the family that there is."""
    world.lab.run(["ip", "route", "del", "default"])
    world.add(published(), "c1")
    world.serve("c1")
    found = world.agree("outside", "host:8080", HOST, 8080, REACHED)
    assert HOST in str(found["steps"])


def test_ptp(world):
    config = {"cniVersion": net.VERSION, "name": "p", "type": "ptp", "ipMasq": True, "ipam": net.host_local("10.3.0.0/24", routes=["0.0.0.0/0"])}
    one = world.cni.add("ptp", config, "c1").expect()
    two = world.add(net.bridge(), "c2")
    world.serve("c1", "c2", "outside")
    world.agree("c1", "c2:80", two.address, 80, REACHED)
    world.agree("c2", "c1:80", one.address, 80, REACHED)
    world.agree("c1", "outside:80", OUTSIDE, 80, REACHED)
    world.agree("host", "c1:80", one.address, 80, REACHED)


def macvlan(**more):
    ipam = net.host_local({"subnet": "192.0.2.0/24", "rangeStart": "192.0.2.50", "gateway": OUTSIDE}, routes=["0.0.0.0/0"])
    return {"cniVersion": net.VERSION, "name": "mv", "type": "macvlan", "master": "up0", "ipam": ipam, **more}


@pytest.mark.parametrize("access", [False, True])
def test_macvlan(world, access):
    """What does not pass through the host is not known; that the host does not reach its own macvlans is."""
    world.lab.netns("c3")
    one, two = (world.cni.add("macvlan", macvlan(hostAccess=access), c).expect() for c in ("c1", "c2"))
    world.add(net.bridge(), "c3")
    world.serve("c1", "c2", "outside")
    verdict, failing = (REACHED, None) if access else (NOT, "network")
    world.agree("host", "c1:80", one.address, 80, verdict, failing)
    world.agree("c3", "c1:80", one.address, 80, verdict, failing)
    for source, target in (("c1", "c2:80"), ("outside", "c1:80"), ("c1", "outside:80"), ("c1", "host:80")):
        world.why(source, target, "not known")
    world.why("c1", "c2:81", NOT, "listener")


def test_sharer_has_its_owners_interfaces(world):
    two = world.add(net.bridge(), "c2")
    world.add(net.bridge(), "c1")
    share = {"cniVersion": net.VERSION, "name": "shared", "type": "container", "container": "c1"}
    world.cni.add("container", share, "sharer", netns="c1").expect()
    world.serve("c1", "c2")
    world.why("sharer", "c2:80", REACHED)
    world.why("c2", "sharer:80", REACHED)
    world.why("c2", "sharer:81", NOT, "listener")


def test_sharer_in_the_other_verbs(world):
    """What it has is its owner's, and while there is none, it is the sharer that is spoken of."""
    world.add(published(), "c1", args="IgnoreUnknown=1;K8S_POD_NAME=web")
    world.add(net.bridge(), "c2")
    share = {"cniVersion": net.VERSION, "name": "shared", "type": "container", "container": "c1"}
    world.cni.add("container", share, "sharer", netns="c1", ifname="eth1").expect()
    world.lab.run(["ip", "link", "add", "eth1", "type", "bridge"], netns="c1")      # nothing of the sharer's
    netctl = world.netctl
    shown = netctl("endpoint", "ls").expect()
    assert [row[3] for row in shown.rows if row[0] == "sharer"] == ["(web's)"] and not re.search(r"\beth1\b", shown.stdout)
    [one] = netctl.json("endpoint", "ls", "shared")
    assert one["sharesSandboxOf"] == "c1" and one["interface"] == "eth1"        # what DEL needs
    assert {e["sharesSandboxOf"] for e in netctl.json("endpoint", "ls", "net")} == {""}
    [one] = netctl.json("endpoint", "inspect", "sharer")
    assert (one["interfaceInside"], one["index"], one["addressesInside"]) == ("", 0, [])
    assert "those of c1, whose sandbox it shares" in netctl("endpoint", "inspect", "sharer").expect().stdout
    assert [(s["container"], s["interface"]) for s in netctl.json("stats", "sharer")] == [("c1", "eth0")]
    assert netctl("port", "sharer").expect().stdout == netctl("port", "web").expect().stdout == "80/tcp -> 0.0.0.0:8080\n"
    assert "(web's)" in netctl("stats").expect().stdout and len(netctl.json("stats", "sharer", "web")) == 1
    world.cni.delete("bridge", published(), "c1").expect()
    for argv in (("why", "c2", "sharer:80"), ("why", "sharer", "c2"), ("port", "sharer"), ("stats", "sharer")):
        netctl(*argv).expect(NOT_FOUND, "container sharer shares the sandbox of c1, which is attached to no network any more")
    assert ["sharer", "(c1's)"] in [row[0::3][:2] for row in netctl("endpoint", "ls").expect().rows]


# ---- the command ----

def test_output(world):
    world.add(published(), "c1", args="IgnoreUnknown=1;K8S_POD_NAME=web")
    outcome = world.netctl("why", "outside", "host:8080").expect(NO)
    lines = outcome.stdout.splitlines()
    assert lines[0].split()[:2] == ["ok", "endpoints"] and lines[-1] == NOT
    assert any(line.startswith("failed   listener     nothing listens at port 80/tcp") for line in lines)
    assert any(line.strip().startswith("remedy: start the server") for line in lines)
    assert world.netctl("why", "-q", "outside", "host:8080").expect(NO).stdout == "not reached\n"
    assert "\x1b[31mfailed" in world.netctl("why", "outside", "host:8080", "--color=always").expect(NO).stdout
    found = world.netctl("why", "outside", "web:80", "--json").json
    assert set(found) == {"from", "to", "verdict", "steps"}
    assert found["from"] == "the outside" and found["to"] == "container web"
    assert all(set(step) == {"step", "ok", "detail", "remedy"} for step in found["steps"])


def test_hostile_names(world):
    """Whoever is root in a sandbox names its interfaces."""
    world.add(net.bridge(), "c1")
    world.lab.run(["ip", "link", "set", "eth0", "name", "x\x1b[31m"], netns="c1")
    for source, target in (("host", "c1"), ("c1", "outside")):
        outcome = world.netctl("why", source, target)
        assert "x?[31m" in outcome.stdout and "\x1b" not in outcome.stdout
        assert "x?[31m" in str(world.netctl("why", source, target, "--json").json)


@pytest.mark.parametrize("argv, status, words", [
    (["c1"], USAGE, "at least"), (["nobody", "c1"], NOT_FOUND, "nobody"), (["c1", "c1:http"], USAGE, "expected a port"),
    (["c1", "nobody:80"], NOT_FOUND, "nobody"),
])
def test_wrong_questions(world, argv, status, words):
    world.add(net.bridge(), "c1")
    outcome = world.netctl("why", *argv)
    assert outcome.status == status, outcome


def test_before_anything_ran(world):
    world.why("host", "outside", REACHED)
    world.why("outside", "host:80", NOT, "listener")
    for family in ("-4", "-6"):
        world.lab.run(["ip", family, "route", "del", "default"])
    world.why("host", "outside", NOT, "addresses")
