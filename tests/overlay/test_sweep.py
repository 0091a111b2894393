# SPDX-License-Identifier: GPL-2.0-or-later
"""What a dead node left is given back by another one: however much it is, and but for what that one does not understand."""
import contextlib
import json
import time

import pytest

from support import overlays
from support.cluster import Cluster
from support.cni import sanitized
from support.netctl import FAILED, NOT_FOUND
from support.nodes import vtep
from support.relay import Relay

SHORT = {"leaseSeconds": 2, "holdDownSeconds": 3}
DEAD = {"v": 1, "vtep4": vtep(98), "mtu": 1500, "port": 4789, "bootId": "c6f0a5e4-0000-4000-8000-000000000009", "epoch": 1}


@pytest.fixture(scope="module")
def cluster():
    with Cluster(nodes=1, config=SHORT) as cluster:
        yield cluster


def network(cluster, name, vni, third, length=16):
    """Its mode is what the name begins with."""
    key = f"{vni:032x}"
    record = {"v": 1, "name": name, "mode": name[:2], "vni": vni, "subnets": [{"subnet": f"10.{third}.0.0/{length}", "gateway": f"10.{third}.0.1"}]}
    write(cluster, {f"net/{key}": record, f"vni/{vni}": {"v": 1, "net": key}, f"netname/{name}": {"v": 1, "net": key}})
    return key


def write(cluster, records, at_once=100):
    """Records, or texts that are none."""
    keys = list(records)
    for at in range(0, len(keys), at_once):
        cluster.etcd.ctl_txn([f"put {cluster.prefix}{key} {json.dumps(text(records[key]))}" for key in keys[at:at + at_once]])


def text(record):
    return record if isinstance(record, str) else json.dumps(record)


def endpoints(net, third, n, node="node9"):
    found = {}
    for i in range(n):
        address = f"10.{third}.{1 + i // 250 % 2}.{1 + i % 250}"   # several may say that they have it
        found[f"ep/{net}/{i:032x}"] = {"v": 1, "node": node, "epoch": 1, "container": f"x{i}", "ifname": "eth0", "ip4": address,
                                       "mac": f"02:09:00:00:{i >> 8:02x}:{i & 255:02x}", "created": 1}
        found.setdefault(f"ip/{net}/{address}",  {"v": 1, "use": "endpoint", "node": node, "id": f"{i:032x}"})
    return found


def die(cluster, name="node9"):
    write(cluster, {f"node/{name}": DEAD})


def gone(cluster, name="node9", seconds=60):
    cluster.wait(lambda: f"node/{name}" not in cluster.keys("node/"), seconds, "the end of its record")


def alive(cluster):
    [found] = json.loads(cluster.etcd.ctl("get", "-w", "json", f"{cluster.prefix}alive/node1").stdout)["kvs"]
    return found["create_revision"]


@pytest.mark.parametrize("mode, length, n", [("l2", 22, 5000), ("l3", 16, 1000)])
def test_of_thousands(cluster, mode, length, n):
    """Who gives them back keeps its own lease meanwhile. In a small subnet each has a transaction of its own."""
    third = length
    net = network(cluster, f"{mode}-many", third, third, length)
    write(cluster, endpoints(net, third, n))
    before = alive(cluster)
    die(cluster)
    gone(cluster)
    assert not cluster.keys(f"ep/{net}/")
    if not sanitized():     # else it may lose its lease, and begin a second time
        assert alive(cluster) == before and "lease was lost" not in cluster[0].log()
        assert f"node9: {n} endpoints were given back" in cluster[0].log()


def lost(net, third, node):
    """Four endpoints of a node without record, in a subnet of 256."""
    records = {**endpoints(net, third, 4, node)}
    return json.loads(json.dumps(records).replace(f"10.{third}.1.", f"10.{third}.0.10"))


def test_a_record_that_somebody_deleted(cluster):
    """What names the node tells that it was one: the same as with the record, after the hold-down."""
    node, conf = cluster[0], overlays.config("joined", "10.250.0.0/24", vni=250)
    node.attach(conf, "here")
    net = next(key.split("/")[1] for key, value in cluster.records("net/").items() if value["name"] == "joined")
    write(cluster, {"node/lost": DEAD, **lost(net, 250, "lost")})
    cluster.etcd.ctl("del", f"{cluster.prefix}node/lost")
    cluster.wait(lambda: [row["record"] for row in node.netctl.json("node", "ls") if row["name"] == "lost"] == [False], what="word of it")
    assert node.netctl.json("node", "inspect", "node1")["record"]
    cluster.wait(lambda: "node lost: 4 endpoints were given back" in node.log(), what="the sweep")
    assert len(cluster.keys(f"ep/{net}/")) == 1
    assert not [key for key, value in cluster.records(f"ip/{net}/").items() if value.get("use") == "endpoint" and value["node"] == "lost"]
    cluster.wait(lambda: "lost" not in node.netctl("node", "ls").stdout, what="its end")
    node.cni.delete("overlay", conf, "here").expect()


