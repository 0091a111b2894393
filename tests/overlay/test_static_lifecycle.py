# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices of a network: made, found again, replaced, taken away; and what is refused."""
import concurrent.futures
import json

import pytest

from support import configs, nodes as bed, snapshot
from support.netctl import Netctl


@pytest.fixture
def node(nodes):
    return nodes[0]


@pytest.fixture
def config(nodes):
    return nodes.config(0, inside=(4, 6))


def links(node, prefix="fl"):
    return {link["ifname"][:3]: link for link in node.lab.ip("-d", "link") if link["ifname"].startswith(prefix)}


def flood(node):
    """VTEPs that broadcasts go to."""
    [tunnel] = node.lab.ip("link", "show", "type", "vxlan")
    entries = node.lab.run(["bridge", "-j", "fdb", "show", "dev", tunnel["ifname"]]).stdout
    return sorted(e["dst"] for e in json.loads(entries) if e["mac"] == "00:00:00:00:00:00")


def state(node, *containers):
    return snapshot.take(node.lab, containers)


# ---- coming and going ----

def test_last_container_takes_all_away(node, config):
    node.lab.netns("c1"), node.lab.netns("c2")
    node.cni.add("overlay", config, "c1").expect()
    node.cni.delete("overlay", config, "c1").expect()
    before = state(node, "c1", "c2")
    node.cni.add("overlay", config, "c1").expect()
    node.cni.add("overlay", config, "c2").expect()
    node.cni.delete("overlay", config, "c1").expect()
    assert set(links(node)) == {"flo", "flx"}
    node.cni.delete("overlay", config, "c2").expect()
    node.cni.delete("overlay", config, "c2").expect()
    assert not links(node)
    assert not snapshot.diff(before, state(node, "c1", "c2"))


def test_the_bridge_comes_back_with_its_mac(node, config):
    node.lab.netns("c1")
    macs = set()
    for _ in range(2):
        macs.add(node.cni.add("overlay", config, "c1").expect().json["interfaces"][0]["mac"])
        node.cni.delete("overlay", config, "c1").expect()
    assert len(macs) == 1


def test_nodes_have_different_macs(nodes):
    results = [node.attach(nodes.config(node.index), "c1")[0].json["interfaces"][0]["mac"] for node in nodes]
    assert len(set(results)) == 2


def test_devices(node, nodes):
    """What ip(8) shows of them."""
    [result] = node.attach(nodes.config(0, port=8472), "c1")
    shown = links(node)
    data = shown["flx"]["linkinfo"]["info_data"]
    assert (data["id"], data["local"], data["port"]) == (5001, bed.vtep(0), 8472)
    assert data["learning"] is True
    assert shown["flx"]["ifalias"].startswith("fairlead overlay ov ")
    port = shown["flx"]["linkinfo"]["info_slave_data"]
    assert (port["learning"], port["neigh_suppress"]) == (True, False)
    host_end = configs.link(node.lab, result.json["interfaces"][1]["name"])["linkinfo"]["info_slave_data"]
    assert (host_end["learning"], host_end["locked"], host_end["hairpin"]) == (False, True, False)
    assert flood(node) == [bed.vtep(1)]
    # The tunnel has no address of its own, and speaks for nobody.
    assert not [a for e in node.lab.ip("addr") if e["ifname"] == shown["flx"]["ifname"] for a in e["addr_info"]]


def test_gc(node, config):
    before = state(node)
    for name in ("c1", "c2"):
        node.attach(config, name)
    node.cni.gc("overlay", config, valid=[("c2", "eth0")]).expect()
    assert set(links(node)) == {"flo", "flx"}
    node.cni.gc("overlay", config).expect()
    assert not links(node)
    assert not configs.nft_elements(node.lab)["local4"]
    assert "endpoints" not in snapshot.diff(before, state(node))


def test_status(node, nodes, config):
    node.cni.status("overlay", config).expect()
    node.lab.run(["ip", "route", "add", "unreachable", "203.0.113.9"])
    node.cni.status("overlay", nodes.config(0, peers=["203.0.113.9"])).refused(50, "203.0.113.9")


