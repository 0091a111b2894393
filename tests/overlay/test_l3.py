# SPDX-License-Identifier: GPL-2.0-or-later
"""Mode "etcd" with overlayMode "l3": the nodes route to each other, by blocks of addresses."""
import ipaddress
import itertools
import json
import subprocess

import pytest

from support import configs, nodes as bed, snapshot
from support.cluster import Cluster
from support.nodes import OUTSIDE4, OUTSIDE6, vtep

SHORT = {"leaseSeconds": 2, "holdDownSeconds": 3}
OURS = "102"        # the protocol that marks our routes
CONFIG, CONFLICT, CHECK = 7, 102, 104


def l3(name="web", third=5, **more):
    config = {"cniVersion": "1.1.0", "name": name, "type": "overlay", "mode": "etcd", "overlayMode": "l3", "ipMasq": True,
              "subnets": [f"10.{third}.0.0/16", f"fd{third:02x}::/64"], **more}
    return {key: value for key, value in config.items() if value is not None}


def serve(node, netns, port=80):
    for address in ("0.0.0.0", "::"):
        for server in (node.lab.tcp_server, node.lab.udp_server):
            server(netns, address, port)


def attach(node, config, name):
    """A container that answers on port 80; its addresses, IPv4 first."""
    outcome = node.attach(config, name)[0]
    serve(node, name)
    return outcome.addresses()


def make(underlay):
    cluster = Cluster(nodes=3, config=SHORT, start=False)
    for node in cluster:
        node.configure(local=vtep(node.index, underlay))
        node.start()
    return cluster


class Net:
    """A cluster, one network with two containers on each node, and what they are."""

    def __init__(self, cluster, config):
        self.cluster, self.config = cluster, config
        self.where, self.results = {}, {}
        for node in cluster:
            for name in ("c1", "c2"):
                outcome = node.attach(config, name)[0]
                serve(node, name)
                self.where[node.index, name], self.results[node.index, name] = outcome.addresses(), outcome.json
        [(key, record)] = [(key, record) for key, record in cluster.records("net/").items() if record["name"] == config["name"]]
        self.id, self.vni = key.split("/")[1], record["vni"]
        self.joins = {key.split("/")[2]: record for key, record in cluster.records(f"join/{self.id}/").items()}

    def node_address(self, i, family=4):
        return self.joins[f"node{i + 1}"][f"ip{family}"]

    def blocks(self, i):
        return [key.rsplit("/", 1)[1].replace("-", "/") for key, record in self.cluster.records(f"blk/{self.id}/").items()
                if record.get("node") == f"node{i + 1}"]


@pytest.fixture(scope="module", params=[4, 6], ids=["over4", "over6"])
def web(request):
    with make(request.param) as cluster:
        net = Net(cluster, l3())
        net.underlay = request.param
        yield net


@pytest.fixture
def cluster():
    with make(4) as cluster:
        yield cluster


def devices(node, vni):
    tunnel = node.tunnels()[vni]["ifname"]
    return "flo" + tunnel[3:], tunnel


def routes(node, vni):
    """{prefix: (device's kind, next hop)} of the network's own routes."""
    found = {}
    for device in devices(node, vni):
        for family in ("-4", "-6"):
            for route in node.lab.ip(family, "route", "show", "dev", device, "proto", OURS):
                assert ("onlink" in route.get("flags", [])) == (device.startswith("flx"))
                found[route["dst"]] = (device[:3], route.get("gateway"))
    return found


def kernel(node, vni):
    """All that an agent writes for the network."""
    return routes(node, vni), node.neighbours(vni, of="ifname"), node.fdb(vni), bridge_neighbours(node, vni)


def bridge_neighbours(node, vni):
    return {entry["dst"]: entry["lladdr"] for entry in node.lab.ip("neigh", "show", "dev", devices(node, vni)[0], "nud", "permanent")
            if not ipaddress.ip_address(entry["dst"]).is_multicast}


