# SPDX-License-Identifier: GPL-2.0-or-later
"""The dhcp IPAM through the plugins: over macvlan in our process, and as an executable."""
import shutil

import pytest

from support import configs, dhcp, snapshot

pytestmark = pytest.mark.skipif(not shutil.which("dnsmasq"), reason="dnsmasq is not installed")


@pytest.fixture
def lan(lab, cni):
    """lan0 of the host is on the segment of a DHCP server; the daemon runs."""
    dhcp.wire(lab, [])
    lab.run(["ip", "link", "add", "lan0", "type", "veth", "peer", "name", "p9", "netns", "srv"])
    lab.run(["ip", "link", "set", "p9", "master", "br0", "up"], netns="srv")
    lab.run(["ip", "link", "set", "lan0", "up"])
    return lab


@pytest.fixture
def served(lan):
    dhcp.dnsmasq(lan, "--dhcp-option=6,10.9.0.5", "--dhcp-option=option:domain-name,example.com")
    dhcp.Daemon(lan)
    return lan


def config(**ipam):
    return {"cniVersion": configs.VERSION, "name": "lan", "type": "macvlan", "master": "lan0", "ipam": {"type": "dhcp", **ipam}}


def leases(lab):
    return lab.read("/run/dnsmasq.leases").split("\n")[:-1]


def test_macvlan_with_a_lease(served, cni):
    before = snapshot.take(served, ["c1"])
    outcome = cni.add("macvlan", config(), args="IgnoreUnknown=1;K8S_POD_NAME=web", path="/nowhere").expect()
    result = outcome.json
    assert outcome.address.startswith("10.9.") and result["ips"][0]["gateway"] == "10.9.0.1"
    assert result["dns"] == {"nameservers": ["10.9.0.5"], "domain": "example.com"}
    assert result["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.9.0.1"}]
    assert configs.addresses(served, "eth0", "c1") == [result["ips"][0]["address"]]
    assert served.reaches("c1", "10.9.0.2", served.tcp_server("srv").port)
    assert leases(served)[0].split()[2:4] == [outcome.address, "web"]
    cni.check("macvlan", configs.with_previous(config(), result)).expect()
    for _ in range(2):
        cni.delete("macvlan", config()).expect()
    dhcp.until(lambda: not leases(served))
    assert not snapshot.diff(before, snapshot.take(served, ["c1"]))


def test_gc_releases(served, cni):
    for name in ("c1", "c2"):
        cni.add("macvlan", config(), name).expect()
    cni.gc("macvlan", config(), [("c2", "eth0")]).expect()
    dhcp.until(lambda: len(leases(served)) == 1)
    assert configs.link(served, "eth0", "c1") is None and configs.link(served, "eth0", "c2")


def test_no_server_leaves_nothing(lan, cni):
    dhcp.Daemon(lan)
    before = snapshot.take(lan, ["c1"])
    cni.add("macvlan", config(timeout=1)).refused(11, "no server answered", "eth0")
    assert not snapshot.diff(before, snapshot.take(lan, ["c1"]))


def test_no_daemon(lan, cni):
    before = snapshot.take(lan, ["c1"])
    cni.add("macvlan", config()).refused(50, "fairlead-dhcpd")
    assert not snapshot.diff(before, snapshot.take(lan, ["c1"]))
    assert "fairlead-dhcpd" in cni.delete("macvlan", config()).expect().stderr
    cni.call("STATUS", "macvlan", config()).refused(50, "fairlead-dhcpd")


def test_executable_for_a_foreign_main(served, cni):
    """As the reference's macvlan would call it: the interface is there, and down."""
    served.run(["ip", "link", "add", "eth0", "link", "lan0", "netns", "c1", "type", "macvlan", "mode", "bridge"])
    result = cni.add("dhcp", config()).expect().json
    assert result["ips"][0]["address"].startswith("10.9.") and "interfaces" not in result
    served.run(["ip", "addr", "add", result["ips"][0]["address"], "dev", "eth0"], netns="c1")
    cni.check("dhcp", configs.with_previous(config(), result)).expect()
    cni.delete("dhcp", config()).expect()
    dhcp.until(lambda: not leases(served))


# ---- IPv6 ----

@pytest.fixture
def served6(lan):
    # the host would otherwise take the advertisements too
    lan.run(["sysctl", "-qw", "net.ipv6.conf.lan0.accept_ra=0"])
    dhcp.wire6(lan)
    dhcp.dnsmasq(lan, *dhcp.DNSMASQ6, "--dhcp-option=6,10.9.0.5", "--dhcp-option=option6:dns-server,[2001:db8:9::53]",
                 "--dhcp-option=option6:domain-search,example.com")
    dhcp.Daemon(lan)
    return lan


