# SPDX-License-Identifier: GPL-2.0-or-later
"""The sbr plugin: packets leave through the interface that has their source address."""
import concurrent.futures
import re
import shutil

import pytest

from support import configs, probes, snapshot

SHARED4, SHARED6 = "198.51.100.1", "2001:db8:100::1"     # on both routers: who answers tells the way
EDGES = {"eth0": (1, "r1"), "eth1": (2, "r2")}

needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


def address(ifname, family=4):
    number = EDGES[ifname][0]
    return f"10.{number}.0.9" if family == 4 else f"fd00:{number}::9"


def gateway(ifname, family=4):
    number = EDGES[ifname][0]
    return f"10.{number}.0.1" if family == 4 else f"fd00:{number}::1"


def router(lab, name, number):
    """A namespace behind bridge brN that is the gateway, and has the addresses that all routers have."""
    lab.netns(name)
    lab.run(["ip", "-batch", "-"], input=f"""\
link add br{number} type bridge
link set br{number} up
link add v{name} type veth peer name eth0 netns {name}
link set v{name} master br{number} up
""")
    lab.run(["ip", "-batch", "-"], netns=name, input=f"""\
link set lo up
addr add 10.{number}.0.1/24 dev eth0
addr add fd00:{number}::1/64 dev eth0 nodad
addr add {SHARED4}/32 dev lo
addr add {SHARED6}/128 dev lo
link set eth0 up
""")
    for where in ("0.0.0.0", "::"):
        lab.tcp_server(name, where, 80)


def plug(lab, container, ifname):
    """What a main plugin makes: the second default route of IPv4 goes in front, that of IPv6 joins the first."""
    number = EDGES[ifname][0]
    lab.run(["ip", "link", "add", f"{container}{number}", "type", "veth", "peer", ifname, "netns", container])
    lab.run(["ip", "link", "set", f"{container}{number}", "master", f"br{number}", "up"])
    lab.run(["ip", "-batch", "-"], netns=container, input=f"""\
addr add {address(ifname)}/24 dev {ifname}
addr add {address(ifname, 6)}/64 dev {ifname} nodad
link set lo up
link set {ifname} up
route prepend default via {gateway(ifname)} dev {ifname}
route add 203.0.113.0/24 via {gateway(ifname)} dev {ifname} metric {100 + number} mtu 1400
route prepend default via {gateway(ifname, 6)} dev {ifname}
""")
    # The kernel makes this one in its own time.
    local = f"local {address(ifname, 6)} "
    configs.eventually(lambda: local in lab.run(["ip", "-6", "route", "show", "table", "local"], netns=container).stdout)


@pytest.fixture
def wired(lab, cni):
    for number, name in EDGES.values():
        router(lab, name, number)
    for ifname in EDGES:
        plug(lab, "c1", ifname)
    return lab


def result(ifname="eth1", container="c1", **more):
    ips = [{"address": f"{address(ifname)}/24", "gateway": gateway(ifname), "interface": 1},
           {"address": f"{address(ifname, 6)}/64", "gateway": gateway(ifname, 6), "interface": 1}]
    return {"cniVersion": configs.VERSION, "dns": {}, "ips": ips, **more,
            "interfaces": [{"name": "br0"}, {"name": ifname, "sandbox": f"/run/netns/{container}"}]}


def config(ifname="eth1", **more):
    return {"cniVersion": configs.VERSION, "name": f"net-{ifname}", "type": "sbr", "prevResult": result(ifname), **more}


def add(cni, ifname="eth1", **more):
    return cni.add("sbr", config(ifname, **more), ifname=ifname)


def delete(cni, ifname="eth1", **more):
    return cni.delete("sbr", config(ifname), ifname=ifname, **more)


def rules(lab, container="c1"):
    """{source address: table} of both families."""
    found = {}
    for family in ("-4", "-6"):
        for rule in lab.ip(family, "rule", netns=container):
            if rule["src"] != "all":
                assert rule["src"] not in found, "one rule for each address"
                found[rule["src"]] = int(rule["table"])
    return found


