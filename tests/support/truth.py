# SPDX-License-Identifier: GPL-2.0-or-later
"""Is what nodes have what the cluster's store says? By ip(8), bridge(8) and etcdctl, each read for itself.

    assert not differences(cluster, "web")          # now
    settled(cluster, "web")                         # soon, and from then on

Stale entries count as well as missing ones: FDB, neighbours and routes, the node's own addresses, records of endpoints
that no node has, addresses and bits of blocks without endpoint, and the names that the resolver knows.
"""
import ipaddress
import json

from .peers import Peers

SETTLED_WITHIN = 15.0


def network(records, name):
    """(id, record) of a network."""
    return next((key[4:], value) for key, value in records.items() if key.startswith("net/") and value["name"] == name)


def below(records, prefix):
    """{rest of the key: value}"""
    return {key[len(prefix):]: value for key, value in records.items() if key.startswith(prefix)}


def addresses(record):
    """Of an endpoint or a node in the network, IPv4 first."""
    return [record[key] for key in ("ip4", "ip6") if key in record]


class View:
    """What one node's kernel and store have of a network, and what they ought to."""

    def __init__(self, node, records, name):
        self.node, self.name = node, name
        net, self.record = network(records, name)
        self.eps, self.joins = below(records, f"ep/{net}/"), below(records, f"join/{net}/")
        self.nodes, self.alive = below(records, "node/"), below(records, "alive/")
        self.blocks = {key.replace("-", "/"): value.get("node") for key, value in below(records, f"blk/{net}/").items()}
        self.here = node.name in self.joins

    def differences(self):
        found = self._kernel() + self._names()
        return [f"{self.node.name}: {text}" for text in found]

    # ---- wanted ----

    def _is_remote(self, node):
        return node != self.node.name and node in self.nodes

    def _vtep(self, node):
        return self.nodes[node].get("vtep4") or self.nodes[node]["vtep6"]

    def _remote(self, *records):
        """[(MAC, address, VTEP)] of what is on other nodes."""
        return [(record["mac"], ip, self._vtep(node)) for node, record in records if self._is_remote(node) for ip in addresses(record)]

    def _own(self):
        return {ip: ep["mac"] for ep in self.eps.values() if ep["node"] == self.node.name for ip in addresses(ep)}

    def _ways(self, bridge, tunnel):
        """{prefix: (device, next hop)}: blocks, and what is in none of its node's."""
        def way(node, six, of=None):
            hop = [ip for ip in addresses(self.joins.get(node, {})) if (":" in ip) == six]
            if of in hop and self._is_remote(node):     # its own address
                return tunnel, None
            return (bridge, None) if node == self.node.name else (tunnel, hop[0]) if hop and self._is_remote(node) else None
        holders = {ipaddress.ip_network(block): node for block, node in self.blocks.items()}
        wanted = {str(block): way(node, block.version == 6) for block, node in holders.items()}
        claims = [(ep["node"], ep) for ep in self.eps.values()] + [item for item in self.joins.items() if item[0] != self.node.name]
        for node, record in claims:
            for ip in map(ipaddress.ip_address, addresses(record)):
                block = ipaddress.ip_network((ip, ip.max_prefixlen - 6), strict=False)
                if holders.get(block) != node:
                    wanted[str(ip)] = way(node, ip.version == 6, str(ip))
        return {prefix: to for prefix, to in wanted.items() if to}

    # ---- compared ----

    def _kernel(self):
        devices = self.node.devices(self.record["vni"])
        if not self.here or not devices:
            return [f"a tunnel, and no join/: {devices[1]}"] if devices else ["join/, and no tunnel"] if self.here else []
        return (self._routed if self.record.get("mode") == "l3" else self._bridged)(*devices)

    def _bridged(self, bridge, _):
        vni = self.record["vni"]
        remote = self._remote(*((ep["node"], ep) for ep in self.eps.values()), *self.joins.items())
        found = compare("FDB", self.node.fdb(vni), {mac: vtep for mac, _, vtep in remote})
        found += compare("port", dict.fromkeys(self.node.ports(vni)), dict.fromkeys(mac for mac, _, _ in remote))
        found += compare("neighbour", self.node.neighbours(vni), {**self._own(), **{ip: mac for mac, ip, _ in remote}})
        return found + self._device(bridge, addresses(self.joins[self.node.name]) + self._gateways(), self.joins[self.node.name]["mac"])

    def _routed(self, bridge, tunnel):
        vni, remote = self.record["vni"], self._remote(*self.joins.items())
        found = compare("FDB", self.node.fdb(vni), {mac: vtep for mac, _, vtep in remote})
        found += compare("neighbour", self.node.neighbours(vni, of="ifname"), {ip: mac for mac, ip, _ in remote})
        found += compare("neighbour", self.node.neighbours(vni), self._own())
        found += compare("route", self.node.routes(vni), self._ways(bridge, tunnel))
        found += self._device(bridge, self._gateways())
        return found + self._device(tunnel, addresses(self.joins[self.node.name]), self.joins[self.node.name]["mac"])

    def _gateways(self):
        return [subnet["gateway"] for subnet in self.record["subnets"]]

    def _device(self, name, want, mac=None):
        [link] = self.node.lab.ip("addr", "show", "dev", name)
        has = [a["local"] for a in link["addr_info"] if a["scope"] == "global"]
        found = [] if sorted(has) == sorted(want) else [f"{name} has {sorted(has)}, not {sorted(want)}"]
        return found + ([] if mac in (None, link["address"]) else [f"{name} is {link['address']}, not {mac}"])

    def _names(self):
        if not self.here:
            return []
        has = {peer["id"]: (peer["container"], peer.get("name"), peer.get("addr4"), peer.get("addr6"), peer["node"],
                            bool(peer.get("suspect"))) for peer in Peers(self.node.lab).list(self.name)}
        want = {id: (ep["container"], ep.get("name"), ep.get("ip4"), ep.get("ip6"), ep["node"], ep["node"] not in self.alive)
                for id, ep in self.eps.items() if ep["node"] != self.node.name}
        return compare("name", has, want)


