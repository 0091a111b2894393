# SPDX-License-Identifier: GPL-2.0-or-later
"""DHCPv6 of fairlead-dhcpd: against dnsmasq, and against a server with leases of seconds."""
import concurrent.futures
import ipaddress
import shutil
import signal
import socket
import time

import pytest

from support import dhcp
from support.dhcp import DISCOVER, NO_ADDRS, NO_BINDING, REBIND, RELEASE, RELEASE6, RENEW, REQUEST6, SOLICIT, Daemon, Server, Server6, until

needs_dnsmasq = pytest.mark.skipif(not shutil.which("dnsmasq"), reason="dnsmasq is not installed")
RANGE = [ipaddress.ip_address(f"2001:db8:9::1{n}") for n in ("000", "fff")]
FIRST = "2001:db8:9::3001"


@pytest.fixture
def link(lab):
    dhcp.wire(lab, ["c1"])
    dhcp.wire6(lab)
    return lab


@pytest.fixture
def server(link):
    server = Server6(link)
    yield server
    server.close()


@pytest.fixture
def server4(link):
    server = Server(link)
    yield server
    server.close()


def configure(lab, answer):
    """What the plugin that asked does with the answer."""
    lab.run(["ip", "addr", "add", answer["ip6"]["address"], "dev", "eth0", "nodad"], netns="c1")


def addresses(lab):
    """Global ones that were not made of an advertised prefix."""
    return {a["local"]: a for link in lab.ip("-6", "addr", "show", "dev", "eth0", "scope", "global", netns="c1")
            for a in link.get("addr_info", []) if a.get("prefixlen") == 128}


def leased6(lab):
    lines = lab.read("/run/dnsmasq.leases").split("\n")
    start = [n for n, line in enumerate(lines) if line.startswith("duid ")]
    return [line.split() for line in lines[start[0] + 1:] if line] if start else []


def only6(daemon, **members):
    return daemon.add(families=[6], **members)


# ---- dnsmasq ----

@needs_dnsmasq
def test_lease_route_and_release(link):
    dhcp.dnsmasq(link, *dhcp.DNSMASQ6, "--dhcp-option=option6:dns-server,[2001:db8:9::53]",
                 "--dhcp-option=option6:domain-search,eng.example.com,example.org")
    daemon = Daemon(link)
    answer = only6(daemon, hostname="web.example.com")
    assert "ip4" not in answer and answer["routes"] == []
    address, length = answer["ip6"]["address"].split("/")
    assert length == "128" and RANGE[0] <= ipaddress.ip_address(address) <= RANGE[1]
    assert "gateway" not in answer["ip6"]
    assert answer["dns"] == {"nameservers": ["2001:db8:9::53"], "search": ["eng.example.com", "example.org"]}
    assert 3500 < answer["lease"] <= 3600
    [leased] = until(lambda: leased6(link))  # dnsmasq answers before it writes
    assert leased[2:4] == [address, "web"] and leased[4].startswith("00:04:")
    configure(link, answer)
    # prefix and router are the advertisement's
    route = until(lambda: link.ip("-6", "route", "show", "default", netns="c1"))
    assert route[0]["protocol"] == "ra" and route[0]["gateway"].startswith("fe80::")
    until(lambda: link.ip("-6", "route", "show", "2001:db8:9::/64", netns="c1"))
    assert link.reaches("c1", "2001:db8:9::1", link.tcp_server("srv", "::").port)
    assert daemon.ask("CHECK", netns="/run/netns/c1")["ip6"] == answer["ip6"]
    assert daemon.delete() == {}
    until(lambda: not leased6(link))
    assert daemon.states() == []


