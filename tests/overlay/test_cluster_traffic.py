# SPDX-License-Identifier: GPL-2.0-or-later
"""Who reaches, resolves and hears whom on networks of a cluster of three nodes."""
import itertools
import statistics
import threading
import time

import pytest

from support import configs, dns, nodes as bed, overlays
from support.cluster import Cluster
from support.cni import sanitized
from support.nodes import vtep
from support.overlays import add, delete, flood, serve

RED = overlays.config("red", "10.5.0.0/24", "fd05::/64", isolate=True, vni=501)
BLUE = overlays.config("blue", "10.6.0.0/24", "fd06::/64", isolate=True, vni=601)
# The same names on both networks, on other nodes, and all of them twice.
NAMES = ("web", "db", "cache")


class World:
    """`where`: {(network, name): (node, container, addresses)}"""

    def __init__(self, underlay):
        self.underlay = underlay
        self.cluster = Cluster(3, 1, start=False)
        self.where = {}
        try:
            self._fill()
        except BaseException:
            self.cluster.close()
            raise

    def _fill(self):
        for node in self.cluster:
            node.configure(local=vtep(node.index, self.underlay))
            node.start()
        for shift, conf in enumerate((RED, BLUE)):
            for n, name in enumerate(NAMES):
                i, container = (n + shift) % 3, f"{conf['name']}-{name}"
                outcome = add(self.cluster[i], conf, container, name, [f"{name}-alias"]).expect()
                serve(self.cluster[i], container)
                self.where[conf["name"], name] = i, container, outcome.addresses()

    def lab(self, i):
        return self.cluster[i].lab

    def wait_names(self):
        for net, name in self.where:
            for i, container, _ in self.of(net):
                self.cluster.wait(lambda i=i, c=container, n=name: dns.knows(self.lab(i), c, n), 5, f"{name} in {container}")

    def of(self, net):
        return [found for (n, _), found in self.where.items() if n == net]


@pytest.fixture(scope="module", params=[4, 6], ids=["over4", "over6"])
def world(request):
    world = World(request.param)
    with world.cluster:
        world.wait_names()
        yield world


@pytest.fixture(params=[0, 1], ids=["", "filtered"])
def filtered(world, request):
    for node in world.cluster:
        configs.filter_bridged(node.lab, request.param)
    return world


@pytest.fixture
def plain(world):
    for node in world.cluster:
        configs.filter_bridged(node.lab, 0)
    return world


def listen(world):
    wire = world.cluster.bed.listen()
    wire.frames()
    return wire


def leaked(frames):
    """Overlay addresses outside of VXLAN."""
    return [f for f in frames if not f.inner and (f.src + f.dst).startswith(("10.5.", "10.6.", "fd05:", "fd06:"))]


# ---- containers ----

def test_everybody_reaches_everybody(filtered):
    """On one's own network, in both families, by TCP and UDP, with one's own address; and nobody of the other one."""
    wire = listen(filtered)
    for net, other in (("red", "blue"), ("blue", "red")):
        for (i, container, own), (_, target, addresses) in itertools.permutations(filtered.of(net), 2):
            for proto, family in itertools.product(("tcp", "udp"), (0, 1)):
                answer = filtered.lab(i).probe(container, addresses[family], 80, proto)
                assert (answer.server, answer.peer) == (target, own[family])
        i, container, _ = filtered.of(net)[0]
        for _, _, addresses in filtered.of(other):
            for address in addresses:
                assert filtered.lab(i).blocked(container, address, 80, timeout=0.15), address
    frames = wire.frames()
    assert not leaked(frames)
    outer = {vtep(i, filtered.underlay) for i in range(3)}
    assert {f.src for f in frames if f.inner} == {f.dst for f in frames if f.inner} == outer
    assert {f.vni for f in frames if f.inner} == {501, 601}


def test_names(plain):
    """Name and alias have the addresses of one's own network's container, though the other one has the same names."""
    for (net, name), (_, _, addresses) in plain.where.items():
        for i, container, _ in plain.of(net):
            for asked in (name, f"{name}-alias"):
                assert dns.lookup(plain.lab(i), container, asked) == addresses[:1]
                assert dns.lookup(plain.lab(i), container, asked, "AAAA") == addresses[1:]


