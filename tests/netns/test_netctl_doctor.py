# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl doctor: each thing that breaks is found, mended where it may be, and works again."""
import concurrent.futures
import os
import platform
import signal
import time

import pytest

from support import configs as net
from support import dns, stub
from support.cni import LIBEXEC, sanitized
from support.netctl import NO, OK, USAGE

KEYS = {"code", "severity", "object", "text", "remedy", "repairable", "repaired"}
DRIVERS = {
    "bridge": {}, "ptp": {"ipMasq": True}, "macvlan": {"master": "up0"}, "ipvlan": {"master": "up0"}, "vlan": {"master": "up0", "vlanId": 5},
    "dummy": {}, "tap": {},
}


def state(lab):
    [cookie] = lab.files("/run/fairlead")
    return f"/run/fairlead/{cookie}"


def look(netctl, *codes, notes=False):
    """What doctor finds: exactly these codes (without notes), and the exit status that belongs to it."""
    outcome = netctl("doctor", "--json")
    found = outcome.json
    assert all(set(f) == KEYS for f in found["findings"])
    told = [f for f in found["findings"] if notes or f["severity"] != "note"]
    assert sorted({f["code"] for f in told}) == sorted(codes), outcome
    serious = [f for f in told if f["severity"] != "note"]
    assert outcome.status == (NO if serious else OK)
    summary = found["summary"]
    assert summary["errors"] + summary["warnings"] == len(serious)
    return told


def mend(netctl, *left):
    """--repair, which leaves only these; and doctor says so too."""
    outcome = netctl("doctor", "--repair", "--json")
    found = outcome.json["findings"]
    assert sorted({f["code"] for f in found if not f["repaired"] and f["severity"] != "note"}) == sorted(left), outcome
    assert outcome.status == (NO if left else OK)
    look(netctl, *left)
    return [f["code"] for f in found if f["repaired"]]


def write(netctl, config):
    netctl.write(net.conflist({k: v for k, v in config.items() if k not in ("cniVersion", "name")}, name=config["name"]))


@pytest.fixture
def two(lab, cni, netctl):
    """c1 and c2 on a network that is configured, c1 with a published port; servers everywhere. Yields netctl."""
    config = net.dual()
    write(netctl, config)
    cni.add("bridge", net.publish(config, (8080, 80)), "c1").expect()
    cni.add("bridge", config, "c2").expect()
    lab.tcp_server("c1", port=80)
    lab.tcp_server("c1", port=80, address="::")
    lab.tcp_server("c1", port=81)
    lab.tcp_server("outside", port=90)
    lab.tcp_server("outside", port=90, address="::")
    look(netctl)
    return netctl


def works(lab):
    """Between containers, outward, and inward by the published port."""
    assert lab.probe("c2", "10.1.0.2", 81) and lab.probe("c1", "192.0.2.2", 90) and lab.probe("outside", "192.0.2.1", 8080)
    # A new bridge speaks for others by IPv6 once its own address is no duplicate: a second or two.
    net.eventually(lambda: lab.reaches("c2", "fd00:1::2", 80) and lab.reaches("c1", "2001:db8::2", 90), 20)


def port_of(lab, netctl, container):
    [one] = [e for e in netctl.json("endpoint", "ls") if e["container"] == container]
    return one["hostInterface"]


# ---- nothing wrong ----

def test_nothing_there(lab, netctl):
    outcome = netctl("doctor").expect()
    assert outcome.stdout == "all is well (0 networks, 0 endpoints looked at)\n"
    assert not any(lab.files(f"/run/fairlead/{folder}") for folder in lab.files("/run/fairlead"))
    netctl("doctor", "me").expect(USAGE)


