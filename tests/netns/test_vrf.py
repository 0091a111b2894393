# SPDX-License-Identifier: GPL-2.0-or-later
"""The vrf plugin. What needs a VRF is skipped where the kernel has none (CONFIG_NET_VRF)."""
import concurrent.futures
import json
import shutil
import socket
import subprocess

import pytest

from support import configs, probes, snapshot


def kernel_has_vrf():
    probe = subprocess.run(["unshare", "-n", "ip", "link", "add", "probe0", "type", "vrf", "table", "10"],
                           capture_output=True, check=False)
    return probe.returncode == 0


HAS_VRF = kernel_has_vrf()
needs_vrf = pytest.mark.skipif(not HAS_VRF, reason="this kernel has no VRF devices (CONFIG_NET_VRF)")
without_vrf = pytest.mark.skipif(HAS_VRF, reason="this kernel has VRF devices")
needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")

NUMBERS = {"eth0": 1, "eth1": 2, "eth2": 3}
SHARED = "198.51.100.1"


@pytest.fixture
def wired(lab, cni):
    """c1 with three interfaces, each a cable to a namespace that answers at its own and at a common address."""
    for ifname, number in NUMBERS.items():
        lab.netns(f"r{number}")
        lab.run(["ip", "link", "add", ifname, "netns", "c1", "type", "veth", "peer", "eth0", "netns", f"r{number}"])
        lab.run(["ip", "-batch", "-"], netns=f"r{number}", input=f"""\
link set lo up
addr add 10.{number}.0.1/24 dev eth0
addr add fd00:{number}::1/64 dev eth0 nodad
addr add {SHARED}/32 dev lo
link set eth0 up
""")
        for where in ("0.0.0.0", "::"):
            lab.tcp_server(f"r{number}", where, 80)
        lab.run(["ip", "-batch", "-"], netns="c1", input=f"""\
addr add 10.{number}.0.9/24 dev {ifname}
addr add fd00:{number}::9/64 dev {ifname} nodad
link set lo up
link set {ifname} up
""" + (f"""\
route add default via 10.{number}.0.1 dev {ifname}
route add default via fd00:{number}::1 dev {ifname}
""" if number > 1 else "").replace("route add", "route prepend"))
        local = f"local fd00:{number}::9 "
        configs.eventually(lambda local=local: local in lab.run(
            ["ip", "-6", "route", "show", "table", "local"], netns="c1").stdout)
    return lab


def config(ifname="eth1", container="c1", **more):
    number = NUMBERS[ifname]
    previous = {"cniVersion": configs.VERSION, "dns": {},
                "interfaces": [{"name": ifname, "sandbox": f"/run/netns/{container}"}],
                "ips": [{"address": f"10.{number}.0.9/24", "gateway": f"10.{number}.0.1", "interface": 0},
                        {"address": f"fd00:{number}::9/64", "gateway": f"fd00:{number}::1", "interface": 0}]}
    return {"cniVersion": configs.VERSION, "name": "net", "type": "vrf", "vrfname": "blue", "prevResult": previous, **more}


def add(cni, ifname="eth1", **more):
    return cni.add("vrf", config(ifname, **more), ifname=ifname)


def delete(cni, ifname="eth1", **kwargs):
    return cni.delete("vrf", config(ifname), ifname=ifname, **kwargs)


def vrf(lab, name="blue"):
    """Table of a VRF; None without."""
    found = configs.link(lab, name, "c1")
    return found and found["linkinfo"]["info_data"]["table"]


def master(lab, ifname):
    return configs.link(lab, ifname, "c1").get("master")


def take(lab):
    """Without the rules of l3mdev, which the kernel makes with the first VRF and keeps."""
    return {name: lines for name, lines in snapshot.take(lab, ["c1"]).items() if not name.startswith("c1/rules")}


def untouched(lab, before):
    return not snapshot.diff(before, take(lab))


# ---- any kernel ----

@without_vrf
def test_without_vrf_in_the_kernel_nothing_is_touched(wired, cni):
    lab = wired
    before = snapshot.take(lab, ["c1"])
    for more in ({}, {"table": 10}):
        add(cni, **more).refused(100, "vrf blue", "CONFIG_NET_VRF")
        assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))
    for _ in range(2):
        delete(cni).expect()
    cni.check("vrf", config(), ifname="eth1").refused(104)
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