def test_a_record_that_somebody_deleted_elsewhere(cluster):
    """In a network that no node is in any more: who knows its name may take it away."""
    net, node = network(cluster, "l2-unjoined", 251, 251, 24), cluster[0]
    write(cluster, lost(net, 251, "lost251"))
    assert "lost251" not in node.netctl("node", "ls").stdout
    node.netctl("node", "rm", "lost251").expect(0, "lost251")
    assert not cluster.keys(f"ep/{net}/")
    for name in ("lost251", "no/name"):
        node.netctl("node", "rm", name).expect(NOT_FOUND, f"{name}: no such node in the cluster")


@pytest.mark.parametrize("mode", ["l2", "l3"])
def test_nothing_but_addresses_of_a_lost_one(cluster, mode):
    """They are given back, and that is told."""
    third = 246 + (mode == "l3")
    net, name = network(cluster, f"{mode}-addresses", third, third, 16 if mode == "l3" else 24), f"gone-{mode}"
    record = {f"blk/{net}/10.{third}.3.0-26": {"v": 1, "node": name, "used": "0000000000000000", "next": 0}} if mode == "l3" else {
        f"ip/{net}/10.{third}.0.9": {"v": 1, "use": "endpoint", "node": name, "id": "x"}}
    write(cluster, record)
    cluster[0].netctl("node", "rm", name).expect(0, name)
    assert not [value for value in cluster.records().values() if value.get("node") == name and value.get("use") != "freed"]
    cluster[0].netctl("node", "rm", name).expect(NOT_FOUND, "no such node")


def test_nodes_of_a_later_version(cluster):
    """Their record is there, and tells nothing here: they are a later version's to sweep, and keep no others from it."""
    node, conf, names = cluster[0], overlays.config("beside", "10.248.0.0/24", vni=248), [f"later{n}" for n in range(6)]
    node.attach(conf, "beside")
    net = next(key.split("/")[1] for key, value in cluster.records("net/").items() if value["name"] == "beside")
    try:
        for n, name in enumerate(names):
            write(cluster, {f"node/{name}": {"v": 2, "new": True}, f"ep/{net}/{n:032x}": {
                **endpoints(net, 248, 1, name)[f"ep/{net}/{0:032x}"], "ip4": next(cluster.unused("10.248.0.0/24")), "mac": f"02:48:00:00:00:0{n}"}})
        cluster.wait(lambda: all(row["record"] for row in node.netctl.json("node", "ls") if row["name"] in names)
                     and set(names) < {row["name"] for row in node.netctl.json("node", "ls")}, what="word of them")
        die(cluster, "beside9")
        gone(cluster, "beside9", 20)
        node.netctl("node", "rm", names[0]).expect(FAILED, "later version")
        assert len(cluster.keys("node/later")) == len(names)
        assert len(cluster.keys(f"ep/{net}/")) == 1 + len(names)
    finally:
        for prefix in ("node/later", f"ep/{net}/0"):
            cluster.etcd.ctl("del", "--prefix", cluster.prefix + prefix)
        node.cni.delete("overlay", conf, "beside").expect()


LATER = {"v": 2, "name": "later", "what": "a later version's"}
KEEPS = {
    "endpoint in a network of a later version": ("net", "ep", {"v": 1, "node": "NODE", "ip4": "10.9.0.9", "mac": "02:09:00:00:00:99"}),
    "address in a network that is no JSON": ("text", "ip", {"v": 1, "use": "endpoint", "node": "NODE", "id": "x"}),
    "part in a network of a later version": ("net", "join", {"v": 1, "epoch": 1}),
    "endpoint of a later version": (None, "ep", {"v": 2, "node": "NODE", "new": True}),
    "part of a later version": (None, "join", {"v": 2}),
}


