# SPDX-License-Identifier: GPL-2.0-or-later
"""Bridge, tunnel and ports that somebody deletes or changes under running containers: all of it comes back, without an ADD."""
import json

import pytest

from support.cluster import Cluster

MODES = {"l2": 5, "l3": 6}
PORT_FLAGS = ("state", "learning", "locked", "hairpin", "neigh_suppress", "isolated")


def config(mode):
    third = MODES[mode]
    return {"cniVersion": "1.1.0", "name": mode, "type": "overlay", "mode": "etcd", "overlayMode": mode, "ipMasq": True,
            "subnets": [f"10.{third}.0.0/24", f"fd{third:02x}::/64"]}


@pytest.fixture(scope="module")
def pair():
    with Cluster(nodes=2) as pair:
        pair.where = {}
        for node in pair:
            for mode in MODES:
                for name in (f"{mode}-1", f"{mode}-2"):
                    pair.where[node.index, name] = node.attach(config(mode), name)[0].addresses()
                    for address in ("0.0.0.0", "::"):
                        node.lab.tcp_server(name, address, 80)
        yield pair


class Seen:
    """What the host has of a network."""

    def __init__(self, node, mode):
        self.lab, self.links = node.lab, {link["ifname"]: link for link in node.lab.ip("-d", "addr")}
        self.mode, third = mode, MODES[mode]
        mine = [name for name, link in self.links.items() if any(
            a["local"] == f"10.{third}.0.1" for a in link["addr_info"])]
        [self.bridge] = mine or [None]
        self.tunnel = self.bridge and "flx" + self.bridge[3:]
        self.ports = sorted(name for name, link in self.links.items() if self.bridge and link.get("master") == self.bridge)

    def all(self):
        if not self.bridge or self.tunnel not in self.links:
            return None
        devices = (self.bridge, self.tunnel)
        return {"links": {name: self.link(name) for name in {*devices, *self.ports}},
                "addresses": {name: self.addresses(name) for name in devices},
                "routes": {(family, name): self.routes(family, name) for family in ("-4", "-6") for name in devices},
                "neighbours": {name: sorted((n["dst"], n["lladdr"]) for n in self.lab.ip("neigh", "show", "dev", name, "nud", "permanent")
                                            if not n["dst"].startswith("ff")) for name in devices},
                "fdb": self.fdb(), "sysctls": {name: self.sysctls(name) for name in devices},
                "nft": self.lab.run(["nft", "-s", "list", "ruleset"]).stdout}

    def link(self, name):
        link = self.links[name]
        info = link["linkinfo"]
        flags = {key: info.get("info_slave_data", {}).get(key) for key in PORT_FLAGS}
        vxlan = {key: value for key, value in info.get("info_data", {}).items() if info["info_kind"] == "vxlan"}
        # As a port the tunnel's own MAC is nobody's concern.
        mac = None if name == self.tunnel and self.mode == "l2" else link["address"]
        return (link["mtu"], mac, link.get("master"), link["group"], "UP" in link["flags"], link.get("inet6_addr_gen_mode"), flags, vxlan)

    def addresses(self, name):
        return sorted((a["local"], a["prefixlen"], a["scope"], a.get("deprecated"), a.get("nodad")) for a in self.links[name]["addr_info"])

    def routes(self, family, name):
        return sorted((r["dst"], r.get("gateway", ""), r.get("protocol"), r.get("prefsrc", ""), r.get("scope"), r.get("flags"))
                      for r in self.lab.ip(family, "route", "show", "table", "all", "dev", name))

    def fdb(self):
        own = self.links[self.tunnel]["address"]
        found = []
        for name in (self.bridge, self.tunnel, *self.ports):
            for e in json.loads(self.lab.run(["bridge", "-j", "fdb", "show", "dev", name]).stdout):
                if e["mac"] != own or self.mode == "l3":
                    found.append((name, e["mac"], e.get("dst", ""), e.get("master", ""), e["state"], sorted(e.get("flags", []))))
        return sorted(set(map(repr, found)))

    def sysctls(self, name):
        keys = [("ipv4", "forwarding"), ("ipv4", "route_localnet"), ("ipv4", "send_redirects"), ("ipv4", "rp_filter"),
                ("ipv6", "disable_ipv6")]
        if name == self.bridge or self.mode == "l3":    # else IPv6 is off
            keys += [("ipv6", key) for key in ("forwarding", "keep_addr_on_down", "accept_ra", "accept_dad")]
        return {key: self.lab.read(f"/proc/sys/net/{key[0]}/conf/{name}/{key[1]}").strip() for key in keys}


