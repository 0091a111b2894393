# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole chains, in every order that makes sense: what each plugin did is there, and all of it goes."""
import itertools

import pytest

from support import configs, snapshot
from support.cni import Chain

HOST = "192.0.2.1"

MAIN = {"type": "bridge", "bridge": "net0", "isGateway": True, "ipMasq": True, "hairpinMode": True,
        "ipam": configs.host_local(configs.SUBNET, routes=["0.0.0.0/0"])}
CHAINED = {"portmap": {"type": "portmap", "capabilities": {"portMappings": True}},
           "firewall": {"type": "firewall", "ingressPolicy": "same-bridge"},
           "tuning": {"type": "tuning", "mtu": 1400, "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}},
           "bandwidth": {"type": "bandwidth", "capabilities": {"bandwidth": True}},
           "sbr": {"type": "sbr"}}
# All orders of four, with bandwidth at one place and the other; sbr moves routes and comes last, as its documentation asks.
ORDERS = [("portmap", "firewall", "tuning", "bandwidth", "sbr"), ("bandwidth", "tuning", "firewall", "portmap", "sbr")] + \
    [order + ("sbr",) for order in itertools.permutations(("portmap", "firewall", "tuning"))]
CAPABILITIES = {"portMappings": [configs.port(8080, 80)],
                "bandwidth": {"ingressRate": 100_000_000, "ingressBurst": 8_000_000, "egressRate": 100_000_000, "egressBurst": 8_000_000}}


def chain(cni, order):
    return Chain(cni, configs.conflist(MAIN, *(CHAINED[name] for name in order)))


def works(lab, source=None):
    """`source`: what the container binds to. Behind sbr only its rules lead out, and they go by the source."""
    lab.tcp_server("c1", port=80)
    assert lab.probe("outside", HOST, 8080).server == "c1"
    assert lab.probe(None, "127.0.0.1", 8080).server == "c1"
    assert lab.probe("c1", HOST, 8080, source=source and (source, 0)).server == "c1"
    assert lab.probe("c1", "192.0.2.2", lab.tcp_server("outside").port, source=source and (source, 0)).peer == HOST


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("policy", ["ACCEPT", "DROP"])
def test_order(lab, cni, order, policy):
    whole = chain(cni, order)
    lab.netns("warm")
    whole.add("warm", capabilities=CAPABILITIES).expect()
    whole.delete("warm", capabilities=CAPABILITIES).expect()
    lab.remove_netns("warm")
    lab.run(["iptables", "-P", "FORWARD", policy])
    before = snapshot.take(lab, ["c1"])
    result = whole.add("c1", capabilities=CAPABILITIES).expect()
    works(lab, result.address)
    assert configs.link(lab, "eth0", "c1")["mtu"] == 1400
    assert lab.sysctl("net/ipv4/conf/eth0/arp_filter", netns="c1") == "1"
    if "bandwidth" in order:
        assert [e for e in lab.ip("link") if e["ifname"].startswith("bwp")]
    assert lab.ip("rule", "show", netns="c1")[1]["src"] == result.address
    whole.check("c1").expect()
    for _ in range(2):
        whole.delete("c1", capabilities=CAPABILITIES).expect()
    after = snapshot.take(lab, ["c1"])
    # The rule that accepts our mark in a foreign chain stays.
    if policy == "DROP":
        before.pop("host/nft"), after.pop("host/nft")
    assert not snapshot.diff(before, after)


@pytest.mark.parametrize("broken", ["portmap", "firewall", "tuning", "bandwidth", "sbr"])
def test_runtime_deletes_after_a_failure_in_the_middle(lab, cni, broken):
    """As libcni: a failed ADD is followed by the DEL of the whole chain."""
    order = ORDERS[0]
    bad = {"portmap": {"conditionsV4": ["x"]}, "firewall": {"backend": "firewalld"}, "tuning": {"mtu": 1}, "bandwidth": {"egressRate": 5},
           "sbr": {"table": 255}}
    plugins = [{**CHAINED[name], **(bad[broken] if name == broken else {})} for name in order]
    configs.warm(cni, {**configs.bridge(), **MAIN, "name": "net"})
    before = snapshot.take(lab, ["c1"])
    whole = Chain(cni, configs.conflist(MAIN, *plugins))
    whole.add("c1", capabilities=CAPABILITIES).refused()
    whole.delete("c1", capabilities=CAPABILITIES).expect()
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


def test_one_bridge_does_the_same(lab, cni):
    """Ports, masquerade, rates and isolation by one plugin with capabilities."""
    conf = {"cniVersion": "1.0.0", "name": "net", **MAIN, "isolate": True, "mtu": 1400,
            "runtimeConfig": CAPABILITIES}
    configs.warm(cni, conf)
    lab.run(["iptables", "-P", "FORWARD", "DROP"])
    before = snapshot.take(lab, ["c1"])
    cni.add("bridge", conf).expect()
    works(lab)
    cni.delete("bridge", conf).expect()
    after = snapshot.take(lab, ["c1"])
    before.pop("host/nft"), after.pop("host/nft")
    assert not snapshot.diff(before, after)
