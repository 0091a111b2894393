# SPDX-License-Identifier: GPL-2.0-or-later
"""What could give one address to two containers, keep one for ever, or cut off a container: the store as nobody expects it."""
import concurrent.futures
import ipaddress
import itertools
import json
import subprocess
import time

import pytest

from support import configs
from support.cluster import Cluster
from support.cni import libexec
from support.nodes import vtep
from support.relay import Relay

SMALL = {"cniVersion": "1.1.0", "name": "web", "type": "overlay", "mode": "etcd", "subnets": ["10.5.0.0/24"]}
LARGE = {**SMALL, "name": "wide", "subnets": ["10.6.0.0/20"]}
ROUTED = {**LARGE, "name": "far", "overlayMode": "l3", "subnets": ["10.7.0.0/16"]}
HOLD_DOWN = 5
LINGER = 5.0    # a node's, in a network where it has no container any more
TRY = 4.3       # in which a request that was sent has to be answered


@pytest.fixture(scope="module")
def cluster():
    with Cluster(nodes=2, config={"leaseSeconds": 2, "holdDownSeconds": HOLD_DOWN}) as cluster:
        yield cluster


class Bench:
    def __init__(self, cluster):
        self.cluster, self.attached = cluster, []

    def netns(self, i, name):
        if not self.cluster[i].lab.exists(f"/run/netns/{name}"):
            self.cluster[i].lab.netns(name)

    def add(self, i, name, config=SMALL):
        self.netns(i, name)
        result = self.cluster[i].cni.add("overlay", config, name).expect()
        self.attached.append((i, name, config))
        return result

    def delete(self, i, name, config=SMALL):
        self.attached.remove((i, name, config))
        self.cluster[i].cni.delete("overlay", config, name).expect()

    def network(self, config=SMALL):
        return next(key.split("/")[1] for key, value in self.cluster.records("net/").items() if value["name"] == config["name"])

    def vni(self, config=SMALL):
        return self.cluster.records(f"net/{self.network(config)}")[f"net/{self.network(config)}"]["vni"]

    def key(self, name):
        """The endpoint's, or None."""
        return next((key for key, value in self.cluster.records("ep/").items() if value["container"] == name), None)

    def put(self, key, value):
        self.cluster.etcd.ctl("put", self.cluster.prefix + key, value if isinstance(value, str) else json.dumps(value))

    def put_all(self, records):
        items = list(records.items())
        for i in range(0, len(items), 100):
            self.cluster.etcd.ctl_txn([f"put {self.cluster.prefix}{key} {json.dumps(json.dumps(value))}" for key, value in items[i:i + 100]])

    def drop(self, key):
        self.cluster.etcd.ctl("del", self.cluster.prefix + key)

    def clean_up(self):
        for node in self.cluster:
            if not node.process:
                node.start()
        for i, name, config in reversed(self.attached):
            self.cluster[i].cni.delete("overlay", config, name).expect()


@pytest.fixture
def bench(cluster):
    bench = Bench(cluster)
    yield bench
    bench.clean_up()


def is_up(node, result):
    return "UP" in configs.link(node.lab, result.json["interfaces"][1]["name"])["flags"]


def test_second_agent_leaves_the_socket_of_the_first(bench, cluster):
    node = cluster[0]
    second = node.lab.run([libexec("fairlead-overlayd")], check=False)
    assert second.returncode and "another" in second.stderr
    bench.add(0, "c1")
    assert node.process.poll() is None and "ready" in node.log()


def test_what_was_freed_is_given_back_though_its_lease_was_revoked(bench, cluster):
    bench.add(0, "c1"), bench.add(0, "c2")
    bench.delete(0, "c1")
    leases = cluster.etcd.ctl("lease", "list").stdout.split()[3:]
    long = [lease for lease in leases if "granted with TTL(120s)" in cluster.etcd.ctl("lease", "timetolive", lease).stdout]
    assert long
    for lease in long:
        cluster.etcd.ctl("lease", "revoke", lease)
    bench.delete(0, "c2")
    assert not bench.key("c2")
    assert [r["use"] for r in cluster.records("ip/").values()].count("endpoint") == 0


