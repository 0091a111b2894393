# SPDX-License-Identifier: GPL-2.0-or-later
"""What an agent asked for was done and it was not told, or it is told late: it knows what it has, all the same."""
import concurrent.futures
import json

import pytest

from support import configs, overlays
from support.agent import layout
from support.cluster import Cluster
from support.nodes import vtep
from support.overlays import VNI
from support.relay import Relay
from support.requests import connect, request, result
from support.truth import network, settled

WEB = overlays.config("web", "10.5.0.0/16")     # of blocks: what comes together is one transaction
WITHIN = 10


@pytest.fixture(scope="module")
def cluster():
    """One node, whose requests go through a relay, with the container c1."""
    with Cluster(nodes=1, config={"leaseSeconds": 30}, start=False) as cluster:
        node = cluster[0]
        with Relay(node.lab, node.config["endpoints"][0]) as relay:
            cluster.relay = relay
            node.configure(endpoints=[relay.url], local=vtep(0))
            node.start()
            overlays.add(node, WEB, "c1").expect()
            cluster.net, _ = network(cluster.records(), "web")
            yield cluster


@pytest.fixture(autouse=True)
def calm(cluster):
    yield
    cluster.relay.release()
    settled(cluster)


def stats(node):
    with connect(node) as sock:
        sock.send(request(node, op=layout()["SHOW"]))
        assert result(sock.recv(65536)) == 0
        text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    [agent] = [shown for shown in map(json.loads, text.splitlines()) if shown["kind"] == "agent"]
    return agent["stats"]


def of(cluster, container):
    """Its endpoint's key."""
    return next((key for key, record in cluster.records("ep/").items() if record["container"] == container), None)


def pairs(node):
    return len(node.lab.ip("link", "show", "type", "veth"))


def test_told_late_of_its_end(cluster):     # first: a watch that was interrupted is read again some time later
    """c1 went and came; that it went is told when it is back."""
    node, relay = cluster[0], cluster.relay
    fence = f"ep/{cluster.net}/none"
    cluster.etcd.ctl("put", cluster.prefix + fence, "{}")
    cluster.wait(lambda: f"{fence} is ignored" in node.log(), what="the watch")
    events = stats(node)["events"]
    relay.mute(f"/ep/{cluster.net}/")
    try:
        overlays.delete(node, WEB, "c1").expect()
        overlays.add(node, WEB, "c1").expect()
        address = configs.addresses(node.lab, "eth0", "c1")[0].split("/")[0]
        cluster.wait(lambda: stats(node)["events"] >= events + 2, what="the blocks' events")
        before, events = node.neighbours(VNI), stats(node)["events"]
        assert address in before
        relay.tell()
        cluster.wait(lambda: stats(node)["events"] > events, what="the endpoint's end")
        assert node.neighbours(VNI) == before
    finally:
        relay.release()
        cluster.etcd.ctl("del", cluster.prefix + fence)


def test_given_back_and_taken_at_once(cluster):
    """c1 goes and c3 comes by one transaction, whose answer is lost; c3 can go, however many wrote meanwhile."""
    node, relay = cluster[0], cluster.relay
    for container in ("c2", "c3"):
        node.lab.netns(container)
    [block] = cluster.keys("blk/")
    relay.hold(f"/{block}")
    with concurrent.futures.ThreadPoolExecutor(3) as beside:
        first = beside.submit(overlays.add, node, WEB, "c2")
        relay.wait_held()
        given = stats(node)["releases"]
        gone = beside.submit(overlays.delete, node, WEB, "c1")
        cluster.wait(lambda: stats(node)["releases"] > given, what="the DEL's request")
        there = pairs(node)
        second = beside.submit(overlays.add, node, WEB, "c3")
        cluster.wait(lambda: pairs(node) > there, what="the ADD's pair")    # made after it has asked
        stats(node)
        relay.lose(f"/{of(cluster, 'c1')}")
        relay.release()
        assert relay.lost.wait(WITHIN)
        assert of(cluster, "c3") and not of(cluster, "c1")
        cluster.etcd.ctl("put", "/elsewhere", "one more revision")
        relay.release()
        for done in (first, gone, second):
            done.result().expect()
    overlays.delete(node, WEB, "c3").expect()
    cluster.wait(lambda: not of(cluster, "c3"), WITHIN, "the end of c3")
    overlays.delete(node, WEB, "c2").expect()
    overlays.add(node, WEB, "c1").expect()


def test_its_own_record_is_not_written(cluster):
    """The bridge got another MAC while no agent was there; that the record says so is tried until it does."""
    node, relay = cluster[0], cluster.relay
    node.stop()
    node.lab.run(["ip", "link", "set", overlays.bridge_of(node), "address", "02:00:00:00:00:77"])
    relay.lose(f"/join/{cluster.net}/node1", done=False)
    node.start()
    assert relay.lost.wait(WITHIN)
    relay.release()
    key = f"join/{cluster.net}/node1"
    cluster.wait(lambda: cluster.records(key)[key]["mac"] == "02:00:00:00:00:77", WITHIN, "the record")
