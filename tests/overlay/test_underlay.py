# SPDX-License-Identifier: GPL-2.0-or-later
"""The node's own address on the underlay is another one, while containers run: a lease that was not renewed, a bridge over the interface."""
import time

import pytest

from support.cluster import Cluster
from support.nodes import vtep
from support.relay import Relay
from support.requests import connect
from support.streams import Streams

MODES = {"l2": 5, "l3": 6}
WHERE = {"route": {}, "interface": {"local": "up0"}}


def config(mode):
    return {"cniVersion": "1.1.0", "name": mode, "type": "overlay", "mode": "etcd", "overlayMode": mode,
            "subnets": [f"10.{MODES[mode]}.0.0/24"]}


class Pair:
    """Two nodes with a container on each network: streams between them."""

    def __init__(self, local):
        self.cluster = Cluster(nodes=2, config={"leaseSeconds": 6, **local})
        self.streams, self.flows, self.next = Streams(), {}, 50
        for mode in MODES:
            there = [(node.lab, mode, *node.attach(config(mode), mode)[0].addresses()) for node in self.cluster]
            self.flows[mode] = self.streams.between(*there)

    def close(self):
        self.streams.__exit__()
        self.cluster.close()

    @property
    def node(self):
        return self.cluster[0]

    @property
    def address(self):
        [record] = self.cluster.records("node/node1").values()
        return record["vtep4"]

    def another(self):
        self.next += 1
        return f"192.0.2.{self.next}"

    def ip(self, *words):
        self.node.lab.run(["ip", *words])

    def passes(self, seconds=10):
        """Each stream has got an answer to what it sends from now on."""
        for mode, flow in self.flows.items():
            sent = flow.report().echoed
            self.cluster.wait(lambda: flow.report().echoed > sent + 20, seconds, f"{mode}: answers")   # noqa: B023

    def sources(self):
        return {link["linkinfo"]["info_data"]["local"] for link in self.node.tunnels().values()}


@pytest.fixture(scope="module", params=WHERE)
def pair(request):
    pair = Pair(WHERE[request.param])
    try:
        pair.passes()
        yield pair
    finally:
        pair.close()


def test_another_address(pair):
    """What is established goes on; nobody takes the node for dead, and it has what it had."""
    before, node = pair.address, pair.node
    owned = {key: value for key, value in pair.cluster.records("ep/").items()}
    for pause in (0, 0.3):
        new = pair.another()
        pair.ip("addr", "del", f"{before}/24", "dev", "up0")
        time.sleep(pause)
        pair.ip("addr", "add", f"{new}/24", "dev", "up0")
        pair.cluster.wait(lambda: pair.address == new, what="the record")
        assert pair.sources() == {new}
        pair.passes()
        assert f"address is {new} now, and was {before}" in node.log()
        before = new
    assert {key: value["ip4"] for key, value in pair.cluster.records("ep/").items()} == {key: value["ip4"] for key, value in owned.items()}
    assert "node1 gives no sign of life" not in pair.cluster[1].log() and "another node" not in node.log()
    for mode in MODES:
        name = f"{mode}-late"
        node.attach(config(mode), name)
        node.cni.delete("overlay", config(mode), name).expect()
    assert pair.sources() == {before}


def test_the_route_comes_late(pair):
    """The kernel tells of the address, which leads nowhere yet; of the route it tells nobody who hears of addresses."""
    before, new = pair.address, pair.another()
    pair.ip("addr", "del", f"{before}/24", "dev", "up0")
    pair.ip("addr", "add", f"{new}/24", "dev", "up0", "noprefixroute")
    time.sleep(0.4)
    pair.ip("route", "add", "192.0.2.0/24", "dev", "up0", "src", new)
    pair.cluster.wait(lambda: pair.address == new, what="the record")
    pair.passes()
    pair.ip("route", "replace", "192.0.2.0/24", "dev", "up0", "src", new, "proto", "kernel")


def test_who_waits_for_an_answer_goes_on_waiting(pair):
    """Connections to etcd are made anew; those of plugins are not etcd's, though they have numbers that such ones had."""
    node, before, new = pair.node, pair.address, pair.another()
    pair.cluster.cut(0, "etcd")
    clients = []
    try:
        for _ in range(10):     # while connections to etcd come and go
            time.sleep(0.6)
            clients.append(connect(node))
    finally:
        pair.cluster.heal(0)
    pair.ip("addr", "del", f"{before}/24", "dev", "up0")
    pair.ip("addr", "add", f"{new}/24", "dev", "up0")
    pair.cluster.wait(lambda: pair.address == new, what="the record")
    for client in clients:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        client.close()
    pair.passes()


