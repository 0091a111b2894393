# SPDX-License-Identifier: GPL-2.0-or-later
"""What a network keeps apart: internal, icc, isolate, guarded; and how it goes out: snatAddress, gatewayMode."""
import pytest

from support import configs
from support.configs import attach


@pytest.fixture(params=[0, 1], ids=["bridged-unfiltered", "bridged-filtered"])
def both(request, lab, cni):
    """The tests must hold whether or not bridged packets pass the host's rules."""
    configs.filter_bridged(lab, request.param)
    return cni


def filtered(lab):
    name = "net/bridge/bridge-nf-call-iptables"
    return lab.exists(f"/proc/sys/{name}") and lab.sysctl(name) == "1"


def serve(lab, *containers, port=80):
    for name in containers:
        lab.tcp_server(name, port=port)


# ---- internal ----

def internal(make=configs.bridge):
    return make(internal=True, isDefaultGateway=None, isGateway=True)


def test_internal(lab, both):
    config = internal()
    one, two = attach(both, config, "c1", "c2")
    serve(lab, "c1", "c2", "outside")
    assert lab.reaches("c1", two, 80)
    assert lab.reaches(None, one, 80)
    assert lab.blocked("c1", "192.0.2.2", 80)
    assert lab.blocked("outside", one, 80)


def test_internal_and_another_network(lab, both):
    [one] = attach(both, internal(), "c1")
    [two] = attach(both, configs.second(), "c2")
    serve(lab, "c1", "c2")
    assert lab.blocked("c1", two, 80)
    assert lab.blocked("c2", one, 80)


def test_internal_ipv6(lab, both):
    one, two = (both.add("bridge", internal(configs.dual), name).expect().addresses()[1] for name in ("c1", "c2"))
    for name in ("c1", "c2", "outside"):
        lab.tcp_server(name, "::", 80)
    assert lab.reaches("c1", two, 80)
    assert lab.blocked("c1", "2001:db8::2", 80)
    assert lab.blocked("outside", one, 80)


def test_internal_does_not_reach_published_ports_of_others(lab, both):
    """A published port of another network would be a way out of an internal one only for what was published."""
    attach(both, internal(), "c1")
    attach(both, configs.publish(configs.second(), (8080, 80)), "c2")
    serve(lab, "c2")
    assert lab.reaches("outside", "192.0.2.1", 8080)
    assert lab.blocked("c1", "192.0.2.1", 8080)


# ---- icc ----

def test_icc_off(lab, both):
    _, two = attach(both, configs.bridge(icc=False), "c1", "c2")
    serve(lab, "c2", "outside")
    lab.udp_server("c2", port=53)
    assert lab.blocked("c1", two, 80)
    assert lab.blocked("c1", two, 53, "udp")
    assert lab.reaches(None, two, 80)
    assert lab.reaches("c1", "192.0.2.2", 80)


def test_icc_off_leaves_published_ports(lab, both):
    attach(both, configs.bridge(icc=False), "c1")
    attach(both, configs.publish(configs.bridge(icc=False), (8080, 80)), "c2")
    serve(lab, "c2")
    assert lab.reaches("outside", "192.0.2.1", 8080)
    # Where bridged packets pass the host's rules, the kernel sends a translated packet straight back onto the
    # bridge, and isolated ports stay isolated: fairlead-bridge(8), LIMITS.
    if not filtered(lab):
        assert lab.reaches("c1", "192.0.2.1", 8080)


def test_icc_on_is_the_default(lab, both):
    _, two = attach(both, configs.bridge(), "c1", "c2")
    serve(lab, "c2")
    assert lab.reaches("c1", two, 80)


# ---- isolate ----

@pytest.mark.parametrize("first,other", [(True, None), (None, True), (True, True)])
def test_isolated_networks(lab, both, first, other):
    [one] = attach(both, configs.publish(configs.bridge(isolate=first), (8080, 80)), "c1")
    [two] = attach(both, configs.publish(configs.second(isolate=other), (8081, 80)), "c2")
    serve(lab, "c1", "c2", "outside")
    assert lab.blocked("c1", two, 80)
    assert lab.blocked("c2", one, 80)
    assert lab.reaches("c1", "192.0.2.1", 8081)       # the published port is for everybody
    assert lab.reaches("c2", "192.0.2.1", 8080)
    assert lab.reaches("c1", "192.0.2.2", 80)


def test_networks_are_open_by_default(lab, both):
    [one] = attach(both, configs.bridge(), "c1")
    [two] = attach(both, configs.second(), "c2")
    serve(lab, "c1", "c2")
    assert lab.reaches("c1", two, 80)
    assert lab.reaches("c2", one, 80)


def test_isolation_ends_with_the_network(lab, cni):
    """A network that is configured anew without the key is open again."""
    [one] = attach(cni, configs.bridge(isolate=True), "c1")
    attach(cni, configs.second(), "c2")
    serve(lab, "c1")
    assert lab.blocked("c2", one, 80)
    lab.netns("c3")
    attach(cni, configs.bridge(isolate=False), "c3")
    assert lab.reaches("c2", one, 80)


