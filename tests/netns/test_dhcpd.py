# SPDX-License-Identifier: GPL-2.0-or-later
"""fairlead-dhcpd in private namespaces: against dnsmasq, and against a server with leases of seconds."""
import concurrent.futures
import json
import re
import shutil
import signal
import socket
import time

import pytest

from support import dhcp
from support.dhcp import ACK, DISCOVER, RELEASE, REQUEST, Daemon, Server, until

needs_dnsmasq = pytest.mark.skipif(not shutil.which("dnsmasq"), reason="dnsmasq is not installed")


@pytest.fixture
def server(lab):
    dhcp.wire(lab, ["c1"])
    server = Server(lab)
    yield server
    server.close()


def configure(lab, answer, netns="c1"):
    """What the plugin that asked does with the answer."""
    lab.run(["ip", "addr", "add", answer["ip4"]["address"], "dev", "eth0"], netns=netns)
    for route in answer["routes"]:
        via = ["via", route["gw"]] if "gw" in route else ["scope", "link"]
        lab.run(["ip", "route", "add", route["dst"], *via, "dev", "eth0"], netns=netns)


def addresses(lab, netns="c1"):
    return {f"{a['local']}/{a['prefixlen']}": a for link in lab.ip("-4", "addr", "show", "dev", "eth0", netns=netns)
            for a in link.get("addr_info", [])}


def gateway(lab, netns="c1"):
    return [r["gateway"] for r in lab.ip("route", "show", "default", netns=netns)]


# ---- dnsmasq ----

@needs_dnsmasq
def test_lease_and_its_release(lab):
    dhcp.wire(lab, ["c1"])
    dhcp.dnsmasq(lab, "--dhcp-option=6,10.9.0.5,10.9.0.6", "--dhcp-option=option:domain-name,example.com",
                 "--dhcp-option=119,eng.example.com,example.org", "--dhcp-option=26,1400")
    daemon = Daemon(lab)
    answer = daemon.add(hostname="web")
    assert re.fullmatch(r"10\.9\.[12]\.\d+/16", answer["ip4"]["address"])
    assert answer["ip4"]["gateway"] == "10.9.0.1"
    assert answer["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.9.0.1"}]
    assert answer["dns"] == {"nameservers": ["10.9.0.5", "10.9.0.6"], "domain": "example.com",
                             "search": ["eng.example.com", "example.org"]}
    assert answer["mtu"] == 1400
    assert 3500 < answer["lease"] <= 3600
    leased = until(lambda: lab.read("/run/dnsmasq.leases").split())  # dnsmasq answers before it writes
    assert leased[2] + "/16" == answer["ip4"]["address"]
    assert leased[3] == "web"
    assert bytes.fromhex(leased[4].replace(":", "")) == b"\0c1/net/eth0"
    assert daemon.delete() == {}
    until(lambda: not lab.read("/run/dnsmasq.leases").strip())
    assert daemon.states() == []
    assert daemon.delete() == {}


@needs_dnsmasq
def test_classless_routes_replace_the_router(lab):
    dhcp.wire(lab, ["c1"])
    dhcp.dnsmasq(lab, "--dhcp-option=121,192.168.7.0/24,10.9.0.7,0.0.0.0/0,10.9.0.8,172.20.0.0/16,0.0.0.0", "--dhcp-option=3,10.9.0.1")
    answer = Daemon(lab).add(priority=77)
    assert answer["ip4"]["gateway"] == "10.9.0.8"
    assert answer["routes"] == [{"dst": "192.168.7.0/24", "gw": "10.9.0.7", "priority": 77},
                                {"dst": "0.0.0.0/0", "gw": "10.9.0.8", "priority": 77},
                                {"dst": "172.20.0.0/16", "scope": 253, "priority": 77}]


@needs_dnsmasq
def test_options_asked_for_and_provided(lab):
    dhcp.wire(lab, ["c1"])
    dhcp.dnsmasq(lab, "--dhcp-vendorclass=set:gold,gold", "--dhcp-option=tag:gold,6,10.9.0.9")
    daemon = Daemon(lab)
    answer = daemon.add(provide=[{"option": "vendor-class-identifier", "value": "tin", "fromArg": "CLASS"}], args="A=1;CLASS=gold",
                        request=[{"skipDefault": True, "option": "subnet-mask"}, {"option": "6"}], clientId="me")
    assert answer["dns"] == {"nameservers": ["10.9.0.9"]}
    assert "requested options: 1:netmask, 6:dns-server" in dhcp.server_log(lab)
    assert lab.read("/run/dnsmasq.leases").split()[4] == "00:6d:65"


