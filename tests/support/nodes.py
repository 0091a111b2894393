# SPDX-License-Identifier: GPL-2.0-or-later
"""Several hosts on one wire: what a network that spans nodes is tried on.

    with Nodes(3) as nodes:
        nodes[0].cni.add("overlay", nodes.config(0), "c1").expect()
        nodes[1].lab.probe("c1", "10.5.1.10", 80)     # from container c1 of the second node
        nodes.outside.probe("outside", "192.0.2.1", 8080)
        nodes.wire.frames()                           # what went over the wire meanwhile

Each node is a Lab of its own: network and mount namespace, /run, state directory. `up0` of node i
(from 0) is a port of a bridge in a namespace that is nobody's host, with 192.0.2.(i+1)/24 and
2001:db8::(i+1)/64; the outside host is 192.0.2.200 and 2001:db8::200 there, and everybody's default
route.
"""
import dataclasses
import os
import select
import socket
import struct

from .cni import Cni
from .lab import Lab

OUTSIDE4, OUTSIDE6 = "192.0.2.200", "2001:db8::200"
SUBNET, GATEWAY = "10.5.0.0/16", "10.5.0.1"
SUBNET6, GATEWAY6 = "fd05::/64", "fd05::1"
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33

# Somebody's own rules: port 9090 of the host leads to a container, wherever that is.
BACKEND = """\
table ip mine {{
	chain prerouting {{
		type nat hook prerouting priority -90;
		fib daddr type local tcp dport 9090 dnat to {to}:80
	}}
	chain output {{
		type nat hook output priority -90;
		fib daddr type local tcp dport 9090 dnat to {to}:80
	}}
}}
"""


def vtep(i, family=4):
    return f"192.0.2.{i + 1}" if family == 4 else f"2001:db8::{i + 1}"


def node_address(i, family=4):
    return f"10.5.255.{i + 1}" if family == 4 else f"fd05::ff:{i + 1}"


def container_address(i, n, family=4):
    """A fixed address of the node's n-th container."""
    return f"10.5.{i + 1}.{n}" if family == 4 else f"fd05::{i + 1}:{n}"


class _Host(Lab):
    """A lab that is not wired to an outside of its own."""

    def __init__(self, outside=False):
        self._with_outside = outside
        super().__init__()

    def netns(self, name):
        if name == "outside" and not self._with_outside:
            return None
        return super().netns(name)

    def _wire(self):
        self.run(["ip", "link", "set", "lo", "up"])
        self.sysctl("net/ipv6/conf/default/accept_dad", 0)
        if self._with_outside:
            self.sysctl("net/ipv6/conf/default/accept_dad", 0, netns="outside")
            self.run(["ip", "link", "set", "lo", "up"], netns="outside")

    def path_to(self, netns=None):
        """A path to a namespace that other labs of this process can open."""
        return f"/proc/{os.getpid()}/fd/{self._fds[netns]}"


@dataclasses.dataclass
class Node:
    index: int
    lab: Lab
    cni: Cni

    def attach(self, config, *containers, **kwargs):
        """Makes the namespaces and runs ADD; the results."""
        for name in containers:
            self.lab.netns(name)
        return [self.cni.add("overlay", config, name, **kwargs).expect() for name in containers]


