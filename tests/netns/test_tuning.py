# SPDX-License-Identifier: GPL-2.0-or-later
"""tuning behind a main plugin: sysctls and properties of the interface, set and restored."""
import pytest

from support import configs, snapshot

MAC = "02:00:00:00:00:33"


@pytest.fixture
def chained(lab, cni):
    """c1 and c2 are attached to a bridge; their results."""
    return {name: cni.add("bridge", configs.bridge(), name).expect().json for name in ("c1", "c2")}


def config(result, **more):
    return {"cniVersion": configs.VERSION, "name": "net", "type": "tuning", "prevResult": result, **more}


def everything(result, **more):
    return config(result, mac=MAC, mtu=1300, promisc=True, allmulti=True, txQLen=77,
                  sysctl={"net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1",
                          "net/ipv4/conf/IFNAME/rp_filter": "2", "net.ipv4.tcp_rmem": "4096 100000 200000"}, **more)


def state(lab, netns="c1"):
    link = configs.link(lab, "eth0", netns)
    return {"mac": link["address"], "mtu": link["mtu"], "promisc": "PROMISC" in link["flags"],
            "allmulti": "ALLMULTI" in link["flags"], "txqlen": link["txqlen"],
            **{k: lab.sysctl(k, netns=netns) for k in ("net.core.somaxconn", "net.ipv4.conf.eth0.arp_filter",
                                                       "net.ipv4.conf.eth0.rp_filter", "net.ipv4.tcp_rmem")}}


def test_all_keys_set_and_restored(lab, cni, chained):
    before, whole = state(lab), snapshot.take(lab, ["c1"])
    result = cni.add("tuning", everything(chained["c1"])).expect().json
    after = state(lab)
    assert after == {"mac": MAC, "mtu": 1300, "promisc": True, "allmulti": True, "txqlen": 77, "net.core.somaxconn": "500",
                     "net.ipv4.conf.eth0.arp_filter": "1", "net.ipv4.conf.eth0.rp_filter": "2",
                     "net.ipv4.tcp_rmem": "4096\t100000\t200000"}
    assert result["interfaces"][2]["mac"] == MAC and result["interfaces"][2]["mtu"] == 1300
    cni.check("tuning", everything(result)).expect()
    for _ in range(2):
        cni.delete("tuning", everything(chained["c1"])).expect()
    assert state(lab) == before and not snapshot.diff(whole, snapshot.take(lab, ["c1"]))


def test_without_keys_nothing_is_touched(lab, cni, chained):
    before = snapshot.take(lab, ["c1"])
    assert cni.add("tuning", config(chained["c1"])).expect().json["ips"] == chained["c1"]["ips"]
    cni.check("tuning", config(chained["c1"])).expect()
    cni.delete("tuning", config(chained["c1"])).expect()
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


@pytest.mark.parametrize("more, args, want", [
    ({"mac": "02:00:00:00:00:01"}, None, "02:00:00:00:00:01"),
    ({"mac": "02:00:00:00:00:01"}, "IgnoreUnknown=1;MAC=02:00:00:00:00:02", "02:00:00:00:00:02"),
    ({"args": {"cni": {"mac": "02:00:00:00:00:03"}}}, "MAC=02:00:00:00:00:02", "02:00:00:00:00:03"),
    ({"args": {"cni": {"mac": "02:00:00:00:00:03"}}, "runtimeConfig": {"mac": "02:00:00:00:00:04"}}, None, "02:00:00:00:00:04"),
])
def test_which_mac_wins(lab, cni, chained, more, args, want):
    cni.add("tuning", config(chained["c1"], **more), args=args).expect()
    assert state(lab)["mac"] == want


def test_args_of_the_runtime_win(lab, cni, chained):
    cni.add("tuning", config(chained["c1"], mtu=1300, args={"cni": {"mtu": 1280, "promisc": True}})).expect()
    assert (state(lab)["mtu"], state(lab)["promisc"]) == (1280, True)