@needs_dnsmasq
def test_over_macvlan(lab):
    dhcp.wire(lab, [])
    lab.netns("c1")
    lab.run(["ip", "link", "add", "p0", "type", "veth", "peer", "name", "parent", "netns", "c1"], netns="srv")
    lab.run(["ip", "link", "set", "p0", "master", "br0", "up"], netns="srv")
    lab.run(["ip", "link", "set", "parent", "up"], netns="c1")
    lab.run(["ip", "link", "add", "eth0", "link", "parent", "type", "macvlan", "mode", "bridge"], netns="c1")
    dhcp.dnsmasq(lab)
    daemon = Daemon(lab)
    answer = daemon.add()
    assert answer["ip4"]["address"].startswith("10.9.")
    assert "UP" in lab.ip("link", "show", "eth0", netns="c1")[0]["flags"]


@needs_dnsmasq
def test_fifty_at_once(lab):
    names = [f"c{n}" for n in range(50)]
    dhcp.wire(lab, names)
    dhcp.dnsmasq(lab)
    daemon = Daemon(lab)
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(daemon.add, names))
    assert not [a for a in answers if "error" in a]
    assert len({a["ip4"]["address"] for a in answers}) == 50
    assert len(daemon.states()) == 50
    assert daemon.ask("STATUS")["leases"] == 50
    threads = lab.files(f"/proc/{daemon.process.pid}/task")
    assert len(threads) == 1
    gone = daemon.ask("GC", valid=[["c7", "eth0"], ["c8", "eth1"]])
    assert gone == {"released": 49}
    until(lambda: len(lab.read("/run/dnsmasq.leases").splitlines()) == 1)
    assert daemon.ask("STATUS")["leases"] == 1


# ---- leases of seconds ----

def test_renewal_keeps_the_lease(lab, server):
    daemon = Daemon(lab)
    answer = daemon.add()
    configure(lab, answer)
    server.wait(REQUEST)
    for _ in range(2):
        assert server.wait(REQUEST)[1] + "/16" == answer["ip4"]["address"]
        daemon.wait_line("renewed")
    life = until(lambda: addresses(lab)[answer["ip4"]["address"]])
    assert life["valid_life_time"] <= 4
    assert daemon.ask("CHECK", netns="/run/netns/c1")["ip4"] == answer["ip4"]


def test_renewal_is_unicast_from_the_client_port(lab, server):
    """RFC 2131 section 4.4.5. By a socket: the container's own routes and neighbours lead to a server behind a relay."""
    daemon = Daemon(lab)
    configure(lab, daemon.add())
    server.wait(REQUEST)
    until(lambda: "10.9.3.1%eth0:68" in lab.run(["ss", "-Huan"], netns="c1").stdout)
    daemon.wait_line("renewed")


def test_changed_address_and_router(lab, server):
    daemon = Daemon(lab)
    answer = daemon.add()
    configure(lab, answer)
    lab.run(["ip", "route", "add", "198.51.100.0/24", "via", "10.9.0.1"], netns="c1")
    assert answer["ip4"]["address"] == "10.9.3.1/16"
    server.offset, server.router = 100, "10.9.0.2"
    daemon.wait_line("renewed", "10.9.3.101")
    until(lambda: list(addresses(lab)) == ["10.9.3.101/16"])
    assert gateway(lab) == ["10.9.0.2"]
    assert len(lab.ip("route", "show", "198.51.100.0/24", netns="c1")) == 1, "others' routes stay"
    assert daemon.ask("CHECK", netns="/run/netns/c1")["ip4"]["address"] == "10.9.3.101/16"


def test_refusal_takes_the_address_away(lab, server):
    daemon = Daemon(lab)
    configure(lab, daemon.add())
    server.nak = True
    daemon.wait_line("refused by the server")
    until(lambda: not addresses(lab))
    server.nak, server.offset = False, 7
    daemon.wait_line("has 10.9.3.8")
    until(lambda: list(addresses(lab)) == ["10.9.3.8/16"])
    assert gateway(lab) == ["10.9.0.1"]


