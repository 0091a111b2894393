# SPDX-License-Identifier: GPL-2.0-or-later
"""Overlays of a cluster by netctl, with an agent that answers what the test says; with the real one in tests/overlay."""
import errno
import json
import time

import pytest

from support.agent import Agent, fail, me, network, node
from support.netctl import FAILED, NO, NOT_FOUND, USAGE

FILE = "/etc/cni/net.d/fairlead-web.conflist"


@pytest.fixture
def agent(lab):
    with Agent(lab) as agent:
        agent.network.update({"network.vni": 0x100000, "network.subnets[0].subnet": "10.128.0.0/24"})
        yield agent


def plugin(lab, path=FILE):
    [found] = json.loads(lab.read(path))["plugins"]
    return found


# ---- create ----

def test_create(lab, netctl, agent):
    said = netctl("network", "create", "-d", "overlay", "web").expect(0, FILE, "10.128.0.0/24", "VNI 1048576")
    assert "joined" not in said.stdout
    asked = agent.asked()[-1]
    assert [asked[key] for key in ("op", "network", "settings.n_subnets", "settings.vni")] == ["CREATE", "web", 0, 0]
    assert plugin(lab) == {"type": "overlay", "mode": "etcd", "ipMasq": True, "dns": {"enabled": True}, "checkHostPorts": True,
                           "capabilities": {"ips": True, "mac": True, "aliases": True, "dns": True, "portMappings": True}}


def test_create_with_settings(lab, netctl, agent):
    agent.network["network.internal"] = 1
    netctl("network", "create", "-d", "overlay", "web", "--subnet", "10.5.0.0/16", "--subnet", "fd05::/64", "--internal",
           "--isolate", "--ipv6", "-o", "vni=4711", "-o", "port=4790", "-o", "mtu=1400", "-o", "broadcast=true", "-o", "mode=l3",
           "-o", "guarded=true", "-o", "dns.enabled=false").expect()
    s = {key.removeprefix("settings."): value for key, value in agent.asked()[-1].items()}
    assert [s[key] for key in ("vni", "port", "mtu", "mode", "internal", "broadcast", "ipv6", "n_subnets")] == [
        4711, 4790, 1400, 1, 1, 1, 1, 2]
    assert [s[f"subnets[{i}].subnet"] for i in range(2)] == ["10.5.0.0/16", "fd05::/64"]
    made = plugin(lab)
    assert made["internal"] and "ipMasq" not in made and made["isolate"] and made["guarded"] and not made["dns"]["enabled"]
    assert not {"vni", "port", "mtu", "broadcast"} & set(made) and made["mode"] == "etcd"


def test_create_with_a_gateway(netctl, agent):
    netctl("network", "create", "-d", "overlay", "web", "--subnet", "10.5.0.0/16", "--gateway", "10.5.9.9").expect()
    assert agent.asked()[-1]["settings.subnets[0].gateway"] == "10.5.9.9"


@pytest.mark.parametrize("options, word", [
    (["-o", "vni=0"], "vni"), (["-o", "vni=16777216"], "vni"), (["-o", "port=x"], "port"), (["-o", "mode=l4"], "l3"),
    (["-o", "garded=true"], "did you mean guarded"), (["-o", "guarded=maybe"], "guarded: expected true or false"),
    (["--ip-range", "10.5.0.0/24", "--subnet", "10.5.0.0/16"], "ip-range"), (["--parent", "up0"], "parent"),
    (["--subnet", "10.5.0.0/16", "--subnet", "10.6.0.0/16"], "--subnet 10.6.0.0/16: an overlay of a cluster has at most one"), (["--subnet", "10.5.0.1/16"], "host bits"),
    (["--internal", "--subnet", "10.5.0.0/16", "--gateway", "10.5.0.9"], "--gateway"), (["-o", "mode=static"], "--subnet"),
])
def test_create_refused(lab, netctl, agent, options, word):
    netctl("network", "create", "-d", "overlay", "web", *options).expect(USAGE, word)
    assert not agent.asked() and not lab.exists(FILE)


def test_name_too_long(netctl, agent):
    netctl("network", "create", "-d", "overlay", "w" * 64).expect(USAGE, "63")
    netctl("network", "create", "-d", "overlay", "w" * 63).expect()


