# SPDX-License-Identifier: GPL-2.0-or-later
"""dns.enabled with each main plugin that attaches a container; and with those that cannot have a resolver, which say why."""
import pytest

from support import configs, dns, snapshot

ENABLED = {"dns": {"enabled": True, "forward": False}}
LAN = "198.51.100"


@pytest.fixture
def lan(lab):
    lab.run(["ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1"])
    lab.run(["ip", "-batch", "-"], input=f"addr add {LAN}.1/24 dev lan0\nlink set lan0 up\nlink set lan1 up\n")
    return lab


def ptp(**more):
    return {"cniVersion": configs.VERSION, "name": "net", "type": "ptp", "ipMasq": True, **ENABLED,
            "ipam": configs.host_local(configs.SUBNET, configs.SUBNET6, routes=["0.0.0.0/0"]), **more}


def macvlan(**more):
    config = {"cniVersion": configs.VERSION, "name": "net", "type": "macvlan", "master": "lan0", **ENABLED,
              "ipam": configs.host_local({"subnet": f"{LAN}.0/24", "rangeStart": f"{LAN}.9"}), **more}
    return {key: value for key, value in config.items() if value is not None}


def vlan():
    return {"cniVersion": configs.VERSION, "name": "net", "type": "vlan", "master": "lan0", "vlanId": 7, **ENABLED,
            "ipam": configs.host_local(configs.SUBNET)}


def tap():
    return {"cniVersion": configs.VERSION, "name": "net", "type": "tap", **ENABLED, "ipam": configs.host_local(configs.SUBNET)}


@pytest.mark.parametrize("config", [ptp(), macvlan(), macvlan(master=None, internal=True), macvlan(mode="passthru"), vlan(), tap()],
                         ids=["ptp", "macvlan", "internal macvlan", "passthru", "vlan", "tap"])
def test_kind(lan, cni, config):
    """Names between two containers (where there can be two), and the sandbox afterwards is as it was."""
    plugin, names = config["type"], ["c1"] if config.get("mode") == "passthru" else ["c1", "c2"]
    dns.lo_up(lan, *names)
    if plugin == "ptp":
        configs.warm(cni, config, plugin)
    before = snapshot.take(lan, names, stores=False)
    outcomes = [cni.add(plugin, dns.named(config, f"name-{name}"), name) for name in names]
    if not outcomes[0].ok and "CONFIG_" in outcomes[0].message:
        pytest.skip(outcomes[0].message)
    found = {f"name-{name}": outcome.expect().addresses() for name, outcome in zip(names, outcomes)}
    for asker in names:
        for name, addresses in found.items():
            assert sorted(dns.lookup(lan, asker, name, "ANY")) == sorted(addresses)
        assert dns.no_name(dns.ask(lan, asker, "nobody"))
    for name, outcome in zip(names, outcomes):
        checked = configs.with_previous(config, outcome.json)
        cni.check(plugin, checked, name).expect()
        cni.delete(plugin, config, name).expect()
    assert not snapshot.diff(before, snapshot.take(lan, names, stores=False))


def test_cable(lab, cni):
    """Its record has the addresses of both ends: refused, before anything is made."""
    configs.attach(cni, configs.bridge(), "c1")
    before = snapshot.take(lab, ["c1", "c2"])
    config = {**ptp(name="cable", peer="c1"), "ipMasq": False, "ipam": configs.host_local("10.9.0.0/24")}
    cni.add("ptp", config, "c2").refused(7, "dns.enabled", "peer")
    assert not snapshot.diff(before, snapshot.take(lab, ["c1", "c2"]))


@pytest.mark.parametrize("config", [macvlan(), ptp()], ids=["macvlan", "ptp"])
def test_address_of_one_that_is_gone(lan, cni, config):
    """Nobody sent DEL: the namespace, which our sockets alone keep, is let go when another wants the address."""
    wanted = config["ipam"]["ranges"][0][0]["subnet"].replace(".0/24", ".77")
    plugin = config["type"]
    lan.netns("victim")
    assert cni.add(plugin, configs.runtime(config, ips=[wanted]), "victim").expect().address == wanted
    lan.remove_netns("victim")
    configs.eventually(lambda: cni.add(plugin, configs.runtime(config, ips=[wanted]), "c1").ok)
    assert dns.lookup(lan, "c1", "c1") == [wanted]
    assert dns.no_name(dns.ask(lan, "c1", "victim"))


def test_address_that_comes_late(lab, cni):
    """A foreign IPAM is asked when the interface is there; the name is complete when ADD returns."""
    lab.run(["mkdir", "/run/ipam"])
    lab.write("/run/ipam/fixed", """#!/bin/sh
cat >/dev/null
[ $CNI_COMMAND != ADD ] || echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.77/24"}], "dns": {"domain": "late.example"}}'
""")
    lab.run(["chmod", "+x", "/run/ipam/fixed"])
    config = dns.network(ipam={"type": "fixed"}, isDefaultGateway=None, ipMasq=None, cniVersion="1.0.0")
    outcome = cni.add("bridge", dns.named(config, "web"), path="/run/ipam").expect()
    assert outcome.json["dns"] == {"nameservers": ["127.0.0.11"], "domain": "late.example"}
    for name in ("web", "web.net", "web.late.example"):
        assert dns.lookup(lab, "c1", name) == ["10.1.0.77"]
    assert dns.lookup(lab, "c1", dns.reverse("10.1.0.77"), "PTR") == ["web.net."]
    cni.delete("bridge", config, path="/run/ipam").expect()


@pytest.mark.parametrize("plugin, more", [
    ("host", {}), ("none", {}), ("loopback", {}), ("container", {"container": "c2"}), ("tuning", {}), ("firewall", {}),
    ("portmap", {"runtimeConfig": {"portMappings": [configs.port(8080, 80)]}}), ("sbr", {}), ("bandwidth", {})])
def test_kinds_without_a_resolver(lab, cni, plugin, more):
    """It belongs to the plugin that attaches the container, and the error says so."""
    configs.attach(cni, configs.bridge(), "c2")
    previous = {"cniVersion": configs.VERSION, "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}],
                "ips": [{"address": "10.1.0.9/24", "interface": 0}]}
    config = {"cniVersion": configs.VERSION, "name": "net", "type": plugin, **more, "dns": {"enabled": True},
              "prevResult": previous}
    cni.add(plugin, config).refused(7, "dns.enabled", plugin, "attaches the container")
    cni.add(plugin, {**config, "dns": {"enabled": "yes"}}).refused(6, "dns.enabled")
