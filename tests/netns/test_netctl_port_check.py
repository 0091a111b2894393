# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl port check: each step is broken once, and named."""
import pytest

from support import configs as net
from support.netctl import NO, NOT_FOUND, USAGE

HOST, OUTSIDE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def web(lab, cni, netctl):
    """c1 ("web") with 8080 -> 80, served; yields a function: (ok, {step: ok}, [details]) of port check."""
    cni.add("bridge", net.publish(net.dual(), (8080, 80)), "c1", args="IgnoreUnknown=1;K8S_POD_NAME=web").expect()
    cni.add("bridge", net.second(), "c2").expect()
    lab.tcp_server("c1", port=80, name="web")
    return netctl


def failing(netctl, *argv):
    """Names of the steps that fail; the exit status says the same."""
    outcome = netctl("port", "check", *argv, "--json")
    found = outcome.json
    failed = [s["step"] for s in found["steps"] if s["ok"] is False]
    assert found["ok"] == (not failed) and outcome.status == (NO if failed else 0), outcome
    assert all(s["remedy"] for s in found["steps"] if s["ok"] is False and s["step"] != "probe"), found
    return failed


def detail(netctl, step, *argv):
    steps = netctl("port", "check", *argv, "--json").json["steps"]
    return " ".join(s["detail"] + " " + s["remedy"] for s in steps if s["step"] == step)


def test_all_is_well(lab, web):
    assert lab.reaches("outside", HOST, 8080)
    found = web.json("port", "check", "8080", "--probe")
    assert set(found) == {"port", "steps", "ok"} and found["ok"] is True and found["port"] == "8080/tcp"
    steps = [s["step"] for s in found["steps"]]
    assert [s for s in steps if s in ("record", "state", "skeleton", "element", "published", "forwarding", "host route", "forward",
                                      "link", "sandbox", "interface", "answer", "listener", "probe")] == steps[:4] + steps[6:]
    assert all(s["ok"] is True for s in found["steps"])
    shown = web("port", "check", "8080").expect()
    assert all(line.split()[0] == "ok" for line in shown.stdout.splitlines())
    assert "0.0.0.0:8080 is 10.1.0.2:80 of container web, network net" in shown.stdout
    assert web("port", "check", "-q", "8080").expect().stdout == "ok\n"
    for who in ("host", "outside", "c2", "web"):
        assert failing(web, "8080", "--from", who) == []
    assert failing(web, "8080/tcp", "--address", HOST) == []


def test_record(web):
    assert failing(web, "9") == ["record"]
    assert failing(web, "8080/udp") == ["record"]
    outcome = web("port", "check", "9").expect(NO)
    assert outcome.stdout.startswith("failed   record       no container publishes port 9/tcp\n                      remedy: netctl port ls")
    web("port", "check", "x").expect(USAGE, "expected a port")
    web("port", "check", "8080", "--from", "nobody").expect(NOT_FOUND, "nobody")
    assert web("port", "check", "-q", "9").expect(NO).stdout == "failed\n"


def test_state(lab, cni, netctl):
    """A plugin that was killed in its middle: what it left is `creating`."""
    config = net.publish(net.bridge(), (8080, 80))
    cni.call("ADD", "bridge", config, "c1", prefix=("strace", "-f", "-o", "/dev/null", "-e", "trace=write",
                                                    "-e", "inject=write:signal=KILL"))
    assert netctl.json("endpoint", "ls")[0]["state"] == "creating"
    assert "state" in failing(netctl, "8080")


def test_address(lab, cni, netctl):
    lab.run(["ip", "addr", "add", "192.0.2.7/24", "dev", "up0"])
    cni.add("bridge", net.publish(net.bridge(), net.port(8080, 80, hostIP="192.0.2.7")), "c1").expect()
    lab.tcp_server("c1", port=80)
    assert failing(netctl, "8080") == []
    lab.run(["ip", "addr", "del", "192.0.2.7/24", "dev", "up0"])
    assert "address" in failing(netctl, "8080")
    assert failing(netctl, "8080", "--address", HOST) == ["record"]