@pytest.mark.parametrize("what", KEEPS)
def test_what_is_not_understood(cluster, what):
    """It stays, and the node's record with it; all else is given back. When it is gone, so is the record."""
    kind, prefix, record = KEEPS[what]
    number = 40 + list(KEEPS).index(what)
    node, net = f"dead{number}", network(cluster, f"l2-{number}", number, number)
    strange = f"{number:x}" * 16 if kind else net
    name = {"ep": f"{number:032x}", "ip": "10.9.0.9", "join": node}[prefix]
    key = f"{prefix}/{strange}/{name}"
    if kind:
        write(cluster, {f"net/{strange}": LATER if kind == "net" else "no JSON at all"})
    # Another node's there is no reason.
    write(cluster, {**endpoints(net, number, 3, node), key: json.loads(json.dumps(record).replace("NODE", node)),
                    f"ep/{strange}/{'f' * 32}": {"v": 2, "node": "node1", "sees": node}})
    die(cluster, node)
    cluster.wait(lambda: "its record stays" in told(cluster, node), 20, "what is said")
    keys = cluster.keys()
    assert key in keys and f"node/{node}" in keys
    assert not [k for k in keys if k.startswith(f"ep/{net}/{'0' * 20}") and k != key]
    assert key in told(cluster, node)
    refused = cluster[0].netctl("node", "rm", node)
    assert not refused.ok and "its record stays" in refused.stderr
    assert told(cluster, node).count("its record stays") == 1
    shown = {row["name"]: row["kept"] for row in cluster[0].netctl.json("node", "ls")}
    assert shown == {"node1": None, node: cluster.prefix + key} and cluster[0].netctl.json("node", "inspect", node)["kept"] == cluster.prefix + key
    assert cluster.prefix + key in cluster[0].netctl("node", "inspect", node).expect().stdout
    assert "KEPT FOR" in cluster[0].netctl("node", "ls").expect().stdout
    [finding] = [row for row in cluster[0].netctl("doctor", "--json").json["findings"] if row["object"] == f"node {node}"]
    assert finding["code"] == "overlay-node-kept" and cluster.prefix + key in finding["text"]
    assert f"etcdctl del {cluster.prefix}{key}" in finding["remedy"]
    cluster.etcd.ctl("del", f"{cluster.prefix}{key}")
    cluster[0].netctl("node", "rm", node).expect()
    assert f"node/{node}" not in cluster.keys("node/")
    assert "KEPT FOR" not in cluster[0].netctl("node", "ls").expect().stdout


def test_a_key_of_any_bytes(cluster):
    """It is shown, as what can do no harm."""
    write(cluster, {f"net/{'6' * 32}": LATER})
    key = f"{cluster.prefix}ep/{'6' * 32}/"
    cluster.etcd.ctl("put", f"{key}a\x1b[31m \xe4", json.dumps({"v": 1, "node": "dead60"}))
    die(cluster, "dead60")
    cluster.wait(lambda: [row for row in cluster[0].netctl.json("node", "ls") if row["kept"] == f"{key}a?[31m???"], 20, "the key")
    cluster.etcd.ctl("del", "--prefix", key)
    cluster[0].netctl("node", "rm", "dead60").expect()


def told(cluster, node):
    return "\n".join(line for line in cluster[0].log().splitlines() if f"node {node} " in line)


@contextlib.contextmanager
def relayed(cluster):
    """The agent's requests go through a relay."""
    node = cluster[0]
    direct = node.config["endpoints"]
    node.stop()
    with Relay(node.lab, direct[0]) as relay:
        node.configure(endpoints=[relay.url], local=vtep(0))
        try:
            yield relay
        finally:
            node.stop()
            node.configure(endpoints=direct, local=None)
            node.start()


def test_the_network_is_removed_meanwhile(cluster):
    """While what the node has in it is being read: the rest is swept all the same."""
    node, net = cluster[0], network(cluster, "l2-removed", 90, 90, 24)
    with relayed(cluster) as relay:
        relay.hold(f"/ep/{net}/")
        node.start()
        die(cluster)
        relay.wait("range", f"/join/{net}/")
        cluster.etcd.ctl_txn([f"del {cluster.prefix}{key}" for key in (f"net/{net}", "vni/90", "netname/l2-removed")])
        cluster.wait(lambda: "l2-removed was removed" in node.log(), what="the network's end")
        gone(cluster, seconds=20)


def test_dead_twice(cluster):
    """The hold-down begins anew with each death, also when a node's life was told of when it was over."""
    node = cluster[0]
    mark = len(node.log())
    die(cluster)
    cluster.wait(lambda: "node9" in node.netctl("node", "ls").expect().stdout)
    began = time.monotonic()
    node.pause()
    cluster.etcd.kill("m1")     # what was missed comes at once when a watch goes on
    cluster.etcd.start("m1")
    write(cluster, {"alive/node9": {"v": 1, "epoch": 1}})
    cluster.wait(lambda: time.monotonic() - began > SHORT["holdDownSeconds"] - 1)
    cluster.etcd.ctl("del", f"{cluster.prefix}alive/node9")
    died = time.monotonic()
    node.resume()
    gone(cluster)
    assert time.monotonic() - died > SHORT["holdDownSeconds"], node.log()[mark:]


def test_an_address_of_a_living_one(cluster):
    """Who is dead said that it had it, as an endpoint's and as its own: it stays the container's."""
    node, conf = cluster[0], overlays.config("l2-kept", "10.94.0.0/16")
    net = network(cluster, "l2-kept", 94, 94)
    address = overlays.add(node, conf, "k1").expect().address
    write(cluster, {f"ep/{net}/{'e' * 32}": {"v": 1, "node": "node9", "epoch": 1, "container": "x", "ifname": "eth0", "ip4": address,
                                             "mac": "02:09:00:00:00:01", "created": 1},
                    f"join/{net}/node9": {"v": 1, "epoch": 1, "ip4": address, "mac": "02:09:00:00:00:02"}})
    die(cluster)
    gone(cluster)
    overlays.add(node, conf, "k2", ips=[address]).refused(102, address)
    for container in ("k1", "k2"):
        overlays.delete(node, conf, container).expect()
