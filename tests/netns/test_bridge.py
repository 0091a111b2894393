# SPDX-License-Identifier: GPL-2.0-or-later
"""The bridge plugin: traffic and lifecycle. Isolation is in test_isolation.py, ports in test_portmap.py."""
import ipaddress

import pytest

from support import configs, snapshot
from support.cni import sanitized
from support.configs import attach

MAC_ARGS, MAC_CNI, MAC_RUNTIME = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"


def host_end(lab, outcome):
    """The host's end of a container's pair, as ip -d shows it."""
    return configs.link(lab, outcome.json["interfaces"][1]["name"])


def port_data(entry):
    return entry["linkinfo"]["info_slave_data"]


# ---- traffic ----

def test_containers_reach_each_other(lab, cni):
    one, two = attach(cni, configs.bridge(), "c1", "c2")
    lab.tcp_server("c2", port=80)
    lab.udp_server("c2", port=53)
    assert lab.probe("c1", two, 80).peer == one
    assert lab.probe("c1", two, 53, "udp").peer == one


def test_host_and_container_reach_each_other(lab, cni):
    [address] = attach(cni, configs.bridge(), "c1")
    lab.tcp_server("c1", port=80)
    lab.tcp_server(None, port=8000)
    assert lab.probe(None, address, 80).peer == configs.GATEWAY
    assert lab.probe("c1", configs.GATEWAY, 8000).peer == address


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_outside_sees_the_host(lab, cni, proto):
    attach(cni, configs.dual(), "c1")
    for server in (lab.tcp_server, lab.udp_server):
        server("outside", port=80)
        server("outside", "::", 80)
    assert lab.probe("c1", "192.0.2.2", 80, proto).peer == "192.0.2.1"
    assert lab.probe("c1", "2001:db8::2", 80, proto).peer == "2001:db8::1"


def test_without_masquerade_outside_sees_the_container(lab, cni):
    outcome = cni.add("bridge", configs.dual(ipMasq=False)).expect()
    lab.tcp_server("outside", port=80)
    lab.tcp_server("outside", "::", port=80)
    assert lab.probe("c1", "192.0.2.2", 80).peer == outcome.addresses()[0]
    assert lab.probe("c1", "2001:db8::2", 80).peer == outcome.addresses()[1]


@pytest.mark.parametrize("value", ["iptables", "nftables"])
def test_masquerade_backend_is_accepted(lab, cni, value):
    attach(cni, configs.bridge(ipMasqBackend=value), "c1")
    lab.tcp_server("outside", port=80)
    assert lab.probe("c1", "192.0.2.2", 80).peer == "192.0.2.1"


def test_traffic_inside_the_subnet_is_not_masqueraded(lab, cni):
    """Even where bridged packets pass the host's rules."""
    configs.filter_bridged(lab, 1)
    one, two = attach(cni, configs.bridge(), "c1", "c2")
    lab.tcp_server("c2", port=80)
    assert lab.probe("c1", two, 80).peer == one


def test_dual_stack(lab, cni):
    one = cni.add("bridge", configs.dual(), "c1").expect().addresses()
    two = cni.add("bridge", configs.dual(), "c2").expect().addresses()
    lab.tcp_server("c2", port=80)
    lab.tcp_server("c2", "::", port=81)
    assert lab.probe("c1", two[0], 80).peer == one[0]
    assert lab.probe("c1", two[1], 81).peer == one[1]
    assert configs.default_route(lab, "c1") == configs.GATEWAY
    assert configs.default_route(lab, "c1", "-6") == configs.GATEWAY6


def test_ipv6_only(lab, cni):
    [address] = attach(cni, configs.bridge(subnets=(configs.SUBNET6,)), "c1")
    lab.tcp_server("c1", "::", 80)
    assert lab.probe(None, address, 80).server == "c1"