def test_the_address_goes_before_all_of_them(lab, cni, netctl):
    cni.add("bridge", net.publish(net.bridge(), (8080, 80), net.port(8080, 81, hostIP=HOST)), "c1").expect()
    lab.tcp_server("c1", port=81)
    assert lab.reaches("outside", HOST, 8080)
    assert failing(netctl, "8080", "--address", HOST) == []
    assert "10.1.0.2:81" in detail(netctl, "record", "8080", "--address", HOST)
    assert failing(netctl, "8080", "--address", "10.1.0.1", "--from", "c1") == ["listener"]


def test_process(lab, web):
    lab.tcp_server(None, port=8080)
    assert lab.probe("outside", HOST, 8080).server == "web"     # it gets nothing, and is no fault
    assert failing(web, "8080") == []
    assert "listens at 0.0.0.0:8080 too" in detail(web, "process", "8080")
    assert any(line.startswith("unknown  process") for line in web("port", "check", "8080").stdout.splitlines())


@pytest.mark.parametrize("how, steps", [
    ("flush ruleset", ["skeleton", "element", "published"]),
    ("flush table inet fairlead", ["skeleton", "published"]),
    ("add rule inet fairlead publish counter", ["skeleton"]),
    ("table inet fairlead { chain publish { ip6 nexthdr 99 drop; }; }", ["skeleton"]),
    ("add chain inet fairlead forward { policy drop; }", ["skeleton"]),
    ("flush chain inet fairlead publish", ["skeleton", "published"]),
    ("delete element inet fairlead publish4 { tcp . 8080 }", ["element", "published"]),
    ("delete element inet fairlead hairpin4 { 127.0.0.0-127.255.255.255 . 10.1.0.0-10.1.0.255 }", ["element"]),
])
def test_nftables(lab, web, how, steps):
    lab.nft(how)
    assert lab.blocked("outside", HOST, 8080) == ("published" in steps)
    assert set(steps) <= set(failing(web, "8080"))
    assert ("skeleton" in failing(web, "8080")) == ("skeleton" in steps)


def test_forwarding(lab, web):
    lab.sysctl("net.ipv4.ip_forward", 0)
    assert failing(web, "8080") == ["forwarding"]
    assert "sysctl -w net.ipv4.ip_forward=1" in detail(web, "forwarding", "8080")
    lab.sysctl("net.ipv4.ip_forward", 1)
    lab.sysctl("net.ipv6.conf.all.forwarding", 0)
    lab.tcp_server("c1", "::", 80)
    assert failing(web, "8080") == []
    assert failing(web, "8080", "-6") == ["forwarding"]
    assert lab.blocked("outside", "2001:db8::1", 8080)


def test_foreign_firewall(lab, web):
    lab.nft("table inet mine { chain forward { type filter hook forward priority 0; policy drop; }; }")
    assert lab.blocked("outside", HOST, 8080)
    assert failing(web, "8080") == ["firewall"]
    lab.nft("table inet mine { chain forward { ip protocol icmp accept; }; }")
    assert failing(web, "8080") == []       # who knows: but it is told
    assert "policy of chain forward" in detail(web, "firewall", "8080")


def test_network_flags(lab, cni, netctl):
    lab.netns("c3")
    cni.add("bridge", net.publish(net.bridge("in", subnets=("10.5.0.0/24",), internal=True, isDefaultGateway=None), (8081, 80)), "c1").expect()
    cni.add("bridge", net.publish(net.bridge("ro", subnets=("10.6.0.0/24",), gatewayMode="routed", guarded=True), (8082, 80)), "c2").expect()
    cni.add("bridge", net.publish(net.bridge("gu", subnets=("10.7.0.0/24",), guarded=True), (8083, 80)), "c3").expect()
    for name in ("c1", "c2", "c3"):
        lab.tcp_server(name, port=80)
    assert "network" in failing(netctl, "8081")
    assert failing(netctl, "8082") == [] and "open at 10.6.0.2:80" in detail(netctl, "network", "8082")
    assert lab.reaches("outside", "10.6.0.2", 80)
    assert failing(netctl, "8083") == [] and "guarded" in detail(netctl, "network", "8083")


