# SPDX-License-Identifier: GPL-2.0-or-later
"""Mode "etcd" of the overlay plugin against an agent that the tests play: what is asked, made, and left."""
import concurrent.futures
import errno
import json
import os
import pathlib
import re
import socket
import struct

import pytest

from support import agent as acts, configs, snapshot
from support.agent import Agent
from support.cni import Cni, LIBEXEC
from support.netctl import Netctl

UNSUPPORTED, CONFIG, TRY_AGAIN, UNAVAILABLE, CONFLICT, EXHAUSTED, CHECK = 2, 7, 11, 50, 102, 103, 104


CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21       # linux/capability.h


def capabilities(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"CapEff:\s*(\w+)", status).group(1), 16)


@pytest.fixture
def agent(lab):
    lab.sysctl("net/ipv6/conf/default/accept_dad", 0)
    with Agent(lab) as agent:
        yield agent


@pytest.fixture
def cni(lab):
    return Cni(lab)


def used_once(cni, config, *containers):
    """What stays behind the first container of a host (rules, sysctls) is there."""
    for name in containers:
        cni.lab.netns(name)
    cni.add("overlay", config, containers[0]).expect()
    cni.delete("overlay", config, containers[0]).expect()
    return snapshot.take(cni.lab, containers)


def left(cni, before, *containers):
    return snapshot.diff(before, snapshot.take(cni.lab, containers))


def devices(lab):
    return {link["ifname"][:3]: link for link in lab.ip("-d", "link") if link["ifname"].startswith(("flo", "flx"))}


def index(lab, name):
    return configs.link(lab, name)["ifindex"]


# ---- what comes of it ----

def test_add(lab, cni, agent):
    agent.with_ipv6()
    lab.netns("c1")
    result = cni.add("overlay", agent.config(), "c1").expect()
    assert [(ip["address"], ip["gateway"]) for ip in result.json["ips"]] == [("10.5.1.10/16", "10.5.0.1"), ("fd05::1:10/64", "fd05::1")]
    bridge, pair, inside = result.json["interfaces"]
    made = devices(lab)
    assert bridge["mac"] == agent.network["network.mac"] and bridge["name"] == made["flo"]["ifname"]
    data = made["flx"]["linkinfo"]["info_data"]
    assert (data["id"], data["local"], data["port"], data["learning"]) == (5001, "192.0.2.1", 4789, False)
    assert made["flx"]["linkinfo"]["info_slave_data"]["neigh_suppress"] is True
    assert (made["flo"]["mtu"], made["flx"]["mtu"], configs.link(lab, "eth0", netns="c1")["mtu"]) == (1450, 1500, 1450)
    fdb = json.loads(lab.run(["bridge", "-j", "fdb", "show", "dev", made["flx"]["ifname"]]).stdout)
    assert not [entry for entry in fdb if "dst" in entry]
    assert set(configs.addresses(lab, bridge["name"])) == {"10.5.255.1/16", "10.5.0.1/32", "fd05::ff:1/64", "fd05::1/128"}
    assert set(configs.addresses(lab, "eth0", netns="c1")) == {"10.5.1.10/16", "fd05::1:10/64"}
    assert configs.default_route(lab, "c1") == "10.5.0.1"
    mac = configs.link(lab, "eth0", netns="c1")["address"]
    assert mac == inside["mac"] and int(mac[:2], 16) & 3 == 2
    cni.check("overlay", configs.with_previous(agent.config(), result.json), "c1").expect()
    cni.delete("overlay", agent.config(), "c1").expect()
    assert not devices(lab) and not agent.given