def test_all_drivers_healthy(lab, cni, netctl):
    attached = 0
    for i, (driver, more) in enumerate(DRIVERS.items()):
        config = {"cniVersion": "1.0.0", "name": f"n{i}", "type": driver, **more,
                  "ipam": net.host_local(f"10.{20 + i}.0.0/24", routes=["10.99.0.0/16"] if driver == "dummy" else [])}
        if driver == "bridge":
            config.update(bridge="br9", isGateway=True, ipMasq=True)
        outcome = cni.add(driver, config, "c1", ifname=f"net{i}")
        attached += outcome.ok
    cni.add("bridge", dns.named(dns.dual("names"), "web"), "c2").expect()
    assert attached >= 4
    outcome = netctl("doctor").expect()
    assert outcome.stdout == f"all is well ({attached + 1} networks, {attached + 1} endpoints looked at)\n"


def test_output(two, lab):
    lab.run(["nft", "delete", "table", "inet", "fairlead"])
    lab.run(["ip", "link", "set", "net0", "down"])
    outcome = two("doctor")
    assert outcome.status == NO
    lines = outcome.stdout.splitlines()
    assert lines[-1].endswith("errors, 0 warnings")
    assert "error   net0 (bridge-down)" in lines and "        -> ip link set net0 up" in lines
    assert "        -> netctl doctor --repair" in lines
    assert set(two("doctor", "-q").stdout.split()) == {"bridge-down", "gateway-missing", "rules-missing", "localnet-open"}
    assert "\x1b[31merror  " in two("doctor", "--color=always").stdout
    mended = two("doctor", "--repair")
    assert mended.status == OK and "mended " in mended.stdout and "all is well" in mended.stdout
    works(lab)


# ---- store and kernel ----

def test_deleted_veth(two, lab, cni):
    lab.run(["ip", "link", "del", port_of(lab, two, "c1")])
    [found] = look(two, "interface-gone")
    assert found["severity"] == "error" and "attach the container again" in found["remedy"]
    assert mend(two) == ["interface-gone"]
    assert [e["container"] for e in two.json("endpoint", "ls")] == ["c2"]
    assert not net.nft_elements(lab)["publish4"]
    cni.add("bridge", net.publish(net.dual(), (8080, 80)), "c1").expect()
    look(two)
    assert lab.probe("outside", "192.0.2.1", 8080)


def test_moved_veth_is_not_taken_for_deleted(two, lab):
    """Another namespace has the host's end: the pair is there, and the record stays."""
    lab.run(["ip", "link", "set", port_of(lab, two, "c1"), "netns", "outside"])
    look(two)
    assert len(two.json("endpoint", "ls")) == 2


def test_namespace_gone(two, lab):
    lab.remove_netns("c2")
    net.eventually(lambda: len(net.bridge_ports(lab, "net0")) == 1)
    [found] = look(two, "sandbox-gone")
    assert found["remedy"] == "netctl gc" and "c2" in found["object"]
    assert mend(two) == ["sandbox-gone"]
    assert [e["container"] for e in two.json("endpoint", "ls")] == ["c1"]
    assert lab.probe("outside", "192.0.2.1", 8080)


def test_macvlan_interface_deleted_inside(lab, cni, netctl):
    config = {"cniVersion": "1.0.0", "name": "mv", "type": "macvlan", "master": "up0", "ipam": net.host_local("192.0.2.64/26")}
    cni.add("macvlan", config, "c1").expect()
    look(netctl)
    lab.run(["ip", "link", "del", "eth0"], netns="c1")
    look(netctl, "interface-gone")
    assert mend(netctl) == ["interface-gone"]
    assert netctl.json("endpoint", "ls") == []


def test_deleted_bridge(two, lab):
    works(lab)          # neighbours know the old bridge's MAC
    lab.run(["ip", "link", "del", "net0"])
    assert lab.blocked("c2", "10.1.0.2", 81)
    assert {f["repairable"] for f in look(two, "bridge-missing")} == {True}
    assert "bridge-missing" in mend(two)
    assert sorted(net.addresses(lab, "net0")) == ["10.1.0.1/24", "fd00:1::1/64"]
    assert len(net.bridge_ports(lab, "net0")) == 2
    assert lab.sysctl("net/ipv6/conf/net0/accept_ra") == "0"
    ports = {p["ifname"]: p["linkinfo"]["info_slave_data"] for p in lab.ip("-d", "link") if p.get("master") == "net0"}
    assert all(p["hairpin"] for p in ports.values())
    works(lab)
    assert lab.probe(None, "127.0.0.1", 8080)


