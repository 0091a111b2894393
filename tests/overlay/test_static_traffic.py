# SPDX-License-Identifier: GPL-2.0-or-later
"""Who reaches whom, in a network with a list of its nodes."""
import pytest

from support import configs, nodes as bed
from support.nodes import Nodes, container_address, node_address, vtep

AT_ONCE = 0.9       # before what was lost is sent again
BOTH = (4, 6)


@pytest.fixture(params=[0, 1], ids=["", "filtered"])
def pair(request):
    """Two nodes; whether bridged packets pass the host's rules."""
    with Nodes(2, filter_bridged=request.param) as pair:
        yield pair


def serve(node, netns="c1", port=80):
    for address in ("0.0.0.0", "::"):
        for server in (node.lab.tcp_server, node.lab.udp_server):
            server(netns, address, port)


def everywhere(nodes, config, *containers):
    """Attaches the containers on each node; {(node, container): addresses}."""
    found = {}
    for node in nodes:
        for name, outcome in zip(containers, node.attach(config(node.index), *containers)):
            found[node.index, name] = outcome.addresses()
            serve(node, name)
    return found


def settled(wire):
    """What was going on when the nodes came up (group reports) is not what is looked for."""
    wire.frames()
    return wire


def leaked(frames):
    """Overlay addresses outside of VXLAN."""
    return [f for f in frames if not f.inner and (f.src.startswith(("10.5.", "fd05:")) or f.dst.startswith(("10.5.", "fd05:")))]


# ---- containers ----

@pytest.mark.parametrize("underlay", [4, 6])
def test_container_to_container(pair, underlay):
    where = everywhere(pair, lambda i: pair.config(i, underlay, BOTH), "c1", "c2")
    wire = settled(pair.listen())
    for proto in ("tcp", "udp"):
        for family in (0, 1):
            one, other = where[0, "c1"][family], where[1, "c2"][family]
            assert pair[0].lab.probe("c1", other, 80, proto).peer == one
            assert pair[1].lab.probe("c2", one, 80, proto).peer == other
            assert pair[0].lab.probe("c1", where[0, "c2"][family], 80, proto).peer == one
    frames = wire.frames()
    assert not leaked(frames)
    outer = {(f.src, f.dst) for f in frames if f.inner}
    assert outer == {(vtep(0, underlay), vtep(1, underlay)), (vtep(1, underlay), vtep(0, underlay))}
    # What two containers of one node say to each other stays there.
    assert not [f for f in frames if f.inner and {f.inner.src, f.inner.dst} <= {*where[0, "c1"], *where[0, "c2"]}]


@pytest.mark.parametrize("underlay", [4, 6])
def test_three_nodes(three, underlay):
    where = everywhere(three, lambda i: three.config(i, underlay, BOTH), "c1")
    for one in three:
        for other in (node for node in three if node is not one):
            for family in (0, 1):
                answer = one.lab.probe("c1", where[other.index, "c1"][family], 80)
                assert answer.peer == where[one.index, "c1"][family]


def test_source_ports_follow_the_flow(nodes):
    """So that the underlay can spread flows over its ways (RFC 7348 section 5)."""
    where = everywhere(nodes, nodes.config, "c1")
    wire = settled(nodes.listen())
    for _ in range(8):
        nodes[0].lab.probe("c1", where[1, "c1"][0], 80)
    assert len({f.sport for f in wire.frames() if f.inner and f.src == vtep(0)}) > 4


def test_a_known_container_is_not_flooded(three):
    """Learned: the third node does not see what two others say to each other."""
    where = everywhere(three, three.config, "c1")
    three[0].lab.probe("c1", where[1, "c1"][0], 80)
    wire = settled(three.listen())
    for _ in range(5):
        three[0].lab.probe("c1", where[1, "c1"][0], 80)
    assert not [f for f in wire.frames() if f.inner and f.inner.proto == 6 and vtep(2) in (f.src, f.dst)]


def test_a_container_that_comes_back_is_reached_at_once(nodes):
    """Its address has the same MAC, so that what others know of it is right."""
    config = configs.runtime(nodes.config(1), ips=["10.5.2.77"])
    nodes[0].attach(nodes.config(0), "c1")
    macs = set()
    for _ in range(3):
        macs.add(nodes[1].attach(config, "c9")[0].json["interfaces"][2]["mac"])
        serve(nodes[1], "c9")
        assert nodes[0].lab.probe("c1", "10.5.2.77", 80, timeout=AT_ONCE).peer == "10.5.1.10"
        nodes[1].cni.delete("overlay", config, "c9").expect()
        nodes[1].lab.remove_netns("c9")
    assert len(macs) == 1