@pytest.mark.parametrize("harm, step", [
    ("ip route add 10.1.0.2/32 via 192.0.2.2", "host route"),
    ("ip link set {end} down", "link"),
    ("ip link set {end} nomaster", "link"),
    ("ip link del {end}", "link"),
    ("umount /run/netns/c1", "sandbox"),
    ("umount /run/netns/c1; mount --bind /run/netns/c2 /run/netns/c1", "sandbox"),
    ("nsenter --net=/run/netns/c1 ip link set eth0 down", "interface"),
    ("nsenter --net=/run/netns/c1 ip addr flush dev eth0", "interface"),
    ("nsenter --net=/run/netns/c1 ip link del eth0", "link"),
    ("nsenter --net=/run/netns/c1 ip route del default", "answer"),
])
def test_links_and_sandboxes(lab, web, harm, step):
    end = [e["hostInterface"] for e in web.json("endpoint", "ls", "net")][0]
    assert failing(web, "8080") == []
    lab.run(["sh", "-c", harm.format(end=end)])
    if "umount" not in harm:
        assert lab.blocked("outside", HOST, 8080)
    assert step in failing(web, "8080")


def test_renamed_interface_is_no_fault(lab, web):
    lab.run(["ip", "link", "set", "eth0", "name", "eth7"], netns="c1")
    assert lab.reaches("outside", HOST, 8080)
    assert failing(web, "8080") == [] and "eth7 is up" in detail(web, "interface", "8080")


def test_listener_and_probe(lab, cni, netctl):
    cni.add("bridge", net.publish(net.bridge(), (8080, 80), (5353, 53, "udp")), "c1").expect()
    assert failing(netctl, "8080", "--probe") == ["listener", "probe"]
    assert "Connection refused" in detail(netctl, "probe", "8080", "--probe")
    lab.run(["ip", "link", "set", "lo", "up"], netns="c1")
    server = lab.tcp_server("c1", "127.0.0.1", 80)
    assert failing(netctl, "8080", "--probe") == ["listener", "probe"]
    assert "listens on 127.0.0.1 only" in detail(netctl, "listener", "8080") and "listen at 0.0.0.0" in detail(netctl, "listener", "8080")
    server.close()
    lab.tcp_server("c1", port=80)
    assert failing(netctl, "8080", "--probe") == []
    assert failing(netctl, "5353/udp", "--probe") == ["listener"]
    lab.udp_server("c1", port=53)
    assert failing(netctl, "5353/udp") == []
    lab.run(["nft", "add table ip x; add chain ip x i { type filter hook input priority 0; policy drop; }"], netns="c1")
    assert failing(netctl, "8080", "--probe") == ["firewall", "probe"]      # bounded, not for ever


def test_loopback_port_is_asked_from_the_host(lab, cni, netctl):
    cni.add("bridge", net.publish(net.bridge(), net.port(8080, 80, hostIP="127.0.0.1")), "c1").expect()
    lab.tcp_server("c1", port=80)
    assert lab.reaches(None, "127.0.0.1", 8080)
    assert failing(netctl, "8080") == []
    lab.sysctl("net/ipv4/conf/net0/route_localnet", 0)
    assert lab.blocked(None, "127.0.0.1", 8080)
    assert failing(netctl, "8080") == ["loopback"]


def test_a_range(lab, cni, netctl):
    cni.add("bridge", net.publish(net.bridge(), *((9000 + i, 9000 + i) for i in range(9)), *((7000 + i, 6000 + i) for i in range(9))), "c1").expect()
    lab.tcp_server("c1", port=9004)
    lab.tcp_server("c1", port=6004)
    assert failing(netctl, "9004", "--probe") == [] == failing(netctl, "7004", "--probe")
    lab.nft("delete element inet fairlead publish4 { tcp . 7005 }")
    assert failing(netctl, "7004") == []
    assert "element" in failing(netctl, "7005")
