# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl and the agents of three nodes, with etcd; what is there is read by ip, bridge, etcdctl and by traffic."""
import ipaddress
import json
import re
import time

import pytest

from support.cluster import Cluster
from support.netctl import FAILED, NO, NOT_FOUND

FILE = "/etc/cni/net.d/fairlead-web.conflist"


@pytest.fixture
def cluster():
    with Cluster(3, 1) as cluster:
        yield cluster


def attach(node, name, network="web"):
    """The container's address. The node may have to hear of the network first."""
    node.lab.netns(name)
    end = time.monotonic() + 5
    while network not in node.netctl("network", "ls", "-q").stdout.split():
        assert time.monotonic() < end, f"{node.name} does not hear of network {network}"
    result = node.netctl("attach", network, name, "--json").expect().json
    return result["ips"][0]["address"].split("/")[0]


def vni_of(cluster, name="web"):
    [found] = [net["vni"] for net in cluster.records("net/").values() if net["name"] == name]
    return found


@pytest.fixture
def web(cluster):
    """Network web, container c1 on node1 and c2 on node2; (cluster, address of c1, of c2)."""
    cluster[0].netctl("network", "create", "-d", "overlay", "web").expect()
    one, two = attach(cluster[0], "c1"), attach(cluster[1], "c2")
    vni = vni_of(cluster)
    own = {key.rsplit("/", 1)[1]: record["ip4"] for key, record in cluster.records("join/").items()}
    for node, there in ((cluster[0], (two, own["node2"])), (cluster[1], (one, own["node1"]))):
        for address in there:
            cluster.wait(lambda node=node, address=address: node.leads_to(vni, address), what="entries")
    return cluster, one, two


def found(node):
    """{code: finding}; the exit status says whether there are any."""
    outcome = node.netctl("doctor", "--json")
    findings = {f["code"]: f for f in outcome.json["findings"] if f["severity"] != "note"}
    outcome.expect(NO if findings else 0)
    return findings


# ---- networks ----

def test_from_create_to_rm(cluster):
    """Made on one node, used on others, removed on any."""
    said = cluster[0].netctl("network", "create", "-d", "overlay", "web").expect()
    [record] = cluster.records("net/").values()
    assert f"VNI {record['vni']}" in said.stdout and record["subnets"][0]["subnet"] in said.stdout
    cluster.wait(lambda: "web" in cluster[1].netctl("network", "ls", "-q").stdout, what="word of it")
    rows = {row["name"]: row for row in cluster[1].netctl.json("network", "ls")}
    assert rows["web"]["cluster"] and rows["web"]["subnets"] == [record["subnets"][0]["subnet"]]
    assert not cluster[1].lab.exists(FILE)
    one, two = attach(cluster[0], "c1"), attach(cluster[1], "c2")
    assert cluster[1].lab.exists(FILE)
    cluster[1].lab.tcp_server("c2", port=80, name="second")
    assert cluster[0].lab.probe("c1", two, 80).server == "second"
    # A node's part in the network may be heard of behind its first container.
    cluster.wait(lambda: len(cluster[0].netctl.json("network", "inspect", "web")[0]["nodes"]) == 2, what="word of both nodes")
    shown = cluster[0].netctl.json("network", "inspect", "web")[0]
    assert (shown["endpointsHere"], shown["endpointsElsewhere"], shown["vni"]) == (1, 1, record["vni"])
    assert {(n["name"], n["state"], n["self"]) for n in shown["nodes"]} == {("node1", "alive", True), ("node2", "alive", False)}
    cluster[0].netctl("detach", "web", "c1").expect()
    cluster[0].netctl("network", "rm", "web").expect(FAILED, "node2", "c2")
    assert cluster[0].lab.exists(FILE) and cluster.keys("net/")
    cluster[1].netctl("detach", "web", "c2").expect()
    cluster[2].netctl("network", "rm", "web").expect(0, "web")
    assert not cluster.keys("net/") and not cluster.keys("netname/") and not cluster.keys("vni/")
    assert one != two


