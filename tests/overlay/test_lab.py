# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/overlay-lab: persistent between calls, and gone without a trace, however it ends."""
import json
import os
import pathlib
import select
import signal
import subprocess
import time

import pytest

from support.cni import plugin_dir
from support.lab import PRIVATE

SCRIPT = str(pathlib.Path(__file__).resolve().parents[2] / "scripts/overlay-lab")


class Script:
    def __init__(self, folder):
        self.env = {**os.environ, "OVERLAY_LAB_DIR": str(folder), "FAIRLEAD_PLUGIN_DIR": plugin_dir()}
        self.folder = folder

    def __call__(self, *words, status=0, timeout=60):
        """stdout and stderr of one call, from a shell that ends."""
        done = subprocess.run([SCRIPT, *map(str, words)], env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=timeout, check=False)
        assert done.returncode == status, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def start(self, *words):
        return subprocess.Popen([SCRIPT, *map(str, words)], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def node(self, k, *command, status=0):
        return self("node", k, *command, status=status)


def processes(word):
    """Ids of the processes with the word in their environment or command line."""
    found = set()
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return found - {os.getpid()}


def host():
    """What this machine has by itself, without what other tests make meanwhile."""
    links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout)
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    return [link["ifname"] for link in links], rules, [os.path.isdir(folder) for folder in PRIVATE]


@pytest.fixture
def script(tmp_path):
    for folder in PRIVATE:      # of all labs: this one must not take them from others
        os.makedirs(folder, exist_ok=True)
    script = Script(tmp_path / "lab")
    yield script
    script("down")
    assert not script.folder.exists()
    assert not processes(str(tmp_path))


@pytest.fixture
def up(script):
    script.said = script("up", "--nodes", 2, "--etcd", 1)
    return script


def test_up_and_down(script):
    before = host()
    said = script("up", "--nodes", 2, "--etcd", 3)
    for word in ("2 nodes", "etcd with 3 members", "agent of node2"):
        assert word in said
    examples = [line.strip() for line in said.split("Try:")[1].splitlines() if line.startswith("  scripts/overlay-lab")]
    assert len(examples) == 3
    assert host() == before
    status = script("status")
    assert status.count("agent runs") == 2 and status.count("leader") == 1 and status.count("follower") == 2
    assert "everything is gone" in script("down")
    assert not script.folder.exists() and host() == before
    assert "nothing is there" in script("down")
    assert "not up" in script("status", status=1)


def test_up_twice(up):
    assert "up already" in up("up", status=1)
    assert "agent runs" in up("status")


def test_nodes_are_hosts(up):
    addresses = [up.node(k, "ip", "-j", "addr", "show", "up0") for k in (1, 2)]
    assert [json.loads(text)[0]["addr_info"][0]["local"] for text in addresses] == ["192.0.2.1", "192.0.2.2"]
    up.node(1, "sh", "-c", "echo mine >/run/marker")
    up.node(2, "test", "-e", "/run/marker", status=1)
    assert up.node(1, "cat", "/run/marker") == "mine\n"
    assert json.loads(up.node(2, "cat", "/etc/fairlead/overlay.json"))["node"] == "node2"
    assert up.node(1, "pwd").strip() == os.getcwd()
    up.node(1, "sh", "-c", "exit 7", status=7)
    assert "no node 3" in up.node(3, "true", status=1)
    up.node(1, "netctl", "network", "create", "own")
    assert "own" in up.node(1, "netctl", "network", "ls") and "own" not in up.node(2, "netctl", "network", "ls")


def test_members_and_agents(up):
    for what, state in (("kill", "does not run"), ("start", "leader"), ("stop", "does not run"), ("start", "leader")):
        assert state in up("etcd", what, 1).split("etcd m1")[1]
    assert "runs already" in up("etcd", "start", 1, status=1)
    assert "no member 2" in up("etcd", "kill", 2, status=1)
    assert "agent does not run" in up("agent", "kill", 1)
    assert "agent does not run" not in up("agent", "start", 1)
    assert "ready" in up("agent", "log", 2)


def test_cut_and_heal(up):
    def answers():
        return subprocess.run([SCRIPT, "node", "1", "curl", "-s", "-m", "1", "http://192.0.2.101:2379/version"], env=up.env,
                              capture_output=True, check=False).returncode == 0
    assert answers()
    for words in (("etcd",), ()):
        up("cut", 1, *words)
        assert not answers()
        up("heal", 1)
        assert answers()


def test_down_ends_what_runs_there(up):
    with up.start("node", 1, "sh", "-c", "echo here; exec sleep 1000") as command:
        assert command.stdout.readline() == "here\n"
        up("down")
        assert command.wait(timeout=10)


def test_daemons_that_plugins_start_go_too(up):
    """They are nobody's children, and their file system is the node's."""
    up.node(1, "netctl", "network", "create", "names")
    up.node(1, "netctl", "run", "names", "--", "true")
    assert "dnsd" in up.node(1, "sh", "-c", "cat /proc/[0-9]*/comm")
    before = processes(plugin_dir().rsplit("/opt/", 1)[0]) | processes(str(up.folder))
    up("down")
    assert not processes(str(up.folder)) and before


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 4, 5])
def test_killed_in_the_middle_of_up(script, lines):
    """After the n-th line that it says."""
    with script.start("up", "--nodes", 2, "--etcd", 3) as up:
        for _ in range(lines):
            assert up.stdout.readline()
        up.send_signal(signal.SIGKILL)
    script("down")
    assert not processes(str(script.folder))
    script("up", "--nodes", 1)


def test_a_lab_that_hangs(up):
    """Stopped, it answers nobody, and is ended all the same."""
    keepers = [pid for pid in processes(str(up.folder)) if b"keep" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]
    for pid in keepers:
        os.kill(pid, signal.SIGSTOP)
    assert "gone" in up("down")


def test_the_holder_killed(up):
    """The kernel ends everything with it."""
    keepers = [pid for pid in processes(str(up.folder)) if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"unshare")]
    assert len(keepers) == 1
    fd = os.pidfd_open(keepers[0])
    os.kill(keepers[0], signal.SIGKILL)
    assert select.select([fd], [], [], 10)[0]
    os.close(fd)
    end = time.monotonic() + 10
    while processes(str(up.folder)):
        assert time.monotonic() < end
    assert "not up" in up("status", status=1)
    up("up", "--nodes", 1)
