# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ADD has given is in use when it returns, however busy the kernel's work queues are."""
import contextlib
import ipaddress
import threading
import time

import pytest

from support import configs

ROUNDS = 40
KINDS = {
    "bridge": configs.bridge(subnets=["10.5.0.0/24", "fd05::/64"]),
    "bridge with a MAC": configs.runtime(configs.bridge(subnets=["10.5.0.0/24", "fd05::/64"]), mac="02:00:00:00:00:05"),
    "ptp": {**configs.bridge(subnets=["10.5.0.0/24", "fd05::/64"]), "type": "ptp"},
}


def local_addresses():
    """The kernel's own list of what it takes for itself (proc(5) has no names for the columns)."""
    with open("/proc/thread-self/net/ipv6_route", encoding="ascii") as file:
        rows = [line.split() for line in file]
    return {str(ipaddress.ip_address(int(row[0], 16))) for row in rows if row[1] == "80" and int(row[8], 16) & 0x80000000}


def links_that_ask():
    """Those with a link-local address that is not tentative (scope 0x20, no flag 0x40)."""
    with open("/proc/thread-self/net/if_inet6", encoding="ascii") as file:
        rows = [line.split() for line in file]
    return {row[5] for row in rows if row[3] == "20" and not int(row[4], 16) & 0x40}


@contextlib.contextmanager
def disturbed(lab, threads=2):
    """Make and take away addresses, which wait in the same queue."""
    stop = threading.Event()

    def disturb(subnet):
        while not stop.is_set():
            lab.run(["ip", "-batch", "-"], netns="c2", input="".join(
                f"addr {verb} fd09:{subnet}::{n:x}/128 dev lo nodad\n" for verb in ("add", "del") for n in range(1, 60)))

    others = [threading.Thread(target=disturb, args=(subnet,)) for subnet in range(1, 1 + threads)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        stop.set()
        for other in others:
            other.join()


@pytest.mark.parametrize("kind", KINDS)
def test_ipv6_address(lab, cni, kind):
    """A work queue takes it into use, and what comes for it before that is lost."""
    config, missing = KINDS[kind], []
    with disturbed(lab):
        for _ in range(ROUNDS):
            outcome = cni.add(config["type"], config, "c1").expect()
            address = outcome.addresses()[1]
            if address not in lab.call(local_addresses, netns="c1"):
                missing.append(address)
            cni.delete(config["type"], config, "c1").expect()
    assert not missing


@pytest.mark.parametrize("kind", ["bridge", "ptp"])
def test_host_asks_for_neighbours(lab, cni, kind):
    """Its own end has a link-local address, without which what comes from outside waits for a second."""
    config, without = KINDS[kind], 0
    with disturbed(lab, 8):
        for _ in range(ROUNDS):
            link = cni.add(config["type"], config, "c1").expect().json["interfaces"][0]["name"]
            without += link not in lab.call(links_that_ask)
            cni.delete(config["type"], config, "c1").expect()
            if kind == "bridge":
                lab.run(["ip", "link", "del", link])
    assert not without


@pytest.mark.parametrize("kind", ["bridge", "ptp"])
@pytest.mark.parametrize("mode", [1, 2])
def test_link_local_of_another_kind(lab, cni, kind, mode):
    """The host's administrator may want none, or one that tells nothing (RFC 7217): nothing is waited for in vain."""
    config = KINDS[kind]
    lab.sysctl("net/ipv6/conf/default/stable_secret", "2001:db8::77")
    lab.sysctl("net/ipv6/conf/default/addr_gen_mode", mode)
    began = time.monotonic()
    cni.add(config["type"], config, "c1").expect()
    assert time.monotonic() - began < 0.5