def test_join_what_is_there(lab, netctl, agent):
    agent.plan["CREATE"] = fail(errno.EEXIST, 102, "network web is in the cluster")
    netctl("network", "create", "-d", "overlay", "web").expect(0, "joined", "10.128.0.0/24")
    assert agent.ops == ["CREATE", "JOIN"] and agent.asked()[-1]["create"]
    assert plugin(lab)["mode"] == "etcd"


def test_contradiction(lab, netctl, agent):
    agent.plan["CREATE"] = fail(errno.EEXIST, 102, "network web is in the cluster")
    agent.plan["JOIN"] = fail(errno.EEXIST, 102, "network web is in the cluster with another vni")
    netctl("network", "create", "-d", "overlay", "web", "-o", "vni=7").expect(FAILED, "another vni")
    assert agent.asked()[-1]["settings.vni"] == 7 and not lab.exists(FILE)


def test_file_that_cannot_be_written(lab, netctl, agent):
    """What was made for it is taken away again; what was there already stays."""
    lab.run(["mount", "-o", "remount,ro", "/etc/cni"])
    netctl("network", "create", "-d", "overlay", "web").expect(FAILED, "/etc/cni")
    assert agent.ops == ["CREATE", "REMOVE"]


def test_no_agent(lab, netctl):
    said = netctl("network", "create", "-d", "overlay", "web").expect(FAILED)
    for word in ("/etc/fairlead/overlay.json", "endpoints", "systemctl", "--background"):
        assert word in said.stderr
    lab.write("/etc/fairlead/overlay.json", "{}")
    said = netctl("network", "create", "-d", "overlay", "web").expect(FAILED, "does not run", "systemctl")
    assert "endpoints" not in said.stderr and not lab.exists(FILE)
    netctl("node", "ls").expect(FAILED, "does not run")


def test_static_by_options(lab, netctl, agent):
    netctl("network", "create", "-d", "overlay", "web", "--subnet", "10.5.0.0/16", "--ip-range", "10.5.1.0/24", "-o", "mode=static",
           "-o", "vni=7", "-o", 'peers=["192.0.2.1","192.0.2.9"]', "-o", "nodeAddress=10.5.255.1/16").expect()
    made = plugin(lab)
    assert made["mode"] == "static" and made["peers"] == ["192.0.2.1", "192.0.2.9"] and made["ipam"]["ranges"] and made["ipMasq"]
    assert not agent.asked()


# ---- attach ----

def test_attach_adopts(lab, netctl, agent):
    """The file is made; what the plugin then needs is not this test's."""
    lab.netns("ns1")
    agent.network["network.internal"] = 1
    said = netctl("attach", "web", "ns1")
    assert FILE in said.stderr and plugin(lab)["internal"]
    assert "JOIN" in agent.ops


def test_attach_to_nothing(lab, netctl, agent):
    lab.netns("ns1")
    agent.plan["JOIN"] = fail(errno.ENOENT, 3, "the cluster fairlead has no network web")
    netctl("attach", "web", "ns1").expect(NOT_FOUND, "network create web")
    agent.plan["JOIN"] = fail(errno.ETIMEDOUT, 11, "etcd does not answer")
    netctl("attach", "web", "ns1").expect(NOT_FOUND, "etcd does not answer")
    netctl("attach", "w" * 64, "ns1").expect(NOT_FOUND)
    assert agent.ops == ["JOIN", "JOIN"] and not lab.exists(FILE)


def test_attach_asks_no_one_for_a_known_network(lab, netctl, agent):
    lab.netns("ns1")
    netctl("network", "create", "plain").expect()
    netctl("attach", "plain", "ns1").expect()
    assert not agent.asked()


# ---- ls, inspect ----

def test_ls(netctl, agent):
    agent.shown += [network("web"), network("far", subnet="10.129.0.0/24")]
    netctl("network", "create", "-d", "overlay", "web").expect()
    rows = {row["name"]: row for row in netctl.json("network", "ls")}
    assert rows["far"]["driver"] == "overlay" and rows["far"]["subnets"] == ["10.129.0.0/24"]
    assert rows["far"]["cluster"] is True and rows["far"]["file"] == "" and "cluster" not in rows["web"]
    assert "(other nodes)" in netctl("network", "ls").expect().stdout
    agent.plan["SHOW"] = fail(errno.EIO, 102, "no")
    assert "not shown: no" in netctl("network", "ls").expect().stderr


def test_ls_starts_nothing(lab, netctl):
    netctl("network", "ls").expect()
    assert not [name for name in lab.files(f"/run/fairlead/{lab.cookie()}") if "overlay" in name]