def test_create_where_it_is_there(cluster):
    cluster[0].netctl("network", "create", "-d", "overlay", "web", "--subnet", "10.7.0.0/16", "-o", "vni=77").expect()
    cluster[1].netctl("network", "create", "-d", "overlay", "web").expect(0, "joined", "10.7.0.0/16")
    cluster[2].netctl("network", "create", "-d", "overlay", "web", "-o", "vni=78").expect(FAILED, "vni")
    cluster[2].netctl("network", "create", "-d", "overlay", "web", "--subnet", "10.8.0.0/16").expect(FAILED, "subnet")
    assert not cluster[2].lab.exists(FILE) and len(cluster.keys("net/")) == 1
    cluster[2].netctl("network", "create", "-d", "overlay", "web", "-o", "vni=77", "--subnet", "10.7.0.0/16").expect(0, "joined")


def test_internal_is_kept(cluster):
    cluster[0].netctl("network", "create", "-d", "overlay", "web", "--internal").expect()
    for node in cluster:
        if node.index:
            attach(node, f"c{node.index}")
        [plugin] = json.loads(node.lab.read(FILE))["plugins"]
        assert plugin["internal"] is True and "ipMasq" not in plugin


def test_run_and_names(cluster):
    cluster[0].netctl("network", "create", "-d", "overlay", "web").expect()
    server = cluster[0].netctl.start("run", "web", "--name", "site", "--", "sleep", "60")
    cluster.wait(lambda: cluster.records("ep/"), what="the endpoint")
    cluster.wait(lambda: "web" in cluster[1].netctl("network", "ls", "-q").stdout, what="word of it")
    said = cluster[1].netctl("run", "web", "--", "getent", "ahostsv4", "site").expect()
    [record] = [r for r in cluster.records("ep/").values() if r.get("name") == "site"]
    assert any(said.stdout.startswith(str(address)) for address in json.dumps(record).split('"'))
    server.terminate()
    server.wait(10)


# ---- nodes ----

def test_nodes(web):
    cluster, _, two = web
    rows = cluster[0].netctl.json("node", "ls")
    assert [(row["name"], row["state"], row["vtep4"]) for row in rows] == [
        (f"node{i}", "alive", f"192.0.2.{i}") for i in (1, 2, 3)]
    own = cluster[0].netctl.json("node", "inspect", "node1")
    assert own["reachable"] and own["endpoint"] == cluster.etcd.url("m1") and 0 < own["lease"] <= 15
    other = cluster[0].netctl.json("node", "inspect", "node2")
    assert [(e["container"], e["ips"]) for e in other["endpoints"]] == [("c2", [two])]


@pytest.mark.parametrize("length", [24, 16])
def test_whose_an_address_is(cluster, length):
    """As each node knows it; in a small subnet, and in one of blocks."""
    cluster[0].netctl("network", "create", "-d", "overlay", "web", "--subnet", f"10.7.0.0/{length}").expect()
    cluster.wait(lambda: "web" in cluster[1].netctl("network", "ls", "-q").stdout, what="word of it")
    one, two = attach(cluster[0], "c1"), attach(cluster[1], "c2")

    def who(address, node=0):
        rows = json.loads(cluster[node].netctl("ipam", "who", address, "--json").stdout)
        return [(row["kind"], row["network"], row["label"], row["node"]) for row in rows]

    assert who(one) == [("container", "web", "c1", "")]
    cluster.wait(lambda: who(two) == [("container", "web", "c2", "node2")], what="word of c2")
    assert who("10.7.0.1") == [("gateway", "web", "", "")]
    assert who("10.7.0.0") == who(str(ipaddress.ip_network(f"10.7.0.0/{length}")[-1])) == [("reserved", "web", "", "")]
    nobodys = next(cluster.unused(f"10.7.0.0/{length}"))
    assert who(nobodys) == [("free", "web", "", "")] and who("10.8.0.1") == []
    [far] = json.loads(cluster[2].netctl("ipam", "who", nobodys, "--json").stdout)
    assert far["kind"] == "free" and "takes no part" in far["detail"]
    cluster[1].netctl("detach", "web", "c2").expect()
    cluster.wait(lambda: who(two) == [("quarantined", "web", "", "")], what="the end of c2")
    outcome = cluster[0].netctl("ipam", "who", two)
    assert outcome.status == 4 and "it was freed a short while ago" in outcome.stdout