def expected(net, i):
    """What kernel() finds on node i while every address is in its node's blocks."""
    others = [k for k in range(len(net.cluster)) if k != i]
    ways = {block: ("flo", None) for block in net.blocks(i)}
    for k in others:
        ways.update({block: ("flx", net.node_address(k, 6 if ":" in block else 4)) for block in net.blocks(k)})
    macs = {k: net.joins[f"node{k + 1}"]["mac"] for k in others}
    return (ways, {net.node_address(k, family): macs[k] for k in others for family in (4, 6)},
            {macs[k]: vtep(k, net.underlay) for k in others},
            {address: configs.link(net.cluster[i].lab, "eth0", name)["address"]
             for name in ("c1", "c2") for address in net.where[i, name]})


def wild(frames, *networks):
    """Addresses of the networks outside of VXLAN."""
    return [f for f in frames if not f.inner and (f.src.startswith(networks) or f.dst.startswith(networks))]


OVERLAY = ("10.5.", "fd05:")


# ---- who reaches whom ----

def test_containers(web):
    wire = web.cluster.bed.listen()
    for (i, name), addresses in web.where.items():
        for family in (0, 1) if (i, name) != (0, "c1") else ():
            for proto in ("tcp", "udp"):
                answer = web.cluster[0].lab.probe("c1", addresses[family], 80, proto)
                assert (answer.server, answer.peer) == (name, web.where[0, "c1"][family])
    frames = wire.frames()
    inner = [f for f in frames if f.inner]
    assert {(f.src, f.dst) for f in inner} == {pair for k in (1, 2) for pair in (
        (vtep(0, web.underlay), vtep(k, web.underlay)), (vtep(k, web.underlay), vtep(0, web.underlay)))}
    assert not wild(frames, *OVERLAY) and not [f for f in inner if f.inner.is_arp or f.inner.nd_target]
    assert not [f for f in inner if {f.inner.src, f.inner.dst} <= {*web.where[0, "c1"], *web.where[0, "c2"]}]


def test_everything_goes_through_the_gateway(web):
    """Also what goes to a neighbour on the same node, whom nobody is told to ask directly."""
    lab = web.cluster[0].lab
    for family, neighbour, gateway in (("-4", web.where[0, "c2"][0], "10.5.0.1"), ("-6", web.where[0, "c2"][1], "fd05::1")):
        for _ in range(3):
            assert lab.probe("c1", neighbour, 80).server == "c2"
        [route] = lab.ip(family, "route", "get", neighbour, netns="c1")
        assert route["gateway"] == gateway
        assert {n["dst"] for n in lab.ip(family, "neigh", netns="c1") if not n["dst"].startswith("fe80")} == {gateway}
    redirects = [line.split() for line in lab.read("/proc/thread-self/net/snmp").splitlines() if line.startswith("Icmp:")]
    assert dict(zip(*redirects))["OutRedirects"] == "0"


def test_host(web):
    host = web.cluster[0]
    serve(web.cluster[1], None, 8000)
    for k, family in ((k, family) for k in (0, 1) for family in (4, 6)):
        at = family == 6
        assert host.lab.probe(None, web.where[k, "c1"][at], 80).peer == web.node_address(0, family)
        # A container reaches another node at its address in the network, and at its underlay's.
        assert host.lab.probe("c1", web.node_address(1, family), 8000).peer == web.where[0, "c1"][at]
        assert host.lab.probe("c1", vtep(1, family), 8000).server == "host"


def test_out(web):
    for address in ("0.0.0.0", "::"):
        web.cluster.outside.tcp_server("outside", address, 8081)
    wire = web.cluster.bed.listen()
    assert web.cluster[0].lab.probe("c1", OUTSIDE4, 8081).peer == vtep(0)
    assert web.cluster[2].lab.probe("c2", OUTSIDE6, 8081).peer == vtep(2, 6)
    assert not wild(wire.frames(), *OVERLAY)


def test_published(web):
    config = configs.publish(web.config, (8080, 80), configs.port(5353, 80, "udp"))
    host, other, outside = web.cluster[0], web.cluster[1], web.cluster.outside
    attach(host, config, "p1")
    for at, client in ((vtep(0), OUTSIDE4), (vtep(0, 6), OUTSIDE6)):
        answer = outside.probe("outside", at, 8080)
        assert (answer.server, answer.peer) == ("p1", client)
        assert outside.probe("outside", at, 5353, "udp").peer == client
        for name in ("p1", "c1"):
            assert host.lab.probe(name, at, 8080, timeout=2).server == "p1"
        assert other.lab.probe("c1", at, 8080, timeout=2).server == "p1"
        assert host.lab.probe(None, at, 8080).server == "p1"
    assert host.lab.probe(None, "127.0.0.1", 8080).server == "p1"
    host.cni.delete("overlay", config, "p1").expect()
    host.lab.remove_netns("p1")


