# SPDX-License-Identifier: GPL-2.0-or-later
"""The real containerd: pods through its CRI as a kubelet makes them, and ctr."""
import concurrent.futures

import pytest

pytest.importorskip("grpc")

from clientlib import conflists, host as hosts, plugins  # noqa: E402
from clientlib.containerd import Containerd  # noqa: E402

PARALLEL = 16
# The reference bridge removes masquerade rules only by way of the namespace.
MASQUERADE_LEAK = pytest.mark.reference_leaks("masquerade rules when DEL comes without a namespace")


@pytest.fixture(scope="module", params=("bridge+portmap", "bridge", "chain"))
def host(request):
    """A host of its own for each network: containerd keeps what it has once read."""
    if request.param == "bridge" and not plugins.ours():
        pytest.skip("the reference bridge publishes no ports")
    with hosts.Host() as machine:
        machine.conflist = conflists.kubernetes(style=request.param)
        yield machine


@pytest.fixture(scope="module")
def containerd(host):
    client = Containerd(host, plugins.link_folder(host.scratch / "plugins", fill=False), host.conflist)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(scope="module")
def warm(containerd):
    """One pod first: the bridge and the fixed part of the nftables rules may stay."""
    pod = containerd.cri.run_pod("warm", [(80, 7999)])
    containerd.cri.stop(pod)
    containerd.cri.remove(pod)
    return containerd


@pytest.fixture
def node(warm, unchanged):
    yield warm
    for pod in warm.cri.pods():
        warm.cri.stop(pod)
        warm.cri.remove(pod)


def test_host_port_from_everywhere(node, host):
    pod = node.cri.run_pod("web", [(80, 8080)])
    node.cri.run_pod("other")
    node.serve(pod, 80)
    address = node.cri.address(pod)
    assert host.get(8080) == "served\n"
    assert host.get(8080, where="host") == "served\n"
    assert host.get(8080, "127.0.0.1", where="host") == "served\n"
    assert host.get(80, address, where="host") == "served\n"
    node.cri.stop(pod)
    assert host.get(8080, timeout=1) is None


def test_pod_has_loopback_and_reaches_itself_by_its_host_port(node, host):
    pod = node.cri.run_pod("web", [(80, 8080)])
    node.serve(pod, 80)
    for address, port in (("127.0.0.1", 80), (hosts.ADDRESS, 8080)):
        assert host.get(port, address, where=node.netns(pod)) == "served\n"


def test_host_port_moves_to_the_next_pod(node, host):
    """A rolling update: the same port on a new pod right after the old one was stopped."""
    for name in ("old", "new"):
        pod = node.cri.run_pod(name, [(80, 8080)])
        node.serve(pod, 80)
        assert host.get(8080) == "served\n"
        node.cri.stop(pod)


def test_stop_twice_and_remove(node):
    pod = node.cri.run_pod("web", [(80, 8080)])
    node.cri.stop(pod)
    node.cri.stop(pod)
    node.cri.remove(pod)
    assert node.cri.pods() == []


def test_killed_pod_is_cleaned(node, host):
    pod = node.cri.run_pod("web", [(80, 8080)])
    node.kill(pod)
    node.cri.stop(pod)
    node.cri.remove(pod)


@MASQUERADE_LEAK
def test_vanished_namespace_is_cleaned(node, host):
    """As after a crash of the node's tools: the namespace file is gone before the pod is stopped."""
    pod = node.cri.run_pod("web", [(80, 8080)])
    before = set(host.out("ls", "/run/netns").split())
    node.kill(pod)
    for name in before - {"outside"}:
        host.run("ip", "netns", "del", name)
    node.cri.stop(pod)


def test_runtime_is_restarted_while_a_pod_runs(node, host):
    pod = node.cri.run_pod("web", [(80, 8080)])
    node.serve(pod, 80)
    node.restart()
    assert host.get(8080) == "served\n"
    node.cri.stop(pod)
    assert host.get(8080, timeout=1) is None


def _ports(number):
    return [(80, 10000 + number)]


def test_many_pods_at_once(node, host):
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        pods = list(pool.map(lambda n: node.cri.run_pod(f"p{n}", _ports(n)), range(PARALLEL)))
        addresses = [node.cri.address(pod) for pod in pods]
        assert len(set(addresses)) == PARALLEL
        list(pool.map(lambda pod: node.serve(pod, 80), pods))
        assert set(pool.map(lambda n: host.get(10000 + n), range(PARALLEL))) == {"served\n"}
        list(pool.map(node.cri.stop, pods))
        list(pool.map(node.cri.remove, pods))


def test_pods_come_while_others_go(node):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        old = list(pool.map(lambda n: node.cri.run_pod(f"a{n}", _ports(n)), range(4)))
        gone = [pool.submit(node.cri.stop, pod) for pod in old]
        new = [pool.submit(node.cri.run_pod, f"b{n}", _ports(100 + n)) for n in range(4)]
        for job in gone + new:
            job.result()
        assert len({node.cri.address(job.result()) for job in new}) == 4


@MASQUERADE_LEAK
def test_ctr_run(node):
    shown = node.run_once("c1", "/bin/ip", "addr")
    assert "eth0" in shown and "inet 10.73.0." in shown


@MASQUERADE_LEAK
def test_ctr_container_reaches_the_outside(node):
    assert "1 packets received" in node.run_once("c2", "/bin/ping", "-c", "1", "-W", "3", "192.0.2.2")
