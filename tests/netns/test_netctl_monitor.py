# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl monitor: each thing that happened is told once."""
import concurrent.futures
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import time

import pytest

from support import configs as net
from support.netctl import OK, USAGE, program

MANY = 64


class Monitor:
    """A running `netctl monitor`, and its lines so far."""

    def __init__(self, netctl, *argv):
        self.process = netctl.start("monitor", *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines, self._rest = [], b""
        assert b"watching" in self.process.stderr.readline()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.process.stdout, selectors.EVENT_READ)

    def until(self, done, seconds=8):
        """Read until done(lines); the lines."""
        end = time.monotonic() + seconds
        while not done(self.lines):
            left = end - time.monotonic()
            assert left > 0 and self._selector.select(left), f"it did not come: {self.lines}"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"ended: {self.process.stderr.read()}"
            *whole, self._rest = (self._rest + data).split(b"\n")
            self.lines += [line.decode() for line in whole]
        return self.lines

    def end(self, how=signal.SIGTERM):
        """The last lines too."""
        self.process.send_signal(how)
        rest, complaints = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, complaints
        self.lines += [line for line in (self._rest + rest).decode().split("\n") if line]
        return self.lines


def events(lines, *kinds):
    found = [json.loads(line) for line in lines]
    return [e for e in found if not kinds or e["event"] in kinds]


def has(*wanted):
    """Lines with these (event, container) pairs."""
    return lambda lines: {*wanted} <= {(e["event"], e["container"]) for e in events(lines)}


def count(kind, n):
    return lambda lines: len(events(lines, kind)) >= n


def test_from_nothing(lab, cni, netctl):
    monitor = Monitor(netctl, "--json")
    config = net.publish(net.dual(), (8080, 80), (9000, 90))
    result = cni.add("bridge", config, "c1", args="K8S_POD_NAME=web").expect()
    monitor.until(has(("attach", "c1"), ("publish", "c1")))
    cni.delete("bridge", config, "c1").expect()
    monitor.until(has(("detach", "c1")))
    told = events(monitor.end(signal.SIGINT), "attach", "detach", "publish", "unpublish")
    assert [e["event"] for e in told] == ["attach", "publish", "publish", "unpublish", "unpublish", "detach"]
    attach = told[0]
    assert (attach["network"], attach["container"], attach["name"], attach["interface"]) == ("net", "c1", "web", "eth0")
    assert attach["addresses"] == [ip["address"] for ip in result.json["ips"]]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", attach["time"])
    assert sorted((e["port"]["hostPort"], e["port"]["containerPort"]) for e in told if e["event"] == "publish") == \
        [(8080, 80), (9000, 90)]


@pytest.mark.parametrize("before", [False, True])
def test_each_of_many_once(lab, cni, netctl, before):
    if before:      # the state is there
        net.warm(cni, net.bridge())
    names = [f"m{i}" for i in range(MANY)]
    for name in names:
        lab.netns(name)
    monitor = Monitor(netctl, "--json")
    with concurrent.futures.ThreadPoolExecutor(MANY) as pool:
        added = list(pool.map(lambda name: cni.add("bridge", net.bridge(), name).expect(), names))
        monitor.until(count("attach", MANY))
        list(pool.map(lambda name: cni.delete("bridge", net.bridge(), name).expect(), names))
    monitor.until(count("detach", MANY))
    lines = monitor.end()
    assert sorted(e["container"] for e in events(lines, "attach")) == sorted(names)
    assert sorted(e["container"] for e in events(lines, "detach")) == sorted(names)
    assert sorted(e["detail"].split("/")[0] for e in events(lines, "attach")) == sorted(o.address for o in added)
    assert not [e for e in events(lines, "state") if e["state"] == "gone"]


