# SPDX-License-Identifier: GPL-2.0-or-later
"""A cluster to break: three nodes with a container each (c0, c1, c2, called w0, w1, w2), and what tests ask of it."""
import contextlib
import dataclasses
import json
import queue
import re
import subprocess
import threading
import time

from . import dns
from .cluster import Cluster
from .configs import with_previous
from .nodes import vtep
from .streams import EVERY, Streams
from .truth import addresses, below, network, settled

NAME = "web"
CONF = {"cniVersion": "1.1.0", "name": NAME, "type": "overlay", "mode": "etcd", "ipMasq": True,
        "dns": {"enabled": True, "forward": False}}


@dataclasses.dataclass(frozen=True)
class Shape:
    """Of a network, and of what is below it."""
    subnets: tuple
    underlay: int = 4       # family
    mode: str = "l2"
    elsewhere: str = None   # an address in a block that no container has got by itself

    @property
    def config(self):
        return {**CONF, "subnets": list(self.subnets), **({"overlayMode": self.mode} if self.mode != "l2" else {})}


SHAPES = {
    "keys": Shape(("10.5.0.0/24",)),
    "blocks": Shape(("10.5.0.0/20", "fd05::/64"), underlay=6, elsewhere="10.5.15.9"),
    "routed": Shape(("10.5.0.0/20", "fd05::/112"), mode="l3", elsewhere="10.5.15.9"),
}


@contextlib.contextmanager
def within(seconds):
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds, f"took {took:.1f} s"


class Bench:
    def __init__(self, members, lease, hold_down, nodes=3, shape="keys"):
        self.shape = SHAPES[shape]
        self.cluster = Cluster(nodes, members, config={"leaseSeconds": lease, "holdDownSeconds": hold_down}, start=False)
        self.streams = Streams()
        self.added = {}             # name -> (node, result)
        try:
            for node in self.cluster:
                node.configure(local=vtep(node.index, self.shape.underlay))
                node.start()
            self.results = [self.add(i, f"c{i}", called=f"w{i}").expect() for i in range(nodes)]
            self.pairs = [self.host_end(result) for result in self.results]
            self.net, record = network(self.cluster.records(), NAME)
            self.vni = record["vni"]
            self.servers = [node.lab.tcp_server(f"c{node.index}") for node in self.cluster]
            settled(self.cluster)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.streams.__exit__()
        self.cluster.close()

    def mend(self):
        """After a test that failed, too: everything runs, and only the three are there."""
        cluster = self.cluster
        for name in cluster.etcd.names:
            if name not in cluster.etcd.processes:
                cluster.etcd.start(name, wait=False)
        for node in cluster:
            cluster.heal(node.index)
            if not node.process:
                node.start()
            node.resume()
        for name, (i, _) in list(self.added.items()):
            if not name.startswith("c"):
                self.delete(i, name)
        with self.streams.lock:
            self.streams.flows.clear()

    # ---- containers ----

    def config(self, called=None, ips=None):
        return dns.named(self.shape.config, called, **({"ips": ips} if ips else {}))

    def fresh(self, i, name):
        lab = self.cluster[i].lab
        if not lab.exists(f"/run/netns/{name}"):
            lab.netns(name)
            dns.lo_up(lab, name)        # which ADD does too, and leaves so

    def add(self, i, name, called=None, ips=None):
        self.fresh(i, name)
        outcome = self.cluster[i].cni.add("overlay", self.config(called or name, ips), name)
        if outcome.ok:
            self.added[name] = i, outcome
        return outcome

    def delete(self, i, name):
        outcome = self.cluster[i].cni.delete("overlay", self.config(name), name)
        if outcome.ok:
            self.added.pop(name, None)
        return outcome

    def check(self, i, name, outcome):
        return self.cluster[i].cni.check("overlay", with_previous(self.config(name), outcome.json), name)

    def churn(self, i, times):
        for _ in range(times):
            self.add(i, "brief").expect()
            self.delete(i, "brief").expect()

    def address(self, i):
        return self.results[i].address

    def address_of(self, name):
        return self.added[name][1].address

    @staticmethod
    def host_end(outcome):
        return outcome.json["interfaces"][1]["name"]

    def port(self, i):
        return self.servers[i].port

    def reaches(self, i, k):
        assert self.cluster[i].lab.probe(f"c{i}", self.address(k), self.port(k)).peer == self.address(i)

    # ---- traffic ----

    def flow(self, i, k):
        return self.flow_of(f"c{i}", f"c{k}")

    def let_pass(self, flow, seconds):
        """Time, in which packets flow."""
        before, sent = flow.report().sent, seconds / EVERY
        self.cluster.wait(lambda: flow.report().sent - before > sent, seconds * 10)

    def flow_of(self, a, b):
        """Names; by each address that they have."""
        return self.streams.between(*((self.cluster[i].lab, name, *outcome.addresses())
                                      for name in (a, b) for i, outcome in [self.added[name]]))

    # ---- the kernel ----

    def kernel(self, i):
        node = self.cluster[i]
        return (node.fdb(self.vni), node.ports(self.vni), node.neighbours(self.vni), node.neighbours(self.vni, of="ifname"),
                node.routes(self.vni))

    def own(self, i):
        """MAC and addresses of the device that is the node's own in the network."""
        bridge, tunnel = self.cluster[i].devices(self.vni)
        [link] = self.cluster[i].lab.ip("addr", "show", "dev", tunnel if self.shape.mode == "l3" else bridge)
        return link["address"], sorted(a["local"] for a in link["addr_info"] if a["scope"] == "global")

    def flags(self, i, device):
        return self.cluster[i].lab.ip("link", "show", "dev", device)[0]["flags"]

    # ---- the store ----

    def owners_in(self, records):
        """{address: container}"""
        return {ip: ep["container"] for ep in below(records, f"ep/{self.net}/").values() for ip in addresses(ep)}

    def owners(self):
        return self.owners_in(self.cluster.records())

    def identities(self, records, i):
        """Of all that a node had: they, its addresses and its blocks."""
        name = self.cluster[i].name
        had = [ep for ep in below(records, f"ep/{self.net}/").values() if ep["node"] == name] + [records[f"join/{self.net}/{name}"]]
        blocks = {key.replace("-", "/") for key, block in below(records, f"blk/{self.net}/").items() if block.get("node") == name}
        return blocks | {word for item in had for word in (item["mac"], *addresses(item))}

    def left_of(self, i):
        """Keys that tell of a node. What it freed is in quarantine, and nobody's."""
        name = self.cluster[i].name
        return [key for key, value in self.cluster.records().items()
                if isinstance(value, dict) and (key.endswith("/" + name) or value.get("node") == name and value.get("use") != "freed")]

    def wait_given_back(self, name):
        self.cluster.wait(lambda: name not in self.owners().values(), 15, f"the end of {name} in the store")

    def wait_swept(self, i):
        self.cluster.wait(lambda: not self.left_of(i), 30, "the end of all that the node had")

    def compact(self):
        status = json.loads(self.cluster.etcd.ctl("endpoint", "status", "-w", "json").stdout)
        self.cluster.etcd.ctl("compaction", str(max(s["Status"]["header"]["revision"] for s in status)))


