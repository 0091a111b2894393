# SPDX-License-Identifier: GPL-2.0-or-later
"""The real firewalld on a private bus: sources of its zones, and what it does to a bridge network."""
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from support import configs, tools
from support.cni import libexec
from support.configs import publish

SOCKET = "/run/dbus/system_bus_socket"
BUS = """<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <servicedir>/run/services</servicedir>
  <policy context="default">
    <allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"""
# Whoever asks the bus to start firewalld gets this instead.
SERVICE = "[D-BUS Service]\nName=org.fedoraproject.FirewallD1\nExec=/usr/bin/touch /run/services/started\nUser=root\n"
HOST, OUTSIDE = "192.0.2.1", "192.0.2.2"

needs = pytest.mark.skipif(not (shutil.which("firewalld") and shutil.which("dbus-daemon")),
                           reason="not installed: firewalld, dbus-daemon")


def probe(lab, *args, env=None):
    """(exit status, what it printed)"""
    done = lab.run([libexec("fairlead-firewalld"), *args], check=False, env={**os.environ, **(env or {})})
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.strip()


def ask(lab, *args):
    status, answer = probe(lab, *args)
    assert status == 0, answer
    return int(answer.split()[0])


def refusal(lab, *args, env=None):
    status, answer = probe(lab, *args, env=env)
    assert status == 1, answer
    return answer