def test_a_mac_that_is_asked_for_is_announced(nodes):
    """Behind an address that others know; once the container's port forwards, or nobody would hear it."""
    nodes[0].attach(nodes.config(0, inside=BOTH), "c1")
    for n in range(6):
        config = configs.runtime(nodes.config(1, inside=BOTH), ips=["10.5.2.77", "fd05::2:77"], mac=f"02:00:00:00:00:{n:02x}")
        nodes[1].attach(config, "c9")
        serve(nodes[1], "c9")
        assert nodes[0].lab.probe("c1", "10.5.2.77", 80, timeout=AT_ONCE).peer == "10.5.1.10"
        assert nodes[0].lab.probe("c1", "fd05::2:77", 80, timeout=AT_ONCE).peer == "fd05::1:10"
        nodes[1].cni.delete("overlay", config, "c9").expect()
        nodes[1].lab.remove_netns("c9")


def test_an_address_moves_between_containers(nodes):
    """As keepalived does it: a gratuitous ARP, which the other node's containers hear."""
    everywhere(nodes, nodes.config, "c1", "c2")
    lab = nodes[1].lab
    for name in ("c1", "c2", "c1"):
        for other in ("c1", "c2"):
            lab.run(["ip", "addr", "flush", "to", "10.5.2.200/32"], netns=other)
        lab.run(["ip", "addr", "add", "10.5.2.200/32", "dev", "eth0"], netns=name)
        mac = configs.link(lab, "eth0", name)["address"]
        lab.call(bed.send_frame, "eth0", "ff:ff:ff:ff:ff:ff", 0x0806, bed.announcement("10.5.2.200", mac), mac, netns=name)
        assert nodes[0].lab.probe("c1", "10.5.2.200", 80, timeout=2).server == name


def test_broadcast_and_multicast_reach_every_node(three):
    everywhere(three, three.config, "c1")
    wire = settled(three.listen())
    for to in ("10.5.255.255", "239.1.2.3"):
        three[0].lab.call(bed.ping, to, timeout=0.1, device="eth0", netns="c1")
        seen = {f.dst for f in wire.frames() if f.inner and f.inner.dst == to}
        assert seen == {vtep(1), vtep(2)}, to


# ---- a forged frame ----

def test_a_forged_source_moves_nobody(nodes):
    """A container that sends with a remote container's MAC neither gets its frames, nor cuts it off."""
    everywhere(nodes, nodes.config, "c1", "c2")
    remote = "10.5.2.10"
    nodes[0].lab.probe("c2", remote, 80)
    mac = next(n["lladdr"] for n in nodes[0].lab.ip("neigh", netns="c2") if n["dst"] == remote)
    wire = settled(nodes.listen())
    nodes[0].lab.call(bed.send_frame, "eth0", "ff:ff:ff:ff:ff:ff", 0x88b5, bytes(50), mac, netns="c1")
    assert nodes[0].lab.probe("c2", remote, 80, timeout=2).server == "c1"
    assert not [f for f in wire.inner() if f.ethertype == 0x88b5]


# ---- host, outside, published ports ----

def test_host_and_container(pair):
    where = everywhere(pair, lambda i: pair.config(i, inside=BOTH), "c1")
    for node in pair:
        serve(node, None, 8000)
    for family in (0, 1):
        kind = (4, 6)[family]
        for k in (0, 1):    # its own, and another node's
            assert pair[0].lab.probe(None, where[k, "c1"][family], 80).peer == node_address(0, kind)
            # A container reaches the nodes at the address that only they have, and at their underlay's.
            assert pair[0].lab.probe("c1", node_address(k, kind), 8000).peer == where[0, "c1"][family]
            assert pair[0].lab.probe("c1", vtep(k, kind), 8000).server == "host"


def test_masquerade(pair):
    everywhere(pair, lambda i: pair.config(i, inside=BOTH), "c1")
    for address in ("0.0.0.0", "::"):
        pair.outside.tcp_server("outside", address, 80)
        pair.outside.udp_server("outside", address, 80)
    wire = settled(pair.listen())
    for proto in ("tcp", "udp"):
        assert pair[0].lab.probe("c1", bed.OUTSIDE4, 80, proto).peer == vtep(0)
        assert pair[1].lab.probe("c1", bed.OUTSIDE6, 80, proto).peer == vtep(1, 6)
    assert not leaked(wire.frames())