def test_deleted_bridge_without_configuration(two, lab):
    lab.run(["rm", "/etc/cni/net.d/50-net.conflist"])
    lab.run(["ip", "link", "del", "net0"])
    mend(two)
    works(lab)


def test_deleted_bridge_of_isolated_ports(lab, cni, netctl):
    config = net.bridge(icc=False)
    write(netctl, config)
    net.attach(cni, config, "c1", "c2")
    lab.tcp_server("c1", port=80)
    lab.tcp_server("outside", port=90)
    lab.run(["ip", "link", "del", "net0"])
    mend(netctl)
    ports = [p["linkinfo"]["info_slave_data"] for p in lab.ip("-d", "link") if p.get("master") == "net0"]
    assert [p["isolated"] for p in ports] == [True, True]
    assert lab.blocked("c2", "10.1.0.2", 80) and lab.probe("c2", "192.0.2.2", 90)


def test_deleted_bridge_with_vlans_is_not_guessed(lab, cni, netctl):
    write(netctl, net.bridge(vlan=7))       # attached without, since not every kernel has VLAN filtering
    cni.add("bridge", net.bridge(), "c1").expect()
    lab.run(["ip", "link", "del", "net0"])
    [found] = look(netctl, "bridge-missing")
    assert not found["repairable"] and "VLANs" in found["remedy"]
    mend(netctl, "bridge-missing")


def test_isolated_port_that_is_not(lab, cni, netctl):
    net.attach(cni, net.bridge(icc=False), "c1", "c2")
    lab.tcp_server("c1", port=80)
    look(netctl)
    for container in ("c1", "c2"):
        lab.run(["bridge", "link", "set", "dev", port_of(lab, netctl, container), "isolated", "off"])
    assert len(look(netctl, "port-flags")) == 2
    mend(netctl)
    assert lab.blocked("c2", "10.1.0.2", 80)
    ports = [p["linkinfo"]["info_slave_data"] for p in lab.ip("-d", "link") if p.get("master") == "net0"]
    assert [p["isolated"] for p in ports] == [True, True]


def hairpins(lab):
    return all(p["linkinfo"]["info_slave_data"]["hairpin"] for p in lab.ip("-d", "link") if p.get("master") == "net0")


@pytest.mark.parametrize("code, command, fact", [
    ("port-flags", "bridge link set dev {port} hairpin off", hairpins),
    ("port-detached", "ip link set {port} nomaster", lambda lab: len(net.bridge_ports(lab, "net0")) == 2),
    ("port-down", "ip link set {port} down", lambda lab: all("UP" in link["flags"] for link in lab.ip("link"))),
    ("bridge-down", "ip link set net0 down", lambda lab: "UP" in net.link(lab, "net0")["flags"]),
    ("gateway-missing", "ip addr del 10.1.0.1/24 dev net0", lambda lab: "10.1.0.1/24" in net.addresses(lab, "net0")),
    ("address-foreign", "ip addr add 10.1.0.77/24 dev net0", lambda lab: "10.1.0.77/24" not in net.addresses(lab, "net0")),
    ("address-duplicate", "ip addr add 10.1.0.2/24 dev net0", lambda lab: "10.1.0.2/24" not in net.addresses(lab, "net0")),
    ("forwarding4-off", "sysctl -qw net.ipv4.ip_forward=0", lambda lab: lab.sysctl("net.ipv4.ip_forward") == "1"),
    ("forwarding6-off", "sysctl -qw net.ipv6.conf.all.forwarding=0", lambda lab: lab.sysctl("net.ipv6.conf.all.forwarding") == "1"),
])
def test_link_that_was_changed(two, lab, code, command, fact):
    lab.run(command.format(port=port_of(lab, two, "c1")).split())
    assert not fact(lab)
    # The kernel takes IPv6 addresses from an interface that goes down.
    look(two, code, *["gateway-missing"] * (code == "bridge-down"))
    assert code in mend(two)
    assert fact(lab)
    works(lab)


