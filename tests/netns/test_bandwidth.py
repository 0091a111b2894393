# SPDX-License-Identifier: GPL-2.0-or-later
"""Limited rates: the bandwidth plugin behind bridge, and bridge by itself."""
import contextlib
import json
import shutil
import socket
import struct
import time

import pytest

from support import configs, snapshot
from support.cni import Chain
from support.interrupted import inject

OUTSIDE, OUTSIDE6 = "192.0.2.2", "2001:db8::2"
RATE = 8_000_000            # bits per second: 1 MB/s
BURST = 400_000             # bits: 50 kB
SECONDS = 1.0
LIMITED = 2_500_000         # bytes of a second, at most, and what an unlimited one passes at least
FREE = 6_000_000
BOTH = {"ingressRate": RATE, "ingressBurst": BURST, "egressRate": RATE, "egressBurst": BURST}
EGRESS = {"egressRate": RATE, "egressBurst": BURST}
INGRESS = {"ingressRate": RATE, "ingressBurst": BURST}
MODES = ["chained", "bridge"]


def conflist(mode="chained", version=configs.VERSION, name="net", subnets=(configs.SUBNET,), **keys):
    """A network with limits: by the chained plugin, or by bridge itself."""
    main = configs.bridge(name, subnets=subnets)
    able = {"capabilities": {"bandwidth": True}}
    plugins = [main, {"type": "bandwidth", **able, **keys}] if mode == "chained" else [{**main, **able, **keys}]
    return configs.conflist(*plugins, name=name, version=version)


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def before(lab, cni):
    configs.warm(cni, configs.bridge())
    return snapshot.take(lab, ("c1",))


def left(lab, before):
    return snapshot.diff(before, snapshot.take(lab, ("c1",)))


# ---- what passes ----

def _send(address, port):
    """As much as it can, until the other side closes."""
    with socket.create_connection((address, port), timeout=10) as sock:
        block = bytes(65536)
        with contextlib.suppress(OSError):
            while True:
                sock.send(block)


def _receive(listener):
    """The clock starts with the connection: how long the first packet took is nobody's rate."""
    total = 0
    listener.settimeout(10)
    sock, _ = listener.accept()
    until = time.monotonic() + SECONDS
    with listener, sock:
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            with contextlib.suppress(TimeoutError):
                total += len(sock.recv(1 << 20))
        # What is still on the way is refused, so that the sender ends at once.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return total


def _listen(address):
    return socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)


def passed(lab, sender, receiver, address):
    """Bytes that arrive in a second of as much as the sender can."""
    listener = lab.call(_listen, address, netns=receiver)
    sending = lab.submit(_send, address, listener.getsockname()[1], netns=sender)
    total = _receive(listener)
    sending.result()
    return total


def sent(lab, container="c1", to=OUTSIDE):
    return passed(lab, container, "outside", to)


def received(lab, address, container="c1"):
    return passed(lab, "outside", container, address)


def limited(total):
    return 50_000 < total < LIMITED


def test_both_ways(lab, cni, mode):
    chain = Chain(cni, conflist(mode, **BOTH))
    address = chain.add("c1").expect().address
    assert limited(sent(lab))
    assert limited(received(lab, address))
    free = configs.attach(cni, configs.bridge(), "c2")[0]
    assert sent(lab, "c2") > FREE
    assert received(lab, free, "c2") > FREE


def test_each_way_by_itself(lab, cni, mode):
    one, two = Chain(cni, conflist(mode, **INGRESS)), Chain(cni, conflist(mode, **EGRESS))
    into = one.add("c1").expect()
    out = two.add("c2").expect()
    assert len(into.json["interfaces"]) == 3 and len(out.json["interfaces"]) == 4
    assert limited(received(lab, into.address)) and sent(lab, "c1") > FREE
    assert limited(sent(lab, "c2")) and received(lab, out.address, "c2") > FREE