def test_published_port(pair):
    """From outside with the client's address, from the own node, from itself, a neighbour and another node's container."""
    for node in pair:
        config = configs.publish(pair.config(node.index, inside=BOTH), (8080, 80), configs.port(5353, 80, "udp"))
        node.attach(config, "c1")
        serve(node)
        node.attach(pair.config(node.index, inside=BOTH), "c2")
    wire = settled(pair.listen())
    for k, node in enumerate(pair):
        for address, client in ((vtep(k), bed.OUTSIDE4), (vtep(k, 6), bed.OUTSIDE6)):
            answer = pair.outside.probe("outside", address, 8080)
            assert (answer.server, answer.peer) == ("c1", client)
            assert pair.outside.probe("outside", address, 5353, "udp").peer == client
            for name in ("c1", "c2"):
                assert node.lab.probe(name, address, 8080, timeout=2).server == "c1"
                assert pair[1 - k].lab.probe(name, address, 8080, timeout=2).server == "c1"
        assert node.lab.probe(None, "127.0.0.1", 8080).server == "c1"
        assert node.lab.probe(None, vtep(k), 8080).server == "c1"
    assert not leaked(wire.frames())


def test_backend_on_another_node(pair):
    """Somebody translates to a container of another node: the answer comes back the same way, and not past it."""
    everywhere(pair, pair.config, "c1", "c2")
    pair[0].lab.nft(bed.BACKEND.format(to=container_address(1, 10)))
    wire = settled(pair.listen())
    assert pair.outside.probe("outside", vtep(0), 9090, timeout=2).peer == node_address(0)
    assert pair[0].lab.probe("c1", vtep(0), 9090, timeout=2).peer == node_address(0)
    assert pair[0].lab.probe(None, vtep(0), 9090, timeout=2).peer == node_address(0)
    # The backend itself, by the other node's port.
    assert pair[1].lab.probe("c1", vtep(0), 9090, timeout=2).server == "c1"
    assert not leaked(wire.frames())


def test_stray_answers_do_not_leave(nodes):
    """Without the translation's masquerade the other node's container answers through its own gateway: dropped there.

    Where bridged packets pass the host's rules, conntrack takes them for valid, and only the masquerade helps.
    """
    for node in nodes:
        configs.filter_bridged(node.lab, 0)
    everywhere(nodes, nodes.config, "c1")
    nodes[0].lab.nft(bed.BACKEND.format(to=container_address(1, 10)))
    nodes[0].lab.nft("flush chain inet fairlead postrouting\n")
    wire = settled(nodes.listen())
    assert nodes.outside.blocked("outside", vtep(0), 9090)
    frames = wire.frames()
    assert [f for f in frames if f.inner and f.inner.src == bed.OUTSIDE4]
    assert not leaked(frames)


# ---- the gateway ----

def test_gateway_stays_local(three):
    """Nobody asks another node for it, nor hears of another's; each container's is its own node's."""
    everywhere(three, lambda i: three.config(i, inside=BOTH), "c1")
    wire = settled(three.listen())
    for node in three:
        bridge = node.lab.ip("link", "show", "type", "bridge")[0]["address"]
        for family, gateway in (("-4", bed.GATEWAY), ("-6", bed.GATEWAY6)):
            for _ in range(3):
                node.lab.run(["ip", family, "neigh", "flush", "dev", "eth0"], netns="c1")
                assert node.lab.call(bed.ping, gateway, netns="c1") == "answered"
                entry = next(n for n in node.lab.ip(family, "neigh", netns="c1") if n["dst"] == gateway)
                assert entry["lladdr"] == bridge
        # An announcement of the gateway's address, as a bridge that comes up may send it.
        for device, netns in ((flo(node), None), ("eth0", "c1")):
            mac = configs.link(node.lab, device, netns)["address"]
            node.lab.call(bed.send_frame, device, "ff:ff:ff:ff:ff:ff", 0x0806, bed.announcement(bed.GATEWAY, mac), mac, netns=netns)
    inner = wire.inner()
    assert not [f for f in inner if f.arp_target == bed.GATEWAY or f.nd_target == bed.GATEWAY6]
    assert not [f for f in inner if f.is_arp and f.payload[14:18] == bytes([10, 5, 0, 1])]


def flo(node):
    return node.lab.ip("link", "show", "type", "bridge")[0]["ifname"]


def test_gateway_of_a_flooded_question(three):
    """A node's own question for an unknown address is not asked in the gateway's name: no container takes it for its gateway's MAC."""
    everywhere(three, three.config, "c1")
    wire = settled(three.listen())
    assert three[0].lab.blocked(None, "10.5.2.99", 80, timeout=0.3)
    senders = {f.payload[14:18] for f in wire.inner() if f.arp_target == "10.5.2.99"}
    assert senders == {bytes([10, 5, 255, 1])}


def test_gateway_of_its_own_on_each_node(nodes):
    """Where the gateway is the node's own address, there is nothing to be kept local."""
    for node in nodes:
        config = nodes.config(node.index)
        config["ipam"]["ranges"][0][0]["gateway"] = node_address(node.index)
        node.attach(config, "c1")
        serve(node)
        assert configs.default_route(node.lab, "c1") == node_address(node.index)
    nodes.outside.tcp_server("outside", port=80)
    assert nodes[0].lab.probe("c1", bed.OUTSIDE4, 80).peer == vtep(0)
    assert nodes[0].lab.probe("c1", "10.5.2.10", 80).peer == "10.5.1.10"