def test_address_of_somebody_elses_on_the_bridge(two, lab):
    lab.run(["ip", "addr", "add", "172.30.0.1/24", "dev", "net0"])
    [found] = look(two, "address-foreign")
    assert not found["repairable"] and found["remedy"] == "ip addr del 172.30.0.1/24 dev net0"
    mend(two, "address-foreign")
    assert "172.30.0.1/24" in net.addresses(lab, "net0")


def test_address_on_a_bridge_without_configuration(lab, cni, netctl):
    """That the first address is the gateway is a guess then, which is not enough to remove the others."""
    net.attach(cni, net.bridge(), "c1")
    lab.run(["ip", "addr", "add", "10.1.0.77/24", "dev", "net0"])
    [found] = look(netctl, "address-foreign")
    assert not found["repairable"]
    lab.run(["ip", "addr", "del", "10.1.0.1/24", "dev", "net0"])
    lab.run(["ip", "addr", "replace", "10.1.0.77/24", "dev", "net0"])
    look(netctl)
    lab.run(["ip", "addr", "flush", "dev", "net0"])
    look(netctl, "gateway-missing")
    mend(netctl)
    assert net.addresses(lab, "net0") == ["10.1.0.1/24"]


def test_another_thing_of_the_bridges_name(two, lab):
    lab.run(["ip", "link", "del", "net0"])
    lab.run(["ip", "link", "add", "net0", "type", "veth", "peer", "name", "other"])
    look(two, "bridge-kind")


def test_unknown_veth_in_the_bridge(two, lab):
    lab.run(["ip", "link", "add", "vethstray", "type", "veth", "peer", "name", "other"])
    lab.run(["ip", "link", "set", "vethstray", "master", "net0"])
    [found] = look(two, "port-unknown")
    assert (found["object"], found["repairable"]) == ("vethstray", False)
    lab.run(found["remedy"].split())
    look(two)


def test_mtu(two, lab):
    lab.run(["ip", "link", "set", "up0", "mtu", "1400"])
    [found] = look(two, "mtu-uplink")
    assert "1400" in found["text"] and not found["repairable"]
    lab.run(["ip", "link", "set", "up0", "mtu", "1500"])
    lab.run(["ip", "link", "set", "net0", "mtu", "1300"])
    assert len(look(two, "mtu-port")) == 2


# ---- leases ----

def test_stale_lease(lab, cni, netctl):
    """Imported from the reference, and older than this boot."""
    lab.run(["mkdir", "-p", "/var/lib/cni/networks/net"])
    for name in ("10.1.0.7", "10.1.0.8"):
        lab.write(f"/var/lib/cni/networks/net/{name}", "gone\r\neth0")
    lab.call(os.utime, "/var/lib/cni/networks/net/10.1.0.7", (0, 0))
    net.attach(cni, net.bridge(), "c1")
    [found] = look(netctl, "lease-stale")
    assert "10.1.0.7" in found["object"] and found["severity"] == "warning"
    assert mend(netctl) == ["lease-stale"]


def test_lease_of_a_foreign_plugin_is_no_concern(lab, cni, netctl):
    """host-local as an executable keeps no record: who has the address is that plugin's matter."""
    config = {"cniVersion": "1.0.0", "name": "foreign", "type": "reference", "ipam": net.host_local("10.5.0.0/24")}
    cni.add("host-local", config, "c1").expect()
    look(netctl)
    assert netctl.json("gc") == []


# ---- nftables ----

def test_flushed(two, lab):
    lab.run(["nft", "flush", "ruleset"])
    look(two, "rules-missing", "localnet-open")
    assert lab.blocked("outside", "192.0.2.1", 8080)
    assert set(mend(two)) == {"rules-missing", "localnet-open"}
    works(lab)


