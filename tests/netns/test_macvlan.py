# SPDX-License-Identifier: GPL-2.0-or-later
"""macvlan: on a host interface, among themselves, beside the host; what is made for it and removed again."""
import pytest

from support import configs, snapshot

LAN = "198.51.100"
LAN6 = "2001:db8:51::"


@pytest.fixture
def lan(lab, cni):
    """Interface lan0 of the host leads to a switch with another machine, `peer`."""
    lab.netns("peer")
    lab.run(["ip", "link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", "peer"])
    lab.run(["ip", "-batch", "-"], input=f"addr add {LAN}.1/24 dev lan0\naddr add {LAN6}1/64 dev lan0 nodad\nlink set lan0 up\n")
    lab.run(["ip", "-batch", "-"], netns="peer", input=f"addr add {LAN}.2/24 dev eth0\naddr add {LAN6}2/64 dev eth0 nodad\n"
            "link set eth0 up\nlink set lo up\n")
    return lab


def config(name="lan", **more):
    base = {"cniVersion": configs.VERSION, "name": name, "type": "macvlan", "master": "lan0",
            "ipam": configs.host_local({"subnet": f"{LAN}.0/24", "rangeStart": f"{LAN}.100", "gateway": f"{LAN}.2"})}
    base.update(more)
    return {k: v for k, v in base.items() if v is not None}


def internal(**more):
    return config(master=None, internal=True, **more)


def interface(lab, netns="c1", name="eth0"):
    return configs.link(lab, name, netns)


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthru", "source"])
def test_modes(lan, cni, mode):
    before = snapshot.take(lan, ["c1"])
    result = cni.add("macvlan", config(mode=mode)).expect().json
    assert [i["name"] for i in result["interfaces"]] == ["eth0"]
    found = interface(lan)
    assert found["linkinfo"]["info_kind"] == "macvlan" and found["linkinfo"]["info_data"]["mode"] == mode
    assert result["interfaces"][0]["mac"] == found["address"] and found["mtu"] == 1500
    if mode not in ("passthru", "source"):
        assert lan.reaches("peer", f"{LAN}.100", lan.tcp_server("c1").port)
    cni.check("macvlan", configs.with_previous(config(mode=mode), result)).expect()
    for _ in range(2):
        cni.delete("macvlan", config(mode=mode)).expect()
    assert not snapshot.diff(before, snapshot.take(lan, ["c1"]))


def test_neighbours_in_bridge_and_private_mode(lan, cni):
    for mode, wanted in (("bridge", True), ("private", False)):
        address = cni.add("macvlan", config(mode=mode), "c1").expect().address
        cni.add("macvlan", config(mode=mode), "c2").expect()
        port = lan.tcp_server("c1").port
        assert lan.reaches("c2", address, port) if wanted else lan.blocked("c2", address, port)
        for name in ("c1", "c2"):
            cni.delete("macvlan", config(mode=mode), name).expect()


def test_source_mode_hears_its_list_only(lan, cni):
    peer = configs.link(lan, "eth0", "peer")["address"]
    conf = config(mode="source", sourceMacs=[peer])
    address = cni.add("macvlan", conf).expect().address
    assert lan.reaches("peer", address, lan.tcp_server("c1").port)
    cni.delete("macvlan", conf).expect()
    conf = config(mode="source", sourceMacs=["02:00:00:00:00:99"])
    address = cni.add("macvlan", conf).expect().address
    assert lan.blocked("peer", address, lan.tcp_server("c1").port)


def test_host_interface_of_the_same_name(lan, cni):
    """A host whose own interface is called eth0: containers still get their eth0."""
    lan.run(["ip", "link", "set", "lan0", "name", "eth0"])
    lan.run(["ip", "link", "set", "eth0", "up"])
    lan.run(["ip", "addr", "replace", f"{LAN}.1/24", "dev", "eth0"])
    address = cni.add("macvlan", config(master="eth0")).expect().address
    assert lan.reaches("peer", address, lan.tcp_server("c1").port)