def test_address_is_usable_at_once(lab, cni):
    """No duplicate detection is waited for: the first probe after ADD is answered."""
    outcome = cni.add("bridge", configs.dual()).expect()
    flags = {a["local"]: a for e in lab.ip("addr", netns="c1") for a in e["addr_info"]}
    assert not flags[outcome.addresses()[1]].get("tentative")
    assert not any(a.get("tentative") for e in lab.ip("addr") if e["ifname"] == "net0" for a in e["addr_info"]
                   if a["scope"] == "global")


def test_first_forwarded_ipv6_packet_is_answered_at_once(lab, cni):
    """The bridge asks for the neighbour from its link-local address, which must not be tentative for seconds."""
    address = cni.add("bridge", configs.dual()).expect().addresses()[1]
    lab.tcp_server("c1", "::", 80)
    assert lab.probe("outside", address, 80, timeout=3 if sanitized() else 0.8).peer == "2001:db8::2"


# ---- keys ----

def test_l2_only(lab, cni):
    config = configs.bridge(ipam=None, isDefaultGateway=None, ipMasq=None)
    del config["ipam"]
    result = cni.add("bridge", config).expect().json
    assert not result.get("ips")
    assert configs.addresses(lab, "net0") == [] == configs.addresses(lab, "eth0", "c1")
    assert "UP" in configs.link(lab, "eth0", "c1")["flags"]
    cni.delete("bridge", config).expect()


def test_gateway(lab, cni):
    attach(cni, configs.bridge(isDefaultGateway=None, isGateway=True), "c1")
    assert configs.addresses(lab, "net0") == ["10.1.0.1/24"]
    assert configs.default_route(lab, "c1") is None
    assert lab.sysctl("net.ipv4.ip_forward") == "1"


def test_no_gateway(lab, cni):
    attach(cni, configs.bridge(isDefaultGateway=None, ipMasq=None), "c1")
    assert configs.addresses(lab, "net0") == []
    assert configs.default_route(lab, "c1") is None


def test_default_gateway(lab, cni):
    attach(cni, configs.dual(), "c1")
    assert configs.addresses(lab, "net0") == ["10.1.0.1/24", "fd00:1::1/64"]
    assert configs.default_route(lab, "c1") == configs.GATEWAY
    assert lab.sysctl("net.ipv6.conf.all.forwarding") == "1"


def test_routes(lab, cni):
    ipam = configs.host_local(configs.SUBNET)
    ipam["routes"] = [{"dst": "0.0.0.0/0"}, {"dst": "192.168.7.0/24", "gw": "10.1.0.9"}]
    result = cni.add("bridge", configs.bridge(isDefaultGateway=None, isGateway=True, ipam=ipam)).expect().json
    assert {r["dst"] for r in result["routes"]} == {"0.0.0.0/0", "192.168.7.0/24"}
    routes = {r["dst"]: r.get("gateway") for r in lab.ip("-4", "route", netns="c1")}
    assert routes["default"] == configs.GATEWAY and routes["192.168.7.0/24"] == "10.1.0.9"


def test_route_attributes(lab, cni):
    ipam = configs.host_local(configs.SUBNET)
    ipam["routes"] = [{"dst": "192.168.7.0/24", "mtu": 1300, "advmss": 1200, "priority": 77, "table": 500}]
    cni.add("bridge", configs.bridge(ipam=ipam)).expect()
    [route] = lab.ip("route", "show", "table", "500", netns="c1")
    assert route["metric"] == 77
    assert route["metrics"] == [{"mtu": 1300, "advmss": 1200}]


@pytest.mark.parametrize("value,wanted", [(None, 1500), (0, 1500), (1400, 1400), (9000, 9000)])
def test_mtu(lab, cni, value, wanted):
    outcome = cni.add("bridge", configs.bridge(mtu=value)).expect()
    assert configs.link(lab, "eth0", "c1")["mtu"] == wanted
    assert host_end(lab, outcome)["mtu"] == wanted
    assert configs.link(lab, "net0")["mtu"] == wanted


