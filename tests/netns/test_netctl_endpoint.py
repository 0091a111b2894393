# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl endpoint inspect, stats: what is known of an attachment, and what goes over it."""
import socket
import subprocess

from support import configs as net
from support import dns
from support.netctl import NOT_FOUND, USAGE

MACVLAN = {"cniVersion": net.VERSION, "name": "mv", "type": "macvlan", "master": "up0",
           "ipam": net.host_local("10.3.0.0/24")}


def link_of(lab, name, netns=None):
    [found] = [link for link in lab.ip("-s", "link", netns=netns) if link["ifname"] == name]
    return found


def broadcast(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for _ in range(50):
            sock.sendto(b"x" * 1000, (address, 9))


def inspect(netctl, *argv):
    [found] = netctl.json("endpoint", "inspect", *argv)
    return found


# ---- endpoint inspect ----

def test_both_ends(lab, cni, netctl):
    config = net.publish(net.dual(), (8080, 80))
    cni.add("bridge", config, "c1", args="K8S_POD_NAME=web").expect()
    found = inspect(netctl, "web")
    inside = link_of(lab, "eth0", "c1")
    host = link_of(lab, found["hostInterface"])
    assert (found["index"], found["mtu"], found["macInside"], found["operstate"]) == \
        (inside["ifindex"], inside["mtu"], inside["address"], inside["operstate"].lower())
    assert (found["hostIndex"], found["hostMtu"], found["hostMac"], found["hostState"]) == \
        (host["ifindex"], host["mtu"], host["address"], host["operstate"].lower())
    assert (found["peerIndex"], found["hostPeerIndex"]) == (host["ifindex"], inside["ifindex"])
    assert found["cookie"] == lab.cookie("c1") and found["namespaceOpen"] and found["netns"] == "/run/netns/c1"
    assert found["addresses"] == ["10.1.0.2/24", "fd00:1::2/64"]
    assert [a for a in found["addressesInside"] if not a.startswith("fe80")] == found["addresses"]
    assert ("default", "10.1.0.1") in [(r["dst"], r["gw"]) for r in found["routes"]]
    assert (found["networkFlags"], found["networkLink"], found["plugins"]) == (["masquerade"], "net0", ["bridge"])
    assert found["resolver"] == {"enabled": False, "served": False, "address": "", "port": 0}
    assert [p["hostPort"] for p in found["ports"]] == [8080]
    assert "processes" not in found


def test_directions(lab, cni, netctl):
    [address] = net.attach(cni, net.bridge(), "c1")
    server = lab.udp_server("c1", port=9)
    sock = lab.client(None, address, server.port, "udp")
    for _ in range(50):
        sock.send(b"x" * 1000)
    net.eventually(lambda: link_of(lab, "eth0", "c1")["stats64"]["rx"]["bytes"] > 50000)
    traffic = inspect(netctl, "c1")["traffic"]
    stats = link_of(lab, "eth0", "c1")["stats64"]
    assert traffic["from"] == "host"
    assert abs(traffic["inBytes"] - stats["rx"]["bytes"]) < 2000 and traffic["inBytes"] > 50000
    assert abs(traffic["inPackets"] - stats["rx"]["packets"]) < 10


def test_people(cni, netctl):
    cni.add("bridge", net.publish(net.bridge(), (8080, 80)), "c1").expect()
    text = netctl("endpoint", "inspect", "c1").expect().stdout
    for line in (r"Container          c1", "Network's flags    masquerade", "0.0.0.0:8080 80/tcp", "Routes inside",
                 "Resolver           none", "Namespace          /run/netns/c1 (cookie "):
        assert line in text


def test_narrowed(cni, netctl):
    cni.add("bridge", net.bridge(), "c1").expect()
    cni.add("bridge", net.second(), "c1", ifname="eth1").expect()
    assert [e["interface"] for e in netctl.json("endpoint", "inspect", "c1")] == ["eth0", "eth1"]
    assert inspect(netctl, "c1", "--network", "other")["interface"] == "eth1"
    assert inspect(netctl, "c1", "--interface", "eth0")["network"] == "net"
    netctl("endpoint", "inspect", "c1", "--network", "nix").expect(NOT_FOUND, "not attached to network nix")
    netctl("endpoint", "inspect", "c9").expect(NOT_FOUND, "c9: no container")
    assert netctl("endpoint", "inspect", "c9", "--json").error["code"] == 3
    netctl("endpoint", "inspect").expect(USAGE, "expected 1 argument")


def test_processes(lab, cni, netctl):
    cni.add("bridge", net.bridge(), "c1").expect()
    assert inspect(netctl, "c1", "--processes")["processes"] == []
    process = lab.start(["cat"], netns="c1", stdin=subprocess.PIPE)
    found = inspect(netctl, "c1", "--processes")
    assert (found["processes"], found["processCount"]) == ([process.pid], 1)


def test_the_path_leads_elsewhere(lab, cni, netctl):
    cni.add("bridge", net.bridge(), "c1").expect()
    lab.remove_netns("c1")
    found = inspect(netctl, "c1")
    assert not found["namespaceOpen"] and "/run/netns/c1" in found["namespaceWhy"] and found["index"] == 0
    lab.netns("c1")
    found = inspect(netctl, "c1")
    assert not found["namespaceOpen"] and f"another namespace (cookie {lab.cookie('c1')})" in found["namespaceWhy"]
    net.eventually(lambda: not net.link(lab, found["hostInterface"]))
    text = netctl("endpoint", "inspect", "c1").expect().stdout
    assert "another namespace" in text and "(gone)" in text


def test_what_a_container_calls_its_interface(lab, cni, netctl):
    """Its name is found by the peer's index, and cannot steer a terminal."""
    cni.add("bridge", net.bridge(), "c1").expect()
    lab.run(["ip", "link", "set", "eth0", "down"], netns="c1")
    lab.run(["ip", "link", "set", "eth0", "name", "<\x1b[31m&\""], netns="c1")
    assert inspect(netctl, "c1")["interfaceInside"] == "<\x1b[31m&\""
    text = netctl("endpoint", "inspect", "c1").expect().stdout
    assert "\x1b" not in text and r'<\u{1b}[31m&"' in text


def test_inside_alone(lab, cni, netctl):
    cni.add("macvlan", MACVLAN, "c1").expect()
    found = inspect(netctl, "c1")
    assert (found["hostIndex"], found["index"]) == (0, link_of(lab, "eth0", "c1")["ifindex"])
    assert found["kind"] == "macvlan" and found["traffic"]["from"] == "inside" and found["networkParent"] == "up0"
    assert "no host end" in netctl("endpoint", "inspect", "c1").expect().stdout


def test_resolver(cni, lab, netctl):
    with dns.upstream(lab):
        cni.add("bridge", dns.network(), "c1").expect()
        found = inspect(netctl, "c1")["resolver"]
        assert found["enabled"] and found["served"] and found["address"] == "127.0.0.11"
        assert f"127.0.0.11:{found['port']} " in lab.run(["ss", "-Huln"], netns="c1").stdout
        cni.delete("bridge", dns.network(), "c1").expect()


# ---- stats ----

def test_stats(lab, cni, netctl):
    [address] = net.attach(cni, net.bridge(), "c1")
    cni.add("macvlan", MACVLAN, "c2").expect()
    server = lab.udp_server("c1", port=9)
    sock = lab.client(None, address, server.port, "udp")
    for _ in range(50):
        sock.send(b"x" * 1000)
    net.eventually(lambda: link_of(lab, "eth0", "c1")["stats64"]["rx"]["bytes"] > 50000)
    lab.call(broadcast, "10.3.0.255", netns="c2")
    found = {e["container"]: e for e in netctl.json("stats")}
    for name, source in (("c1", "host"), ("c2", "inside")):
        stats = link_of(lab, "eth0", name)["stats64"]
        assert found[name]["from"] == source
        for key, side in (("in", "rx"), ("out", "tx")):
            assert abs(found[name][f"{key}Bytes"] - stats[side]["bytes"]) < 2000
        assert abs(found[name]["outPackets"] - stats["tx"]["packets"]) < 10
    assert found["c1"]["inBytes"] > 50000 and found["c2"]["outBytes"] > 50000
    rows = netctl("stats", "c1").expect().rows
    assert rows[0] == ["CONTAINER", "NETWORK", "INTERFACE", "IN", "OUT", "PKTS-IN", "PKTS-OUT", "DROPPED", "ERRORS"]
    assert rows[1][:3] == ["c1", "net", "eth0"] and rows[1][3].endswith("k")


def test_stats_of_what_cannot_be_entered(lab, cni, netctl):
    cni.add("macvlan", MACVLAN, "c1").expect()
    lab.remove_netns("c1")
    assert netctl("stats").expect().rows[1] == ["c1", "mv", "eth0", "-", "-", "-", "-", "-", "-"]
    [found] = netctl.json("stats")
    assert found["from"] == "" and found["inBytes"] is None


def test_stats_of_whom(cni, netctl):
    for config, names in ((net.bridge(), ("c1", "c2")), (net.second(), ("c1",))):
        for name in names:
            cni.add("bridge", config, name, ifname="eth0" if config["name"] == "net" else "eth1").expect()
    assert [(e["container"], e["network"]) for e in netctl.json("stats")] == [("c1", "net"), ("c2", "net"), ("c1", "other")]
    assert [(e["container"], e["network"]) for e in netctl.json("stats", "other", "c2")] == [("c2", "net"), ("c1", "other")]
    netctl("stats", "c1", "nix").expect(NOT_FOUND, "nix: no container and no network")
    assert netctl("stats", "nix", "--json").error["code"] == 3