def test_master_is_the_default_route_with_the_lowest_metric(lan, cni):
    lan.run(["ip", "route", "del", "default"])
    for metric, device in ((300, "up0"), (50, "lan0")):
        lan.run(["ip", "route", "add", "default", "dev", device, "metric", str(metric)])
    cni.add("macvlan", config(master=None)).expect()
    lan0 = configs.link(lan, "lan0")
    assert interface(lan)["link_index"] == lan0["ifindex"]


def test_master_on_a_host_with_ipv6_only(lan, cni):
    lan.run(["ip", "route", "del", "default"])
    cni.add("macvlan", config(master=None)).expect()
    assert interface(lan)["link_index"] == configs.link(lan, "up0")["ifindex"]
    cni.delete("macvlan", config(master=None)).expect()
    lan.run(["ip", "-6", "route", "del", "default"])
    cni.add("macvlan", config(master=None)).refused(7, "master", "default route")


def test_link_in_container(lan, cni):
    lan.run(["ip", "link", "add", "trunk0", "type", "veth", "peer", "name", "trunk1"], netns="c1")
    lan.run(["ip", "link", "set", "trunk0", "up"], netns="c1")
    lan.run(["ip", "link", "set", "trunk1", "up"], netns="c1")
    conf = config(master="trunk0", linkInContainer=True)
    before = snapshot.take(lan, ["c1"])
    result = cni.add("macvlan", conf).expect().json
    assert interface(lan)["link"] == "trunk0"
    cni.check("macvlan", configs.with_previous(conf, result)).expect()
    cni.delete("macvlan", conf).expect()
    assert not snapshot.diff(before, snapshot.take(lan, ["c1"]))
    cni.add("macvlan", config(linkInContainer=True)).refused(7, "master", "lan0", "in the sandbox")


def test_mtu_mac_and_bcqueuelen(lan, cni):
    conf = config(mtu=1400, mac="02:00:00:00:00:07", bcqueuelen=500)
    cni.add("macvlan", conf).expect()
    found = interface(lan)
    assert (found["mtu"], found["address"]) == (1400, "02:00:00:00:00:07")
    assert found["linkinfo"]["info_data"]["bcqueuelen"] == 500
    cni.delete("macvlan", conf).expect()
    cni.add("macvlan", configs.runtime(conf, mac="02:00:00:00:00:08")).expect()
    assert interface(lan)["address"] == "02:00:00:00:00:08"
    cni.add("macvlan", config(mtu=9000), "c2").refused(7, "mtu", "1500", "9000")


def test_layer_2_only(lan, cni):
    result = cni.add("macvlan", config(ipam=None)).expect().json
    assert "ips" not in result and "UP" in interface(lan)["flags"]


def test_dns_of_the_ipam_is_kept(lan, cni):
    ipam = {"type": "static", "addresses": [{"address": f"{LAN}.50/24"}], "dns": {"nameservers": ["192.0.2.53"]}}
    assert cni.add("macvlan", config(ipam=ipam)).expect().json["dns"] == {"nameservers": ["192.0.2.53"]}
    cni.delete("macvlan", config(ipam=ipam)).expect()
    own = config(ipam=ipam, dns={"nameservers": ["192.0.2.54"]})
    assert cni.add("macvlan", own).expect().json["dns"] == {"nameservers": ["192.0.2.54"]}


@pytest.mark.parametrize("how", ["no namespace", "namespace gone", "master gone", "empty path"])
def test_del_however_it_comes(lan, cni, how):
    before = snapshot.take(lan)
    cni.add("macvlan", config()).expect()
    netns = "c1"
    if how == "no namespace":
        netns = "/run/netns/absent"
    elif how == "namespace gone":
        lan.remove_netns("c1")
    elif how == "master gone":
        lan.run(["ip", "link", "del", "lan0"])
        before = snapshot.take(lan, stores=False)
    elif how == "empty path":
        netns = ""
    for _ in range(2):
        cni.delete("macvlan", config(), netns=netns).expect()
    if how in ("empty path", "no namespace"):
        assert interface(lan) is None       # found by its recorded path
    configs.eventually(lambda: not snapshot.diff(before, snapshot.take(lan, stores=how != "master gone")))
    assert "endpoints" not in "".join(snapshot.store_hook(lan).get("store", []))