def test_unshaped_subnets(lab, cni, mode):
    keys = {**BOTH, "unshapedSubnets": ["198.51.100.0/24", "192.0.2.0/24", "2001:db8::/32"]}
    chain = Chain(cni, conflist(mode, subnets=(configs.SUBNET, configs.SUBNET6), **keys))
    address = chain.add("c1").expect().addresses()[0]
    lab.run(["ip", "addr", "add", "203.0.113.1/32", "dev", "lo"], netns="outside")
    assert sent(lab) > FREE and sent(lab, to=OUTSIDE6) > FREE
    assert received(lab, address) > FREE
    assert limited(sent(lab, to="203.0.113.1"))
    chain.check("c1").expect()


def test_shaped_subnets(lab, cni, mode):
    chain = Chain(cni, conflist(mode, shapedSubnets=["203.0.113.0/24"], **BOTH))
    chain.add("c1").expect()
    lab.run(["ip", "addr", "add", "203.0.113.1/32", "dev", "lo"], netns="outside")
    assert sent(lab) > FREE
    assert limited(sent(lab, to="203.0.113.1"))
    chain.check("c1").expect()


def test_the_other_side_is_what_subnets_name(lab, cni):
    """Towards the container its own subnet is no reason, whichever way a packet goes."""
    chain = Chain(cni, conflist(unshapedSubnets=[configs.SUBNET], **BOTH))
    address = chain.add("c1").expect().address
    assert limited(received(lab, address))
    assert limited(sent(lab))


def test_a_burst_of_less_than_a_packet_lets_packets_pass(lab, cni, mode):
    keys = {"ingressRate": RATE, "ingressBurst": 456, "egressRate": RATE, "egressBurst": 456}
    chain = Chain(cni, conflist(mode, **keys))
    address = chain.add("c1").expect().address
    assert limited(sent(lab)) and limited(received(lab, address))
    chain.check("c1").expect()


# ---- what the kernel has ----

def qdiscs(lab, device):
    return {q["kind"]: q for q in json.loads(lab.run(["tc", "-j", "qdisc", "show", "dev", device]).stdout)}


def ifbs(lab):
    return [link["ifname"] for link in lab.ip("-d", "link") if link.get("linkinfo", {}).get("info_kind") == "ifb"]


def host_end(outcome):
    return outcome.json["interfaces"][1]["name"]


