# SPDX-License-Identifier: GPL-2.0-or-later
"""tap, dummy, vlan, ipvlan and static: what this kernel can make, and what is said where it cannot."""
import pytest

from support import configs, snapshot

STATIC = {"type": "static", "addresses": [{"address": "10.3.0.5/24", "gateway": "10.3.0.1"}],
          "routes": [{"dst": "0.0.0.0/0"}], "dns": {"nameservers": ["10.3.0.53"]}}


def config(plugin, ipam=STATIC, **more):
    base = {"cniVersion": configs.VERSION, "name": "net", "type": plugin, "ipam": ipam, **more}
    return {k: v for k, v in base.items() if v is not None}


def needs(lab, *link):
    """Skips where the kernel has no such link."""
    lab.netns("scratch")
    lab.run(["ip", "link", "add", "low0", "type", "veth", "peer", "name", "low1"], netns="scratch")
    if lab.run(["ip", "link", "add", "x0", *link], netns="scratch", check=False).returncode:
        option = {"dummy": "CONFIG_DUMMY", "vlan": "CONFIG_VLAN_8021Q", "ipvlan": "CONFIG_IPVLAN"}[link[-1] if link[-2] == "type" else link[link.index("type") + 1]]
        pytest.skip(f"this kernel has no {option}")


# ---- tap ----

def test_tap(lab, cni):
    before = snapshot.take(lab, ["c1"])
    conf = config("tap", mac="02:00:00:00:00:09", mtu=1400, owner=1000, group=1001, multiQueue=True)
    result = cni.add("tap", conf).expect().json
    found = configs.link(lab, "eth0", "c1")
    tun = found["linkinfo"]["info_data"]
    assert (tun["type"], tun["persist"], tun["multi_queue"], tun["user"], tun["group"]) == ("tap", True, True, "1000", "1001") or \
        (tun["type"], tun["persist"], tun["multi_queue"]) == ("tap", True, True)
    assert (found["address"], found["mtu"]) == ("02:00:00:00:00:09", 1400)
    assert result["interfaces"] == [{"name": "eth0", "mac": "02:00:00:00:00:09", "mtu": 1400, "sandbox": "/run/netns/c1"}]
    assert configs.addresses(lab, "eth0", "c1") == ["10.3.0.5/24"]
    cni.check("tap", configs.with_previous(conf, result)).expect()
    for _ in range(2):
        cni.delete("tap", conf).expect()
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


def test_tap_in_a_bridge_of_the_sandbox(lab, cni):
    lab.run(["ip", "link", "add", "br0", "type", "bridge"], netns="c1")
    cni.add("tap", config("tap", ipam=None, bridge="br0")).expect()
    assert configs.link(lab, "eth0", "c1")["master"] == "br0"
    cni.delete("tap", config("tap", ipam=None, bridge="br0")).expect()
    before = snapshot.take(lab, ["c1"])
    cni.add("tap", config("tap", ipam=None, bridge="nobr")).refused(None, "bridge", "nobr")
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


def test_tap_does_not_take_over_a_tap_that_is_there(lab, cni):
    lab.run(["ip", "tuntap", "add", "eth0", "mode", "tap"], netns="c1")
    before = snapshot.take(lab, ["c1"])
    cni.add("tap", config("tap")).refused(102, "CNI_IFNAME", "eth0")
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


def test_tap_selinux(lab, cni):
    outcome = cni.add("tap", config("tap", selinuxContext="system_u:system_r:container_t:s0"))
    if not outcome.ok:
        outcome.refused(None, "selinuxContext")
        assert configs.link(lab, "eth0", "c1") is None


# ---- what the kernel may lack ----

@pytest.mark.parametrize("plugin, more, option", [("dummy", {}, "CONFIG_DUMMY"), ("vlan", {"master": "up0", "vlanId": 7}, "CONFIG_VLAN_8021Q"),
                                                  ("ipvlan", {"master": "up0"}, "CONFIG_IPVLAN")])