def routes(lab, table, container="c1"):
    """Lines of a table; the kernel's own of link-local addresses left out."""
    lines = []
    for family in ("-4", "-6"):
        shown = lab.run(["ip", family, "route", "show", "table", str(table)], netns=container, check=False).stdout
        lines += [re.sub(r" (pref medium|linkdown)", "", line.strip()) for line in shown.splitlines()
                  if not line.startswith("fe80:")]
    return lines


def main_of(lab, ifname, container="c1"):
    return [line for line in routes(lab, "main", container) if f"dev {ifname}" in line]


def way(lab, source=None, family=4, container="c1"):
    """The router at which a connection from this address arrives."""
    target = SHARED4 if family == 4 else SHARED6
    return lab.probe(container, target, 80, source=source and (source, 0)).server


# ---- traffic ----

@pytest.mark.parametrize("family", [4, 6])
def test_packets_leave_by_their_source(wired, cni, family):
    lab = wired
    add(cni).expect()
    assert way(lab, address("eth1", family), family) == "r2"
    assert way(lab, address("eth0", family), family) == "r1"
    # Who has no address yet takes what is left in the main table.
    assert {way(lab, None, family) for _ in range(8)} == {"r1"}


def test_without_the_plugin_it_is_otherwise(wired):
    """The tests above can fail: all goes to the second router, which knows no way back to the first address."""
    assert way(wired) == "r2"
    with pytest.raises(probes.Unreachable):
        wired.probe("c1", SHARED4, 80, source=(address("eth0"), 0), timeout=0.4)


def test_routes_move(wired, cni):
    lab = wired
    other = main_of(lab, "eth0")
    moved = main_of(lab, "eth1")
    outcome = add(cni).expect()
    assert {**outcome.json, "dns": {}} == result()
    assert rules(lab) == {address("eth1"): 100, address("eth1", 6): 101}
    assert main_of(lab, "eth1") == []
    assert [line for line in main_of(lab, "eth0") if "10." in line] == [line for line in other if "10." in line]
    assert sorted(routes(lab, 100)) == sorted(line for line in moved if "10." in line)
    assert routes(lab, 101) == [f"fd00:2::/64 dev eth1 proto kernel metric 256",
                                f"default via {gateway('eth1', 6)} dev eth1 metric 1024"]
    assert "mtu 1400" in "".join(routes(lab, 100))
    assert [r for r in lab.ip("-6", "route", netns="c1") if r["dst"].startswith("fe80:") and r["dev"] == "eth1"]


def test_gateway_without_a_default_route(wired, cni):
    """The main plugin may have added none, because there was one."""
    lab = wired
    lab.run(["ip", "route", "del", "default", "dev", "eth1"], netns="c1")
    add(cni).expect()
    assert f"default via {gateway('eth1')} dev eth1" in routes(lab, 100)
    assert way(lab, address("eth1")) == "r2"


@pytest.mark.parametrize("order", [("eth0", "eth1"), ("eth1", "eth0")])
def test_both_orders(wired, cni, order):
    lab = wired
    for ifname in order:
        add(cni, ifname).expect()
    assert rules(lab) == {address(order[0]): 100, address(order[0], 6): 101, address(order[1]): 102,
                          address(order[1], 6): 103}
    for ifname, (_, name) in EDGES.items():
        for family in (4, 6):
            assert way(lab, address(ifname, family), family) == name
    # The tables of the first are free again for whoever comes next.
    delete(cni, order[0]).expect()
    assert set(rules(lab).values()) == {102, 103}
    assert way(lab, address(order[1])) == EDGES[order[1]][1]
    assert routes(lab, 100) == routes(lab, 101) == []


