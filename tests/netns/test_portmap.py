# SPDX-License-Identifier: GPL-2.0-or-later
"""Published ports and traffic: the bridge with runtimeConfig.portMappings, and the chained portmap."""
import os
import re

import pytest

from support import configs, probes, snapshot
from support.cni import Chain
from support.configs import attach, port, publish

HOST, OUTSIDE = "192.0.2.1", "192.0.2.2"
HOST6, OUTSIDE6 = "2001:db8::1", "2001:db8::2"
PUBLISHED = [port(8080, 80), port(8081, 80, hostIP=HOST), port(8082, 80, hostIP="127.0.0.1"), port(5353, 53, "udp"),
             port(9000, 9000, range=1000)]


class Publisher:
    """ADD and DEL with published ports, by one plugin or by two."""

    def __init__(self, cni, chained):
        self.cni, self.chained, self._chains = cni, chained, {}

    def chain(self, config):
        plugins = ({**config, "capabilities": {} if self.chained else {"portMappings": True}},
                   {"type": "portmap", "capabilities": {"portMappings": True}})
        listed = configs.conflist(*plugins[:2 if self.chained else 1], name=config["name"], version=config["cniVersion"])
        return self._chains.setdefault(config["name"], Chain(self.cni, listed))

    def add(self, config, container, *mappings, **kwargs):
        ports = [m if isinstance(m, dict) else port(*m) for m in mappings]
        return self.chain(config).add(container, capabilities={"portMappings": ports}, **kwargs)

    def delete(self, config, container, **kwargs):
        return self.chain(config).delete(container, **kwargs)


@pytest.fixture(params=["bridge", "chained"])
def publisher(request, cni):
    return Publisher(cni, request.param == "chained")


# ---- the table of traffic ----

@pytest.fixture(params=[0, 1], ids=["bridged-unfiltered", "bridged-filtered"])
def world(request, lab, publisher):
    """c1 with published ports, its neighbour c2, c3 on another, isolated network."""
    configs.filter_bridged(lab, request.param)
    lab.netns("c3")
    first = publisher.add(configs.bridge(), "c1", *PUBLISHED).expect()
    second = publisher.add(configs.bridge(), "c2").expect()
    third = publisher.add(configs.second(isolate=True), "c3").expect()
    for name in ("c1", "c2", "c3", "outside"):
        lab.tcp_server(name, port=80)
    lab.tcp_server("c1", port=9500)
    lab.udp_server("c1", port=53)
    return {"c1": first.address, "c2": second.address, "c3": third.address}


REACHES = [     # from, address, port, protocol, source address that the server sees (None: any)
    ("outside", HOST, 8080, "tcp", OUTSIDE), ("outside", HOST, 8081, "tcp", OUTSIDE),
    ("outside", HOST, 9500, "tcp", OUTSIDE), ("outside", HOST, 5353, "udp", OUTSIDE),
    (None, "127.0.0.1", 8080, "tcp", configs.GATEWAY), (None, "127.0.0.1", 8082, "tcp", configs.GATEWAY),
    (None, "127.0.0.1", 9500, "tcp", configs.GATEWAY), (None, "127.0.0.1", 5353, "udp", configs.GATEWAY),
    (None, HOST, 8080, "tcp", None), (None, "c1", 80, "tcp", configs.GATEWAY),
    ("c2", HOST, 8080, "tcp", configs.GATEWAY), ("c2", configs.GATEWAY, 8080, "tcp", configs.GATEWAY),
    ("c2", HOST, 5353, "udp", configs.GATEWAY), ("c2", HOST, 9500, "tcp", configs.GATEWAY),
    ("c1", HOST, 8080, "tcp", configs.GATEWAY), ("c1", HOST, 5353, "udp", configs.GATEWAY),
    ("c2", "c1", 80, "tcp", "c2"), ("c3", HOST, 8080, "tcp", None), ("outside", "c1", 80, "tcp", OUTSIDE),
]
REFUSED = [("outside", HOST, 8082), (None, HOST, 8082), ("c3", "c1", 80), ("c2", HOST, 8082), ("outside", HOST, 80),
           ("outside", HOST, 8999), ("outside", HOST, 10000)]