def compare(what, has, want):
    return ([f"{what} {key} is stale: {has[key]}" for key in has.keys() - want.keys()] +
            [f"{what} {key} is missing: {want[key]}" for key in want.keys() - has.keys()] +
            [f"{what} {key} is {has[key]}, not {want[key]}" for key in has.keys() & want.keys() if has[key] != want[key]])


def store_differences(records, name):
    """Each address in use has its endpoint or node, and the other way round. In blocks an address has a bit, which does not
    say whose."""
    net, record = network(records, name)
    claims, used = {}, {}
    for kind, prefix in (("endpoint", f"ep/{net}/"), ("node", f"join/{net}/")):
        for id, value in below(records, prefix).items():
            for ip in addresses(value):
                claims.setdefault(ip, []).append((kind, id))
    for ip, value in below(records, f"ip/{net}/").items():
        if value["use"] in ("endpoint", "node"):
            used[ip] = value["use"], value["id"] if value["use"] == "endpoint" else value["node"]
    found = [f"{ip} has two owners: {who}" for ip, who in claims.items() if len(who) > 1]
    bits = bits_of(below(records, f"blk/{net}/"))
    in_blocks = {ip for ip in claims if has_blocks(record, ip)}
    found += compare("bit", dict.fromkeys(bits), dict.fromkeys(in_blocks))
    return found + compare("address", used, {ip: who[0] for ip, who in claims.items() if ip not in in_blocks})


def has_blocks(record, ip):
    """By its subnet in the network's record."""
    subnet = next(s for s in (ipaddress.ip_network(s["subnet"]) for s in record["subnets"]) if ipaddress.ip_address(ip) in s)
    return record.get("mode") == "l3" or subnet.num_addresses > 1024


def bits_of(blocks):
    """Addresses that are taken there."""
    return {str(ipaddress.ip_address(key.split("-")[0]) + n) for key, value in blocks.items() for n in range(64)
            if int(value.get("used", "0"), 16) >> n & 1}


def differences(cluster, name="web", nodes=None):
    """Sentences; of all nodes whose agent runs, or of those that are named."""
    records = cluster.records()
    found = store_differences(records, name)
    alive = below(records, "alive/")
    for node in [node for node in cluster if node.process] if nodes is None else [cluster[i] for i in nodes]:
        found += View(node, records, name).differences() if node.name in alive else [f"{node.name}: no sign of life"]
    return found


def settled(cluster, name="web", nodes=None, seconds=SETTLED_WITHIN):
    last = []

    def none():
        last[:] = differences(cluster, name, nodes)
        return not last
    try:
        cluster.wait(none, seconds)
    except AssertionError as error:
        raise AssertionError("\n".join([*last, str(error)])) from None


def dump(cluster):
    """The whole store, for messages."""
    return json.dumps(cluster.records(), indent=1)
