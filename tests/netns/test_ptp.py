# SPDX-License-Identifier: GPL-2.0-or-later
"""ptp: sandbox to host by routes, and a cable between two sandboxes."""
import pytest

from support import configs, snapshot

HOST = "192.0.2.1"


def config(name="p", **more):
    base = {"cniVersion": configs.VERSION, "name": name, "type": "ptp", "ipMasq": True,
            "ipam": configs.host_local(configs.SUBNET, routes=["0.0.0.0/0"])}
    base.update(more)
    return {k: v for k, v in base.items() if v is not None}


def dual():
    return config(ipam=configs.host_local(configs.SUBNET, configs.SUBNET6, routes=["0.0.0.0/0", "::/0"]))


def cable(peer="c1", **more):
    return config("cable", peer=peer, ipMasq=None, ipam=configs.host_local("10.9.0.0/24", "fd00:9::/64"), **more)


def routes(lab, netns, family="-4"):
    return {(r["dst"], r.get("gateway"), r["dev"]) for r in lab.ip(family, "route", netns=netns)}


def test_result_and_routes(lab, cni):
    outcome = cni.add("ptp", dual()).expect()
    names = [i["name"] for i in outcome.json["interfaces"]]
    assert names[1] == "eth0" and "sandbox" not in outcome.json["interfaces"][0]
    assert [ip["interface"] for ip in outcome.json["ips"]] == [1, 1]
    assert {("10.1.0.1", None, "eth0"), ("10.1.0.0/24", "10.1.0.1", "eth0"), ("default", "10.1.0.1", "eth0")} == routes(lab, "c1")
    assert (outcome.address, None, names[0]) in routes(lab, None)
    assert "10.1.0.1/32" in configs.addresses(lab, names[0])
    cni.check("ptp", configs.with_previous(dual(), outcome.json)).expect()


def test_traffic(lab, cni):
    one, two = (cni.add("ptp", dual(), name).expect().addresses() for name in ("c1", "c2"))
    for to in two:
        assert lab.reaches("c1", to, lab.tcp_server("c2", "::" if ":" in to else "0.0.0.0").port)
        assert lab.reaches(None, to, lab.tcp_server("c2", "::" if ":" in to else "0.0.0.0").port)
    assert lab.probe("c1", "192.0.2.2", lab.tcp_server("outside").port).peer == HOST
    assert lab.probe("c1", "2001:db8::2", lab.tcp_server("outside", "::").port).peer == "2001:db8::1"
    assert lab.reaches("c2", one[0], lab.tcp_server("c1").port)


def test_published_port_from_everywhere(lab, cni):
    conf = configs.publish(config(), (8080, 80))
    cni.add("ptp", conf, "c1").expect()
    cni.add("ptp", config(), "c2").expect()
    lab.tcp_server("c1", port=80)
    for where, address in (("outside", HOST), (None, "127.0.0.1"), (None, HOST), ("c2", HOST), ("c1", HOST)):
        assert lab.probe(where, address, 8080).server == "c1", where
    cni.delete("ptp", conf, "c1").expect()
    assert lab.blocked("outside", HOST, 8080)


def test_mtu_mac_and_internal(lab, cni):
    conf = configs.runtime(config(mtu=1300, internal=True), mac="02:00:00:00:00:05")
    cni.add("ptp", conf).expect()
    found = configs.link(lab, "eth0", "c1")
    assert (found["mtu"], found["address"]) == (1300, "02:00:00:00:00:05")
    assert lab.blocked("c1", "192.0.2.2", lab.tcp_server("outside").port)


@pytest.mark.parametrize("how", ["plain", "no namespace", "empty path", "flushed"])
def test_del_however_it_comes(lab, cni, how):
    conf = configs.publish(config(), (8080, 80))
    configs.warm(cni, conf, "ptp")
    before = snapshot.take(lab, ["c1"])
    cni.add("ptp", conf).expect()
    if how == "flushed":
        lab.nft("flush ruleset")
    netns = {"no namespace": "/run/netns/absent", "empty path": ""}.get(how, "c1")
    for _ in range(2):
        cni.delete("ptp", conf, netns=netns).expect()
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


@pytest.mark.parametrize("tamper", [["ip", "route", "flush", "dev", "{veth}"], ["ip", "link", "set", "{veth}", "down"]])
def test_check_sees_the_host_side(lab, cni, tamper):
    result = cni.add("ptp", config()).expect().json
    lab.run([word.format(veth=result["interfaces"][0]["name"]) for word in tamper])
    cni.check("ptp", configs.with_previous(config(), result)).refused(104)