@pytest.mark.parametrize("damage, word, mends", [
    ("ip link del TUNNEL", "is missing", True), ("ip link set TUNNEL down", "is down", True),
    ("ip link set TUNNEL nomaster", "no port", True), ("ip link set BRIDGE down", "is down", True),
    ("ip addr del 10.5.0.1/32 dev BRIDGE", "10.5.0.1/32", True), ("ip addr del 10.5.255.1/16 dev BRIDGE", "10.5.255.1/16", True),
    ("bridge fdb del 00:00:00:00:00:00 dev TUNNEL dst 192.0.2.2", "flood", False),
    ("bridge fdb append 00:00:00:00:00:00 dev TUNNEL dst 192.0.2.9", "flood", False),
    ("bridge link set dev PORT locked off", "locked", False), ("bridge link set dev PORT learning on", "learning off", False),
    ("nft flush set bridge fairlead anycast4", "anycast4", False), ("nft flush set inet fairlead local4", "local4", False)])
def test_check(node, config, damage, word, mends):
    """Somebody changed it by hand; what the next ADD needs for itself is mended by it."""
    [result] = node.attach(config, "c1")
    known = configs.with_previous(config, result.json)
    node.cni.check("overlay", known, "c1").expect()
    names = {"TUNNEL": links(node)["flx"]["ifname"], "BRIDGE": links(node)["flo"]["ifname"], "PORT": result.json["interfaces"][1]["name"]}
    for key, value in names.items():
        damage = damage.replace(key, value)
    node.lab.run(["sh", "-ec", damage])
    node.cni.check("overlay", known, "c1").refused(104, word)
    if not mends:
        return
    node.attach(config, "c2")
    node.cni.check("overlay", known, "c1").expect()
    node.cni.delete("overlay", config, "c2").expect()
    node.cni.check("overlay", known, "c1").expect()


def test_netctl_understands_it(node, config):
    """Nothing to complain of; and what may be on another node is not denied."""
    node.attach(config, "c1", "c2")
    netctl = Netctl(node.lab)
    assert "all is well" in netctl("doctor").expect().stdout
    assert "10.5.0.0/16" in netctl("topology").expect().stdout
    near, far = netctl("why", "c1", "c2"), netctl("why", "c1", "10.5.2.10")
    assert "unknown" not in near.stdout and near.status == 0
    assert "another node's may, by flx" in far.stdout and "trace" not in far.stdout
    netctl("reload").expect()
    node.cni.delete("overlay", config, "c2").expect()
    assert "all is well" in netctl("doctor").expect().stdout


# ---- a changed configuration ----

def test_peers_change(node, nodes):
    node.attach(nodes.config(0), "c1")
    node.attach(nodes.config(0, peers=[bed.vtep(0), bed.vtep(1), "192.0.2.9"]), "c2")
    assert flood(node) == [bed.vtep(1), "192.0.2.9"]
    node.attach(nodes.config(0, peers=[bed.vtep(0), "192.0.2.9"]), "c3")
    assert flood(node) == ["192.0.2.9"]


def test_an_add_that_changes_nothing_looks_at_no_peer(node, nodes):
    """One route tells that all is as it was: with a thousand peers an ADD costs what it costs with one."""
    peers = [f"192.0.2.{n}" for n in range(2, 250)]
    node.attach(nodes.config(0, local=bed.vtep(0), peers=peers), "c1")
    node.lab.netns("c2")
    trace = "/run/trace"
    config = nodes.config(0, local=bed.vtep(0), peers=peers)
    outcome = node.cni.add("overlay", config, "c2", prefix=["strace", "-o", trace, "-e", "trace=sendmsg"])
    outcome.expect()
    assert len(node.lab.read(trace).splitlines()) < 60
    assert len(flood(node)) == 248


def test_vni_changes(node, nodes):
    """The tunnel is made again; the containers stay where they are."""
    node.attach(nodes.config(0), "c1")
    node.attach(nodes.config(0, vni=77), "c2")
    assert links(node)["flx"]["linkinfo"]["info_data"]["id"] == 77
    assert len(node.lab.ip("link", "show", "type", "vxlan")) == 1