class Nodes:
    def __init__(self, count=2, mtu=1500, filter_bridged=None):
        self.switch = _Host(outside=True)
        self.nodes, self.wires = [], []
        try:
            self._wire(count, mtu)
            if filter_bridged is not None:
                from . import configs       # which needs pytest
                for node in self.nodes:
                    configs.filter_bridged(node.lab, filter_bridged)
        except BaseException:
            self.close()
            raise

    def _wire(self, count, mtu):
        run = self.switch.run
        run(["ip", "link", "add", "under", "type", "bridge"])
        run(["ip", "link", "set", "under", "mtu", str(mtu), "up"])
        self._plug("outside", self.switch.path_to("outside"), "eth0", mtu)
        self._address(self.switch, "outside", "eth0", OUTSIDE4, OUTSIDE6)
        for i in range(count):
            lab = _Host()
            self.nodes.append(Node(i, lab, Cni(lab)))
            self._plug(f"n{i}", lab.path_to(), "up0", mtu)
            self._address(lab, None, "up0", vtep(i), vtep(i, 6))
            lab.run(["ip", "route", "add", "default", "via", OUTSIDE4])
            lab.run(["ip", "-6", "route", "add", "default", "via", OUTSIDE6])

    def _plug(self, port, path, name, mtu):
        batch = (f"link add {port} mtu {mtu} type veth peer name {name} mtu {mtu} netns {path}\n"
                 f"link set {port} master under up\n")
        self.switch.run(["ip", "-batch", "-"], input=batch)

    @staticmethod
    def _address(lab, netns, name, four, six):
        batch = f"addr add {four}/24 dev {name}\naddr add {six}/64 dev {name} nodad\nlink set {name} up\n"
        lab.run(["ip", "-batch", "-"], input=batch, netns=netns)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for wire in self.wires:
            wire.close()
        for node in self.nodes:
            node.lab.close()
        self.switch.close()

    def __getitem__(self, i):
        return self.nodes[i]

    def __iter__(self):
        return iter(self.nodes)

    def __len__(self):
        return len(self.nodes)

    @property
    def outside(self):
        """The lab whose namespace "outside" is the outside host."""
        return self.switch

    def config(self, i, underlay=4, inside=(4,), net="ov", vni=5001, third=5, version="1.1.0", **more):
        """What node i is told. `inside`: families of the containers; `third`: 5 of 10.5.0.0/16."""
        def own(text):
            return text.replace("10.5.", f"10.{third}.", 1).replace("fd05:", f"fd{third:02x}:", 1)
        sets, own_addresses = [], []
        if 4 in inside:
            sets.append([{"subnet": own(SUBNET), "rangeStart": own(f"10.5.{i + 1}.10"),
                          "rangeEnd": own(f"10.5.{i + 1}.250"), "gateway": own(GATEWAY)}])
            own_addresses.append(own(node_address(i)) + "/16")
        if 6 in inside:
            sets.append([{"subnet": own(SUBNET6), "rangeStart": own(f"fd05::{i + 1}:10"),
                          "rangeEnd": own(f"fd05::{i + 1}:250"), "gateway": own(GATEWAY6)}])
            own_addresses.append(own(node_address(i, 6)) + "/64")
        config = {"cniVersion": version, "name": net, "type": "overlay", "vni": vni,
                  "peers": [vtep(k, underlay) for k in range(len(self.nodes))],
                  "nodeAddress": own_addresses, "ipMasq": True,
                  "ipam": {"type": "host-local", "ranges": sets}}
        config.update(more)
        return {key: value for key, value in config.items() if value is not None}

    def listen(self):
        """A tap on the wire, from now on."""
        self.wires.append(Wire(self.switch))
        return self.wires[-1]


@dataclasses.dataclass
class Frame:
    """One frame on the wire; `inner` is the one that a VXLAN frame carries, else None."""
    ethertype: int
    payload: bytes
    src: str = ""
    dst: str = ""
    proto: int = 0
    sport: int = 0
    dport: int = 0
    vni: int = 0
    inner: "Frame" = None
    mac: str = ""

    @property
    def is_arp(self):
        return self.ethertype == 0x0806

    @property
    def arp_target(self):
        return socket.inet_ntoa(self.payload[24:28]) if self.is_arp else None

    @property
    def nd_target(self):
        """Of a neighbour solicitation or advertisement."""
        if self.ethertype != 0x86dd or self.proto != 58 or self.payload[40] not in (135, 136):
            return None
        return socket.inet_ntop(socket.AF_INET6, self.payload[48:64])


