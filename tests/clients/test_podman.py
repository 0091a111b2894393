# SPDX-License-Identifier: GPL-2.0-or-later
"""The real podman 4 with its CNI backend, and the plugins under test alone in its plugin directories."""
import ipaddress
import json

import pytest

from clientlib import conflists, host as hosts, plugins
from clientlib.podman import Podman

NETWORKS = ("podman", "net-chain", "net-single")


@pytest.fixture(scope="module")
def podman(host):
    ours = plugins.link_folder(host.scratch / "plugins", fill=False)
    client = Podman(host, [ours])
    for conflist in (conflists.podman_style(), conflists.single_bridge(), conflists.macvlan()):
        client.add_network(conflist)
    return client


def warm_up(podman):
    for network in NETWORKS:
        podman.up("warm", network, "-p", "7999:80")
        podman.down("warm")


@pytest.fixture(scope="module")
def warm(podman):
    """One container on each network first: bridges and the fixed part of the nftables rules may stay."""
    warm_up(podman)
    return podman


@pytest.fixture
def pod(warm, unchanged):
    """podman, with all containers removed after the test and the host then compared."""
    yield warm
    names = warm("ps", "-aq").split()
    if names:
        warm.down(*names)


@pytest.fixture(params=NETWORKS)
def network(request):
    return request.param


@pytest.fixture
def publishing(network):
    if network == "net-single" and not plugins.ours():
        pytest.skip("the reference bridge publishes no ports")
    return network


def ping(pod, name, address):
    pod("exec", name, "/bin/ping", "-c", "1", "-W", "3", address)


def test_two_containers_reach_each_other(pod, network):
    first, second = pod.up("c1", network), pod.up("c2", network)
    assert first != second
    ping(pod, "c1", second)
    ping(pod, "c2", first)


def test_container_reaches_the_outside_by_masquerade(pod, host, network):
    """The outside has no route back to the container's subnet."""
    pod.up("c1", network)
    ping(pod, "c1", "192.0.2.2")


def test_published_port_from_everywhere(pod, host, publishing):
    address = pod.up("c1", publishing, "-p", "8080:80")
    pod.up("c2", publishing)
    pod.serve("c1", 80)
    seen = {
        "outside": host.get(8080),
        "host": host.get(8080, where="host"),
        "localhost": host.get(8080, "127.0.0.1", where="host"),
        "direct": host.get(80, address, where="host"),
        "neighbour": host.get(8080, where=pod.netns("c2")),
        "itself": host.get(8080, where=pod.netns("c1"))}
    assert {k: (v or "").strip() for k, v in seen.items()} == dict.fromkeys(seen, "80")
    pod.down("c1")
    assert host.get(8080) is None


def test_random_port(pod, host, publishing):
    pod.up("c1", publishing, "-p", "80")
    pod.serve("c1", 80)
    port = pod("port", "c1", "80").rpartition(":")[2]
    assert host.get(port) == "80\n"


@pytest.mark.parametrize("first", (9000, 9100), ids=("equal", "shifted"))
def test_range(pod, host, publishing, first):
    pod.up("c1", publishing, "-p", f"{first}-{first + 9}:9000-9009")
    pod.serve("c1", *range(9000, 9010))
    assert [host.get(first + i, timeout=1) for i in range(10)] == [f"{9000 + i}\n" for i in range(10)]


def test_port_bound_to_one_address(pod, host, publishing):
    pod.up("c1", publishing, "-p", "127.0.0.1:8080:80")
    pod.serve("c1", 80)
    assert host.get(8080, "127.0.0.1", where="host") == "80\n"
    assert host.get(8080, timeout=1) is None


def test_requested_address_and_mac(pod, network):
    options = "mac=02:11:22:33:44:55"
    if network != "podman":
        subnet = {"net-chain": "10.71.0.", "net-single": "10.72.0."}[network]
        options += f",ip={subnet}77,alias=web"
    address = pod.up("c1", f"{network}:{options}")
    assert network == "podman" or address.endswith(".77")
    shown = pod("exec", "c1", "/bin/ip", "addr", "show", "eth0")
    assert "02:11:22:33:44:55" in shown and f"inet {address}/" in shown


def test_address_in_use_is_refused_and_leaves_nothing(pod):
    pod.up("c1", "net-chain:ip=10.71.0.88")
    before = pod("ps", "-q")
    with pytest.raises(AssertionError, match="10.71.0.88"):
        pod.up("c2", "net-chain:ip=10.71.0.88")
    assert pod("ps", "-q") == before
    pod.up("c3", "net-chain")
    ping(pod, "c3", "10.71.0.88")


def test_two_networks_on_one_container(pod):
    pod("run", "-d", "--name", "c1", "--cgroup-parent", pod.host.cgroup,
        "--network", "net-chain", "--network", "net-single", "bb", "/bin/sleep", "600")
    for network, bridge in (("net-chain", "10.71.0.0/24"), ("net-single", "10.72.0.0/24")):
        address = ipaddress.ip_address(pod.address("c1", network))
        assert address in ipaddress.ip_network(bridge)
        pod.host.run("busybox", "ping", "-c", "1", "-W", "3", str(address))
    shown = pod("exec", "c1", "/bin/ip", "link")
    assert "eth0" in shown and "eth1" in shown


def test_macvlan_beside_bridge(pod, host):
    """Each container on a network of its own kind, and one on both."""
    address = pod.up("c1", "net-macvlan")
    assert address.startswith("192.0.2.")
    assert "1 packets received" in host.outside("busybox", "ping", "-c", "1", "-W", "3", address).stdout
    bridged = pod.up("c2", "net-chain")
    pod("run", "-d", "--name", "c3", "--cgroup-parent", host.cgroup,
        "--network", "net-macvlan", "--network", "net-chain", "bb", "/bin/sleep", "600")
    ping(pod, "c3", address)
    ping(pod, "c3", bridged)
    ping(pod, "c1", pod.address("c3", "net-macvlan"))
    pod.down("c3")
    ping(pod, "c1", "192.0.2.2")


def test_restart_keeps_the_ports(pod, host, publishing):
    pod.up("c1", publishing, "-p", "8080:80")
    pod("restart", "-t", "0", "c1")
    pod.serve("c1", 80)
    assert host.get(8080) == "80\n"


def test_connect_and_disconnect_a_running_container(pod):
    pod.up("c1", "net-chain")
    pod("network", "connect", "net-single", "c1")
    address = pod.address("c1", "net-single")
    pod.up("c2", "net-single")
    ping(pod, "c2", address)
    pod("network", "disconnect", "net-single", "c1")
    assert "eth1" not in pod("exec", "c1", "/bin/ip", "link")


def test_reload_after_a_flushed_ruleset(pod, host, publishing):
    """`podman network reload` is DEL and ADD of a running container, with its old address requested."""
    address = pod.up("c1", publishing, "-p", "8080:80")
    pod.serve("c1", 80)
    host.run("nft", "flush", "ruleset")
    pod("network", "reload", "c1")
    assert json.loads(pod("inspect", "c1"))[0]["State"]["Running"]
    assert pod.address("c1", publishing) == address
    assert host.get(8080) == "80\n"
    # The fixed rules of the other networks' plugins, for the comparison.
    warm_up(pod)