def test_parallel_adds_get_different_tables(wired, cni):
    lab = wired
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for _ in range(8):
            before = {name: main_of(lab, name) for name in EDGES}
            for outcome in pool.map(lambda name: add(cni, name), EDGES):
                outcome.expect()
            assert sorted(rules(lab).values()) == [100, 101, 102, 103]
            for ifname, (_, name) in EDGES.items():
                assert way(lab, address(ifname)) == name
            for outcome in pool.map(lambda name: delete(cni, name), EDGES):
                outcome.expect()
            assert not rules(lab)
            refill(lab, before)


def refill(lab, lines_of):
    """The main table as main plugins have left it: DEL does not put anything back."""
    for ifname in EDGES:
        assert main_of(lab, ifname) == []
    for ifname, (number, _) in EDGES.items():
        lab.run(["ip", "-batch", "-"], netns="c1", input=f"""\
route add 10.{number}.0.0/24 dev {ifname} proto kernel scope link src {address(ifname)}
route add fd00:{number}::/64 dev {ifname} proto kernel metric 256
route prepend default via {gateway(ifname)} dev {ifname}
route add 203.0.113.0/24 via {gateway(ifname)} dev {ifname} metric {100 + number} mtu 1400
route prepend default via {gateway(ifname, 6)} dev {ifname}
""")
        assert lines_of[ifname]


def test_held_sandbox(wired, cni):
    """Who holds the sandbox (the reference's sbr takes the same lock) is waited for."""
    lab = wired
    holder = lab.start(["flock", "/run/netns/c1", "sh", "-c", "echo held; read line"], stdin=-1, stdout=-1)
    assert holder.stdout.readline() == b"held\n"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(add, cni)
        assert concurrent.futures.wait([waiting], timeout=0.5).not_done
        assert not rules(lab)
        holder.stdin.close()
        waiting.result().expect()


# ---- what is there already ----

def test_tables_in_use_are_passed_over(wired, cni):
    lab = wired
    lab.run(["ip", "rule", "add", "from", "192.0.2.7", "lookup", "100"], netns="c1")
    lab.run(["ip", "-6", "route", "add", "fd00:77::/64", "dev", "eth0", "table", "101"], netns="c1")
    add(cni).expect()
    assert rules(lab) == {"192.0.2.7": 100, address("eth1"): 102, address("eth1", 6): 103}
    delete(cni).expect()
    assert rules(lab) == {"192.0.2.7": 100}
    assert len(routes(lab, 101)) == 1


def test_two_subnets_of_one_interface(wired, cni):
    """Each address has a table with its own gateway."""
    lab = wired
    lab.run(["ip", "addr", "add", "10.9.0.9/24", "dev", "eth1"], netns="c1")
    lab.run(["ip", "route", "add", "192.0.2.0/24", "dev", "eth1"], netns="c1")
    previous = result()
    previous["ips"].insert(1, {"address": "10.9.0.9/24", "gateway": "10.9.0.1", "interface": 1})
    previous["ips"].append({"address": "10.1.0.9/24", "gateway": "10.1.0.1", "interface": 0})
    cni.add("sbr", config(prevResult=previous), ifname="eth1").expect()
    assert rules(lab) == {address("eth1"): 100, "10.9.0.9": 101, address("eth1", 6): 102}
    assert sorted(routes(lab, 101)) == ["10.9.0.0/24 dev eth1 proto kernel scope link src 10.9.0.9",
                                        "192.0.2.0/24 dev eth1 scope link", "default via 10.9.0.1 dev eth1"]
    assert "192.0.2.0/24 dev eth1 scope link" in routes(lab, 100)
    assert f"default via {gateway('eth1')} dev eth1" in routes(lab, 100)


# ---- keys ----

def test_table_adds_rules_alone(wired, cni):
    """As with the reference: the routes are in that table already, by IPAM's key `table`."""
    lab = wired
    before = routes(lab, "main")
    lab.run(["ip", "route", "add", "default", "via", gateway("eth1"), "table", "5001"], netns="c1")
    lab.run(["ip", "-6", "rule", "add", "from", address("eth1", 6), "lookup", "5001"], netns="c1")
    add(cni, table=5001).expect()
    assert rules(lab) == {address("eth1"): 5001, address("eth1", 6): 5001}
    assert routes(lab, "main") == before
    assert way(lab, address("eth1")) == "r2"
    cni.check("sbr", config(table=5001), ifname="eth1").expect()
    delete(cni).expect()
    # What was there before stays.
    assert rules(lab) == {address("eth1", 6): 5001}
    assert routes(lab, 5001) == [f"default via {gateway('eth1')} dev eth1"]