def test_another_interface_has_one(pair):
    """With a way to etcd, which is the worse one: a short while without the own address is no reason to take it."""
    before, node = pair.address, pair.node
    if not node.lab.exists("/sys/class/net/alt0"):
        for words in ("link add alt0 type bridge", "link set alt0 up", "addr add 198.51.100.7/24 dev alt0"):
            pair.ip(*words.split())
    pair.ip("route", "add", "192.0.2.0/24", "via", "198.51.100.1", "dev", "alt0", "metric", "500", "onlink")
    try:
        pair.ip("addr", "del", f"{before}/24", "dev", "up0")
        time.sleep(1.5)
        pair.ip("addr", "add", f"{before}/24", "dev", "up0")
        pair.passes()
        assert pair.address == before and pair.sources() == {before}
    finally:
        pair.ip("link", "del", "alt0")


def test_it_comes_back(pair):
    """None for a while: nothing is known, and nothing changed."""
    before, epochs = pair.address, pair.node.log().count("epoch")
    pair.ip("addr", "del", f"{before}/24", "dev", "up0")
    time.sleep(0.5)
    pair.ip("addr", "add", f"{before}/24", "dev", "up0")
    pair.passes()
    assert pair.address == before and pair.sources() == {before} and pair.node.log().count("epoch") == epochs


def test_started_with_another_address(pair):
    """The tunnels of the containers that run have it when it is ready; it waits for the end of its former lease."""
    before, new = pair.address, pair.another()
    pair.node.kill()
    pair.ip("addr", "del", f"{before}/24", "dev", "up0")
    pair.ip("addr", "add", f"{new}/24", "dev", "up0")
    pair.node.start()
    pair.cluster.wait(lambda: pair.address == new, 20, "the record")
    pair.passes()
    assert pair.sources() == {new}


@pytest.fixture
def named():
    with Cluster(nodes=1, start=False) as cluster:
        cluster[0].configure(local=vtep(0))
        cluster[0].start()
        cluster[0].attach(config("l2"), "c1")
        yield cluster


def test_an_address_that_was_named(named):
    """Somebody's will: no other one is taken. On another interface it is the same one, and that interface's MTU counts."""
    [node] = named
    node.lab.run(["ip", "addr", "del", f"{vtep(0)}/24", "dev", "up0"])
    node.lab.run(["ip", "addr", "add", "192.0.2.77/24", "dev", "up0"])
    time.sleep(0.5)
    node.lab.run(["ip", "addr", "del", "192.0.2.77/24", "dev", "up0"])
    for words in ("link add over0 type bridge", "link set up0 master over0", "link set over0 up", f"addr add {vtep(0)}/24 dev over0"):
        node.lab.run(["ip", *words.split()])
    node.lab.run(["ip", "link", "set", "over0", "mtu", "1400"])
    named.wait(lambda: "over0 has an MTU of 1400 now" in node.log(), what="word of the MTU")
    [record] = named.records("node/").values()
    assert record["vtep4"] == vtep(0) and "address is" not in node.log()


def test_another_address_while_it_enters():
    """The record with the former one was written, and nobody heard of that: it is still this node's own."""
    with Cluster(nodes=1, start=False) as cluster:
        [node] = cluster
        with Relay(node.lab, cluster.etcd.url("m1")) as relay:
            node.configure(endpoints=[relay.url], local="up0", leaseSeconds=30)
            relay.lose("/node/node1")
            node.start()
            assert relay.lost.wait(10)
            node.lab.run(["ip", "addr", "del", f"{vtep(0)}/24", "dev", "up0"])
            node.lab.run(["ip", "addr", "add", "192.0.2.77/24", "dev", "up0"])
            cluster.wait(lambda: "address is 192.0.2.77 now" in node.log(), what="word of it")
            relay.release()
            cluster.wait(lambda: cluster.records("node/")["node/node1"]["vtep4"] == "192.0.2.77", what="the record")
            assert "another node" not in node.log()
            node.stop()