def test_inspect(netctl, agent):
    agent.shown += [node("node1"), node("node2", "suspect", "192.0.2.2"), network("web", nodes=["node1", "node2"], local=1, remote=2)]
    found = netctl.json("network", "inspect", "web")[0]
    assert (found["vni"], found["port"], found["mtu"], found["mode"]) == (0x100000, 4789, 1450, "l2")
    assert (found["endpointsHere"], found["endpointsElsewhere"], found["subnets"]) == (1, 2, ["10.128.0.0/24"])
    assert [(n["name"], n["state"], n["vteps"]) for n in found["nodes"]] == [
        ("node1", "alive", ["192.0.2.1"]), ("node2", "suspect", ["192.0.2.2"])]
    assert found["nodes"][0]["self"] and not found["nodes"][1]["self"]
    said = netctl("network", "inspect", "web").expect().stdout
    assert "suspect" in said and "1048576" in said
    netctl("network", "create", "-d", "overlay", "web").expect()
    assert netctl.json("network", "inspect", "web")[0]["vni"] == 0x100000
    netctl("network", "inspect", "wed").expect(NOT_FOUND)


# ---- rm ----

def test_rm(lab, netctl, agent):
    netctl("network", "create", "-d", "overlay", "web").expect()
    netctl("network", "rm", "web").expect()
    assert agent.ops[-1] == "REMOVE" and agent.asked()[-1]["network"] == "web" and not lab.exists(FILE)


def test_rm_in_use_elsewhere(lab, netctl, agent):
    netctl("network", "create", "-d", "overlay", "web").expect()
    agent.plan["REMOVE"] = fail(errno.EBUSY, 102, "network web has 3 endpoints on node2")
    netctl("network", "rm", "web").expect(FAILED, "3 endpoints on node2", "--local")
    assert lab.exists(FILE)
    agent.forget()
    netctl("network", "rm", "--local", "web").expect()
    assert not agent.asked() and not lab.exists(FILE)


def test_rm_of_what_the_cluster_lost(lab, netctl, agent):
    netctl("network", "create", "-d", "overlay", "web").expect()
    agent.plan["REMOVE"] = fail(errno.ENOENT, 3, "no network web")
    netctl("network", "rm", "web").expect()
    assert not lab.exists(FILE)


def test_rm_without_an_agent(lab, netctl):
    with Agent(lab):
        netctl("network", "create", "-d", "overlay", "web").expect()
    netctl("network", "rm", "web").expect(FAILED, "--local")
    assert lab.exists(FILE)
    netctl("network", "rm", "web", "--local").expect()


def test_rm_of_a_network_without_a_file(netctl, agent):
    agent.shown.append(network("far"))
    netctl("network", "rm", "far").expect(0, "far")
    assert agent.ops[-1] == "REMOVE"
    netctl("network", "rm", "for").expect(NOT_FOUND)
    netctl("network", "rm", "--local", "far").expect(NOT_FOUND)


def test_prune_leaves_the_cluster_alone(lab, netctl, agent):
    netctl("network", "create", "-d", "overlay", "web").expect()
    agent.forget()
    netctl("network", "prune").expect(0, "web")
    assert "REMOVE" not in agent.ops and not lab.exists(FILE)


# ---- nodes ----

def test_node_ls(netctl, agent):
    agent.shown += [node("node2", "dead", "192.0.2.2", 9000, ["web"]), node("node1")]
    rows = netctl.json("node", "ls")
    assert [(row["name"], row["state"], row["self"]) for row in rows] == [("node1", "alive", True), ("node2", "dead", False)]
    table = netctl("node", "ls").expect().rows
    assert table[0] == ["NODE", "STATE", "FOR", "VTEP", "MTU", "NETWORKS", "THIS"]
    assert table[2][:2] == ["node2", "dead"] and "192.0.2.2" in table[2] and table[2][-1] == "no"
    assert netctl("node", "ls", "-q").expect().stdout.split() == ["node1", "node2"]
    agent.shown[0] = me(reachable=False, error="no majority")
    assert "no majority" in netctl("node", "ls").expect().stderr