def test_traffic(lab, world):
    """The whole table at once; what fails is listed."""
    problems = []
    for source, address, number, proto, wanted in REACHES:
        try:
            answer = lab.probe(source, world.get(address, address), number, proto, timeout=2)
        except probes.Unreachable as error:
            problems.append(f"{source or 'host'} -> {address}:{number}/{proto}: {error}")
            continue
        if answer.server != "c1" or (wanted and answer.peer != world.get(wanted, wanted)):
            problems.append(f"{source or 'host'} -> {address}:{number}/{proto}: wanted from {wanted}, {answer}")
    problems += [f"{source or 'host'} -> {address}:{number} is open" for source, address, number in REFUSED
                 if not lab.blocked(source, world.get(address, address), number)]
    if lab.probe("c1", OUTSIDE, 80).peer != HOST:
        problems.append("c1 -> outside is not masqueraded")
    assert not problems, "\n".join(problems)


def test_nothing_is_open_after_del(lab, publisher, world):
    publisher.delete(configs.bridge(), "c1").expect()
    lab.remove_netns("c1")
    for number in (8080, 8081, 9500):
        assert lab.blocked("outside", HOST, number)
    assert lab.blocked(None, "127.0.0.1", 8080)


# ---- addresses and families ----

def test_ipv6(lab, publisher):
    publisher.add(configs.dual(), "c1", (8080, 80), port(8081, 80, hostIP=HOST6), port(5353, 53, "udp"),
                  port(9000, 9000, range=10)).expect()
    lab.tcp_server("c1", "::", 80)
    lab.tcp_server("c1", "::", 9005)
    lab.udp_server("c1", "::", 53)
    for number, proto in ((8080, "tcp"), (8081, "tcp"), (9005, "tcp"), (5353, "udp")):
        assert lab.probe("outside", HOST6, number, proto).peer == OUTSIDE6
    assert lab.reaches(None, HOST6, 8080)
    assert lab.blocked("outside", HOST, 8081)


def test_ipv6_hairpin(lab, publisher):
    publisher.add(configs.dual(), "c1", (8080, 80)).expect()
    publisher.add(configs.dual(), "c2").expect()
    lab.tcp_server("c1", "::", 80)
    for name in ("c1", "c2"):
        assert lab.probe(name, HOST6, 8080).peer == configs.GATEWAY6


@pytest.mark.parametrize("host_ip,four,six", [("", True, True), ("0.0.0.0", True, False), ("::", False, True),
                                              (HOST, True, False), (HOST6, False, True)])
def test_host_address_selects_the_family(lab, publisher, host_ip, four, six):
    publisher.add(configs.dual(), "c1", port(8080, 80, hostIP=host_ip)).expect()
    lab.tcp_server("c1", port=80)
    lab.tcp_server("c1", "::", port=80)
    for address, wanted in ((HOST, four), (HOST6, six)):
        assert (lab.reaches if wanted else lab.blocked)("outside", address, 8080)


def test_host_address_of_a_family_that_the_container_lacks(lab, publisher):
    publisher.add(configs.bridge(), "c1", port(8080, 80, hostIP=HOST6), (8081, 80)).expect()
    lab.tcp_server("c1", port=80)
    assert lab.reaches("outside", HOST, 8081)


def test_one_address_of_two(lab, publisher):
    lab.run(["ip", "addr", "add", "192.0.2.9/24", "dev", "up0"])
    publisher.add(configs.bridge(), "c1", port(8080, 80, hostIP=HOST)).expect()
    publisher.add(configs.bridge(), "c2", port(8080, 80, hostIP="192.0.2.9")).expect()
    for name in ("c1", "c2"):
        lab.tcp_server(name, port=80)
    assert lab.probe("outside", HOST, 8080).server == "c1"
    assert lab.probe("outside", "192.0.2.9", 8080).server == "c2"


@pytest.mark.parametrize("protocol", ["TCP", "Tcp", "", None])
def test_protocol_names(lab, publisher, protocol):
    mapping = port(8080, 80, protocol)
    publisher.add(configs.bridge(), "c1", {k: v for k, v in mapping.items() if v is not None}).expect()
    lab.tcp_server("c1", port=80)
    assert lab.reaches("outside", HOST, 8080)


