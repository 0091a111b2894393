# SPDX-License-Identifier: GPL-2.0-or-later
"""Each kind of endpoint, killed or refused at each system call that changes something: DEL or GC leaves nothing."""
import shutil

import pytest

from support import configs, snapshot
from support.interrupted import inject, trace

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")

# Messages, files, transactions, namespaces; the rest changes nothing outside of the process.
CHANGING = {"sendmsg", "sendto", "pwrite64", "pwritev", "write", "ioctl", "setns", "mount", "umount2", "fdatasync", "writev", "close"}
LAN = configs.host_local({"subnet": "198.51.100.0/24", "rangeStart": "198.51.100.50"})


def base(plugin, **more):
    return {"cniVersion": configs.VERSION, "name": "net", "type": plugin, "ipam": LAN, **more}


def chained(plugin, **more):
    """Behind c1's bridge."""
    def make(cni):
        result = cni.add("bridge", configs.bridge("main")).expect().json
        conf = base(plugin, prevResult=result, **more)
        del conf["ipam"]
        return conf
    return make


def cable(cni):
    cni.add("bridge", configs.bridge("main"), "c2").expect()
    return base("ptp", peer="c2")


def sharer(cni):
    cni.add("bridge", configs.bridge("main"), "c2").expect()
    return {"cniVersion": configs.VERSION, "name": "net", "type": "container", "container": "c2", "remount": True}


KINDS = {
    "macvlan": lambda cni: base("macvlan", master="lan0", promisc=True),
    "macvlan-internal": lambda cni: base("macvlan", internal=True),
    "macvlan-host": lambda cni: configs.publish(base("macvlan", master="lan0", hostAccess=True), (8080, 80)),
    "ptp": lambda cni: configs.publish(base("ptp", ipMasq=True), (8080, 80)),
    "ptp-cable": cable,
    "tap": lambda cni: base("tap", mtu=1400),
    "container": sharer,
    "firewall": chained("firewall", ingressPolicy="isolated"),
    "tuning": chained("tuning", mtu=1400, promisc=True, sysctl={"net.core.somaxconn": "99", "net.ipv4.conf.IFNAME.arp_filter": "1"}),
}


@pytest.fixture(params=KINDS)
def conf(request, lab, cni):
    lab.run(["ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1"])
    lab.run(["ip", "-batch", "-"], input="addr add 198.51.100.1/24 dev lan0\nlink set lan0 up\nlink set lan1 up\n")
    lab.netns("fresh")
    conf = KINDS[request.param](cni)
    # Once before: what stays of the first of its kind is there, and link-local addresses have settled.
    cni.add(conf["type"], conf).expect()
    cni.delete(conf["type"], conf).expect()
    lab.sysctl("net/ipv6/conf/default/accept_dad", 0)
    return conf


def fresh(lab, conf):
    """A sharer's namespace was replaced by its owner's."""
    if conf["type"] == "container":
        # Killed between two mounts, the path is a plain file.
        lab.run(["umount", "-q", "/run/netns/c1"], check=False)
        lab.run(["touch", "/run/netns/c1"])
        lab.run(["mount", "--bind", "/proc/self/ns/net", "/run/netns/c1"], netns="fresh")


def state(lab, conf):
    names = [] if conf["type"] == "container" else ["c1"]
    taken = snapshot.take(lab, names)
    taken["c1/sysctls+"] = [lab.sysctl("net.core.somaxconn", netns="c1")]
    return taken


def changing(lab, cni, command, conf):
    return [call for call in trace(cni, lab, command, conf, "c1") if call[0] in CHANGING]


def clean(cni, conf, index):
    if index % 2:
        cni.delete(conf["type"], conf, netns="" if index % 3 else "c1").expect()
    else:
        cni.gc(conf["type"], conf).expect()


def test_killed_add(lab, cni, conf):
    fresh(lab, conf)
    before = state(lab, conf)
    calls = changing(lab, cni, "ADD", conf)
    cni.delete(conf["type"], conf).expect()
    problems = []
    for index, (name, number) in enumerate(calls):
        fresh(lab, conf)
        cni.call("ADD", conf["type"], conf, prefix=inject("signal=KILL", name, number))
        clean(cni, conf, index)
        left = snapshot.diff(before, state(lab, conf))
        if left:
            problems.append(f"{name} #{number}: {left}")
            cni.delete(conf["type"], conf)
    assert not problems, f"{len(problems)} of {len(calls)} calls:\n" + "\n".join(problems)


def test_killed_del(lab, cni, conf):
    fresh(lab, conf)
    before = state(lab, conf)
    cni.add(conf["type"], conf).expect()
    calls = changing(lab, cni, "DEL", conf)
    problems = []
    for index, (name, number) in enumerate(calls):
        fresh(lab, conf)
        cni.add(conf["type"], conf).expect()
        cni.call("DEL", conf["type"], conf, prefix=inject("signal=KILL", name, number))
        clean(cni, conf, index)
        left = snapshot.diff(before, state(lab, conf))
        if left:
            problems.append(f"{name} #{number}: {left}")
            cni.delete(conf["type"], conf)
    assert not problems, f"{len(problems)} of {len(calls)} calls:\n" + "\n".join(problems)


def test_refused_add(lab, cni, conf):
    """Each message, write and ioctl refused in turn: an error object, and nothing left."""
    fresh(lab, conf)
    before = state(lab, conf)
    calls = [call for call in changing(lab, cni, "ADD", conf) if call[0] not in ("close", "write")]
    cni.delete(conf["type"], conf).expect()
    problems = []
    for name, number in calls:
        fresh(lab, conf)
        outcome = cni.call("ADD", conf["type"], conf, prefix=inject("error=ENOMEM", name, number))
        if outcome.ok:
            cni.delete(conf["type"], conf).expect()
        elif not outcome.message:
            problems.append(f"{name} #{number}: no error object: {outcome}")
        left = snapshot.diff(before, state(lab, conf))
        if left:
            problems.append(f"{name} #{number}: {outcome.message}: {left}")
            cni.delete(conf["type"], conf)
    assert not problems, f"{len(problems)} of {len(calls)} calls:\n" + "\n".join(problems)


def test_owner_of_a_killed_add_is_seen_to_be_gone(lab, cni):
    """The sandbox went too, and nobody sends DEL: its address is free for the next one."""
    conf = base("macvlan", internal=True, ipam=configs.host_local({"subnet": "198.51.100.0/24", "rangeStart": "198.51.100.9",
                                                                  "rangeEnd": "198.51.100.9"}))
    lab.netns("victim")
    cni.call("ADD", "macvlan", conf, "victim", prefix=inject("signal=KILL", "write", 1))
    cni.add("macvlan", conf, "c1").refused(103)
    known = lab.run(["ip", "netns", "list-id"]).stdout.count("nsid")
    lab.remove_netns("victim")
    configs.eventually(lambda: lab.run(["ip", "netns", "list-id"]).stdout.count("nsid") < known)
    assert cni.add("macvlan", conf, "c1").expect().address == "198.51.100.9"
