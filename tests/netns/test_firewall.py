# SPDX-License-Identifier: GPL-2.0-or-later
"""The firewall plugin behind somebody's main plugin: what it lets through, and what it keeps apart."""
import pytest

from support import configs, snapshot

OUTSIDE = "192.0.2.2"


@pytest.fixture
def plain(lab, cni):
    """Containers on two bridges that no plugin made: b0 has c1 and c2, b1 has c3; the host's policy drops."""
    lab.netns("c3")
    lab.sysctl("net.ipv4.ip_forward", 1)
    lab.run(["ip", "route", "add", "10.0.0.0/8", "via", "192.0.2.1"], netns="outside")
    results = {}
    for name, bridge, net, last in (("c1", "b0", "10.1.0", 2), ("c2", "b0", "10.1.0", 3), ("c3", "b1", "10.2.0", 2)):
        if not configs.link(lab, bridge):
            lab.run(["ip", "link", "add", bridge, "type", "bridge"])
            lab.run(["ip", "addr", "add", f"{net}.1/24", "dev", bridge])
            lab.run(["ip", "link", "set", bridge, "up"])
        veth = f"veth{name}"
        lab.run(["ip", "link", "add", veth, "type", "veth", "peer", "eth0", "netns", name])
        lab.run(["ip", "link", "set", veth, "master", bridge, "up"])
        lab.run(["ip", "-batch", "-"], netns=name, input=f"addr add {net}.{last}/24 dev eth0\nlink set eth0 up\nlink set lo up\n"
                f"route add default via {net}.1\n")
        lab.tcp_server(name, port=80)
        results[name] = {"cniVersion": configs.VERSION,
                         "interfaces": [{"name": bridge}, {"name": veth}, {"name": "eth0", "sandbox": f"/run/netns/{name}"}],
                         "ips": [{"address": f"{net}.{last}/24", "gateway": f"{net}.1", "interface": 2}]}
    lab.tcp_server("outside", port=80)
    return results


def config(result, name="net", **more):
    return {"cniVersion": configs.VERSION, "name": name, "type": "firewall", "prevResult": result, **more}


def drop_policy(lab):
    lab.run(["iptables", "-P", "FORWARD", "DROP"])


@pytest.mark.parametrize("backend", [None, "", "iptables", "nftables"])
def test_outward_traffic_passes_a_dropping_policy(lab, cni, plain, backend):
    drop_policy(lab)
    assert lab.blocked("c1", OUTSIDE, 80)
    more = {} if backend is None else {"backend": backend}
    result = cni.add("firewall", config(plain["c1"], **more)).expect().json
    assert result == plain["c1"]
    assert lab.reaches("c1", OUTSIDE, 80)
    assert lab.blocked("outside", "10.1.0.2", 80)       # new connections from outside stay the host's decision
    assert lab.blocked("c3", OUTSIDE, 80)               # and so do others' containers
    cni.check("firewall", config(plain["c1"], **more)).expect()
    cni.delete("firewall", config(plain["c1"], **more)).expect()
    assert lab.blocked("c1", OUTSIDE, 80)


@pytest.mark.parametrize("prefix", ["/24", "/32"])
def test_many_containers_of_one_network(lab, cni, plain, prefix):
    """Elements are per address: also where each container has a subnet of its own, as behind ptp."""
    drop_policy(lab)
    for number in range(24):
        name = f"m{number}"
        lab.netns(name)
        result = {**plain["c1"], "ips": [{"address": f"10.1.0.{100 + number}{prefix}", "interface": 2}]}
        cni.add("firewall", config(result), name).expect()
    elements = lab.run(["nft", "list", "set", "inet", "fairlead", "hosts4"]).stdout
    assert elements.count("10.1.0.1") == 24
    cni.gc("firewall", config(None), []).expect()
    assert "10.1.0.1" not in lab.run(["nft", "list", "set", "inet", "fairlead", "hosts4"]).stdout