@pytest.mark.parametrize("more, code, words", [
    ({"sysctl": {"kernel.hostname": "x"}}, 7, ["sysctl.kernel.hostname", "net"]),
    ({"sysctl": {"net.core.somaxconn": 5}}, 6, ["sysctl.net.core.somaxconn", "string"]),
    ({"sysctl": {"net.ipv4.ip_forward": "1", "net/ipv4/ip_forward": "0"}}, 7, ["twice"]),
    ({"sysctl": {"net/../kernel/hostname": "x"}}, 7, ["net"]),
    ({"sysctl": {"net.ipv4.no_such_key": "1"}}, 7, ["no_such_key"]),
    ({"sysctl": []}, 6, ["sysctl"]),
    ({"mtu": -1}, 7, ["mtu"]),
    ({"mtu": "big"}, 6, ["mtu"]),
    ({"mac": "01:00:00:00:00:01"}, 7, ["mac"]),
    ({"mac": "nonsense"}, 7, ["mac"]),
    ({"promisc": "yes"}, 6, ["promisc"]),
    ({"txQLen": 1.5}, 6, ["txQLen"]),
])
def test_refused(lab, cni, chained, more, code, words):
    before = snapshot.take(lab, ["c1"])
    cni.add("tuning", config(chained["c1"], **more)).refused(code, *words)
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


def test_half_done_is_undone(lab, cni, chained):
    """The kernel takes the first sysctl and refuses the second."""
    before = state(lab)
    conf = config(chained["c1"], promisc=True, sysctl={"net.core.somaxconn": "500", "net.ipv4.tcp_rmem": "no numbers"})
    cni.add("tuning", conf).refused(None, "tcp_rmem")
    assert state(lab) == before


def test_allow_list(lab, cni, chained):
    lab.run(["mkdir", "-p", "/etc/cni/tuning"])
    lab.write("/etc/cni/tuning/allowlist.conf", "^net\\.ipv4\\.conf\\.[a-zA-Z0-9]+\\.arp_filter$\n\n")
    cni.add("tuning", config(chained["c1"], sysctl={"net.ipv4.conf.IFNAME.arp_filter": "1"})).expect()
    cni.add("tuning", config(chained["c2"], sysctl={"net.core.somaxconn": "9"}), "c2").refused(7, "somaxconn", "allowlist.conf")


@pytest.mark.parametrize("how", ["empty path", "no namespace", "namespace gone", "interface gone", "no prevResult"])
def test_del_however_it_comes(lab, cni, chained, how):
    before = state(lab)
    conf = everything(chained["c1"])
    cni.add("tuning", conf).expect()
    netns = {"empty path": "", "no namespace": "/run/netns/absent"}.get(how, "c1")
    if how == "namespace gone":
        lab.remove_netns("c1")
    if how == "interface gone":
        lab.run(["ip", "link", "del", "eth0"], netns="c1")
    if how == "no prevResult":
        conf = {k: v for k, v in conf.items() if k != "prevResult"}
    for _ in range(2):
        cni.delete("tuning", conf, netns=netns).expect()
    if how in ("empty path", "no namespace", "no prevResult"):
        assert state(lab) == before
    if how == "interface gone":
        assert lab.sysctl("net.core.somaxconn", netns="c1") == before["net.core.somaxconn"]
    assert "tuning" not in "".join(snapshot.store_hook(lab)["store"])


def test_gc_restores(lab, cni, chained):
    before = state(lab), state(lab, "c2")
    for name in ("c1", "c2"):
        cni.add("tuning", everything(chained[name]), name).expect()
    cni.gc("tuning", config(None), [("c2", "eth0")]).expect()
    assert state(lab) == before[0] and state(lab, "c2") != before[1]


@pytest.mark.parametrize("tamper", [
    ["ip", "link", "set", "eth0", "mtu", "1400"], ["ip", "link", "set", "eth0", "promisc", "off"],
    ["ip", "link", "set", "eth0", "address", "02:00:00:00:00:44"], ["ip", "link", "set", "eth0", "txqueuelen", "5"],
    ["ip", "link", "set", "eth0", "allmulticast", "off"], None])
def test_check_sees_changes(lab, cni, chained, tamper):
    result = cni.add("tuning", everything(chained["c1"])).expect().json
    if tamper:
        lab.run(tamper, netns="c1")
    else:
        lab.sysctl("net.core.somaxconn", 600, netns="c1")
    cni.check("tuning", everything(result)).refused(104)
