# SPDX-License-Identifier: GPL-2.0-or-later
"""The man pages' examples: each network configuration in them works as it stands there, on a host that has what it names."""
import pathlib
import re
import shutil

import pytest

from support import dhcp, manpages, snapshot
from support.agent import Agent
from support.cni import Chain

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGES = manpages.all_pages(TOP)
EXAMPLES = [pytest.param(page, example, id=f"{page.name}-{number}") for page in PAGES.values() for number, example in enumerate(page.examples())]
# Kinds of interface that a kernel may lack: the refusal then names the option, as the page does.
MAY_LACK = {"bandwidth", "dummy", "ipvlan", "vlan", "vrf"}
CAPABILITIES = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}], "aliases": ["www"],
                "dns": {"servers": ["192.0.2.2"]}, "bandwidth": {"ingressRate": 80000000, "ingressBurst": 800000}}


def uses(example, plugin):
    return any(p["type"] == plugin or p.get("ipam", {}).get("type") == plugin for p in example["plugins"])


@pytest.fixture
def host(lab, cni):
    """Interfaces with the names of the examples; a container that others join."""
    dhcp.wire(lab, [])
    for name in ("eth0", "eth1", "enp3s0f1"):
        lab.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"to-{name}", "netns", "srv"])
        lab.run(["ip", "link", "set", f"to-{name}", "master", "br0", "up"], netns="srv")
        lab.run(["ip", "link", "set", name, "up"])
    lab.run(["ip", "addr", "add", "192.168.1.10/24", "dev", "eth0"])
    return lab


def prepare(lab, cni, example):
    """What the example's words take for granted; the namespace and id of the container that is attached."""
    owner = next((p.get("peer") or p.get("container") for p in example["plugins"] if p.get("peer") or p["type"] == "container"), None)
    if owner:
        config = {"cniVersion": "1.1.0", "name": "before", "type": "bridge", "bridge": "before0",
                  "ipam": {"type": "host-local", "subnet": "10.99.0.0/24"}}
        cni.add("bridge", config, "c2", args=f"K8S_POD_NAME={owner}").expect()
    if any(p.get("mode") == "etcd" for p in example["plugins"]):
        Agent(lab)
    if uses(example, "dhcp"):
        if not shutil.which("dnsmasq"):
            pytest.skip("dnsmasq is not installed")
        dhcp.dnsmasq(lab)
        dhcp.Daemon(lab)
    if uses(example, "host"):
        return {"netns": lab.alias_netns("own")}
    return {"netns": "c2"} if uses(example, "container") else {}


def refused_by_the_kernel(page, outcome):
    """An option that the page names, too."""
    outcome.refused(100, "CONFIG_")
    option = re.search(r"CONFIG_\w+", outcome.message)[0]
    assert option in page.text, f"{page.path} does not name {option}"
    return option


@pytest.mark.parametrize("page, example", EXAMPLES)
def test_example(host, cni, page, example):
    where = prepare(host, cni, example)
    chain = Chain(cni, example)
    chain.status().expect()
    first = chain.add("c1", capabilities=CAPABILITIES, **where)
    if not first.ok:
        assert any(uses(example, kind) for kind in MAY_LACK), str(first)
        option = refused_by_the_kernel(page, first)
        chain.delete("c1", **where).expect()
        pytest.skip(f"this kernel has no {option}")
    chain.delete("c1", **where).expect()
    # What stays for good is there now.
    before = snapshot.take(host, ["c1", "c2"])
    chain.add("c1", capabilities=CAPABILITIES, **where).expect()
    chain.check("c1", **where).expect()
    chain.gc([("c1", "eth0")]).expect()
    chain.check("c1", **where).expect()
    chain.delete("c1", **where).expect()
    assert not snapshot.diff(before, snapshot.take(host, ["c1", "c2"]))


def test_by_hand(lab):
    """The shell commands of the overview."""
    from support.cni import Cni
    cni = Cni(lab)
    text = next(text for _, text in PAGES["fairlead.7.scd"].blocks if "CNI_COMMAND=ADD" in text)
    text = text.replace("/opt/cni/bin/bridge", cni.executable("bridge"))
    done = lab.run(["sh", "-ec", text])
    assert '"10.77.0.2/16"' in done.stdout