def test_node_address_changes(node, nodes):
    node.attach(nodes.config(0), "c1")
    node.attach(nodes.config(0, nodeAddress="10.5.255.77/16"), "c2")
    bridge = links(node)["flo"]["ifname"]
    assert set(configs.addresses(node.lab, bridge)) == {"10.5.255.77/16", "10.5.0.1/32"}
    [route] = [r for r in node.lab.ip("route") if r["dst"] == bed.SUBNET]
    assert route["prefsrc"] == "10.5.255.77"


def test_underlay_address_changes(node, nodes):
    node.attach(nodes.config(0, peers=[bed.vtep(1)]), "c1")
    node.lab.run(["ip", "addr", "del", "192.0.2.1/24", "dev", "up0"])
    node.lab.run(["ip", "addr", "add", "192.0.2.101/24", "dev", "up0"])
    node.attach(nodes.config(0, peers=[bed.vtep(1)]), "c2")
    assert links(node)["flx"]["linkinfo"]["info_data"]["local"] == "192.0.2.101"


# ---- which node this is ----

def test_local(node, nodes):
    node.lab.run(["ip", "addr", "add", "192.0.2.33/24", "dev", "up0"])
    for more, want in (({}, "192.0.2.1"), ({"local": "192.0.2.33"}, "192.0.2.33"), ({"local": "up0"}, "192.0.2.1"),
                       ({"peers": ["192.0.2.33", bed.vtep(1)]}, "192.0.2.33"), ({"peers": [], "local": "192.0.2.33"}, "192.0.2.33"),
                       ({"peers": [bed.vtep(1, 6)], "local": "up0"}, "2001:db8::1")):
        node.attach(nodes.config(0, **more), "c1")
        data = links(node)["flx"]["linkinfo"]["info_data"]
        assert want in (data.get("local"), data.get("local6")), more
        node.cni.delete("overlay", nodes.config(0, **more), "c1").expect()
        node.lab.remove_netns("c1")


def test_one_list_for_all_nodes(nodes):
    """Each finds itself in it, and takes its own address from there."""
    peers = [{"vtep": bed.vtep(i), "nodeAddress": [f"{bed.node_address(i)}/16", f"{bed.node_address(i, 6)}/64"]} for i in range(2)]
    for node in nodes:
        config = nodes.config(node.index, inside=(4, 6), peers=peers, nodeAddress=None)
        [result] = node.attach(config, "c1")
        bridge = result.json["interfaces"][0]["name"]
        assert f"{bed.node_address(node.index)}/16" in configs.addresses(node.lab, bridge)
        node.cni.check("overlay", configs.with_previous(config, result.json), "c1").expect()
    nodes[1].lab.tcp_server("c1", port=80)
    assert nodes[0].lab.probe("c1", "10.5.2.10", 80).peer == "10.5.1.10"


def test_node_addresses_are_not_given_out(node, nodes):
    peers = [{"vtep": bed.vtep(0)}, {"vtep": bed.vtep(1), "nodeAddress": "10.5.255.2/16"}]
    config = nodes.config(0, peers=peers)
    config["ipam"]["ranges"][0][0].update(rangeStart="10.5.255.1", rangeEnd="10.5.255.3")
    assert node.attach(config, "c1")[0].address == "10.5.255.3"
    node.lab.netns("c2")
    node.cni.add("overlay", config, "c2").refused(103)
    node.cni.add("overlay", configs.runtime(config, ips=["10.5.255.2"]), "c2").refused(7, "excluded")


# ---- a VNI that is taken ----

def test_orphan_is_replaced(node, nodes, config):
    """The state was lost, and the network has another name by now: tunnel and bridge of the old one go."""
    node.attach(config, "c1")
    node.lab.run(["ip", "link", "del", "eth0"], netns="c1")
    old = {link["ifname"] for link in links(node).values()}
    node.lab.run(["sh", "-c", "rm -rf /run/fairlead"])
    node.attach(nodes.config(0, net="again", inside=(4, 6)), "c2")
    assert not old & {link["ifname"] for link in node.lab.ip("link")}
    assert set(links(node)) == {"flo", "flx"}


