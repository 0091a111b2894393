# SPDX-License-Identifier: GPL-2.0-or-later
"""What users of other overlay networks complained of, each as a test: test_NN_... is line NN of the list.

The reports are those of moby, libnetwork, flannel and others; docstrings name them.
"""
import concurrent.futures
import ipaddress
import json
import re

import pytest

from support import configs, dns, nodes as bed, overlays
from support.cluster import Cluster
from support.nodes import vtep
from support.overlays import VNI, serve
from support.truth import network, settled

UNSUPPORTED, CONFIG, CONFLICT, EXHAUSTED = 2, 7, 102, 103
WEB = overlays.config("web", ipMasq=True)
AT_ONCE = 0.9       # less than a second: the time between two ARP requests


@pytest.fixture(scope="module")
def shared():
    with Cluster(3, 1, config={"leaseSeconds": 2, "holdDownSeconds": 600}) as cluster:
        keep(cluster)
        yield cluster


@pytest.fixture
def cluster(shared):
    """With a container on each node: c0, c1, c2; and nothing else before and after."""
    for node in shared:
        add(node, WEB, f"c{node.index}").expect()
        serve(node, f"c{node.index}")
    settled(shared)
    yield shared
    for name in shared.etcd.names:
        if name not in shared.etcd.processes:
            shared.etcd.start(name)
    for node in shared:
        shared.heal(node.index)
        if not node.process:
            node.start()
    shared.kept.end()


def add(node, *args, **runtime):
    return node.kept.add(node, *args, **runtime)


def delete(node, *args):
    return node.kept.delete(node, *args)


def keep(cluster):
    cluster.kept = overlays.Kept(cluster)
    for node in cluster:
        node.kept = cluster.kept


def address(node, container):
    return configs.addresses(node.lab, "eth0", container)[0].split("/")[0]


def reaches(cluster, i, k, timeout=AT_ONCE):
    """Container ci of node i reaches container ck of node k, and is seen with its own address."""
    answer = cluster[i].lab.probe(f"c{i}", address(cluster[k], f"c{k}"), 80, timeout=timeout)
    assert answer.peer == address(cluster[i], f"c{i}")


# ---- 1, 2: stale entries ----

def test_01_an_address_moves_between_nodes(cluster):
    """moby#52661 "Overlay ARP stale entries still present on 29.5.0": IP reuse on another node, several times.

    Also containers that have the former MAC in their own caches send to the new one at once; nobody hears of it on the wire.
    """
    conf = overlays.config("moves", "10.20.0.0/24", "fd20::/64", vni=20)
    for node in cluster:
        add(node, conf, "here").expect()
    ips, seen = [next(cluster.unused("10.20.0.0/24")), "fd20::77:77"], set()
    wire = cluster.bed.listen()
    wire.frames()
    for round_ in range(6):
        node = cluster[round_ % 3]
        outcome = add(node, conf, "moving", ips=ips).expect()
        assert outcome.addresses() == ips
        seen.add(outcome.json["interfaces"][2]["mac"])
        serve(node, "moving")
        for other in cluster:
            if other is not node:
                cluster.wait(lambda o=other, n=node: {o.leads_to(20, ip) for ip in ips} == {vtep(n.index)}, 2, "the entries")
            for ip in ips:
                assert other.lab.probe("here", ip, 80, timeout=AT_ONCE).server == "moving"
        delete(node, conf, "moving").expect()
        node.lab.remove_netns("moving")
    assert not [f for f in wire.inner() if f.is_arp or f.nd_target]
    assert len(seen) == 6       # a MAC that comes back somewhere else would be a stale entry's


def test_01_an_address_moves_while_an_agent_is_away(cluster):
    """moby#52661, moby#53141: who was not there when it moved has it right when it is back."""
    ip = next(cluster.unused())
    add(cluster[0], WEB, "moving", ips=[ip]).expect()
    settled(cluster)
    cluster[2].kill()
    delete(cluster[0], WEB, "moving").expect()
    add(cluster[1], WEB, "moved", ips=[ip]).expect()
    serve(cluster[1], "moved")
    assert cluster[2].leads_to(VNI, ip) == vtep(0)      # what it knew
    cluster[2].start()
    settled(cluster)
    assert cluster[2].lab.probe("c2", ip, 80, timeout=AT_ONCE).server == "moved"