def test_node_inspect(netctl, agent):
    agent.shown += [node("node1"), node("node2", "suspect", "192.0.2.2"),
                   {"kind": "endpoint", "network": "web", "id": "e1", "node": "node2", "container": "c2", "ifname": "eth0",
                    "mac": "02:00:00:00:00:01", "ips": ["10.128.0.7"], "name": "site", "aliases": [], "local": False,
                    "suspect": True, "conflict": False}]
    own, other = netctl.json("node", "inspect", "node1"), netctl.json("node", "inspect", "node2")
    assert own["endpoint"] == "http://192.0.2.101:2379" and own["lease"] == 15 and own["endpoints"] == []
    assert "lease" not in other and [e["container"] for e in other["endpoints"]] == ["c2"]
    assert "10.128.0.7" in netctl("node", "inspect", "node2").expect().stdout
    netctl("node", "inspect", "node3").expect(NOT_FOUND, "did you mean")


def test_node_rm(netctl, agent):
    agent.shown += [node("node1"), node("node2", "alive", "192.0.2.2")]
    agent.plan["EVICT"] = fail(errno.EBUSY, 102, "node2 is alive")
    netctl("node", "rm", "node2").expect(FAILED, "node2 is alive")
    assert agent.asked()[-1]["node"] == "node2"
    del agent.plan["EVICT"]
    netctl("node", "rm", "node2").expect(0, "node2")
    agent.plan["LEAVE"] = fail(errno.EBUSY, 102, "this node has 1 endpoint on web")
    netctl("node", "rm", "node1").expect(FAILED, "1 endpoint", "--force")
    del agent.plan["LEAVE"]
    assert netctl("node", "rm", "--force", "node1", "--json").expect().json == ["node1"]
    assert agent.ops[-1] == "LEAVE"


def test_node_names_are_completed(netctl, agent):
    agent.shown += [node("node1"), node("node2"), node("x;reboot")]
    said = netctl("complete", "--", "node", "rm", "").expect().stdout
    assert "node2\talive" in said and "reboot" not in said


# ---- doctor ----

def found(netctl, status=NO):
    """{code: finding}, of those about overlays."""
    outcome = netctl("doctor", "--json").expect(status)
    return {f["code"]: f for f in outcome.json["findings"] if f["code"].startswith("overlay")}


HEALTHY = [node("node1", networks=["web"]), node("node2", "alive", "192.0.2.2", networks=["web"]),
           network("web", nodes=["node1", "node2"])]


def test_doctor_is_content(netctl, agent):
    agent.shown += HEALTHY
    assert not found(netctl, 0)


def test_doctor_without_overlays_asks_no_one(netctl):
    assert not found(netctl, 0)


def test_doctor_without_an_agent(lab, netctl):
    with Agent(lab):
        netctl("network", "create", "-d", "overlay", "web").expect()
    finding = found(netctl)["overlay-agent-down"]
    assert finding["severity"] == "warning" and "systemctl" in finding["remedy"]


@pytest.mark.parametrize("state, code, word", [
    ({"reachable": False, "error": "no majority", "lease": 9}, "overlay-etcd-unreachable", "no majority"),
    ({"reachable": False, "error": "no majority", "lease": None}, "overlay-etcd-unreachable", "suspect"),
    ({"lease": 3}, "overlay-lease-short", "3 s"),
    ({"alarms": ["nospace"]}, "overlay-etcd-alarm", "quota"),
    ({"alarms": ["corrupt", 7]}, "overlay-etcd-alarm", "corrupt"),
])
def test_doctor_about_etcd(netctl, agent, state, code, word):
    agent.shown = [me(**state), *HEALTHY]
    told = found(netctl)
    assert set(told) == {code} and word in told[code]["text"]


@pytest.mark.parametrize("state", ["suspect", "dead"])
def test_doctor_about_nodes(netctl, agent, state):
    agent.shown += [node("node1"), node("node2", state, "192.0.2.99"), network("web", nodes=["node1", "node2"])]
    told = found(netctl)
    assert set(told) == {f"overlay-node-{state}"} and "netctl node rm node2" in told[f"overlay-node-{state}"]["remedy"]


def test_doctor_about_a_node_without_record(netctl, agent):
    agent.shown += [node("node1"), node("node2", "suspect", None, record=False), network("web", nodes=["node1", "node2"])]
    told = found(netctl)
    assert set(told) == {"overlay-node-unknown"} and "netctl node rm node2" in told["overlay-node-unknown"]["remedy"]


def test_doctor_about_a_node_with_a_smaller_mtu(netctl, agent):
    agent.shown += [node("node1"), node("node2", "alive", "192.0.2.2", 1400), network("web", nodes=["node1", "node2"], mtu=1450)]
    finding = found(netctl)["overlay-mtu-too-large"]
    assert "1500" in finding["text"] and "mtu=1350" in finding["remedy"]


