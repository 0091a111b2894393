# SPDX-License-Identifier: GPL-2.0-or-later
"""CHECK, GC and STATUS of the bridge."""

import re

import pytest

from support import configs, snapshot
from support.cni import Chain
from support.configs import attach

PORTS = [(8080, 80), configs.port(8081, 81, hostIP="192.0.2.1"), configs.port(5353, 53, "udp"),
         configs.port(9000, 9000, range=10)]


def added(cni, config, container="c1", **kwargs):
    """ADD; the configuration with its result, ready for CHECK, and the result."""
    result = cni.add("bridge", config, container, **kwargs).expect().json
    return configs.with_previous(config, result), result


# ---- CHECK ----

@pytest.mark.parametrize("version", ["0.4.0", "1.0.0", configs.VERSION])
def test_check(cni, version):
    config, _ = added(cni, configs.publish(configs.dual(version=version), *PORTS))
    assert cni.check("bridge", config).expect().stdout == ""


def test_check_needs_a_previous_result(cni):
    cni.add("bridge", configs.bridge()).expect()
    cni.check("bridge", configs.bridge()).refused(7, "prevResult")


def test_check_tolerates_what_others_add(lab, cni):
    config, _ = added(cni, configs.bridge())
    for command in ("addr add 10.99.0.1/24 dev eth0", "route add 10.98.0.0/16 dev eth0", "link set eth0 txqueuelen 5",
                    "link set lo up"):
        lab.run(["ip", *command.split()], netns="c1")
    lab.run(["ip", "addr", "add", "10.97.0.1/24", "dev", "net0"])
    lab.nft("add table inet mine\nadd chain inet mine c { type filter hook forward priority 5; }\n")
    cni.check("bridge", config).expect()


TAMPER = {
    "address": ("c1", "ip addr del {address} dev eth0", ["{address}"]),
    "address6": ("c1", "ip addr del {address6} dev eth0", ["{address6}"]),
    "route": ("c1", "ip route del default", ["0.0.0.0/0", "default"]),
    "route6": ("c1", "ip -6 route del default", ["::/0", "default"]),
    "down": ("c1", "ip link set eth0 down", ["eth0"]),
    "renamed": ("c1", "ip link set eth0 name other0", ["eth0"]),
    "mac": ("c1", "ip link set eth0 address 02:00:00:00:00:55", ["eth0", "02:00:00:00:00:55"]),
    "out of bridge": (None, "ip link set {host} nomaster", ["{host}"]),
    "host end": (None, "ip link del {host}", ["{host}", "eth0"]),
    "bridge": (None, "ip link del net0", ["net0"]),
    "bridge down": (None, "ip link set net0 down", ["net0"]),
    "gateway": (None, "ip addr del 10.1.0.1/24 dev net0", ["10.1.0.1", "net0"]),
    "table": (None, "nft delete table inet fairlead", ["fairlead"]),
    "port": (None, "nft delete element inet fairlead publish4 {{ tcp . 8080 }}", ["8080"]),
    "port6": (None, "nft delete element inet fairlead publish6 {{ tcp . 8080 }}", ["8080"]),
    "port at": (None, "nft delete element inet fairlead publish4_at {{ 192.0.2.1 . tcp . 8081 }}", ["8081"]),
    "udp port": (None, "nft delete element inet fairlead publish4 {{ udp . 5353 }}", ["5353"]),
    "range": (None, "nft delete element inet fairlead publish4_range {{ tcp . 9000-9009 }}", ["9000"]),
    "masquerade": (None, "nft delete element inet fairlead masquerade4 {{ 10.1.0.0/24 }}", ["10.1.0.0/24"]),
    "masquerade6": (None, "nft delete element inet fairlead masquerade6 {{ fd00:1::/64 }}", ["fd00:1::/64"]),
    "subnet pair": (None, "nft delete element inet fairlead same_subnet4 {{ 10.1.0.0/24 . 10.1.0.0/24 }}", ["10.1.0.0/24"]),
    "bridges": (None, "nft delete element inet fairlead bridges {{ net0 }}", ["net0"]),
}


@pytest.mark.parametrize("what", TAMPER)
def test_check_after_tampering(lab, cni, what):
    """Each object that is gone is found, and named."""
    config, result = added(cni, configs.publish(configs.dual(), *PORTS))
    names = {"address": result["ips"][0]["address"], "address6": result["ips"][1]["address"],
             "host": result["interfaces"][1]["name"]}
    netns, command, words = TAMPER[what]
    lab.run(command.format(**names).split(), netns=netns)
    outcome = cni.check("bridge", config).refused()
    wanted = [word.format(**names).split("/64")[0].split("/24")[0] for word in words]
    assert any(word in outcome.message for word in wanted), f"wanted one of {wanted}: {outcome}"


def test_check_without_lease(cni):
    config, _ = added(cni, configs.bridge())
    cni.delete("bridge", config).expect()
    cni.check("bridge", config).refused(None, "c1")


def test_check_of_flags(lab, cni):
    config, result = added(cni, configs.bridge(portIsolation=True))
    host = result["interfaces"][1]["name"]
    lab.run(["bridge", "link", "set", "dev", host, "isolated", "off"])
    cni.check("bridge", config).refused(None, host)


def test_check_in_wrong_namespace(cni):
    config, _ = added(cni, configs.bridge())
    cni.check("bridge", config, netns="c2").refused()
    cni.check("bridge", config, netns="/run/netns/absent").refused()


# ---- GC ----

def gc_config(**more):
    return configs.publish(configs.bridge(version="1.1.0", **more), (8080, 80))