def test_expiry_takes_the_address_away(lab, server):
    daemon = Daemon(lab)
    answer = daemon.add()
    configure(lab, answer)
    server.answering = False
    daemon.wait_line("expired", "10.9.3.1")
    until(lambda: not addresses(lab))
    assert "UP" in lab.ip("link", "show", "eth0", netns="c1")[0]["flags"]
    assert "no lease" in daemon.ask("CHECK")["error"]["msg"]
    server.answering = True
    daemon.wait_line("has 10.9.3.1")
    until(lambda: list(addresses(lab)) == ["10.9.3.1/16"])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_restart_keeps_and_renews(lab, server, how):
    server.lease = 8
    daemon = Daemon(lab)
    answer = daemon.add()
    configure(lab, answer)
    server.wait(REQUEST)
    assert lab.stop(daemon.process, how) == (-9 if how == signal.SIGKILL else 0)
    daemon.start()
    assert daemon.ask("CHECK", netns="/run/netns/c1")["ip4"] == answer["ip4"]
    assert server.wait(REQUEST)[1] + "/16" == answer["ip4"]["address"]
    daemon.wait_line("renewed", "10.9.3.1")
    assert server.seen.empty(), "no DISCOVER"
    assert daemon.delete() == {}
    assert server.wait(RELEASE)[1] == "10.9.3.1"


def test_restart_after_t1_asks_again(lab, server):
    server.lease = 6
    daemon = Daemon(lab)
    configure(lab, daemon.add())
    server.wait(REQUEST)
    t1 = daemon.states()[0]["t1"]
    daemon.kill()
    until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) * 1000 > t1 + 50)
    daemon.start()
    assert server.wait(REQUEST)[1] == "10.9.3.1"
    daemon.wait_line("renewed", "10.9.3.1")
    assert list(addresses(lab)) == ["10.9.3.1/16"]


def test_restart_after_expiry(lab, server):
    server.lease = 1
    daemon = Daemon(lab)
    configure(lab, daemon.add())
    expiry = daemon.states()[0]["expiry"]
    daemon.kill()
    until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) * 1000 > expiry)
    server.offset = 5
    daemon.start()
    until(lambda: list(addresses(lab)) == ["10.9.3.6/16"])


def test_same_endpoint_again(lab, server):
    daemon = Daemon(lab)
    daemon.add()
    server.wait(REQUEST)
    again = daemon.add()
    assert server.wait(RELEASE)[1] == "10.9.3.1"
    assert again["ip4"]["address"] == "10.9.3.1/16"
    assert len(daemon.states()) == 1


# ---- namespaces ----

def test_namespace_is_not_kept_alive(lab, server):
    """The veth's other end goes when the namespace does: that is how the kernel shows it."""
    server.lease = 600
    daemon = Daemon(lab)
    daemon.add()
    lab.remove_netns("c1")
    until(lambda: not [link for link in lab.ip("link", netns="srv") if link["ifname"] == "p0"])
    assert daemon.delete(netns="/run/netns/c1") == {}
    assert daemon.states() == []
    daemon.wait_line("forgotten")


def test_namespace_gone_is_noticed_at_renewal(lab, server):
    daemon = Daemon(lab)
    daemon.add()
    server.wait(REQUEST)
    lab.remove_netns("c1")
    daemon.wait_line("forgotten")
    assert daemon.states() == []
    assert server.seen.empty(), "nothing was sent"


def test_another_namespace_at_the_path(lab, server):
    server.lease = 600
    daemon = Daemon(lab)
    daemon.add()
    server.wait(REQUEST)
    lab.remove_netns("c1")
    lab.netns("c1")
    lab.run(["ip", "link", "add", "p9", "type", "veth", "peer", "name", "eth0", "netns", "c1"], netns="srv")
    assert "another namespace" in daemon.ask("CHECK", netns="/run/netns/c1")["error"]["msg"]
    assert daemon.delete() == {}
    assert server.seen.empty(), "nothing was sent"


def test_no_socket_while_bound(lab, server):
    server.lease = 600
    daemon = Daemon(lab)
    before = len(daemon.sockets())
    daemon.add()
    until(lambda: len(daemon.sockets()) == before)


