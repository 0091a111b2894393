# SPDX-License-Identifier: GPL-2.0-or-later
"""The store, an agent, a node, or several of them fail, while traffic flows between containers of two nodes.

What is established goes on, what is said is true, and when all is well again nothing is stale.
"""
import concurrent.futures
import json

import pytest

from support import dns, failures, snapshot
from support.cni import libexec
from support.failures import Bench, Watcher
from support.truth import differences, settled

TRY_AGAIN, CHECK = 11, 104
LEASE, HOLD_DOWN = 2, 3


# Where allocator or data plane have a part in a row, it is gone through for each shape of a network.
each_shape = pytest.mark.parametrize("shape", failures.SHAPES, scope="module")
one_shape = pytest.mark.parametrize("shape", ["keys"], scope="module")


@pytest.fixture(scope="module")
def patient(shape):
    """Nobody is taken for dead here; three members, where their election counts."""
    with Bench(members=3 if shape == "keys" else 1, lease=LEASE, hold_down=600, shape=shape) as bench:
        yield bench


@pytest.fixture(scope="module")
def hasty(shape):
    with Bench(members=1, lease=LEASE, hold_down=HOLD_DOWN, shape=shape) as bench:
        yield bench


@pytest.fixture
def calm(patient):
    settled(patient.cluster)
    yield patient
    patient.mend()


@pytest.fixture
def quick(hasty):
    settled(hasty.cluster)
    yield hasty
    hasty.mend()


def unharmed(flow):
    report = flow.stop()
    print(report)
    assert report.sent > 100 and report.echoed > 0
    assert (report.lost, report.retransmitted) == (0, 0), report


def starts_of(node):
    return node.log().count(" is in cluster ")


# ---- the store ----

@one_shape
def test_store_down(calm):
    """Packets and names go on; DEL is queued; ADD is refused and leaves nothing; nobody loses its lease."""
    cluster = calm.cluster
    calm.add(1, "gone")
    settled(cluster)
    lives = [starts_of(node) for node in cluster]
    flow = calm.flow(0, 1)
    calm.fresh(0, "late")
    before = snapshot.take(cluster[0].lab, ["late"])
    for name in list(cluster.etcd.names):
        cluster.etcd.kill(name)
    with failures.within(10):
        calm.add(0, "late").refused(TRY_AGAIN, "etcd")
    assert not snapshot.diff(before, snapshot.take(cluster[0].lab, ["late"]))
    with failures.within(5):
        calm.delete(1, "gone").expect()
    for i in range(3):
        assert dns.lookup(cluster[i].lab, f"c{i}", f"w{(i + 1) % 3}") == [calm.address((i + 1) % 3)]
    calm.let_pass(flow, LEASE + 1)
    for name in cluster.etcd.names:
        cluster.etcd.start(name, wait=False)
    cluster.etcd.wait_healthy()
    calm.wait_given_back("gone")
    settled(cluster)
    assert [starts_of(node) for node in cluster] == lives
    assert not any("no sign of life" in node.log() for node in cluster)
    unharmed(flow)
    calm.add(0, "late").expect()
    calm.delete(0, "late").expect()


@one_shape
def test_leader_killed(calm):
    """ADDs and DELs during the election succeed, or fail with a sentence; nothing is there twice, nothing stays."""
    cluster = calm.cluster
    flow = calm.flow(0, 1)
    leader = cluster.etcd.leader()
    names = [(i, f"e{i}{n}") for i in range(3) for n in range(4)]
    for i, name in names:
        calm.fresh(i, name)
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        first = [pool.submit(calm.add, i, name) for i, name in names[::2]]
        cluster.etcd.kill(leader)
        second = [pool.submit(calm.add, i, name) for i, name in names[1::2]]
    outcomes = dict(zip(names[::2] + names[1::2], [future.result() for future in first + second]))
    added = {name: outcome.address for (_, name), outcome in outcomes.items() if outcome.ok}
    print(f"{len(added)} of {len(names)} added")
    for outcome in outcomes.values():
        if not outcome.ok:
            outcome.refused(TRY_AGAIN)
    assert len(set(added.values())) == len(added)
    settled(cluster)
    assert {ip: name for ip, name in calm.owners().items() if name.startswith("e")} == {ip: name for name, ip in added.items()}
    cluster.etcd.start(leader)
    for i, name in names:
        calm.delete(i, name).expect()
    settled(cluster)
    assert not [name for name in calm.owners().values() if name.startswith("e")]
    unharmed(flow)