def test_same_number_for_tcp_and_udp(lab, publisher):
    publisher.add(configs.bridge(), "c1", (8080, 80)).expect()
    publisher.add(configs.bridge(), "c2", port(8080, 80, "udp")).expect()
    lab.tcp_server("c1", port=80)
    lab.udp_server("c2", port=80)
    assert lab.probe("outside", HOST, 8080).server == "c1"
    assert lab.probe("outside", HOST, 8080, "udp").server == "c2"


# ---- ranges ----

@pytest.mark.parametrize("mapping,pairs", [
    (port(9000, 9000, range=1000), [(9000, 9000), (9500, 9500), (9999, 9999)]),
    (port(9000, 9000, hostPortEnd=9999), [(9000, 9000), (9999, 9999)]),
    (port(9000, 7000, range=100), [(9000, 7000), (9050, 7050), (9099, 7099)]),
    (port(9000, 7000, hostPortEnd=9099), [(9000, 7000), (9099, 7099)]),
    (port(9000, 80, range=1), [(9000, 80)]),
    (port(9000, 80, hostPortEnd=9000), [(9000, 80)]),
    (port(20000, 20000, range=10000, hostIP=HOST), [(20000, 20000), (29999, 29999)]),
    (port(20000, 30000, range=100, hostIP=HOST), [(20099, 30099)]),
    (port(1024, 1024, range=64512), [(1024, 1024), (65535, 65535)]),
])
def test_ranges(lab, cni, mapping, pairs):
    attach(cni, publish(configs.bridge(), mapping), "c1")
    for host, inside in pairs:
        lab.tcp_server("c1", port=inside)
        assert lab.probe("outside", HOST, host).port == inside
    last = pairs[-1][0]
    if last < 65535 and len(pairs) > 1:
        assert lab.blocked("outside", HOST, last + 1)
    assert lab.blocked("outside", HOST, pairs[0][0] - 1)


def test_equal_range_is_one_element(lab, cni):
    attach(cni, publish(configs.bridge(), port(10000, 10000, range=10000)), "c1")
    assert len(configs.nft_elements(lab)["publish4_range"]) == 1


def test_ten_thousand_shifted_ports(lab, cni):
    config = publish(configs.bridge(), port(20000, 30000, range=10000))
    attach(cni, config, "c1")
    assert len(configs.nft_elements(lab)["publish4"]) == 10000
    cni.delete("bridge", config).expect()
    assert not configs.nft_elements(lab)["publish4"]


def test_range_of_udp(lab, cni):
    attach(cni, publish(configs.bridge(), port(9000, 9000, "udp", range=10)), "c1")
    lab.udp_server("c1", port=9009)
    assert lab.probe("outside", HOST, 9009, "udp").peer == OUTSIDE


# ---- host port 0 ----

def published_ports(lab):
    """Host ports of wildcard mappings to single ports."""
    keys = [key for key, _ in configs.nft_elements(lab).get("publish4", [])]
    return [key.get("elem", {}).get("val", key)["concat"][1] for key in keys]     # with or without a comment


def test_any_free_port(lab, cni):
    for name in ("c1", "c2"):
        attach(cni, publish(configs.bridge(), (0, 80)), name)
        lab.tcp_server(name, port=80)
    ports = published_ports(lab)
    assert len(ports) == 2
    assert {lab.probe("outside", HOST, number).server for number in ports} == {"c1", "c2"}
    first, last = map(int, lab.sysctl("net.ipv4.ip_local_port_range").split())
    assert all(first <= number <= last for number in ports)
    cni.delete("bridge", configs.bridge(), "c1").expect()
    assert len(published_ports(lab)) == 1


# ---- conflicts ----