def test_gateways(wired, cni):
    lab = wired
    lab.run(["ip", "addr", "add", "10.2.0.254/24", "dev", "eth0"], netns="r2")
    previous = result(routes=[{"dst": "0.0.0.0/0", "gw": gateway("eth1")}])
    keys = config(gateways=["10.2.0.254"], prevResult=previous)
    outcome = cni.add("sbr", keys, ifname="eth1").expect()
    assert "default via 10.2.0.254 dev eth1" in routes(lab, 100)
    assert len([line for line in routes(lab, 100) if line.startswith("default")]) == 1
    assert any(f"via {gateway('eth1', 6)}" in line for line in routes(lab, 101))
    assert way(lab, address("eth1")) == "r2"
    assert outcome.json["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.2.0.254"}]


def test_source_hints(wired, cni):
    """Who has no address yet reaches the subnet by the interface that is on it."""
    lab = wired
    before = main_of(lab, "eth1")
    add(cni, addSourceHints=True).expect()
    assert main_of(lab, "eth1") == [f"10.2.0.0/24 dev eth1 proto kernel scope link src {address('eth1')}",
                                    f"fd00:2::/64 dev eth1 src {address('eth1', 6)} metric 256"]
    assert lab.probe("c1", gateway("eth1"), 80).peer == address("eth1")
    assert lab.probe("c1", gateway("eth1", 6), 80).peer == address("eth1", 6)
    assert way(lab, address("eth1")) == "r2" and way(lab) == "r1"
    cni.check("sbr", config(), ifname="eth1").expect()
    delete(cni).expect()
    # The kernel's own of IPv4 was as it has to be; what was added is gone.
    assert main_of(lab, "eth1") == [line for line in before if line.startswith("10.2.0.0")]


@pytest.mark.parametrize("more, code, words", [
    ({"table": "100"}, 6, ("table", "a string")),
    ({"table": 0}, 7, ("table", "4294967295")),
    ({"table": 4294967296}, 7, ("table", "4294967295")),
    ({"table": 254}, 7, ("table", "main")),
    ({"table": 253}, 7, ("table",)),
    ({"table": 255}, 7, ("table",)),
    ({"addSourceHints": "yes"}, 6, ("addSourceHints",)),
    ({"gateways": "10.2.0.1"}, 6, ("gateways",)),
    ({"gateways": ["10.2.0.1/24"]}, 7, ("gateways[0]", "10.2.0.1/24")),
    ({"gateways": ["10.2.0.1", "10.2.0.2"]}, 7, ("gateways[1]", "IPv4")),
    ({"gateways": ["10.2.0.1", "fd00::1", "fd00::2"]}, 7, ("gateways",)),
    ({"gateways": ["10.99.0.1"]}, 100, ("gateways", "eth1")),
    ({"table": 7, "gateways": ["10.2.0.1"]}, 7, ("gateways", "table")),
    ({"table": 7, "addSourceHints": True}, 7, ("addSourceHints", "table")),
    ({"prevResult": {"cniVersion": configs.VERSION, "ips": []}}, 7, ("prevResult.ips", "eth1")),
])
def test_refusals_name_the_key_and_touch_nothing(wired, cni, more, code, words):
    lab = wired
    before, order = snapshot.take(lab, ["c1"]), routes(lab, "main")
    add(cni, **more).refused(code, *words)
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))
    assert routes(lab, "main") == order


def test_needs_prev_result_and_interface(wired, cni):
    without = config()
    del without["prevResult"]
    cni.add("sbr", without, ifname="eth1").refused(7, "prevResult")
    cni.add("sbr", config(), "c2", ifname="eth1").refused(None, "CNI_IFNAME", "eth1")


