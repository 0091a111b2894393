# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes of a cluster: hosts on one wire, etcd on the same wire, and an agent on each host.

    with Cluster(nodes=3, members=3) as cluster:
        cluster[0].netctl("network", "create", "-d", "overlay", "web").expect()
        cluster[1].lab.probe("c1", "10.128.0.7", 80)
        cluster.cut(2, "etcd")                  # the node and the members do not hear each other; "all": nobody hears it
        cluster.heal(2)
        cluster[0].kill(); cluster[0].start()   # the agent, SIGKILL
        cluster.etcd.kill("m1")
        cluster.records("ep/")                  # what etcdctl finds below /fairlead/v1/, decoded
        cluster[1].fdb(VNI)                     # what bridge(8) finds: {MAC: VTEP}

Nodes are node1, node2, ... at 192.0.2.1, .2, ...; members are m1, m2, ... at 192.0.2.101, ....
"""
import base64
import ipaddress
import json
import os
import signal
import subprocess
import time

from .cni import _sanitizer_options, libexec
from .etcd import Cluster as Etcd
from .etcd import Wire as EtcdWire
from .netctl import Netctl
from .nodes import Nodes, vtep

CONFIG = "/etc/fairlead/overlay.json"
LOG = "/run/overlay.log"
PREFIX = "/fairlead/v1/"
READY = "fairlead-overlayd: ready"
READY_WITHIN = 20.0
WITNESS = "192.0.2.254"     # where etcdctl asks from

# Frames that are lost on the wire, by the bridge that is the wire: silence, as on a real one.
_CUTS = """\
table bridge cut {
	set pairs { type ipv4_addr . ipv4_addr; }
	set vxlan { type ipv4_addr . ipv4_addr; }
	chain forward {
		type filter hook forward priority 0; policy accept;
		ip saddr . ip daddr @pairs drop
		udp dport 4789 ip saddr . ip daddr @vxlan drop
	}
}
"""


class ClusterNode:
    """One host: what Nodes has of it, its netctl and its agent."""

    def __init__(self, node, config):
        self.index, self.lab, self.cni, self.config = node.index, node.lab, node.cni, config
        self.attach = node.attach
        self.netctl = Netctl(node.lab)
        self.process = None
        self._log = 0
        self.configure()

    @property
    def name(self):
        return self.config["node"]

    def configure(self, **changes):
        """Writes the agent's configuration; None takes a key away."""
        self.config = {key: value for key, value in {**self.config, **changes}.items() if value is not None}
        self.lab.write(CONFIG, json.dumps(self.config))

    # ---- the agent ----

    def start(self, *options, wait=True, prefix=()):
        """In the foreground, as a child of this process."""
        log = self.lab.call(open, LOG, "ab")
        self._log = self.lab.call(_size, LOG)
        with log:
            env = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", **_sanitizer_options()}
            self.process = self.lab.start([*prefix, libexec("fairlead-overlayd"), *options], stdout=log, stderr=log,
                                          stdin=subprocess.DEVNULL, env=env)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=READY_WITHIN):
        end = time.monotonic() + seconds
        while READY not in self.log():
            status = self.process.poll()
            assert status is None, f"{self.name}: fairlead-overlayd ended with {status}:\n{self.log()[-3000:]}"
            assert time.monotonic() < end, f"{self.name}: not ready within {seconds} s:\n{self.log()[-3000:]}"
            time.sleep(0.01)

    def log(self, whole=False):
        """What the agent said since it was started."""
        return self.lab.call(_tail, LOG, 0 if whole else self._log)

    def stop(self, how=signal.SIGTERM):
        status = self.lab.stop(self.process, how)
        self.process = None
        return status

    def kill(self):
        return self.stop(signal.SIGKILL)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    # ---- what is there, by ip(8) and bridge(8) ----

    def tunnels(self):
        """{VNI: link} of the host's VXLAN devices."""
        return {link["linkinfo"]["info_data"]["id"]: link for link in self.lab.ip("-d", "link", "show", "type", "vxlan")
                if link}

    def fdb(self, vni):
        """{MAC: VTEP}, of the tunnel itself."""
        return {entry["mac"]: entry["dst"] for entry in self._fdb(vni) if "dst" in entry}

    def ports(self, vni):
        """MACs that the bridge sends into the tunnel."""
        return {entry["mac"] for entry in self._fdb(vni) if "master" in entry and entry["state"] == "static"}

    def devices(self, vni):
        """Names of a network's bridge and tunnel, which in mode l3 is no port of it; None: they are not there."""
        tunnel = self.tunnels().get(vni)
        return tunnel and (tunnel.get("master", "flo" + tunnel["ifname"][3:]), tunnel["ifname"])

    def neighbours(self, vni, of="master"):
        """{address: MAC} that stay for ever, of the bridge; of the tunnel with of="ifname"."""
        devices = self.devices(vni)
        if not devices:
            return {}
        found = self.lab.ip("neigh", "show", "dev", devices[of == "ifname"], "nud", "permanent")
        return {entry["dst"]: entry["lladdr"] for entry in found
                if not ipaddress.ip_address(entry["dst"]).is_multicast}

    def routes(self, vni):
        """{prefix: (device, next hop or None)} of mode l3's own routes, which are marked."""
        return {route["dst"]: (device, route.get("gateway")) for device in self.devices(vni) or () for family in ("-4", "-6")
                for route in self.lab.ip(family, "route", "show", "dev", device, "proto", "102")}

    def leads_to(self, vni, address):
        """The VTEP to which frames for a container's address go, or None: all three entries together."""
        mac = self.neighbours(vni).get(address)
        return self.fdb(vni).get(mac) if mac in self.ports(vni) else None

    def _fdb(self, vni):
        tunnel = self.tunnels().get(vni)
        return json.loads(self.lab.run(["bridge", "-j", "fdb", "show", "dev", tunnel["ifname"]]).stdout) if tunnel else []