# ---- an agent ----

@each_shape
def test_agent_killed(calm):
    """Others forget its names, not its entries. The next one adopts: it touches nothing that is as it should be."""
    cluster, node = calm.cluster, calm.cluster[1]
    flow = calm.flow(0, 1)
    kernels = [calm.kernel(i) for i in range(3)]
    with Watcher(calm.cluster[0], calm.vni) as other, Watcher(node, calm.vni) as own:
        node.kill()
        for i in (0, 2):
            cluster.wait(lambda i=i: not dns.knows(cluster[i].lab, f"c{i}", "w1"), what="the end of the name")
        assert dns.lookup(node.lab, "c1", "w0") == [calm.address(0)]
        assert not differences(cluster, nodes=[0, 2])
        node.start()
        settled(cluster)
        assert (own.events(), other.events()) == ([], [])
    for i in (0, 2):
        assert dns.lookup(cluster[i].lab, f"c{i}", "w1") == [calm.address(1)]
    assert [calm.kernel(i) for i in range(3)] == kernels
    unharmed(flow)


@each_shape
def test_agent_and_store_down_together(calm):
    """Whatever comes back first."""
    cluster, node = calm.cluster, calm.cluster[1]
    calm.add(1, "gone")
    settled(cluster)
    flow = calm.flow(0, 1)
    for name in list(cluster.etcd.names):
        cluster.etcd.kill(name)
    node.kill()
    with failures.within(5):
        calm.delete(1, "gone").expect()
    node.start()
    assert dns.lookup(node.lab, "c1", "w0") == [calm.address(0)]
    with failures.within(10):
        calm.add(1, "late").refused(TRY_AGAIN, "etcd")
    for name in cluster.etcd.names:
        cluster.etcd.start(name, wait=False)
    cluster.etcd.wait_healthy()
    calm.wait_given_back("gone")
    settled(cluster)
    calm.add(1, "late").expect()
    calm.delete(1, "late").expect()
    unharmed(flow)


@one_shape
def test_node_cut_off_from_the_store(calm):
    """It is suspect: names go, packets do not, and nobody gets its addresses. Heard again, it is back at once."""
    cluster = calm.cluster
    flow = calm.flow(0, 1)
    owners = calm.owners()
    with Watcher(cluster[0], calm.vni) as other, Watcher(cluster[1], calm.vni) as own:
        cluster.cut(1, "etcd")
        for i in (0, 2):
            cluster.wait(lambda i=i: not dns.knows(cluster[i].lab, f"c{i}", "w1"), what="the end of the name")
        with failures.within(10):
            calm.add(1, "late").refused(TRY_AGAIN, "etcd")
        assert calm.owners() == owners
        assert not differences(cluster, nodes=[0, 2])
        assert dns.lookup(cluster[1].lab, "c1", "w0") == [calm.address(0)]
        cluster.heal(1)
        settled(cluster)
        # The ADD that was refused had made its pair.
        assert ([line for line in own.events() if "veth" not in line], other.events()) == ([], [])
    for i in (0, 2):
        assert dns.lookup(cluster[i].lab, f"c{i}", "w1") == [calm.address(1)]
    assert calm.owners() == owners
    unharmed(flow)


# ---- the watch ----