def test_elements(two, lab):
    before = net.nft_elements(lab)
    lab.nft("delete element inet fairlead publish4 { tcp . 8080 }\n"
            "delete element inet fairlead masquerade4 { 10.1.0.0/24 }\n"
            'add element inet fairlead publish4 { tcp . 9090 comment "\x1b[31mgone/eth0" : 10.1.0.99 . 80 }')
    found = look(two, "element-missing", "element-orphan")
    assert "?[31mgone/eth0" in two("doctor").stdout and "\x1b" not in two("doctor").stdout
    assert sorted(f["object"] for f in found if f["code"] == "element-missing") == \
        ["masquerade4 { 10.1.0.0-10.1.0.255 } in table inet fairlead", "publish4 { tcp . 8080 } in table inet fairlead"]
    assert "c1/eth0" in next(f["text"] for f in found if "8080" in f["object"])
    mend(two)
    assert net.nft_elements(lab) == before
    works(lab)


def test_element_that_leads_elsewhere(two, lab):
    lab.nft("delete element inet fairlead publish4 { tcp . 8080 }\n"
            "add element inet fairlead publish4 { tcp . 8080 : 10.1.0.3 . 80 }")
    look(two, "element-wrong")
    mend(two)
    works(lab)


def test_many_elements_are_not_named_one_by_one(two, lab):
    lab.nft("add element inet fairlead publish4 { " +
            ", ".join(f"tcp . {port} : 10.1.0.9 . 80" for port in range(20000, 20100)) + " }")
    found = look(two, "element-orphan")
    assert len(found) == 21 and "80 more elements" in found[-1]["text"] + found[0]["text"]
    mend(two)


def test_rules_of_ours(two, lab):
    lab.nft("flush chain inet fairlead postrouting")
    look(two, "rules-missing")
    mend(two)
    works(lab)
    lab.nft("flush chain inet fairlead raw")
    look(two, "rules-missing", "localnet-open")
    mend(two)
    lab.nft("add rule inet fairlead forward counter")
    [found] = look(two, "rules-foreign", notes=True)
    assert (found["severity"], found["repairable"]) == ("note", False)
    mend(two)


def test_rules_of_ours_that_somebody_changed(two, lab):
    """As many as before, but not the same."""
    import json
    listed = json.loads(lab.run(["nft", "-j", "-a", "list", "chain", "inet", "fairlead", "forward"]).stdout)["nftables"]
    handle = [r["rule"]["handle"] for r in listed if "rule" in r][3]
    lab.nft(f"replace rule inet fairlead forward handle {handle} ip daddr 10.99.0.0/16 goto containers")
    [found] = [f for f in look(two, "rules-missing", "rules-foreign", notes=True) if f["code"] == "rules-missing"]
    assert "1 of its 10 rules" in str(found), found
    mend(two)
    lab.nft("add chain inet fairlead forward { policy drop; }")
    [found] = look(two, "rules-policy")
    assert found["object"] == "chain forward of table inet fairlead"
    mend(two)
    works(lab)
    lab.nft("add chain inet fairlead mine { type filter hook input priority 0; }; add rule inet fairlead mine tcp dport 1 drop")
    [found] = look(two, "rules-foreign", notes=True)
    assert found["object"] == "chain mine of table inet fairlead"


def test_another_version(two, lab):
    lab.nft("delete set inet fairlead skeleton-4")
    look(two, "rules-version", "localnet-open")
    mend(two)
    works(lab)


def test_flushed_without_a_container(two, cni, lab):
    cni.delete("bridge", net.dual(), "c1").expect()
    cni.delete("bridge", net.dual(), "c2").expect()
    lab.run(["nft", "flush", "ruleset"])
    [found] = look(two, "localnet-open")
    assert found["remedy"] == "sysctl -w net/ipv4/conf/net0/route_localnet=0"
    mend(two)
    assert lab.sysctl("net/ipv4/conf/net0/route_localnet") == "0"