def test_namespace_gone_while_the_daemon_is_down(lab, server):
    server.lease = 600
    daemon = Daemon(lab)
    daemon.add()
    daemon.kill()
    lab.remove_netns("c1")
    daemon.start()
    assert daemon.states() == []


# ---- requests ----

def test_no_server(lab):
    dhcp.wire(lab, ["c1"])
    daemon = Daemon(lab)
    error = daemon.add(timeout=1)["error"]
    assert error["code"] == 11
    assert "no server answered on eth0 within 1 s" in error["msg"]
    assert daemon.states() == [] and daemon.ask("STATUS")["leases"] == 0


def test_caller_that_goes_away_ends_its_add(lab, server):
    server.answering = False
    daemon = Daemon(lab)

    def ask_and_leave():
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(dhcp.SOCKET)
            s.sendall(json.dumps({"command": "ADD", "network": "net", "container": "c1", "ifname": "eth0",
                                  "netns": "/run/netns/c1"}).encode() + b"\n")
            server.wait(DISCOVER)
    lab.call(ask_and_leave)
    daemon.wait_line("went away")
    assert daemon.ask("STATUS")["leases"] == 0


@pytest.mark.parametrize("request_, text", [
    (b"{\n", "not JSON"), (b"[]\n", "expected an object"), (b'{"command":"FLY"}\n', "command"),
    (b'{"command":"ADD","network":"n","container":"c","ifname":"e","netns":"/run/netns/none"}\n', "no network namespace"),
    (b'{"command":"ADD","network":"n","container":"c","ifname":"none","netns":"/run/netns/c1"}\n', "none"),
    (b'{"command":"ADD","network":"n","container":"c","ifname":"lo","netns":"/run/netns/c1"}\n', "no Ethernet address"),
    (b'{"command":"STATUS","x":"' + b"x" * (1 << 20) + b'"}\n', "longer than 1048576"),
], ids=["text", "list", "command", "netns", "ifname", "loopback", "long"])
def test_refused(lab, request_, text):
    lab.netns("c1")
    daemon = Daemon(lab)
    assert text in json.loads(daemon.raw(request_))["error"]["msg"]
    assert daemon.ask("STATUS")["leases"] == 0


def test_own_namespace_is_refused(lab):
    daemon = Daemon(lab)
    lab.alias_netns("host")
    assert daemon.add("host")["error"]["code"] == 8


def test_private_files_and_socket(lab, server):
    daemon = Daemon(lab)
    daemon.add()
    assert lab.run(["stat", "-c", "%a", dhcp.SOCKET, "/run/fairlead", dhcp.STATE]).stdout.split() == ["600", "700", "700"]
    assert set(lab.run(["sh", "-c", f"stat -c %a {dhcp.STATE}/*"]).stdout.split()) == {"600"}


def test_broken_state_is_set_aside(lab):
    lab.run(["mkdir", "-p", dhcp.STATE])
    lab.write(f"{dhcp.STATE}/0123456789abcdef.json", '{"version": 1, "boot":')
    lab.write(f"{dhcp.STATE}/fedcba9876543210.new", '{"version"')
    daemon = Daemon(lab)
    assert lab.files(dhcp.STATE) == ["0123456789abcdef.bad"]
    assert daemon.ask("STATUS")["leases"] == 0


def test_second_daemon_is_refused(lab):
    Daemon(lab)
    for options, text in (((), "another fairlead-dhcpd works with"), (("--state", "/run/other"), "another daemon listens")):
        result = lab.run([dhcp.daemon_path(), *options], check=False, timeout=10)
        assert result.returncode == 1 and text in result.stderr


def test_socket_activation(lab):
    program = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind("/run/given.sock"); s.listen()
os.dup2(s.detach(), 3); os.set_inheritable(3, True); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[1], sys.argv[1:])
"""
    daemon = Daemon(lab, prefix=["/usr/bin/python3", "-c", program])
    assert "leases" in json.loads(daemon.raw(b'{"command":"STATUS"}\n', "/run/given.sock"))
    assert not lab.exists(dhcp.SOCKET)


def test_capabilities_are_dropped(lab):
    daemon = Daemon(lab)
    status = lab.read(f"/proc/{daemon.process.pid}/status")
    kept = int(re.search(r"CapEff:\s*(\w+)", status)[1], 16)
    assert {n for n in range(64) if kept >> n & 1} <= {2, 12, 13, 19, 21}