BACKEND = """\
table inet mine {{
	chain prerouting {{
		type nat hook prerouting priority -90;
		fib daddr type local tcp dport 9090 meta nfproto ipv4 dnat ip to {four}:80
		fib daddr type local tcp dport 9090 meta nfproto ipv6 dnat ip6 to [{six}]:80
	}}
	chain output {{
		type nat hook output priority -90;
		fib daddr type local tcp dport 9090 meta nfproto ipv4 dnat ip to {four}:80
	}}
}}
"""


def test_published_for_another_nodes_container(web):
    """Its answer comes back the same way: for it the connection is this node's."""
    host, [four, six] = web.cluster[0], web.where[1, "c1"]
    host.lab.nft(BACKEND.format(four=four, six=six))
    wire = web.cluster.bed.listen()
    for at, mine in ((vtep(0), web.node_address(0)), (vtep(0, 6), web.node_address(0, 6))):
        answer = web.cluster.outside.probe("outside", at, 9090, timeout=2)
        assert (answer.server, answer.peer) == ("c1", mine)
        assert host.lab.probe("c1", at, 9090, timeout=2).peer == mine
        assert web.cluster[1].lab.probe("c1", at, 9090, timeout=2).server == "c1"
    for at in (vtep(0), "127.0.0.1"):
        assert host.lab.probe(None, at, 9090, timeout=2).peer == web.node_address(0)
    assert not wild(wire.frames(), *OVERLAY)
    host.lab.nft("delete table inet mine\n")


def test_nobody_there(web):
    """What no node has does not go out by the default route."""
    wire = web.cluster.bed.listen()
    for address in (next(web.cluster.unused("10.5.0.0/16")), "fd05::ffff"):
        assert web.cluster[0].lab.blocked("c1", address, 80)
    assert not wild(wire.frames(), *OVERLAY)


def test_mtu(web):
    """At the limit, and above: told by the container's own link, its host, or the host that somebody outside asks through."""
    fits = 1500 - (50 if web.underlay == 4 else 70)
    host = web.cluster[0]
    for link in (*devices(host, web.vni), ):
        assert configs.link(host.lab, link)["mtu"] == fits
    for at in (0, 1):
        for to in (web.where[1, "c1"][at], web.where[0, "c2"][at]):
            assert host.lab.call(bed.ping, to, fits, netns="c1") == "answered"
            assert host.lab.call(bed.ping, to, fits + 1, netns="c1") == ("local", fits)
        assert host.lab.call(bed.ping, web.where[1, "c1"][at], fits) == "answered"
        assert host.lab.call(bed.ping, web.where[1, "c1"][at], fits + 1)[1] == fits
    port = host.lab.ip("link", "show", "master", devices(host, web.vni)[0])
    widen = [(name, "eth0") for name in ("c1",)] + [(None, link["ifname"]) for link in port] + [(None, devices(host, web.vni)[0])]
    for netns, name in widen:
        host.lab.run(["ip", "link", "set", name, "mtu", "1500"], netns=netns)
    for at in (0, 1):
        assert host.lab.call(bed.ping, web.where[1, "c1"][at], 1500, netns="c1") == ("path", fits)
    for netns, name in widen:
        host.lab.run(["ip", "link", "set", name, "mtu", str(fits)], netns=netns)


# ---- what the kernel has ----

def test_entries(web):
    """One route for each block, one neighbour and one FDB entry for each other node; of IPv6 a second neighbour."""
    for node in web.cluster:
        assert kernel(node, web.vni) == expected(web, node.index)
        assert not node.ports(web.vni)


def overlay_findings(node):
    return [f["code"] for f in json.loads(node.netctl("doctor", "--json").stdout)["findings"] if f["code"].startswith("overlay-")]