# ---- guarded ----

@pytest.mark.parametrize("family", [4, 6])
def test_guarded(lab, both, family):
    """From outside only published ports are reached; everything else goes on as usual."""
    config = configs.publish(configs.dual(guarded=True), (8080, 80))
    outcome = both.add("bridge", config).expect()
    [_] = attach(both, configs.dual(guarded=True), "c2")
    address = outcome.addresses()[0 if family == 4 else 1]
    outside, host = ("192.0.2.2", "192.0.2.1") if family == 4 else ("2001:db8::2", "2001:db8::1")
    wildcard = "0.0.0.0" if family == 4 else "::"
    for name in ("c1", "outside"):
        lab.tcp_server(name, wildcard, 80)
    assert lab.blocked("outside", address, 80)
    assert lab.reaches("outside", host, 8080)
    assert lab.reaches("c1", outside, 80)
    assert lab.reaches("c2", address, 80)
    assert lab.reaches(None, address, 80)


def test_unguarded(lab, both):
    [one] = attach(both, configs.bridge(), "c1")
    serve(lab, "c1")
    assert lab.probe("outside", one, 80).peer == "192.0.2.2"


# ---- the way out ----

def test_snat_address(lab, cni):
    lab.run(["ip", "addr", "add", "192.0.2.7/24", "dev", "up0"])
    attach(cni, configs.bridge(snatAddress="192.0.2.7"), "c1")
    attach(cni, configs.second(), "c2")
    serve(lab, "outside")
    assert lab.probe("c1", "192.0.2.2", 80).peer == "192.0.2.7"
    assert lab.probe("c2", "192.0.2.2", 80).peer == "192.0.2.1"


def test_snat_address_ipv6(lab, cni):
    lab.run(["ip", "addr", "add", "2001:db8::7/64", "dev", "up0", "nodad"])
    attach(cni, configs.dual(snatAddress="2001:db8::7"), "c1")
    lab.tcp_server("outside", "::", 80)
    lab.tcp_server("outside", port=80)
    assert lab.probe("c1", "2001:db8::2", 80).peer == "2001:db8::7"
    assert lab.probe("c1", "192.0.2.2", 80).peer == "192.0.2.1"


def test_routed(lab, both):
    """No translation either way: published ports are opened at the container's own address."""
    config = configs.publish(configs.dual(gatewayMode="routed"), (8080, 80))
    outcome = both.add("bridge", config).expect()
    four, six = outcome.addresses()
    for name in ("c1", "outside"):
        lab.tcp_server(name, port=80)
        lab.tcp_server(name, "::", port=80)
    lab.tcp_server("c1", port=81)
    assert lab.probe("c1", "192.0.2.2", 80).peer == four
    assert lab.probe("c1", "2001:db8::2", 80).peer == six
    assert lab.probe("outside", four, 80).peer == "192.0.2.2"
    assert lab.probe("outside", six, 80).peer == "2001:db8::2"
    assert lab.blocked("outside", "192.0.2.1", 8080)


def test_routed_and_guarded(lab, both):
    config = configs.publish(configs.bridge(gatewayMode="routed", guarded=True), (8080, 80))
    [one] = attach(both, config, "c1")
    serve(lab, "c1")
    serve(lab, "c1", port=81)
    assert lab.reaches("outside", one, 80)
    assert lab.blocked("outside", one, 81)


def test_host_loopback_is_not_open(lab, both):
    """127.0.0.1 can be published, and still nobody gets at what listens on the host's loopback."""
    attach(both, configs.publish(configs.bridge(), configs.port(8082, 80, hostIP="127.0.0.1")), "c1")
    lab.tcp_server(None, "127.0.0.1", 9999)
    for netns, gateway in (("c1", configs.GATEWAY), ("outside", "192.0.2.1")):
        lab.run(["ip", "link", "set", "lo", "up"], netns=netns)
        lab.run(["ip", "addr", "del", "127.0.0.1/8", "dev", "lo"], netns=netns, check=False)
        device = "eth0"
        lab.sysctl(f"net/ipv4/conf/{device}/route_localnet", 1, netns=netns)
        lab.run(["ip", "route", "add", "127.0.0.1", "via", gateway, "dev", device], netns=netns)
        assert lab.blocked(netns, "127.0.0.1", 9999)
        assert lab.blocked(netns, "127.0.0.1", 8082)


def test_changed_network_leaves_no_rule_of_its_endpoints(lab, cni):
    """Published under one configuration, deleted under another: the port is free."""
    config = configs.publish(configs.bridge(), (8080, 80))
    address, = configs.attach(cni, config, "c1")
    cni.add("bridge", configs.bridge(internal=True, isDefaultGateway=None, ipMasq=None), "c2").expect()
    cni.delete("bridge", config, "c1").expect()
    cni.delete("bridge", config, "c2").expect()
    assert not configs.nft_elements(lab)["publish4"]
    cni.add("bridge", config, "c1").expect()