def test_record_of_the_node_in_a_network_comes_again(bench, cluster):
    bench.add(0, "c1"), bench.add(1, "c2")
    join = f"join/{bench.network()}/node1"
    before = cluster.records(join)[join]
    bench.drop(join)
    cluster.wait(lambda: join in cluster.records(join), what="join/")
    after = cluster.records(join)[join]
    assert (after["mac"], after["ip4"]) == (before["mac"], before["ip4"])
    assert cluster.records(f"ip/{bench.network()}/{before['ip4']}")
    cluster.wait(lambda: cluster[1].leads_to(bench.vni(), before["ip4"]), what="the way there")
    bench.add(0, "c3")


def test_sign_of_life_that_somebody_deleted_comes_again(bench, cluster):
    bench.add(0, "c1")
    bench.drop("alive/node1")
    cluster.wait(lambda: cluster.keys("alive/node1"), HOLD_DOWN - 1, "alive/")


@pytest.mark.parametrize("config", [SMALL, LARGE], ids=["keys", "blocks"])
@pytest.mark.parametrize("how", ["paused", "killed"])
def test_node_that_was_away_comes_back_with_what_it_had(bench, cluster, config, how):
    results = [bench.add(0, f"c{i}", config) for i in range(3)]
    bench.add(1, "d1", config)
    join = f"join/{bench.network(config)}/node1"
    before = cluster.records(join)[join]
    cluster[0].pause() if how == "paused" else cluster[0].kill()
    cluster.wait(lambda: not cluster.keys(join) and not cluster.keys("node/node1"), 3 * HOLD_DOWN, "the sweep")
    cluster[0].resume() if how == "paused" else cluster[0].start()
    cluster.wait(lambda: cluster.keys(join) and all(bench.key(f"c{i}") for i in range(3)), what="what it had")
    after = cluster.records(join)[join]
    assert (after["mac"], after["ip4"]) == (before["mac"], before["ip4"])
    assert all(is_up(cluster[0], result) for result in results)
    assert "cut off" not in cluster[0].log()
    for result in results:
        cluster.wait(lambda: cluster[1].leads_to(bench.vni(config), str(result.address).split("/")[0]), what="the way there")
    bench.add(0, "c4", config)


@pytest.mark.parametrize("config", [SMALL, LARGE], ids=["keys", "blocks"])
def test_endpoint_without_its_record_is_not_cut_off(bench, cluster, config):
    """As between two watches, one of which has told of what a sweep did."""
    result = bench.add(0, "c1", config)
    bench.drop(bench.key("c1"))
    told = cluster[0].netctl("network", "inspect", config["name"])
    if config is SMALL:
        cluster.wait(lambda: bench.key("c1"), what="ep/")
    else:
        bench.add(0, "c2", config)
    assert is_up(cluster[0], result), told


def test_static_network_of_the_same_name_is_none_of_the_clusters(bench, cluster):
    bench.add(1, "c2")
    mine, both = itertools.islice(cluster.unused(), 2)
    bench.add(1, "c3", {**SMALL, "args": {"cni": {"ips": [both]}}})
    static = {"cniVersion": "1.1.0", "name": "web", "type": "overlay", "vni": 77, "local": "192.0.2.1", "peers": [],
              "nodeAddress": f"{mine}/24", "ipam": {"type": "static", "addresses": [{"address": f"{both}/24"}]}}
    result = bench.add(0, "s1", static)
    cluster[0].kill(), cluster[0].start()
    # The agent joins, and looks at what the node has of that name, before it answers.
    bench.netns(0, "c1")
    cluster[0].cni.add("overlay", SMALL, "c1").refused()
    assert is_up(cluster[0], result)
    assert not bench.key("s1")


def test_block_that_cannot_be_read_is_left_alone(bench, cluster):
    bench.add(0, "c1", LARGE)
    block = next(key for key, value in cluster.records(f"blk/{bench.network(LARGE)}/").items() if value.get("node") == "node1")
    good = cluster.records(block)[block]
    bench.put(block, "damaged")
    try:
        second = bench.add(0, "c2", LARGE)
        assert cluster.records(block)[block] == "damaged"
        assert second.address
        bench.delete(0, "c2", LARGE)
    finally:
        bench.put(block, good)


def test_giving_back_whose_answer_was_lost(bench, cluster):
    """The block is what the store has, and as old: the next one takes from it."""
    bench.add(0, "c1", LARGE), bench.add(0, "c2", LARGE)
    deaf = f"element bridge cut pairs {{ {cluster.etcd.address('m1')} . {vtep(0)} }}"
    cluster.outside.nft(f"add {deaf}")
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            gone = pool.submit(bench.delete, 0, "c1", LARGE)
            cluster.wait(lambda: not bench.key("c1"), what="the transaction")
            bench.put("net/other", "so that the store's revision is another than the transaction's")
            time.sleep(TRY)
            cluster.outside.nft(f"delete {deaf}")
            gone.result()
    finally:
        bench.drop("net/other")
    bench.add(0, "c3", LARGE)