def test_what_is_asked(lab, cni, agent):
    lab.netns("c1")
    config = configs.runtime(agent.config(vni=77, port=8472, mtu=1400, broadcast=True, ipv6=True,
                                          subnets=[{"subnet": "10.5.0.0/16", "gateway": "10.5.0.9"}, "fd05::/64"]),
                             ips=["10.5.7.7/16"], mac="02:00:00:00:00:07", aliases=["db", "store"])
    config["args"] = {"cni": {"name": "web-1", "hostname": "inner"}}
    result = cni.add("overlay", config, "c1").expect()
    assert result.address == "10.5.7.7"
    cni.delete("overlay", config, "c1").expect()
    join, allocate, release = agent.asked()
    assert (join["op"], allocate["op"], release["op"]) == ("JOIN", "ALLOCATE", "RELEASE")
    stat = lab.call(os.stat, agent.state)
    for request in agent.asked():
        assert (request["network"], request["dev"], request["ino"]) == ("ov", stat.st_dev, stat.st_ino)
    settings = {key[9:]: value for key, value in join.items() if key.startswith("settings.")}
    assert settings == {"mode": 0, "vni": 77, "port": 8472, "mtu": 1400, "internal": 0, "broadcast": 1, "ipv6": 1, "n_subnets": 2,
                        "subnets[0].subnet": "10.5.0.0/16", "subnets[0].gateway": "10.5.0.9",
                        "subnets[1].subnet": "fd05::/64", "subnets[1].gateway": None}
    assert join["create"] == 1
    assert (allocate["container"], allocate["ifname"], allocate["mac"]) == ("c1", "eth0", "02:00:00:00:00:07")
    assert (allocate["ips[0]"], allocate["ips[1]"]) == ("10.5.7.7", None)
    assert (allocate["name"], allocate["aliases"]) == ("web-1", ["db", "store", "inner"])
    assert allocate["connection"] == join["connection"] != release["connection"]
    assert (release["container"], release["ifname"]) == ("c1", "eth0")


def test_names_that_are_none(lab, cni, agent):
    """The cluster's store has none that do not resolve: they are left out, as the resolver leaves them out."""
    lab.netns("c1")
    aliases = ["good", "with blank", "_under", "a" * 64, "new\nline", "also.good"] + ["-"] * 20
    config = configs.runtime(agent.config(args={"cni": {"name": "n" * 64}}), aliases=aliases)
    cni.add("overlay", config, "c1").expect()
    [asked] = agent.asked("ALLOCATE")
    assert (asked["name"], asked["aliases"]) == ("", ["good", "also.good"])


def test_devices_that_are_named_to_the_agent(lab, cni, agent):
    """They are there, and are the network's, when ALLOCATE asks."""
    seen = {}

    def look(agent, connection, request):
        made = devices(lab)
        seen.update(bridge=made["flo"]["ifindex"], tunnel=made["flx"]["ifindex"])
        return agent.usual(request)
    agent.plan["ALLOCATE"] = look
    lab.netns("c1")
    cni.add("overlay", agent.config(), "c1").expect()
    [asked] = agent.asked("ALLOCATE")
    assert (asked["bridge"], asked["tunnel"]) == (seen["bridge"], seen["tunnel"])


@pytest.mark.parametrize("how, code, word", [
    (dict(args="IP=10.5.3.3"), None, "10.5.3.3"), (dict(args="IP=10.9.3.3"), CONFIG, "no subnet"),
    (dict(args="IP=10.5.3.3,10.5.3.4"), CONFIG, "one address of each family")])
def test_cni_args(lab, cni, agent, how, code, word):
    lab.netns("c1")
    outcome = cni.add("overlay", agent.config(), "c1", **how)
    if code:
        outcome.refused(code, word)
        assert "ALLOCATE" not in agent.ops
    else:
        assert outcome.expect().address == word


def test_args_cni_ips(lab, cni, agent):
    agent.with_ipv6()
    lab.netns("c1")
    config = agent.config(args={"cni": {"ips": ["fd05::7:7", "10.5.7.7"]}})
    assert cni.add("overlay", config, "c1").expect().addresses() == ["10.5.7.7", "fd05::7:7"]


def test_macs_are_random(lab, cni, agent):
    macs = set()
    for _ in range(3):
        lab.netns("c1")
        macs.add(cni.add("overlay", agent.config(), "c1").expect().json["interfaces"][2]["mac"])
        cni.delete("overlay", agent.config(), "c1").expect()
        lab.remove_netns("c1")
    assert len(macs) == 3 and {request["mac"] for request in agent.asked("ALLOCATE")} == macs