class Cluster:
    """`config`: keys for each node's agent. `start`: with the agents, else each comes with its node's start()."""

    def __init__(self, nodes=3, members=1, mtu=1500, config=None, start=True, cluster="fairlead", tell=lambda text: None, **etcd):
        self.prefix = f"/{cluster}/v1/"
        tell(f"{nodes} nodes")
        self.bed = Nodes(nodes, mtu)
        self.nodes, self.etcd = [], None
        try:
            self.bed.switch.run(["ip", "addr", "add", f"{WITNESS}/24", "dev", "under"])
            self.bed.switch.nft(_CUTS)
            tell(f"etcd with {members} member{'s' if members > 1 else ''}")
            self.etcd = Etcd(self.bed.switch, members, wire=EtcdWire("under", "192.0.2", 101, mtu, False), **etcd)
            common = {"endpoints": [self.etcd.url(name) for name in self.etcd.names], **(config or {})}
            self.nodes = [ClusterNode(node, {"node": f"node{node.index + 1}", **common}) for node in self.bed]
            for node in self.nodes if start else ():
                tell(f"agent of {node.name}")
                node.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.bed.close()

    def __getitem__(self, i):
        return self.nodes[i]

    def __iter__(self):
        return iter(self.nodes)

    def __len__(self):
        return len(self.nodes)

    @property
    def outside(self):
        """The lab whose namespace "outside" is the outside host."""
        return self.bed.switch

    # ---- the wire ----

    def cut(self, i, from_whom="all"):
        """Nothing passes between node i and "etcd", "all", the number of another node, or the name of a member."""
        if from_whom == "all":
            self.bed.switch.run(["ip", "link", "set", f"n{i}", "down"])
            return
        others = ([self.etcd.address(name) for name in self.etcd.names] if from_whom == "etcd" else
                  [vtep(from_whom)] if isinstance(from_whom, int) else [self.etcd.address(from_whom)])
        self._lose("pairs", i, others)

    def block_vxlan(self, i, k):
        """Only UDP port 4789 does not pass between the two nodes."""
        self._lose("vxlan", i, [vtep(k)])

    def heal(self, i):
        """Undoes every cut of node i, and of others from it."""
        self.bed.switch.run(["ip", "link", "set", f"n{i}", "up"])
        for name in ("pairs", "vxlan"):
            listed = json.loads(self.bed.switch.run(["nft", "-j", "list", "set", "bridge", "cut", name]).stdout)
            pairs = [item["concat"] for part in listed["nftables"] if "set" in part for item in part["set"].get("elem", [])]
            for pair in pairs:
                if vtep(i) in pair:
                    self.bed.switch.nft(f"delete element bridge cut {name} {{ {' . '.join(pair)} }}")

    def _lose(self, name, i, others):
        pairs = [f"{a} . {b}" for other in others for a, b in ((vtep(i), other), (other, vtep(i)))]
        self.bed.switch.nft(f"add element bridge cut {name} {{ {', '.join(pairs)} }}")

    # ---- the store, by etcdctl ----

    def keys(self, prefix=""):
        """Keys below the cluster's own prefix."""
        out = self.etcd.ctl("get", "--prefix", "--keys-only", self.prefix + prefix).stdout
        return [key[len(self.prefix):] for key in out.split()]

    def records(self, prefix=""):
        """{key: value}, the values decoded."""
        out = json.loads(self.etcd.ctl("get", "--prefix", "-w", "json", self.prefix + prefix).stdout)

        def text(item, key):
            return base64.b64decode(item.get(key, "")).decode()
        return {text(item, "key")[len(self.prefix):]: _decoded(text(item, "value")) for item in out.get("kvs", [])}

    def unused(self, subnet="10.5.0.0/24"):
        """Addresses of a subnet that no record has, nor a block of one, but for its first three and its last.

        Nodes and containers choose theirs at random: what a test writes in their name must not be one of them.
        """
        used, blocks, subnet = set(), [], ipaddress.ip_network(subnet)
        for key, value in self.records().items():
            kind, name = key.split("/")[0], key.split("/")[-1]
            if kind == "ip":
                used.add(name)
            if kind == "blk":
                blocks.append(ipaddress.ip_network(name.replace("-", "/")))
            if isinstance(value, dict):
                used |= {str(value.get("ip4")), str(value.get("ip6"))}
        for n in range(3, subnet.num_addresses - 1):
            address = subnet[n]
            if str(address) not in used and not any(address in block for block in blocks):
                yield str(address)

    def wait(self, condition, seconds=10.0, what="it"):
        """Until condition() is true; what it returned."""
        end = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            assert time.monotonic() < end, f"{what} did not come to be within {seconds} s\n" + "\n".join(
                f"{node.name}: {node.log()[-1000:]}" for node in self.nodes if node.process)
            time.sleep(0.02)


def _decoded(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def _size(path):
    return os.path.getsize(path)


def _tail(path, start):
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