@pytest.mark.parametrize("first,other", [
    (port(8080, 80), port(8080, 80)), (port(8080, 80), port(8080, 81, hostIP=HOST)),
    (port(8080, 80, hostIP=HOST), port(8080, 80)), (port(8080, 80, hostIP=HOST), port(8080, 80, hostIP=HOST)),
    (port(8000, 8000, range=100), port(8050, 80)), (port(8050, 80), port(8000, 8000, range=100)),
    (port(8000, 8000, range=100), port(8099, 9000, range=10)), (port(8000, 7000, range=100), port(8020, 80)),
    (port(8080, 80, "udp"), port(8080, 80, "udp")), (port(8080, 80), port(8080, 80, hostIP="127.0.0.1")),
])
def test_conflict_names_the_owner(lab, publisher, first, other):
    """The second is refused with container and network of the first, and leaves nothing."""
    publisher.add(configs.bridge(), "c1", first).expect()
    network = configs.second()
    if not publisher.chained:
        configs.warm(publisher.cni, network)
    before = snapshot.take(lab, ["c1", "c2"])
    outcome = publisher.add(network, "c2", other).refused(102, f"{other['protocol']} port")
    assert re.search(r"\bc1\b", outcome.message) and re.search(r"\bnet\b", outcome.message), str(outcome)
    if not publisher.chained:
        assert not snapshot.diff(before, snapshot.take(lab, ["c1", "c2"]))
    publisher.delete(configs.bridge(), "c1").expect()
    publisher.delete(network, "c2").expect()
    publisher.add(network, "c2", other).expect()


def test_conflict_with_itself(cni):
    cni.add("bridge", publish(configs.bridge(), (8080, 80), (8080, 81))).refused((7, 102), "8080")


def test_conflict_with_a_container_that_is_gone(lab, cni):
    """Some runtimes never send DEL."""
    outcome = cni.add("bridge", publish(configs.bridge(), (8080, 80)), "c1").expect()
    lab.run(["ip", "link", "del", outcome.json["interfaces"][1]["name"]])
    attach(cni, publish(configs.bridge(), (8080, 80)), "c2")
    lab.tcp_server("c2", port=80)
    assert lab.probe("outside", HOST, 8080).server == "c2"


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_check_host_ports_names_the_process(lab, cni, proto):
    getattr(lab, f"{proto}_server")(None, "0.0.0.0", 8080)
    config = publish(configs.bridge(), port(8080, 80, proto))
    with open("/proc/self/comm", encoding="utf-8") as file:
        name = file.read().strip()
    cni.add("bridge", {**config, "checkHostPorts": True}).refused(102, "8080", proto, str(os.getpid()), name)
    cni.add("bridge", config).expect()      # without the key nobody looks


def test_check_host_ports_knows_addresses_and_protocols(lab, cni):
    lab.tcp_server(None, HOST, 8080)
    config = {**configs.bridge(), "checkHostPorts": True}
    cni.add("bridge", publish(config, port(8080, 80, hostIP="127.0.0.1"), port(8080, 80, "udp")), "c1").expect()
    cni.add("bridge", publish(config, (8080, 80)), "c2").refused(102, "8080")


# ---- conntrack ----

def test_udp_flow_follows_add(lab, publisher):
    """A client that asked before the port was published must not stay with the old answer."""
    lab.udp_server(None, port=5353)
    with lab.client("outside", HOST, 5353, "udp") as client:
        assert probes.ask(client, "udp").server == "host"
        publisher.add(configs.bridge(), "c1", port(5353, 53, "udp")).expect()
        lab.udp_server("c1", port=53)
        assert probes.ask(client, "udp").server == "c1"


def test_udp_flow_follows_del(lab, publisher):
    publisher.add(configs.bridge(), "c1", port(5353, 53, "udp")).expect()
    publisher.add(configs.bridge(), "c2").expect()
    lab.udp_server("c1", port=53)
    lab.udp_server(None, port=5353)
    with lab.client("outside", HOST, 5353, "udp") as client:
        assert probes.ask(client, "udp").server == "c1"
        publisher.delete(configs.bridge(), "c1").expect()
        assert probes.ask(client, "udp").server == "host"


def test_udp_flow_follows_a_restart(lab, publisher):
    publisher.add(configs.bridge(), "c1", port(5353, 53, "udp"), port(6000, 6000, "udp", range=100)).expect()
    for name in ("c1", "c2"):
        lab.udp_server(name, port=53)
        lab.udp_server(name, port=6050)
    with lab.client("outside", HOST, 5353, "udp") as one, lab.client("outside", HOST, 6050, "udp") as two:
        assert {probes.ask(one, "udp").server, probes.ask(two, "udp").server} == {"c1"}
        publisher.delete(configs.bridge(), "c1").expect()
        publisher.add(configs.bridge(), "c2", port(5353, 53, "udp"), port(6000, 6000, "udp", range=100)).expect()
        assert {probes.ask(one, "udp").server, probes.ask(two, "udp").server} == {"c2"}