@pytest.mark.parametrize("more, code, words", [
    ({"vrfname": None}, 7, ("vrfname",)),
    ({"vrfname": ""}, 7, ("vrfname",)),
    ({"vrfname": 7}, 6, ("vrfname", "a string")),
    ({"vrfname": "a/b"}, 7, ("vrfname", "a/b")),
    ({"vrfname": "sixteen-bytes-xx"}, 7, ("vrfname", "15")),
    ({"vrfname": "eth1"}, 7, ("vrfname", "eth1")),
    ({"vrfname": "eth0"}, 102, ("vrfname", "eth0", "no VRF")),
    ({"table": "10"}, 6, ("table", "a string")),
    ({"table": 0}, 7, ("table", "4294967295")),
    ({"table": 4294967296}, 7, ("table",)),
    ({"table": 253}, 7, ("table",)),
    ({"table": 254}, 7, ("table", "main")),
    ({"table": 255}, 7, ("table",)),
])
def test_refusals_name_the_key_and_touch_nothing(wired, cni, more, code, words):
    lab = wired
    before = snapshot.take(lab, ["c1"])
    add(cni, **more).refused(code, *words)
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


def test_needs_prev_result_and_interface(wired, cni):
    without = config()
    del without["prevResult"]
    cni.add("vrf", without, ifname="eth1").refused(7, "prevResult")
    cni.add("vrf", config(), "c2", ifname="eth1").refused(None, "CNI_IFNAME", "eth1")


def test_interface_with_another_master(wired, cni):
    lab = wired
    lab.run(["ip", "link", "add", "br0", "type", "bridge"], netns="c1")
    lab.run(["ip", "link", "set", "eth1", "master", "br0"], netns="c1")
    before = snapshot.take(lab, ["c1"])
    add(cni).refused(102, "CNI_IFNAME", "eth1", "br0")
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


@needs_strace
@without_vrf
@pytest.mark.parametrize("what", ["error=ENOBUFS", "signal=KILL"])
def test_cut_anywhere_without_vrf(wired, cni, what):
    """The record, and what its deletion finds, whatever the kernel has."""
    lab = wired
    before = snapshot.take(lab, ["c1"])
    for number in range(1, 24):
        cni.call("ADD", "vrf", config(), ifname="eth1", prefix=[
            "strace", "-qq", "-o", "/dev/null", "-e", "trace=sendmsg", "-e", f"inject=sendmsg:{what}:when={number}"])
        delete(cni).expect()
        assert not snapshot.diff(before, snapshot.take(lab, ["c1"])), number


# ---- kernels with VRF ----

@needs_vrf
def test_add_and_del(wired, cni):
    lab = wired
    before = take(lab)
    outcome = add(cni).expect()
    assert {**outcome.json, "dns": {}} == config()["prevResult"]
    assert vrf(lab) == 1 and master(lab, "eth1") == "blue"
    assert configs.addresses(lab, "eth1", "c1") == ["10.2.0.9/24", "fd00:2::9/64"]
    shown = json.dumps(lab.ip("-4", "route", "show", "vrf", "blue", netns="c1") + lab.ip("-6", "route", "show", "vrf", "blue", netns="c1"))
    assert all(text in shown for text in ("10.2.0.0/24", "10.2.0.1", "fd00:2::/64", "fd00:2::1"))
    cni.check("vrf", config(), ifname="eth1").expect()
    for _ in range(2):
        delete(cni).expect()
    assert vrf(lab) is None and master(lab, "eth1") is None
    left = snapshot.diff(before, take(lab)).splitlines()
    assert all("eth1" in line or "nexthops" in line for line in left if line[0] in "+-"), left


def ask_through(device):
    with socket.socket() as sock:
        sock.settimeout(3)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        sock.connect((SHARED, 80))
        return probes.ask(sock, "tcp")


@needs_vrf
def test_traffic_is_kept_apart(wired, cni):
    """Who is bound to the VRF goes its way, all others theirs."""
    lab = wired
    add(cni).expect()
    assert lab.call(ask_through, b"blue", netns="c1").server == "r2"
    assert lab.probe("c1", SHARED, 80).server == "r3"
    with pytest.raises(probes.Unreachable):
        lab.probe("c1", "10.2.0.1", 80, timeout=0.4)