def test_02_entries_that_somebody_changed(cluster):
    """moby#49908 "FDB for overlay network link falls out of sync with NetworkDB state", moby#35401, moby#31588, moby#47728."""
    node = cluster[0]
    tunnel, bridge = node.tunnels()[VNI]["ifname"], overlays.bridge_of(node)
    there = address(cluster[1], "c1")
    mac = node.neighbours(VNI)[there]
    gone = node.neighbours(VNI)[address(cluster[2], "c2")]
    for words in (f"bridge fdb replace {mac} dev {tunnel} dst {vtep(2)} self permanent",
                  f"bridge fdb del {gone} dev {tunnel} dst {vtep(2)} self", f"bridge fdb del {gone} dev {tunnel} master",
                  f"bridge fdb replace 02:00:00:00:00:77 dev {tunnel} dst {vtep(2)} self permanent",
                  f"bridge fdb replace 02:00:00:00:00:78 dev {tunnel} master sticky static",
                  f"ip neigh replace {there} lladdr 02:00:00:00:00:77 dev {bridge} nud permanent",
                  f"ip neigh replace {next(cluster.unused())} lladdr 02:00:00:00:00:77 dev {bridge} nud permanent",
                  f"bridge fdb append 00:00:00:00:00:00 dev {tunnel} dst {vtep(2)} self"):
        node.lab.run(words.split())
    assert node.leads_to(VNI, there) is None
    # It is found by itself every five minutes, and by an agent that starts; here by who asks.
    node.netctl("doctor", "--repair")
    settled(cluster)
    reaches(cluster, 0, 1)
    reaches(cluster, 0, 2)
    assert overlays.flood(node) == []


def test_02_an_agent_that_starts_mends(cluster):
    """moby#49908, flannel#2554: what is wrong when it starts is put right, and what is right is not touched."""
    node = cluster[0]
    tunnel = node.tunnels()[VNI]["ifname"]
    mac = node.neighbours(VNI)[address(cluster[1], "c1")]
    node.kill()
    node.lab.run(["bridge", "fdb", "replace", mac, "dev", tunnel, "dst", vtep(2), "self", "permanent"])
    node.lab.run(["bridge", "fdb", "replace", "02:00:00:00:00:77", "dev", tunnel, "dst", vtep(2), "self", "permanent"])
    node.start()
    settled(cluster)
    reaches(cluster, 0, 1)


# ---- 3: names after a disconnect ----

def test_03_names_after_a_disconnect(cluster):
    """moby#53141 "Service DNS returns NXDOMAIN after transient node disconnect", moby#30134, moby#30487, moby#42833."""
    cluster.cut(1)
    for i in (0, 2):
        cluster.wait(lambda i=i: not dns.knows(cluster[i].lab, f"c{i}", "c1"), 10, "the end of the name")
        assert dns.lookup(cluster[i].lab, f"c{i}", f"c{2 - i}") == [address(cluster[2 - i], f"c{2 - i}")]
    # On the node that is cut off, its own names go on.
    assert dns.lookup(cluster[1].lab, "c1", "c1") == [address(cluster[1], "c1")]
    cluster.heal(1)
    for i in (0, 2):
        cluster.wait(lambda i=i: dns.knows(cluster[i].lab, f"c{i}", "c1"), 5, "the name")
        assert dns.lookup(cluster[i].lab, f"c{i}", "c1") == [address(cluster[1], "c1")]
    settled(cluster)
    for i, k in ((0, 1), (1, 0), (1, 2)):
        reaches(cluster, i, k)
        assert dns.lookup(cluster[i].lab, f"c{i}", f"c{k}") == [address(cluster[k], f"c{k}")]