def test_two_ranges_of_one_subnet(lab, cni):
    conf = config(ipam=configs.host_local({"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.10", "rangeEnd": "10.9.0.20"},
                                          {"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.30", "rangeEnd": "10.9.0.40"}))
    port = lab.tcp_server("c1").port
    for address in cni.add("ptp", conf).expect().addresses():
        assert lab.reaches(None, address, port)


# ---- cable ----

@pytest.fixture
def two(lab, cni):
    """c1 is attached to a bridge, under the name web."""
    cni.add("bridge", configs.bridge(), "c1", args="K8S_POD_NAME=web").expect()
    return lab


@pytest.mark.parametrize("peer", ["c1", "web"])
def test_cable_by_id_and_by_name(two, cni, peer):
    outcome = cni.add("ptp", cable(peer), "c2").expect()
    interfaces = outcome.json["interfaces"]
    assert [(i["name"], i["sandbox"]) for i in interfaces] == [("eth1", "/run/netns/c1"), ("eth0", "/run/netns/c2")]
    here = outcome.addresses()
    there = [a.split("/")[0] for a in configs.addresses(two, "eth1", "c1") if not a.startswith("fe80")]
    assert len(here) == len(there) == 2 and all(ip["address"].endswith(("/32", "/128")) for ip in outcome.json["ips"])
    for mine, yours in zip(here, there):
        kind = "::" if ":" in mine else "0.0.0.0"
        assert two.probe("c2", yours, two.tcp_server("c1", kind).port).peer == mine
        assert two.probe("c1", mine, two.tcp_server("c2", kind).port).peer == yours
    assert two.blocked(None, here[0], two.tcp_server("c2").port)
    cni.check("ptp", configs.with_previous(cable(peer), outcome.json), "c2").expect()


def test_cable_goes_with_either_end(two, cni):
    before = snapshot.take(two, ["c1", "c2"])
    cni.add("ptp", cable(), "c2").expect()
    cni.delete("ptp", cable(), "c2").expect()
    assert not snapshot.diff(before, snapshot.take(two, ["c1", "c2"]))
    result = cni.add("ptp", cable(), "c2").expect().json
    two.run(["ip", "link", "del", "eth1"], netns="c1")
    cni.check("ptp", configs.with_previous(cable(), result), "c2").refused(104)
    cni.delete("ptp", cable(), "c2").expect()
    assert not snapshot.diff(before, snapshot.take(two, ["c1", "c2"]))


@pytest.mark.parametrize("more, code, words", [
    ({"peer": "nobody"}, 7, ["peer", "nobody"]),
    ({"peer": "c2"}, 7, ["peer", "c2"]),
    ({"ipMasq": True}, 7, ["peer", "ipMasq"]),
    ({"peerIfName": "eth0"}, 102, ["peerIfName", "eth0"]),
    ({"peerIfName": "no/name"}, 7, ["peerIfName"]),
    ({"ipam": {"type": "static", "addresses": [{"address": "10.9.0.2/24"}]}}, 7, ["ipam.type"]),
    ({"runtimeConfig": {"portMappings": [configs.port(8080, 80)]}}, 7, ["portMappings"]),
])
def test_cable_refused(two, cni, more, code, words):
    cni.add("bridge", configs.bridge(), "c2", ifname="eth5").expect()
    before = snapshot.take(two, ["c1", "c2"])
    cni.add("ptp", {**cable(), **more}, "c2").refused(code, *words)
    assert not snapshot.diff(before, snapshot.take(two, ["c1", "c2"]))


def test_cable_to_a_process_of_another_user(lab, cni):
    """Its namespace is known by /proc/PID/ns/net, which takes a capability to open."""
    process = lab.start(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sleep", "60"], netns="c1")
    path = f"/proc/{process.pid}/ns/net"
    configs.eventually(lambda: lab.read(f"/proc/{process.pid}/comm").strip() == "sleep")
    cni.add("bridge", configs.bridge(), "c1", netns=path).expect()
    cni.add("ptp", cable(), "c2").expect()
    cni.delete("ptp", cable(), "c2").expect()
    cni.delete("bridge", configs.bridge(), "c1", netns=path).expect()
    lab.stop(process)