@pytest.mark.parametrize("key,flag", [("hairpinMode", "hairpin"), ("portIsolation", "isolated")])
def test_port_flags(lab, cni, key, flag):
    config = configs.bridge(hairpinMode=None)
    first = cni.add("bridge", {**config, key: True}, "c1").expect()
    second = cni.add("bridge", config, "c2").expect()
    assert port_data(host_end(lab, first))[flag] is True
    assert port_data(host_end(lab, second))[flag] is False


def test_port_isolation_stops_neighbours(lab, cni):
    _, two = attach(cni, configs.bridge(portIsolation=True), "c1", "c2")
    lab.tcp_server("c2", port=80)
    assert lab.blocked("c1", two, 80)
    assert lab.reaches(None, two, 80)


def test_promiscuous_bridge(lab, cni):
    attach(cni, configs.bridge(hairpinMode=None, promiscMode=True), "c1")
    assert "PROMISC" in configs.link(lab, "net0")["flags"]


@pytest.mark.parametrize("value,wanted", [(None, "0"), (False, "0"), (True, "1")])
def test_duplicate_detection(lab, cni, value, wanted):
    attach(cni, configs.dual(enabledad=value), "c1")
    assert lab.sysctl("net/ipv6/conf/eth0/accept_dad", netns="c1") == wanted


def test_disabled_container_interface(lab, cni):
    config = configs.bridge(disableContainerInterface=True, isDefaultGateway=None, ipMasq=None)
    del config["ipam"]
    cni.add("bridge", config).expect()
    assert "UP" not in configs.link(lab, "eth0", "c1")["flags"]


def test_spoofed_frames_are_dropped(lab, cni):
    _, two = attach(cni, configs.bridge(macspoofchk=True), "c1", "c2")
    lab.tcp_server("c2", port=80)
    assert lab.reaches("c1", two, 80)
    lab.run(["ip", "link", "set", "eth0", "address", "02:00:00:00:00:99"], netns="c1")
    assert lab.blocked("c1", two, 80)
    cni.delete("bridge", configs.bridge(macspoofchk=True)).expect()
    assert "c1/" not in lab.run(["nft", "list", "ruleset"]).stdout


def test_mac_precedence(lab, cni):
    config, args = configs.bridge(), f"IgnoreUnknown=1;MAC={MAC_ARGS}"

    def mac_of(container, config, **kwargs):
        lab.netns(container)
        result = cni.add("bridge", config, container, **kwargs).expect().json
        actual = configs.link(lab, "eth0", container)["address"]
        assert result["interfaces"][2]["mac"] == actual
        return actual
    assert mac_of("m1", config, args=args) == MAC_ARGS
    config["args"] = {"cni": {"mac": MAC_CNI}}
    assert mac_of("m2", config, args=args) == MAC_CNI
    assert mac_of("m3", configs.runtime(config, mac=MAC_RUNTIME), args=args) == MAC_RUNTIME
    assert mac_of("m4", {**config, "mac": MAC_ARGS}) == MAC_CNI


def test_random_macs_are_local_and_different(lab, cni):
    attach(cni, configs.bridge(), "c1", "c2")
    macs = {configs.link(lab, "eth0", name)["address"] for name in ("c1", "c2")}
    assert len(macs) == 2
    for mac in macs:
        assert int(mac[:2], 16) & 3 == 2


def test_bridge_mac_does_not_change(lab, cni):
    attach(cni, configs.bridge(), "c1")
    mac = configs.link(lab, "net0")["address"]
    attach(cni, configs.bridge(), "c2")
    cni.delete("bridge", configs.bridge(), "c1").expect()
    assert configs.link(lab, "net0")["address"] == mac


def test_force_address(lab, cni):
    lab.run(["ip", "link", "add", "net0", "type", "bridge"])
    lab.run(["ip", "addr", "add", "10.9.9.1/24", "dev", "net0"])
    cni.add("bridge", configs.bridge()).refused(None, "net0", "10.1.0.1/24")
    assert configs.addresses(lab, "net0") == ["10.9.9.1/24"]
    cni.add("bridge", configs.bridge(forceAddress=True)).expect()
    assert configs.addresses(lab, "net0") == ["10.1.0.1/24"]