# ---- 4: what a crash leaves ----

def crash(node):
    """All of it at once; the state of this boot is gone, as a /run that somebody cleaned."""
    node.kill()
    for lock in ("dns.lock",):
        for cookie in node.lab.files("/run/fairlead"):
            path = f"/run/fairlead/{cookie}/{lock}"
            if node.lab.exists(path):
                node.lab.run(["kill", "-9", node.lab.read(path).strip()], check=False)
    node.lab.run(["sh", "-c", "rm -rf /run/fairlead/*"])


def test_04_state_is_lost(cluster):
    """libnetwork#1765, moby#21482, libnetwork#562, #945 "error creating vxlan interface: file exists"; moby#42548."""
    node = cluster[0]
    crash(node)
    assert VNI in node.tunnels()
    node.start()
    node.lab.remove_netns("c0")
    add(node, WEB, "c0").expect()
    serve(node, "c0")
    settled(cluster)
    for i, k in ((0, 1), (2, 0)):
        reaches(cluster, i, k)
    assert list(node.tunnels()) == [VNI]


@pytest.mark.parametrize("port", [4789, 8472])
def test_04_a_foreign_device_is_named(cluster, port):
    """libnetwork#1765: "file exists" says neither which file nor whose."""
    node = cluster[0]
    conf = overlays.config(f"ours{port}", f"10.9.{port % 256}.0/24", vni=7777 + port, port=port)
    vni = 7777 + port
    before = node.tunnels()
    node.lab.run(f"ip link add legacy type vxlan id {vni} dstport {port} local {vtep(0)}".split())
    refused = add(node, conf, "c9").refused(None, str(vni), "legacy", str(port))
    assert list(node.tunnels()) == [*before, vni], refused.message
    node.lab.run(["ip", "link", "del", "legacy"])
    add(node, conf, "c9").expect()
    delete(node, conf, "c9").expect()
    assert vni not in node.tunnels()


# ---- 5: exhaustion ----

def test_05_a_pool_is_exhausted(cluster):
    """moby#43052 "overlay network exhaustion", #37338, #33795/#33402 "duplicate ip addresses", #32634.

    A /28: 14 hosts, less the gateway and the address of each of three nodes.
    """
    conf = overlays.config("small", "10.10.0.0/28", vni=1010)
    for node in cluster:
        add(node, conf, "first").expect()
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        outcomes = list(pool.map(lambda n: (n, add(cluster[n % 3], conf, f"s{n}")), range(9)))
    added = [(n, outcome.address) for n, outcome in outcomes if outcome.ok]
    assert len(added) == 7 and len({ip for _, ip in added}) == 7
    for _, outcome in outcomes:
        if not outcome.ok:
            outcome.refused(EXHAUSTED, "10.10.0.0/28", "13 addresses")
            used, taken, cooling = map(int, re.findall(r"(\d+) (?:are in use|are being taken|in quarantine)", outcome.message))
            assert used + taken == 13 and cooling == 0, outcome.message
    # Nothing stays of those that failed.
    net, _ = network(cluster.records(), "small")
    assert len(cluster.keys(f"ep/{net}/")) == 10 and len(cluster.keys(f"ip/{net}/")) == 13
    # Who has an address that is asked for.
    n, taken = added[0]
    add(cluster[(n + 1) % 3], conf, "asking", ips=[taken]).refused(CONFLICT, taken, f"node{n % 3 + 1}")
    # What was freed is the last to be given out again.
    for m, ip in added[:3]:
        delete(cluster[m % 3], conf, f"s{m}").expect()
    records = cluster.records(f"ip/{net}/")
    assert [records[f"ip/{net}/{ip}"]["use"] for _, ip in added[:3]] == ["freed"] * 3
    again = add(cluster[2], conf, "again").expect().address
    assert again in {ip for _, ip in added[:3]}