def test_gc_takes_the_interface_in_a_living_sandbox(lan, cni):
    for name in ("c1", "c2"):
        cni.add("macvlan", config(), name).expect()
    cni.gc("macvlan", config(), [("c2", "eth0")]).expect()
    assert interface(lan, "c1") is None and interface(lan, "c2")


def test_address_of_a_container_that_vanished_is_given_again(lan, cni):
    """No DEL, no host interface to miss: the sandbox's id is gone from the host's namespace."""
    conf = config(ipam=configs.host_local({"subnet": f"{LAN}.0/24", "rangeStart": f"{LAN}.9", "rangeEnd": f"{LAN}.9"}))
    cni.add("macvlan", conf, "c1").expect()
    cni.add("macvlan", conf, "c2").refused(103)
    known = lan.run(["ip", "netns", "list-id"]).stdout.count("nsid")
    lan.remove_netns("c1")
    configs.eventually(lambda: lan.run(["ip", "netns", "list-id"]).stdout.count("nsid") < known)
    assert cni.add("macvlan", conf, "c2").expect().address == f"{LAN}.9"


def test_add_twice_and_name_taken(lan, cni):
    cni.add("macvlan", config()).expect()
    cni.add("macvlan", config()).refused(102, "already")
    assert interface(lan)
    lan.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "x"], netns="c2")
    before = snapshot.take(lan, ["c2"])
    cni.add("macvlan", config(), "c2").refused(102, "CNI_IFNAME", "eth0")
    assert not snapshot.diff(before, snapshot.take(lan, ["c2"]))


# ---- internal: no master ----

def test_internal_network(lan, cni):
    before = snapshot.take(lan, ["c1", "c2"])
    first = cni.add("macvlan", internal(), "c1").expect().address
    second = cni.add("macvlan", internal(), "c2").expect().address
    assert lan.reaches("c1", second, lan.tcp_server("c2").port)
    assert lan.reaches("c2", first, lan.tcp_server("c1").port)
    assert lan.blocked(None, first, lan.tcp_server("c1").port)
    assert lan.blocked("c1", f"{LAN}.2", lan.tcp_server("peer").port)
    cni.delete("macvlan", internal(), "c1").expect()
    assert interface(lan, "c2")
    cni.delete("macvlan", internal(), "c2").expect()
    assert not snapshot.diff(before, snapshot.take(lan, ["c1", "c2"]))


def test_internal_has_no_master(lan, cni):
    cni.add("macvlan", config(internal=True)).refused(7, "internal", "master")


# ---- promisc, counted by networks ----

def test_promisc_goes_with_the_last_network(lan, cni):
    def promisc():
        return "PROMISC" in configs.link(lan, "lan0")["flags"]
    one, two = config("one", promisc=True), config("two", promisc=True, ipam=configs.host_local("198.51.101.0/24"))
    cni.add("macvlan", one, "c1").expect()
    assert promisc()
    cni.add("macvlan", two, "c2").expect()
    cni.delete("macvlan", one, "c1").expect()
    assert promisc()
    cni.delete("macvlan", two, "c2").expect()
    assert not promisc()


def test_promisc_of_the_administrator_stays(lan, cni):
    lan.run(["ip", "link", "set", "lan0", "promisc", "on"])
    cni.add("macvlan", config(promisc=True)).expect()
    cni.delete("macvlan", config(promisc=True)).expect()
    assert "PROMISC" in configs.link(lan, "lan0")["flags"]


def test_vlan_master_needs_the_kernel(lan, cni):
    """Here it is absent, and the message says which option; where it is there the interface comes and goes."""
    outcome = cni.add("macvlan", config(master="lan0.10"))
    if outcome.ok:
        assert configs.link(lan, "lan0.10")["linkinfo"]["info_data"]["id"] == 10
        cni.delete("macvlan", config(master="lan0.10")).expect()
    else:
        outcome.refused(100, "CONFIG_VLAN_8021Q", "lan0.10")
    assert configs.link(lan, "lan0.10") is None
    cni.add("macvlan", config(master="nolan.10")).refused(7, "master", "nolan.10")