@each_shape
def test_watch_gap(calm):
    """What happened meanwhile cannot be told any more: all is read again."""
    cluster = calm.cluster
    calm.add(0, "gone")
    settled(cluster)
    flow = calm.flow(0, 1)
    cluster.cut(1, "etcd")
    for name in list(cluster.etcd.names):       # its streams die with them
        cluster.etcd.kill(name)
        cluster.etcd.start(name)
    calm.delete(0, "gone").expect()
    added = calm.add(2, "new").expect().address
    calm.compact()
    cluster.heal(1)
    settled(cluster)
    assert "too old to go on from" in cluster[1].log()
    assert dns.lookup(cluster[1].lab, "c1", "new") == [added]
    unharmed(flow)
    calm.delete(2, "new").expect()


@one_shape
def test_agent_that_slept(calm):
    """Stopped for longer than its lease lives, while others came and went."""
    cluster = calm.cluster
    calm.add(0, "gone")
    settled(cluster)
    flow = calm.flow(0, 1)
    entered = starts_of(cluster[1])
    cluster[1].pause()
    cluster.wait(lambda: not dns.knows(cluster[0].lab, "c0", "w1"), what="the end of the name")
    calm.delete(0, "gone").expect()
    calm.add(2, "new").expect()
    calm.compact()
    cluster[1].resume()
    settled(cluster)
    # Whichever it heard first: that the lease is over, or that the sign of life is gone with it.
    assert starts_of(cluster[1]) > entered
    unharmed(flow)
    calm.delete(2, "new").expect()


# ---- a node that dies ----

@each_shape
def test_swept_and_back(quick):
    """One of the others gives back what it had, and nothing else. Back again, it claims the same."""
    cluster = quick.cluster
    flow = quick.flow(0, 1)
    address, own = quick.address(2), quick.own(2)
    old = cluster.records()
    logs = [len(node.log()) for node in cluster]
    with Watcher(cluster[0], quick.vni) as other:
        cluster[2].kill()
        quick.wait_swept(2)
        settled(cluster)
        mine = quick.identities(old, 2)
        assert not [line for line in other.events() if not mine & set(line.split())]
    sweepers = [i for i in (0, 1) if "node node3: 1 endpoints were given back" in cluster[i].log()[logs[i]:]]
    assert len(sweepers) == 1, [cluster[i].log()[logs[i]:] for i in (0, 1)]
    assert not quick.left_of(2)
    assert quick.owners() == {ip: name for ip, name in quick.owners_in(old).items() if name != "c2"}
    assert not dns.knows(cluster[0].lab, "c0", "w2")
    cluster[2].start()
    settled(cluster)
    assert quick.owners() == quick.owners_in(old) and quick.owners()[address] == "c2"
    assert quick.own(2) == own
    unharmed(flow)
    quick.reaches(0, 2)
    quick.reaches(2, 0)


@each_shape
def test_back_with_a_conflict(quick):
    """Its address is somebody else's by now: the container is cut off, CHECK says so, and nobody is led there."""
    cluster = quick.cluster
    victim = quick.add(2, "victim").expect()
    address, pair = victim.address, quick.host_end(victim)
    cluster[2].kill()
    quick.wait_swept(2)
    thief = quick.add(0, "thief", ips=[address]).expect()
    settled(cluster)
    flow = quick.flow_of("c1", "thief")
    with Watcher(cluster[0], quick.vni) as first, Watcher(cluster[1], quick.vni) as second:
        cluster[2].start()
        cluster.wait(lambda: "cut off" in cluster[2].log(), what="the conflict")
        settled(cluster)
        assert not [line for watcher in (first, second) for line in watcher.events() if address in line.split()]
    assert "UP" not in quick.flags(2, pair)
    assert "UP" in quick.flags(2, quick.pairs[2])
    quick.check(2, "victim", victim).refused(CHECK, address, "node1")
    quick.check(0, "thief", thief).expect()
    quick.check(2, "c2", quick.results[2]).expect()
    # Another life of the agent finds the same.
    cluster[2].kill()
    cluster[2].start()
    cluster.wait(lambda: "cut off" in cluster[2].log(), what="the conflict")
    settled(cluster)
    quick.check(2, "victim", victim).refused(CHECK, address, "node1")
    unharmed(flow)
    # Free again, it is the container's again.
    quick.delete(0, "thief").expect()
    cluster.wait(lambda: quick.owners().get(address) == "victim", what="the container's address")
    settled(cluster)
    quick.check(2, "victim", victim).expect()
    assert "UP" in quick.flags(2, pair)
    # Not from c1, which knows the other one's MAC for a while.
    flow = quick.flow_of("c0", "victim")
    quick.let_pass(flow, 1)
    unharmed(flow)
    quick.delete(2, "victim").expect()
    settled(cluster)


