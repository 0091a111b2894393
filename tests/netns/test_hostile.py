# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile input: the right code, the key's path in the message, and a host that stays as it was."""
import pytest

import hostile
from support import configs, shapes, snapshot
from support.cni import Cni
from support.lab import Lab

BRIDGE = configs.bridge("bad", bridge="bad0", subnets=("10.7.0.0/24",), hairpinMode=None)
PORTS = configs.publish(BRIDGE, (9000, 80))
IPAM = {"cniVersion": configs.VERSION, "name": "bad", "type": "host-local",
        "ipam": configs.host_local("10.1.0.0/24", routes=["0.0.0.0/0"])}
CHAINED = configs.publish({"cniVersion": configs.VERSION, "name": "bad", "type": "portmap", "prevResult": {
    "cniVersion": configs.VERSION, "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}],
    "ips": [{"address": "10.7.0.9/24", "interface": 0}]}}, (9000, 80))
NONE = {"cniVersion": configs.VERSION, "name": "bad", "type": "none"}
IN_BRIDGE = {"cniVersion": configs.VERSION, "name": "bad", "type": "bridge", "bridge": "bad0", "isGateway": True,
             "ipam": configs.host_local("10.1.0.0/24", routes=["0.0.0.0/0"])}

GROUPS = {
    "bridge keys": ("bridge", hostile.of_table(BRIDGE, hostile.BRIDGE)),
    "bridge booleans": ("bridge", hostile.booleans(BRIDGE)),
    "bridge combinations": ("bridge", hostile.combinations(BRIDGE)),
    "bridge ports": ("bridge", hostile.of_table(PORTS, hostile.PORTS)),
    "bridge ipam": ("bridge", hostile.of_table(IN_BRIDGE, hostile.IPAM)),
    "bridge results": ("bridge", [c for c in hostile.results(BRIDGE) if c.command == "CHECK"]),
    "bridge environment": ("bridge", hostile.environment(BRIDGE)),
    "bridge garbage": ("bridge", hostile.garbage(BRIDGE)),
    "bridge attachments": ("bridge", hostile.attachments({**BRIDGE, "name": "net"})),
    "host-local ipam": ("host-local", hostile.of_table(IPAM, hostile.IPAM)),
    "host-local garbage": ("host-local", hostile.garbage(IPAM)),
    "host-local attachments": ("host-local", hostile.attachments({**IPAM, "name": "net"})),
    "portmap ports": ("portmap", hostile.of_table(CHAINED, hostile.PORTS)),
    "portmap results": ("portmap", hostile.results(CHAINED)),
    "none garbage": ("none", hostile.garbage(NONE)),
    "none environment": ("none", [c for c in hostile.environment(NONE) if "MAC" not in c.title]),
    "loopback environment": ("loopback", [c for c in hostile.environment(NONE) if "MAC" not in c.title]),
}
GROUPS = {name: (plugin, list(cases)) for name, (plugin, cases) in GROUPS.items()}


@pytest.fixture(scope="module")
def busy():
    """A host with a container on a network, which hostile calls must not disturb."""
    with Lab() as lab:
        for name in ("c1", "c2"):
            lab.netns(name)
        lab.run(["mkfifo", "/run/fifo"])
        lab.write("/run/netns/plain", "")
        cni = Cni(lab)
        cni.add("bridge", configs.publish(configs.bridge(), (8080, 80)), "c2").expect()
        cni.add("host-local", {**IPAM, "name": "net"}, "c2", ifname="ipam0").expect()
        yield cni


def problem(cni, plugin, case):
    """What is wrong with the answer to a case; None when it is as it should be."""
    environment = dict(case.env)
    container, ifname = environment.pop("CNI_CONTAINERID", "c1"), environment.pop("CNI_IFNAME", "eth0")
    netns = environment.pop("CNI_NETNS", "/run/netns/c1")
    try:
        outcome = cni.call(case.command, plugin, case.config, container, ifname, env={**environment, "CNI_NETNS": netns})
        outcome.refused(case.code, *case.words)
        shapes.check_error(outcome.json)
        assert len(outcome.stdout) < 20000, "the answer is endless"
    except AssertionError as error:
        return f"{case.title}: {str(error)[:600]}"
    except Exception as error:
        return f"{case.title}: {type(error).__name__} {str(error)[:300]}"
    return None


@pytest.mark.parametrize("group", GROUPS)
def test_hostile(busy, group):
    plugin, cases = GROUPS[group]
    before = snapshot.take(busy.lab, ["c1", "c2"])
    problems = [p for p in (problem(busy, plugin, case) for case in cases) if p]
    changes = snapshot.diff(before, snapshot.take(busy.lab, ["c1", "c2"]))
    assert not problems, f"{len(problems)} of {len(cases)}:\n" + "\n".join(problems)
    assert not changes, f"the host is not as it was:\n{changes}"


def test_the_table_is_long():
    assert sum(len(cases) for _, cases in GROUPS.values()) > 600


def test_the_neighbour_still_works(busy):
    """After everything above, the container that was there before is still reached."""
    server = busy.lab.tcp_server("c2", port=80)
    assert busy.lab.probe("outside", "192.0.2.1", 8080).server == "c2"
    server.close()


def test_without_descriptors(busy):
    """An error object or success, never a signal, and nothing left behind."""
    before = snapshot.take(busy.lab, ["c1", "c2"])
    busy.lab.write("/run/limited", f"#!/bin/sh\nexec prlimit --nofile=5 {busy.executable('bridge')}\n")
    busy.lab.run(["chmod", "+x", "/run/limited"])
    outcome = busy.call("ADD", "bridge", BRIDGE, binary="/run/limited")
    if not outcome.ok:
        shapes.check_error(outcome.refused().json)
        assert not snapshot.diff(before, snapshot.take(busy.lab, ["c1", "c2"]))
    busy.delete("bridge", BRIDGE).expect()


def test_full_state_directory(cni):
    """A full tmpfs is an error in words, and the next ADD with space works."""
    configs.warm(cni, BRIDGE)
    lab = cni.lab
    used = int(lab.run(["df", "-k", "--output=used", "/run"]).stdout.split()[1])
    lab.run(["mount", "-o", f"remount,size={used}k", "/run"])
    config = configs.publish(BRIDGE, configs.port(20000, 10000, range=5000), configs.port(9000, 80))
    outcomes = [cni.add("bridge", {**config, "name": f"bad{i}"}, "c1", ifname=f"e{i}") for i in range(3)]
    for outcome in outcomes:
        assert outcome.status in (0, 1), str(outcome)
    lab.run(["mount", "-o", "remount,size=64m", "/run"])
    for i in range(3):
        cni.delete("bridge", {**config, "name": f"bad{i}"}, "c1", ifname=f"e{i}").expect()
    configs.attach(cni, config, "c1")