# ---- DEL, CHECK, GC ----

@pytest.mark.parametrize("how", ["plain", "no prevResult", "wrong keys", "no namespace"])
def test_del_removes_what_is_ours(wired, cni, how):
    lab = wired
    clean = snapshot.take(lab, ["c1"])
    gone = main_of(lab, "eth1")
    add(cni).expect()
    late, kwargs = config(), {}
    if how == "no prevResult":
        del late["prevResult"]
    elif how == "wrong keys":
        late["table"] = 255
    elif how == "no namespace":
        kwargs["netns"] = ""
    for _ in range(2):
        cni.delete("sbr", late, ifname="eth1", **kwargs).expect()
    assert not rules(lab) and routes(lab, 100) == routes(lab, 101) == []
    assert main_of(lab, "eth1") == [] and gone
    # Nothing but the routes of the main table, and nothing in the state.
    left = snapshot.diff(clean, snapshot.take(lab, ["c1"])).splitlines()
    assert {line for line in left if line.startswith("==")} == {"== c1/routes4", "== c1/routes6"}
    assert all("dev: eth1" in line or "nexthops" in line or "fd00:1::1" in line for line in left if line[0] in "+-"), left


def test_del_when_the_interface_or_the_sandbox_is_gone(wired, cni):
    lab = wired
    add(cni).expect()
    lab.run(["ip", "link", "del", "c12"])
    configs.eventually(lambda: not configs.link(lab, "eth1", "c1"))
    delete(cni).expect()
    assert not rules(lab)
    add(cni, "eth0").expect()
    lab.remove_netns("c1")
    for _ in range(2):
        delete(cni, "eth0").expect()


def test_check(wired, cni):
    lab = wired

    def check():
        return cni.check("sbr", config(), ifname="eth1")
    add(cni).expect()
    check().expect()
    lab.run(["ip", "rule", "del", "from", address("eth1"), "lookup", "100"], netns="c1")
    check().refused(104, "rule", address("eth1"))
    lab.run(["ip", "rule", "add", "from", address("eth1"), "lookup", "100"], netns="c1")
    check().expect()
    lab.run(["ip", "route", "del", "default", "table", "100"], netns="c1")
    check().refused(104, "table 100")
    delete(cni).expect()
    check().refused(104)


def test_gc(wired, cni):
    lab = wired
    one = {"name": "net", "cniVersion": "1.1.0"}
    for ifname in EDGES:
        cni.add("sbr", config(ifname, **one), ifname=ifname).expect()
    cni.gc("sbr", {**one, "type": "sbr"}, [("c1", "eth0")]).expect()
    assert set(rules(lab)) == {address("eth0"), address("eth0", 6)}
    assert routes(lab, 102) == []


# ---- failures ----

def interruptions(cni, what, ifname="eth1"):
    """ADDs, each of which comes to harm one message to the kernel later; ends when one gets through."""
    for number in range(1, 100):
        outcome = cni.call("ADD", "sbr", config(ifname, addSourceHints=True), ifname=ifname,
                           prefix=["strace", "-qq", "-o", "/dev/null", "-e", "trace=sendmsg",
                                   "-e", f"inject=sendmsg:{what}:when={number}"])
        if outcome.ok:
            break
        yield number, outcome
    assert number > 15


@needs_strace
@pytest.mark.parametrize("ifname", ["eth1", "eth0"])
def test_failed_add_leaves_routes_as_they_were(wired, cni, ifname):
    lab = wired
    before, order = snapshot.take(lab, ["c1"]), routes(lab, "main")
    for number, outcome in interruptions(cni, "error=ENOBUFS", ifname):
        outcome.refused()
        left = snapshot.diff(before, snapshot.take(lab, ["c1"]))
        # The hops of one IPv6 route may have changed places.
        assert not left or "nexthops" in left and len(left.splitlines()) == 3, (number, left)
        # Of two default routes of IPv4 the first is the one that counts.
        assert sorted(routes(lab, "main")) == sorted(order), number
        assert default_devices(lab) == ["eth1", "eth0"]


