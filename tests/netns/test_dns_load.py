# SPDX-License-Identifier: GPL-2.0-or-later
"""Many sandboxes, and one that wants everything."""
import collections
import concurrent.futures
import ipaddress

import pytest

from support import configs, stub
from support import upstream as up
from support.upstream import Upstream

SANDBOXES, EACH = 100, 10
SLOW = 1.5          # seconds that the server takes
VIEW_MAX = 4096     # of dns/forward.c


def many(cni, count, **settings):
    """Names of the namespaces, each with a resolver."""
    config = stub.config(**settings)
    config["ipam"] = {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/16"}]]}
    names = [f"s{n}" for n in range(count)]

    def make(name):
        cni.lab.netns(name)
        cni.add("bridge", config, name).expect()
    make(names[0])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(make, names[1:]))
    return names


def questions(names, each=EACH):
    return {name: [f"{n}.{name}.test" for n in range(each)] for name in names}


def all_answered(crowd):
    outcomes = crowd.wait()
    assert collections.Counter(o.rcode for o in outcomes) == {0: len(outcomes)}, "all, and well"
    return outcomes


@pytest.mark.parametrize("own", [False, True], ids=["host's servers", "own servers"])
def test_slow_server_and_many_sandboxes(lab, cni, upstream, own):
    """All wait at the same time, and nobody is turned away."""
    upstream.on("*.test", up.late(SLOW, up.address()))
    names = many(cni, SANDBOXES, **({"nameservers": ["192.0.2.2"]} if own else {}))
    with stub.Crowd(lab, questions(names)) as crowd:
        crowd.send()
        upstream.wait(lambda server: len(server.seen) >= SANDBOXES * EACH)
        assert stub.stats(lab).total["waiting"] == SANDBOXES * EACH
        outcomes = all_answered(crowd)
    assert SLOW <= max(o.took for o in outcomes) < SLOW + 2
    assert len({q.name for q in upstream.seen}) == SANDBOXES * EACH
    if own:
        inside = ipaddress.ip_network("10.1.0.0/16")
        assert len({q.source for q in upstream.seen}) == SANDBOXES
        assert all(ipaddress.ip_address(q.source) in inside for q in upstream.seen)


@pytest.mark.parametrize("own", [False, True], ids=["host's servers", "own servers"])
def test_more_at_once_than_sockets(lab, cni, upstream, own):
    """Beyond 1,024 they share them; a first server that is dead changes nothing but the moment it costs."""
    lab.run(["ip", "addr", "add", "192.0.2.3/24", "dev", "eth0"], netns="outside")
    upstream.on("*.test", up.silent)
    with Upstream(lab, "192.0.2.3", default=up.late(1, up.address())) as other:
        stub.host_servers(lab, "192.0.2.2", "192.0.2.3")
        cni.add("bridge", stub.config(**({"nameservers": ["192.0.2.2", "192.0.2.3"]} if own else {}))).expect()
        with stub.Crowd(lab, {"c1": [f"{n}.test" for n in range(3000)]}) as crowd:
            crowd.send("c1", batch=100)
            outcomes = all_answered(crowd)
        assert max(o.took for o in outcomes) < 2.5
        assert len({q.name for q in other.seen}) == len(outcomes)
        assert len({q.id for q in other.seen}) > 2500
        assert len({q.port for q in other.seen}) > 100, "they are not all behind one port"
        assert len({q.port for q in upstream.seen}) <= 2048


def test_greedy_sandbox_hinders_nobody(lab, cni, upstream):
    """6,000 at once: 4,096 wait, the rest hears SERVFAIL at once, and so do others what they ask."""
    upstream.on("*.slow.test", up.late(SLOW, up.address()))
    configs.attach(cni, stub.config(), "c1", "c2")
    with stub.Crowd(lab, {"c1": [f"{n}.slow.test" for n in range(6000)], "c2": [f"{n}.test" for n in range(50)]}) as crowd:
        crowd.send("c1", batch=100)
        upstream.wait(lambda server: len(server.seen) >= VIEW_MAX)
        crowd.wait(lambda c: c.waiting("c1") <= VIEW_MAX)
        crowd.send("c2")
        crowd.wait(lambda c: not c.waiting("c2"))
        assert crowd.waiting("c1") == VIEW_MAX, "c2 was served in between"
        assert max(o.took for o in crowd.outcomes if o.netns == "c2") < 0.5
        outcomes = crowd.wait()
    assert collections.Counter(o.rcode for o in outcomes if o.netns == "c1") == {0: VIEW_MAX, up.SERVFAIL: 6000 - VIEW_MAX}
    assert collections.Counter(o.rcode for o in outcomes if o.netns == "c2") == {0: 50}
    assert max(o.took for o in outcomes if o.rcode == up.SERVFAIL) < SLOW
    counted = stub.counters(lab)
    assert (counted["forwarded"], counted["failed"]) == (VIEW_MAX, 6000 - VIEW_MAX)