def test_missing_option_is_named(lab, cni, plugin, more, option):
    before = snapshot.take(lab, ["c1"])
    outcome = cni.add(plugin, config(plugin, **more))
    if outcome.ok:
        cni.delete(plugin, config(plugin, **more)).expect()
    else:
        outcome.refused(100, option)
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


def test_dummy(lab, cni):
    needs(lab, "type", "dummy")
    result = cni.add("dummy", config("dummy")).expect().json
    assert configs.link(lab, "eth0", "c1")["linkinfo"]["info_kind"] == "dummy"
    cni.check("dummy", configs.with_previous(config("dummy"), result)).expect()
    cni.delete("dummy", config("dummy")).expect()
    assert configs.link(lab, "eth0", "c1") is None


def test_vlan_traffic(lab, cni):
    needs(lab, "link", "low0", "type", "vlan", "id", "7")
    conf = config("vlan", master="up0", vlanId=7)
    cni.add("vlan", conf).expect()
    lab.run(["ip", "link", "add", "link", "eth0", "name", "eth0.7", "type", "vlan", "id", "7"], netns="outside")
    lab.run(["ip", "addr", "add", "10.3.0.1/24", "dev", "eth0.7"], netns="outside")
    lab.run(["ip", "link", "set", "eth0.7", "up"], netns="outside")
    assert lab.reaches("outside", "10.3.0.5", lab.tcp_server("c1").port)
    lab.run(["ip", "link", "del", "up0"])
    cni.delete("vlan", conf).expect()       # the master is not needed


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_ipvlan_traffic(lab, cni, mode):
    needs(lab, "link", "low0", "type", "ipvlan")
    confs = {name: config("ipvlan", master="up0", mode=mode, ipam={"type": "static", "addresses": [{"address": f"10.3.0.{n}/24"}]})
             for n, name in enumerate(("c1", "c2"), 5)}
    for name, conf in confs.items():
        result = cni.add("ipvlan", conf, name).expect().json
        assert result["interfaces"][0]["mac"] == configs.link(lab, "up0")["address"]
    assert lab.reaches("c1", "10.3.0.6", lab.tcp_server("c2").port)
    for name, conf in confs.items():
        cni.delete("ipvlan", conf, name).expect()


@pytest.mark.parametrize("plugin, more, code, words", [
    ("vlan", {}, 7, ["master"]),
    ("vlan", {"master": "up0"}, 7, ["vlanId"]),
    ("vlan", {"master": "up0", "vlanId": 4095}, 7, ["vlanId", "4094"]),
    ("vlan", {"master": "nodev", "vlanId": 1}, 7, ["master", "nodev"]),
    ("vlan", {"master": "up0", "vlanId": 1, "mtu": 9000}, 7, ["mtu", "1500"]),
    ("vlan", {"master": "up0", "vlanId": 1, "ipam": None}, 7, ["ipam"]),
    ("dummy", {"ipam": None}, 7, ["ipam"]),
    ("ipvlan", {"master": "lo"}, 7, ["master", "loopback"]),
    ("ipvlan", {"master": "up0", "mode": "l4"}, 7, ["mode", "l4"]),
    ("ipvlan", {"master": "up0", "flag": "x"}, 7, ["flag"]),
    ("ipvlan", {"master": "up0", "internal": True}, 7, ["internal", "master"]),
    ("ipvlan", {"master": "up0", "runtimeConfig": {"portMappings": [configs.port(8080, 80)]}}, 7, ["portMappings"]),
    ("tap", {"owner": -2}, 7, ["owner"]),
    ("tap", {"group": "wheel"}, 6, ["group"]),
])
def test_refused(lab, cni, plugin, more, code, words):
    before = snapshot.take(lab, ["c1"])
    cni.add(plugin, {k: v for k, v in {**config(plugin), **more}.items() if v is not None}).refused(code, *words)
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


