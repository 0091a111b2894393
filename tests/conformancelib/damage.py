# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host needs beforehand, and what happens to an attachment behind a plugin's back."""
import json
import os


# ---- before ADD ----

def host_devices(world):
    for container in ("c1", "c2", "warm"):
        world.lab.run(["ip", "link", "add", f"hd-{container}", "type", "veth", "peer", "name", f"hp-{container}"])
        # The reference notes the name there, and leaves it.
        world.lab.run(["ip", "link", "set", f"hd-{container}", "alias", f"hd-{container}"])
        # The peer's far end stays up, so that the device has a carrier wherever it goes.
        world.lab.run(["ip", "link", "set", f"hp-{container}", "up"])


def host_alias(world):
    world.lab.alias_netns("own")


def owner(world):
    """A container that is attached already, whose sandbox another one joins."""
    world.base_add("owner")


def qdiscs(lab):
    """Snapshot section: queueing disciplines that somebody chose."""
    found = json.loads(lab.run(["tc", "-j", "qdisc"]).stdout or "[]")
    keep = [q for q in found if q["kind"] not in ("noqueue", "noop", "pfifo_fast", "fq_codel", "mq", "fq")]
    return {"host/qdiscs": sorted(f"{q['dev']}: {q['kind']} {q.get('options')}" for q in keep)}


# ---- after ADD ----

def _ip(world, at, *argv):
    world.lab.run(["ip", *argv], netns=at.inside)


def _address(world, at):
    """the address is taken off the interface"""
    _ip(world, at, "addr", "flush", "dev", at.ifname, "scope", "global")


def _route(world, at):
    """a route of the result is deleted"""
    _ip(world, at, "route", "del", "198.51.100.0/24")


def _link(world, at):
    """the interface is deleted"""
    _ip(world, at, "link", "del", at.ifname)


def _down(world, at):
    """the interface is set down"""
    _ip(world, at, "link", "set", at.ifname, "down")


def _lo_down(world, at):
    """lo is set down"""
    _ip(world, at, "link", "set", "lo", "down")


def _mac(world, at):
    """the interface gets another MAC"""
    _ip(world, at, "link", "set", at.ifname, "address", "02:00:00:00:ee:01")


def _mtu(world, at):
    """the interface gets another MTU"""
    _ip(world, at, "link", "set", at.ifname, "mtu", "1300")


def _promisc(world, at):
    """promiscuous mode is switched off"""
    _ip(world, at, "link", "set", at.ifname, "promisc", "off")


def _sysctl(world, at):
    """a sysctl gets another value"""
    world.lab.sysctl("net.ipv4.conf.all.log_martians", 0, netns=at.inside)


def _host_end(at):
    return next(i["name"] for i in at.result["interfaces"]
                if not i.get("sandbox") and i["name"].startswith(("veth", "fl")))


def _port(world, at):
    """the host end leaves the bridge"""
    world.lab.run(["ip", "link", "set", _host_end(at), "nomaster"])


def _host(world, at):
    """the host end's address and routes are removed"""
    world.lab.run(["ip", "addr", "flush", "dev", _host_end(at)])
    world.lab.run(["ip", "route", "flush", "dev", _host_end(at)], check=False)


def _nft(world, at):
    """the ruleset is flushed"""
    world.lab.nft("flush ruleset\n")


def _state(world, at):
    """the files that ADD wrote below /run and /var/lib/cni are lost"""
    if not at.files:
        raise AssertionError("ADD wrote no file that CHECK could miss")
    world.lab.call(_unlink, at.files)


def _unlink(paths):
    for path in paths:
        os.unlink(path)


def _qdisc(world, at):
    """the shaper is removed from the host end"""
    world.lab.run(["tc", "qdisc", "del", "dev", _host_end(at), "root"])


def _rule(world, at):
    """the policy rules are removed"""
    for rule in world.lab.ip("rule", netns=at.inside):
        if rule["priority"] not in (0, 32766, 32767):
            _ip(world, at, "rule", "del", "pref", str(rule["priority"]))


def _unslave(world, at):
    """the interface leaves the VRF"""
    _ip(world, at, "link", "set", at.ifname, "nomaster")


TAMPER = {"address": _address, "route": _route, "link": _link, "down": _down, "lo-down": _lo_down, "mac": _mac,
          "mtu": _mtu, "promisc": _promisc, "sysctl": _sysctl, "port": _port, "host-end": _host,
          "nft": _nft, "state": _state, "qdisc": _qdisc, "rule": _rule, "unslave": _unslave}