def test_bridge_of_somebody_else_is_used_as_it_is(lab, cni):
    lab.run(["ip", "link", "add", "net0", "address", "02:00:00:00:00:01", "type", "bridge"])
    lab.run(["ip", "link", "set", "net0", "mtu", "1450"])
    attach(cni, configs.bridge(), "c1")
    found = configs.link(lab, "net0")
    assert (found["address"], found["mtu"]) == ("02:00:00:00:00:01", 1450)
    assert "UP" in found["flags"]


@pytest.mark.parametrize("kind", [["type", "veth", "peer", "other0"], ["type", "ifb"]])
def test_name_taken_by_another_kind_of_link(lab, cni, kind):
    lab.run(["ip", "link", "add", "net0", *kind])
    before = snapshot.take(lab, ["c1"])
    cni.add("bridge", configs.bridge()).refused(None, "net0", "bridge")
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


def test_interface_name_is_taken(lab, cni):
    lab.run(["ip", "link", "add", "eth0", "type", "bridge"], netns="c1")
    configs.warm(cni, configs.bridge())
    before = snapshot.take(lab, ["c1"])
    cni.add("bridge", configs.bridge()).refused(None, "eth0")
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


def test_failure_leaves_nothing(lab, cni):
    """A route that cannot be set, late in the ADD: everything before it is undone, a retry works."""
    config = configs.bridge()
    configs.warm(cni, config)
    before = snapshot.take(lab, ["c1"])
    bad = configs.host_local(configs.SUBNET)
    bad["routes"] = [{"dst": "192.168.7.0/24", "gw": "172.16.0.1"}]
    cni.add("bridge", {**config, "ipam": bad}).refused(None, "192.168.7.0/24")
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))
    attach(cni, config, "c1")


def test_exhausted_pool_leaves_nothing(lab, cni):
    small = configs.host_local({"subnet": configs.SUBNET, "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.10"})
    config = configs.bridge(ipam=small)
    attach(cni, config, "c1")
    before = snapshot.take(lab, ["c1", "c2"])
    cni.add("bridge", config, "c2").refused(None, "no IP addresses available")
    assert not snapshot.diff(before, snapshot.take(lab, ["c1", "c2"]))


# ---- deletion ----

@pytest.mark.parametrize("make", [configs.bridge, configs.dual])
def test_del_restores_the_host(lab, cni, make):
    config = configs.publish(make(), (8080, 80), configs.port(5353, 53, "udp"))
    configs.warm(cni, config)
    before = snapshot.take(lab, ["c1"])
    cni.add("bridge", config).expect()
    assert snapshot.diff(before, snapshot.take(lab, ["c1"]))
    cni.delete("bridge", config).expect()
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


@pytest.mark.parametrize("how", ["twice", "no namespace", "empty path", "other namespace", "flushed", "link gone"])
def test_del_however_it_comes(lab, cni, how):
    """With a record there is no need of the namespace, of prevResult, or of what others have removed."""
    config = configs.publish(configs.dual(), (8080, 80))
    configs.warm(cni, config)
    before = snapshot.take(lab)
    outcome = cni.add("bridge", config, "c1").expect()
    lab.netns("spare")
    netns = "c1"
    if how == "no namespace":
        lab.remove_netns("c1")
    elif how == "empty path":
        lab.remove_netns("c1")
        netns = ""
    elif how == "other namespace":
        netns = "spare"
    elif how == "flushed":
        lab.run(["nft", "flush", "ruleset"])
    elif how == "link gone":
        lab.run(["ip", "link", "del", outcome.json["interfaces"][1]["name"]])
    for _ in range(2):
        assert cni.delete("bridge", config, "c1", netns=netns).expect().stdout == ""
    after = snapshot.take(lab)
    if how == "flushed":
        before.pop("host/nft"), after.pop("host/nft")
    assert not snapshot.diff(before, after)
    assert configs.link(lab, "lo", "spare")