def test_rm_of_the_own_node(web):
    cluster, _, _ = web
    cluster[0].netctl("node", "rm", "node1").expect(FAILED, "--force")
    cluster[0].netctl("node", "rm", "node2").expect(FAILED, "alive")
    cluster[0].netctl("node", "rm", "--force", "node1").expect(0, "node1")
    cluster.wait(lambda: "node/node1" not in cluster.keys() and "alive/node1" not in cluster.keys(), what="leaving")
    assert not [r for r in cluster.records("ep/").values() if r["node"] == "node1"]
    cluster[1].netctl("node", "inspect", "node9").expect(NOT_FOUND)
    cluster[0].process.wait(10)
    cluster[0].netctl("node", "ls").expect(FAILED, "does not run")


def test_rm_of_a_dead_node():
    with Cluster(2, 1, config={"leaseSeconds": 2}) as cluster:
        cluster[0].netctl("network", "create", "-d", "overlay", "web").expect()
        attach(cluster[0], "c1")
        attach(cluster[1], "c2")
        cluster[1].kill()
        cluster.wait(lambda: "suspect" in cluster[0].netctl("node", "ls").stdout, what="suspicion")
        told = found(cluster[0])
        assert set(told) == {"overlay-node-suspect"} and told["overlay-node-suspect"]["object"] == "node node2"
        cluster[0].netctl("node", "rm", "node2").expect(0, "node2")
        assert not [r for r in cluster.records("ep/").values() if r["node"] == "node2"]
        cluster.wait(lambda: not found(cluster[0]), what="health")


# ---- doctor ----

def test_doctor_is_content(web):
    cluster, _, _ = web
    for node in cluster:
        assert not found(node)


def test_doctor_after_the_last_container_elsewhere(web):
    """Its node takes part a while longer, and has no bridge any more."""
    cluster, _, _ = web
    cluster[1].netctl("detach", "web", "c2").expect()
    assert not found(cluster[0])


@pytest.mark.parametrize("what", ["neighbour", "fdb", "port"])
def test_doctor_finds_missing_entries(web, what):
    cluster, one, two = web
    node, vni = cluster[0], vni_of(cluster)
    tunnel = node.tunnels()[vni]
    mac = node.neighbours(vni)[two]
    node.lab.run({"neighbour": ["ip", "neigh", "del", two, "dev", tunnel["master"]],
                  "fdb": ["bridge", "fdb", "del", mac, "dev", tunnel["ifname"], "self"],
                  "port": ["bridge", "fdb", "del", mac, "dev", tunnel["ifname"], "master"]}[what])
    assert not node.leads_to(vni, two)
    finding = found(node)["overlay-entries-missing"]
    assert "c2" in finding["text"] and "node2" in finding["text"] and finding["text"].startswith("1 of") and finding["repairable"]
    outcome = node.netctl("doctor", "--repair", "--json").expect(0)
    assert [f["code"] for f in outcome.json["findings"] if f["repaired"]] == ["overlay-entries-missing"]
    assert node.leads_to(vni, two) == "192.0.2.2" and one


def test_doctor_finds_stale_entries(web):
    cluster, _, _ = web
    node, vni = cluster[0], vni_of(cluster)
    tunnel = node.tunnels()[vni]
    mac, address = "02:11:22:33:44:55", next(cluster.unused("10.128.0.0/24"))
    node.lab.run(["bridge", "fdb", "add", mac, "dev", tunnel["ifname"], "dst", "192.0.2.77", "self", "permanent"])
    node.lab.run(["ip", "neigh", "add", address, "lladdr", mac, "dev", tunnel["master"], "nud", "permanent"])
    finding = found(node)["overlay-entries-stale"]
    assert finding["text"].startswith("2 entries") and mac in finding["text"]
    node.netctl("doctor", "--repair").expect(0)
    assert mac not in node.fdb(vni) and address not in node.neighbours(vni)


def test_doctor_finds_a_wrong_vtep(web):
    cluster, _, two = web
    node, vni = cluster[0], vni_of(cluster)
    tunnel, mac = node.tunnels()[vni], node.neighbours(vni)[two]
    node.lab.run(["bridge", "fdb", "replace", mac, "dev", tunnel["ifname"], "dst", "192.0.2.3", "self", "permanent"])
    assert {"overlay-entries-missing", "overlay-entries-stale"} <= set(found(node))
    node.netctl("doctor", "--repair").expect(0)
    assert node.leads_to(vni, two) == "192.0.2.2"


