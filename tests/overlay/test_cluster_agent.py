# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent as a process: what it may do, what it keeps, who else is there, and how it leaves."""
import concurrent.futures
import json
import os
import signal

import pytest

from support import configs, overlays
from support.agent import layout
from support.cluster import Cluster
from support.cni import _sanitizer_options, libexec, sanitized
from support.nodes import vtep
from support.overlays import VNI, add, delete
from support.relay import Relay
from support.requests import connect, request, result
from support.truth import settled

WEB = overlays.config("web")
CAP_NET_ADMIN = 12
ANOTHER = 3         # exit status


@pytest.fixture(scope="module")
def small_quarantine():
    """What ASan keeps of freed memory (256 MiB) would be taken for growth."""
    with pytest.MonkeyPatch.context() as patch:
        if "ASAN_OPTIONS" in os.environ:
            patch.setenv("ASAN_OPTIONS", os.environ["ASAN_OPTIONS"] + ":quarantine_size_mb=4")
        yield


@pytest.fixture(scope="module")
def cluster(small_quarantine):
    with Cluster(2, 1, config={"leaseSeconds": 2, "holdDownSeconds": 600}) as cluster:
        for node in cluster:
            add(node, WEB, f"c{node.index}").expect()
        yield cluster


def status_of(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def test_one_capability(cluster):
    """NET_ADMIN: no set has another one."""
    status = status_of(cluster[0].process)
    for name in ("CapEff", "CapPrm"):
        assert int(status[name], 16) == 1 << CAP_NET_ADMIN, name
    for name in ("CapInh", "CapAmb"):
        assert int(status[name], 16) & ~(1 << CAP_NET_ADMIN) == 0, name


# ---- what it keeps ----

ROUNDS = 300
KEPT = 8        # connections to etcd that may be of use again


def resources(node):
    return int(status_of(node.process)["VmRSS"].split()[0]), len(os.listdir(f"/proc/{node.process.pid}/fd"))


def take_and_give(node, rounds):
    """As ADD and DEL ask for it; the devices are c0's network's."""
    tunnel = node.tunnels()[VNI]
    bridge = configs.link(node.lab, tunnel["master"])["ifindex"]
    for n in range(rounds):
        with connect(node) as sock:
            sock.send(request(node, op=layout()["JOIN"], network=b"web"))
            assert result(sock.recv(65536)) == 0
            sock.send(request(node, op=layout()["ALLOCATE"], network=b"web", container=b"k%d" % n, ifname=b"eth0", bridge=bridge,
                              tunnel=tunnel["ifindex"], mac=bytes.fromhex(f"02000001{n:04x}"), name=b"k%d" % n))
            assert result(sock.recv(65536)) == 0
            sock.send(request(node, op=layout()["RELEASE"], network=b"web", container=b"k%d" % n, ifname=b"eth0"))
            assert result(sock.recv(65536)) == 0


def test_nothing_grows(cluster):
    """Memory and descriptors of both agents, of the one that allocates and the one that follows, over 300 containers."""
    for _ in range(5):
        add(cluster[0], WEB, "brief").expect()
        delete(cluster[0], WEB, "brief").expect()
    take_and_give(cluster[0], ROUNDS // 3)
    before = [resources(node) for node in cluster]
    take_and_give(cluster[0], ROUNDS)
    for _ in range(5):
        add(cluster[0], WEB, "brief").expect()
        delete(cluster[0], WEB, "brief").expect()
    limit = 8192 if sanitized() else 512       # KiB
    for node, was in zip(cluster, before):
        now = resources(node)
        assert now[0] - was[0] < limit
        assert now[1] - was[1] <= KEPT


@pytest.mark.skipif(sanitized(), reason="this build looks itself")
def test_valgrind(cluster):
    """No error and no leak in a life with an ADD, a DEL, a record of another node, and an end."""
    node = cluster[0]
    node.stop()
    node.start(prefix=("valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite",
                       "--log-file=/run/valgrind.log", "--suppressions=/dev/null"))
    try:
        cluster.wait(lambda: "is in cluster" in node.log(), 20)
        add(node, WEB, "brief").expect()
        add(cluster[1], WEB, "brief").expect()
        delete(node, WEB, "brief").expect()
        delete(cluster[1], WEB, "brief").expect()
        node.netctl("node", "ls").expect()
        status = node.stop()
        assert status == 0 and "==" not in node.lab.read("/run/valgrind.log"), node.lab.read("/run/valgrind.log")[-4000:]
    finally:
        if node.process:
            node.stop()
        node.start()


# ---- who else is there ----

def start_other(node, *options, config=None):
    """Another agent's process on the node, and what it says."""
    path = "/run/other.json"
    node.lab.write(path, json.dumps({**node.config, **(config or {})}))
    log = node.lab.call(open, "/run/other.log", "wb")
    with log:
        return node.lab.start([libexec("fairlead-overlayd"), "--config", path, *options], stdout=log, stderr=log,
                              env={"PATH": "/usr/bin:/bin", **_sanitizer_options()})


def test_two_agents_of_one_state(cluster):
    node = cluster[0]
    other = start_other(node)
    assert other.wait(timeout=10) == ANOTHER
    said = node.lab.read("/run/other.log")
    assert "another fairlead-overlayd" in said and f"/run/fairlead/{node.lab.cookie()}" in said
    node.netctl("node", "ls").expect(0, "node1")
    # One that was killed leaves its socket and its lock's file, which are nobody's.
    node.kill()
    node.start()
    node.netctl("node", "ls").expect(0, "node1")


def test_asked_before_it_has_read(cluster):
    """It has just been started: whoever asks hears what it is about to read."""
    node = cluster[0]
    endpoints = node.config["endpoints"]
    node.kill()
    with Relay(node.lab, endpoints[0]) as relay, concurrent.futures.ThreadPoolExecutor(1) as beside:
        relay.hold("/node/")
        node.configure(endpoints=[relay.url], local=vtep(0))
        node.start()
        asked = beside.submit(node.netctl, "node", "ls")
        try:
            assert not concurrent.futures.wait([asked], 0.3).done
        finally:
            relay.release()
        outcome = asked.result()
        assert outcome.expect(0, "node1", "node2") and not outcome.stderr
        node.stop()
    node.configure(endpoints=endpoints, local=None)
    node.start()


def test_two_nodes_of_one_name(cluster):
    """The second one says whose the name is, gives nothing out, and is it when the first one is gone."""
    first, second = cluster
    second.stop()
    second.configure(node="node1")
    second.start()
    try:
        cluster.wait(lambda: "another node that is alive calls itself node1" in second.log(), 5)
        assert vtep(0) in second.log()
        add(second, WEB, "c9").refused(102, "node1", vtep(0), "node")
        record = cluster.records("node/")["node/node1"]
        assert record["vtep4"] == vtep(0)
        assert second.log().count("calls itself node1") == 1
        first.kill()
        cluster.wait(lambda: cluster.records("node/")["node/node1"]["vtep4"] == vtep(1), 10, "its record")
        cluster.wait(lambda: add(second, WEB, "c9").ok, 5, "an ADD")
        delete(second, WEB, "c9").expect()
        # The first one that comes back is the second one now.
        first.start()
        cluster.wait(lambda: "another node that is alive calls itself node1" in first.log(), 5)
    finally:
        second.stop()
        second.configure(node="node2")
        second.start()
        if not first.process:
            first.start()
    cluster.wait(lambda: cluster.records("node/").get("node/node1", {}).get("vtep4") == vtep(0), 10, "the former record")
    cluster.wait(lambda: cluster[1].leads_to(VNI, configs.addresses(first.lab, "eth0", "c0")[0].split("/")[0]) == vtep(0), 10)


# ---- the end ----

@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_end_leaves_all_as_it_is(cluster, how):
    node = cluster[0]
    settled(cluster)
    before = node.fdb(VNI), node.ports(VNI), node.neighbours(VNI)
    keys = set(cluster.keys("ep/") + cluster.keys("join/") + cluster.keys("node/"))
    assert node.stop(how) == 0
    assert (node.fdb(VNI), node.ports(VNI), node.neighbours(VNI)) == before
    assert set(cluster.keys("ep/") + cluster.keys("join/") + cluster.keys("node/")) == keys
    assert not node.lab.exists(f"/run/fairlead/{node.lab.cookie()}/overlay.sock")
    node.start()


def test_leave(cluster):
    """Not with containers; without them nothing in the store tells of the node, and the agent has ended."""
    node = cluster[1]
    node.netctl("node", "rm", node.name).expect(1, "web")
    assert f"node/{node.name}" in cluster.keys("node/")
    delete(node, WEB, "c1").expect()
    node.netctl("node", "rm", node.name).expect()
    assert node.process.wait(timeout=10) == 0
    assert not [key for key in cluster.keys() if node.name in key]
    assert not [value for value in cluster.records().values() if value.get("node") == node.name]
    assert not node.tunnels()
    cluster.wait(lambda: vtep(1) not in cluster[0].fdb(VNI).values(), 3, "the end of its entries")
    # It may come back.
    node.start()
    add(node, WEB, "c1").expect()
    cluster.wait(lambda: vtep(1) in cluster[0].fdb(VNI).values(), 3, "its entries")


# ---- another history ----

def revision(etcd):
    return json.loads(etcd.ctl("get", "none", "-w", "json").stdout)["header"]["revision"]


@pytest.mark.parametrize("how", ["cut", "pause"])
def test_a_backup_that_has_overtaken_what_was_seen(cluster, how):
    """Same members, same token, a higher revision: only what the store has tells that it is another one."""
    first, second = cluster
    etcd = cluster.etcd
    add(second, WEB, "old").expect()
    settled(cluster)
    etcd.snapshot()
    young = add(first, WEB, "young").expect().address
    delete(second, WEB, "old").expect()
    settled(cluster)
    was, restores = revision(etcd), [node.log().count("was restored") for node in cluster]
    for node in cluster:
        if how == "cut":
            cluster.cut(node.index, "etcd")
        else:
            node.pause()
    etcd.restore()
    while revision(etcd) < was + 50:
        etcd.ctl("put", "noise", "x")
    owners = {value["container"] for value in cluster.records("ep/").values()}
    assert "old" in owners and "young" not in owners
    for node in cluster:
        if how == "cut":
            cluster.heal(node.index)
        else:
            node.resume()
    cluster.wait(lambda: {value["container"] for value in cluster.records("ep/").values()} == {"c0", "c1", "young"}, 20, "the owners")
    settled(cluster)
    assert second.leads_to(VNI, young.split("/")[0]) == vtep(0)
    for node, before in zip(cluster, restores):
        cluster.wait(lambda node=node, before=before: node.log().count("was restored") == before + 1, 10, "the restore")
        assert "another history" in node.log()
    delete(first, WEB, "young").expect()
    delete(second, WEB, "old")
    settled(cluster)


def test_a_member_that_restarts_is_the_same_store(cluster):
    """What was read is compared, and nothing else comes of it."""
    settled(cluster)
    said = [node.log().count("another history") for node in cluster]
    for node in cluster:
        # Whichever hears of it first, a watch or a request.
        url = cluster.etcd.url("m1")
        lost = node.log().count(url)
        cluster.etcd.kill("m1")
        cluster.wait(lambda node=node, lost=lost, url=url: node.log().count(url) > lost, 10, "the interruption")
        cluster.etcd.start("m1")
    add(cluster[0], WEB, "after").expect()
    settled(cluster)
    delete(cluster[0], WEB, "after").expect()
    settled(cluster)
    assert [node.log().count("another history") for node in cluster] == said


@pytest.mark.skipif(sanitized(), reason="what is freed is not used again at once")
def test_networks_that_come_and_go(cluster):
    """A thousand that this node has nothing to do with: nothing of them stays in memory."""
    node = cluster[0]

    def come_and_go(n):
        for at in range(0, 1000, 100):
            cluster.etcd.ctl_txn([f"put {cluster.prefix}net/many{n}-{i} " + json.dumps(json.dumps({"v": 1, "name": f"many{n}-{i}", "vni": 70000 + i}))
                                  for i in range(at, at + 100)])
        cluster.etcd.ctl("del", "--prefix", f"{cluster.prefix}net/many{n}-")
        cluster.etcd.ctl("put", f"{cluster.prefix}net/none{n}", "{}")
        cluster.wait(lambda: f"net/none{n} is ignored" in node.log(), what="that it has heard")
        cluster.etcd.ctl("del", f"{cluster.prefix}net/none{n}")
        with open(f"/proc/{node.process.pid}/status", encoding="ascii") as file:
            return int(next(line.split()[1] for line in file if line.startswith("VmRSS")))
    before = [come_and_go(n) for n in range(3)][-1]
    assert come_and_go(3) - before < 3000