@needs_dnsmasq
def test_both_families(link):
    dhcp.dnsmasq(link, *dhcp.DNSMASQ6, "--dhcp-option=6,10.9.0.5", "--dhcp-option=119,example.org",
                 "--dhcp-option=option6:dns-server,[2001:db8:9::53]", "--dhcp-option=option6:domain-search,example.org,v6.example.org")
    daemon = Daemon(link)
    answer = daemon.add(families=[4, 6])
    assert answer["ip4"]["address"].startswith("10.9.") and answer["ip6"]["address"].startswith("2001:db8:9::1")
    assert answer["dns"] == {"nameservers": ["10.9.0.5", "2001:db8:9::53"], "search": ["example.org", "v6.example.org"]}
    assert answer["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.9.0.1"}]
    assert len(daemon.states()) == 2
    daemon.kill()
    daemon.start()
    assert daemon.ask("CHECK")["ip6"] == answer["ip6"]
    assert daemon.ask("CHECK")["ip4"] == answer["ip4"]
    assert daemon.ask("GC", valid=[])["released"] == 2
    until(lambda: not link.read("/run/dnsmasq.leases").split("duid")[0].strip() and not leased6(link))


@needs_dnsmasq
def test_same_address_after_a_new_lease(link):
    """The DUID is of the container: neither MAC address nor the daemon's life are in it."""
    dhcp.dnsmasq(link, *dhcp.DNSMASQ6)
    daemon = Daemon(link)
    first = only6(daemon)
    duid = until(lambda: leased6(link))[0][4]
    daemon.delete()
    until(lambda: not leased6(link))
    daemon.kill()
    daemon.start()
    link.run(["ip", "link", "set", "eth0", "down", "address", "02:00:00:00:77:01"], netns="c1")
    assert only6(daemon)["ip6"] == first["ip6"]
    assert until(lambda: leased6(link))[0][4] == duid


@needs_dnsmasq
def test_twenty_at_once(lab):
    names = [f"c{n}" for n in range(20)]
    dhcp.wire(lab, names)
    dhcp.wire6(lab)
    dhcp.dnsmasq(lab, *dhcp.DNSMASQ6)
    daemon = Daemon(lab)
    before = len(daemon.sockets())
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda name: daemon.add(name, families=[4, 6], timeout=20), names))
    assert not [a for a in answers if "error" in a]
    assert len({a["ip6"]["address"] for a in answers}) == len({a["ip4"]["address"] for a in answers}) == 20
    assert len(daemon.states()) == 40
    until(lambda: len(daemon.sockets()) == before)


# ---- renewals ----

def test_renews(link, server):
    daemon = Daemon(link)
    answer = only6(daemon)
    assert answer["ip6"]["address"] == f"{FIRST}/128"
    configure(link, answer)
    assert addresses(link)[FIRST]["valid_life_time"] == 2 ** 32 - 1
    server.wait(REQUEST6)
    assert server.wait(RENEW)[1] == FIRST
    daemon.wait_line("renewed", FIRST)
    until(lambda: addresses(link)[FIRST]["valid_life_time"] <= 4)
    server.wait(RENEW)
    assert list(addresses(link)) == [FIRST]


def test_server_forgot_the_binding(link, server):
    server.status[RENEW] = NO_BINDING
    daemon = Daemon(link)
    configure(link, only6(daemon))
    server.wait(REQUEST6)
    server.wait(RENEW)
    assert server.wait(REQUEST6)[1] == FIRST
    daemon.wait_line("renewed", FIRST)


def test_address_moves(link, server):
    daemon = Daemon(link)
    configure(link, only6(daemon))
    server.offset = 5
    daemon.wait_line("renewed", "2001:db8:9::3006")
    until(lambda: list(addresses(link)) == ["2001:db8:9::3006"])


def test_rebinds_expires_and_begins_anew(link, server):
    daemon = Daemon(link)
    configure(link, only6(daemon))
    server.answering = False
    server.wait(REBIND)
    daemon.wait_line("expired", FIRST)
    until(lambda: not addresses(link))
    assert "no lease" in daemon.ask("CHECK")["error"]["msg"]
    server.answering, server.offset = True, 5
    daemon.wait_line("has 2001:db8:9::3006")
    until(lambda: list(addresses(link)) == ["2001:db8:9::3006"])