def test_doctor_finds_a_blocked_port(web):
    """The underlay answers; only UDP port 4789 is lost."""
    cluster, _, _ = web
    cluster.block_vxlan(0, 1)
    for i, k in ((0, 1), (1, 0)):
        told = found(cluster[i])
        assert set(told) == {"overlay-port-blocked"}
        assert told["overlay-port-blocked"]["object"].startswith(f"node node{k + 1}") and "4789" in told["overlay-port-blocked"]["remedy"]
    cluster.heal(0)
    assert not found(cluster[0])


def test_doctor_finds_a_narrow_path(web):
    cluster, _, _ = web
    cluster.outside.run(["ip", "link", "set", "n1", "mtu", "1400"])
    told = found(cluster[0])
    assert set(told) == {"overlay-path-mtu"} and told["overlay-path-mtu"]["object"] == "node node2"


def test_doctor_finds_a_dead_wire(web):
    cluster, _, _ = web
    cluster.cut(0, 1)
    told = found(cluster[0])
    assert set(told) == {"overlay-node-silent"} and told["overlay-node-silent"]["object"] == "node node2"


def test_doctor_finds_etcd_gone(web):
    cluster, one, two = web
    cluster.etcd.kill("m1")
    cluster.wait(lambda: "overlay-etcd-unreachable" in cluster[0].netctl("doctor", "-q").stdout, 20, "the finding")
    assert set(found(cluster[0])) == {"overlay-etcd-unreachable"}
    assert "etcd cannot be reached" in cluster[0].netctl("node", "ls").expect().stderr
    cluster[1].lab.tcp_server("c2", port=80, name="second")
    assert cluster[0].lab.probe("c1", two, 80).server == "second" and one
    cluster.etcd.start("m1")
    cluster.wait(lambda: not cluster[0].netctl("doctor", "-q").stdout, 20, "health")


def test_doctor_finds_the_agent_gone(web):
    cluster, _, _ = web
    cluster[0].kill()
    finding = found(cluster[0])["overlay-agent-down"]
    assert finding["severity"] == "error" and "systemctl" in finding["remedy"]
    cluster[0].netctl("network", "rm", "web").expect(FAILED)
    cluster[0].start()
    cluster.wait(lambda: not cluster[0].netctl("doctor", "-q").stdout, 20, "health")


def test_doctor_finds_a_tunnel_of_another_port(web):
    """Of another's making: the agent mends what is missing, and takes nothing away that is not its own."""
    cluster, _, _ = web
    node, vni = cluster[0], vni_of(cluster)
    tunnel = node.tunnels()[vni]["ifname"]
    node.lab.run(["ip", "-batch", "-"], input=f"link del {tunnel}\n"
                 f"link add {tunnel} type vxlan id {vni} dstport 4799 local 192.0.2.1\n")
    assert "4799" in found(node)["overlay-tunnel"]["text"]


def test_doctor_finds_a_smaller_node(cluster):
    """The network says what its MTU is, whatever nodes come later."""
    cluster[0].netctl("network", "create", "-d", "overlay", "web", "-o", "mtu=1450").expect()
    attach(cluster[0], "c1")
    cluster[1].stop()
    cluster[1].lab.run(["ip", "link", "set", "up0", "mtu", "1400"])
    cluster[1].start()
    attach(cluster[1], "c2")
    told = cluster.wait(lambda: found(cluster[0]).get("overlay-mtu-too-large"), what="the finding")
    assert "node2" in told["object"] and "mtu=1350" in told["remedy"]


# ---- examples ----

def test_examples_of_help(web):
    """Those that need a cluster; the others are run without one."""
    cluster, _, _ = web
    netctl = cluster[0].netctl
    lines = [line for verb in (["network", "create"], ["node", "ls"], ["node", "inspect"], ["node", "rm"])
             for line in re.findall(r"^  (netctl \S.*)", netctl("help", *verb).expect().stdout.partition("Examples:\n")[2], re.M)
             if "overlay" in line or " node " in line]
    assert len(lines) == 4
    for line in lines:
        if "node rm" in line:
            netctl(*line.split()[1:]).expect(FAILED, "alive")
        else:
            netctl(*line.split()[1:]).expect()