def test_internal(lab, cni, agent):
    agent.network.update({"network.internal": 1, "network.subnets[0].gateway": None, "network.subnets[0].node": None})
    lab.netns("c1")
    # Said by the cluster, not by the configuration.
    result = cni.add("overlay", agent.config(), "c1").expect()
    assert not configs.addresses(lab, result.json["interfaces"][0]["name"])
    assert configs.default_route(lab, "c1") is None
    assert "gateway" not in result.json["ips"][0]
    cni.check("overlay", configs.with_previous(agent.config(), result.json), "c1").expect()


def test_old_result(lab, cni, agent):
    lab.netns("c1")
    result = cni.add("overlay", agent.config(cniVersion="0.2.0"), "c1").expect()
    assert result.json["ip4"]["ip"] == "10.5.1.10/16"


def test_containers_reach_each_other_and_out(lab, cni, agent):
    for name in ("c1", "c2"):
        lab.netns(name)
        cni.add("overlay", agent.config(), name).expect()
    lab.tcp_server("c2", port=80)
    lab.tcp_server("outside", port=81)
    assert lab.probe("c1", "10.5.1.11", 80).peer == "10.5.1.10"
    assert lab.probe("c1", "192.0.2.2", 81).peer == "192.0.2.1"


def test_ports(lab, cni, agent):
    """Ports are claimed with the addresses, which come late."""
    lab.netns("c1")
    config = configs.publish(agent.config(), (8080, 80))
    cni.add("overlay", config, "c1").expect()
    lab.tcp_server("c1", port=80)
    assert lab.reaches("outside", "192.0.2.1", 8080)
    lab.netns("c2")
    cni.add("overlay", config, "c2").refused(CONFLICT, "8080")
    assert [request["container"] for request in agent.asked("RELEASE")] == ["c2"]


def test_capabilities(lab, cni, agent):
    """All while an agent may have to be started; then NET_ADMIN and SYS_ADMIN."""
    seen = {}

    def look(agent, connection, request):
        pid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        seen[request["op"]] = capabilities(pid)
        return agent.usual(request)
    agent.plan = {op: look for op in ("JOIN", "ALLOCATE", "RELEASE")}
    lab.netns("c1")
    cni.add("overlay", agent.config(), "c1").expect()
    cni.delete("overlay", agent.config(), "c1").expect()
    few = 1 << CAP_NET_ADMIN | 1 << CAP_SYS_ADMIN
    assert seen == {"JOIN": capabilities("self"), "ALLOCATE": few, "RELEASE": few}


# ---- the way back ----

def test_del_twice_and_without_anything(lab, cni, agent):
    config = agent.config()
    before = used_once(cni, config, "c1")
    agent.forget()
    cni.add("overlay", config, "c1").expect()
    cni.delete("overlay", config, "c1").expect()
    cni.delete("overlay", config, "c1").expect()
    assert agent.ops == ["JOIN", "ALLOCATE", "RELEASE", "RELEASE"]
    assert not left(cni, before, "c1")
    # A DEL starts no agent.
    agent.stop()
    cni.delete("overlay", config, "c1").expect()
    assert "overlay.start" not in lab.files(agent.state)


def test_del_without_agent(lab, cni, agent):
    config = agent.config()
    before = used_once(cni, config, "c1")
    cni.add("overlay", config, "c1").expect()
    agent.stop()
    cni.delete("overlay", config, "c1").expect()
    assert not left(cni, before, "c1")
    assert agent.given      # the agent that comes back compares, and gives it back


def test_del_with_the_namespace_gone(lab, cni, agent):
    config = agent.config()
    before = used_once(cni, config, "c1")
    cni.add("overlay", config, "c1").expect()
    lab.remove_netns("c1")
    cni.delete("overlay", config, "c1").expect()
    assert not agent.given
    lab.netns("c1")
    assert not left(cni, before, "c1")


def test_del_with_a_configuration_that_is_refused(lab, cni, agent):
    config = agent.config()
    lab.netns("c1")
    cni.add("overlay", config, "c1").expect()
    cni.delete("overlay", {**config, "peers": 7, "subnets": 8}, "c1").expect()
    assert not agent.given and not devices(lab)