@needs_vrf
@pytest.mark.parametrize("order", [("eth1", "eth2"), ("eth2", "eth1")])
def test_the_last_one_takes_the_vrf_along(wired, cni, order):
    lab = wired
    for ifname in ("eth1", "eth2"):
        add(cni, ifname).expect()
    delete(cni, order[0]).expect()
    assert vrf(lab) == 1 and master(lab, order[1]) == "blue"
    delete(cni, order[1]).expect()
    assert vrf(lab) is None


@needs_vrf
def test_somebodys_vrf_stays(wired, cni):
    lab = wired
    lab.run(["ip", "link", "add", "blue", "type", "vrf", "table", "77"], netns="c1")
    lab.run(["ip", "link", "set", "blue", "up"], netns="c1")
    before = take(lab)
    add(cni, table=78).refused(102, "table", "77")
    assert untouched(lab, before)
    add(cni).expect()
    assert vrf(lab) == 77 and master(lab, "eth1") == "blue"
    delete(cni).expect()
    assert vrf(lab) == 77 and master(lab, "eth1") is None


@needs_vrf
def test_tables(wired, cni):
    lab = wired
    lab.run(["ip", "rule", "add", "from", "192.0.2.7", "lookup", "1"], netns="c1")
    lab.run(["ip", "route", "add", "203.0.113.0/24", "dev", "eth0", "table", "2"], netns="c1")
    add(cni, vrfname="blue").expect()
    add(cni, "eth2", vrfname="red").expect()
    assert (vrf(lab, "blue"), vrf(lab, "red")) == (3, 4)


@needs_vrf
@pytest.mark.parametrize("names", [("blue", "blue"), ("blue", "red")])
def test_parallel(wired, cni, names):
    lab = wired
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for _ in range(8):
            for outcome in pool.map(lambda pair: add(cni, pair[0], vrfname=pair[1]), zip(("eth1", "eth2"), names)):
                outcome.expect()
            tables = {vrf(lab, name) for name in names}
            assert len(tables) == len(set(names)) and None not in tables
            for outcome in pool.map(lambda ifname: delete(cni, ifname), ("eth1", "eth2")):
                outcome.expect()
            assert not any(vrf(lab, name) for name in names)


@needs_vrf
def test_check(wired, cni):
    lab = wired

    def check():
        return cni.check("vrf", config(), ifname="eth1")
    add(cni).expect()
    check().expect()
    lab.run(["ip", "addr", "del", "fd00:2::9/64", "dev", "eth1"], netns="c1")
    check().refused(104, "fd00:2::9")
    lab.run(["ip", "link", "set", "eth1", "nomaster"], netns="c1")
    check().refused(104, "blue")
    lab.run(["ip", "link", "del", "blue"], netns="c1")
    check().refused(104, "blue")
    delete(cni).expect()


@needs_vrf
def test_gc_and_what_is_gone(wired, cni):
    lab = wired
    one = {"cniVersion": "1.1.0"}
    for ifname in ("eth1", "eth2"):
        add(cni, ifname, **one).expect()
    cni.gc("vrf", config(**one), [("c1", "eth2")]).expect()
    assert master(lab, "eth1") is None and master(lab, "eth2") == "blue"
    lab.run(["ip", "link", "del", "eth2"], netns="c1")
    delete(cni, "eth2").expect()
    assert vrf(lab) is None
    add(cni).expect()
    lab.remove_netns("c1")
    for _ in range(2):
        delete(cni).expect()


@needs_vrf
@needs_strace
@pytest.mark.parametrize("what", ["error=ENOBUFS", "signal=KILL"])
def test_cut_anywhere(wired, cni, what):
    """A failed ADD, and a killed one with its DEL, leave addresses, routes and interfaces as they were."""
    lab = wired
    # The rules of l3mdev are there from the first VRF on.
    add(cni, "eth0", vrfname="warm").expect()
    delete(cni, "eth0").expect()
    before, number = take(lab), 0
    for number in range(1, 100):
        outcome = cni.call("ADD", "vrf", config(), ifname="eth1", prefix=[
            "strace", "-qq", "-o", "/dev/null", "-e", "trace=sendmsg", "-e", f"inject=sendmsg:{what}:when={number}"])
        if outcome.ok:
            break
        if "KILL" in what:
            delete(cni).expect()
        left = snapshot.diff(before, take(lab))
        assert not left or "nexthops" in left and len(left.splitlines()) == 3, (number, left)
    assert number > 10