def test_coming_and_going_is_balanced(lab, cni, netctl):
    """What lasts is told of once; what does not, with both ends or not at all."""
    lasting, passing = [f"l{i}" for i in range(8)], [f"p{i}" for i in range(8)]
    for name in lasting + passing:
        lab.netns(name)
    monitor = Monitor(netctl, "--json")

    def come_and_go(name):
        for _ in range(6):
            cni.add("bridge", net.bridge(), name).expect()
            cni.delete("bridge", net.bridge(), name).expect()

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        runs = [pool.submit(come_and_go, name) for name in passing]
        list(pool.map(lambda name: cni.add("bridge", net.bridge(), name).expect(), lasting))
        for run in runs:
            run.result()
    lab.netns("last")
    cni.add("bridge", net.bridge(), "last").expect()
    lines = monitor.until(has(("attach", "last"), *[("attach", name) for name in lasting]))
    for name in lasting:
        assert [e["event"] for e in events(lines, "attach", "detach") if e["container"] == name] == ["attach"]
    for name in passing:
        told = [e["event"] for e in events(lines, "attach", "detach") if e["container"] == name]
        assert told == ["attach", "detach"] * (len(told) // 2)


def test_a_failed_add_is_no_attach(lab, cni, netctl):
    cni.add("bridge", net.publish(net.bridge(), (8080, 80)), "c1").expect()
    monitor = Monitor(netctl, "--json")
    cni.add("bridge", net.publish(net.bridge(), (8080, 80)), "c2").refused()
    cni.add("bridge", net.bridge(), "c2").expect()
    lines = monitor.until(has(("attach", "c2")))
    assert [e["container"] for e in events(lines, "attach", "detach")] == ["c2"]


def test_an_add_that_waits_and_fails(lab, cni, netctl):
    """Its record is there all the while; its IPAM says no in the end."""
    lab.run(["mkdir", "/run/ipam"])
    lab.run(["mkfifo", "/run/ipam/answer"])
    lab.write("/run/ipam/slow", """#!/bin/sh
[ "$CNI_COMMAND" != ADD ] || read word </run/ipam/answer
echo '{"cniVersion": "1.1.0", "code": 11, "msg": "no"}'
exit 1
""")
    lab.run(["chmod", "755", "/run/ipam/slow"])
    cni.add("bridge", net.second(), "c2").expect()
    monitor = Monitor(netctl, "--json")
    config = net.bridge(ipam={"type": "slow"})
    adding = lab.submit(cni.add, "bridge", config, "c1", path=f"/run/ipam:{cni.bindir}")
    monitor.until(has(("state", "c1")))
    lab.write("/run/ipam/answer", "go\n")
    adding.result().refused()
    cni.add("bridge", net.bridge(), "c2", ifname="eth1").expect()
    lines = monitor.until(has(("attach", "c2")))
    assert [e["state"] for e in events(lines, "state") if e["container"] == "c1"][0] == "creating"
    assert [e["container"] for e in events(lines, "attach", "detach")] == ["c2"]


def test_what_was_there_is_not_told(lab, cni, netctl):
    cni.add("bridge", net.bridge(), "c1").expect()
    monitor = Monitor(netctl, "--json")
    cni.add("bridge", net.second(), "c2").expect()
    monitor.until(has(("attach", "c2")))
    assert [e["container"] for e in events(monitor.end(), "attach")] == ["c2"]


def test_made_again_under_the_same_name(lab, cni, netctl):
    """DEL and ADD while the monitor stands still: it is another attachment."""
    cni.add("bridge", net.bridge(), "c1").expect()
    monitor = Monitor(netctl, "--json")
    monitor.process.send_signal(signal.SIGSTOP)
    cni.delete("bridge", net.bridge(), "c1").expect()
    cni.add("bridge", net.bridge(), "c1").expect()
    monitor.process.send_signal(signal.SIGCONT)
    monitor.until(has(("attach", "c1")))
    assert [e["event"] for e in events(monitor.end(), "attach", "detach")] == ["detach", "attach"]


def test_links_and_addresses_of_the_host(lab, cni, netctl):
    cni.add("bridge", net.bridge(), "c1").expect()
    [host_end] = net.bridge_ports(lab, "net0")
    monitor = Monitor(netctl, "--json")
    lab.run(["ip", "addr", "add", "10.1.0.254/24", "dev", "net0"])
    monitor.until(count("address", 1))
    lab.run(["ip", "addr", "del", "10.1.0.254/24", "dev", "net0"])
    monitor.until(count("address", 2))
    assert [(e["network"], e["interface"], e["container"], e["address"], e["change"]) for e in events(monitor.lines)] == \
        [("net", "net0", "", "10.1.0.254/24", "added"), ("net", "net0", "", "10.1.0.254/24", "removed")]
    lab.run(["ip", "link", "set", host_end, "down"])
    monitor.until(count("state", 1))
    lab.run(["ip", "link", "del", host_end])
    monitor.until(lambda lines: any(e["state"] == "gone" for e in events(lines, "state")))
    told = events(monitor.end(), "state")
    assert {(e["container"], e["interface"]) for e in told} == {("c1", "eth0")}
    assert [e["state"] for e in told][0] in ("down", "lowerlayerdown") and told[-1]["state"] == "gone"


def test_parents(lab, cni, netctl):
    config = {"cniVersion": net.VERSION, "name": "mv", "type": "macvlan", "master": "up0",
              "ipam": net.host_local("10.3.0.0/24")}
    cni.add("macvlan", config, "c1").expect()
    monitor = Monitor(netctl, "--json")
    lab.run(["ip", "link", "set", "up0", "down"])
    lines = monitor.until(count("state", 1))
    assert [(e["network"], e["interface"], e["state"]) for e in events(lines, "state")] == [("mv", "up0", "down")]


def test_the_store_alone_changes(lab, cni, netctl):
    """A chained plugin publishes: no interface and no address of the host tells of it."""
    result = cni.add("bridge", net.bridge(), "c1").expect().json
    portmap = net.publish({"cniVersion": net.VERSION, "name": "net", "type": "portmap", "prevResult": result}, (8080, 80))
    monitor = Monitor(netctl, "--json")
    cni.add("portmap", portmap, "c1").expect()
    monitor.until(has(("publish", "c1")))
    cni.delete("portmap", portmap, "c1").expect()
    monitor.until(has(("unpublish", "c1")))
    assert [e["event"] for e in events(monitor.end()) if e["event"] != "state"] == ["publish", "unpublish"]


def test_one_network_and_lines_for_people(lab, cni, netctl):
    monitor = Monitor(netctl, "--network", "other")
    cni.add("bridge", net.publish(net.bridge(), (8080, 80)), "c1").expect()
    cni.add("bridge", net.publish(net.second(), (8081, 80)), "c2", ifname="eth1").expect()
    monitor.until(lambda lines: any("publish" in line for line in lines))
    lines = [line for line in monitor.end() if " state " not in line and " address " not in line]
    assert len(lines) == 2
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} attach    other +c2 +eth1 +10\.2\.0\.2/24", lines[0])
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} publish   other +c2 +eth1 +8081 -> 80/tcp", lines[1])