def test_del_that_the_agent_does_not_take_is_repeated(lab, cni, agent):
    """Its record stays, with what leads to it."""
    config = agent.config()
    before = used_once(cni, config, "c1")
    cni.add("overlay", config, "c1").expect()
    agent.plan["RELEASE"] = acts.fail(errno.EIO, 5, "the log is on fire")
    cni.delete("overlay", config, "c1").refused(5, "the log is on fire")
    assert agent.given
    del agent.plan["RELEASE"]
    cni.delete("overlay", config, "c1").expect()
    assert not agent.given and not left(cni, before, "c1")


def test_gc(lab, cni, agent):
    config = agent.config()
    before = used_once(cni, config, "c1", "c2")
    for name in ("c1", "c2"):
        cni.add("overlay", config, name).expect()
    cni.gc("overlay", config, valid=[("c2", "eth0")]).expect()
    assert list(agent.given) == [("c2", "eth0")]
    cni.gc("overlay", config).expect()
    assert not agent.given and not left(cni, before, "c1", "c2")


def test_lost_state(lab, cni, agent):
    """No record of the endpoint, nor of its network: it is asked whether the agent knows it."""
    lab.netns("c1")
    cni.add("overlay", agent.config(), "c1").expect()
    lab.run(["sh", "-c", f"rm -f {agent.state}/*.mdb"])
    cni.delete("overlay", agent.config(), "c1").expect()
    assert not agent.given and not devices(lab)


def test_netctl(lab, cni, agent):
    """Nothing to complain of; and where the sandbox is gone, the record is enough to give back."""
    lab.netns("c1")
    cni.add("overlay", agent.config(), "c1").expect()
    netctl = Netctl(lab)
    agent.shown += [acts.node(), acts.network("ov", 5001, "10.5.0.0/16", ["node1"])]
    assert "all is well" in netctl("doctor").expect().stdout
    lab.remove_netns("c1")
    assert configs.eventually(lambda: len(configs.bridge_ports(lab, devices(lab)["flo"]["ifname"])) == 1)
    assert [left["why"] for left in netctl.json("gc")] == ["its sandbox is gone"]
    assert not agent.given and not devices(lab)
    assert "all is well" in netctl("doctor").expect().stdout


def test_static_network_asks_nobody(lab, cni, agent):
    lab.netns("c1")
    config = {"cniVersion": "1.1.0", "name": "fixed", "type": "overlay", "vni": 9, "peers": ["192.0.2.1"],
              "nodeAddress": "10.6.255.1/16", "ipam": configs.host_local("10.6.0.0/16")}
    cni.add("overlay", config, "c1").expect()
    cni.delete("overlay", config, "c1").expect()
    assert not agent.asked()


def test_one_name_is_one_network(lab, cni, agent):
    """While it has containers here it is neither made static nor another of the cluster."""
    config = agent.config()
    before = used_once(cni, config, "c1", "c2")
    static = {"cniVersion": "1.1.0", "name": "ov", "type": "overlay", "vni": 9, "peers": ["192.0.2.1"],
              "nodeAddress": "10.6.255.1/16", "ipam": configs.host_local("10.6.0.0/16")}
    cni.add("overlay", config, "c1").expect()
    cni.add("overlay", static, "c2").refused(CONFLICT, "ov", "cluster")
    agent.network["network.id"] = "another"
    cni.add("overlay", config, "c2").refused(CONFLICT, "ov", "former")
    agent.network["network.id"] = "0123456789abcdef"
    cni.add("overlay", config, "c2").expect()
    for name in ("c1", "c2"):
        cni.delete("overlay", config, name).expect()
    cni.add("overlay", static, "c1").expect()
    cni.add("overlay", config, "c2").refused(CONFLICT, "ov", "static")
    cni.delete("overlay", static, "c1").expect()
    agent.network["network.id"] = "another"
    cni.add("overlay", config, "c2").expect()
    cni.delete("overlay", config, "c2").expect()
    assert not devices(lab) and "endpoints" not in left(cni, before, "c1", "c2")