def test_nobody_asks_on_the_wire(plain):
    """ARP and neighbour discovery are answered where they are asked."""
    wire = listen(plain)
    nobodys = next(plain.cluster.unused())
    for i, container, _ in plain.of("red"):
        for family in ("-4", "-6"):
            plain.lab(i).run(["ip", family, "neigh", "flush", "dev", "eth0"], netns=container)
        for _, _, addresses in plain.of("red"):
            for address in addresses:
                plain.lab(i).probe(container, address, 80)
        # What is nobody's is not asked for elsewhere either.
        assert plain.lab(i).blocked(container, nobodys, 80, timeout=0.15)
        assert plain.lab(i).blocked(container, "fd05::250", 80, timeout=0.15)
    inner = wire.inner()
    assert len(inner) > 50
    assert not [f for f in inner if f.is_arp or f.nd_target]


# ---- outside and published ports ----

@pytest.fixture(scope="module")
def outside(world):
    for address in ("0.0.0.0", "::"):
        world.cluster.outside.tcp_server("outside", address, 80)
        world.cluster.outside.udp_server("outside", address, 80)
    return world


def test_masquerade(outside, filtered):
    wire = listen(filtered)
    for i, container, _ in filtered.of("red"):
        for proto in ("tcp", "udp"):
            assert filtered.lab(i).probe(container, bed.OUTSIDE4, 80, proto).peer == vtep(i)
            assert filtered.lab(i).probe(container, bed.OUTSIDE6, 80, proto).peer == vtep(i, 6)
    assert not leaked(wire.frames())


def test_published_port(filtered):
    """On each node: from outside with the client's address, from the node, from its container, from other nodes and theirs."""
    world = filtered
    wire = listen(world)
    for i in range(3):
        node = world.cluster[i]
        conf = configs.publish(RED, (8080, 80), configs.port(5353, 80, "udp"))
        add(node, conf, "published").expect()
        serve(node, "published")
        try:
            for address, client in ((vtep(i), bed.OUTSIDE4), (vtep(i, 6), bed.OUTSIDE6)):
                answer = world.cluster.outside.probe("outside", address, 8080)
                assert (answer.server, answer.peer) == ("published", client)
                assert world.cluster.outside.probe("outside", address, 5353, "udp").peer == client
                assert node.lab.probe("published", address, 8080).server == "published"     # hairpin
                assert node.lab.probe(None, address, 8080).server == "published"
                for k, container, _ in world.of("red") + world.of("blue"):
                    assert world.lab(k).probe(container, address, 8080).server == "published"
            assert node.lab.probe(None, "127.0.0.1", 8080).server == "published"
        finally:
            delete(node, conf, "published").expect()
            node.lab.remove_netns("published")
    assert not leaked(wire.frames())


def test_backend_on_another_node(filtered):
    """Somebody translates to a container of another node: the answer comes back the same way, and not past it."""
    world = filtered
    i, target, addresses = world.where["red", "web"]
    k, client, _ = world.where["red", "db"]
    world.lab(k).nft(bed.BACKEND.format(to=addresses[0]))
    wire = listen(world)
    try:
        join = next(join for key, join in world.cluster.records("join/").items()
                    if key.endswith(f"/node{k + 1}") and join["ip4"].startswith("10.5."))
        assert world.cluster.outside.probe("outside", vtep(k), 9090).peer == join["ip4"]
        assert world.lab(k).probe(None, vtep(k), 9090).peer == join["ip4"]
        assert world.lab(k).probe(client, vtep(k), 9090).server == target
        # The backend itself, by the other node's port.
        assert world.lab(i).probe(target, vtep(k), 9090).server == target
    finally:
        world.lab(k).nft("delete table ip mine")
    assert not leaked(wire.frames())


# ---- internal ----

def test_internal(outside, plain):
    """Containers reach each other, and nothing else: no gateway, no address of a node, no way out."""
    conf = overlays.config("inner", "10.7.0.0/24", "fd07::/64", internal=True, vni=701)
    found = []
    for i in (0, 1):
        outcome = add(plain.cluster[i], conf, "shut", f"shut{i}").expect()
        assert all("gateway" not in ip for ip in outcome.json["ips"])
        serve(plain.cluster[i], "shut")
        found.append(outcome.addresses())
    lab = plain.lab(0)
    for family in (0, 1):
        assert lab.probe("shut", found[1][family], 80).peer == found[0][family]
    plain.cluster.wait(lambda: dns.knows(lab, "shut", "shut1"), 5, "the name")
    assert dns.lookup(lab, "shut", "shut1") == found[1][:1]
    assert configs.default_route(lab, "shut") is None
    assert not configs.addresses(lab, overlays.bridge_of(plain.cluster[0], 701))
    for address in (bed.OUTSIDE4, bed.OUTSIDE6, vtep(0), plain.where["red", "web"][2][0]):
        assert lab.blocked("shut", address, 80, timeout=0.15)
    for i in (0, 1):
        delete(plain.cluster[i], conf, "shut").expect()
        plain.lab(i).remove_netns("shut")