def test_restored_store_with_older_records(bench, cluster):
    address = str(bench.add(0, "c1").address).split("/")[0]
    bench.add(1, "d1")
    key = bench.key("c1")
    cluster.etcd.snapshot()
    for _ in range(30):     # more than is written until the agents look at the restored one
        bench.put(key, cluster.records(key)[key])
    cluster.wait(lambda: cluster[1].leads_to(bench.vni(), address), what="the way there")
    cluster.etcd.restore()
    for node in cluster:
        cluster.wait(lambda: "was restored" in node.log(), 30, "the restored store")
    second = str(bench.add(0, "c2").address).split("/")[0]
    cluster.wait(lambda: cluster[1].leads_to(bench.vni(), second), what="the way to the new one")
    assert cluster[1].leads_to(bench.vni(), address)
    bench.delete(0, "c1")
    assert not bench.key("c1")


def test_node_that_sweeps_stays_in_the_network(bench, cluster):
    """Its own last endpoint there is long gone when it is in the middle of a dead node's."""
    bench.add(0, "c1", LARGE)
    network, many = bench.network(LARGE), 960
    bench.put("node/ghost", {"v": 1, "vtep4": "192.0.2.99", "mtu": 1500, "port": 4789, "epoch": 1})
    records = {f"blk/{network}/10.6.{8 + i // 4}.{i % 4 * 64}-26": {"v": 1, "node": "ghost", "used": "f" * 16, "next": 0} for i in range(many // 64)}
    for i in range(many):
        records[f"ep/{network}/ghost{i}"] = {"v": 1, "node": "ghost", "container": f"g{i}", "ifname": "eth0", "epoch": 1,
                                             "mac": f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}", "ip4": f"10.6.{8 + i // 256}.{i % 256}"}
    bench.put_all(records)

    def ghosts():
        return len(cluster.keys(f"ep/{network}/ghost"))
    cluster[1].kill()
    cluster.wait(lambda: not cluster.keys("node/node2"), 3 * HOLD_DOWN, "the sweep of the other one")
    bench.put_all(records)
    bench.put("node/ghost", {"v": 1, "vtep4": "192.0.2.99", "mtu": 1500, "port": 4789, "epoch": 2})
    bench.delete(0, "c1", LARGE)
    end = time.monotonic() + LINGER
    time.sleep(LINGER - 0.3)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        evicted = pool.submit(cluster[0].netctl, "node", "rm", "ghost")
        cluster.wait(lambda: ghosts() < many, what="the sweep")
        cluster.etcd.pause("m1")
        time.sleep(max(0, end + 0.2 - time.monotonic()))
        cluster.etcd.resume("m1")
        evicted.result()
    cluster.wait(lambda: not cluster.keys("node/ghost"), 20, "the end of the sweep")
    assert not ghosts() and cluster[0].process.poll() is None


def test_what_leaves_a_block_leaves_nothing(bench, cluster):
    bench.add(0, "c1", LARGE)
    network = bench.network(LARGE)

    def left():
        bench.delete(0, "c1", LARGE)
        cluster.wait(lambda: not cluster.keys(f"join/{network}/node1"), 3 * LINGER, "the end of its part")
        return sum(int(block.get("used", "0"), 16).bit_count() for block in cluster.records(f"blk/{network}/").values())
    before = left()
    bench.add(0, "c1", LARGE)
    assert left() == before


def test_address_that_nobody_has(bench, cluster):
    """A key of this node's without endpoint, in a small pool: into quarantine; another node's is that node's, or the sweeper's."""
    bench.add(0, "c1")
    network = bench.network()
    keys = {node: f"ip/{network}/{address}" for node, address in zip(("node1", "ghost"), cluster.unused())}
    cluster[0].kill()
    bench.put_all({key: {"v": 1, "use": "endpoint", "node": node, "id": "lost"} for node, key in keys.items()})
    try:
        cluster[0].start()
        cluster.wait(lambda: cluster.records(keys["node1"]).get(keys["node1"], {}).get("use") == "freed", what="its end")
        assert cluster.records(keys["ghost"])[keys["ghost"]]["use"] == "endpoint"
        assert bench.key("c1") and "1 addresses that nobody had were given back" in cluster[0].log()
    finally:
        for key in keys.values():
            bench.drop(key)


def test_bits_that_nobody_has(bench, cluster):
    """Given back, into quarantine, by the owner of the block; whose address is in a key, and whose may be in one, keeps it."""
    bench.add(0, "c1", LARGE), bench.add(1, "c2", LARGE)
    network, common = bench.network(LARGE), f"{cluster.prefix}blk/{bench.network(LARGE)}/"

    def blocks():
        return {key.rsplit("/", 1)[1]: value for key, value in cluster.records(f"blk/{network}/").items()}

    def used(key):
        return int(blocks().get(key, {}).get("used", "0"), 16)
    before = blocks()
    [own] = [key for key, value in before.items() if value.get("node") == "node1"]
    nobodys, others = [f"10.6.{n}.64-26" for n in range(16) if f"10.6.{n}.64-26" not in before][:2]
    first, bits = own.split("-")[0], 1 << 40 | 1 << 41
    unreadable, lent = f"ep/{network}/unreadable", f"ep/{network}/lent"
    address = str(ipaddress.ip_address(first) + 50)
    # Of a node that is seen by nobody, in this one's block.
    bench.put_all({lent: {"v": 1, "node": "ghost", "container": "lent", "ifname": "eth0", "epoch": 1, "mac": "02:00:00:00:00:50", "ip4": address}})
    taken = {key: {**before.get(key, {"v": 1, "next": 0}), "used": f"{int(before.get(key, {}).get('used', '0'), 16) | bits:016x}"}
             for key in (own, nobodys, others)}
    taken[others]["node"] = "ghost"
    cluster[0].kill()
    taken[own]["used"] = f"{int(taken[own]['used'], 16) | 1 << 50:016x}"
    bench.put(unreadable, "{")
    for key, value in taken.items():
        cluster.etcd.ctl("put", common + key, json.dumps(value))
    try:
        cluster[0].start()
        cluster.wait(lambda: "unreadable is ignored" in cluster[0].log(), what="what cannot be read")
        second = bench.add(0, "c3", LARGE)
        assert used(own) & bits == bits and used(nobodys) == bits
        cluster[0].kill()
        bench.drop(unreadable)
        cluster[0].start()
        cluster.wait(lambda: not (used(own) | used(nobodys)) & bits, what="the end of the bits")
        # Not the other's, nor what has an endpoint: two of its own, its bridge, and the one that is lent.
        assert used(others) == bits
        assert used(own).bit_count() == 4 and used(own) >> 50 & 1
        assert {40, 41} <= {r["n"] for r in blocks()[own]["released"] if abs(time.time() - r["at"]) < 60}, blocks()[own]
        assert "addresses that nobody had were given back" in cluster[0].log()
        assert second.address
    finally:
        for key in (lent, unreadable, f"blk/{network}/{others}"):
            bench.drop(key)


def test_sweep_takes_its_own_lock_again(bench, cluster):
    """Its deletion was lost: the node's lease keeps it for ever."""
    bench.add(1, "c2")
    bench.put("lock/sweep", "node1")
    cluster[1].kill()
    cluster.wait(lambda: not bench.key("c2"), 3 * HOLD_DOWN, "the sweep")
    cluster.wait(lambda: not cluster.keys("node/node2"), what="node/")
    assert not cluster.keys("lock/")


# ---- records of other nodes ----

@pytest.fixture
def stranger(bench, cluster):
    """Endpoints of a node that nobody has seen, on addresses x, y and z that nobody has."""
    bench.add(0, "c1"), bench.add(1, "c2")
    network = bench.network()
    x, y, z = itertools.islice(cluster.unused(), 3)

    def put(vtep="192.0.2.77", **ep):
        bench.put("node/stranger", {"v": 1, "vtep4": vtep, "mtu": 1500, "port": 4789, "epoch": 1})
        record = {"v": 1, "node": "stranger", "container": "x", "ifname": "eth0", "epoch": 1, "mac": "02:00:00:00:00:77",
                  "ip4": x, **ep}
        bench.put(f"ep/{network}/x", record)
        bench.put(f"ep/{network}/y", {**record, "container": "y", "mac": "02:00:00:00:00:78", "ip4": y})
        if vtep == "192.0.2.77":
            cluster.wait(lambda: cluster[0].leads_to(bench.vni(), y) == vtep, what="the other one")
        else:
            bench.put("node/stranger2", {"v": 1, "vtep4": "192.0.2.78", "mtu": 1500, "port": 4789, "epoch": 1})
            bench.put(f"ep/{network}/z", {**record, "node": "stranger2", "container": "z", "mac": "02:00:00:00:00:79", "ip4": z})
            cluster.wait(lambda: cluster[0].leads_to(bench.vni(), z), what="the other one")
        return x, z
    yield put
    for key in (f"ep/{network}/x", f"ep/{network}/y", f"ep/{network}/z", "node/stranger", "node/stranger2"):
        bench.drop(key)


def bridge_of(cluster, bench):
    return configs.link(cluster[0].lab, cluster[0].tunnels()[bench.vni()]["master"])


@pytest.mark.parametrize("whose", ["container", "node"])
def test_mac_of_this_node_leads_nowhere_else(bench, cluster, stranger, whose):
    record = cluster.records("ep/")[bench.key("c1")]
    mac = record["mac"] if whose == "container" else bridge_of(cluster, bench)["address"]
    stranger(mac=mac)
    assert mac not in cluster[0].fdb(bench.vni()) and mac not in cluster[0].ports(bench.vni())


@pytest.mark.parametrize("whose", ["container", "node", "gateway", "nobody"])
def test_address_of_this_node_is_nobody_elses(bench, cluster, stranger, whose):
    network = bench.network()
    record, join = cluster.records("ep/")[bench.key("c1")], cluster.records("join/")[f"join/{network}/node1"]
    address = {"container": record["ip4"], "node": join["ip4"], "gateway": "10.5.0.1", "nobody": "192.0.2.200"}[whose]
    stranger(ip4=address)
    assert cluster[0].neighbours(bench.vni()).get(address) == (record["mac"] if whose == "container" else None)


@pytest.mark.parametrize("vtep", ["192.0.2.1", "10.5.0.200"])
def test_vtep_that_cannot_be_one_is_not_sent_to(bench, cluster, stranger, vtep):
    x, _ = stranger(vtep=vtep)
    assert vtep not in cluster[0].fdb(bench.vni()).values()
    assert not cluster[0].neighbours(bench.vni()).get(x)


def test_node_without_address_gets_no_floods(bench, cluster, stranger):
    _, z = stranger()
    bench.put(f"join/{bench.network()}/stranger", {"v": 1, "epoch": 1})
    bench.put(f"ep/{bench.network()}/z", {"v": 1, "node": "stranger", "container": "z", "ifname": "eth0", "epoch": 1, "mac": "02:00:00:00:00:79",
                                          "ip4": z})
    try:
        cluster.wait(lambda: cluster[0].leads_to(bench.vni(), z), what="the other one")
        assert "00:00:00:00:00:00" not in cluster[0].fdb(bench.vni()) and "not supported" not in cluster[0].log()
    finally:
        bench.drop(f"join/{bench.network()}/stranger")


# ---- the order in which it hears of things ----

@pytest.mark.parametrize("config, prefixes", [(SMALL, ("ep/", "join/", "ip/")), (ROUTED, ("ep/", "join/", "blk/"))], ids=["l2", "l3"])
def test_nodes_that_are_heard_of_last(bench, cluster, config, prefixes):
    """What leads to them stays meanwhile: where they are is not known yet, and no reason to take it away."""
    host = cluster[0]
    result = [bench.add(i, "c1", config) for i in (0, 1)][0]
    net, vni = bench.network(config), bench.vni(config)
    cluster.wait(lambda: len(host.fdb(vni)) == len(cluster[1].fdb(vni)) and host.fdb(vni), what="the other node")
    host.kill()
    before = host.fdb(vni)
    [member] = endpoints = host.config["endpoints"]
    monitor = host.lab.start(["ip", "monitor", "route", "neigh"], stdout=subprocess.PIPE, text=True)
    with Relay(host.lab, member) as relay:
        relay.hold("/node/")
        host.configure(endpoints=[relay.url], local=vtep(0))
        host.start()
        for prefix in prefixes:
            relay.wait("watch", f"/{prefix}{net}/")
        relay.release()
        host.cni.check("overlay", configs.with_previous(config, result.json), "c1").expect()
        assert host.fdb(vni) == before
        host.lab.stop(monitor)
        assert not [line for line in monitor.stdout if line.startswith("Deleted") and ("PERMANENT" in line or "proto 102" in line)]
        host.stop()
    host.configure(endpoints=endpoints, local=None)
    host.start()