def test_forward_policy(two, lab):
    lab.nft("table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }")
    assert lab.blocked("c1", "192.0.2.2", 90)
    look(two, "forward-closed")
    lab.nft("table inet mine { chain forward { type filter hook forward priority 10; policy drop; }; }")
    look(two, "forward-closed", "firewall-closed")
    assert mend(two, "firewall-closed") == ["forward-closed"]
    lab.run(["nft", "delete", "table", "inet", "mine"])
    works(lab)


def test_foreign_firewall(two, lab):
    lab.nft("table inet mine { chain forward { type filter hook forward priority 10; policy drop; }; }")
    [found] = look(two, "firewall-closed")
    assert found["remedy"].startswith("nft add rule inet mine forward")
    assert mend(two, "firewall-closed") == []
    lab.run(found["remedy"].split())
    look(two)
    works(lab)


def test_firewalld(two, lab):
    lab.nft("table inet firewalld { chain filter_FORWARD { type filter hook forward priority 10; policy accept; }; }")
    assert [f["code"] for f in look(two, "firewalld", notes=True)] == ["firewalld"]


# ---- resolver ----

def kill_resolver(lab):
    pid = int(lab.read(f"{state(lab)}/dns.lock"))
    keeper = int(lab.read(f"/proc/{pid}/status").split("PPid:")[1].split()[0])
    children = [int(word) for word in lab.read(f"/proc/{pid}/task/{pid}/children").split()]
    assert "fairlead-dnsd" in lab.read(f"/proc/{keeper}/comm")
    for one in [keeper, pid, *children]:
        os.kill(one, signal.SIGKILL)
    net.eventually(lambda: not any(dns.running(lab, one) for one in [pid, *children]))


def test_resolver_killed(lab, cni, netctl):
    cni.add("bridge", dns.named(dns.network(), "web"), "c1").expect()
    look(netctl)
    kill_resolver(lab)
    look(netctl, "resolver-down")
    assert mend(netctl) == ["resolver-down"]
    assert dns.lookup(lab, "c1", "web") == ["10.1.0.2"]


def test_repair_that_fails(lab, cni, netctl):
    cni.add("bridge", dns.named(dns.network(), "web"), "c1").expect()
    kill_resolver(lab)
    outcome = netctl("doctor", "--repair", "--json", env={LIBEXEC: "/nowhere"})
    assert outcome.status == NO and [(f["code"], f["repaired"]) for f in outcome.json["findings"]] == [("resolver-down", False)]
    assert "resolver-down: fairlead-dnsd: cannot repair: " in outcome.stderr and "not installed" in outcome.stderr
    assert outcome.json["summary"]["repaired"] == 0


def test_sandbox_that_is_not_served(lab, cni, netctl):
    cni.add("bridge", dns.named(dns.network(), "web"), "c1").expect()
    cni.add("bridge", dns.named(dns.network(), "db"), "c2").expect()
    # Nobody is in it and no path leads to it: the daemon lets go of it. Then its path comes back.
    lab.run(["umount", "/run/netns/c1"])
    lab.run(["rm", "/run/netns/c1"])
    with stub.Control(lab) as control:
        assert control.exchange(control.request(stub.ALIVE, lab.cookie("c1")))[0] == 0
    lab.alias_netns("c1", of="c1")
    [found] = look(netctl, "resolver-absent")
    assert "container web" in found["object"]
    assert mend(netctl) == ["resolver-absent"]
    [web] = [row for row in netctl.json("dns", "ls") if row["label"] == "web"]
    assert web["listens"] in lab.run(["ss", "-Hlun"], netns="c1").stdout
    assert dns.lookup(lab, "c1", "db") == ["10.1.0.3"]


# ---- the host ----

def test_reverse_path_filter(lab, cni, netctl):
    cni.add("bridge", net.bridge(), "c1").expect()
    cni.add("bridge", net.second(), "c1", ifname="eth1").expect()
    lab.sysctl("net.ipv4.conf.all.rp_filter", 0)
    for bridge in ("net0", "other0"):
        lab.sysctl(f"net.ipv4.conf.{bridge}.rp_filter", 0)
    look(netctl)
    lab.sysctl("net.ipv4.conf.net0.rp_filter", 1)
    look(netctl, "rp-filter")
    mend(netctl)
    assert lab.sysctl("net.ipv4.conf.net0.rp_filter") == "2"


