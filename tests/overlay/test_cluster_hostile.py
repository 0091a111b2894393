# SPDX-License-Identifier: GPL-2.0-or-later
"""What an agent does with records, requests and configuration files that are damaged, or meant to harm."""
import contextlib
import itertools
import json
import os
import time

import pytest

from support import configs, dns, overlays
from support.agent import layout
from support.cluster import Cluster
from support.cni import _sanitizer_options, libexec
from support.nodes import vtep
from support.overlays import VNI, Kept, serve
from support.requests import connect, request, result
from support.truth import network

WEB, OTHER = overlays.config("web"), overlays.config("other", "10.6.0.0/24", vni=600)
ALIVE = json.dumps({"v": 1, "epoch": 1})


@pytest.fixture(scope="module")
def cluster():
    """Containers c0 and c1 on both networks of two nodes, and a node "ghost" of which there are records alone."""
    with Cluster(2, 1, config={"leaseSeconds": 3, "holdDownSeconds": 600}) as cluster:
        cluster.kept = Kept(cluster)
        for node in cluster:
            cluster.kept.add(node, WEB, f"c{node.index}").expect()
            cluster.kept.add(node, OTHER, f"o{node.index}").expect()
            serve(node, f"c{node.index}")
            serve(node, f"o{node.index}")
        cluster.net, _ = network(cluster.records(), "web")
        cluster.nobodys = next(cluster.unused())
        put(cluster, "node/ghost", {"v": 1, "vtep4": "192.0.2.77", "mtu": 1500, "port": 4789, "epoch": 1})
        put(cluster, "alive/ghost", ALIVE)
        for i in (0, 1):
            cluster.wait(lambda i=i: cluster[i].leads_to(VNI, address(cluster[1 - i], f"c{1 - i}")))
        Fence.prepare(cluster)
        yield cluster


