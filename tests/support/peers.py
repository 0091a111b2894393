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
