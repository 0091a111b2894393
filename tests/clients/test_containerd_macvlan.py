# SPDX-License-Identifier: GPL-2.0-or-later
"""The real containerd with a macvlan network: pods on the segment of the host's interface."""
import pytest

pytest.importorskip("grpc")

from clientlib import conflists, host as hosts, plugins  # noqa: E402
from clientlib.containerd import Containerd  # noqa: E402


@pytest.fixture(scope="module")
def host():
    with hosts.Host() as machine:
        yield machine


@pytest.fixture(scope="module")
def containerd(host):
    client = Containerd(host, plugins.link_folder(host.scratch / "plugins", fill=False), conflists.macvlan())
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def node(containerd, unchanged):
    yield containerd
    for pod in containerd.cri.pods():
        containerd.cri.stop(pod)
        containerd.cri.remove(pod)


def test_pods_on_the_segment(node, host):
    pods = [node.cri.run_pod(name) for name in ("one", "two")]
    addresses = [node.cri.address(pod) for pod in pods]
    assert all(a.startswith("192.0.2.1") for a in addresses) and len(set(addresses)) == 2
    for pod in pods:
        node.serve(pod, 80)
    assert host.get(80, addresses[0]) == "served\n"                                     # from the other machine
    assert host.get(80, addresses[1], where=node.netns(pods[0])) == "served\n"          # from each other
    node.cri.stop(pods[0])
    assert host.get(80, addresses[0], timeout=1) is None
    assert host.get(80, addresses[1]) == "served\n"


def test_killed_pod_and_vanished_namespace(node, host):
    pod = node.cri.run_pod("web")
    before = set(host.out("ls", "/run/netns").split())
    node.kill(pod)
    for name in before - {"outside"}:
        host.run("ip", "netns", "del", name)
    node.cri.stop(pod)


def test_ctr_run(node):
    assert "1 packets received" in node.run_once("c1", "/bin/ping", "-c", "1", "-W", "3", "192.0.2.2")