def test_ingress_policies(lab, cni, plain):
    def seen():
        return [lab.reaches("c1", "10.1.0.3", 80) if want else not lab.blocked("c1", "10.1.0.3", 80) for want in (same,)] + \
               [not lab.blocked("c3", "10.1.0.2", 80), not lab.blocked("c1", "10.2.0.2", 80), lab.reaches("c1", OUTSIDE, 80)]
    for policy, same, wanted in (("open", True, [True, True, True, True]), ("same-bridge", True, [True, False, False, True]),
                                 ("isolated", False, [False, False, False, True])):
        confs = {name: config(plain[name], "one" if name != "c3" else "two", ingressPolicy=policy) for name in plain}
        for name, conf in confs.items():
            cni.add("firewall", conf, name).expect()
        assert seen() == wanted, policy
        for name, conf in confs.items():
            cni.check("firewall", conf, name).expect()
            cni.delete("firewall", conf, name).expect()
        for name in plain:
            lab.run(["bridge", "link", "set", "dev", f"veth{name}", "isolated", "off"])


def test_behind_our_bridge(lab, cni):
    """The bridge's own elements stay when the firewall's go."""
    drop_policy(lab)
    main = configs.bridge(ipMasq=False)
    lab.run(["ip", "route", "add", "10.0.0.0/8", "via", "192.0.2.1"], netns="outside")
    result = cni.add("bridge", main).expect().json
    conf = config(result, ingressPolicy="same-bridge")
    before = snapshot.take(lab)
    cni.add("firewall", conf).expect()
    assert lab.reaches("c1", OUTSIDE, lab.tcp_server("outside").port)
    cni.delete("firewall", conf).expect()
    after = snapshot.take(lab)
    before["nft"] = after["nft"] = []
    assert not snapshot.diff({k: v for k, v in before.items() if k != "host/nft"}, {k: v for k, v in after.items() if k != "host/nft"})
    cni.check("bridge", configs.with_previous(main, result)).expect()


@pytest.mark.parametrize("how", ["plain", "no namespace", "no prevResult", "flushed"])
def test_del_however_it_comes(lab, cni, plain, how):
    cni.add("firewall", config(plain["c2"]), "c2").expect()
    before = snapshot.take(lab)
    conf = config(plain["c1"])
    cni.add("firewall", conf).expect()
    if how == "flushed":
        lab.nft("flush ruleset")
    if how == "no prevResult":
        conf = {k: v for k, v in conf.items() if k != "prevResult"}
    for _ in range(2):
        cni.delete("firewall", conf, netns="/run/netns/absent" if how == "no namespace" else "c1").expect()
    assert not snapshot.diff(before, snapshot.take(lab))


def test_check_sees_a_flushed_ruleset(lab, cni, plain):
    cni.add("firewall", config(plain["c1"])).expect()
    lab.nft("flush ruleset")
    cni.check("firewall", config(plain["c1"])).refused(104, "hosts4")


@pytest.mark.parametrize("more, code, words", [
    ({"backend": "ipfw"}, 7, ["backend", "ipfw"]),
    ({"backend": 3}, 6, ["backend"]),
    ({"ingressPolicy": "closed"}, 7, ["ingressPolicy", "closed"]),
    ({"backend": "firewalld"}, 7, ["backend", "firewalld"]),
])
def test_refused(lab, cni, plain, more, code, words):
    before = snapshot.take(lab)
    cni.add("firewall", config(plain["c1"], **more)).refused(code, *words)
    assert not snapshot.diff(before, snapshot.take(lab))


def test_policy_needs_a_bridge(lab, cni, plain):
    result = {**plain["c1"], "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}], "ips": []}
    cni.add("firewall", config(result, ingressPolicy="same-bridge")).refused(7, "ingressPolicy", "bridge")


def test_status_names_what_is_in_the_way(lab, cni, plain):
    lab.nft("table inet mine {\n chain forward {\n type filter hook forward priority 0; policy drop;\n }\n}\n")
    outcome = cni.call("STATUS", "firewall", {"cniVersion": "1.1.0", "name": "net", "type": "firewall"})
    assert outcome.expect().stderr.startswith("note:") and "mine" in outcome.stderr