def test_05_freed_addresses_come_last(cluster):
    """moby#52661: reuse of an address is what makes entries stale: not before every other one was used."""
    conf = overlays.config("cool", "10.11.0.0/28", vni=1011)
    add(cluster[0], conf, "keep").expect()
    seen = []
    for _ in range(8):
        seen.append(add(cluster[0], conf, "brief").expect().address)
        delete(cluster[0], conf, "brief").expect()
    assert len(set(seen)) == 8


# ---- 6: many neighbours ----

def thresholds():
    return [open(f"/proc/sys/net/{f}/neigh/default/gc_thresh{n}", encoding="ascii").read()
            for f in ("ipv4", "ipv6") for n in (1, 2, 3)]


def test_06_two_thousand_remote_containers(cluster):
    """libnetwork#1522 "ip neigh add fails above 1024 containers": permanent entries do not count, so nothing is raised."""
    conf = overlays.config("wide", "10.64.0.0/16", vni=6400)
    before = thresholds()
    for i in (0, 1):
        add(cluster[i], conf, "wide").expect()
        serve(cluster[i], "wide")
    net, _ = network(cluster.records(), "wide")
    records = {f"{cluster.prefix}node/ghost": json.dumps({"v": 1, "vtep4": "192.0.2.77", "mtu": 1500, "port": 4789, "epoch": 1}),
               f"{cluster.prefix}alive/ghost": json.dumps({"v": 1, "epoch": 1})}
    for n in range(2000):
        mac = f"02:64:00:00:{n >> 8:02x}:{n & 255:02x}"
        ip = str(ipaddress.ip_address("10.64.128.0") + n)
        records[f"{cluster.prefix}ep/{net}/made{n}"] = json.dumps(
            {"v": 1, "node": "ghost", "container": f"made{n}", "ifname": "eth0", "epoch": 1, "mac": mac, "ip4": ip, "created": 1,
             "name": f"made{n}"})
    for chunk in range(0, len(records), 100):
        cluster.etcd.ctl_txn([f"put {key} {json.dumps(value)}" for key, value in list(records.items())[chunk:chunk + 100]])
    node = cluster[0]
    cluster.wait(lambda: len(node.neighbours(6400)) == 2003, 10, "2,000 neighbours")
    assert len(node.fdb(6400)) == len(node.ports(6400)) == 2002
    assert thresholds() == before
    assert node.lab.probe("wide", address(cluster[1], "wide"), 80, timeout=AT_ONCE).server == "wide"
    cluster.wait(lambda: dns.knows(node.lab, "wide", "made1999"), 3, "a name")
    for prefix in (f"ep/{net}/made", "node/ghost", "alive/ghost"):
        cluster.etcd.ctl("del", "--prefix", cluster.prefix + prefix)
    cluster.wait(lambda: len(node.neighbours(6400)) == 3, 10, "no neighbours")
    cluster.wait(lambda: len(node.fdb(6400)) == len(node.ports(6400)) == 2, 5, "no entries")


# ---- 7: MTU ----

@pytest.fixture(scope="module")
def roomy():
    """Two nodes on a wire for frames of 9,000 bytes; agents come with underlay()."""
    with Cluster(2, 1, mtu=9000, start=False, config={"leaseSeconds": 2}) as cluster:
        keep(cluster)
        yield cluster


def underlay(cluster, mtus, family=4):
    for node, mtu in zip(cluster, mtus):
        if node.process:
            node.stop()
        node.lab.run(["ip", "link", "set", "up0", "mtu", str(mtu)])
        cluster.bed.switch.run(["ip", "link", "set", f"n{node.index}", "mtu", "9000"])
        node.configure(local=vtep(node.index, family))
        node.start()
    # A node that comes back with another address may be another one, as long as its lease says that it lives.
    for node in cluster:
        cluster.wait(lambda node=node: "is in cluster" in node.log())
    for node in cluster:
        cluster.wait(lambda node=node: [n["mtu"] for n in sorted(node.netctl.json("node", "ls"), key=lambda n: n["name"])] == mtus,
                     what="what the nodes know of each other")


