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
