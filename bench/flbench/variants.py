"""Who is measured in the cases beside bridge: macvlan, chains of plugins, and the rest of our plugins."""

import ipaddress
import os
import socket
import subprocess
from dataclasses import dataclass, field

from .subjects import Chain, Subject, cni_env, host_local
from .world import Job, Step

MASTER = "mv0"
OURS, THEIRS = "10.91.0.0/16", "10.90.0.0/16"


def make_master():
    """A veth end whose other end is up, too: so it has a carrier."""
    if MASTER not in (name for _, name in socket.if_nameindex()):
        for argv in (("add", MASTER, "up", "type", "veth", "peer", "name", f"{MASTER}p"), ("set", f"{MASTER}p", "up")):
            subprocess.run(("ip", "link") + argv, check=True)


@dataclass
class Single(Chain):
    """One plugin, with an address from host-local."""

    plugin: dict = field(default_factory=dict)

    def plugins(self):
        return [self.plugin]

    def available(self):
        return super().available() and os.access(f"{self.directory}/host-local", os.X_OK)


def macvlan(name, directory, network, subnet, slow=False):
    return Single(name=name, slow=slow, directory=directory, network=network, plugin={
        "type": "macvlan", "master": MASTER, "mode": "bridge", "ipam": host_local(subnet)})


def ptp(name, directory):
    return Single(name=name, directory=directory, network="bench-ptp", plugin={
        "type": "ptp", "ipMasq": True, "ipam": host_local("10.89.0.0/16")})


@dataclass
class MacvlanFloor(Subject):
    """In the upper half of our subnet, of which host-local does not get that far."""

    binary: str = ""
    lo: bool = False

    def job(self, c, verb):
        subnet = ipaddress.ip_network(OURS)
        argv = [self.binary, "--macvlan", MASTER, "--address", f"{subnet[0x8000 + c.serial % 0x7fff]}/16",
                "--gateway", str(subnet[1])] + (["--lo"] if self.lo else [])
        return Job(self.tag(c, verb), [Step([*argv, verb], cni_env(verb.upper(), c, ""))])

    def add(self, c):
        return self.job(c, "add")

    def delete(self, c):
        return self.job(c, "del")


PODMAN = ("bridge", "portmap", "firewall", "tuning")
LONG = PODMAN + ("bandwidth", "sbr")


@dataclass
class PluginChain(Chain):
    """As podman's network files have it, with work for each plugin that would have none by itself."""

    wanted: tuple = PODMAN
    bridge: str = ""
    subnet: str = ""

    def plugins(self):
        return [{"type": p} | self.options(p) for p in self.wanted if os.access(f"{self.directory}/{p}", os.X_OK)]

    def options(self, plugin):
        rate = {"Rate": 100000000, "Burst": 256000}  # bit/s, bits
        return {
            "bridge": {"bridge": self.bridge, "isGateway": True, "ipMasq": True, "hairpinMode": True,
                       "ipam": host_local(self.subnet)},
            "portmap": {"capabilities": {"portMappings": True}},
            "tuning": {"sysctl": {"net.ipv4.conf.eth0.arp_filter": "1"}},
            "bandwidth": {f"{way}{what}": v for way in ("ingress", "egress") for what, v in rate.items()},
        }.get(plugin, {})


def macvlan_subjects(present, world):
    """Of those that are measured at all. present: by name."""
    found = []
    if "fairlead" in present:
        found.append(macvlan("fairlead", present["fairlead"].directory, "bench-macvlan", OURS))
    if "reference" in present:
        found.append(macvlan("reference", present["reference"].directory, "ref-macvlan", THEIRS, slow=True))
    return found + [MacvlanFloor(name=n, binary=world.tool(n), resident_serial=present[n].resident_serial)
                    for n in ("floor", "floor-static") if n in present]


def chain_subjects(present, wanted):
    """Ours and the reference's; their plugins are the same, so that the two can be compared."""
    ours, reference = present.get("fairlead"), present.get("reference")
    n = len(wanted)
    found = []
    if ours:
        found.append(PluginChain(name="chain", directory=ours.directory, network=f"chain{n}", wanted=wanted,
                                 bridge=f"flc{n}", subnet=f"10.87.{16 * n}.0/20", base_port=30100 + 1000 * n))
        wanted = tuple(p["type"] for p in found[0].plugins())
    if reference:
        found.append(PluginChain(name="reference", slow=True, directory=reference.directory, network=f"ref-chain{n}",
                                 wanted=wanted, bridge=f"refc{n}", subnet=f"10.86.{16 * n}.0/20"))
    return found