# ---- hostAccess ----

def with_host(**more):
    return config(hostAccess=True, **more)


def test_host_access_both_ways(lan, cni):
    configs.warm(cni, with_host(), "macvlan")       # the fixed part of the rules stays
    before = snapshot.take(lan, ["c1", "c2"])
    address = cni.add("macvlan", with_host(), "c1").expect().address
    cni.add("macvlan", with_host(), "c2").expect()
    assert lan.probe(None, address, lan.tcp_server("c1").port).peer == f"{LAN}.1"
    assert lan.probe("c1", f"{LAN}.1", lan.tcp_server().port).peer == address
    assert lan.reaches("peer", address, lan.tcp_server("c1").port)      # nothing else has changed
    assert lan.reaches(None, f"{LAN}.2", lan.tcp_server("peer").port)
    cni.delete("macvlan", with_host(), "c1").expect()
    assert not lan.ip("route", "show", address)
    cni.delete("macvlan", with_host(), "c2").expect()
    assert not snapshot.diff(before, snapshot.take(lan, ["c1", "c2"]))


def test_host_access_ipv6(lan, cni):
    conf = with_host(ipam=configs.host_local({"subnet": f"{LAN6}/64", "rangeStart": f"{LAN6}100"}))
    address = cni.add("macvlan", conf).expect().address
    assert lan.probe(None, address, lan.tcp_server("c1", "::").port).peer == f"{LAN6}1"
    result = cni.add("macvlan", conf, "c2").expect()
    cni.check("macvlan", configs.with_previous(conf, result.json), "c2").expect()
    lan.run(["ip", "-6", "route", "flush", "dev", [e["ifname"] for e in lan.ip("link") if e["ifname"].startswith("flh")][0]])
    cni.check("macvlan", configs.with_previous(conf, result.json), "c2").refused(104, "route")


def test_ports_need_host_access(lan, cni):
    cni.add("macvlan", configs.publish(config(), (8080, 80))).refused(7, "portMappings", "hostAccess")


def test_published_ports_through_host_access(lan, cni):
    conf = configs.publish(with_host(), (8080, 80))
    cni.add("macvlan", conf, "c1").expect()
    lan.tcp_server("c1", port=80)
    assert lan.probe("outside", "192.0.2.1", 8080).server == "c1"       # by another interface of the host
    assert lan.probe("peer", f"{LAN}.1", 8080).server == "c1"           # from the same LAN
    assert lan.probe(None, "127.0.0.1", 8080).server == "c1"
    cni.add("macvlan", with_host(), "c2").expect()
    assert lan.probe("c2", f"{LAN}.1", 8080).server == "c1"
    cni.delete("macvlan", conf, "c1").expect()
    assert lan.blocked("outside", "192.0.2.1", 8080)


@pytest.mark.parametrize("more, words", [
    ({"mode": "private"}, ["hostAccess", "bridge"]),
    ({"hostAccess": 3}, ["hostAccess"]),
    ({"hostAccess": "nonsense"}, ["hostAccess", "nonsense"]),
    ({"ipam": configs.host_local("198.51.102.0/24")}, ["hostAccess", "198.51.102.0/24"]),
])
def test_host_access_refused(lan, cni, more, words):
    before = snapshot.take(lan, ["c1"], stores=False)
    cni.add("macvlan", {**with_host(), **more}).refused(None, *words)
    assert not snapshot.diff(before, snapshot.take(lan, ["c1"], stores=False))


def test_host_access_taken_back(lan, cni):
    conf = configs.publish(with_host(), (8080, 80))
    cni.add("macvlan", conf, "c1").expect()
    cni.add("macvlan", config(), "c2").expect()
    cni.delete("macvlan", conf, "c1").expect()
    assert not configs.nft_elements(lan)["hairpin_all4"]


def test_small_mtu_is_named(lan, cni):
    cni.add("macvlan", config(mtu=60)).refused(7, "mtu", "68")
