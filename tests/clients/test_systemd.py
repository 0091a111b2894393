# SPDX-License-Identifier: GPL-2.0-or-later
"""The units under a real systemd: what they start does its job inside what they forbid, comes back when it is killed, and takes
nothing with it."""
import json
import os
import time

import pytest

from support import configs, dhcp, dns, etcd, overlays, systemd, tools
from support.upstream import Upstream

UNITS = ("fairlead-dnsd.service", "fairlead-dnsd.socket", "fairlead-dhcpd.service", "fairlead-dhcpd.socket", "fairlead-overlayd.service",
         "fairlead-reload.service")
DNSD, DHCPD, OVERLAYD, RELOAD = "fairlead-dnsd", "fairlead-dhcpd", "fairlead-overlayd", "fairlead-reload"
NFTABLES = "nftables.service"
LEASE = 4       # seconds

pytestmark = pytest.mark.skipif(not systemd.installed(), reason="the plugins under test are not installed with their units")


@pytest.fixture(scope="module")
def machine():
    with systemd.Machine(systemd.installed()) as booted:
        yield booted


def attach(machine, plugin, config, *containers):
    for name in containers:
        machine.netns(name)
        machine.cni.add(plugin, dns.named(config, name), name).expect()


def detach(machine, plugin, config, *containers):
    for name in containers:
        machine.cni.delete(plugin, config, name).expect()
        machine.remove_netns(name)


def in_unit(machine, program):
    """Ids of the program's processes, which must all be the unit's own."""
    found = machine.processes(program)
    assert all(cgroup.endswith(f"/{program}.service") for cgroup in found.values()), found
    return set(found)


def stop(machine, *units):
    begun = time.monotonic()
    machine.systemctl("stop", *units)
    assert time.monotonic() - begun < 20, "one of them had to be killed"


# ---- the files ----

def test_all_units_are_known():
    assert sorted(os.listdir(systemd.installed() / systemd.UNITS)) == sorted(UNITS)


