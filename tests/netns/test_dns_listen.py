# SPDX-License-Identifier: GPL-2.0-or-later
"""dns.listen: the network's names for the host, at the network's gateways."""
import pytest

from support import configs, dns, shapes, snapshot

GATEWAY, GATEWAY6 = configs.GATEWAY, configs.GATEWAY6
NET = dns.network(dns={"listen": True})


@pytest.fixture
def upstream(lab):
    with dns.upstream(lab) as server:
        yield server


def host_lookup(lab, name, server=GATEWAY, port=53, **how):
    return dns.lookup(lab, None, name, server=server, port=port, **how)


def listening(lab):
    """Addresses with port at which the host has sockets, UDP and TCP."""
    found = {}
    for line in lab.run(["ss", "-Hlnut"]).stdout.splitlines():
        fields = line.split()
        found.setdefault(fields[4], set()).add(fields[0])
    assert all(kinds == {"udp", "tcp"} for kinds in found.values()), found
    return sorted(found)


def test_host_asks_the_gateway(lab, cni, upstream):
    [one] = dns.attach(cni, NET, "c1", "web", aliases=["www"])
    for tcp in (False, True):
        for name in ("web", "www", "web.net", "c1"):
            assert host_lookup(lab, name, tcp=tcp) == [one]
    assert host_lookup(lab, dns.reverse(one), kind="PTR") == ["web.net."]
    assert dns.no_data(dns.ask(lab, None, "web", "AAAA", server=GATEWAY)) and not upstream.asked
    assert host_lookup(lab, "www.example.org") == [dns.FOREIGN]


def test_both_families_and_a_port(lab, cni, upstream):
    four, six = dns.attach(cni, dns.dual(dns={"listen": 5353}), "c1", "web")
    assert listening(lab) == ["10.1.0.1:5353", "[fd00:1::1]:5353"]
    for server in (GATEWAY, GATEWAY6):
        assert host_lookup(lab, "web", server, 5353) == [four]
        assert host_lookup(lab, "web", server, 5353, kind="AAAA", tcp=True) == [six]


def test_only_that_network(lab, cni, upstream):
    dns.attach(cni, NET, "c1", "web")
    [two] = dns.attach(cni, dns.second(dns={"listen": True}), "c2", "db")
    assert host_lookup(lab, "db", "10.2.0.1") == [two]
    assert not dns.knows(lab, None, "db", server=GATEWAY) and not dns.knows(lab, None, "web", server="10.2.0.1")


def test_settings_of_the_network(lab, cni, upstream):
    config = dns.network(dns={"listen": True, "forward": False, "domain": "corp.example"})
    [one] = dns.attach(cni, config, "c1", "web")
    assert host_lookup(lab, "web.corp.example") == [one]
    assert dns.no_name(dns.ask(lab, None, "www.example.org", server=GATEWAY)) and not upstream.asked


def test_ends_with_the_last_endpoint(lab, cni, upstream):
    [one], [two] = dns.attach(cni, NET, "c1", "web"), dns.attach(cni, NET, "c2", "two")
    cni.delete("bridge", NET, "c2").expect()
    assert host_lookup(lab, "web") == [one] and not dns.knows(lab, None, "two", server=GATEWAY)
    cni.delete("bridge", NET, "c1").expect()
    assert listening(lab) == []
    assert dns.attach(cni, NET, "c2", "two") == host_lookup(lab, "two")


def test_ends_by_gc(lab, cni):
    dns.attach(cni, NET, "c1")
    assert listening(lab) == ["10.1.0.1:53"]
    cni.gc("bridge", NET).expect()
    assert listening(lab) == []


def test_port_that_changes(lab, cni):
    """The network listens where its last ADD said."""
    dns.attach(cni, NET, "c1", "web")
    [two] = dns.attach(cni, dns.network(dns={"listen": 5353}), "c2", "two")
    assert configs.eventually(lambda: listening(lab) == ["10.1.0.1:5353"]) and host_lookup(lab, "two", port=5353) == [two]


@pytest.mark.parametrize("proto", ["udp", "tcp"])
@pytest.mark.parametrize("address", ["0.0.0.0", GATEWAY])
def test_another_server_has_the_port(lab, cni, address, proto):
    """An error that says what to do, and nothing left; with another port it works."""
    dns.lo_up(lab, "c1")
    configs.warm(cni, configs.bridge())
    before = snapshot.take(lab, ["c1"])
    if address == GATEWAY:
        lab.sysctl("net.ipv4.ip_nonlocal_bind", 1)
    server = (lab.udp_server if proto == "udp" else lab.tcp_server)(None, address, 53)
    lab.sysctl("net.ipv4.ip_nonlocal_bind", 0)
    outcome = cni.add("bridge", NET).refused(102, "dns.listen", "port 53", GATEWAY, "another port")
    shapes.check_error(outcome.json)
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))
    assert not lab.files(f"{dns.state_dir(lab)}/files")
    other = dns.network(dns={"listen": 5353})
    assert dns.attach(cni, other, "c1", "web") == host_lookup(lab, "web", port=5353)
    server.close()
    cni.delete("bridge", other).expect()
    assert dns.attach(cni, NET, "c1", "web") == host_lookup(lab, "web")


def test_conflict_of_the_second_container(lab, cni):
    """The network's first container, and what it has, stay as they are."""
    dns.attach(cni, dns.network(), "c1", "web")
    server = lab.udp_server(None, "0.0.0.0", 53)
    cni.add("bridge", NET, "c2").refused(102, "dns.listen")
    assert dns.knows(lab, "c1", "web")
    server.close()
    cni.add("bridge", NET, "c2").expect()
    assert host_lookup(lab, "web")


def test_false_listens_nowhere(lab, cni):
    dns.attach(cni, dns.network(dns={"listen": False}), "c1")
    assert listening(lab) == []


def test_listener_survives_the_daemon(lab, cni):
    """Whoever starts it again finds it in the records."""
    [one] = dns.attach(cni, NET, "c1", "web")
    dns.kill(lab)
    assert listening(lab) == []
    dns.attach(cni, dns.second(), "c2")
    assert host_lookup(lab, "web") == [one]


def test_gateway_that_is_not_the_host(lab, cni):
    """Another machine's, or nobody's: there is no place to listen at, and the error says so."""
    dns.lo_up(lab, "c1")
    ipam = configs.host_local({"subnet": "192.0.2.0/24", "rangeStart": "192.0.2.99", "gateway": "192.0.2.2"})
    macvlan = {"cniVersion": configs.VERSION, "name": "lan", "type": "macvlan", "master": "up0", "ipam": ipam}
    apart = dns.network(isDefaultGateway=None, ipMasq=None, dns={"listen": True})
    warm = configs.bridge(isDefaultGateway=None, ipMasq=None)
    configs.warm(cni, warm)
    before = snapshot.take(lab, ["c1"])
    for plugin, config in (("macvlan", {**macvlan, "dns": apart["dns"]}), ("bridge", apart)):
        cni.add(plugin, config).refused(7, "dns.listen", "gateway")
        assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))