def test_removed_address_stays_away(link, server):
    daemon = Daemon(link)
    only6(daemon)
    daemon.wait_line("renewed", FIRST)
    assert addresses(link) == {}
    assert "has no address" in daemon.ask("CHECK", netns="/run/netns/c1")["error"]["msg"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_restart_keeps_and_renews(link, server, how):
    server.lease = 8
    daemon = Daemon(link)
    answer = only6(daemon)
    configure(link, answer)
    server.wait(REQUEST6)
    link.stop(daemon.process, how)
    daemon.start()
    assert daemon.ask("CHECK", netns="/run/netns/c1")["ip6"] == answer["ip6"]
    assert server.wait(RENEW)[1] == FIRST
    daemon.wait_line("renewed", FIRST)
    assert daemon.delete() == {}
    assert server.wait(RELEASE6)[1] == FIRST


def test_restart_after_expiry(link, server):
    server.lease = 1
    daemon = Daemon(link)
    configure(link, only6(daemon))
    expiry = daemon.states()[0]["expiry"]
    daemon.kill()
    until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) * 1000 > expiry)
    server.lease, server.offset = 60, 5
    daemon.start()
    until(lambda: list(addresses(link)) == ["2001:db8:9::3006"])


# ---- the link and its namespace ----

def test_interface_that_is_down_and_has_ipv6_off(link, server):
    """Up, with IPv6 and advertisements on, and after its link-local address is no longer tentative."""
    link.run(["ip", "link", "set", "eth0", "down"], netns="c1")
    for key, value in (("disable_ipv6", 1), ("accept_ra", 0)):
        link.run(["sysctl", "-qw", f"net.ipv6.conf.eth0.{key}={value}"], netns="c1")
    daemon = Daemon(link)
    assert only6(daemon)["ip6"]["address"] == f"{FIRST}/128"
    assert link.run(["sysctl", "-n", "net.ipv6.conf.eth0.accept_ra"], netns="c1").stdout.strip() == "2"


def test_later_change_of_accept_ra_is_kept(link, server):
    daemon = Daemon(link)
    configure(link, only6(daemon))
    link.run(["sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=0"], netns="c1")
    daemon.wait_line("renewed", FIRST)
    assert link.run(["sysctl", "-n", "net.ipv6.conf.eth0.accept_ra"], netns="c1").stdout.strip() == "0"


def test_no_link_local_address(link, server):
    link.run(["ip", "link", "set", "eth0", "down", "addrgenmode", "none"], netns="c1")
    daemon = Daemon(link)
    before = len(daemon.sockets())
    error = only6(daemon, timeout=1)["error"]
    assert error["code"] == 11 and "link-local" in error["msg"] and "eth0" in error["msg"]
    assert daemon.states() == [] and len(daemon.sockets()) == before and server.seen.empty()


@pytest.mark.parametrize("down", [False, True])
def test_port_in_use(link, server, down):
    """Told at once, whether or not the link-local address had to be waited for."""
    held = link.call(socket.socket, socket.AF_INET6, socket.SOCK_DGRAM, netns="c1")
    held.bind(("::", 546))
    if down:
        link.run(["ip", "link", "set", "eth0", "down"], netns="c1")
    daemon = Daemon(link)
    error = only6(daemon, timeout=60)["error"]
    assert "UDP port 546" in error["msg"] and "runs a client itself" in error["msg"]
    assert daemon.states() == [] and server.seen.empty()
    held.close()


def test_without_the_capability(link, server):
    daemon = Daemon(link, prefix=["setpriv", "--bounding-set", "-net_bind_service"])
    error = only6(daemon, timeout=60)["error"]
    assert "CAP_NET_BIND_SERVICE is missing" in error["msg"]


def test_no_socket_while_bound(link, server):
    server.lease = 600
    daemon = Daemon(link)
    before = len(daemon.sockets())
    only6(daemon)
    until(lambda: len(daemon.sockets()) == before)