def limits(cluster, conf, limit, family=None):
    """Both sizes both ways: what fits is answered, what does not is told at once."""
    found = [add(node, conf, "probe").expect().addresses() for node in cluster]
    for i in (0, 1):
        lab, other = cluster[i].lab, found[1 - i]
        assert configs.link(lab, "eth0", "probe")["mtu"] == limit
        for to in other:
            assert lab.call(bed.ping, to, limit, netns="probe") == "answered"
            assert lab.call(bed.ping, to, limit + 1, netns="probe") == ("local", limit)
    for node in cluster:
        delete(node, conf, "probe").expect()
        node.lab.remove_netns("probe")


@pytest.mark.parametrize("mtu", [1280, 1500, 9000])
@pytest.mark.parametrize("family", [4, 6])     # each change of the address costs a lease
def test_07_mtu(roomy, mtu, family):
    """libnetwork#1021, #2661 (underlay < 1500), #1330 (jumbo), docker/for-linux#594, moby#43673."""
    underlay(roomy, [mtu, mtu], family)
    limit = mtu - (50 if family == 4 else 70)
    subnets = ["10.12.0.0/24"] + ["fd12::/64"] * (limit >= 1280)
    limits(roomy, overlays.config(f"mtu{mtu}-{family}", *subnets), limit)
    roomy[0].netctl("network", "rm", f"mtu{mtu}-{family}").expect()


def test_07_ipv6_without_room(roomy):
    """RFC 8200 section 5: said, rather than a network whose IPv6 does not work."""
    underlay(roomy, [1280, 1280])
    add(roomy[0], overlays.config("tight", "fd13::/64"), "c1").refused(CONFIG, "1280", "1230")
    assert not roomy[0].tunnels()


def test_07_nodes_with_different_mtus(roomy):
    """moby#43673: the least one counts for all, at join."""
    underlay(roomy, [9000, 1400])
    limits(roomy, overlays.config("mixed", "10.14.0.0/24"), 1350)


# ---- 8: ports ----

def test_08_vni_and_port(cluster):
    """moby#33416, moby#38030, flannel#2388, tigera/docs#2575: another UDP port, two networks with two of them, a VNI of one's own."""
    confs = [overlays.config("nsx", "10.15.0.0/24", vni=15, port=4790), overlays.config("esx", "10.16.0.0/24", vni=16, port=8472)]
    wire = bed.Wire(cluster.bed.switch, (4789, 4790, 8472))
    cluster.bed.wires.append(wire)
    for conf in confs:
        name = conf["name"]
        there = [add(cluster[i], conf, name).expect().address for i in (0, 1)]
        serve(cluster[1], name)
        cluster.wait(lambda c=conf, t=there: cluster[0].leads_to(c["vni"], t[1]), 2)
        wire.frames()
        assert cluster[0].lab.probe(name, there[1], 80, timeout=AT_ONCE).peer == there[0]
        assert {(f.dport, f.vni) for f in wire.frames() if f.inner} == {(conf["port"], conf["vni"])}
        assert cluster[0].tunnels()[conf["vni"]]["linkinfo"]["info_data"]["port"] == conf["port"]
    # The cluster knows it: another node that says otherwise is told, one that says nothing has it.
    add(cluster[2], {**confs[0], "port": 4789}, "other").refused(CONFLICT, "port")
    add(cluster[2], {**confs[0], "vni": 17}, "other").refused(CONFLICT, "vni")
    for key in ("port", "vni"):
        confs[0].pop(key)
    add(cluster[2], confs[0], "other").expect()
    assert cluster[2].tunnels()[15]["linkinfo"]["info_data"]["port"] == 4790


# ---- 9: checksum offload ----

def features(lab, name, netns=None):
    out = lab.run(["ethtool", "-k", name], netns=netns).stdout
    return dict(line.split(": ") for line in out.splitlines()[1:])