# ---- broadcast ----

def shout(lab, container):
    """One broadcast and one multicast datagram."""
    for to in ("10.8.0.255", "239.1.2.3"):
        lab.call(bed.ping, to, timeout=0.05, device="eth0", netns=container)


def heard(wire):
    """{where it went: VTEPs}"""
    found = {"10.8.0.255": set(), "239.1.2.3": set()}
    for frame in wire.frames():
        if frame.inner and frame.inner.dst in found:
            found[frame.inner.dst].add(frame.dst)
    return found


def test_broadcast(plain):
    """At every node that joined and nowhere else; who gets them follows joins and leaves."""
    cluster, family = plain.cluster, plain.underlay
    conf = overlays.config("loud", "10.8.0.0/24", broadcast=True, vni=801)

    def others(*there):
        return sorted(vtep(k, family) for k in there)

    def to_nodes(*there):
        for i in there:
            want = others(*(k for k in there if k != i))
            cluster.wait(lambda i=i, want=want: flood(cluster[i], 801) == want, 12, f"flood entries of {i}: {want}")
    for i in (0, 1):
        add(cluster[i], conf, "loud").expect()
    to_nodes(0, 1)
    wire = listen(plain)
    shout(cluster[0].lab, "loud")
    assert heard(wire) == dict.fromkeys(("10.8.0.255", "239.1.2.3"), {vtep(1, family)})
    add(cluster[2], conf, "loud").expect()
    to_nodes(0, 1, 2)
    wire.frames()
    shout(cluster[0].lab, "loud")
    assert heard(wire) == dict.fromkeys(("10.8.0.255", "239.1.2.3"), {vtep(1, family), vtep(2, family)})
    delete(cluster[1], conf, "loud").expect()
    to_nodes(0, 2)
    wire.frames()
    shout(cluster[0].lab, "loud")
    assert heard(wire) == dict.fromkeys(("10.8.0.255", "239.1.2.3"), {vtep(2, family)})
    for i in (0, 2):
        delete(cluster[i], conf, "loud").expect()


def test_no_broadcast(plain):
    """Unless the network is made for it, they stay on the node; what is not known too."""
    wire = listen(plain)
    i, container, _ = plain.where["red", "web"]
    assert flood(plain.cluster[i], 501) == []
    for to in ("10.5.0.255", "239.1.2.3"):
        plain.lab(i).call(bed.ping, to, timeout=0.05, device="eth0", netns=container)
    mac = configs.link(plain.lab(i), "eth0", container)["address"]
    plain.lab(i).call(bed.send_frame, "eth0", "02:00:00:00:00:99", 0x88b5, bytes(50), mac, netns=container)
    assert not wire.inner()


# ---- names across nodes ----

SAMPLES = 20
WITHIN = 0.5 if sanitized() else 0.05


class Asker:
    """Asks for a name in a loop; when() tells when the answer became what it is."""

    def __init__(self, lab, container, name):
        self.lab, self.container, self.name = lab, container, name
        self.changes, self._end = [], threading.Event()
        self._thread = threading.Thread(target=lab.call, args=(self._ask,), kwargs={"netns": container})
        self._thread.start()

    def _ask(self):
        last = None
        message = dns.query(self.name)
        while not self._end.is_set():
            began = time.monotonic()
            answer = dns.dns.query.udp(message, dns.ADDRESS, 2)
            now = bool(answer.answer)
            if now != last:
                self.changes.append((began, now))
                last = now

    def when(self, known, seconds=3):
        configs.eventually(lambda: self.changes and self.changes[-1][1] == known, seconds)
        return self.changes[-1][0]

    def close(self):
        self._end.set()
        self._thread.join()


def test_names_come_and_go_at_once(plain, capsys):
    """Seen from another node, from the return of ADD and of DEL, over twenty of each."""
    i, container, _ = plain.where["red", "web"]
    k = (i + 1) % 3
    came, went = [], []
    asker = Asker(plain.lab(i), container, "brief")
    try:
        for _ in range(SAMPLES):
            add(plain.cluster[k], RED, "brief").expect()
            added = time.monotonic()
            came.append(asker.when(True) - added)
            delete(plain.cluster[k], RED, "brief").expect()
            deleted = time.monotonic()
            went.append(asker.when(False) - deleted)
    finally:
        asker.close()
    with capsys.disabled():
        print(f"\nname after ADD: median {statistics.median(came) * 1e3:.1f} ms, worst {max(came) * 1e3:.1f}; "
              f"after DEL: median {statistics.median(went) * 1e3:.1f}, worst {max(went) * 1e3:.1f}")
    assert max(came) < WITHIN and max(went) < WITHIN
