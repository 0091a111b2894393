# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ADD has given is in use when it returns, however busy the kernel's work queues are."""
import ipaddress
import threading

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


@pytest.mark.parametrize("kind", KINDS)
def test_ipv6_address(lab, cni, kind):
    """A work queue takes it into use, and what comes for it before that is lost."""
    config, missing, stop = KINDS[kind], [], threading.Event()

    def disturb(subnet):
        """Makes and takes away addresses, which wait in the same queue."""
        while not stop.is_set():
            lab.run(["ip", "-batch", "-"], netns="c2", input="".join(
                f"addr {verb} fd09:{subnet}::{n:x}/128 dev lo nodad\n" for verb in ("add", "del") for n in range(1, 60)))

    others = [threading.Thread(target=disturb, args=(subnet,)) for subnet in (1, 2)]
    for other in others:
        other.start()
    try:
        for _ in range(ROUNDS):
            outcome = cni.add(config["type"], config, "c1").expect()
            address = outcome.addresses()[1]
            if address not in lab.call(local_addresses, netns="c1"):
                missing.append(address)
            cni.delete(config["type"], config, "c1").expect()
    finally:
        stop.set()
        for other in others:
            other.join()
    assert not missing