def test_the_state_goes_and_comes(lab, cni, netctl):
    cni.add("bridge", net.bridge(), "c1").expect()
    monitor = Monitor(netctl, "--json")
    lab.run(["sh", "-c", "rm -r /run/fairlead/*"])
    monitor.until(count("state", 1))
    cni.add("bridge", net.second(), "c2").expect()
    lines = monitor.until(has(("attach", "c2")))
    assert [e["state"] for e in events(lines, "state")][0] == "removed"
    assert not events(lines, "detach")


def test_reader_goes(lab, cni, netctl):
    monitor = Monitor(netctl, "--json")
    monitor.process.stdout.close()
    assert monitor.process.wait(timeout=20) == OK
    netctl("monitor", "net").expect(USAGE, "expected no argument")


@pytest.mark.parametrize("how", ["pipe", "socket", "terminal"])
def test_ends_with_its_reader(lab, netctl, how):
    """Without an event: and so without the processor until one comes."""
    ours, theirs = {"pipe": os.pipe, "terminal": os.openpty,
                    "socket": lambda: [s.detach() for s in socket.socketpair()]}[how]()
    process = netctl.start("monitor", stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    assert b"watching" in process.stderr.readline()
    os.close(ours)
    assert process.wait(timeout=10) is not None


def addresses(lines):
    return [(e["address"], e["change"]) for e in events(lines, "address")]


@pytest.mark.parametrize("more", [0, 3000])
def test_what_was_heard_while_it_slept(lab, cni, netctl, more):
    """The last word on each address and link counts; and where the socket lost some, all is read anew."""
    cni.add("bridge", net.bridge(), "c1").expect()
    cni.add("bridge", net.bridge(), "c2").expect()
    host_end = netctl.json("endpoint", "ls", "net")[1]["hostInterface"]
    monitor = Monitor(netctl, "--json")
    monitor.process.send_signal(signal.SIGSTOP)
    lines = ["addr add 10.1.200.1/32 dev net0", "addr del 10.1.200.1/32 dev net0", "addr add 10.1.200.2/32 dev net0",
             "addr del 10.1.200.2/32 dev net0", "addr add 10.1.200.2/32 dev net0"]
    lines += [f"addr {verb} 10.1.201.{n % 250}/32 dev lo" for n in range(more // 2) for verb in ("add", "del")]
    lines += ["addr add 10.1.200.3/32 dev net0", f"link set {host_end} down", f"link set {host_end} up", f"link del {host_end}"]
    lab.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n")
    monitor.process.send_signal(signal.SIGCONT)
    monitor.until(lambda lines: ("10.1.200.3/32", "added") in addresses(lines) and count("state", 1)(lines))
    lab.ip("addr", "del", "10.1.200.2/32", "dev", "net0")       # afterwards it hears again
    monitor.until(lambda lines: ("10.1.200.2/32", "removed") in addresses(lines))
    told = monitor.end()
    assert sorted(addresses(told)) == [("10.1.200.2/32", "added"), ("10.1.200.2/32", "removed"), ("10.1.200.3/32", "added")]
    assert [(e["container"], e["state"]) for e in events(told, "state")] == [("c2", "gone")]


def test_what_does_not_change_costs_nothing(lab, cni, netctl):
    """Nothing is asked of the kernel after the first look."""
    cni.add("bridge", net.bridge(), "c1").expect()
    argv = ["strace", "-D", "-qq", "-o", "/run/trace", "-e", "trace=sendto,sendmsg", program(), "monitor", "--json"]
    process = lab.start(argv, env=netctl.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"watching" in process.stderr.readline()
    before = lab.read("/run/trace")
    assert before
    cni.add("bridge", net.bridge(), "c2").expect()
    while b'"attach"' not in process.stdout.readline():
        pass
    lab.ip("addr", "add", "10.1.200.1/32", "dev", "net0")
    while b'"10.1.200.1/32"' not in process.stdout.readline():
        pass
    assert lab.read("/run/trace") == before
    process.terminate()
    process.wait(20)