def test_09_offloads_are_left_alone(cluster):
    """calico#3145, flannel#1282, #2152, #1929, fedora-coreos-tracker#1372, moby#41775: the cure costs 35 to 70 per cent."""
    node, lab = cluster[0], cluster[0].lab
    pair = next(link["ifname"] for link in lab.ip("link") if link.get("master") == overlays.bridge_of(node)
                and link["ifname"] != node.tunnels()[VNI]["ifname"])
    lab.run("ip link add plain type vxlan id 9 dstport 9999".split())
    lab.run("ip link add pa type veth peer name pb".split())
    try:
        assert features(lab, node.tunnels()[VNI]["ifname"]) == features(lab, "plain")
        for name, netns in ((pair, None), ("eth0", "c0")):
            has, fresh = features(lab, name, netns), features(lab, "pa")
            assert {k: v for k, v in has.items() if "checksum" in k or "segmentation" in k} == \
                {k: v for k, v in fresh.items() if "checksum" in k or "segmentation" in k}
    finally:
        lab.run("ip link del plain".split())
        lab.run("ip link del pa".split())


# ---- 10: MACs that others change ----

def test_10_macs_are_told_as_chosen(cluster):
    """flannel#1155: systemd's MACAddressPolicy=persistent changes what is not told to be set by somebody (addr_assign_type 3)."""
    node = cluster[0]
    assert node.lab.read(f"/sys/class/net/{overlays.bridge_of(node)}/addr_assign_type").strip() == "3"
    # Nobody sends to the tunnel's own: whoever changes it does no harm.
    node.lab.run(["ip", "link", "set", node.tunnels()[VNI]["ifname"], "address", "02:00:00:00:00:78"])
    settled(cluster)
    reaches(cluster, 0, 1)
    reaches(cluster, 1, 0)


def down_up(lab, bridge):
    lab.run(["ip", "link", "set", bridge, "down"])
    lab.run(["ip", "link", "set", bridge, "up"])


def other_mac(lab, bridge):
    lab.run(["ip", "link", "set", bridge, "address", "02:00:00:00:00:77"])


def delete_tunnel(lab, bridge):
    [name] = [link["ifname"] for link in lab.ip("link") if link["ifname"].startswith("flx") and link.get("master") == bridge]
    lab.run(["ip", "link", "del", name])


def delete_bridge(lab, bridge):
    lab.run(["ip", "link", "del", bridge])


@pytest.mark.parametrize("damage", [down_up, other_mac, delete_tunnel, delete_bridge])
def test_10_devices_that_somebody_changes(cluster, damage):
    """flannel#1155, #1795, #1330, #1036, #1828: mended within a second, while containers run."""
    node = cluster[0]
    dual = overlays.config("dual", "10.17.0.0/24", "fd17::/64", vni=17)
    results = [add(cluster[i], dual, f"d{i}").expect() for i in (0, 1)]
    found = [result.addresses() for result in results]
    serve(cluster[1], "d1")

    def entries():
        return node.fdb(17), node.ports(17), node.neighbours(17)
    cluster.wait(lambda: all(node.leads_to(17, to) == vtep(1) for to in found[1]))
    wanted = entries()
    for vni in (VNI, 17):
        bridge = node.tunnels()[vni]["master"]
        [link] = node.lab.ip("addr", "show", "dev", bridge)
        before = link["address"], sorted(a["local"] for a in link["addr_info"] if a["scope"] == "global")
        damage(node.lab, bridge)

        def mended(bridge=bridge, before=before):
            links = [link for link in node.lab.ip("addr") if link["ifname"] == bridge]
            return links and before == (links[0]["address"], sorted(
                a["local"] for a in links[0]["addr_info"] if a["scope"] == "global")) and "UP" in links[0]["flags"]
        cluster.wait(mended, 1, f"bridge {bridge} as it was")
    settled(cluster, seconds=1)
    cluster.wait(lambda: entries() == wanted, 1, "entries of network dual")
    reaches(cluster, 0, 1)
    reaches(cluster, 1, 0)
    for to in found[1]:
        assert node.lab.probe("d0", to, 80, timeout=AT_ONCE).server == "d1"
    for i in (0, 1):
        conf = configs.with_previous(dns.named(dual, f"d{i}"), results[i].json)
        cluster[i].cni.check("overlay", conf, f"d{i}").expect()


