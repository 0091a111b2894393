# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl on nodes that route to each other (mode l3): what it says of each entry of the kernel that ip and bridge break."""
import ipaddress
import json
import time

import pytest

from support.cluster import Cluster
from support.netctl import NO
from support.nodes import OUTSIDE4, vtep

OURS = "102"
FAMILIES = pytest.mark.parametrize("family", [4, 6])


def config():
    return {"cniVersion": "1.1.0", "name": "web", "type": "overlay", "mode": "etcd", "overlayMode": "l3", "ipMasq": True,
            "subnets": ["10.5.0.0/16", "fd05::/64"]}


class Net:
    """Two nodes, c1 and c2 on each; what the store has of them, by etcdctl."""

    def __init__(self, cluster):
        self.cluster, self.host = cluster, cluster[0]
        self.where = {}
        for node in cluster:
            for name in ("c1", "c2"):
                self.where[node.index, name] = node.attach(config(), name)[0].addresses()
                for at in ("0.0.0.0", "::"):
                    node.lab.tcp_server(name, at, 80)
        [(key, record)] = cluster.records("net/").items()
        self.id, self.vni = key.split("/")[1], record["vni"]
        self.joins = {key.split("/")[2]: record for key, record in cluster.records(f"join/{self.id}/").items()}
        self.tunnel = self.host.tunnels()[self.vni]["ifname"]
        self.bridge = "flo" + self.tunnel[3:]
        self.mac = self.joins["node2"]["mac"]

    def address(self, i, family):
        return self.joins[f"node{i + 1}"][f"ip{family}"]

    def block(self, i, family):
        [found] = [key.rsplit("/", 1)[1].replace("-", "/") for key, record in self.cluster.records(f"blk/{self.id}/").items()
                   if record.get("node") == f"node{i + 1}" and (":" in key) == (family == 6)]
        return found

    def far(self, family, name="c1"):
        return self.where[1, name][family == 6]

    def near(self, family, name="c1"):
        return self.where[0, name][family == 6]

    def words(self, text, family):
        """A command, with the network's names and addresses in it."""
        return text.format(tunnel=self.tunnel, bridge=self.bridge, mac=self.mac, block=self.block(1, family), own=self.block(0, family),
                           via=self.address(1, family), me=self.address(0, family), far=self.far(family), near=self.near(family),
                           subnet=config()["subnets"][family == 6], bits=32 if family == 4 else 128, vtep=vtep(1),
                           gateway="10.5.0.1" if family == 4 else "fd05::1").split()

    def run(self, text, family, **options):
        words = self.words(text, family)
        return self.host.lab.run([*words[:1], *([f"-{family}"] if words[0] == "ip" else []), *words[1:]], **options)

    def kernel(self):
        """What leads to the other node, and what this one has."""
        lab = self.host.lab
        show = [lab.ip(f"-{family}", *what) for family in (4, 6) for what in
                (("rule",), ("route", "show", "proto", OURS), ("neigh", "show", "dev", self.tunnel, "nud", "permanent"),
                 ("neigh", "show", "dev", self.bridge, "nud", "permanent"))]
        addresses = {link: sorted(a["local"] for a in lab.ip("addr", "show", "dev", link)[0]["addr_info"] if a["scope"] == "global")
                     for link in (self.tunnel, self.bridge)}
        return [sorted(json.dumps(one, sort_keys=True) for one in shown) for shown in show], addresses, self.host.fdb(self.vni)

    def doctor(self, *options):
        return json.loads(self.host.netctl("doctor", "--json", *options).stdout)["findings"]

    def why(self, *words, verdict):
        shown = json.loads(self.host.netctl("why", *words, "--json").stdout)
        assert shown["verdict"] == verdict, shown
        return {s["step"]: s for s in shown["steps"]}


@pytest.fixture(scope="module")
def web():
    with Cluster(nodes=2) as cluster:
        yield Net(cluster)


@pytest.fixture
def mended(web):
    """Whatever the test broke is as it was when it ends."""
    before = web.kernel()
    assert not web.doctor()
    yield web
    web.cluster.wait(lambda: web.kernel() == before and not web.doctor(), what="what was there")


