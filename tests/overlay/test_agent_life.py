# SPDX-License-Identifier: GPL-2.0-or-later
"""How an agent comes and goes: started by a plugin, kept, ended when nobody needs it."""
import os
import signal

import pytest

from support import configs
from support.cluster import Cluster

WEB = {"cniVersion": "1.1.0", "name": "web", "type": "overlay", "mode": "etcd", "ipMasq": True, "subnets": ["10.5.0.0/24"]}


@pytest.fixture
def node():
    with Cluster(nodes=1, members=1, start=False) as cluster:
        yield cluster[0], cluster


def agent(lab):
    """The process id of the agent at work; 0 while one is starting."""
    return int(lab.read(f"/run/fairlead/{lab.cookie()}/overlay.lock") or 0)


def is_there(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_plugin_starts_it_and_a_keeper_keeps_it(node):
    host, cluster = node
    host.lab.netns("c1")
    host.cni.add("overlay", WEB, "c1").expect()
    first = agent(host.lab)
    os.kill(first, signal.SIGKILL)
    assert configs.eventually(lambda: agent(host.lab) not in (0, first))
    host.lab.netns("c2")
    host.cni.add("overlay", WEB, "c2").expect()
    assert sorted(e["container"] for e in cluster.records("ep/").values()) == ["c1", "c2"]


def test_without_a_configuration_the_plugin_says_so(node):
    host, _ = node
    host.lab.run(["rm", "/etc/fairlead/overlay.json"])
    host.lab.netns("c1")
    host.cni.add("overlay", WEB, "c1").refused(None, "/etc/fairlead/overlay.json: no such file", "endpoints")


def test_it_leaves_when_nobody_needs_it(node):
    host, cluster = node
    host.start("--background", "--linger", "1000", wait=False).process.wait()
    pid = agent(host.lab)
    host.lab.netns("c1")
    host.cni.add("overlay", WEB, "c1").expect()
    assert is_there(pid) and "node/node1" in cluster.keys()
    host.cni.delete("overlay", WEB, "c1").expect()
    assert configs.eventually(lambda: not is_there(pid), 15)
    assert not [key for key in cluster.keys() if key.startswith(("node/", "alive/", "join/", "ep/"))]
    host.process = None


def test_it_ends_when_its_state_is_gone(node):
    host, _ = node
    host.start("--background", "--linger", "1000", wait=False).process.wait()
    pid = agent(host.lab)
    host.lab.netns("c1")
    host.cni.add("overlay", WEB, "c1").expect()
    host.lab.run(["rm", "-r", f"/run/fairlead/{host.lab.cookie()}"])
    assert configs.eventually(lambda: not is_there(pid), 10)
    host.process = None
