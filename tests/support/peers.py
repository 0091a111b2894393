# SPDX-License-Identifier: GPL-2.0-or-later
"""Endpoints of other nodes in a lab's store, as its agent would write them.

    peers = Peers(lab)
    peers.put(peer("web", "10.5.2.10"))
    peers.delete("ov", "web-id")
"""
import json

from . import dns
from .tools import built


def peer(name, *addresses, network="ov", node="node-b", id=None, **more):
    """A record: `id` is NAME-id unless told, and so is the container's."""
    id = id or f"{name}-id"
    record = {"network": network, "id": id, "node": node, "container": id, "ifname": "eth0", "mac": "02:00:00:00:00:0b",
              "name": name, **{"addr6" if ":" in a else "addr4": a for a in addresses}, **more}
    if isinstance(record.get("aliases"), list):
        record["aliases"] = json.dumps(record["aliases"])
    return record


FAR, FAR6 = "10.5.2.10", "fd05::2:10"   # of network ov of attach()


def attach(nodes):
    """On node 0, with a resolver: container c1 (called near) on network ov, c2 (other) on ov2; the node's lab."""
    for i, (net, container, name) in enumerate((("ov", "c1", "near"), ("ov2", "c2", "other"))):
        nodes[0].attach(dns.named(config(nodes, net, i), name), container)
    return nodes[0].lab


def config(nodes, net="ov", i=0, **more):
    return nodes.config(0, inside=(4, 6), net=net, vni=5001 + i, third=5 + i, dns={"enabled": True}, **more)


def tunnel(lab, vni=5001):
    """Its name."""
    links = json.loads(lab.run(["ip", "-j", "-d", "link", "show", "type", "vxlan"]).stdout)
    return next(link["ifname"] for link in links if link["linkinfo"]["info_data"]["id"] == vni)


class Peers:
    """Of a lab in which a plugin has run already: the store is there."""

    def __init__(self, lab):
        self.lab = lab

    def _tool(self, verb, *words, input=None):
        return self.lab.run([built("peer-tool", "overlay"), dns.state_dir(self.lab), verb, *words], input=input).stdout

    def put(self, *records):
        """In one transaction."""
        self._tool("put", input="".join(json.dumps(record) + "\n" for record in records))

    def delete(self, network, *ids):
        self._tool("del", network, *ids)

    def list(self, *network):
        return [json.loads(line) for line in self._tool("ls", *network).splitlines()]