# ---- what goes wrong ----

INCOMPLETE = [{"network.id": None}, {"network.id": b"x" * 65}, {"network.vni": None}, {"network.vni": 1 << 24}, {"network.port": None},
              {"network.mtu": None}, {"network.underlay_mtu": 1}, {"network.local": None}, {"network.mac": None},
              {"network.n_subnets": 0}, {"network.n_subnets": 3}, {"network.subnets[0].subnet": None},
              {"network.subnets[0].gateway": "10.9.0.1"}, {"network.subnets[0].node": None}]
FAILURES = [
    ("JOIN", acts.fail(errno.EEXIST, CONFLICT, "network ov has the VNI 5, not 77"), CONFLICT, "not 77"),
    ("JOIN", acts.fail(errno.ENOENT, CONFIG, "there is no network ov"), CONFIG, "there is no"),
    ("JOIN", acts.other_magic, 5, "another version"),
    ("JOIN", acts.other_size, 5, "another version"),
    ("JOIN", acts.changed(**{"network.mode": 2}), 5, "incomplete"),
    ("ALLOCATE", acts.fail(errno.ENOSPC, EXHAUSTED, "network ov: no free address"), EXHAUSTED, "no free"),
    ("ALLOCATE", acts.fail(errno.EADDRINUSE, CONFLICT, "10.5.1.1 is c9's"), CONFLICT, "c9"),
    ("ALLOCATE", acts.die, TRY_AGAIN, "ended before"),
    ("ALLOCATE", acts.other_magic, 5, "another version"),
    ("ALLOCATE", acts.other_size, 5, "another version"),
    ("ALLOCATE", lambda *_: {}, 5, "no address"),
    ("ALLOCATE", lambda *_: {"ips[0]": "10.77.0.1"}, 5, "lies not in 10.5.0.0/16"),
] + [("JOIN", acts.changed(**fields), 5, "incomplete") for fields in INCOMPLETE]


@pytest.mark.parametrize("op, what, code, word", FAILURES)
def test_failed_add_leaves_nothing(lab, cni, agent, op, what, code, word):
    config = agent.config()
    before = used_once(cni, config, "c1")
    agent.forget()
    agent.plan[op] = what
    cni.add("overlay", config, "c1").refused(code, word)
    assert not left(cni, before, "c1")
    assert not agent.given
    # Behind an ALLOCATE it is given back, whatever was answered.
    assert agent.ops == (["JOIN"] if op == "JOIN" else ["JOIN", "ALLOCATE", "RELEASE"])
    del agent.plan[op]
    cni.add("overlay", config, "c1").expect()


def test_failure_behind_the_allocation_gives_back(lab, cni, agent):
    """The result cannot be written."""
    config = agent.config()
    before = used_once(cni, config, "c1")
    agent.forget()
    argv = ["sh", "-c", 'exec "$0" >/dev/full']
    assert not cni.call("ADD", "overlay", config, "c1", prefix=argv).ok
    assert agent.ops == ["JOIN", "ALLOCATE", "RELEASE"] and not agent.given
    assert not left(cni, before, "c1")


def test_agent_that_says_nothing(lab, cni, agent):
    """Ten seconds, and then an error that tells to try again."""
    config = agent.config()
    before = used_once(cni, config, "c1", "c2")
    agent.plan["JOIN"] = acts.silent
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        joining = pool.submit(cni.add, "overlay", config, "c1")
        assert configs.eventually(lambda: agent.ops.count("JOIN") == 2)
        del agent.plan["JOIN"]
        agent.plan["ALLOCATE"] = acts.silent
        cni.add("overlay", config, "c2").refused(TRY_AGAIN, "10 s")
        joining.result().refused(TRY_AGAIN, "10 s")
    assert not left(cni, before, "c1", "c2")


