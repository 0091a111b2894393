# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl port ls, show, who."""
import os

import pytest

from support import configs as net
from support.netctl import NO, NOT_FOUND, USAGE, program


@pytest.fixture
def published(cni, netctl):
    """c1 with 8080 -> 80 and a range, dual; c2 on another network with two ports, one of them at one address."""
    cni.add("bridge", net.publish(net.dual(), (8080, 80), (8081, 80), {**net.port(9000, 9000), "range": 1},
                                  (5353, 53, "udp")), "c1", args="IgnoreUnknown=1;K8S_POD_NAME=web").expect()
    cni.add("bridge", net.publish(net.second(), (8443, 443), net.port(8444, 443, hostIP="192.0.2.1")), "c2").expect()
    return netctl


def rows(outcome):
    return [row for row in outcome.rows if row]


def test_ls(published):
    shown = rows(published("port", "ls").expect())
    assert shown[0] == ["PROTOCOL", "HOST", "CONTAINER", "NETWORK", "INSIDE"]
    assert ["tcp", "0.0.0.0:8080", "web", "net", "10.1.0.2:80"] in shown
    assert ["tcp", "[::]:8080", "web", "net", "[fd00:1::2]:80"] in shown
    assert ["udp", "0.0.0.0:5353", "web", "net", "10.1.0.2:53"] in shown
    assert ["tcp", "192.0.2.1:8444", "c2", "other", "10.2.0.2:443"] in shown
    assert len(shown) == 1 + 2 * 4 + 2
    one = [p for p in published.json("port", "ls", "other") if p["hostPort"] == 8444]
    assert one == [{"protocol": "tcp", "host": "192.0.2.1:8444", "hostIP": "192.0.2.1", "hostPort": 8444, "range": 1,
                    "container": "c2", "name": "", "network": "other", "interface": "eth0", "inside": "10.2.0.2:443",
                    "insideIP": "10.2.0.2", "containerPort": 443, "translated": True, "label": "c2", "shown": "192.0.2.1:8444"}]
    published("port", "ls", "nowhere").expect(NOT_FOUND, "nothing is attached to network nowhere")


def test_show_is_docker_port(published):
    expected = ("53/udp -> 0.0.0.0:5353\n53/udp -> [::]:5353\n"
                "80/tcp -> 0.0.0.0:8080\n80/tcp -> 0.0.0.0:8081\n80/tcp -> [::]:8080\n80/tcp -> [::]:8081\n"
                "9000/tcp -> 0.0.0.0:9000\n9000/tcp -> [::]:9000\n")
    assert published("port", "show", "web").expect().stdout == expected
    assert published("port", "c1").expect().stdout == expected
    assert published("port", "web", "53/udp").expect().stdout == "0.0.0.0:5353\n[::]:5353\n"
    assert published("port", "c2", "443").expect().stdout == "0.0.0.0:8443\n192.0.2.1:8444\n"
    published("port", "web", "81").expect(NOT_FOUND, "no public port '81/tcp' published for web")
    published("port", "web", "53").expect(NOT_FOUND, "no public port '53/tcp' published for web")
    assert [p["host"] for p in published.json("port", "show", "c2", "443/tcp")] == ["0.0.0.0:8443", "192.0.2.1:8444"]


def test_show_ranges(cni, netctl):
    def ranges(first, inside, count):
        return [net.port(first + i, inside + i) for i in range(count)]
    config = net.publish(net.bridge(), *ranges(8000, 9000, 3), *ranges(20000, 20000, 1025))
    cni.add("bridge", config).expect()
    cni.add("bridge", net.publish(net.bridge("dual", subnets=("10.9.0.0/24", "fd00:9::/64")), *ranges(30000, 30000, 2)), "c2").expect()
    assert netctl("port", "c2").expect().stdout == ("30000/tcp -> 0.0.0.0:30000\n30000/tcp -> [::]:30000\n"
                                                    "30001/tcp -> 0.0.0.0:30001\n30001/tcp -> [::]:30001\n")
    lines = netctl("port", "c1").expect().stdout.splitlines()
    assert lines == [f"{9000 + i}/tcp -> 0.0.0.0:{8000 + i}" for i in range(3)] + ["20000-21024/tcp -> 0.0.0.0:20000-21024"]
    assert netctl("port", "c1", "20500").expect().stdout == "0.0.0.0:20500\n"
    assert netctl("port", "c1", "9002").expect().stdout == "0.0.0.0:8002\n"
    assert ["tcp", "0.0.0.0:20000-21024", "c1", "net", "10.1.0.2:20000-21024"] in netctl("port", "ls").expect().rows
    [who] = netctl.json("port", "who", "8001")
    assert who["inside"] == "10.1.0.2:9001" and who["range"] == 1
    [who] = netctl.json("port", "who", "21024/tcp")
    assert who["inside"] == "10.1.0.2:21024"
    netctl("port", "who", "21025").expect(NO)