def leases6(lab):
    return [line for line in leases(lab) if " 2001:db8:9::" in line]


@pytest.mark.parametrize("dad", [False, True])
def test_macvlan_with_both_families(served6, cni, dad):
    before = snapshot.take(served6, ["c1"])
    conf = {**config(ipv6=True), "enabledad": dad}
    result = cni.add("macvlan", conf, args="IgnoreUnknown=1;K8S_POD_NAME=web", path="/nowhere").expect().json
    four, six = result["ips"]
    assert four["address"].startswith("10.9.") and four["gateway"] == "10.9.0.1"
    assert six["address"].startswith("2001:db8:9::1") and six["address"].endswith("/128") and "gateway" not in six
    assert result["dns"] == {"nameservers": ["10.9.0.5", "2001:db8:9::53"], "search": ["example.com"]}
    assert result["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.9.0.1"}]
    assert {four["address"], six["address"]} <= set(configs.addresses(served6, "eth0", "c1"))
    # by the default route and the prefix of router advertisements
    [route] = dhcp.until(lambda: served6.ip("-6", "route", "show", "default", netns="c1"))
    assert route["protocol"] == "ra" and route["dev"] == "eth0"
    dhcp.until(lambda: served6.ip("-6", "route", "show", "2001:db8:9::/64", netns="c1"))
    assert served6.reaches("c1", "2001:db8:9::1", served6.tcp_server("srv", "::").port)
    assert served6.reaches("c1", "10.9.0.2", served6.tcp_server("srv").port)
    assert leases6(served6)[0].split()[3] == "web"
    cni.check("macvlan", configs.with_previous(conf, result)).expect()
    served6.run(["ip", "addr", "del", six["address"], "dev", "eth0"], netns="c1")
    cni.check("macvlan", configs.with_previous(conf, result)).refused(104, six["address"])
    for _ in range(2):
        cni.delete("macvlan", conf).expect()
    dhcp.until(lambda: not leases6(served6) and not [line for line in leases(served6) if " 10.9." in line])
    assert not snapshot.diff(before, snapshot.take(served6, ["c1"]))


def test_macvlan_with_ipv6_alone(served6, cni):
    before = snapshot.take(served6, ["c1"])
    conf = config(ipv6=True, ipv4=False)
    result = cni.add("macvlan", conf).expect().json
    assert [ip["address"].split("::")[0] for ip in result["ips"]] == ["2001:db8:9"]
    assert not result.get("routes") and result["dns"]["nameservers"] == ["2001:db8:9::53"]
    assert not [line for line in leases(served6) if " 10.9." in line]
    cni.gc("macvlan", conf, []).expect()
    dhcp.until(lambda: not leases6(served6))
    assert not snapshot.diff(before, snapshot.take(served6, ["c1"]))


def test_forwarding_container_still_hears_routers(served6, cni):
    served6.run(["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.default.forwarding=1"], netns="c1")
    cni.add("macvlan", config(ipv6=True)).expect()
    dhcp.until(lambda: served6.ip("-6", "route", "show", "default", netns="c1"))


def test_no_ipv6_server_leaves_nothing(served, cni):
    before = snapshot.take(served, ["c1"])
    cni.add("macvlan", config(ipv6=True, timeout=3)).refused(11, "no DHCPv6 server answered", "eth0")
    dhcp.until(lambda: not leases(served))
    assert not snapshot.diff(before, snapshot.take(served, ["c1"]))


def test_executable_with_both_families(served6, cni):
    served6.run(["ip", "link", "add", "eth0", "link", "lan0", "netns", "c1", "type", "macvlan", "mode", "bridge"])
    result = cni.add("dhcp", config(ipv6=True)).expect().json
    assert [":" in ip["address"] for ip in result["ips"]] == [False, True]
    cni.delete("dhcp", config(ipv6=True)).expect()
    dhcp.until(lambda: not leases6(served6))


@pytest.mark.parametrize("ipam, code, word", [
    ({"ipv4": False}, 7, "ipam.ipv4"), ({"ipv6": "yes"}, 6, "ipam.ipv6"), ({"ipv6": False, "ipv4": False}, 7, "ipam.ipv6"),
    ({"request": "routers"}, 6, "ipam.request"), ({"provide": {}}, 6, "ipam.provide"), ({"priority": -1}, 7, "ipam.priority"),
    ({"timeout": 0}, 7, "ipam.timeout"), ({"daemonSocketPath": 5}, 6, "ipam.daemonSocketPath"),
    ({"request": [{"option": "no-such-option"}]}, 7, "no-such-option"),
])
def test_refused(served, cni, ipam, code, word):
    before = snapshot.take(served, ["c1"])
    cni.add("macvlan", config(**ipam)).refused(code, word)
    assert not snapshot.diff(before, snapshot.take(served, ["c1"]))
