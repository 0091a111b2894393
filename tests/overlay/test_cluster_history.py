# SPDX-License-Identifier: GPL-2.0-or-later
"""Is the store the one that was read? Three members, agents that are interrupted at random, and writers that never rest.

Whatever happens to one and the same store, no agent takes it for another; and a backup that has overtaken what an agent has
seen is noticed, always.
"""
import base64
import concurrent.futures
import contextlib
import http.client
import json
import os
import random
import threading
import time

import pytest

from support import overlays
from support.cluster import Cluster
from support.overlays import VNI, add, delete
from support.truth import settled

WEB = overlays.config("web")
LEASE = 2           # seconds, of nodes and of some of the strangers
STRANGERS = 20      # endpoints of a node that nobody has seen
PAUSE = 0.01        # between two of their changes
COMPACT = 100       # changes between two compactions
COMPARED = 1.0      # seconds after an interruption in which the comparison of so few keys is asked for and answered
ANOTHER, RESTORED = "another history", "was restored"


@pytest.fixture(scope="module")
def cluster():
    # Else no member could be added within five seconds after another one has started.
    args = ["--strict-reconfig-check=false"]
    with Cluster(3, 3, config={"leaseSeconds": LEASE, "holdDownSeconds": 600}, args=args) as cluster:
        for node in cluster:
            add(node, WEB, f"c{node.index}").expect()
        yield cluster


@pytest.fixture
def strangers(cluster):
    with Strangers(cluster) as strangers:
        yield strangers
    settled(cluster)


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Strangers:
    """Endpoints that come, change, go, and end with a lease; the store is compacted now and then."""

    def __init__(self, cluster):
        self.cluster, self.random = cluster, random.Random(5)
        self.net = cluster.keys("net/")[0].split("/")[1]
        self.addresses = []         # that nobody else has
        self.writes = self.compactions = self.revision = 0
        self._stop, self._thread = threading.Event(), None

    def __enter__(self):
        candidates = map("10.5.0.{}".format, range(2, 255))
        while len(self.addresses) < STRANGERS:
            address = next(candidates)
            if self.cluster.outside.call(self._take, address, len(self.addresses)):
                self.addresses.append(address)
        self._each(lambda i: self._put(self._key(i), self._endpoint(i)))
        return self

    def __exit__(self, *_):
        self.end()
        self._each(lambda i: self._ask("deleterange", {"key": self._name(self._key(i))}))
        self._each(lambda i: self._ask("deleterange", {"key": self._name(self._address(i))}))

    def begin(self, compact=True):
        self._stop.clear()
        self._thread = self.cluster.outside.submit(self._run, compact)

    def end(self):
        self._stop.set()
        if self._thread:
            self._thread.result()
            self._thread = None

    def wait_for(self, n):
        """So many more changes."""
        end = self.writes + n
        self.cluster.wait(lambda: self.writes >= end, 20, "the changes")

    # ---- inside ----

    def _each(self, change):
        for i in range(STRANGERS):
            self.cluster.wait(lambda i=i: self.cluster.outside.call(change, i), 20, "an answer of the store")

    def _run(self, compact):
        turn = 0
        while not self._stop.wait(PAUSE):
            i, what, turn = self.random.randrange(STRANGERS), self.random.random(), turn + 1
            if compact and turn % COMPACT == 0:
                self.compactions += bool(self._ask("compaction", {"revision": str(self.revision - self.random.randrange(20))}))
            elif what < 0.6:
                self._put(self._key(i), self._endpoint(i))
            elif what < 0.8:
                self._ask("deleterange", {"key": self._name(self._key(i))})
            else:
                lease = self._ask("lease/grant", {"TTL": LEASE}, api="")
                if lease:
                    self._put(self._key(i), self._endpoint(i), lease=lease["ID"])

    def _take(self, address, i):
        key = self._name(f"ip/{self.net}/{address}")
        value = b64(json.dumps({"v": 1, "use": "endpoint", "node": "ghost", "id": f"g{i}"}))
        done = self._ask("txn", {"compare": [{"target": "CREATE", "result": "EQUAL", "key": key, "create_revision": "0"}],
                                 "success": [{"request_put": {"key": key, "value": value}}]})
        return done and done.get("succeeded")

    def _address(self, i):
        return f"ip/{self.net}/{self.addresses[i]}"

    def _key(self, i):
        return f"ep/{self.net}/g{i}"

    def _endpoint(self, i):
        return {"v": 1, "node": "ghost", "container": f"g{i}", "ifname": "eth0", "epoch": 1, "mac": f"02:00:00:00:01:{i:02x}",
                "ip4": self.addresses[i], "name": f"g{self.random.randrange(1000)}"}

    def _name(self, key):
        return b64(self.cluster.prefix + key)

    def _put(self, key, value, **more):
        return self._ask("put", {"key": self._name(key), "value": b64(json.dumps(value)), **more})

    def _ask(self, verb, body, api="kv/"):
        """The answer of any member, or None; whether it was done is then not known, and nobody cares."""
        member = self.random.choice(self.cluster.etcd.names)
        with contextlib.closing(http.client.HTTPConnection(self.cluster.etcd.address(member), 2379, timeout=0.5)) as connection:
            try:
                connection.request("POST", f"/v3/{api}{verb}", json.dumps(body))
                answer = connection.getresponse()
                found = json.load(answer) if answer.status == 200 else None
            except (OSError, http.client.HTTPException, ValueError):
                return None
        if found and "header" in found and api:
            self.writes += 1
            self.revision = max(self.revision, int(found["header"]["revision"]))
        return found