def test_del_of_an_unknown_container_keeps_others(lab, cni):
    config = configs.bridge()
    outcome = cni.add("bridge", config, "c1").expect()
    stale = configs.with_previous(config, outcome.json)
    before = snapshot.take(lab, ["c1", "c2"])
    cni.delete("bridge", stale, "c9", netns="").expect()      # an old container with the same address
    cni.delete("bridge", stale, "c1", ifname="eth7").expect()
    assert not snapshot.diff(before, snapshot.take(lab, ["c1", "c2"]))


def test_del_does_not_enter_a_recycled_namespace(lab, cni):
    """The path leads to a new container's namespace by now: its interface stays."""
    config, other = configs.bridge(), configs.second()
    attach(cni, config, "c1")
    attach(cni, other, "c2")
    cni.delete("bridge", config, "c1", netns="c2").expect()
    assert configs.link(lab, "eth0", "c2")
    assert configs.link(lab, "eth0", "c1") is None


def test_rules_come_back_after_a_flush(lab, cni):
    """The next operation rebuilds everything from the records."""
    config = configs.publish(configs.bridge(), (8080, 80))
    attach(cni, config, "c1")
    lab.tcp_server("c1", port=80)
    lab.tcp_server("outside", port=80)
    lab.run(["nft", "flush", "ruleset"])
    attach(cni, configs.bridge(), "c2")
    assert lab.probe("outside", "192.0.2.1", 8080).server == "c1"
    assert lab.probe("c1", "192.0.2.2", 80).peer == "192.0.2.1"


def test_tables_of_others_are_left_alone(lab, cni):
    lab.nft("add table inet mine\nadd chain inet mine c { type filter hook forward priority 5; }\nadd rule inet mine c accept\n"
            "add table ip fairlead\nadd set ip fairlead s { type ipv4_addr; }\nadd element ip fairlead s { 1.2.3.4 }\n")
    mine = lab.run(["nft", "list", "table", "inet", "mine"]).stdout
    theirs = lab.run(["nft", "list", "table", "ip", "fairlead"]).stdout
    attach(cni, configs.bridge(), "c1")
    cni.delete("bridge", configs.bridge(), "c1").expect()
    lab.run(["nft", "delete", "table", "inet", "fairlead"])
    attach(cni, configs.bridge(), "c1")
    assert lab.run(["nft", "list", "table", "inet", "mine"]).stdout == mine
    assert lab.run(["nft", "list", "table", "ip", "fairlead"]).stdout == theirs


def test_two_interfaces_of_a_container(lab, cni):
    attach(cni, configs.bridge(), "c1", ifname="eth0")
    attach(cni, configs.second(isDefaultGateway=None), "c1", ifname="eth1")
    cni.delete("bridge", configs.bridge(), "c1", ifname="eth0").expect()
    assert configs.link(lab, "eth0", "c1") is None
    assert configs.link(lab, "eth1", "c1")


def test_namespace_that_died_without_del_is_replaced(lab, cni):
    """Some runtimes never send DEL: the address of a container that is provably gone is free."""
    ipam = configs.host_local({"subnet": configs.SUBNET, "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.10"})
    config = configs.bridge(ipam=ipam)
    outcome = cni.add("bridge", config, "c1").expect()
    lab.run(["ip", "link", "del", outcome.json["interfaces"][1]["name"]])
    assert attach(cni, config, "c2") == ["10.1.0.10"]


# ---- many ----

def test_64_at_once(lab, cni):
    config = configs.dual()
    names = [f"n{i}" for i in range(64)]
    for name in names:
        lab.netns(name)
    calls = [lab.submit(cni.add, "bridge", config, name) for name in names]
    addresses = [address for call in calls for address in call.result().expect().addresses()]
    assert len(set(addresses)) == 128
    assert len(configs.bridge_ports(lab, "net0")) == 64
    lab.tcp_server("n63", port=80)
    assert lab.reaches("n0", calls[63].result().address, 80)
    calls = [lab.submit(cni.delete, "bridge", config, name) for name in names]
    for call in calls:
        call.result().expect()
    assert configs.bridge_ports(lab, "net0") == []