def caught(change, look):
    """What is seen between a change and its mending by the agent, 50 ms later: which may make anew what is to be changed."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        seen = change().returncode == 0 and look()
        if seen:
            return seen
    raise AssertionError("it was mended each time before it was seen")


def found(web, code):
    return next((f for f in web.doctor() if f["code"] == code), None)


# ---- what is there ----

def test_inspect(web):
    shown = web.host.netctl.json("network", "inspect", "web")[0]
    assert shown["mode"] == "l3"
    assert {node["name"]: set(node["blocks"]) for node in shown["nodes"]} == {
        f"node{i + 1}": {web.block(i, 4), web.block(i, 6)} for i in (0, 1)}
    for i in (0, 1):
        [on] = web.host.netctl.json("node", "inspect", f"node{i + 1}")["onNetworks"]
        assert (on["network"], on["mode"], set(on["blocks"])) == ("web", "l3", {web.block(i, 4), web.block(i, 6)})
        assert on["ips"] == [web.address(i, 4), web.address(i, 6)] and on["mac"] == web.joins[f"node{i + 1}"]["mac"]


def test_topology(web):
    [net] = web.host.netctl.json("topology")["networks"]
    assert net["link"] == web.bridge and "l3" in net["flags"] and {a.split("/")[0] for a in net["gateways"]} == {"10.5.0.1", "fd05::1"}
    [node] = net["nodes"]
    assert (node["node"], node["tunnel"], node["count"]) == ("node2", web.tunnel, 2)
    assert sorted(p["addresses"] for p in node["peers"]) == sorted([web.where[1, name] for name in ("c1", "c2")])
    for form in ((), ("--dot",), ("--svg",)):
        said = web.host.netctl("topology", *form).expect().stdout
        assert "node2" in said and (form == ("--svg",) or web.tunnel in said)


@FAMILIES
def test_the_whole_way(web, family):
    for who in ("c1", "host"):
        steps = web.why(who, web.far(family), verdict="not known")     # the other node is not looked at
        assert [name for name, step in steps.items() if step["ok"] is not True] == ["elsewhere"]
        assert web.address(1, family) in steps["node route"]["detail"] and "node2" in steps["node route"]["detail"]
        assert web.mac in steps["neighbour"]["detail"] and vtep(1) in steps["FDB"]["detail"] and "up0" in steps["underlay"]["detail"]
    steps = web.why("c1", web.address(1, family), verdict="reached")
    assert "node2" in steps["node route"]["detail"] and "outside" not in steps
    steps = web.why(web.far(family), f"[{web.near(family)}]:80", verdict="reached")
    assert steps["forward"]["ok"] and web.tunnel in steps["node"]["detail"]
    for name in ("node route", "neighbour", "FDB", "underlay"):
        assert steps[name]["ok"] and steps[name]["detail"].startswith("the answer: ")
    assert web.host.lab.probe("c1", web.far(family), 80).server == "c1"


def test_nobody_there(web):
    assert "no node's block" in web.why("c1", next(web.cluster.unused("10.5.0.0/16")), verdict="not reached")["node route"]["detail"]
    near = str(ipaddress.ip_address(web.near(4)) + 20)
    assert "no container" in web.why("c1", near, verdict="not reached")["endpoint"]["detail"]


def test_a_container_in_anothers_block(web):
    """Its own route is part of the way, and of what doctor compares."""
    address = str(ipaddress.ip_network(web.block(0, 4))[50])
    asked = {**config(), "runtimeConfig": {"ips": [address]}, "capabilities": {"ips": True}}
    web.cluster[1].attach(asked, "b1")
    web.cluster.wait(lambda: web.host.lab.ip("route", "show", f"{address}/32", "dev", web.tunnel), what="its route")
    assert not web.doctor()
    assert web.why("c1", address, verdict="not known")["node route"]["ok"]
    web.host.lab.run(["ip", "route", "del", address, "dev", web.tunnel])
    [finding] = web.doctor()
    assert finding["code"] == "overlay-entries-missing" and f"{address}/32" in finding["text"] and "node2" in finding["text"]
    web.host.netctl("doctor", "--repair").expect()
    assert web.host.lab.ip("route", "show", f"{address}/32", "dev", web.tunnel)
    web.cluster[1].cni.delete("overlay", asked, "b1").expect()
    web.cluster[1].lab.remove_netns("b1")
    web.cluster.wait(lambda: not web.host.lab.ip("route", "show", f"{address}/32") and not web.doctor(), what="its end")


# ---- what the agent mends ----

MISSING, STALE = "overlay-entries-missing", "overlay-entries-stale"
ENTRIES = {     # what breaks it; what doctor finds; the step of why that fails, and what it says
    "route": ("ip route del {block} dev {tunnel}", {MISSING}, "node route", "no route"),
    "route-elsewhere": ("ip route replace {block} via {far} dev {tunnel} onlink proto 102", {MISSING, STALE}, "node route", "{far}"),
    "neighbour": ("ip neigh del {via} dev {tunnel}", {MISSING}, "neighbour", "{via}"),
    "neighbour-elsewhere": ("ip neigh replace {via} lladdr 02:00:00:00:00:99 dev {tunnel} nud permanent", {MISSING, STALE}, "neighbour",
                            "{mac}"),
    "FDB": ("bridge fdb del {mac} dev {tunnel} self", {MISSING}, "FDB", "{mac}"),
    "FDB-elsewhere": ("bridge fdb replace {mac} dev {tunnel} dst 192.0.2.77 self permanent", {MISSING, STALE}, "FDB", "192.0.2.77"),
    "route-of-nobody": ("ip route add {subnet} via {via} dev {tunnel} onlink proto 102", {STALE}, None, None),
    "own-block": ("ip route del {own} dev {bridge}", {MISSING}, None, None),
}


@FAMILIES
@pytest.mark.parametrize("what", ENTRIES)
def test_entries(mended, what, family):
    web, (command, codes, step, word) = mended, ENTRIES[what]
    web.run(command, family)
    found = web.doctor()
    assert {f["code"] for f in found} >= codes and all(f["object"] == "network web" for f in found if f["code"] in codes)
    assert {f["code"] for f in found} - codes <= {"overlay-port-blocked"}
    if step:
        assert web.host.lab.blocked("c1", web.far(family), 80)
        for who in (("c1", web.far(family)), (web.far(family), "c1"), ("host", web.far(family))):
            told = web.why(*who, verdict="not reached")[step]
            assert told["ok"] is False and " ".join(web.words(word, family)) in told["detail"] and "--repair" in told["remedy"]
    web.host.netctl("doctor", "--repair").expect()
    assert web.host.lab.probe("c1", web.far(family), 80).server == "c1"


@FAMILIES
@pytest.mark.parametrize("command", ["ip addr del {me}/{bits} dev {tunnel}", "ip addr del {gateway}/{bits} dev {bridge}"])
def test_addresses(mended, command, family):
    web = mended
    finding = caught(lambda: web.run(command, family, check=False), lambda: found(web, "overlay-address-missing"))
    assert finding["repairable"] and finding["remedy"] == " ".join(web.words(command, family)).replace("addr del", "addr add")
    web.host.netctl("doctor", "--repair").expect()


def test_a_tunnel_in_a_bridge(mended):
    web = mended
    change = lambda: web.host.lab.run(["ip", "link", "set", web.tunnel, "master", web.bridge], check=False)  # noqa: E731
    remedy = f"ip link set {web.tunnel} nomaster"     # another one while the agent makes it anew
    caught(change, lambda: next((f for f in web.doctor() if f["code"] == "overlay-tunnel" and f["remedy"] == remedy), None))

    def told():
        shown = json.loads(web.host.netctl("why", "c1", web.far(4), "--json").stdout)
        return next((step for step in shown["steps"] if step["step"] == "tunnel" and step["remedy"] == remedy), None) \
            if shown["verdict"] == "not reached" else None
    assert not caught(change, told)["ok"]
    web.host.netctl("doctor", "--repair").expect()
    assert "master" not in web.host.lab.ip("link", "show", web.tunnel)[0]


# ---- what others put in the way ----

TAKEN = {       # command; what undoes it
    "refused": ("ip route add unreachable {far} metric 5", "ip route del unreachable {far} metric 5"),
    "longer": ("ip route add {far}/{bits} dev up0", "ip route del {far}/{bits} dev up0"),
    "table": ("ip rule add to {subnet} lookup 77 priority 50", "ip rule del to {subnet} lookup 77 priority 50"),
    "rule": ("ip rule add iif {bridge} to {subnet} prohibit priority 50", "ip rule del iif {bridge} to {subnet} prohibit priority 50"),
}


@FAMILIES
@pytest.mark.parametrize("what", TAKEN)
def test_ways_that_are_taken(mended, what, family):
    """The remedy that is told is what helps."""
    web, (command, undo) = mended, TAKEN[what]
    if what == "table":
        web.run("ip route add default dev up0 table 77", family)
    web.run(command, family)
    assert web.host.lab.blocked("c1", web.far(family), 80)
    [finding] = [f for f in web.doctor() if f["code"] in ("overlay-route-taken", "route-taken")]
    told = web.why("c1", web.far(family), verdict="not reached")["node route"]
    assert told["ok"] is False and told["remedy"] == finding["remedy"]
    web.host.netctl("doctor", "--repair").expect(NO)       # they are not ours
    if what == "rule":
        assert "rule show" in told["remedy"]
        web.run(undo, family)
    else:
        web.host.lab.run(told["remedy"].split())
    assert web.host.lab.probe("c1", web.far(family), 80).server == "c1"
    assert not [f for f in web.doctor() if f["code"] in ("overlay-route-taken", "route-taken")]
    if what == "table":
        web.run(undo, family)
        web.run("ip rule del to {subnet} lookup main priority 49", family)
        web.run("ip route flush table 77", family)


def test_a_node_that_no_route_leads_to(mended):
    web = mended
    web.host.lab.run(["ip", "route", "add", "unreachable", vtep(1)])
    told = web.why("c1", web.far(4), verdict="not reached")["underlay"]
    assert vtep(1) in told["detail"] and "route" in told["remedy"]
    web.host.lab.run(["ip", "route", "del", "unreachable", vtep(1)])


def test_without_an_agent(mended):
    """What the kernel has is followed all the same."""
    web = mended
    web.host.kill()
    assert web.why("c1", web.far(4), verdict="not known")["underlay"]["ok"]
    web.run("ip neigh del {via} dev {tunnel}", 4)
    assert web.why("c1", web.far(4), verdict="not reached")["neighbour"]["ok"] is False
    assert [f["code"] for f in web.doctor()] == ["overlay-agent-down"]
    web.host.start()


def test_from_outside(web):
    steps = web.why("outside", web.far(4), verdict="not known")
    assert steps["FDB"]["ok"] and OUTSIDE4 in steps["outside"]["detail"]