def test_agent_that_comes_and_goes(lab, cni, agent):
    """Dead between two callers: nobody listens, so one is started; here there is none to start."""
    config = agent.config()
    before = used_once(cni, config, "c1")
    agent.plan["JOIN"] = [acts.die, lambda a, c, q: a.usual(q)]
    cni.add("overlay", config, "c1").expect()
    cni.delete("overlay", config, "c1").expect()
    agent.plan["JOIN"] = acts.die
    cni.add("overlay", config, "c1").refused(UNAVAILABLE, "ends again and again")
    assert not left(cni, before, "c1")


# ---- CHECK and STATUS ----

def test_check(lab, cni, agent):
    lab.netns("c1")
    config = agent.config()
    known = configs.with_previous(config, cni.add("overlay", config, "c1").expect().json)
    agent.forget()
    cni.check("overlay", known, "c1").expect()
    join, check = agent.asked()
    assert (join["op"], join["create"], check["op"]) == ("JOIN", 0, "CHECK")
    assert (check["container"], check["ips[0]"], check["mac"]) == ("c1", "10.5.1.10", configs.link(lab, "eth0", netns="c1")["address"])
    agent.given["c1", "eth0"] = ["10.5.1.99"]
    cni.check("overlay", known, "c1").refused(CHECK, "10.5.1.99")
    agent.given["c1", "eth0"] = ["10.5.1.10"]
    lab.run(["ip", "link", "set", devices(lab)["flx"]["ifname"], "nomaster"])
    cni.check("overlay", known, "c1").refused(CHECK, "no port")
    lab.run(["ip", "link", "set", devices(lab)["flx"]["ifname"], "master", devices(lab)["flo"]["ifname"]])
    cni.check("overlay", known, "c1").expect()
    agent.network["network.id"] = "another"
    cni.check("overlay", known, "c1").refused(CHECK, "another one")
    agent.plan["JOIN"] = acts.fail(errno.ENOENT, CHECK, "there is no network ov")
    cni.check("overlay", known, "c1").refused(CHECK, "there is no network")
    agent.stop()
    cni.check("overlay", known, "c1").refused(CHECK, "fairlead-overlayd", "at work")


def test_status(lab, cni, agent, tmp_path):
    cni.status("overlay", agent.config()).expect()
    assert agent.ops == ["STATUS"]
    agent.plan["STATUS"] = acts.fail(errno.EHOSTUNREACH, TRY_AGAIN, "etcd at https://192.0.2.9:2379 cannot be reached")
    cni.status("overlay", agent.config()).refused(UNAVAILABLE, "192.0.2.9:2379")
    agent.plan["STATUS"] = acts.fail(errno.EHOSTUNREACH, 51, "etcd cannot be reached, and the lease is lost")
    cni.status("overlay", agent.config()).refused(51, "lease")
    agent.stop()
    cni.status("overlay", agent.config(), env={LIBEXEC: str(tmp_path)}).refused(UNAVAILABLE, "not installed", "fairlead-overlayd")


# ---- starting the agent ----

def program(lab, text):
    """A fairlead-overlayd that is a script."""
    lab.run(["mkdir", "-p", "/run/libexec"])
    lab.write("/run/libexec/fairlead-overlayd", "#!/bin/sh\n" + text)
    lab.run(["chmod", "0755", "/run/libexec/fairlead-overlayd"])
    return {LIBEXEC: "/run/libexec"}


def test_the_agent_is_started(lab, cni):
    """Once, however many come at once; with all capabilities; and its socket is in the state of the host's namespace."""
    agent = Agent(lab, start=False)
    lab.run(["mkfifo", "/run/go", "/run/ready"])
    env = program(lab, 'echo "$@" >>/run/started; grep CapEff /proc/self/status >>/run/caps; echo >/run/go; read x </run/ready; exit 0\n')

    def starter():
        lab.call(lambda: open("/run/go").read())
        agent.start()
        lab.write("/run/ready", "x\n")
    names = [f"c{i}" for i in range(6)]
    for name in names:
        lab.netns(name)
    with agent, concurrent.futures.ThreadPoolExecutor(8) as pool:
        begun = pool.submit(starter)
        for outcome in pool.map(lambda name: cni.add("overlay", agent.config(), name, env=env), names):
            outcome.expect()
        begun.result()
        assert lab.read("/run/started") == f"--state {agent.state} --background\n"
        assert int(lab.read("/run/caps").split()[1], 16) == capabilities("self")
        for outcome in pool.map(lambda name: cni.delete("overlay", agent.config(), name), names):
            outcome.expect()