def test_gc_with_all_valid_changes_nothing(lab, cni):
    attach(cni, gc_config(), "c1")
    attach(cni, configs.bridge(version="1.1.0"), "c2")
    before = snapshot.take(lab, ["c1", "c2"])
    assert cni.gc("bridge", gc_config(), [("c1", "eth0"), ("c2", "eth0"), ("c9", "eth0")]).expect().stdout == ""
    assert not snapshot.diff(before, snapshot.take(lab, ["c1", "c2"]))


def test_gc_removes_the_rest(lab, cni):
    configs.warm(cni, gc_config())
    attach(cni, configs.bridge(version="1.1.0"), "c2")
    before = snapshot.take(lab, ["c2"])
    attach(cni, gc_config(), "c1")
    lab.remove_netns("c1")
    cni.gc("bridge", gc_config(), [("c2", "eth0")]).expect()
    assert not snapshot.diff(before, snapshot.take(lab, ["c2"]))


@pytest.mark.parametrize("alive", [True, False])
def test_gc_of_many(lab, cni, alive):
    names = [f"n{i}" for i in range(20)]
    for name in names:
        lab.netns(name)
    attach(cni, configs.bridge(version="1.1.0"), *names)
    for name in names[5:] if not alive else []:
        lab.remove_netns(name)
    cni.gc("bridge", configs.bridge(version="1.1.0"), [(name, "eth0") for name in names[:5]]).expect()
    assert len(configs.bridge_ports(lab, "net0")) == 5
    lab.tcp_server("n0", port=80)
    assert lab.reaches("n1", lab.ip("addr", "show", "dev", "eth0", netns="n0")[0]["addr_info"][0]["local"], 80)


def test_gc_is_per_interface_and_network(lab, cni):
    one, two = configs.bridge(version="1.1.0"), configs.second(version="1.1.0", isDefaultGateway=None)
    attach(cni, one, "c1", ifname="eth0")
    attach(cni, one, "c1", ifname="eth1")
    attach(cni, two, "c1", ifname="eth2")
    cni.gc("bridge", one, [("c1", "eth1")]).expect()
    assert configs.link(lab, "eth0", "c1") is None
    assert configs.link(lab, "eth1", "c1") and configs.link(lab, "eth2", "c1")


def test_gc_without_a_list_is_an_error(lab, cni):
    """An absent list must not be read as "nothing is valid"."""
    attach(cni, gc_config(), "c1")
    cni.call("GC", "bridge", gc_config(), container=None, netns=None, ifname=None).refused(7, "valid-attachments")
    assert configs.link(lab, "eth0", "c1")


def test_gc_of_a_chain(lab, cni):
    plugins = configs.bridge(), {"type": "portmap", "capabilities": {"portMappings": True}}
    chain = Chain(cni, configs.conflist(*plugins, version="1.1.0"))
    chain.add("c1", capabilities={"portMappings": [configs.port(8080, 80)]}).expect()
    chain.add("c2", capabilities={"portMappings": [configs.port(8081, 80)]}).expect()
    chain.cache.pop(("c1", "eth0"))     # the runtime has lost it
    chain.gc([("c2", "eth0")]).expect()
    lab.tcp_server("c2", port=80)
    assert lab.reaches("outside", "192.0.2.1", 8081)
    assert len(configs.bridge_ports(lab, "net0")) == 1
    lab.netns("c3")
    chain.add("c3", capabilities={"portMappings": [configs.port(8080, 80)]}).expect()


# ---- STATUS ----

def test_status(cni):
    config = configs.bridge(version="1.1.0")
    assert cni.status("bridge", config).expect().stdout == ""
    attach(cni, config, "c1")
    cni.status("bridge", config).expect()


def test_status_of_an_exhausted_pool(cni):
    ipam = configs.host_local({"subnet": configs.SUBNET, "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.10"})
    config = configs.bridge(version="1.1.0", ipam=ipam)
    cni.status("bridge", config).expect()
    attach(cni, config, "c1")
    cni.status("bridge", config).refused(50, "10.1.0.10")
    cni.delete("bridge", config, "c1").expect()
    cni.status("bridge", config).expect()


def test_status_when_the_name_is_taken(lab, cni):
    lab.run(["ip", "link", "add", "net0", "type", "ifb"])
    cni.status("bridge", configs.bridge(version="1.1.0")).refused(50, "net0", "bridge")


def test_status_of_a_missing_ipam_plugin(cni):
    config = configs.bridge(version="1.1.0", ipam={"type": "not-there"})
    cni.status("bridge", config).refused((7, 50), "not-there")


def test_status_changes_nothing(lab, cni):
    before = snapshot.take(lab, stores=False)
    cni.status("bridge", configs.bridge(version="1.1.0")).expect()
    assert not snapshot.diff(before, snapshot.take(lab, stores=False))


def test_gc_of_many_waits_once(lab, cni):
    """The kernel waits for a grace period per deletion: the pairs go by one message, however many they are."""
    config = configs.bridge(version="1.1.0")
    names = [f"g{i}" for i in range(40)]
    for name in names:
        lab.netns(name)
        cni.add("bridge", config, name).expect()
    trace = ["strace", "-f", "-qq", "-o", "/run/trace", "-e", "trace=recvmsg,recvfrom"]
    cni.gc("bridge", config, [("g1", "eth0")], prefix=trace).expect()
    assert len(configs.bridge_ports(lab, "net0")) == 1
    acks = re.findall(r"error=(-?\w+), msg=\[?\{[^}]*RTM_DELLINK", lab.read("/run/trace"))
    assert acks.count("0") == 1 and set(acks) == {"0", "-ENODEV"}      # all at once; then each finds its own gone
