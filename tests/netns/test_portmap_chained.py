# SPDX-License-Identifier: GPL-2.0-or-later
"""The portmap plugin behind somebody else's main plugin: its keys and its lifecycle."""
import pytest

from support import configs, snapshot
from support.configs import port

HOST, OUTSIDE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def chained(lab, cni):
    """Containers c1 and c2 on a plain bridge that no plugin made; configurations with their prevResult."""
    lab.run(["ip", "link", "add", "plain0", "type", "bridge"])
    lab.run(["ip", "addr", "add", "10.1.0.1/24", "dev", "plain0"])
    lab.run(["ip", "link", "set", "plain0", "up"])
    lab.sysctl("net.ipv4.ip_forward", 1)
    found = {}
    for number, name in enumerate(("c1", "c2"), 2):
        lab.run(["ip", "link", "add", f"v{name}", "type", "veth", "peer", "eth0", "netns", name])
        lab.run(["ip", "link", "set", f"v{name}", "master", "plain0", "up"])
        lab.run(["bridge", "link", "set", "dev", f"v{name}", "hairpin", "on"])
        lab.run(["ip", "-batch", "-"], netns=name, input=f"addr add 10.1.0.{number}/24 dev eth0\nlink set eth0 up\n"
                "link set lo up\nroute add default via 10.1.0.1\n")
        found[name] = previous(name, f"10.1.0.{number}/24")
        lab.tcp_server(name, port=80)
    return found


def previous(container, address):
    return {"cniVersion": configs.VERSION, "dns": {},
            "interfaces": [{"name": "plain0"}, {"name": "eth0", "sandbox": f"/run/netns/{container}"}],
            "ips": [{"address": address, "gateway": "10.1.0.1", "interface": 1}]}


def config(result, *mappings, **more):
    base = {"cniVersion": configs.VERSION, "name": "net", "type": "portmap", "prevResult": result, **more}
    return configs.publish(base, *mappings) if mappings else base


def test_result_is_passed_on(cni, chained):
    result = cni.add("portmap", config(chained["c1"], (8080, 80))).expect().json
    result.setdefault("dns", {})
    assert result == chained["c1"]


def test_without_ports_nothing_is_touched(lab, cni, chained):
    before = snapshot.take(lab, ["c1"], stores=False)
    for empty in (config(chained["c1"]), configs.runtime(config(chained["c1"]), portMappings=[])):
        cni.add("portmap", empty).expect()
        cni.check("portmap", empty).expect()
        cni.delete("portmap", empty).expect()
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"], stores=False))


def test_needs_a_previous_result(cni, chained):
    without = config(chained["c1"], (8080, 80))
    del without["prevResult"]
    cni.add("portmap", without).refused(None, "prevResult")


def test_foreign_main_plugin(lab, cni, chained):
    """Hairpin and localhost work though the network is not ours."""
    cni.add("portmap", config(chained["c1"], (8080, 80))).expect()
    assert lab.probe("outside", HOST, 8080).peer == OUTSIDE
    assert lab.probe(None, "127.0.0.1", 8080).server == "c1"
    assert lab.probe("c2", HOST, 8080).server == "c1"
    assert lab.probe("c1", HOST, 8080).server == "c1"
    assert lab.sysctl("net.ipv4.conf.plain0.route_localnet") == "1"


def test_masq_all(lab, cni, chained):
    cni.add("portmap", config(chained["c1"], (8080, 80), masqAll=True)).expect()
    assert lab.probe("outside", HOST, 8080).peer == "10.1.0.1"


def test_snat_off(lab, cni, chained):
    cni.add("portmap", config(chained["c1"], (8080, 80), snat=False)).expect()
    assert lab.probe("outside", HOST, 8080).peer == OUTSIDE
    assert lab.sysctl("net.ipv4.conf.plain0.route_localnet") == "0"
    assert lab.blocked(None, "127.0.0.1", 8080)


@pytest.mark.parametrize("more", [{"backend": "iptables"}, {"backend": "nftables"}, {"markMasqBit": 14}, {"snat": True},
                                  {"externalSetMarkChain": "KUBE-MARK-MASQ"}])
def test_keys_of_the_reference_are_accepted(lab, cni, chained, more):
    if "externalSetMarkChain" in more:
        lab.run(["iptables", "-t", "nat", "-N", "KUBE-MARK-MASQ"])
    cni.add("portmap", config(chained["c1"], (8080, 80), **more)).expect()
    assert lab.reaches("outside", HOST, 8080)


def test_conditions_are_refused_in_words(cni, chained):
    """Free text for a rule has no place in constant rules: better an error than a condition that is dropped."""
    outcome = cni.add("portmap", config(chained["c1"], (8080, 80), conditionsV4=["-s", "192.0.2.2"]))
    outcome.refused(2, "conditionsV4")


@pytest.mark.parametrize("how", ["plain", "no runtimeConfig", "no prevResult", "no namespace", "other result"])
def test_del_however_it_comes(lab, cni, chained, how):
    configs_of = {name: config(chained[name], port(8080 + i, 80)) for i, name in enumerate(chained)}
    cni.add("portmap", configs_of["c2"], "c2").expect()
    before = snapshot.take(lab)
    cni.add("portmap", configs_of["c1"], "c1").expect()
    late, netns = dict(configs_of["c1"]), "c1"
    if how == "no runtimeConfig":
        del late["runtimeConfig"]
    elif how == "no prevResult":
        late, netns = {k: v for k, v in late.items() if k not in ("prevResult", "runtimeConfig")}, ""
    elif how == "no namespace":
        netns = "/run/netns/absent"
    elif how == "other result":
        late["prevResult"] = chained["c2"]
    for _ in range(2):
        cni.delete("portmap", late, "c1", netns=netns).expect()
    assert not snapshot.diff(before, snapshot.take(lab))
    assert lab.reaches("outside", HOST, 8081)


def test_check(lab, cni, chained):
    good = config(chained["c1"], (8080, 80), port(5353, 53, "udp"))
    cni.add("portmap", good).expect()
    cni.check("portmap", good).expect()
    lab.run(["nft", "flush", "ruleset"])
    cni.check("portmap", good).refused()
    cni.delete("portmap", good).expect()
    cni.check("portmap", good).refused()


def test_gc(lab, cni, chained):
    for i, name in enumerate(chained):
        cni.add("portmap", {**config(chained[name], port(8080 + i, 80)), "cniVersion": "1.1.0"}, name).expect()
    cni.gc("portmap", {"cniVersion": "1.1.0", "name": "net", "type": "portmap"}, [("c2", "eth0")]).expect()
    assert lab.blocked("outside", HOST, 8080)
    assert lab.reaches("outside", HOST, 8081)


def test_first_address_of_the_interface(lab, cni, chained):
    """Of several addresses the first of each family on CNI_IFNAME counts."""
    result = previous("c1", "10.1.0.2/24")
    result["interfaces"].append({"name": "other0", "sandbox": "/run/netns/c1"})
    result["ips"].insert(0, {"address": "10.99.0.9/24", "interface": 2})
    result["ips"].append({"address": "10.1.0.77/24", "interface": 1})
    cni.add("portmap", config(result, (8080, 80))).expect()
    assert lab.probe("outside", HOST, 8080).address == "10.1.0.2"