def test_two_first_adds_at_once_agree(lab, cni):
    calls = [lab.submit(cni.add, "bridge", configs.dual(), name) for name in ("c1", "c2")]
    for call in calls:
        call.result().expect()
    assert configs.addresses(lab, "net0") == ["10.1.0.1/24", "fd00:1::1/64"]


# ---- what this kernel lacks ----

@pytest.mark.parametrize("more", [{"vlan": 10}, {"vlanTrunk": [{"id": 10}, {"minID": 20, "maxID": 29}]}])
def test_vlans_work_or_name_the_kernel_option(lab, cni, more):
    config = configs.bridge(**more, isDefaultGateway=False, ipMasq=False)
    outcome = cni.add("bridge", config)
    if outcome.ok:
        host = outcome.json["interfaces"][1]["name"]
        assert host in lab.run(["bridge", "vlan", "show"]).stdout
        return
    outcome.refused(100, next(iter(more)), "CONFIG_BRIDGE_VLAN_FILTERING")
    assert [entry["ifname"] for entry in lab.ip("link", netns="c1")] == ["lo"]
    assert not configs.link(lab, "net0")
    lab.run(["ip", "link", "add", "net0", "type", "bridge"])
    cni.status("bridge", config).refused(50, "CONFIG_BRIDGE_VLAN_FILTERING")


# ---- automatic subnets ----

def test_automatic_subnets_avoid_routes_and_each_other(lab, cni):
    lab.run(["ip", "route", "add", "10.89.0.0/24", "via", "192.0.2.2"])
    ipam = {"type": "host-local", "subnet": "auto"}
    one = cni.add("bridge", configs.bridge("one", ipam=ipam), "c1").expect().json["ips"][0]["address"]
    two = cni.add("bridge", configs.bridge("two", ipam=ipam), "c2").expect().json["ips"][0]["address"]
    lab.netns("c3")
    again = cni.add("bridge", configs.bridge("one", ipam=ipam), "c3").expect().json["ips"][0]["address"]
    networks = [ipaddress.ip_interface(text).network for text in (one, two, again)]
    assert networks[0] == networks[2] != networks[1]
    taken = ipaddress.ip_network("10.89.0.0/24")
    assert not any(network.overlaps(taken) for network in networks)
    assert not networks[0].overlaps(networks[1])
    lab.tcp_server("c3", port=80)
    assert lab.reaches("c1", again.split("/")[0], 80)


def test_automatic_subnet_stays_with_its_bridge(lab, cni):
    config = configs.bridge("one", ipam={"type": "host-local", "subnet": "auto"})
    first = cni.add("bridge", config, "c1").expect().json["ips"][0]
    cni.delete("bridge", config, "c1").expect()
    again = cni.add("bridge", config, "c2").expect().json["ips"][0]
    assert again["gateway"] == first["gateway"] and again["address"] != first["address"]
    other = cni.add("bridge", configs.bridge("two", bridge="one0", ipam={"type": "host-local", "subnet": "auto"}), "c1")
    other.refused(7, "already has an IP address")       # a shared bridge is not taken for the network's own


def test_failed_change_of_a_network_leaves_it_as_it_was(lab, cni):
    """An ADD with other settings that fails must not change what the endpoints that are there have."""
    cni.add("bridge", configs.bridge(), "c1").expect()
    before = snapshot.take(lab, ("c1", "c2"))
    lab.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other"], netns="c2")
    cni.add("bridge", configs.bridge(isolate=True, guarded=True), "c2").refused(102, "eth0")
    lab.run(["ip", "link", "del", "eth0"], netns="c2")
    assert not snapshot.diff(before, snapshot.take(lab, ("c1", "c2")))