def default_devices(lab):
    return [route["dev"] for route in lab.ip("-4", "route", netns="c1") if route["dst"] == "default"]


@needs_strace
def test_failed_rollback_is_finished_by_del(wired, cni):
    """The ADD fails by itself, and then a call of its own undoing."""
    lab = wired
    keys = config(gateways=["10.99.0.1"])
    before = snapshot.take(lab, ["c1"])
    for number in range(1, 40):
        cni.call("ADD", "sbr", keys, ifname="eth1", prefix=["strace", "-qq", "-o", "/dev/null", "-e", "trace=sendmsg", "-e",
                                                           f"inject=sendmsg:error=ENOBUFS:when={number}"]).refused()
        delete(cni).expect()
        assert not snapshot.diff(before, snapshot.take(lab, ["c1"])), number


@needs_strace
@pytest.mark.parametrize("then", ["DEL", "GC", "ADD"])
def test_killed_add(wired, cni, then):
    lab = wired
    before = snapshot.take(lab, ["c1"])
    for number, _ in interruptions(cni, "signal=KILL"):
        if then == "ADD":
            # What was moved is back before it is moved again.
            add(cni).expect()
            assert rules(lab) == {address("eth1"): 100, address("eth1", 6): 101}
            assert len(routes(lab, 100)) == 3 and len(routes(lab, 101)) == 2, number
            delete(cni).expect()
            lab.run(["ip", "link", "del", "c12"])
            plug(lab, "c1", "eth1")
            continue
        if then == "GC":
            cni.gc("sbr", {**config(), "cniVersion": "1.1.0"}).expect()
        else:
            delete(cni).expect()
        assert not snapshot.diff(before, snapshot.take(lab, ["c1"])), number


# ---- with main plugins ----

def test_in_a_chain(lab, cni):
    """The bridge plugin twice, the second time with sbr behind: its own CHECK is content too."""
    from support.cni import Chain
    chains = {}
    for ifname, (number, name) in EDGES.items():
        lab.netns(name)
        main = configs.bridge(f"net{number}", isDefaultGateway=False, ipMasq=False, ipam=configs.host_local(
            {"subnet": f"10.{number}.0.0/24", "gateway": gateway(ifname)},
            {"subnet": f"fd00:{number}::/64", "gateway": gateway(ifname, 6)}, routes=("0.0.0.0/0", "::/0")))
        plugins = [main, {"type": "sbr"}] if ifname == "eth1" else [main]
        chains[ifname] = Chain(cni, configs.conflist(*plugins, name=f"net{number}"))
    before = snapshot.take(lab, ["c1"])
    results = {ifname: chain.add(ifname=ifname).expect() for ifname, chain in chains.items()}
    for number, name in EDGES.values():
        lab.run(["ip", "link", "add", f"v{name}", "type", "veth", "peer", "eth0", "netns", name])
        lab.run(["ip", "link", "set", f"v{name}", "master", f"net{number}0", "up"])
        lab.run(["ip", "-batch", "-"], netns=name, input=f"link set lo up\naddr add 10.{number}.0.1/24 dev eth0\n"
                f"addr add fd00:{number}::1/64 dev eth0 nodad\naddr add {SHARED4}/32 dev lo\n"
                f"addr add {SHARED6}/128 dev lo\nlink set eth0 up\n")
        for where in ("0.0.0.0", "::"):
            lab.tcp_server(name, where, 80)
    for ifname, (_, name) in EDGES.items():
        for source in results[ifname].addresses():
            assert way(lab, source, 6 if ":" in source else 4) == name
        chains[ifname].check(ifname=ifname).expect()
    for ifname, chain in chains.items():
        chain.delete(ifname=ifname).expect()
    assert not rules(lab)
    assert not [line for line in snapshot.diff(before, snapshot.take(lab, ["c1"])) if line.startswith("c1/")]