def test_advertisements(two, lab):
    lab.run(["ip", "link", "add", "wan0", "type", "veth", "peer", "name", "wan1"])
    lab.run(["ip", "link", "set", "wan0", "up"])
    lab.sysctl("net/ipv6/conf/wan0/accept_ra", 1)
    look(two, "accept-ra")
    mend(two)
    assert lab.sysctl("net/ipv6/conf/wan0/accept_ra") == "2"


def test_filtered_bridges(lab, cni, netctl):
    net.attach(cni, net.bridge(icc=False), "c1")
    net.filter_bridged(lab, 1)
    [found] = look(netctl, "bridge-filtered", notes=True)
    assert found["severity"] == "note"


def test_routes(two, lab):
    lab.run(["ip", "route", "add", "10.1.0.128/25", "via", "192.0.2.2"])
    [found] = look(two, "route-taken")
    assert "10.1.0.128/25 by up0" in found["text"]
    lab.run(["ip", "route", "del", "10.1.0.128/25"])
    lab.run(["ip", "route", "add", "10.0.0.0/8", "via", "192.0.2.2"])
    [found] = look(two, "route-hidden", notes=True)
    assert found["severity"] == "note"


def test_configurations(lab, cni, netctl):
    write(netctl, net.bridge())
    write(netctl, net.bridge("same", subnets=("10.1.0.0/25",)))
    look(netctl, "subnets-overlap")
    lab.run(["rm", "/etc/cni/net.d/50-same.conflist"])
    lab.write("/etc/cni/net.d/60-bad.conflist", "{")
    netctl.write(net.conflist({"type": "nothing\x1b[2J"}, name="x"), "70-x.conflist")
    netctl.write(net.conflist({"type": "bridge", "ipam": {"type": "nowhere"}}, name="net"), "80-y.conflist")
    told = {f["code"]: f for f in look(netctl, "conflist-unreadable", "plugin-missing", "conflist-twice")}
    assert "60-bad.conflist" in told["conflist-unreadable"]["object"]
    assert "\x1b" not in netctl("doctor").stdout
    assert '"nowhere"' in netctl("doctor").stdout


def test_first_on_a_node(lab, netctl):
    netctl.write(net.conflist({"type": "bridge"}, name="net"), "fairlead-net.conflist")
    look(netctl)
    lab.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib"])
    lab.run(["mkdir", "/var/lib/kubelet"])
    look(netctl, "conflist-first")


def test_kernel_options(lab, netctl):
    lab.run(["mount", "-t", "tmpfs", "tmpfs", "/boot"])
    path = f"/boot/config-{platform.release()}"
    lab.write(path, "CONFIG_VETH=m\nCONFIG_BRIDGE=y\n# CONFIG_BRIDGE_VLAN_FILTERING is not set\n")
    look(netctl)
    lab.write(path, "# CONFIG_NFT_MASQ is not set\n")
    [found] = look(netctl, "kernel-option")
    assert found["object"] == "CONFIG_NFT_MASQ"


# ---- cost ----

def test_a_full_host(lab, cni, netctl):
    started = time.monotonic()
    names = [f"n{i}" for i in range(1000)]
    for name in names:
        lab.netns(name)
    config = net.bridge(subnets=("10.1.0.0/20",))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for outcome in pool.map(lambda i: cni.add("bridge", net.publish(config, (10000 + i, 80)), names[i]), range(len(names))):
            outcome.expect()
    begun = time.monotonic()
    outcome = netctl("doctor").expect()
    took = time.monotonic() - begun
    print(f"{len(names)} ADDs: {begun - started:.1f} s")
    print(f"doctor on 1,000 endpoints: {took:.3f} s")
    assert "1 networks, 1000 endpoints" in outcome.stdout
    assert took < (20 if sanitized() else 2)