def test_doctor(web):
    host = web.cluster[0]
    assert not overlay_findings(host)
    gateway = next(address for address in host.neighbours(web.vni, of="ifname") if ":" not in address)
    mac = host.neighbours(web.vni, of="ifname")[gateway]
    tunnel = devices(host, web.vni)[1]
    host.lab.run(["ip", "neigh", "del", gateway, "dev", tunnel])
    assert "overlay-entries-missing" in overlay_findings(host)
    host.lab.run(["ip", "neigh", "replace", gateway, "lladdr", mac, "dev", tunnel, "nud", "permanent"])
    assert not overlay_findings(host)


def test_five_hundred_endpoints(web):
    """Of another node, in eight blocks more: a route for each, and nothing for each of them."""
    before = kernel(web.cluster[0], web.vni)
    blocks = [address for address in web.cluster.unused("10.5.0.0/16") if int(ipaddress.ip_address(address)) % 64 == 0][:8]
    puts = [("node/node9", {**web.cluster.records("node/")["node/node2"], "vtep4": vtep(98, 4), "vtep6": vtep(98, 6)}),
            ("alive/node9", web.cluster.records("alive/")["alive/node2"]),
            (f"join/{web.id}/node9", {**web.joins["node2"], "mac": "02:00:00:00:00:09", "ip4": blocks[0], "ip6": None})]
    keys = [key for key, _ in puts]
    for first in blocks:
        keys.append(f"blk/{web.id}/{first}-26")
        puts.append((keys[-1], {"v": 1, "node": "node9", "used": "ffffffffffffffff", "next": 0}))
        for n in range(1, 64):
            address = str(ipaddress.ip_address(first) + n)
            keys.append(f"ep/{web.id}/{len(keys):032x}")
            puts.append((keys[-1], {"v": 1, "node": "node9", "epoch": 1, "container": f"x{len(keys)}", "ifname": "eth0",
                                    "mac": f"02:00:00:00:{len(keys) >> 8:02x}:{len(keys) & 255:02x}", "ip4": address, "created": 1}))
    write(web.cluster, puts)
    web.cluster.wait(lambda: len(routes(web.cluster[0], web.vni)) == len(before[0]) + 8, what="the routes")
    web.cluster.wait(lambda: elsewhere(web.cluster[0]) >= 500, what="the endpoints")
    after = kernel(web.cluster[0], web.vni)
    assert {prefix: way for prefix, way in after[0].items() if prefix not in before[0]} == {
        f"{first}/26": ("flx", blocks[0]) for first in blocks}
    assert after[1:] == ({**before[1], blocks[0]: "02:00:00:00:00:09"},
                         {**before[2], "02:00:00:00:00:09": vtep(98, web.underlay)}, before[3])
    write(web.cluster, [(key, None) for key in keys])
    web.cluster.wait(lambda: kernel(web.cluster[0], web.vni) == before, what="their end")


def write(cluster, puts, at_once=100):
    """Puts, or deletes what is None."""
    for at in range(0, len(puts), at_once):
        lines = [f"put {cluster.prefix}{key} {json.dumps(json.dumps(without_none(value)))}" if value else f"del {cluster.prefix}{key}"
                 for key, value in puts[at:at + at_once]]
        cluster.etcd.ctl_txn(lines)


def without_none(record):
    return {key: value for key, value in record.items() if value is not None}


def elsewhere(node):
    return node.netctl.json("network", "inspect", "web")[0]["endpointsElsewhere"]


# ---- an address in another node's block ----

def test_a_borrowed_address(web):
    """It has a route of its own everywhere, also on the node whose block it is in."""
    lender = web.cluster[1]
    four = str(ipaddress.ip_network(next(b for b in web.blocks(1) if ":" not in b))[40])
    six = str(ipaddress.ip_network(next(b for b in web.blocks(1) if ":" in b))[40])
    before = [kernel(node, web.vni) for node in web.cluster]
    config = configs.runtime(web.config, ips=[four, six])
    assert attach(web.cluster[0], config, "b1") == [four, six]
    ways = [("flo", None)] + [("flx", web.node_address(0))] * 2
    web.cluster.wait(lambda: all(routes(node, web.vni).get(four) == ways[node.index] for node in web.cluster), what="its routes")
    for at, address in enumerate((four, six)):
        for node in web.cluster:
            assert node.lab.probe("c1", address, 80).server == "b1"
            assert node.lab.probe(None, address, 80).server == "b1"
        assert web.cluster[0].lab.probe("b1", web.where[1, "c1"][at], 80).peer == address
        assert web.cluster[0].lab.probe("b1", web.where[2, "c1"][at], 80).peer == address
    assert len(routes(lender, web.vni)) == len(before[1][0]) + 2
    web.cluster[0].cni.delete("overlay", config, "b1").expect()
    web.cluster[0].lab.remove_netns("b1")
    web.cluster.wait(lambda: [kernel(node, web.vni) for node in web.cluster] == before, what="the end of its routes")