def put(cluster, key, value):
    text = (value if isinstance(value, str) else json.dumps(value)).replace(NOBODYS, cluster.nobodys)
    cluster.bed.switch.run(["etcdctl", "--endpoints", cluster.etcd.url("m1"), "put", "--", cluster.prefix + key], input=text or " ",
                            env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"})


def address(node, container):
    return configs.addresses(node.lab, "eth0", container)[0].split("/")[0]


NOBODYS = "an address that nobody has"


def ep(**changes):
    record = {"v": 1, "node": "ghost", "container": "bad", "ifname": "eth0", "epoch": 1, "mac": "02:00:00:00:00:66",
              "ip4": NOBODYS, "created": 1, "name": "bad", **changes}
    return {key: value for key, value in record.items() if value is not None}


def kernel(node):
    return [(node.fdb(vni), node.ports(vni), node.neighbours(vni), overlays.flood(node, vni)) for vni in (VNI, 600)]


def both_reach(cluster):
    for name in ("c", "o"):
        for i in (0, 1):
            to = address(cluster[1 - i], f"{name}{1 - i}")
            assert cluster[i].lab.probe(f"{name}{i}", to, 80, timeout=2).server == f"{name}{1 - i}"


class Fence:
    """When a good record that was put after the bad ones has an effect, those have been seen too."""
    n, unused = 0, None     # addresses: set when there are good records alone

    @classmethod
    def prepare(cls, cluster):
        cls.unused = itertools.cycle(list(cluster.unused())[100:])

    @classmethod
    def pass_(cls, cluster):
        cls.n = cls.n % 200 + 1
        ip, key = next(cls.unused), f"ep/{cluster.net}/fence{cls.n}"
        put(cluster, key, ep(ip4=ip, mac=f"02:00:00:00:01:{cls.n:02x}", container=f"fence{cls.n}", name=f"fence{cls.n}"))
        for node in cluster:
            cluster.wait(lambda node=node: node.leads_to(VNI, ip) == "192.0.2.77", 5, "the record after it")
        cluster.etcd.ctl("del", cluster.prefix + key)
        for node in cluster:
            cluster.wait(lambda node=node: ip not in node.neighbours(VNI) and "02:00:00:00:01:" not in str(node.fdb(VNI)), 5,
                         "its end")


# ---- records ----

BRIDGE_MAC, LOCAL_MAC, GATEWAY = object(), object(), "10.5.0.1"

RECORDS = {
    "no JSON": "{ nothing",
    "a list": "[]",
    "nothing": "",
    "nested": "[" * 5000,
    "huge": json.dumps(ep(name="x" * 200000)),
    "wrong types": ep(mac=7, ip4=[], node={}),
    "no version": ep(v=None),
    "a later version": ep(v=2),
    "a MAC of a group": ep(mac="03:00:00:00:00:66"),
    "no MAC": ep(mac="00:00:00:00:00:00"),
    "a MAC of broadcast": ep(mac="ff:ff:ff:ff:ff:ff"),
    "no address": ep(ip4=None),
    "loopback": ep(ip4="127.0.0.1"),
    "multicast": ep(ip4="239.0.0.1"),
    "outside the subnet": ep(ip4="10.99.0.66"),
    "another network's": ep(ip4="10.6.0.66"),
    "the network itself": ep(ip4="10.5.0.0"),
    "broadcast": ep(ip4="10.5.0.255"),
    "the gateway's": ep(ip4=GATEWAY),
    "a family that the network has not": ep(ip4=None, ip6="fd05::66"),
    "control characters": ep(name="bad\x1b[31m\nname"),
    "a slash": ep(container="../../etc"),
    "no interface": ep(ifname="a/b"),
    "aliases": ep(aliases=["x"] * 5000),
    "an alias of a wrong type": ep(aliases=[1]),
    "the bridge's MAC": BRIDGE_MAC,
}


def resolve(cluster, record):
    if record is BRIDGE_MAC:
        node = cluster[0]
        return ep(mac=configs.link(node.lab, overlays.bridge_of(node))["address"], name="elsewhere", container="elsewhere")
    return record


def test_endpoints(cluster):
    """Each ignored, and said once; nothing is programmed, nothing has a name, the others are as before."""
    before = [kernel(node) for node in cluster]
    mark = [len(node.log()) for node in cluster]
    keys = {what: f"ep/{cluster.net}/bad{n}." for n, what in enumerate(RECORDS)}
    try:
        for what, key in keys.items():
            put(cluster, key, resolve(cluster, RECORDS[what]))
        Fence.pass_(cluster)
        for node in cluster:
            said = node.log()[mark[node.index]:].splitlines()
            for what, key in keys.items():
                # Of the bridge's MAC it is its own node that knows.
                if what != "the bridge's MAC" or node is cluster[0]:
                    lines = [line for line in said if key in line]
                    assert len(lines) == 1 and len(lines[0]) < 400 and lines[0].isprintable(), (what, lines)
            assert not dns.knows(node.lab, f"c{node.index}", "bad")
        assert kernel(cluster[0]) == before[0]
        both_reach(cluster)
    finally:
        cluster.etcd.ctl("del", "--prefix", f"{cluster.prefix}ep/{cluster.net}/bad")
        Fence.pass_(cluster)
    assert [kernel(node) for node in cluster] == before


def test_a_good_record_becomes_bad(cluster):
    """What it said before is no longer so; and it may become good again."""
    key = f"ep/{cluster.net}/turning"
    first, second = next(Fence.unused), next(Fence.unused)
    put(cluster, key, ep(ip4=first, mac="02:00:00:00:00:67", name="turning"))
    node = cluster[0]
    cluster.wait(lambda: node.leads_to(VNI, first) and dns.knows(node.lab, "c0", "turning"))
    put(cluster, key, ep(ip4=GATEWAY, mac="02:00:00:00:00:67", name="turning"))
    cluster.wait(lambda: first not in node.neighbours(VNI))
    assert GATEWAY not in node.neighbours(VNI) and not dns.knows(node.lab, "c0", "turning")
    put(cluster, key, ep(ip4=second, mac="02:00:00:00:00:67", name="turning"))
    cluster.wait(lambda: node.leads_to(VNI, second))
    cluster.etcd.ctl("del", cluster.prefix + key)
    Fence.pass_(cluster)


NODES = [{"vtep4": "127.0.0.1"}, {"vtep4": "0.0.0.0"}, {"vtep4": "224.0.0.1"}, {"vtep4": "255.255.255.255"}, {"vtep4": "here"},
         {"vtep4": vtep(0)}, {"mtu": 5}, {"mtu": -1}, {"port": 99999}, {"epoch": "x"}]


def test_nodes(cluster):
    """No frame goes to a loopback address, or to oneself; what cannot be read is not a node."""
    before = kernel(cluster[0])
    ips = list(itertools.islice(cluster.unused(), 2 * len(NODES) + 1))
    try:
        for n, value in enumerate(NODES):
            put(cluster, f"node/bad{n}", {"v": 1, "vtep4": "192.0.2.78", "mtu": 1500, "port": 4789, "epoch": 1, **value})
            put(cluster, f"alive/bad{n}", ALIVE)
            put(cluster, f"ep/{cluster.net}/onbad{n}", ep(node=f"bad{n}", ip4=ips[2 * n], mac=f"02:00:00:00:02:{n:02x}"))
            put(cluster, f"join/{cluster.net}/bad{n}", {"v": 1, "epoch": 1, "ip4": ips[2 * n + 1], "mac": f"02:00:00:00:03:{n:02x}"})
        # Without a MAC: the entry for all that nobody has.
        put(cluster, f"join/{cluster.net}/ghost", {"v": 1, "epoch": 1, "ip4": ips[2 * len(NODES)]})
        Fence.pass_(cluster)
        assert kernel(cluster[0]) == before
        for node in cluster:
            assert not {vtep(node.index), "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"} & set(node.fdb(VNI).values())
        both_reach(cluster)
    finally:
        for gone in (f"ep/{cluster.net}/onbad", f"join/{cluster.net}/bad", f"join/{cluster.net}/ghost", "node/bad", "alive/bad"):
            cluster.etcd.ctl("del", "--prefix", cluster.prefix + gone)
        Fence.pass_(cluster)
    assert kernel(cluster[0]) == before


def test_names_that_differ_in_their_last_letter(cluster):
    """Of the longest that a record may have: each is a node of its own."""
    node, ips = cluster[0], list(itertools.islice(cluster.unused(), 2))
    names = ["n" * 63 + letter for letter in "ab"]
    for n, name in enumerate(names):
        put(cluster, f"node/{name}", {"v": 1, "vtep4": f"192.0.2.{80 + n}", "mtu": 1500, "port": 4789, "epoch": 1})
        put(cluster, f"join/{cluster.net}/{name}", {"v": 1, "epoch": 1, "ip4": ips[n], "mac": f"02:00:00:00:04:{n:02x}"})
    try:
        for n in range(2):
            cluster.wait(lambda n=n: node.leads_to(VNI, ips[n]) == f"192.0.2.{80 + n}", 5, f"node {names[n]}")
    finally:
        for name in names:
            cluster.etcd.ctl("del", f"{cluster.prefix}join/{cluster.net}/{name}")
            cluster.etcd.ctl("del", f"{cluster.prefix}node/{name}")
        Fence.pass_(cluster)


@pytest.mark.parametrize("kind, value", [("node", {"epoch": 0}), ("node", {"epoch": 2 ** 63 - 1}), ("node", {"mtu": 5}), ("alive", {})])
def test_the_record_of_a_node_is_written(cluster, kind, value):
    """By somebody else: it is claimed again, others go on to know the node, and it to get addresses."""
    node, mark = cluster[1], len(cluster[1].log())
    put(cluster, f"{kind}/{node.name}", {"v": 1, "vtep4": "192.0.2.79", "mtu": 1500, "port": 4789, "epoch": 1, **value} if kind == "node" else ALIVE)
    cluster.wait(lambda: " is in cluster " in node.log()[mark:], 10, "that it is claimed")
    assert cluster.records("node/")[f"node/{node.name}"]["vtep4"] == vtep(node.index)
    cluster.kept.add(node, WEB, "c9").expect()
    cluster.kept.delete(node, WEB, "c9").expect()
    mark = len(cluster[0].log())
    Fence.pass_(cluster)
    assert 0 < cluster.records("node/")[f"node/{node.name}"]["epoch"] < 2 ** 63 - 1
    assert f"node/{node.name} is ignored" not in cluster[0].log()[mark:]
    both_reach(cluster)


def test_the_part_of_a_node_is_written(cluster):
    """By somebody else: its bridge keeps MAC and address, and the record has them again."""
    node, key = cluster[1], f"join/{cluster.net}/{cluster[1].name}"
    record, bridge = cluster.records(key)[key], overlays.bridge_of(node)
    before = configs.link(node.lab, bridge)["address"], configs.addresses(node.lab, bridge)
    for value in ({**record, "ip4": "198.51.100.7", "mac": "02:00:00:00:00:78"}, "{"):
        put(cluster, key, value)
        cluster.wait(lambda: cluster.records(key)[key] == record, 10, "the record")
        Fence.pass_(cluster)
        assert (configs.link(node.lab, bridge)["address"], configs.addresses(node.lab, bridge)) == before
        both_reach(cluster)


@pytest.mark.parametrize("value", [
    "{", {"v": 1}, {"v": 9, "name": "later", "vni": 5}, {"v": 1, "name": "bad", "vni": 0}, {"v": 1, "name": "bad", "vni": 1 << 24},
    {"v": 1, "name": "../x", "vni": 7}, {"v": 1, "name": "bad\n", "vni": 7},
    {"v": 1, "name": "bad", "vni": 7, "subnets": [{"subnet": "10.5.0.1/24"}]},
    {"v": 1, "name": "bad", "vni": 7, "subnets": [{"subnet": "0.0.0.0/0"}]},
    {"v": 1, "name": "bad", "vni": 7, "subnets": [{"subnet": "10.30.0.0/24", "gateway": "10.31.0.1"}]},
    {"v": 1, "name": "bad", "vni": 7, "subnets": [{"subnet": f"10.3{n}.0.0/24"} for n in range(8)]},
    {"v": 1, "name": "bad", "vni": 7}, {"v": 1, "name": "bad", "vni": 7, "subnets": [{"subnet": "10.30.0.0/32"}]},
    {"v": 1, "name": "bad", "vni": 7, "subnets": [{"subnet": "10.30.0.0/31"}]},
    {"v": 1, "name": "bad", "vni": 7, "subnets": [{"subnet": "127.0.0.0/8"}]},
    {"v": 1, "name": "bad", "vni": 7, "subnets": [{"subnet": "224.0.0.0/4"}]}])
def test_network(cluster, value):
    """No network, or one whose ADD says what is wrong; nothing is made for it."""
    node = cluster[0]
    put(cluster, "net/bad", value)
    Fence.pass_(cluster)
    try:
        before = node.lab.ip("link")
        outcome = cluster.kept.add(node, overlays.config("bad", subnets=None), "c9")
        if outcome.ok:
            # Another one of the name was made, since that record is none.
            assert any(net["name"] == "bad" for key, net in cluster.records("net/").items() if key != "net/bad")
        else:
            print(outcome.message)
            assert "bad" in outcome.message
            assert {link["ifname"] for link in node.lab.ip("link")} == {link["ifname"] for link in before}
        both_reach(cluster)
    finally:
        cluster.kept.delete(node, overlays.config("bad"), "c9").expect()
        cluster.etcd.ctl("del", cluster.prefix + "net/bad")
        node.netctl("network", "rm", "bad")


CHANGES = {"mode": {"mode": "l3"}, "VNI": {"vni": 4242}, "name": {"name": "bad"}, "port": {"port": 4444}, "internal": {"internal": True},
           "subnets": {"subnets": [{"subnet": "10.77.0.0/24", "gateway": "10.77.0.1"}]},
           "two subnets of a family": {"subnets": [{"subnet": "10.5.0.0/24", "gateway": "10.5.0.1"}, {"subnet": "10.78.0.0/24"}]}}


@pytest.mark.parametrize("what", CHANGES)
def test_a_network_in_use_changes(cluster, what):
    """What bridges, containers and addresses here are made of stays as it is; what comes and goes there is heard of."""
    key, node = f"net/{cluster.net}", cluster[0]
    good, before = cluster.records(key)[key], kernel(node)
    early = next(Fence.unused)
    put(cluster, f"ep/{cluster.net}/early", ep(ip4=early, mac="02:00:00:00:00:99"))
    cluster.wait(lambda: node.leads_to(VNI, early))
    mark = len(node.log())
    put(cluster, key, {**good, **CHANGES[what]})
    try:
        cluster.wait(lambda: f"{key} is ignored" in node.log()[mark:], 5, "what is said")
        cluster.etcd.ctl("del", f"{cluster.prefix}ep/{cluster.net}/early")
        Fence.pass_(cluster)
        assert kernel(node) == before
        both_reach(cluster)
    finally:
        cluster.etcd.ctl("del", f"{cluster.prefix}ep/{cluster.net}/early")
        put(cluster, key, good)
        Fence.pass_(cluster)


KEYS = ["ep/%s/", "ep/%s/a/b/c", "ep/%s/odd\x1b[2J", "ip/%s/300.1.1.1", "ip/%s/010.5.0.9", "blk/%s/10.5.0.3-26",
        "join/%s/" + "x" * 200, "vni/x", "what/is/this", "alive/"]


def test_keys(cluster):
    before = [kernel(node) for node in cluster]
    keys = [key.replace("%s", cluster.net) for key in KEYS]
    for key in keys:
        put(cluster, key, ALIVE)
    Fence.pass_(cluster)
    assert [kernel(node) for node in cluster] == before
    both_reach(cluster)
    for node in cluster:
        assert all(line.isprintable() for line in node.log().splitlines())
        assert node.log().count("odd?[2J is ignored") == 1
    for key in keys:
        cluster.etcd.ctl("del", "--", cluster.prefix + key)


def test_an_address_of_nobody(cluster):
    """Whatever it is, it is somebody's: not given out."""
    nobodys = next(cluster.unused())
    for value in ("{", {"v": 1, "use": "stolen"}, {"v": 1, "use": "endpoint", "node": "ghost", "id": "x" * 5000}):
        put(cluster, f"ip/{cluster.net}/{nobodys}", value)
        Fence.pass_(cluster)
        cluster.kept.add(cluster[0], WEB, "c9", ips=[nobodys]).refused(102, nobodys)
    cluster.etcd.ctl("del", f"{cluster.prefix}ip/{cluster.net}/{nobodys}")
    cluster.kept.delete(cluster[0], WEB, "c9").expect()


def test_an_address_of_two(cluster):
    """A record says that a container of this node has another one's address: it is given back without that."""
    wide = overlays.config("wide", "10.7.0.0/16")
    for node in cluster:
        cluster.kept.add(node, wide, f"w{node.index}").expect()
    try:
        theirs = address(cluster[1], "w1")
        net, _ = network(cluster.records(), "wide")
        put(cluster, f"ep/{net}/bad", ep(node="node1", ip4=theirs))
        cluster.wait(lambda: f"ep/{net}/bad" not in cluster.keys("ep/"), what="its end")
        cluster.kept.add(cluster[0], wide, "w2", ips=[theirs]).refused(102, theirs)
        cluster.kept.delete(cluster[1], wide, "w1").expect()
        cluster.kept.add(cluster[0], wide, "w2", ips=[theirs]).expect()
    finally:
        for node, name in ((0, "w0"), (1, "w1"), (0, "w2")):
            cluster.kept.delete(cluster[node], wide, name).expect()
        cluster[0].netctl("network", "rm", "wide").expect()


def test_a_thousand_nodes(cluster):
    """Each with a container there; and gone again."""
    def batch(word, n):
        made = {"v": 1, "vtep4": f"198.18.{n >> 8}.{n & 255 or 1}", "mtu": 1500, "port": 4789, "epoch": 1}
        one = ep(node=f"many{n}", ip4=spare[n % 100], mac=f"02:77:00:00:{n >> 8:02x}:{n & 255:02x}", name=None)
        lines = [(f"node/many{n}", made), (f"alive/many{n}", {"v": 1, "epoch": 1})]
        if n < 100:
            lines.append((f"ep/{other}/many{n}", one))
        return [f"put {cluster.prefix}{key} {json.dumps(json.dumps(value))}" if word == "put" else f"del {cluster.prefix}{key}"
                for key, value in lines]
    other, _ = network(cluster.records(), "other")
    spare = list(itertools.islice(cluster.unused("10.6.0.0/24"), 100))
    node = cluster[0]
    began = time.monotonic()
    for word in ("put", "del"):
        for first in range(0, 1000, 40):
            cluster.etcd.ctl_txn([line for n in range(first, first + 40) for line in batch(word, n)])
        want = 100 if word == "put" else 0
        cluster.wait(lambda want=want: sum(mac.startswith("02:77") for mac in node.fdb(600)) == want, 10, f"{want} entries")
        both_reach(cluster)
    print(f"{time.monotonic() - began:.1f} s")
    assert node.process.poll() is None


# ---- requests ----

def goes_on(cluster):
    with connect(cluster[0]) as sock:
        sock.send(request(cluster[0], op=layout()["STATUS"]))
        assert result(sock.recv(65536)) == 0
    both_reach(cluster)


def test_sizes(cluster):
    """Half a request, one too many bytes, none: the connection ends."""
    whole = request(cluster[0], op=layout()["STATUS"])
    for data in (whole[:-1], whole + b"x", whole[:10], b"x", bytes(100000)):
        with connect(cluster[0]) as sock:
            with contextlib.suppress(OSError):
                sock.send(data)
                assert sock.recv(65536) == b""
    goes_on(cluster)


def test_magic_and_operations(cluster):
    for values in ({"magic": 0}, {"dev": 0}, {"op": 0}, {"op": 99}, {"op": 0xffffffff}):
        with connect(cluster[0]) as sock:
            sock.send(request(cluster[0], **{"op": layout()["STATUS"], **values}))
            assert result(sock.recv(65536)) < 0
    goes_on(cluster)


def test_texts_without_an_end(cluster):
    """And numbers beyond the lists' ends, in every operation."""
    fields = layout()["request"]["fields"]
    for op in ("JOIN", "ALLOCATE", "RELEASE", "CHECK", "CREATE", "REMOVE", "EVICT"):
        for fill in (b"\xff", b"a", b"\n"):
            values = {name: fill * size for name, (_, size, kind) in fields.items() if name not in ("magic", "op", "dev", "ino")}
            with connect(cluster[0]) as sock:
                sock.send(request(cluster[0], op=layout()[op], **values))
                assert result(sock.recv(65536)) <= 0, op
    assert {net["name"] for net in cluster.records("net/").values() if "name" in net} <= {"web", "other", "bad"}
    assert all(line.isprintable() for line in cluster[0].log().splitlines())
    goes_on(cluster)


def test_who_does_not_wait(cluster):
    """Gone before the answer; a second request before the first one's answer."""
    for _ in range(50):
        with connect(cluster[0]) as sock:
            sock.send(request(cluster[0], op=layout()["JOIN"], network=b"nowhere"))
    with connect(cluster[0]) as sock:
        for _ in range(3):
            with contextlib.suppress(BrokenPipeError):
                sock.send(request(cluster[0], op=layout()["CHECK"], network=b"web", container=b"x", ifname=b"eth0"))
    goes_on(cluster)


def cpu(node):
    with open(f"/proc/{node.process.pid}/stat", encoding="ascii") as file:
        return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def test_five_thousand_connections(cluster):
    """They wait; the agent keeps its lease and its watches meanwhile, and does not spin."""
    node, held = cluster[0], []
    mark = len(node.log())
    try:
        for _ in range(5000):
            try:
                sock = connect(node)
            except (OSError, BlockingIOError):
                break
            held.append(sock)
        print(f"{len(held)} connections")
        began, used = time.monotonic(), cpu(node)
        Fence.pass_(cluster)
        cluster.wait(lambda: time.monotonic() - began > 1)
        assert cpu(node) - used < 0.5
        cluster.etcd.kill("m1")         # connections to etcd that are made now find a descriptor too
        cluster.etcd.start("m1")
        Fence.pass_(cluster)
    finally:
        for sock in held:
            sock.close()
    assert len(held) > 1000
    assert "no sign" not in node.log()[mark:] and "lease was lost" not in node.log()[mark:]
    goes_on(cluster)


# ---- configuration files ----

GOOD = {"endpoints": ["http://192.0.2.101:2379"], "node": "tried"}
FILES = [
    (None, "no such file"), ("", "object"), ("{", "object"), ("[]", "object"), ('{"endpoints": ["http://a:1"]', "object"), ("{}", "endpoints"),
    ('{"node": "a", "node": "b"}', "duplicate"),
    *[({"endpoints": value}, "endpoint") for value in ([], {}, "http://192.0.2.101:2379", [1], ["ftp://x"], ["192.0.2.1:2379"],
                                                        ["http://"], ["http://h:99999"], ["http://192.0.2.101:2379"] * 17)],
    *[({"cluster": value}, "cluster") for value in (7, "", "a/b", "x" * 64, "a\nb")],
    *[({"node": value}, "node") for value in (7, "", "a/b", "x" * 65, "a b", "../a")],
    *[({"local": value}, "local") for value in (7, "192.0.2.99", "none0", "999.1.1.1")],
    *[({"leaseSeconds": value}, "leaseSeconds") for value in ("15", 0, 1, 3601, -1, 2.5)],
    *[({"holdDownSeconds": value}, "holdDownSeconds") for value in ("15", -1, 10 ** 9)],
    *[({"pools": value}, "pools") for value in ("10.0.0.0/8", [7], [{}], [{"subnet": "10.0.0.1/8", "size": 24}],
                                                [{"subnet": "10.0.0.0/8", "size": 7}], [{"subnet": "10.0.0.0/8", "size": 31}],
                                                [{"subnet": "10.0.0.0/8"}], [{"subnet": 5, "size": 24}],
                                                [{"subnet": "10.0.0.0/8", "size": 24}] * 9)],
    *[({key: 7}, key) for key in ("caFile", "certFile", "keyFile", "user", "password", "passwordFile")],
    ({"caFile": "/nowhere"}, "/nowhere"), ({"certFile": "/nowhere"}, "keyFile"), ({"keyFile": "/nowhere"}, "certFile"),
    ({"user": "agent"}, "password"), ({"password": "hunter2"}, "user"), ({"user": "a", "password": "hunter2", "passwordFile": "/x"}, "password"),
    ({"user": "a", "passwordFile": "/nowhere"}, "/nowhere"), ({"endpoint": []}, "endpoint"), ({"Node": "x"}, "Node"),
]


@pytest.fixture(scope="module")
def spare(cluster):
    """Node 1, whose agent goes on; files are tried in a state directory of their own."""
    return cluster[1]


@pytest.mark.parametrize("content, word", FILES, ids=[f"{n}-{word}" for n, (_, word) in enumerate(FILES)])
def test_file(spare, content, word):
    """A sentence that names the file and the key; exit status 1; nothing was begun."""
    path = "/run/tried.json"
    if content is None:
        spare.lab.run(["rm", "-f", path])
    else:
        spare.lab.write(path, content if isinstance(content, str) else json.dumps({**GOOD, **content}))
    spare.lab.run(["mkdir", "-p", "/run/tried"])
    done = spare.lab.run([libexec("fairlead-overlayd"), "--config", path, "--state", "/run/tried"], check=False, timeout=10,
                         env={"PATH": "/usr/bin:/bin", **_sanitizer_options()})
    assert done.returncode == 1, done
    said = done.stderr.strip()
    assert path in said and word in said and "\n" not in said and said.isprintable(), said
    assert "hunter2" not in said and not done.stdout
