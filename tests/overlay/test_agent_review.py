# SPDX-License-Identifier: GPL-2.0-or-later
"""What could give one address to two containers, keep one for ever, or cut off a container: the store as nobody expects it."""
import concurrent.futures
import json
import time

import pytest

from support import configs
from support.cluster import Cluster
from support.cni import libexec
from support.nodes import vtep

SMALL = {"cniVersion": "1.1.0", "name": "web", "type": "overlay", "mode": "etcd", "subnets": ["10.5.0.0/24"]}
LARGE = {**SMALL, "name": "wide", "subnets": ["10.6.0.0/20"]}
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


# ---- records of other nodes ----

@pytest.fixture
def stranger(bench, cluster):
    """Endpoints of a node that nobody has seen."""
    bench.add(0, "c1"), bench.add(1, "c2")
    network = bench.network()

    def put(vtep="192.0.2.77", **ep):
        bench.put("node/stranger", {"v": 1, "vtep4": vtep, "mtu": 1500, "port": 4789, "epoch": 1})
        record = {"v": 1, "node": "stranger", "container": "x", "ifname": "eth0", "epoch": 1, "mac": "02:00:00:00:00:77",
                  "ip4": "10.5.0.77", **ep}
        bench.put(f"ep/{network}/x", record)
        bench.put(f"ep/{network}/y", {**record, "container": "y", "mac": "02:00:00:00:00:78", "ip4": "10.5.0.78"})
        if vtep == "192.0.2.77":
            cluster.wait(lambda: cluster[0].leads_to(bench.vni(), "10.5.0.78") == vtep, what="the other one")
        else:
            bench.put("node/stranger2", {"v": 1, "vtep4": "192.0.2.78", "mtu": 1500, "port": 4789, "epoch": 1})
            bench.put(f"ep/{network}/z", {**record, "node": "stranger2", "container": "z", "mac": "02:00:00:00:00:79", "ip4": "10.5.0.79"})
            cluster.wait(lambda: cluster[0].leads_to(bench.vni(), "10.5.0.79"), what="the other one")
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
    stranger(vtep=vtep)
    assert vtep not in cluster[0].fdb(bench.vni()).values()
    assert not cluster[0].neighbours(bench.vni()).get("10.5.0.77")


def test_node_without_address_gets_no_floods(bench, cluster, stranger):
    stranger()
    bench.put(f"join/{bench.network()}/stranger", {"v": 1, "epoch": 1})
    bench.put(f"ep/{bench.network()}/z", {"v": 1, "node": "stranger", "container": "z", "ifname": "eth0", "epoch": 1, "mac": "02:00:00:00:00:79",
                                          "ip4": "10.5.0.79"})
    try:
        cluster.wait(lambda: cluster[0].leads_to(bench.vni(), "10.5.0.79"), what="the other one")
        assert "00:00:00:00:00:00" not in cluster[0].fdb(bench.vni()) and "not supported" not in cluster[0].log()
    finally:
        bench.drop(f"join/{bench.network()}/stranger")