def test_namespace_is_not_kept_alive(link, server):
    server.lease = 600
    daemon = Daemon(link)
    only6(daemon)
    server.wait(REQUEST6)
    link.remove_netns("c1")
    until(lambda: not [each for each in link.ip("link", netns="srv") if each["ifname"] == "p0"])
    assert daemon.delete(netns="/run/netns/c1") == {}
    daemon.wait_line("forgotten")
    assert server.seen.empty(), "nothing was sent"


def test_namespace_goes_while_its_link_is_waited_for(link, server):
    """After a restart nobody waits: the watch must end by itself, and the namespace with it."""
    daemon = Daemon(link)
    server.lease = 1
    only6(daemon)
    daemon.kill()
    link.run(["ip", "link", "set", "eth0", "down", "addrgenmode", "none"], netns="c1")
    daemon.start()
    link.remove_netns("c1")
    until(lambda: not [each for each in link.ip("link", netns="srv") if each["ifname"] == "p0"])
    daemon.wait_line("forgotten")


# ---- both families, and one fails ----

def test_no_server_for_ipv6_gives_ipv4_back(link, server4):
    daemon = Daemon(link)
    server4.lease = 600
    error = daemon.add(families=[4, 6], timeout=3)["error"]
    assert error["code"] == 11 and "no DHCPv6 server answered on eth0 within 3 s" in error["msg"]
    assert server4.wait(RELEASE)[1] == "10.9.3.1"
    until(lambda: daemon.ask("STATUS")["leases"] == 0)
    assert daemon.states() == []


def test_no_server_for_ipv4_gives_ipv6_back(link, server):
    daemon = Daemon(link)
    error = daemon.add(families=[4, 6], timeout=5)["error"]
    assert "no server answered" in error["msg"]
    assert server.wait(RELEASE6)[1] == FIRST
    until(lambda: daemon.ask("STATUS")["leases"] == 0)
    assert daemon.states() == []


def test_short_lease_is_renewed_while_the_other_is_awaited(link, server4, server):
    server.answering, server4.lease = False, 2
    daemon = Daemon(link)
    error = daemon.add(families=[4, 6], timeout=4)["error"]
    assert "DHCPv6" in error["msg"]
    assert sum("renewed 10.9.3.1" in line for line in daemon.lines + [daemon.wait_line("renewed")]) >= 1
    until(lambda: daemon.ask("STATUS")["leases"] == 0)


def test_server_without_addresses(link, server):
    server.status[SOLICIT] = NO_ADDRS
    error = only6(Daemon(link), timeout=3)["error"]
    assert "no addresses left" in error["msg"]


def test_same_endpoint_again(link, server4, server):
    daemon = Daemon(link)
    server.lease = server4.lease = 600
    daemon.add(families=[4, 6])
    server.wait(REQUEST6)
    again = daemon.add()
    assert server.wait(RELEASE6)[1] == FIRST
    assert "ip6" not in again and len(daemon.states()) == 1


def test_caller_that_goes_away(link, server4):
    daemon = Daemon(link)
    server4.lease = 600
    process = link.start(["/usr/bin/python3", "-c", """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode() + b"\\n"); s.recv(1)
""", dhcp.SOCKET, '{"command":"ADD","network":"net","container":"c1","ifname":"eth0","netns":"/run/netns/c1","families":[4,6]}'])
    server4.wait(DISCOVER)
    daemon.wait_line("has 10.9.3.1")
    link.stop(process, signal.SIGKILL)
    daemon.wait_line("went away")
    assert server4.wait(RELEASE)[1] == "10.9.3.1"
    until(lambda: daemon.ask("STATUS")["leases"] == 0)
    assert daemon.states() == []


@pytest.mark.parametrize("families", [[], [5], ["6"], 6, {}])
def test_families_refused(link, families):
    assert "families" in Daemon(link).add(families=families)["error"]["msg"]