@pytest.mark.parametrize("text, word", [
    ("echo '/etc/fairlead/overlay.json: endpoints: missing'; exit 1", "endpoints: missing"),
    ("exit 3", "ended before it was ready"), ("kill -9 $$", "ended before it was ready"),
    ("exit 0", "again and again")])
def test_the_agent_does_not_start(lab, cni, text, word):
    lab.netns("c1")
    env = program(lab, text + "\n")
    config = Agent.config()
    before = snapshot.take(lab, ["c1"])
    cni.add("overlay", config, "c1", env=env).refused(UNAVAILABLE, "fairlead-overlayd", word)
    cni.status("overlay", config, env=env).refused(UNAVAILABLE, "fairlead-overlayd", word)
    assert not devices(lab) and "endpoints" not in left(cni, before, "c1")
    cni.delete("overlay", config, "c1", env=env).expect()


# ---- many at once ----

def test_twenty_at_once(lab, cni, agent):
    config = agent.config()
    names = [f"r{i}" for i in range(20)]
    before = used_once(cni, config, *names)
    for _ in range(2):
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            outcomes = list(pool.map(lambda name: cni.add("overlay", config, name), names))
        assert len({outcome.expect().address for outcome in outcomes}) == 20
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            for outcome in pool.map(lambda name: cni.delete("overlay", config, name), names):
                outcome.expect()
        assert not agent.given
    assert not left(cni, before, *names)


# ---- refused ----