def test_objects_and_result(lab, cni, mode):
    outcome = Chain(cni, conflist(mode, **BOTH)).add("c1").expect()
    ifb = outcome.json["interfaces"][3]
    assert ifbs(lab) == [ifb["name"]] and "sandbox" not in ifb
    link = configs.link(lab, ifb["name"])
    assert link["address"] == ifb["mac"] and "UP" in link["flags"]
    assert link["mtu"] == configs.link(lab, host_end(outcome))["mtu"]
    at_host = qdiscs(lab, host_end(outcome))
    assert set(at_host) == {"tbf", "ingress"}
    for tbf in (at_host["tbf"], qdiscs(lab, ifb["name"])["tbf"]):
        assert tbf["options"]["rate"] == RATE // 8
        assert abs(tbf["options"]["burst"] - BURST // 8) <= 2


def test_two_interfaces_of_one_container(lab, cni, before, mode):
    chain = Chain(cni, conflist(mode, **EGRESS))
    first = chain.add("c1", "eth0").expect()
    second = chain.add("c1", "eth1").expect()
    assert len(set(ifbs(lab))) == 2
    chain.delete("c1", "eth0").expect()
    assert ifbs(lab) == [second.json["interfaces"][3]["name"]] != [first.json["interfaces"][3]["name"]]
    chain.check("c1", "eth1").expect()
    chain.delete("c1", "eth1").expect()
    assert not left(lab, before)


def rate_at(lab, outcome):
    found = qdiscs(lab, host_end(outcome)).get("tbf")
    return found and found["options"]["rate"] * 8


@pytest.mark.parametrize("static, runtime, rate", [
    ({}, INGRESS, RATE),
    ({}, {"IngressRate": 16000, "IngressBurst": 64000, "EgressRate": 0, "EgressBurst": 0}, 16000),     # containerd's
    ({"ingressRate": 800000, "ingressBurst": 64000}, INGRESS, 800000),
    ({"INGRESSRATE": 800000, "ingressburst": 64000}, {}, 800000),
    ({"ingressRate": 0, "ingressBurst": 0}, INGRESS, None),
    ({"egressRate": 800000, "egressBurst": 64000}, INGRESS, None),
    ({"ingressRate": None}, INGRESS, RATE),
    ({}, {"ingressRate": RATE, "ingressBurst": 0xffffffff}, RATE),      # containerd's burst
])
def test_static_keys_over_runtime_config(lab, cni, mode, static, runtime, rate):
    chain = Chain(cni, conflist(mode, **static))
    outcome = chain.add("c1", capabilities={"bandwidth": runtime}).expect()
    assert rate_at(lab, outcome) == rate
    chain.check("c1").expect()
    chain.delete("c1").expect()


def test_subnets_of_the_network_and_rates_of_the_container(lab, cni, mode):
    chain = Chain(cni, conflist(mode, unshapedSubnets=["192.0.2.0/24"]))
    chain.add("c1", capabilities={"bandwidth": EGRESS}).expect()
    assert sent(lab) > FREE
    lab.run(["ip", "addr", "add", "203.0.113.1/32", "dev", "lo"], netns="outside")
    assert limited(sent(lab, to="203.0.113.1"))


@pytest.mark.parametrize("keys", [{}, {"ingressRate": 0, "ingressBurst": 0}, {"unshapedSubnets": ["10.0.0.0/8"]}])
def test_idle_without_rates(lab, cni, keys):
    main = cni.add("bridge", configs.bridge()).expect().json
    before = snapshot.take(lab, ["c1"])
    idle = {"cniVersion": configs.VERSION, "name": "net", "type": "bandwidth", "prevResult": main, **keys}
    assert cni.add("bandwidth", idle).expect().json == main
    cni.check("bandwidth", idle).expect()
    cni.delete("bandwidth", idle).expect()
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


# ---- refusals ----

@pytest.mark.parametrize("keys, code, words", [
    ({"ingressRate": 1000000}, 7, ["ingressRate", "ingressBurst"]),
    ({"ingressBurst": 1000000}, 7, ["ingressBurst", "ingressRate"]),
    ({"egressRate": 1000000, "egressBurst": 0}, 7, ["egressRate", "egressBurst"]),
    ({"egressRate": -1, "egressBurst": 8000}, 7, ["egressRate", "not -1"]),
    ({"egressRate": 7, "egressBurst": 8000}, 7, ["egressRate", "at least 8"]),
    ({"egressRate": 8000, "egressBurst": 8 * (2**32 - 1)}, 7, ["egressBurst", "34359738359"]),
    ({"ingressRate": "1M", "ingressBurst": 8000}, 6, ["ingressRate", "a string"]),
    ({"ingressRate": 1.5, "ingressBurst": 8000}, 6, ["ingressRate"]),
    ({**BOTH, "unshapedSubnets": ["10.0.0.0/8"], "shapedSubnets": ["10.1.0.0/16"]}, 7,
     ["unshapedSubnets, shapedSubnets", "at most one"]),
    ({**BOTH, "unshapedSubnets": ["10.0.0.0/8", "10.0.0.1"]}, 7, ["unshapedSubnets[1]", "10.0.0.1"]),
    ({**BOTH, "shapedSubnets": ["10.0.0.0/33"]}, 7, ["shapedSubnets[0]", "10.0.0.0/33"]),
    ({**BOTH, "shapedSubnets": "10.0.0.0/8"}, 6, ["shapedSubnets", "a list"]),
    ({**BOTH, "shapedSubnets": ["10.0.0.0/8"] * 257}, 7, ["shapedSubnets", "256"]),
    ({"runtimeConfig": {"bandwidth": {"ingressRate": 1000}}}, 7, ["runtimeConfig.bandwidth.ingressRate"]),
    ({"runtimeConfig": {"bandwidth": {"IngressRate": True}}}, 6, ["runtimeConfig.bandwidth.ingressRate"]),
    ({"runtimeConfig": {"bandwidth": {**BOTH, "unshapedSubnets": ["x"]}}}, 7,
     ["runtimeConfig.bandwidth.unshapedSubnets[0]"]),
    ({"runtimeConfig": 5}, 6, ["runtimeConfig", "an object"]),
    ({"runtimeConfig": {"bandwidth": []}}, 6, ["runtimeConfig.bandwidth", "an object"]),
])
def test_bad_keys(lab, cni, before, mode, keys, code, words):
    config = {**configs.bridge(), **keys}
    if mode == "chained":
        previous = {"cniVersion": configs.VERSION, "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}]}
        config = {"cniVersion": configs.VERSION, "name": "net", "type": "bandwidth", "prevResult": previous, **keys}
    cni.add(config["type"], config).refused(code, *words)
    assert not left(lab, before)


def chained(previous, **keys):
    return {"cniVersion": configs.VERSION, "name": "net", "type": "bandwidth", "prevResult": previous, **keys}


def test_needs_a_pair(lab, cni):
    lab.run(["ip", "link", "add", "macvlan0", "link", "up0", "type", "macvlan", "mode", "bridge"])
    lab.run(["ip", "link", "set", "macvlan0", "netns", "c1", "name", "eth0"])
    before = snapshot.take(lab, ["c1"], stores=False)
    previous = {"cniVersion": configs.VERSION, "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}]}
    cni.add("bandwidth", chained(previous, **BOTH)).refused(None, "eth0", "macvlan", "no end on the host")
    cni.add("bandwidth", chained(previous, **BOTH), "c2").refused(None, "no interface eth0")
    without = chained(previous, **BOTH)
    del without["prevResult"]
    cni.add("bandwidth", without).refused(7, "prevResult")
    cni.check("bandwidth", chained(previous, **BOTH)).refused(104, "no record")
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"], stores=False))


def test_a_pair_between_two_containers(lab, cni):
    """Its index on the other side may be that of any interface of the host."""
    lab.run(["ip", "link", "add", "eth0", "netns", "c1", "type", "veth", "peer", "eth0", "netns", "c2"])
    previous = {"cniVersion": configs.VERSION, "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}]}
    cni.add("bandwidth", chained(previous, **BOTH)).refused(None, "no end on the host")


@pytest.mark.parametrize("name", ["cali1234", "lxc0"])
def test_foreign_main_plugin(lab, cni, name):
    """The host's end is found in the kernel, whatever its name and wherever it stands in prevResult."""
    lab.run(["ip", "link", "add", name, "type", "veth", "peer", "eth0", "netns", "c1"])
    previous = {"cniVersion": configs.VERSION,
                "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}, {"name": name}]}
    config = chained(previous, **BOTH)
    result = cni.add("bandwidth", config).expect().json
    assert result["interfaces"][:2] == previous["interfaces"] and len(result["interfaces"]) == 3
    assert set(qdiscs(lab, name)) == {"tbf", "ingress"}
    cni.delete("bandwidth", config).expect()
    assert not ifbs(lab) and not {"tbf", "ingress"} & set(qdiscs(lab, name))
    assert configs.link(lab, name)


@pytest.mark.parametrize("qdisc, key", [(["root", "pfifo"], "ingressRate"), (["clsact"], "egressRate"),
                                        (["ingress"], "egressRate")])
def test_what_others_put_there_stays(lab, cni, qdisc, key):
    main = cni.add("bridge", configs.bridge()).expect()
    lab.run(["tc", "qdisc", "add", "dev", host_end(main), *qdisc])
    before = snapshot.take(lab)
    cni.add("bandwidth", chained(main.json, **BOTH)).refused(102, key, host_end(main), qdisc[-1])
    cni.delete("bandwidth", chained(main.json, **BOTH)).expect()
    assert qdisc[-1] in qdiscs(lab, host_end(main))
    assert not snapshot.diff(before, snapshot.take(lab))


def test_shaped_by_both(cni, lab):
    """The capability declared for bridge and for the chained plugin."""
    both = configs.conflist({**configs.bridge(), **BOTH}, {"type": "bandwidth", **BOTH}, version=configs.VERSION)
    Chain(cni, both).add("c1").refused(102, "ingressRate", "tbf")


# ---- lifecycle ----

@pytest.mark.parametrize("how", ["plain", "twice", "no namespace", "empty path", "other config", "no prevResult"])
def test_del_however_it_comes(lab, cni, before, mode, how):
    chain = Chain(cni, conflist(mode, **BOTH))
    chain.add("c1").expect()
    kwargs = {}
    if how == "no namespace":
        lab.remove_netns("c1")
    elif how == "empty path":
        kwargs["netns"] = ""
    elif how == "other config":
        for plugin in chain.conflist["plugins"]:
            plugin.update(ingressRate=5, egressBurst=0)
    elif how == "no prevResult":
        chain.cache.clear()
    for _ in range(2 if how == "twice" else 1):
        chain.delete("c1", forget=False, **kwargs).expect()
    assert not ifbs(lab)
    if how == "no namespace":
        configs.eventually(lambda: not configs.bridge_ports(lab, "net0"))
    else:
        assert not left(lab, before)


def test_del_of_the_chained_part_alone(lab, cni):
    """The host's end, which is not ours, is as it was."""
    main = cni.add("bridge", configs.bridge()).expect()
    before = snapshot.take(lab)
    for _ in range(2):
        cni.add("bandwidth", chained(main.json, **BOTH)).expect()
        cni.delete("bandwidth", chained(main.json, **BOTH)).expect()
        assert not snapshot.diff(before, snapshot.take(lab))
        assert set(qdiscs(lab, host_end(main))) == {"noqueue"}
    cni.delete("bandwidth", chained(main.json, **BOTH)).expect()


def test_add_again_without_del(lab, cni):
    main = cni.add("bridge", configs.bridge()).expect()
    before = snapshot.take(lab)
    cni.add("bandwidth", chained(main.json, **BOTH)).expect()
    result = cni.add("bandwidth", chained(main.json, **BOTH)).expect()
    assert ifbs(lab) == [result.json["interfaces"][3]["name"]]
    cni.delete("bandwidth", chained(result.json, **BOTH)).expect()
    assert not snapshot.diff(before, snapshot.take(lab))


def test_gc(lab, cni, mode):
    chain = Chain(cni, conflist(mode, version="1.1.0", **BOTH))
    kept = [chain.add(name).expect() for name in ("c1", "c2")][1].json["interfaces"][3]["name"]
    lab.netns("c3")
    chain.add("c3").expect()
    lab.remove_netns("c3")
    configs.eventually(lambda: len(configs.bridge_ports(lab, "net0")) == 2)
    before = snapshot.take(lab)
    for config in chain.configs():
        cni.gc(config["type"], config, [("c1", "eth0"), ("c2", "eth0"), ("c3", "eth0")]).expect()
    assert not snapshot.diff(before, snapshot.take(lab))
    for config in reversed(chain.configs()):
        cni.gc(config["type"], config, [("c2", "eth0")]).expect()
    assert ifbs(lab) == [kept]
    chain.check("c2").expect()


@pytest.mark.parametrize("subnets", [{}, {"unshapedSubnets": ["192.0.2.0/24"]}])
@pytest.mark.parametrize("what, words", [
    (["tc", "qdisc", "del", "dev", "HOST", "root"], ["ingressRate", "qdisc"]),
    (["tc", "qdisc", "replace", "dev", "HOST", "root", "tbf", "rate", "1mbit", "burst", "10k", "latency", "1s"],
     ["ingressRate"]),
    (["tc", "qdisc", "del", "dev", "HOST", "ingress"], ["egressRate", "ingress qdisc"]),
    (["tc", "qdisc", "del", "dev", "IFB", "root"], ["egressRate", "qdisc"]),
    (["ip", "link", "set", "IFB", "down"], ["egressRate", "down"]),
    (["ip", "link", "del", "IFB"], ["egressRate", "missing"]),
])
def test_check_sees_tampering(lab, cni, mode, subnets, what, words):
    chain = Chain(cni, conflist(mode, **BOTH, **subnets))
    outcome = chain.add("c1").expect()
    chain.check("c1").expect()
    names = {"HOST": host_end(outcome), "IFB": outcome.json["interfaces"][3]["name"]}
    if subnets and "replace" in what:       # the kernel does not change one kind into another's handle
        lab.run(["tc", "class", "change", "dev", names["HOST"], "parent", "1:", "classid", "1:30", "htb", "rate", "1mbit"])
    else:
        lab.run([names.get(word, word) for word in what])
    chain.check("c1").refused(104, *words)
    chain.delete("c1").expect()
    assert not ifbs(lab)


def test_check_compares_with_the_configuration(lab, cni, mode):
    chain = Chain(cni, conflist(mode, **BOTH))
    chain.add("c1").expect()
    chain.conflist["plugins"][-1]["egressRate"] = RATE // 2
    chain.check("c1").refused(104, "egressRate", "rate")


def test_owner_found_gone_takes_its_ifb_along(lab, cni):
    """Nobody sends DEL or GC for a shaped container; the next one is given its address."""
    config = configs.runtime({**configs.bridge(), **EGRESS}, ips=["10.1.0.77"])
    cni.add("bridge", config, "c1").expect()
    old = ifbs(lab)
    lab.remove_netns("c1")
    configs.eventually(lambda: not configs.bridge_ports(lab, "net0"))
    new = cni.add("bridge", config, "c2").expect()
    assert ifbs(lab) == [new.json["interfaces"][3]["name"]] != old
    cni.delete("bridge", config, "c2").expect()
    assert not ifbs(lab)


# ---- interrupted ----

def sends(cni, lab, config):
    """How many netlink messages an ADD sends: between two of them it may be killed."""
    cni.add(config["type"], config, prefix=["strace", "-o", "/run/trace", "-e", "trace=sendto,sendmsg"]).expect()
    lines = lab.read("/run/trace").splitlines()
    return [(name, n + 1) for name in ("sendto", "sendmsg")
            for n in range(sum(line.startswith(f"{name}(") for line in lines))]


def interrupted(lab, cni, before, config, what):
    calls = sends(cni, lab, config)
    cni.delete(config["type"], config).expect()
    assert len(calls) > 8
    problems = []
    for index, (name, number) in enumerate(calls):
        outcome = cni.call("ADD", config["type"], config, prefix=inject(what, name, number))
        if what.startswith("error") and not outcome.ok and left(lab, before):
            problems.append(f"{name} #{number}: {outcome.message}: {left(lab, before)}")
        if index % 2:
            cni.delete(config["type"], config).expect()
        else:
            cni.gc(config["type"], config).expect()
        if left(lab, before):
            problems.append(f"{name} #{number}, cleaned up: {left(lab, before)}")
    assert not problems, "\n".join(problems)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("what", ["signal=KILL", "error=ENOMEM"])
def test_interrupted_add(lab, cni, before, mode, what):
    if mode == "chained":
        main = cni.add("bridge", configs.bridge()).expect()
        interrupted(lab, cni, snapshot.take(lab, ("c1",)), chained(main.json, **BOTH), what)
        assert set(qdiscs(lab, host_end(main))) == {"noqueue"}
    else:
        interrupted(lab, cni, before, {**configs.bridge(), **BOTH}, what)
