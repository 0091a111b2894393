# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples of help and man page, each run as it stands there on a host that has what they name."""
import os
import re
import select
import signal
import subprocess

import pytest

from support import configs as net
from support.netctl import NO, OK, program

WITHIN = 60                 # seconds, for one that ends by itself

# What an example needs, or must not find; others run in the world as it is.
ALONE = ["sandbox rm web db ns1 web1"]
FREE = ["sandbox rm web"]   # of port 8080
BEFORE = {
    "netctl attach web ns1": [*FREE, "detach web ns1"],
    "netctl network create web": [*ALONE, "network rm web"],
    "netctl network create db": [*ALONE, "network rm db"],
    "netctl network disconnect db web1": ["network connect db web1"],
    "netctl network rm web": ALONE,
    "netctl network rm -f web": [],
    "netctl run web -p 8080": FREE,
    "netctl sandbox create ns1": ["sandbox rm ns1"],
    "netctl ipam free web 10.89.0.7": [*ALONE, "network rm web", "network create web -o dns.enabled=false", "sandbox create gone",
                                       "attach web gone --ip 10.89.0.7", "!ip netns del gone", "!until no port in fl-web"],
    "netctl ipam import /var/lib/cni/networks/web": [
        "!mkdir -p /var/lib/cni/networks/web", "!printf 'old\\r\\neth0' > /var/lib/cni/networks/web/10.89.0.99"],
}

# These go on until they are interrupted; one of them has something to tell first.
GO_ON = ("netctl monitor", "netctl dns log", "netctl top", "netctl run web -p 8080:8000 --name site -- python3 -m http.server")
ENDS = ("netctl top --count",)

# The answer is no: nothing holds port 53 at that address.
NOES = {"netctl port who 53/udp --address 192.0.2.1"}

# What cannot be run here, and why.
CLUSTER = "needs other nodes: tests/overlay/test_netctl_cluster.py runs it"
LEFT_OUT = {"netctl network create -d overlay wide": CLUSTER, "netctl node ls": CLUSTER, "netctl node inspect node2": CLUSTER,
            "netctl node rm node2": CLUSTER}

# What stands for something else in the lab: process 4242, and a folder that the lab does not keep for itself.
INSTEAD = {"/tmp/": "/run/"}


def examples():
    """(verb, line) of all verbs."""
    try:
        netctl = program()
    except FileNotFoundError:
        return []
    ask = lambda *words: subprocess.run([netctl, "help", *words], capture_output=True, text=True).stdout    # noqa: E731
    verbs = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", ask(), re.M)
    return [line for verb in verbs
            for line in re.findall(r"^  (\S.*)", ask(*verb.split()).partition("Examples:\n")[2], re.M)]


@pytest.fixture
def world(lab, upstream, netctl):
    """
    Networks web, db, net and front; containers web (on web and front, port 8080), db (on web and db), web1 and ns1 (on web). The
    name server outside knows all names. Yields a function that runs a line of shell.
    """
    for name, more in (("web", []), ("db", ["--internal", "--subnet", "10.50.0.0/24"]), ("net", []), ("front", [])):
        netctl("network", "create", name, *more).expect()
    for name, *attachments in (("web", "web -p 8080:80", "front"), ("db", "web", "db"), ("web1", "web"), ("ns1", "web")):
        lab.netns(name)
        for one in attachments:
            network, *options = one.split()
            netctl("attach", network, name, *options).expect()
    lab.tcp_server("web", port=80)
    lab.tcp_server("db", port=5432)
    env = {**netctl.environment(), "PATH": f"{os.path.dirname(program())}:{os.environ['PATH']}", "HOME": "/run", "TERM": "dumb"}
    return lambda line, start=False, **kwargs: (lab.start if start else lab.run)(["bash", "-c", line], env=env, **kwargs)


def prepare(lab, world, line):
    for start in sorted(BEFORE, key=len, reverse=True):
        if line.startswith(start):
            for one in BEFORE[start]:
                if one == "!until no port in fl-web":
                    net.eventually(lambda: not net.bridge_ports(lab, "fl-web"))
                else:
                    world(one[1:] if one[0] == "!" else f"netctl {one}")
            return


def in_the_lab(lab, line):
    for old, new in INSTEAD.items():
        line = line.replace(old, new)
    if " 4242" in line:
        process = lab.start(["unshare", "-n", "sleep", "600"])
        own = lab.call(lambda: os.stat("/proc/thread-self/ns/net").st_ino)
        net.eventually(lambda: lab.call(lambda: os.stat(f"/proc/{process.pid}/ns/net").st_ino) != own)
        line = line.replace(" 4242", f" {process.pid}")
    return line


def goes_on(world, line, lab):
    """It is at work after something has happened, and ends by a signal."""
    running = world(f"exec {line}", start=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    if " -- " in line:
        net.eventually(lambda: not lab.run(["bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/8080"], netns="outside",
                                            check=False).returncode, 20)
    else:
        world("netctl detach web ns1; netctl attach web ns1; netctl sandbox exec web -- getent hosts db", check=False)
        assert select.select([running.stdout], [], [], 10)[0], "it says nothing"
        assert running.poll() is None
    running.send_signal(signal.SIGTERM)
    _, complaints = running.communicate(timeout=20)
    assert running.returncode in (OK, -signal.SIGTERM, 128 + signal.SIGTERM), complaints


@pytest.mark.parametrize("line", examples())
def test_example(lab, world, line):
    if line in LEFT_OUT:
        pytest.skip(LEFT_OUT[line])
    prepare(lab, world, line)
    if any(f"{line} ".startswith(f"{start} ") for start in GO_ON) and not line.startswith(ENDS):
        goes_on(world, line, lab)
        return
    done = world(in_the_lab(lab, line), check=False, timeout=WITHIN)
    assert done.returncode == (NO if line in NOES else OK), f"{line}: exit {done.returncode}\n{done.stdout}{done.stderr}"


def test_nothing_is_listed_in_vain():
    """Neither what is prepared nor what is left out has lost its example."""
    lines = examples()
    assert len(lines) > 50
    for start in (*BEFORE, *GO_ON, *ENDS, *NOES, *LEFT_OUT):
        assert any(line.startswith(start) for line in lines), start