@pytest.mark.parametrize("unit", UNITS)
def test_verify(machine, unit):
    done = machine.run(["systemd-analyze", "verify", unit], check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit, most", [(DNSD, 3.6), (DHCPD, 3.6), (OVERLAYD, 2.4)])
def test_exposure(machine, unit, most):
    """As systemd counts it, from 0 to 10."""
    done = machine.run(["systemd-analyze", "security", "--no-pager", f"--threshold={most * 10:.0f}", f"{unit}.service"], check=False)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


@pytest.mark.parametrize("unit, links", [
    (f"{DNSD}.socket", [f"sockets.target.wants/{DNSD}.socket"]),
    (f"{DNSD}.service", [f"multi-user.target.wants/{DNSD}.service", f"sockets.target.wants/{DNSD}.socket"]),
    (f"{DHCPD}.socket", [f"sockets.target.wants/{DHCPD}.socket"]),
    (f"{DHCPD}.service", [f"multi-user.target.wants/{DHCPD}.service", f"sockets.target.wants/{DHCPD}.socket"]),
    (f"{OVERLAYD}.service", [f"multi-user.target.wants/{OVERLAYD}.service"]),
    (f"{RELOAD}.service", [f"{firewall}.service.wants/{RELOAD}.service" for firewall in ("docker", "firewalld", "nftables", "ufw")]),
])
def test_enable(machine, unit, links):
    def found():
        script = "cd /etc/systemd/system && find . -path '*.wants/fairlead-*' -type l -exec sh -c 'test -e $0 && echo ${0#./}' {} ';'"
        return sorted(machine.run(["sh", "-c", script]).stdout.split())
    machine.systemctl("enable", unit)
    assert found() == sorted(links)
    machine.systemctl("disable", unit)
    assert found() == []


# ---- names ----

NAMED = dns.network(dns={"forward": False})


@pytest.fixture
def named(machine):
    """c1 and c2 on a network with names; the ADD of the first one had the socket start the unit."""
    machine.systemctl("start", f"{DNSD}.socket")
    attach(machine, "bridge", NAMED, "c1", "c2")
    yield machine
    detach(machine, "bridge", NAMED, "c1", "c2")
    stop(machine, f"{DNSD}.socket", f"{DNSD}.service")
    assert not machine.processes(DNSD)


def resolves(machine):
    first, second = dns.lookup(machine, "c1", "c2"), dns.lookup(machine, "c2", "c1")
    return first == [configs.addresses(machine, "eth0", "c2")[0].split("/")[0]] and len(second) == 1


def test_dnsd_is_started_by_its_socket(named):
    assert named.is_active(DNSD) and resolves(named)
    broker = named.main_pid(DNSD)
    assert broker in in_unit(named, DNSD) and len(in_unit(named, DNSD)) == 2, "a broker and a worker, and no keeper"
    state = f"/run/fairlead/{named.cookie()}"
    modes = {path: named.mode(path) for path in ("/run/fairlead", "/run/fairlead/dns.sock", state, f"{state}/dns.sock")}
    assert modes == {"/run/fairlead": "0o700", "/run/fairlead/dns.sock": "0o600", state: "0o700", f"{state}/dns.sock": "0o600"}
    assert "cannot" not in named.journal(f"{DNSD}.service") and "the worker ended" not in named.journal(f"{DNSD}.service")


def test_dnsd_survives_kill_and_restart(named):
    named.kill(DNSD)
    assert resolves(named) and len(in_unit(named, DNSD)) == 2
    before = named.main_pid(DNSD)
    named.systemctl("restart", DNSD)
    # At once: it was not ready before its sandboxes were.
    assert resolves(named) and named.main_pid(DNSD) != before


def test_dnsd_is_not_given_up(named):
    """More often than systemd's own limit of starts allows."""
    for _ in range(7):
        named.kill(DNSD)
    assert resolves(named)


def test_dnsd_reloads_in_place(named):
    broker, before = named.main_pid(DNSD), in_unit(named, DNSD)
    named.systemctl("reload", DNSD)
    named.wait(lambda: resolves(named) and len(now := in_unit(named, DNSD)) == 2 and now != before, "another worker")
    assert named.main_pid(DNSD) == broker and named.is_active(DNSD) and resolves(named)
    named.kill(DNSD)    # the new image is watched as the old one was
    assert resolves(named)


@pytest.mark.parametrize("settings", [{}, {"nameservers": ["192.0.2.2"]}], ids=["the host's servers", "the network's own"])
def test_dnsd_asks_others(named, settings):
    """From the host as /etc/resolv.conf says by now, which is no file of its own mount namespace; or from inside the sandbox."""
    config = dns.second(dns=settings)
    with Upstream(named):
        attach(named, "bridge", config, "c4")
        named.write("/etc/resolv.conf.new", "nameserver 192.0.2.2\n")
        named.call(os.rename, "/etc/resolv.conf.new", "/etc/resolv.conf")
        named.wait(lambda: dns.data(dns.ask(named, "c4", "a.test")) == ["198.51.100.1"], "an answer")
        detach(named, "bridge", config, "c4")
    named.write("/etc/resolv.conf", "")
    assert "cannot" not in named.journal(f"{DNSD}.service")


def test_dnsd_takes_the_place_of_a_plugins(named):
    stop(named, f"{DNSD}.socket", f"{DNSD}.service")
    named.call(os.makedirs, "/run/test", exist_ok=True)
    witness = named.call(tools.Readiness, "/run/test/notify")
    named.netns("c3")
    # The runtime's socket is not the daemon's to write to.
    named.cni.add("bridge", dns.named(NAMED, "c3"), "c3", env={"NOTIFY_SOCKET": witness.path}).expect()
    assert not named.is_active(DNSD) and len(named.processes(DNSD)) == 3, "a keeper, a broker, a worker"
    assert resolves(named)
    with pytest.raises(TimeoutError):
        witness.wait(0)
    named.call(witness.close)
    named.systemctl("start", DNSD)
    assert len(in_unit(named, DNSD)) == 2 and named.main_pid(DNSD) in in_unit(named, DNSD)
    assert resolves(named) and dns.lookup(named, "c1", "c3")
    detach(named, "bridge", NAMED, "c3")


# ---- DHCP ----

@pytest.fixture(scope="module")
def lan(machine):
    """lan0 leads to dnsmasq, with both families; lan1 to a server whose leases are short."""
    for n, server in enumerate(("srv", "srv1")):
        dhcp.wire(machine, [], server)
        machine.run(["ip", "link", "add", f"lan{n}", "type", "veth", "peer", "name", "p9", "netns", server])
        machine.run(["ip", "link", "set", "p9", "master", "br0", "up"], netns=server)
        machine.run(["ip", "link", "set", f"lan{n}", "up"])
    dhcp.wire6(machine)
    dhcp.dnsmasq(machine, *dhcp.DNSMASQ6)
    server = dhcp.Server(machine, "srv1", LEASE)
    machine.systemctl("start", f"{DHCPD}.socket")
    yield server
    stop(machine, f"{DHCPD}.socket", f"{DHCPD}.service")
    assert not machine.processes(DHCPD)
    server.close()
    for name in ("srv", "srv1"):
        machine.remove_netns(name)


def leased(n, **ipam):
    return {"cniVersion": configs.VERSION, "name": f"lan{n}", "type": "macvlan", "master": f"lan{n}", "ipam": {"type": "dhcp", **ipam}}


def test_dhcpd_leases_of_both_families(machine, lan):
    attach(machine, "macvlan", leased(0, ipv6=True), "d1")
    assert machine.is_active(DHCPD) and in_unit(machine, DHCPD) == {machine.main_pid(DHCPD)}
    assert {machine.mode(f"/run/fairlead/{name}") for name in ("", "dhcp")} == {"0o700"} and machine.mode(dhcp.SOCKET) == "0o600"
    assert machine.sysctl("net/ipv6/conf/eth0/accept_ra", netns="d1") == "2", "the daemon's doing"
    before = configs.addresses(machine, "eth0", "d1")
    assert before[0].startswith("10.9.") and any(address.startswith("2001:db8:9::1") for address in before)
    machine.kill(DHCPD)
    assert configs.addresses(machine, "eth0", "d1") == before and machine.reaches("d1", "10.9.0.2", machine.tcp_server("srv").port)
    # The next one enters the sandbox and gives back what its predecessor got.
    machine.systemctl("restart", DHCPD)
    detach(machine, "macvlan", leased(0, ipv6=True), "d1")
    machine.wait(lambda: not [line for line in machine.read("/run/dnsmasq.leases").splitlines() if not line.startswith("duid")],
                 "the release of both leases")


def test_dhcpd_renews_after_it_was_killed(machine, lan):
    # Sandboxes of now, which were made after the daemon's own mount namespace.
    attach(machine, "macvlan", leased(1), "d2", "d3")
    before = configs.addresses(machine, "eth0", "d2")
    machine.kill(DHCPD)
    while not lan.seen.empty():
        lan.seen.get()
    renewed = {lan.wait(dhcp.REQUEST)[1] for _ in range(4)}
    assert renewed == {configs.addresses(machine, "eth0", name)[0].split("/")[0] for name in ("d2", "d3")}
    assert configs.addresses(machine, "eth0", "d2") == before
    detach(machine, "macvlan", leased(1), "d2", "d3")
    assert "cannot" not in machine.journal(f"{DHCPD}.service")


def test_dhcpd_says_that_another_is_at_work(machine, lan):
    stop(machine, f"{DHCPD}.service")
    other = machine.start(["/usr/local/libexec/fairlead/fairlead-dhcpd", "--socket", "/run/other.sock"])
    machine.wait(lambda: machine.exists("/run/other.sock"), "a daemon by hand")
    assert machine.run(["systemctl", "start", DHCPD], check=False).returncode
    assert "another fairlead-dhcpd works with /run/fairlead/dhcp: end it" in machine.journal(f"{DHCPD}.service")
    machine.stop(other)
    machine.wait(lambda: machine.is_active(DHCPD), "the unit's daemon")


# ---- overlay networks ----

OVERLAY = overlays.config("web", "10.5.0.0/24", dns=None)


@pytest.fixture(scope="module")
def cluster(machine):
    """One member, with TLS and certificates of clients."""
    with etcd.Cluster(machine, client_certs=True) as members:
        files = {"caFile": "ca.pem", "certFile": "client.pem", "keyFile": "client.key"}
        machine.write("/etc/fairlead/overlay.json", json.dumps({
            "endpoints": [members.url("m1")], "node": "machine", **{key: f"{etcd.FOLDER}/{name}" for key, name in files.items()}}))
        machine.systemctl("start", OVERLAYD)
        attach(machine, "overlay", OVERLAY, "o1", "o2")
        yield members
        detach(machine, "overlay", OVERLAY, "o1", "o2")
        stop(machine, OVERLAYD)
        assert not machine.processes(OVERLAYD)


def taken(members):
    """Addresses that are somebody's, as etcd has them."""
    keys = members.ctl("get", "--prefix", "--keys-only", "/fairlead/v1/ip/").stdout.split()
    return sorted(key.rsplit("/", 1)[1] for key in keys)


def talks(machine):
    """From one container to the other."""
    address = configs.addresses(machine, "eth0", "o2")[0].split("/")[0]
    server = machine.tcp_server("o2")
    try:
        return machine.reaches("o1", address, server.port)
    finally:
        server.close()


def test_overlayd_joins(machine, cluster):
    assert machine.is_active(OVERLAYD) and in_unit(machine, OVERLAYD) == {machine.main_pid(OVERLAYD)}
    assert talks(machine)
    nodes = json.loads(machine.run(["netctl", "node", "ls", "--json"]).stdout)
    assert [node["name"] for node in nodes] == ["machine"], nodes
    state = f"/run/fairlead/{machine.cookie()}"
    assert (machine.mode(state), machine.mode(f"{state}/overlay.sock")) == ("0o700", "0o600")
    own = {configs.addresses(machine, "eth0", name)[0].split("/")[0] for name in ("o1", "o2")}
    assert own <= set(taken(cluster)), taken(cluster)


def test_overlayd_survives_kill_and_restart(machine, cluster):
    own = [configs.addresses(machine, "eth0", name) for name in ("o1", "o2")]
    machine.kill(OVERLAYD)
    assert talks(machine)
    machine.systemctl("restart", OVERLAYD)
    attach(machine, "overlay", OVERLAY, "o3")
    assert talks(machine)
    detach(machine, "overlay", OVERLAY, "o3")
    stop(machine, OVERLAYD)
    assert not machine.processes(OVERLAYD) and talks(machine)
    machine.systemctl("start", OVERLAYD)
    assert [configs.addresses(machine, "eth0", name) for name in ("o1", "o2")] == own
    assert {address.split("/")[0] for [address] in own} <= set(taken(cluster))


def test_overlayd_mends(machine, cluster):
    """What it does to the host: a link of its own, and /proc/sys/net."""
    attach(machine, "overlay", OVERLAY, "o3")   # then it has looked at what there is
    detach(machine, "overlay", OVERLAY, "o3")
    [tunnel] = [link["ifname"] for link in machine.ip("link", "show", "type", "vxlan") if link]
    machine.run(["ip", "link", "delete", tunnel])
    machine.wait(lambda: tunnel in [link["ifname"] for link in machine.ip("link")], "the tunnel again")
    assert talks(machine) and "cannot" not in machine.journal(f"{OVERLAYD}.service")


def test_overlayd_takes_the_place_of_a_plugins(machine, cluster):
    stop(machine, OVERLAYD)
    attach(machine, "overlay", OVERLAY, "o4")
    assert len(machine.processes(OVERLAYD)) == 2 and not machine.is_active(OVERLAYD), "a keeper and an agent"
    machine.systemctl("start", OVERLAYD)
    assert in_unit(machine, OVERLAYD) == {machine.main_pid(OVERLAYD)} and talks(machine)
    detach(machine, "overlay", OVERLAY, "o4")


# ---- the ruleset ----

@pytest.fixture
def published(machine):
    """p1, with a port of the host; nftables.service and what follows it are enabled and active."""
    config = configs.publish(configs.bridge("pub", subnets=("10.3.0.0/24",)), (8080, 80))
    machine.systemctl("enable", NFTABLES, RELOAD)
    machine.systemctl("start", NFTABLES)
    machine.netns("p1")
    machine.cni.add("bridge", config, "p1").expect()
    machine.tcp_server("p1", port=80)
    machine.wait(lambda: machine.is_active(RELOAD), RELOAD)
    assert machine.reaches("outside", "192.0.2.1", 8080)
    yield machine
    detach(machine, "bridge", config, "p1")
    machine.systemctl("disable", NFTABLES, RELOAD)
    stop(machine, NFTABLES, RELOAD)


def rules(machine):
    """Our table as nft tells it, without handles, and elements in an order."""
    text = machine.run(["nft", "-j", "list", "table", "inet", "fairlead"], check=False).stdout
    found = []
    for item in json.loads(text)["nftables"] if text else []:
        [(kind, body)] = item.items()
        body.pop("handle", None)
        body.get("elem", []).sort(key=json.dumps)
        found.append(json.dumps({kind: body}, sort_keys=True))
    return sorted(found)


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_rules_come_back(published, verb):
    """nftables.service flushes all there is, with both verbs."""
    before = rules(published)
    published.nft("add table inet witness")
    published.systemctl(verb, NFTABLES)
    published.wait(lambda: rules(published) == before and published.is_active(RELOAD), "our rules")
    assert "witness" not in published.run(["nft", "list", "tables"]).stdout and before
    assert published.reaches("outside", "192.0.2.1", 8080)


def test_resolver_outlives_the_unit_that_started_it(published):
    """Without a socket of its own it is started by whoever needs it, and that is this unit after its death."""
    attach(published, "bridge", NAMED, "c1", "c2")
    published.run(["kill", "-KILL", *map(str, published.processes(DNSD))])
    published.systemctl("restart", RELOAD)
    before = published.processes(DNSD)
    assert any(cgroup.endswith(f"/{RELOAD}.service") for cgroup in before.values()) and resolves(published)
    published.systemctl("restart", RELOAD)
    assert published.processes(DNSD) == before and resolves(published)
    detach(published, "bridge", NAMED, "c1", "c2")


def test_reload_before_there_is_anything(machine):
    """At boot: no plugin has run, and the unit has to be active to follow what comes."""
    machine.nft("flush ruleset")
    machine.run(["mount", "-t", "tmpfs", "tmpfs", "/run/fairlead"])
    try:
        machine.systemctl("restart", RELOAD)
        assert machine.is_active(RELOAD) and not rules(machine)
    finally:
        machine.run(["umount", "/run/fairlead"])


# ---- the end ----

def test_nothing_failed_and_nothing_is_left(machine):
    units = [f"fairlead-{name}" for name in ("dnsd.socket", "dnsd.service", "dhcpd.socket", "dhcpd.service", "overlayd.service")]
    machine.systemctl("start", *units)
    stop(machine, *units)
    assert machine.systemctl("list-units", "--failed", "--plain", "--no-legend", "fairlead-*") == ""
    assert not [machine.processes(name) for name in (DNSD, DHCPD, OVERLAYD) if machine.processes(name)]
