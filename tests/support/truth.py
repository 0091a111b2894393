# SPDX-License-Identifier: GPL-2.0-or-later
"""Is what nodes have what the cluster's store says? By ip(8), bridge(8) and etcdctl, each read for itself.

    assert not differences(cluster, "web")          # now
    settled(cluster, "web")                         # soon, and from then on

Stale entries count as well as missing ones: FDB and neighbours, the bridge's own address, records of endpoints
that no node has, addresses without endpoint, and the names that the resolver knows.
"""
import json

from .peers import Peers

SETTLED_WITHIN = 15.0


def network(records, name):
    """(id, record) of a network."""
    return next((key[4:], value) for key, value in records.items() if key.startswith("net/") and value["name"] == name)


def below(records, prefix):
    """{rest of the key: value}"""
    return {key[len(prefix):]: value for key, value in records.items() if key.startswith(prefix)}


class View:
    """What one node's kernel and store have of a network, and what they ought to."""

    def __init__(self, node, records, name):
        self.node, self.name = node, name
        net, self.record = network(records, name)
        self.eps, self.joins = below(records, f"ep/{net}/"), below(records, f"join/{net}/")
        self.ips, self.nodes, self.alive = below(records, f"ip/{net}/"), below(records, "node/"), below(records, "alive/")
        self.here = node.name in self.joins

    def differences(self):
        found = self._kernel() + self._names()
        return [f"{self.node.name}: {text}" for text in found]

    # ---- wanted ----

    def _remote(self):
        """[(MAC, address, VTEP)] of endpoints and bridges of other nodes."""
        others = [(ep["mac"], ep["ip4"], ep["node"]) for ep in self.eps.values()]
        others += [(join["mac"], join["ip4"], node) for node, join in self.joins.items()]
        return [(mac, ip, self.nodes[node]["vtep4"]) for mac, ip, node in others
                if node != self.node.name and node in self.nodes]

    # ---- compared ----

    def _kernel(self):
        link = self.node.tunnels().get(self.record["vni"])
        if not self.here or not link:
            return [f"a tunnel, and no join/: {link['ifname']}"] if link else ["join/, and no tunnel"] if self.here else []
        vni, remote = self.record["vni"], self._remote()
        own = {ep["ip4"]: ep["mac"] for ep in self.eps.values() if ep["node"] == self.node.name}
        found = compare("FDB", self.node.fdb(vni), {mac: vtep for mac, _, vtep in remote})
        found += compare("port", dict.fromkeys(self.node.ports(vni)), dict.fromkeys(mac for mac, _, _ in remote))
        found += compare("neighbour", self.node.neighbours(vni), {**own, **{ip: mac for mac, ip, _ in remote}})
        return found + self._bridge(link["master"])

    def _bridge(self, name):
        [bridge] = self.node.lab.ip("addr", "show", "dev", name)
        join = self.joins[self.node.name]
        has = {a["local"] for a in bridge["addr_info"] if a["family"] == "inet"}
        want = {join["ip4"], self.record["subnets"][0]["gateway"]}
        found = [] if has == want else [f"bridge {name} has {sorted(has)}, not {sorted(want)}"]
        return found + ([] if bridge["address"] == join["mac"] else [f"bridge {name} is {bridge['address']}, not {join['mac']}"])

    def _names(self):
        if not self.here:
            return []
        has = {peer["id"]: (peer["container"], peer.get("name"), peer["addr4"], peer["node"], bool(peer.get("suspect")))
               for peer in Peers(self.node.lab).list(self.name)}
        want = {id: (ep["container"], ep.get("name"), ep["ip4"], ep["node"], ep["node"] not in self.alive)
                for id, ep in self.eps.items() if ep["node"] != self.node.name}
        return compare("name", has, want)


def compare(what, has, want):
    return ([f"{what} {key} is stale: {has[key]}" for key in has.keys() - want.keys()] +
            [f"{what} {key} is missing: {want[key]}" for key in want.keys() - has.keys()] +
            [f"{what} {key} is {has[key]}, not {want[key]}" for key in has.keys() & want.keys() if has[key] != want[key]])


def store_differences(records, name):
    """Each address in use has its endpoint or node, and the other way round."""
    net, record = network(records, name)
    claims = {}
    for id, ep in below(records, f"ep/{net}/").items():
        claims.setdefault(ep["ip4"], []).append(("endpoint", id))
    for node, join in below(records, f"join/{net}/").items():
        claims.setdefault(join["ip4"], []).append(("node", node))
    found = [f"{ip} has two owners: {who}" for ip, who in claims.items() if len(who) > 1]
    used = {ip: (value["use"], value["id"] if value["use"] == "endpoint" else value["node"])
            for ip, value in below(records, f"ip/{net}/").items() if value["use"] in ("endpoint", "node")}
    return found + compare("address", used, {ip: who[0] for ip, who in claims.items()})


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