REFUSED = [
    ({"peers": []}, CONFIG, "peers"), ({"local": "up0"}, CONFIG, "local"), ({"nodeAddress": "10.5.255.1/16"}, CONFIG, "nodeAddress"),
    ({"ipam": {"type": "host-local", "subnet": "10.5.0.0/16"}}, CONFIG, "addresses come from the cluster"),
    ({"ipam": {"type": "static"}}, CONFIG, "cluster"), ({"ipam": {"routes": []}}, CONFIG, "cluster"), ({"ipam": 7}, 6, "ipam"),
    ({"name": "n" * 64}, CONFIG, "1 to 63"),
    ({"overlayMode": "l3", "broadcast": True}, CONFIG, "routers"), ({"overlayMode": "l4"}, CONFIG, "overlayMode"), ({"overlayMode": 3}, 6, "overlayMode"),
    ({"vni": 0}, CONFIG, "vni"), ({"vni": 1 << 24}, CONFIG, "vni"), ({"port": 65536}, CONFIG, "port"),
    ({"mtu": 67}, CONFIG, "mtu"), ({"mtu": []}, 6, "mtu"), ({"mode": "raft"}, CONFIG, "mode"),
    ({"internal": 1}, 6, "internal"), ({"broadcast": "no"}, 6, "broadcast"), ({"ipv6": "yes"}, 6, "ipv6"),
    ({"ipMasq": 1}, 6, "ipMasq"), ({"isolate": 1}, 6, "isolate"), ({"guarded": 1}, 6, "guarded"), ({"attachable": 1}, 6, "attachable"),
    ({"stateDir": 1}, 6, "stateDir"),
    ({"subnet": "10.5.0.0/16", "subnets": []}, CONFIG, "at most one of them"),
    ({"subnet": 5}, 6, "subnet"), ({"subnet": "10.5.0.0"}, CONFIG, "subnet"), ({"subnet": "10.5.0.1/16"}, CONFIG, "10.5.0.0/16"),
    ({"subnet": "10.5.0.0/31"}, CONFIG, "room"), ({"subnet": "224.0.0.0/16"}, CONFIG, "unicast"), ({"subnet": "0.0.0.0/0"}, CONFIG, "unicast"),
    ({"subnet": "127.0.0.0/8"}, CONFIG, "unicast"), ({"subnet": "fe80::/64"}, CONFIG, "unicast"),
    ({"subnets": "10.5.0.0/16"}, 6, "subnets"), ({"subnets": [5]}, 6, "subnets[0]"), ({"subnets": ["10.5.0.0/16", "x"]}, CONFIG, "subnets[1]"),
    ({"subnets": ["10.5.0.0/16", "10.6.0.0/16"]}, CONFIG, "one subnet of each family"),
    ({"subnets": ["10.5.0.0/16", "fd05::/64", "10.6.0.0/16"]}, CONFIG, "subnets[2]"),
    ({"subnets": [{}]}, CONFIG, "subnets[0].subnet: missing"), ({"subnets": [{"subnet": 5}]}, 6, "subnets[0].subnet"),
    ({"subnets": [{"subnet": "10.5.0.0/16", "gateway": "10.6.0.1"}]}, CONFIG, "subnets[0].gateway"),
    ({"subnets": [{"subnet": "10.5.0.0/16", "gateway": "10.5.0.0"}]}, CONFIG, "subnets[0].gateway"),
    ({"subnets": [{"subnet": "10.5.0.0/16", "gateway": "10.5.255.255"}]}, CONFIG, "subnets[0].gateway"),
    ({"subnets": [{"subnet": "10.5.0.0/16", "gateway": "fd05::1"}]}, CONFIG, "subnets[0].gateway"),
    ({"subnets": [{"subnet": "10.5.0.0/16", "gateway": "x"}]}, CONFIG, "subnets[0].gateway"),
    ({"internal": True, "subnets": [{"subnet": "10.5.0.0/16", "gateway": "10.5.0.1"}]}, CONFIG, "leads nowhere"),
    ({"runtimeConfig": {"ips": ["x"]}}, CONFIG, "runtimeConfig.ips"), ({"runtimeConfig": {"ips": 5}}, 6, "runtimeConfig.ips"),
    ({"runtimeConfig": {"ips": ["10.5.1.1", "10.5.1.2"]}}, CONFIG, "one address of each family"),
    ({"runtimeConfig": {"ipRanges": []}}, CONFIG, "ipRanges"), ({"runtimeConfig": {"mac": "x"}}, CONFIG, "runtimeConfig.mac"),
    ({"runtimeConfig": {"aliases": [f"a{i}" for i in range(17)]}}, CONFIG, "at most 16"),
    ({"args": {"cni": {"ips": ["y"]}}}, CONFIG, "args.cni.ips"),
]


@pytest.mark.parametrize("more, code, word", REFUSED)
def test_refused(lab, cni, agent, more, code, word):
    lab.netns("c1")
    before = snapshot.take(lab, ["c1"])
    cni.add("overlay", {**agent.config(), **more}, "c1").refused(code, word)
    assert not agent.asked() and not left(cni, before, "c1")


@pytest.mark.parametrize("more, word", [({"subnet": "10.5.0.0/16"}, "subnet"), ({"subnets": []}, "subnets"), ({"ipv6": True}, "ipv6"),
                                        ({"overlayMode": "l2"}, "overlayMode")])
def test_keys_of_the_cluster_in_mode_static(lab, cni, more, word):
    lab.netns("c1")
    config = {"cniVersion": "1.1.0", "name": "fixed", "type": "overlay", "vni": 9, "peers": ["192.0.2.1"],
              "nodeAddress": "10.6.255.1/16", "ipam": configs.host_local("10.6.0.0/16"), **more}
    cni.add("overlay", config, "c1").refused(CONFIG, word, "etcd")


@pytest.mark.parametrize("more", [{"ipam": {}}, {"ipam": None}, {"name": "n" * 63}, {"name": "a.b-c_D"}, {"subnet": "10.5.0.0/16"},
                                  {"peers": None}, {"overlayMode": "L2"}, {"mtu": "auto"}, {"attachable": True}, {"isolate": True, "guarded": True}])
def test_accepted(lab, cni, agent, more):
    lab.netns("c1")
    config = {**agent.config(), **more}
    cni.add("overlay", config, "c1").expect()
    cni.delete("overlay", config, "c1").expect()
    assert not agent.given and not devices(lab)