# ---- 11: who is away ----

def test_11_a_node_leaves_while_another_agent_is_away(cluster):
    """flannel#2554 "Stale route accumulation": the one that comes back has nothing of the one that went."""
    cluster[0].kill()
    cluster[2].kill()
    cluster.wait(lambda: "alive/node3" not in cluster.keys("alive/"), 15, "the end of its lease")
    cluster[1].netctl("node", "rm", "node3").expect()
    assert cluster[0].leads_to(VNI, address(cluster[2], "c2")) == vtep(2)
    cluster[0].start()
    settled(cluster, nodes=[0, 1])
    assert vtep(2) not in cluster[0].fdb(VNI).values()
    assert not dns.knows(cluster[0].lab, "c0", "c2")


def test_11_agent_and_store_are_away(cluster):
    """flannel#636 "network down after flanneld stopped and datastore unreachable"."""
    for node in cluster:
        node.kill()
    cluster.etcd.kill("m1")
    for i, k in ((0, 1), (1, 2), (2, 0)):
        reaches(cluster, i, k)
        assert dns.lookup(cluster[i].lab, f"c{i}", f"c{k}") == [address(cluster[k], f"c{k}")]
    for node in cluster:
        node.start()
    for i, k in ((0, 1), (1, 2), (2, 0)):
        reaches(cluster, i, k)
    cluster.etcd.start("m1")
    settled(cluster)


def test_11_after_a_reboot(cluster):
    """flannel#1474, #1450, #1036 "reboot": nothing in the kernel, nothing in /run; peers have no entry of before."""
    node = cluster[0]
    before = node.fdb(VNI)
    crash(node)
    for link in node.lab.ip("link"):
        if link["ifname"].startswith("fl"):
            node.lab.run(["ip", "link", "del", link["ifname"]], check=False)
    node.lab.remove_netns("c0")
    assert not node.tunnels() and before
    node.start()
    add(node, WEB, "c0").expect()
    serve(node, "c0")
    settled(cluster)
    for i, k in ((0, 1), (2, 0)):
        reaches(cluster, i, k)


# ---- 12: encryption ----

def test_12_encryption_is_not_pretended(cluster):
    """moby#33133, CVE-2023-28840 to 28842, moby#45635: no network that was asked to be encrypted and is clear."""
    for value in (True, {}, "aes", 1):
        add(cluster[0], overlays.config("secret", "10.18.0.0/24", encrypted=value), "c9").refused(UNSUPPORTED, "encrypted")
    assert "secret" not in {net["name"] for net in cluster.records("net/").values()}
    # What says so and means no is no request.
    for value in (False, None):
        add(cluster[0], {**overlays.config("open", "10.18.1.0/24"), "encrypted": value}, "c9").expect()
        delete(cluster[0], overlays.config("open"), "c9").expect()


def test_12_netctl(cluster):
    outcome = cluster[0].netctl("network", "create", "-d", "overlay", "secret2", "-o", "encrypted=true")
    assert not outcome.ok and "encrypted" in outcome.stderr, str(outcome)
    assert not cluster[0].lab.exists("/etc/cni/net.d/fairlead-secret2.conflist")


def test_12_a_network_of_another_version(cluster):
    """Made encrypted by who can: this version does not take part in clear text."""
    cluster.etcd.ctl("put", f"{cluster.prefix}net/feed", json.dumps(
        {"v": 1, "name": "later", "vni": 1900, "encrypted": True, "subnets": [{"subnet": "10.19.0.0/24", "gateway": "10.19.0.1"}]}))
    conf = overlays.config("later", None, subnets=None)
    add(cluster[0], conf, "c9").refused(UNSUPPORTED, "later", "encrypted")
    assert 1900 not in cluster[0].tunnels()
    assert not cluster.keys("join/feed/")
    cluster.etcd.ctl("del", f"{cluster.prefix}net/feed")