def test_short_form_and_the_group(published):
    group = published("port")
    assert group.status == USAGE and "port show" in group.stdout and "short for" not in group.stdout
    assert published("port", "--help").expect().stdout == group.stdout == published("help", "port").expect().stdout
    published("port", "lss").expect(NOT_FOUND, "no container lss; did you mean the verb ls?")
    published("port", "nobody").expect(NOT_FOUND, "nobody: no container of this name")
    published("port", "web", "0").expect(USAGE, "expected a port")
    assert published("port", "lss", "--json").error["code"] == 3


def test_completion(published):
    def offered(*words):
        return [line.split("\t")[0] for line in published("complete", "--", *words).expect().stdout.splitlines()]
    assert set(offered("port", "")) >= {"ls", "show", "who", "check"} and offered("por") == ["port"]
    assert offered("port", "check", "8080", "--from", "") == ["web", "c2"] == offered("port", "show", "") == offered("why", "web", "")


def test_routed_and_internal_have_no_host_side(cni, netctl):
    cni.add("bridge", net.publish(net.bridge(gatewayMode="routed"), (8080, 80)), "c1").expect()
    assert ["tcp", "-", "c1", "net", "10.1.0.2:80"] in netctl("port", "ls").expect().rows
    [one] = netctl.json("port", "ls")
    assert one["translated"] is False
    netctl("port", "c1", "80").expect(NOT_FOUND, "no public port")


def test_portmap_behind_another_plugin(cni, netctl):
    from support.cni import Chain
    plain = {k: v for k, v in net.bridge().items() if k not in ("cniVersion", "name")}
    chain = Chain(cni, net.conflist(plain, {"type": "portmap", "capabilities": {"portMappings": True}}))
    chain.add("c1", capabilities={"portMappings": [net.port(8080, 80)]}, args="IgnoreUnknown=1;K8S_POD_NAME=web").expect()
    assert netctl("port", "web").expect().stdout == "80/tcp -> 0.0.0.0:8080\n"
    assert ["tcp", "0.0.0.0:8080", "web", "net", "10.1.0.2:80"] in netctl("port", "ls").expect().rows
    assert netctl.json("port", "who", "8080")[0]["holder"] == "web"


# ---- who ----

def test_who_container(published):
    found = published.json("port", "who", "8080")
    assert [(w["kind"], w["name"], w["network"], w["interface"], w["host"], w["inside"]) for w in found] == [
        ("container", "web", "net", "eth0", "0.0.0.0:8080", "10.1.0.2:80"),
        ("container", "web", "net", "eth0", "[::]:8080", "[fd00:1::2]:80")]
    shown = rows(published("port", "who", "8444/tcp", "--address", "192.0.2.1").expect())
    assert shown == [["PROTOCOL", "ADDRESS", "HELD", "BY", "KIND", "NETWORK", "INTERFACE", "INSIDE", "PID", "USER"],
                     ["tcp", "192.0.2.1:8444", "c2", "container", "other", "eth0", "10.2.0.2:443", "-", "-"]]
    assert published.json("port", "who", "5353")[0]["protocol"] == "udp"
    published("port", "who", "5353/tcp").expect(NO)
    published("port", "who", "8444", "--address", "192.0.2.9").expect(NO)
    assert len(published.json("port", "who", "8080", "--address", "2001:db8::1")) == 1


HOLDER = """
import os, socket, sys
with open("/proc/self/comm", "wb") as f:
    f.write(b"a\\x1b[31mb\\xff")
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if sys.argv[2] == "tcp" else socket.SOCK_DGRAM)
s.bind(("192.0.2.1", int(sys.argv[1])))
if sys.argv[2] == "tcp":
    s.listen()
print("ready", flush=True)
sys.stdin.read()
"""