def test_doctor_about_a_conflict(netctl, agent):
    agent.shown += [*HEALTHY, {"kind": "endpoint", "network": "web", "id": "e", "node": "node1", "container": "c1", "ifname": "eth0",
                              "mac": "02:00:00:00:00:01", "ips": ["10.128.0.9"], "local": True, "conflict": True}]
    assert "container c1" in found(netctl)["overlay-conflict"]["object"]


def test_doctor_about_the_path(lab, netctl, agent):
    agent.shown += HEALTHY
    lab.run(["ip", "link", "set", "eth0", "mtu", "1400"], netns="outside")
    finding = found(netctl)["overlay-path-mtu"]      # a wire that loses it and says nothing
    assert "1500" in finding["text"] and "nothing on the way" in finding["text"]
    lab.run(["ip", "link", "set", "up0", "mtu", "1440"])
    finding = found(netctl)["overlay-path-mtu"]      # the own interface
    assert "from 1440 to 1500" in finding["remedy"] and "mtu=1390" in finding["remedy"]
    lab.run(["ip", "link", "set", "eth0", "mtu", "1500"], netns="outside")
    lab.run(["ip", "link", "set", "up0", "mtu", "1500"])
    assert not found(netctl, 0)


def test_doctor_about_a_router_that_says_what_fits(lab, netctl, agent):
    """Behind another hop; what the kernel remembers of it is not asked."""
    lab.netns("far")
    lab.run(["ip", "-batch", "-"], netns="outside", input="link add r0 mtu 1420 type veth peer name f0 mtu 1420 netns far\n"
            "addr add 198.51.100.1/24 dev r0\nlink set r0 up\n")
    lab.run(["ip", "-batch", "-"], netns="far", input="addr add 198.51.100.2/24 dev f0\nlink set f0 up\n"
            "route add default via 198.51.100.1\n")
    lab.sysctl("net/ipv4/ip_forward", 1, netns="outside")
    agent.shown += [node("node1"), node("node2", "alive", "198.51.100.2"), network("web", nodes=["node1", "node2"])]
    assert "from 1420 to 1500" in found(netctl)["overlay-path-mtu"]["remedy"]
    for name in ("r0", "f0"):
        lab.run(["ip", "link", "set", name, "mtu", "1500"], netns="outside" if name == "r0" else "far")
    assert not found(netctl, 0)


def test_doctor_about_silence(netctl, agent):
    agent.shown += [node("node1"), node("node2", "alive", "192.0.2.2"), node("node3", "alive", "192.0.2.99"),
                   network("web", nodes=["node1", "node2", "node3"])]
    told = found(netctl)
    assert set(told) == {"overlay-node-silent"} and told["overlay-node-silent"]["object"] == "node node3"


def test_doctor_about_an_underlay_of_ipv6(lab, netctl, agent):
    agent.shown = [me(vtep4=None, vtep6="2001:db8::1"), node("node1"), node("node2", vtep4=None, vtep6="2001:db8::2", self=False),
                  network("web", nodes=["node1", "node2"], mtu=1430)]
    assert not found(netctl, 0)
    lab.run(["ip", "link", "set", "eth0", "mtu", "1400"], netns="outside")
    assert "1500" in found(netctl)["overlay-path-mtu"]["text"]


def test_doctor_about_many_nodes(netctl, agent):
    """All of them at once: a second, however many there are."""
    agent.shown += [node(f"n{i}", "alive", f"198.51.{100 + i // 250}.{i % 250 + 1}") for i in range(1000)]
    start = time.monotonic()
    outcome = netctl("doctor", "--json").expect(NO)
    assert time.monotonic() - start < 10
    assert [f["code"] for f in outcome.json["findings"]].count("overlay-node-silent") == 1000


# ---- what is hostile ----

def test_strange_answers(netctl, agent):
    """The store is everybody's: what is in it is shown as text and never obeyed."""
    agent.shown += [{"kind": "node"}, {"kind": "network", "name": 3, "nodes": [1, None], "subnets": {}}, {"kind": []}, [], {},
                   node("n\x1b[31m"), network("\x1b]0;x\x07", nodes=["\x1b[2J"])]
    for words in (("node", "ls"), ("network", "ls"), ("network", "inspect", "\x1b]0;x\x07")):
        said = netctl(*words)
        assert "\x1b" not in said.stdout + said.stderr, said