# ---- several networks ----

def test_two_networks_do_not_meet(nodes):
    everywhere(nodes, nodes.config, "c1")
    everywhere(nodes, lambda i: nodes.config(i, net="two", vni=5002, third=6, isolate=True), "c2")
    wire = settled(nodes.listen())
    assert nodes[0].lab.probe("c2", "10.6.2.10", 80).peer == "10.6.1.10"
    assert nodes[0].lab.probe("c1", "10.5.2.10", 80).peer == "10.5.1.10"
    assert nodes[0].lab.blocked("c1", "10.6.1.10", 80)
    assert nodes[0].lab.blocked("c1", "10.6.2.10", 80)
    vnis = {(f.vni, f.inner.dst) for f in wire.frames() if f.inner and f.inner.proto == 6 and f.src == vtep(0)}
    assert vnis == {(5002, "10.6.2.10"), (5001, "10.5.2.10")}


def test_custom_port(nodes):
    everywhere(nodes, lambda i: nodes.config(i, port=8472), "c1")
    wire = nodes.listen()
    wire.ports = {8472}
    settled(wire)
    assert nodes[0].lab.probe("c1", "10.5.2.10", 80).peer == "10.5.1.10"
    assert [f for f in wire.frames() if f.inner]
    # The same VNI on another port is another network.
    everywhere(nodes, lambda i: nodes.config(i, net="two", third=6), "c2")
    assert nodes[0].lab.probe("c2", "10.6.2.10", 80).peer == "10.6.1.10"


def test_internal_networks_may_overlap(nodes):
    """No address of the node, no way out, and the same subnet twice."""
    for net, vni, name in (("one", 1, "c1"), ("two", 2, "c2")):
        config = {"net": net, "vni": vni, "internal": True, "nodeAddress": None}
        everywhere(nodes, lambda i, c=config: nodes.config(i, inside=BOTH, **c), name)
    wire = settled(nodes.listen())
    for name in ("c1", "c2"):
        for address, mine in (("10.5.2.10", "10.5.1.10"), ("fd05::2:10", "fd05::1:10")):
            answer = nodes[0].lab.probe(name, address, 80)
            assert (answer.server, answer.peer) == (name, mine)
        assert configs.default_route(nodes[0].lab, name) is None
    assert not leaked(wire.frames())
    assert [a for e in nodes[0].lab.ip("addr") if e["ifname"].startswith("flo") for a in e["addr_info"]
            if a["scope"] == "global"] == []


def test_guarded(nodes):
    everywhere(nodes, lambda i: nodes.config(i, guarded=True), "c1")
    nodes.outside.run(["ip", "route", "add", bed.SUBNET, "via", vtep(0)], netns="outside")
    assert nodes.outside.blocked("outside", "10.5.1.10", 80)
    assert nodes[1].lab.probe("c1", "10.5.1.10", 80).peer == "10.5.2.10"


def test_names(nodes):
    """The resolver answers for the node's own containers."""
    for node in nodes:
        node.attach({**nodes.config(node.index), "dns": {"enabled": True}, "args": {"cni": {"name": f"web{node.index}"}}}, "c1")
        out = node.lab.run(["dig", "+short", "+time=2", "+tries=1", "@127.0.0.11", f"web{node.index}"], netns="c1").stdout
        assert out.split() == [container_address(node.index, 10)]


# ---- offloads ----

@pytest.mark.parametrize("state", ["on", "off"])
def test_offloads(nodes, state):
    """Checksums and segments that a virtual device leaves to hardware are right on the other side."""
    if nodes[0].lab.run(["sh", "-c", "command -v ethtool"], check=False).returncode:
        pytest.skip("no ethtool")
    everywhere(nodes, nodes.config, "c1")
    for node in nodes:
        for netns, name in ((None, "up0"), (None, flo(node)), ("c1", "eth0")):
            node.lab.run(["ethtool", "-K", name, "tx", state, "tso", state, "gso", state, "gro", state], netns=netns, check=False)
    assert transfer(nodes, 4 << 20) == 4 << 20


def transfer(nodes, size):
    """Bytes of one TCP stream from c1 of the first node to c1 of the second, within ten seconds."""
    import socket
    import threading
    got = []
    server = nodes[1].lab.call(socket.create_server, ("0.0.0.0", 9999), netns="c1")
    server.settimeout(10)

    def receive():
        with server, server.accept()[0] as conn:
            conn.settimeout(10)
            while data := conn.recv(1 << 16):
                got.append(len(data))
    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    with nodes[0].lab.call(socket.create_connection, ("10.5.2.10", 9999), 5, netns="c1") as client:
        client.sendall(bytes(size))
    thread.join(10)
    return sum(got)