def hold(lab, port, proto="tcp", user=()):
    import subprocess
    process = lab.start([*user, "/usr/bin/python3", "-c", HOLDER, str(port), proto], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    return process


def test_who_process(lab, netctl):
    tcp, udp = hold(lab, 7777), hold(lab, 7777, "udp", ["setpriv", "--reuid", "65534", "--clear-groups"])
    found = netctl.json("port", "who", "7777")
    assert [(w["kind"], w["protocol"], w["pid"], w["uid"], w["host"], w["command"]) for w in found] == [
        ("process", "tcp", tcp.pid, 0, "192.0.2.1:7777", "a?[31mb?"),
        ("process", "udp", udp.pid, 65534, "192.0.2.1:7777", "a?[31mb?")]
    outcome = netctl("port", "who", "7777/tcp").expect()
    assert "\x1b" not in outcome.stdout
    assert outcome.rows[1] == ["tcp", "192.0.2.1:7777", "a?[31mb?", "process", "-", "-", "-", str(tcp.pid), "0"]
    netctl("port", "who", "7777/tcp", "--address", "192.0.2.9").expect(NO)


def test_who_both_and_nobody(lab, published):
    process = hold(lab, 8080)
    assert [w["kind"] for w in published.json("port", "who", "8080/tcp")] == ["container", "container", "process"]
    lab.stop(process)
    outcome = published("port", "who", "9").expect(NO)
    assert outcome.stdout == "nobody: port 9 is neither published nor held by a process of this host\n"
    nobody = published("port", "who", "9", "--json")
    assert nobody.status == NO and nobody.json == []
    published("port", "who", "http").expect(USAGE, "expected a port")
    published("port", "who", "80", "--address", "here").expect(USAGE, "expected an IP address")


def calls(lab, netctl, *argv):
    """The system calls of one run, by name."""
    lab.run(["strace", "-o", "/run/trace", program(), *argv],
            env=netctl.environment(ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"), check=False)
    return [line.split("(")[0] for line in lab.read("/run/trace").splitlines()]


def test_who_costs_the_same_on_a_full_host(lab, cni, netctl):
    """One look-up: neither sockets of netlink routes or nftables, nor more reading with more endpoints."""
    cni.add("bridge", net.publish(net.bridge(), (8080, 80))).expect()
    before = calls(lab, netctl, "port", "who", "8080/tcp")
    for i in range(8):
        lab.netns(f"n{i}")
        cni.add("bridge", net.publish(net.bridge(), (9000 + i, 80)), f"n{i}").expect()
    after = calls(lab, netctl, "port", "who", "8080/tcp")
    assert before.count("socket") == after.count("socket") == 2       # the cookie, and who listens
    assert before.count("sendto") == after.count("sendto") == 2 and len(after) <= len(before) + 4
    assert "sendmsg" not in after


def test_sctp(lab, cni, netctl):
    cni.add("bridge", net.publish(net.bridge(), (9000, 90, "sctp")), "c1").expect()
    for asked in ("9000", "9000/sctp"):
        [who] = netctl.json("port", "who", asked)
        assert (who["kind"], who["protocol"], who["container"], who["inside"]) == ("container", "sctp", "c1", "10.1.0.2:90")
    netctl("port", "who", "9000/tcp").expect(NO)


@pytest.mark.parametrize("make, inside", [(net.dual, "[fd00:1::2]:70"), (net.bridge, "")])
def test_a_port_from_which_nothing_leads_in(lab, cni, netctl, make, inside):
    """It is held all the same: nobody else gets it."""
    config = net.publish(make(), net.port(7000, 70, hostIP="::1"), (7001, 71))
    cni.add("bridge", config, "c1").expect()
    lab.tcp_server("c1", port=70)
    lab.tcp_server("c1", "::", port=70)
    assert lab.blocked(None, "::1", 7000)
    assert not cni.add("bridge", net.publish(make(), net.port(7000, 70, hostIP="::1")), "c2").ok
    [who] = netctl.json("port", "who", "7000")
    assert (who["container"], who["host"], who["inside"], who["translated"]) == ("c1", "[::1]:7000", inside, False)
    assert netctl.json("port", "who", "7000", "--address", "::1") == [who]
    netctl("port", "who", "7000", "--address", "192.0.2.1").expect(NO)
    assert ["tcp", "-", "c1", "net", inside or "-"] in netctl("port", "ls").expect().rows
    assert netctl("port", "c1").expect().stdout.splitlines()[0] == "71/tcp -> 0.0.0.0:7001"
    outcome = netctl("port", "check", "7000").expect(NO)
    assert "::1" in outcome.stdout and "remedy: publish the port at" in " ".join(outcome.stdout.split())
    found = netctl("why", "host", "[::1]:7000", "--json").json
    assert found["verdict"] == "not reached" and "route_localnet" in str([s for s in found["steps"] if s["step"] == "published"])


def test_who_before_anything_ran(netctl):
    netctl("port", "who", "8080").expect(NO, "nobody")
    assert netctl.json("port", "ls") == []