def look(node, mode):
    """None while a device is missing, or goes meanwhile."""
    try:
        return Seen(node, mode).all()
    except (AssertionError, FileNotFoundError):
        return None


def delete_tunnel(seen):
    seen.lab.run(["ip", "link", "del", seen.tunnel])


def delete_bridge(seen):
    seen.lab.run(["ip", "link", "del", seen.bridge])


def delete_both(seen):
    delete_tunnel(seen)
    delete_bridge(seen)


def tunnels_mac(seen):
    seen.lab.run(["ip", "link", "set", seen.tunnel, "address", "02:00:00:00:00:77"])


def bridges_mac(seen):
    seen.lab.run(["ip", "link", "set", seen.bridge, "address", "02:00:00:00:00:78"])


def tunnels_place(seen):
    seen.lab.run(["ip", "link", "set", seen.tunnel, *(["nomaster"] if seen.mode == "l2" else ["master", seen.bridge])])


def take_a_port(seen):
    [port] = [port for port in seen.ports if port != seen.tunnel][:1]
    seen.lab.run(["ip", "link", "set", port, "nomaster"])


def take_addresses(seen):
    for name in (seen.bridge, seen.tunnel):
        for a in seen.links[name]["addr_info"]:
            if a["scope"] == "global":
                seen.lab.run(["ip", "addr", "del", f"{a['local']}/{a['prefixlen']}", "dev", name])


def take_own_ipv6(seen):
    """Of IPv6 the routes stay, without a source."""
    name = seen.tunnel if seen.mode == "l3" else seen.bridge
    for a in seen.links[name]["addr_info"]:
        if a["scope"] == "global" and a["family"] == "inet6" and not a.get("deprecated"):
            seen.lab.run(["ip", "addr", "del", f"{a['local']}/{a['prefixlen']}", "dev", name])


@pytest.mark.parametrize("damage", [delete_tunnel, delete_bridge, delete_both, tunnels_mac, bridges_mac, tunnels_place, take_a_port,
                                    take_addresses, take_own_ipv6], ids=lambda f: f.__name__)
@pytest.mark.parametrize("mode", MODES)
def test_it_is_as_it_was(pair, mode, damage):
    node = pair[0]
    seen = Seen(node, mode)
    before = seen.all()
    node.pause()
    damage(seen)
    unseen = mode == "l2" and damage is tunnels_mac
    assert unseen or look(node, mode) != before
    node.resume()
    comes_back(pair, mode, seen, before)


@pytest.mark.parametrize("damage", [delete_tunnel, delete_both, tunnels_place, take_a_port, take_addresses], ids=lambda f: f.__name__)
@pytest.mark.parametrize("mode", MODES)
def test_without_an_agent(pair, mode, damage):
    """What was deleted or changed then is mended by the one that starts."""
    node = pair[0]
    seen = Seen(node, mode)
    before = seen.all()
    node.stop()
    damage(seen)
    assert look(node, mode) != before
    node.start()
    comes_back(pair, mode, seen, before)


def comes_back(pair, mode, seen, before):
    node = pair[0]
    try:
        pair.wait(lambda: not difference(before, look(node, mode)), what="all as it was")
    except AssertionError as error:
        raise AssertionError(difference(before, look(node, mode))) from error
    for at in (0, 1):
        pair.wait(lambda at=at: node.lab.reaches(f"{mode}-1", pair.where[1, f"{mode}-1"][at], 80), what="the way there")
        for name in (f"{mode}-1", f"{mode}-2"):
            assert pair[1].lab.probe(f"{mode}-2", pair.where[0, name][at], 80).server == name
        own = next(a["local"] for link in (seen.bridge, seen.tunnel) for a in seen.links[link]["addr_info"]
                   if a["scope"] == "global" and (a["family"] == "inet6") == bool(at) and not a["local"].endswith((".0.1", "::1")))
        for k in (0, 1):
            assert node.lab.probe(None, pair.where[k, f"{mode}-1"][at], 80).peer == own


def difference(before, after):
    return {key: (value, after[key]) for key, value in before.items() if value != after[key]} if after else "devices are missing"