def own_writes(node, rnd, stop, alone):
    """ADD and DEL, of which some fail. `alone`: where there is no agent, a plugin would start one."""
    name = f"own{node.index}"
    while not stop.wait(rnd.random() * 0.1):
        with alone:
            add(node, WEB, name)
        with alone:
            delete(node, WEB, name)


class Interruptions:
    """Each a random time long, and over when it returns."""

    def __init__(self, cluster, rnd):
        self.cluster, self.random = cluster, rnd
        self.alone = [threading.Lock() for _ in cluster]

    def between(self, low, high):
        time.sleep(self.random.uniform(low, high))

    def member(self):
        return self.random.choice(self.cluster.etcd.names)

    def node(self):
        return self.random.choice(list(self.cluster))

    def cut_briefly(self):
        self.cut(self.node(), "etcd", 0.5)

    def cut_until_the_lease_ends(self):
        self.cut(self.node(), "etcd", LEASE + 1.5)

    def cut_from_a_member(self):
        self.cut(self.node(), self.member(), 3)

    def cut(self, node, whom, most):
        self.cluster.cut(node.index, whom)
        self.between(most / 3, most)
        self.cluster.heal(node.index)

    def kill_member(self):
        name = self.member()
        self.cluster.etcd.kill(name)
        self.between(0, 0.3)
        self.cluster.etcd.start(name)

    def kill_leader(self):
        name = self.cluster.etcd.leader()
        self.cluster.etcd.kill(name)
        self.between(0, 0.3)
        self.cluster.etcd.start(name)

    def pause_member(self):
        name = self.member()
        self.cluster.etcd.pause(name)
        self.between(1, 3)
        self.cluster.etcd.resume(name)
        self.cluster.etcd.wait_healthy([name])

    def replace_member(self):
        self.cluster.etcd.replace(self.member())

    def pause_agent(self):
        node = self.node()
        node.pause()
        self.between(0.5, LEASE + 1)
        node.resume()

    def kill_agent(self):
        node = self.node()
        with self.alone[node.index]:
            node.kill()
            node.start()


KINDS = ["cut_briefly", "kill_member", "kill_leader", "pause_member", "cut_until_the_lease_ends", "cut_from_a_member", "replace_member",
         "pause_agent", "kill_agent", "kill_member", "cut_briefly"]


def test_one_store_is_one_history(cluster, strangers):
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    rnd, stop = random.Random(seed), threading.Event()
    chaos = Interruptions(cluster, rnd)
    strangers.begin()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        owners = [pool.submit(own_writes, node, random.Random(seed + node.index), stop, chaos.alone[node.index]) for node in cluster]
        try:
            for kind in rnd.sample(KINDS, len(KINDS)):
                getattr(chaos, kind)()
        finally:
            stop.set()
        for owner in owners:
            owner.result()
    time.sleep(COMPARED)
    strangers.end()
    assert strangers.writes > 300 and strangers.compactions
    logs = [node.log(whole=True) for node in cluster]
    assert any("interrupted" in said for said in logs)
    for said in logs:
        assert ANOTHER not in said and RESTORED not in said, said[-3000:]


# ---- and what is another one ----

def counts(cluster, what):
    return [node.log().count(what) for node in cluster]


@pytest.mark.parametrize("compacted", [False, True], ids=["compared", "compacted"])
def test_a_backup_that_overtakes_is_noticed(cluster, strangers, compacted):
    """Taken while the store is written; compared, or where what is to be compared is compacted, read anew."""
    before = counts(cluster, RESTORED)
    for node in cluster:
        add(node, WEB, "old").expect()
    strangers.begin(compact=False)
    strangers.wait_for(30)
    path = cluster.etcd.snapshot()
    # What others wrote may have been written again by the time that a node looks. What it has itself, nobody else writes.
    for node in cluster:
        delete(node, WEB, "old").expect()
        add(node, WEB, "young").expect()
    address = add(cluster[0], WEB, "last").expect().address.split("/")[0]
    for node in list(cluster)[1:]:
        cluster.wait(lambda node=node: node.leads_to(VNI, address), what="the way to the last one")
    for node in cluster:
        cluster.cut(node.index, "etcd") if node.index else node.pause()
    strangers.wait_for(20)
    strangers.end()
    was = revision(cluster.etcd)
    cluster.etcd.restore(path)
    if not compacted:
        strangers.begin(compact=False)
    while revision(cluster.etcd) <= was + 50:
        strangers.wait_for(5) if not compacted else cluster.etcd.ctl("put", "noise", "x")
    if compacted:
        cluster.etcd.ctl("compaction", str(revision(cluster.etcd)))
    for node in cluster:
        cluster.heal(node.index) if node.index else node.resume()
    cluster.wait(lambda: counts(cluster, RESTORED) == [n + 1 for n in before], 20, "what each says of it")
    strangers.end()
    for node in cluster:
        assert ANOTHER in node.log()
    delete(cluster[0], WEB, "last").expect()
    for node in cluster:
        delete(node, WEB, "young").expect()


def revision(etcd):
    return json.loads(etcd.ctl("get", "none", "-w", "json").stdout)["header"]["revision"]
