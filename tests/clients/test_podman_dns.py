# SPDX-License-Identifier: GPL-2.0-or-later
"""Names between real podman containers, a namespace that no runtime made, and a name server outside."""
import json
import time

import pytest

from clientlib import conflists, plugins
from clientlib.podman import Podman
from support.cni import LIBEXEC, libexec_dir

NETWORK = "net-names"
pytestmark = pytest.mark.skipif(not plugins.ours(), reason="the reference plugins have no resolver")


@pytest.fixture(scope="module")
def podman(host):
    folder = plugins.link_folder(host.scratch / "plugins", fill=False)
    client = Podman(host, [folder])
    client.folder = folder
    client.add_network(conflists.with_names())
    host.daemon("ip", "netns", "exec", "outside", "dnsmasq", "-k", "-C", "/dev/null", "-p", "53", "--no-resolv", "--no-hosts",
                "--address=/up.example/198.51.100.9", "--pid-file", "--user=root", log="dnsmasq.log")
    yield client
    names = client("ps", "-aq").split()
    if names:
        client.down(*names)


def lookup(podman, container, name):
    """Addresses by the C library in the container, as its /etc/resolv.conf says."""
    out = podman("exec", container, "/bin/busybox", "nslookup", name, check=False)
    return [line.split(": ")[1].split()[0] for line in out.partition("Name:")[2].splitlines() if line.startswith("Address")]


def plain(podman, command):
    """The plugin by hand, for the namespace `plain`."""
    conflist = conflists.with_names()
    config = {**conflist["plugins"][0], "name": NETWORK, "cniVersion": conflist["cniVersion"]}
    config.pop("capabilities")
    done = podman.host.run(podman.folder / "bridge", input=json.dumps(config), env={
        "CNI_COMMAND": command, "CNI_CONTAINERID": "plain", "CNI_NETNS": "/run/netns/plain", "CNI_IFNAME": "eth0",
        "CNI_PATH": str(podman.folder), "CNI_ARGS": "K8S_POD_NAME=plain", LIBEXEC: libexec_dir() or ""})
    return json.loads(done.stdout) if done.stdout.strip() else None


def test_names_of_containers(podman):
    first = podman.up("c1", NETWORK)
    second = podman.up("c2", f"{NETWORK}:alias=database")
    assert "nameserver 127.0.0.11" in podman("exec", "c1", "/bin/cat", "/etc/resolv.conf")
    for name in ("c2", "database", "C2", "c2.net-names"):
        assert lookup(podman, "c1", name) == [second], name
    assert lookup(podman, "c2", "c1") == [first]
    podman.down("c2")
    assert lookup(podman, "c1", "c2") == []
    podman.down("c1")


def test_container_and_plain_namespace(podman, host):
    address = podman.up("c1", NETWORK)
    host.run("ip", "netns", "add", "plain")
    other = plain(podman, "ADD")["ips"][0]["address"].split("/")[0]
    assert lookup(podman, "c1", "plain") == [other]
    assert host.out("ip", "netns", "exec", "plain", "dig", "+short", "@127.0.0.11", "c1").split() == [address]
    assert lookup(podman, "c1", "up.example") == ["198.51.100.9"]
    assert host.out("ip", "netns", "exec", "plain", "dig", "+short", "@127.0.0.11", "up.example").split() == ["198.51.100.9"]
    plain(podman, "DEL")
    host.run("ip", "netns", "del", "plain")
    assert lookup(podman, "c1", "plain") == []
    podman.down("c1")


def test_restarted_container_has_its_new_address(podman):
    podman.up("c1", NETWORK)
    podman.up("c2", NETWORK)
    podman("restart", "-t", "0", "c2")
    assert lookup(podman, "c1", "c2") == [podman.address("c2", NETWORK)]
    podman.down("c1", "c2")


def test_daemon_outlives_the_runtime_and_its_own_death(podman, host):
    """podman is no daemon: whatever it starts must go on without it. And what is killed is started again."""
    podman.up("c1", NETWORK)
    address = podman.up("c2", NETWORK)
    before = host.out("pgrep", "-f", "dnsd --state").split()
    for pid in host.out("pgrep", "-f", "dnsd --worker").split():
        host.run("kill", "-9", pid)
    deadline = time.monotonic() + 5
    while lookup(podman, "c1", "c2") != [address]:
        assert time.monotonic() < deadline
    assert host.out("pgrep", "-f", "dnsd --state").split()[0] == before[0]
    podman.down("c1", "c2")