def test_a_container_with_a_nodes_mac(web):
    """It may ask for any: where the node is does not change with that."""
    before = web.cluster[0].fdb(web.vni)
    config = configs.runtime(web.config, mac=web.joins["node2"]["mac"])
    [address, _] = attach(web.cluster[2], config, "m1")
    assert web.cluster[0].lab.probe("c1", address, 80).server == "m1"
    assert web.cluster[0].lab.probe("c1", web.where[1, "c1"][0], 80).server == "c1"
    assert web.cluster[0].fdb(web.vni) == before
    web.cluster[2].cni.delete("overlay", config, "m1").expect()
    web.cluster[2].lab.remove_netns("m1")


def test_a_node_in_anothers_block(web):
    """Two blocks for three nodes: the address of one of them lies in a block that leads elsewhere, and its own leads there by itself."""
    config = l3("tight", subnets=["10.9.0.0/25", "fd09::/121"])
    found = [attach(node, config, "t1") for node in web.cluster]
    [net] = [key.split("/")[1] for key, record in web.cluster.records("net/").items() if record["name"] == "tight"]
    holders = {ipaddress.ip_network(key.rsplit("/", 1)[1].replace("-", "/")): record.get("node")
               for key, record in web.cluster.records(f"blk/{net}/").items()}
    joins = {key.rsplit("/", 1)[1]: record for key, record in web.cluster.records(f"join/{net}/").items()}
    for family in ("ip4", "ip6"):
        assert any(ipaddress.ip_address(record[family]) in block and holder != node
                   for node, record in joins.items() for block, holder in holders.items())
    for i, k in itertools.permutations(range(3), 2):
        for at in (0, 1):
            web.cluster.wait(lambda i=i, k=k, at=at: web.cluster[i].lab.reaches("t1", found[k][at], 80),
                             what=f"the way from {i} to {k} by {found[k][at]}")
    for node in web.cluster:
        node.cni.delete("overlay", config, "t1").expect()
        node.lab.remove_netns("t1")


# ---- the agent ----

def test_an_agent_that_is_killed(web):
    """Nothing changes while it is away, nor when it is back; what somebody changed meanwhile is mended."""
    host = web.cluster[0]
    before = kernel(host, web.vni)
    monitor = host.lab.start(["ip", "monitor", "route", "neigh"], stdout=subprocess.PIPE, text=True)
    host.kill()
    assert kernel(host, web.vni) == before
    restart(web)
    bridge, tunnel = devices(host, web.vni)
    host.lab.stop(monitor)
    told = [line for line in monitor.stdout if OURS in line or "PERMANENT" in line]
    assert not told
    host.kill()
    block = next(prefix for prefix, way in before[0].items() if way[0] == "flx")
    host.lab.run(["ip", "route", "del", block, "dev", tunnel])
    address = next(address for address in web.cluster.unused("10.5.0.0/16") if address.endswith(".64"))
    host.lab.run(["ip", "route", "add", f"{address}/26", "via", web.node_address(2), "dev", tunnel, "onlink", "proto", OURS])
    host.lab.run(["ip", "route", "add", web.where[1, "c1"][0], "dev", bridge, "proto", OURS])
    host.lab.run(["ip", "neigh", "add", address, "lladdr", "02:00:00:00:00:99", "dev", tunnel, "nud", "permanent"])
    host.lab.run(["bridge", "fdb", "add", "02:00:00:00:00:99", "dev", tunnel, "self", "dst", vtep(2, web.underlay), "permanent"])
    assert kernel(host, web.vni) != before
    restart(web)
    assert kernel(host, web.vni) == before