class Wire:
    """Every frame that crosses the underlay's bridge, once, as it enters it."""

    def __init__(self, switch, ports=(4789,)):
        self.ports = set(ports)
        self._socks = []
        switch.call(self._open)

    def _open(self):
        for name in os.listdir("/sys/class/net/under/brif"):
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
            sock.bind((name, ETH_P_ALL))
            sock.setblocking(False)
            self._socks.append(sock)

    def frames(self):
        """Those since the last call."""
        out = []
        for sock in self._socks:
            while select.select([sock], [], [], 0)[0]:
                data, address = sock.recvfrom(65536)
                if address[2] != socket.PACKET_OUTGOING:    # that is the copy of one that came in elsewhere
                    out.append(parse(data, self.ports))
        return out

    def inner(self):
        """The encapsulated ones since the last call."""
        return [frame.inner for frame in self.frames() if frame.inner]

    def close(self):
        for sock in self._socks:
            sock.close()


def parse(data, vxlan_ports=(4789,)):
    frame = Frame(struct.unpack("!H", data[12:14])[0], data[14:], mac=data[6:12].hex(":"))
    body = frame.payload
    if frame.ethertype == 0x0800:
        frame.src, frame.dst, frame.proto = socket.inet_ntoa(body[12:16]), socket.inet_ntoa(body[16:20]), body[9]
        body = body[(body[0] & 15) * 4:]
    elif frame.ethertype == 0x86dd:
        frame.src, frame.dst = (socket.inet_ntop(socket.AF_INET6, body[at:at + 16]) for at in (8, 24))
        frame.proto, body = body[6], body[40:]
    if frame.proto in (6, 17) and len(body) >= 4:
        frame.sport, frame.dport = struct.unpack("!HH", body[:4])
    if frame.proto == 17 and frame.dport in vxlan_ports and len(body) >= 30:
        frame.vni = int.from_bytes(body[12:15], "big")
        frame.inner = parse(body[16:], ())
    return frame


IP_MTU_DISCOVER, IP_RECVERR, IPV6_MTU_DISCOVER, IPV6_RECVERR, PMTUDISC_DO = 10, 11, 23, 25, 2


def ping(address, size=84, timeout=2.0, device=None):
    """An echo request that may not be fragmented and is `size` bytes with its IP header.

    "answered", "silence", or the limit that is told: ("local", MTU) by the own host, ("path", MTU) by another.
    """
    six = ":" in address
    family, proto, header = (socket.AF_INET6, 58, 40) if six else (socket.AF_INET, 1, 20)
    with socket.socket(family, socket.SOCK_RAW, proto) as sock:
        level, discover, errors = ((socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_RECVERR) if six
                                   else (socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_RECVERR))
        sock.setsockopt(level, discover, PMTUDISC_DO)
        sock.setsockopt(level, errors, 1)
        if device:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.settimeout(timeout)
        key = os.urandom(4)
        packet = bytearray(struct.pack("!BBH", 128 if six else 8, 0, 0) + key + bytes(size - header - 8))
        if not six:
            packet[2:4] = checksum(packet)
        try:
            sock.sendto(bytes(packet), (address, 0))
            while True:
                data = sock.recv(65536)
                data = data if six else data[(data[0] & 15) * 4:]
                if data[0] in (129, 0) and data[4:8] == key:
                    return "answered"
        except TimeoutError:
            return "silence"
        except OSError as error:
            if error.errno != 90:       # EMSGSIZE
                raise
            return told_limit(sock)


def told_limit(sock):
    """Who said so, and what fits: struct sock_extended_err, ip(7)."""
    _, ancillary, _, _ = sock.recvmsg(65536, 512, socket.MSG_ERRQUEUE)
    _, origin, _, _, _, mtu, _ = struct.unpack("=IBBBBII", ancillary[-1][2][:16])
    return ("local" if origin == 1 else "path", mtu)


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", bytes(data) + bytes(len(data) % 2)))
    total = (total >> 16) + (total & 0xffff)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xffff)


def send_frame(device, destination, ethertype, payload, source):
    """A frame from the calling thread's namespace, whatever its source is."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((device, ethertype))
        head = bytes.fromhex((destination + source).replace(":", "")) + struct.pack("!H", ethertype)
        sock.send(head + payload)


def announcement(address, mac):
    """A gratuitous ARP (RFC 5227 section 3)."""
    here = bytes.fromhex(mac.replace(":", "")) + socket.inet_aton(address)
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + here + bytes(6) + here[6:]