@each_shape
def test_addresses_of_the_node_itself(quick):
    """Of a bridge too: where somebody has the address that it had, it gets another one."""
    cluster = quick.cluster
    key = f"join/{quick.net}/node3"
    own = cluster.records("join/")[key]["ip4"]
    path = cluster.etcd.snapshot()
    cluster[2].kill()
    quick.wait_swept(2)
    quick.add(0, "thief", ips=[own]).expect()
    cluster[2].start()
    settled(cluster)
    quick.reaches(2, 0)
    assert quick.cluster[2].lab.reaches(None, quick.address(0), quick.port(0))
    quick.delete(0, "thief").expect()
    # Now that the store is as it was, the bridge is, too. What the store says of its MAC gives way.
    quick.churn(0, 3)
    cluster.etcd.restore(path)
    cluster.wait(lambda: all("was restored" in node.log() for node in cluster), what="the restore")
    settled(cluster)
    assert own in quick.own(2)[1]
    cluster[2].kill()
    record = cluster.records("join/")[key]
    cluster.etcd.ctl("put", cluster.prefix + key, json.dumps({**record, "mac": "02:00:00:00:00:99"}))
    cluster[2].start()
    cluster.wait(lambda: cluster.records("join/")[key] == record, what="the MAC of the bridge")
    settled(cluster)


# ---- a backup ----

@each_shape
def test_restored(quick):
    """An old backup: who has something writes it again, who has it no more gives it back."""
    cluster = quick.cluster
    was = quick.add(0, "was").expect().address
    quick.add(1, "stays").expect()
    quick.add(1, "given").expect()
    settled(cluster)
    path = cluster.etcd.snapshot()
    quick.delete(0, "was").expect()
    quick.delete(1, "given").expect()
    quick.add(1, "given").expect()              # the same container, with another address and MAC
    # In a block that the backup knows nothing of.
    quick.add(1, "new", ips=quick.shape.elsewhere and [quick.shape.elsewhere]).expect()
    reused = quick.add(2, "reuses", ips=[was]).expect()
    assert reused.address == was
    quick.churn(0, 3)                           # so that the restored store is behind what was seen
    settled(cluster)
    owners = quick.owners()
    flow = quick.flow(0, 1)
    others = [quick.flow_of("c0", name) for name in ("stays", "new")]
    disputed = [quick.flow_of("c0", name) for name in ("given", "reuses")]
    cluster.etcd.restore(path)
    cluster.wait(lambda: all("was restored" in node.log() for node in cluster), what="the restore")
    settled(cluster)
    cluster.wait(lambda: quick.owners() == owners, what="the former owners")
    for each in (flow, *others):
        unharmed(each)
    # Where the backup has something else of the container or its address, connections outlast the dispute.
    for each in disputed:
        print("disputed:", each.stop(seconds=10))
    quick.check(2, "reuses", reused).expect()
    assert "UP" in quick.flags(2, quick.host_end(reused))
    for i, name in ((1, "stays"), (1, "given"), (1, "new"), (2, "reuses")):
        quick.delete(i, name).expect()
    settled(cluster)


# ---- beside another ----

@one_shape
def test_second_agent(calm):
    """It ends, and leaves the first one its socket."""
    node = calm.cluster[0]
    outcome = node.lab.run([libexec("fairlead-overlayd")], check=False)
    assert outcome.returncode == 3 and "another fairlead-overlayd" in outcome.stderr
    calm.add(0, "asks").expect()
    assert calm.owners()[calm.address_of("asks")] == "asks"
    calm.delete(0, "asks").expect()
    assert node.process.poll() is None