@pytest.fixture
def bus(lab):
    lab.call(os.mkdir, "/run/dbus")
    lab.call(os.mkdir, "/run/services")
    lab.write("/run/bus.conf", BUS)
    lab.write("/run/services/org.fedoraproject.FirewallD1.service", SERVICE)
    daemon = lab.start(["dbus-daemon", "--config-file=/run/bus.conf", "--nofork", "--nopidfile", "--print-address=1"],
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert daemon.stdout.readline()
    return lab


@pytest.fixture
def firewalld(bus):
    tools.private(bus, "/etc/firewalld", "/var/log", keep=False)
    bus.call(os.mkdir, "/run/firewalld")
    daemon = bus.start(["firewalld", "--nofork", "--nopid"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    # Each try takes a tenth of a second of its own.
    while bus.run(["firewall-cmd", "--state"], check=False).returncode:
        assert time.monotonic() < end and daemon.poll() is None, "firewalld does not start"
    return daemon


def sources(lab, zone="trusted", *options):
    return sorted(lab.run(["firewall-cmd", f"--zone={zone}", "--list-sources", *options]).stdout.split())


# ---- is it there ----

def test_no_bus(lab):
    assert ask(lab, "running") == 0
    assert probe(lab, "running", env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/none"}) == (0, "0")


def test_a_socket_that_nobody_listens_on(lab):
    def leave_socket():
        os.mkdir("/run/dbus")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(SOCKET)
    lab.call(leave_socket)
    assert ask(lab, "running") == 0


@needs
def test_a_bus_without_it_and_it_is_not_started(bus):
    assert ask(bus, "running") == 0
    assert ask(bus, "add", "trusted", "10.1.0.2") == 0
    assert not bus.exists("/run/services/started")


def test_a_bus_that_does_not_answer(lab):
    def listen():
        os.mkdir("/run/dbus")
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(SOCKET)
        sock.listen()
        return sock
    with lab.call(listen):
        started = time.monotonic()
        answer = refusal(lab, "running")
        assert time.monotonic() - started < 6
    assert answer.startswith("11 ") and SOCKET in answer and "does not answer" in answer


@needs
def test_running(bus, firewalld):
    assert ask(bus, "running") == 1
    bus.stop(firewalld)
    assert ask(bus, "running") == 0


# ---- sources ----

@needs
def test_sources(bus, firewalld):
    both = ("10.1.0.2/24", "fd00:1::2/64")
    hosts = ["10.1.0.2/32", "fd00:1::2/128"]
    assert ask(bus, "has", "trusted", *both) == 0
    for _ in range(2):
        assert ask(bus, "add", "trusted", *both) == 1
        assert sources(bus) == hosts
        assert ask(bus, "has", "trusted", *both) == 1
    assert sources(bus, "trusted", "--permanent") == []
    assert ask(bus, "has", "public", *both) == 0
    for _ in range(2):
        assert ask(bus, "remove", "trusted", both[0]) == 1
        assert sources(bus) == hosts[1:]
    assert ask(bus, "has", "trusted", *both) == 0
    assert ask(bus, "remove", "trusted", *both) == 1
    assert sources(bus) == []


@needs
def test_what_is_refused_is_named(bus, firewalld):
    answer = refusal(bus, "add", "nosuch", "10.1.0.2")
    assert answer.startswith("7 ") and "10.1.0.2/32 to zone nosuch" in answer and "--get-zones" in answer
    assert refusal(bus, "add", b"\xff", "10.1.0.2").startswith("7 ")
    assert ask(bus, "add", "public", "10.1.0.2") == 1
    answer = refusal(bus, "add", "trusted", "10.1.0.3", "10.1.0.2")
    assert answer.startswith("102 ") and "10.1.0.2/32 to zone trusted" in answer
    command = re.search("`([^`]+)`", answer).group(1)
    assert bus.run(["sh", "-ec", command]).stdout.strip() == "public"
    # What another zone has is not ours to remove.
    assert ask(bus, "remove", "trusted", "10.1.0.2", "10.1.0.3") == 1
    assert sources(bus, "public") == ["10.1.0.2/32"] and sources(bus) == []


@needs
def test_it_hangs(bus, firewalld):
    firewalld.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    answer = refusal(bus, "add", "trusted", "10.1.0.2", "10.1.0.3")
    assert time.monotonic() - started < 6
    assert answer.startswith("11 ") and "10.1.0.2/32 to zone trusted" in answer and "systemctl" in answer
    firewalld.send_signal(signal.SIGCONT)
    # What was asked late is done in order: removing is the way back.
    assert ask(bus, "remove", "trusted", "10.1.0.2", "10.1.0.3") == 1
    assert sources(bus) == []


# ---- a bridge network beside it ----

def obstacles(lab):
    return lab.run([tools.built("foreign-probe"), "obstacles"]).stdout.splitlines()


@needs
def test_bridge(bus, firewalld, cni):
    addresses = []
    for name, ports in (("c1", [(8080, 80)]), ("c2", [])):
        addresses += cni.add("bridge", publish(configs.dual(), *ports), name).expect().addresses()
    bus.tcp_server("c1", port=80)
    bus.tcp_server("outside", port=80)
    # firewalld accepts what is translated and what answers; the rest is its zones' business.
    assert bus.probe("outside", HOST, 8080).server == "c1"
    assert bus.probe("c2", HOST, 8080).server == "c1"
    assert bus.blocked("c1", OUTSIDE, 80)
    found = obstacles(bus)
    assert len(found) == 1 and found[0].startswith("firewalld") and "--zone=trusted --add-source=" in found[0]

    assert ask(bus, "add", "trusted", *addresses) == 1
    assert bus.probe("c1", OUTSIDE, 80).peer == HOST
    assert bus.reaches("outside", HOST, 8080)
    assert ask(bus, "remove", "trusted", *addresses) == 1
    assert bus.blocked("c1", OUTSIDE, 80)

    command = re.search("`([^`]+)`", found[0]).group(1).replace("SUBNET", configs.SUBNET)
    bus.run(["sh", "-ec", command])
    assert bus.probe("c1", OUTSIDE, 80).peer == HOST


@needs
def test_a_default_zone_that_lets_through_is_no_obstacle(bus, firewalld):
    assert len(obstacles(bus)) == 1
    bus.run(["firewall-cmd", "--set-default-zone=trusted"])
    assert obstacles(bus) == []


# ---- the firewall plugin ----

def chained(lab, cni, name="c1", network="net", **more):
    result = cni.add("bridge", configs.bridge(network), name).expect()
    return result.address, {"cniVersion": configs.VERSION, "name": network, "type": "firewall", "prevResult": result.json, **more}


@needs
def test_plugin_makes_firewalld_trust_the_addresses(bus, firewalld, cni):
    address, conf = chained(bus, cni)
    assert bus.blocked("c1", OUTSIDE, bus.tcp_server("outside").port)
    cni.add("firewall", conf).expect()
    assert sources(bus) == [f"{address}/32"]
    assert bus.reaches("c1", OUTSIDE, bus.tcp_server("outside").port)
    cni.check("firewall", conf).expect()
    bus.run(["firewall-cmd", "--zone=trusted", f"--remove-source={address}/32"])
    cni.check("firewall", conf).refused(104, "trusted")
    cni.delete("firewall", conf).expect()
    cni.delete("firewall", conf).expect()
    assert sources(bus) == []


@needs
def test_plugin_with_a_zone_of_its_own(bus, firewalld, cni):
    address, conf = chained(bus, cni, firewalldZone="internal", backend="firewalld")
    cni.add("firewall", conf).expect()
    assert sources(bus, "internal") == [f"{address}/32"]
    cni.gc("firewall", conf).expect()
    assert sources(bus, "internal") == []
    cni.add("firewall", {**conf, "firewalldZone": "nozone"}).refused(None, "nozone")
    assert sources(bus, "internal") == []


@needs
def test_plugin_when_firewalld_ended_before_del(bus, firewalld, cni):
    _, conf = chained(bus, cni)
    cni.add("firewall", conf).expect()
    bus.stop(firewalld)
    cni.delete("firewall", conf).expect()


@needs
def test_plugin_that_is_to_use_nftables_leaves_firewalld_alone(bus, firewalld, cni):
    _, conf = chained(bus, cni, backend="nftables")
    cni.add("firewall", conf).expect()
    assert sources(bus) == []


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_plugin_executes_nothing_without_a_bus(lab, cni):
    _, conf = chained(lab, cni)
    cni.add("firewall", conf, prefix=["strace", "-f", "-o", "/run/trace", "-e", "trace=execve"]).expect()
    assert lab.read("/run/trace").count("execve(") == 1