def test_tcp_flows_of_others_survive(lab, publisher):
    publisher.add(configs.bridge(), "c1", (8080, 80), port(5353, 53, "udp")).expect()
    lab.tcp_server("c1", port=80)
    with lab.client("outside", HOST, 8080) as client:
        assert probes.ask(client, "tcp").server == "c1"
        publisher.add(configs.bridge(), "c2", (8081, 80), port(5354, 53, "udp")).expect()
        publisher.delete(configs.bridge(), "c2").expect()
        assert probes.ask(client, "tcp").server == "c1"


# ---- two networks ----

def test_two_networks_keep_their_ports(lab, publisher):
    one, two = configs.bridge(), configs.second(isDefaultGateway=None, isGateway=True)
    publisher.add(one, "c1", (8080, 80), ifname="eth0").expect()
    publisher.add(two, "c1", (8081, 80), ifname="eth1").expect()
    lab.tcp_server("c1", port=80)
    assert lab.probe("outside", HOST, 8080).address.startswith("10.1.")
    assert lab.probe("outside", HOST, 8081).address.startswith("10.2.")
    publisher.delete(two, "c1", ifname="eth1").expect()
    assert lab.reaches("outside", HOST, 8080)
    assert lab.blocked("outside", HOST, 8081)


# ---- foreign FORWARD policies ----

@pytest.fixture
def drop_policy(lab):
    """A host as Docker or ufw leave it."""
    for program in ("iptables", "ip6tables"):
        lab.run([program, "-P", "FORWARD", "DROP"])
        lab.run([program, "-N", "DOCKER-USER"])
        lab.run([program, "-A", "FORWARD", "-j", "DOCKER-USER"])
    return lab


def iptables_works(lab):
    for program in ("iptables", "ip6tables"):
        listed = lab.run([program, "-S"])
        assert "incompatible" not in listed.stdout + listed.stderr
        lab.run([f"{program}-save"])
        lab.run([program, "-A", "FORWARD", "-s", "203.0.113.1" if program == "iptables" else "2001:db8:9::1", "-j", "DROP"])


@pytest.mark.parametrize("filtered", [0, 1])
def test_drop_policy(drop_policy, publisher, filtered):
    lab = drop_policy
    configs.filter_bridged(lab, filtered)
    outcome = publisher.add(configs.dual(), "c1", (8080, 80)).expect()
    neighbour = publisher.add(configs.dual(), "c2").expect()
    for name in ("c1", "c2", "outside"):
        lab.tcp_server(name, port=80)
        lab.tcp_server(name, "::", port=80)
    for host, outside in ((HOST, OUTSIDE), (HOST6, OUTSIDE6)):
        assert lab.reaches("c1", outside, 80)
        assert lab.probe("outside", host, 8080).server == "c1"
        assert lab.reaches("c2", host, 8080)
    assert lab.reaches("c1", neighbour.address, 80)
    assert lab.blocked("outside", outcome.address, 80)
    iptables_works(lab)


def test_drop_policy_and_a_users_drop(drop_policy, publisher):
    """What the user forbids in DOCKER-USER stays forbidden."""
    lab = drop_policy
    outcome = publisher.add(configs.bridge(), "c1", (8080, 80)).expect()
    lab.tcp_server("c1", port=80)
    lab.run(["iptables", "-I", "DOCKER-USER", "-d", outcome.address, "-j", "DROP"])
    assert lab.blocked("outside", HOST, 8080)


def test_drop_policy_that_comes_later(lab, publisher):
    """Docker is started after us: the next operation notices."""
    publisher.add(configs.bridge(), "c1", (8080, 80)).expect()
    lab.tcp_server("c1", port=80)
    lab.run(["iptables", "-P", "FORWARD", "DROP"])
    publisher.add(configs.bridge(), "c2").expect()
    assert lab.reaches("outside", HOST, 8080)
    assert lab.run(["iptables", "-S", "FORWARD"]).stdout.count("-j ACCEPT") == 1