@pytest.mark.parametrize("previous, words", [
    ({"interfaces": [{"name": "up0"}, {"name": "up1"}]}, ["master", "2 interfaces"]),
    ({"interfaces": [{"name": "nodev"}], "ips": []}, ["master", "nodev"]),
])
def test_ipvlan_takes_its_master_from_the_chain(cni, previous, words):
    conf = config("ipvlan", ipam=None, prevResult={"cniVersion": configs.VERSION, **previous})
    cni.add("ipvlan", conf).refused(7, *words)


# ---- static ----

def static(**more):
    return config("static", **more)


def test_static_alone(lab, cni):
    before = snapshot.take(lab)
    result = cni.add("static", static()).expect().json
    assert result == {"cniVersion": configs.VERSION, "ips": [{"address": "10.3.0.5/24", "gateway": "10.3.0.1"}],
                      "routes": [{"dst": "0.0.0.0/0"}], "dns": {"nameservers": ["10.3.0.53"]}}
    cni.check("static", configs.with_previous(static(), result)).expect()
    cni.delete("static", static()).expect()
    assert not snapshot.diff(before, snapshot.take(lab))


@pytest.mark.parametrize("more, args, want", [
    ({}, "IP=10.3.0.7/24, 10.3.0.8/24;GATEWAY=10.3.0.254", ["10.3.0.5/24", "10.3.0.7/24", "10.3.0.8/24"]),
    ({"args": {"cni": {"ips": ["10.3.0.9/24"]}}}, "IP=10.3.0.7/24", ["10.3.0.9/24"]),
    ({"args": {"cni": {"ips": ["10.3.0.9/24"]}}, "runtimeConfig": {"ips": ["10.3.0.10/24", "fd00::1/64"]}}, None,
     ["10.3.0.10/24", "fd00::1/64"]),
])
def test_static_requests(cni, more, args, want):
    result = cni.add("static", static(**more), args=args).expect().json
    assert [ip["address"] for ip in result["ips"]] == want
    if args and "GATEWAY" in args and not more:
        assert {ip["gateway"] for ip in result["ips"]} == {"10.3.0.254"}


def test_static_in_our_process(lab, cni):
    conf = configs.bridge(ipam={"type": "static", "addresses": [{"address": "10.1.0.9/24", "gateway": "10.1.0.1"}]})
    assert cni.add("bridge", conf, path="/nowhere").expect().address == "10.1.0.9"
    cni.add("bridge", configs.runtime(conf, ips=["10.1.0.77/24"]), "c2", path="/nowhere").expect()
    assert lab.reaches("c1", "10.1.0.77", lab.tcp_server("c2").port)
    for name in ("c1", "c2"):
        cni.delete("bridge", conf, name).expect()


@pytest.mark.parametrize("more, args, code, words", [
    ({"ipam": {"type": "static", "addresses": [{"gateway": "10.3.0.1"}]}}, None, 7, ["ipam.addresses[0].address"]),
    ({"ipam": {"type": "static", "addresses": [{"address": "10.3.0.5"}]}}, None, 7, ["ipam.addresses[0].address"]),
    ({"ipam": {"type": "static", "addresses": [{"address": "10.3.0.5/24", "gateway": "fd00::1"}]}}, None, 7, ["gateway"]),
    ({"ipam": {"type": "static", "addresses": "10.3.0.5/24"}}, None, 6, ["ipam.addresses"]),
    ({"ipam": None}, None, 7, ["ipam"]),
    ({}, "IP=10.3.0.7", 4, ["CNI_ARGS", "IP"]),
    ({}, "GATEWAY=x", 4, ["CNI_ARGS", "GATEWAY"]),
    ({"runtimeConfig": {"ips": ["10.3.0.9"]}}, None, 7, ["runtimeConfig.ips[0]"]),
    ({"args": {"cni": {"ips": "10.3.0.9/24"}}}, None, 6, ["args.cni.ips"]),
])
def test_static_refused(cni, more, args, code, words):
    conf = {k: v for k, v in {**static(), **more}.items() if v is not None}
    cni.add("static", conf, args=args).refused(code, *words)