class Watcher:
    """What the kernel of a node tells of a network's bridge and tunnel, by ip(8) and bridge(8), from now on."""

    def __init__(self, node, vni):
        self.lab = node.lab
        _, tunnel = self.names = node.devices(vni)
        # Of the family of the underlay: the tunnel takes no other.
        self.nowhere = "2001:db8::99" if ":" in next(iter(node.fdb(vni).values()), "") else "192.0.2.99"
        self.tunnel = tunnel
        self._lines = queue.Queue()
        self._seen = []
        self._processes = [self.lab.start(argv, stdout=subprocess.PIPE, text=True) for argv in (
            ["stdbuf", "-oL", "ip", "monitor", "link", "address", "neigh", "route"], ["stdbuf", "-oL", "bridge", "monitor", "fdb"])]
        for process in self._processes:
            threading.Thread(target=self._read, args=(process.stdout,), daemon=True).start()
        self._mark("02:00:00:00:77:01")
        self._seen.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.kill()

    def events(self):
        """Lines about bridge and tunnel until now."""
        self._mark("02:00:00:00:77:02")
        # Links settle when they like (link_watch): all but what is taken away. And so does what is learned of link-local ones, and
        # what stands for groups, which the kernel drops when it is old.
        return [line for line in self._seen if any(name in line for name in self.names) and not re.match(r"\d+: |(Deleted )?(fe80|ff02):", line)]

    def _read(self, stream):
        for line in stream:
            self._lines.put(line.strip())

    def _mark(self, mac):
        """Both monitors have told of all that was before. A monitor may not listen yet: again, until it is heard."""
        waiting, end = {"ip", "bridge"}, time.monotonic() + 10
        while waiting:
            assert time.monotonic() < end, f"no word of {waiting}"
            for argv in (["ip", "neigh", "replace", "192.0.2.99", "lladdr", mac, "dev", "up0", "nud", "permanent"],
                         ["ip", "neigh", "del", "192.0.2.99", "dev", "up0"],
                         ["bridge", "fdb", "replace", mac, "dev", self.tunnel, "dst", self.nowhere, "self", "permanent"],
                         ["bridge", "fdb", "del", mac, "dev", self.tunnel, "dst", self.nowhere, "self"]):
                self.lab.run(argv, check=False)
            with contextlib.suppress(queue.Empty):
                while waiting:
                    line = self._lines.get(timeout=0.2)
                    if "02:00:00:00:77:" not in line and "192.0.2.99" not in line and self.nowhere not in line:
                        self._seen.append(line)
                    elif mac in line:
                        waiting.discard("ip" if "up0" in line else "bridge")