def test_orphan_with_containers_keeps_its_bridge(node, nodes, config):
    node.attach(config, "c1")
    bridge = links(node)["flo"]["ifname"]
    node.lab.run(["sh", "-c", "rm -rf /run/fairlead"])
    node.attach(nodes.config(0, net="again", third=6), "c2")
    assert configs.bridge_ports(node.lab, bridge)
    assert len(node.lab.ip("link", "show", "type", "vxlan")) == 1


def test_lost_state_is_adopted(node, config):
    node.attach(config, "c1")
    before = links(node)["flx"]["ifindex"]
    node.lab.run(["sh", "-c", "rm -rf /run/fairlead"])
    node.attach(configs.runtime(config, ips=["10.5.1.99"]), "c2")
    assert links(node)["flx"]["ifindex"] == before


def test_foreign_owner_is_named(node, nodes):
    node.lab.netns("c1")
    before = state(node, "c1")
    node.lab.run(["ip", "link", "add", "theirs", "type", "vxlan", "id", "5001", "dstport", "4789", "local", bed.vtep(0)])
    node.cni.add("overlay", nodes.config(0), "c1").refused(102, "theirs", "5001", "4789")
    assert not links(node)
    node.lab.run(["ip", "link", "del", "theirs"])
    assert "store" not in snapshot.diff(before, state(node, "c1"))
    # By the other family the kernel keeps both.
    node.lab.run(["ip", "link", "add", "theirs", "type", "vxlan", "id", "5001", "dstport", "4789", "local", bed.vtep(0, 6)])
    node.cni.add("overlay", nodes.config(0), "c1").expect()


def test_other_network_is_named(node, nodes):
    node.attach(nodes.config(0), "c1")
    node.lab.netns("c2")
    node.cni.add("overlay", nodes.config(0, net="two", third=6), "c2").refused(102, "ov", "5001")
    assert len(node.lab.ip("link", "show", "type", "bridge")) == 1


def test_owner_in_another_namespace(node, nodes):
    node.lab.netns("c1"), node.lab.netns("away")
    node.lab.run(["ip", "link", "add", "theirs", "type", "vxlan", "id", "5001", "dstport", "4789", "local", bed.vtep(0)])
    node.lab.run(["ip", "link", "set", "theirs", "netns", "away"])
    node.cni.add("overlay", nodes.config(0), "c1").refused(102, "another network namespace")


# ---- refused ----

def test_overlapping_subnets(node, nodes):
    node.attach(nodes.config(0, inside=(4, 6)), "c1")
    before = state(node)
    node.lab.netns("c2")
    for inside in ((4,), (6,)):
        node.cni.add("overlay", nodes.config(0, net="two", vni=2, inside=inside), "c2").refused(102, "overlaps", "ov")
    assert not snapshot.diff(before, state(node))
    node.cni.add("overlay", nodes.config(0, net="two", vni=2, internal=True, nodeAddress=None), "c2").expect()
    # A bridge's subnet is in the way as well.
    node.lab.netns("c3"), node.lab.netns("c4")
    node.cni.add("bridge", configs.bridge("br", subnets=("10.7.9.0/24",)), "c3").expect()
    node.cni.add("overlay", nodes.config(0, net="three", vni=3, third=7), "c4").refused(102, "10.7.9.0/24", "br")


def test_no_route_to_a_peer(node, nodes):
    before = state(node)
    node.lab.netns("c1")
    node.lab.run(["ip", "route", "del", "default"])
    node.cni.add("overlay", nodes.config(0, peers=[bed.vtep(0), "203.0.113.9"]), "c1").refused(100, "203.0.113.9", "ov")
    node.lab.run(["ip", "route", "add", "default", "via", bed.OUTSIDE4])
    left = snapshot.diff(before, state(node))
    assert not links(node) and "endpoints" not in left


def test_races(node, config):
    """Ten first containers at once, and away again at once."""
    names = [f"r{i}" for i in range(10)]
    for name in names:
        node.lab.netns(name)
    for _ in range(3):
        for command in ("ADD", "DEL"):
            with concurrent.futures.ThreadPoolExecutor(10) as pool:
                outcomes = list(pool.map(lambda name: node.cni.call(command, "overlay", config, name), names))
            for outcome in outcomes:
                outcome.expect()
        assert not links(node)