def restart(web):
    """Until it has compared what the kernel has: CHECK waits for that."""
    web.cluster[0].start()
    web.cluster[0].cni.check("overlay", configs.with_previous(web.config, web.results[0, "c1"]), "c1").expect()


def test_links_that_were_down(web):
    """A device that is set down loses its routes and neighbours: they come back."""
    host = web.cluster[0]
    before = kernel(host, web.vni)
    for link in devices(host, web.vni):
        host.lab.run(["ip", "link", "set", link, "down"])
        host.lab.run(["ip", "link", "set", link, "up"])
        web.cluster.wait(lambda: kernel(host, web.vni) == before, what=f"what went with {link}")
        for at in (0, 1):
            assert host.lab.probe("c1", web.where[1, "c1"][at], 80).peer == web.where[0, "c1"][at]
            assert host.lab.probe("c1", web.where[0, "c2"][at], 80).server == "c2"


def test_a_node_that_leaves(cluster):
    """Swept when it is dead, or by its last container: nothing leads there any more; and comes back."""
    net = Net(cluster, l3())
    net.underlay = 4
    full = [expected(net, i) for i in range(3)]
    assert [kernel(node, net.vni) for node in cluster] == full
    gone = {net.node_address(2, family) for family in (4, 6)}
    cluster[2].kill()
    cluster.wait(lambda: "join/%s/node3" % net.id not in cluster.keys("join/"), what="the sweeping")
    for i in (0, 1):
        cluster.wait(lambda i=i: kernel(cluster[i], net.vni) == (
            {prefix: way for prefix, way in full[i][0].items() if way[1] not in gone},
            {address: mac for address, mac in full[i][1].items() if address not in gone},
            {mac: at for mac, at in full[i][2].items() if at != vtep(2)}, full[i][3]), what="the end of all that leads there")
    assert kernel(cluster[2], net.vni) == full[2]
    cluster[2].start()
    cluster.wait(lambda: all(cluster[0].lab.reaches("c1", net.where[2, name][at], 80) for name in ("c1", "c2") for at in (0, 1)),
                 what="the node", seconds=20)
    for name in ("c1", "c2"):
        cluster[1].cni.delete("overlay", net.config, name).expect()
    assert not cluster[1].tunnels()
    cluster.wait(lambda: "join/%s/node2" % net.id not in cluster.keys("join/"), what="its leaving", seconds=15)
    cluster.wait(lambda: set(cluster[0].fdb(net.vni).values()) == {vtep(2)}, what="the end of all that leads there")
    assert not {prefix for prefix, way in routes(cluster[0], net.vni).items() if way[1] in (net.node_address(1), net.node_address(1, 6))}


# ---- several networks ----

def test_three_networks(cluster):
    """Two that are routed, one of them apart from others, and one that is not; after the last DEL nothing is left."""
    configurations = {"a": l3("one"), "b": l3("two", 6, isolate=True, guarded=True), "c": l3("three", 7, overlayMode="l2")}
    host = cluster[0]
    for name in configurations:
        host.lab.netns(name)
    host.cni.add("overlay", configurations["a"], "a").expect()
    host.cni.delete("overlay", configurations["a"], "a").expect()
    before = snapshot.take(host.lab, list(configurations))
    where = {}
    for node in cluster.nodes[:2]:
        for name, config in configurations.items():
            if node is not host:
                node.lab.netns(name)
            where[node.index, name] = node.cni.add("overlay", config, name).expect().addresses()
            serve(node, name)
    wire = cluster.bed.listen()
    for at in (0, 1):
        for name in configurations:
            assert host.lab.probe(name, where[1, name][at], 80).peer == where[0, name][at]
        for one, other in (("a", "c"), ("c", "a")):
            assert host.lab.probe(one, where[0, other][at], 80).server == other
        # Neither through the own node, nor through its tunnel.
        for k in (0, 1):
            assert host.lab.blocked("a", where[k, "b"][at], 80) and host.lab.blocked("b", where[k, "a"][at], 80)
    assert not wild(wire.frames(), "10.5.", "10.6.", "10.7.", "fd05:", "fd06:", "fd07:")
    cluster.outside.run(["ip", "route", "add", "10.0.0.0/8", "via", vtep(0)], netns="outside")
    cluster.outside.run(["ip", "route", "add", "fd00::/8", "via", vtep(0, 6)], netns="outside")
    for at in (0, 1):
        for k in (0, 1):    # guarded: nor by the node of another container
            assert cluster.outside.blocked("outside", where[k, "b"][at], 80)
        assert cluster.outside.probe("outside", where[0, "a"][at], 80).server == "a"
    # Towards another node's container the host answers what is too large.
    assert cluster.outside.call(bed.ping, where[1, "a"][0], 1450, netns="outside") == "answered"
    assert cluster.outside.call(bed.ping, where[1, "a"][0], 1451, netns="outside") == ("path", 1450)
    for name, config in configurations.items():
        host.cni.delete("overlay", config, name).expect()
    # Names of others' containers go when the agent has left the network.
    cluster.wait(lambda: not snapshot.diff(before, snapshot.take(host.lab, list(configurations))), seconds=15,
                 what=snapshot.diff(before, snapshot.take(host.lab, list(configurations))))


def test_internal(cluster):
    """From node to node, and no way out."""
    net = Net(cluster, l3(internal=True, ipMasq=None))
    cluster.outside.tcp_server("outside", port=80)
    wire = cluster.bed.listen()
    for at in (0, 1):
        for k in (0, 1):
            assert cluster[0].lab.probe("c1", net.where[k, "c2"][at], 80).peer == net.where[0, "c1"][at]
    assert configs.default_route(cluster[0].lab, "c1") is None
    cluster[0].lab.run(["ip", "route", "add", "default", "via", "10.5.0.1"], netns="c1")
    assert cluster[0].lab.blocked("c1", OUTSIDE4, 80)
    assert not wild(wire.frames(), *OVERLAY)
    # Nodes have routes to it, so that another one cannot have its subnet.
    cluster[0].lab.netns("c9")
    cluster[0].cni.add("overlay", l3("other", internal=True), "c9").refused(CONFLICT, "overlaps")


# ---- what is refused, and what CHECK finds ----

@pytest.mark.parametrize("change, word", [({"broadcast": True}, "broadcast"), ({"subnets": ["10.9.0.0/27"]}, "64 addresses"),
                                          ({"subnets": ["fd09::/123"]}, "64 addresses")])
def test_refused(web, change, word):
    web.cluster[0].lab.netns("no")
    web.cluster[0].cni.add("overlay", l3("no", **change), "no").refused(CONFIG, word)
    web.cluster[0].lab.remove_netns("no")


def test_blocks_of_a_small_subnet(web):
    """A quarter of it for each node: what comes after takes its addresses out of theirs."""
    config = l3("small", subnets=["10.19.0.0/25"])
    found = {node.index: attach(node, config, "s1")[0] for node in web.cluster}
    for node in web.cluster:
        for k, address in found.items():
            assert k == node.index or node.lab.probe("s1", address, 80).peer == found[node.index]
    for node in web.cluster:
        node.cni.delete("overlay", config, "s1").expect()
        node.lab.remove_netns("s1")


def test_check(web):
    host = web.cluster[2]
    bridge, tunnel = devices(host, web.vni)
    host.lab.netns("k1")
    result = host.cni.add("overlay", web.config, "k1").expect()
    config = configs.with_previous(web.config, result.json)
    host.cni.check("overlay", config, "k1").expect()
    four, six = web.node_address(2), web.node_address(2, 6)
    block = next(prefix for prefix, way in routes(host, web.vni).items() if way[0] == "flo" and ":" not in prefix)
    host.lab.run(["ip", "route", "del", block])
    host.cni.check("overlay", config, "k1").refused(CHECK, "route")
    host.lab.run(["ip", "route", "add", block, "dev", bridge, "proto", OURS, "src", four])
    host.cni.check("overlay", config, "k1").expect()
    # What the kernel tells the agent of is not wrong for long.
    for broken in (["ip", "addr", "del", f"{six}/128", "dev", tunnel], ["ip", "addr", "del", "fd05::1/128", "dev", bridge],
                   ["ip", "link", "set", tunnel, "master", bridge]):
        host.lab.run(broken)
        web.cluster.wait(lambda: not host.cni.check("overlay", config, "k1").status, what="what CHECK misses")
    host.cni.delete("overlay", web.config, "k1").expect()
    host.lab.remove_netns("k1")
