# SPDX-License-Identifier: GPL-2.0-or-later
"""The DHCP daemon, and servers for it: dnsmasq, and a small one with leases of seconds."""
import contextlib
import ipaddress
import json
import os
import pathlib
import queue
import select
import socket
import struct
import subprocess
import threading
import time

from .cni import libexec

SOCKET, STATE = "/run/fairlead/dhcp.sock", "/run/fairlead/dhcp"
WITHIN = 20     # seconds, for a broken run


def daemon_path():
    return libexec("fairlead-dhcpd")


class Daemon:
    def __init__(self, lab, *options, prefix=()):
        self.lab, self.options, self.prefix = lab, options, prefix
        self.start()

    def start(self):
        self.lines, self._queue = [], queue.Queue()
        self.process = self.lab.start([*self.prefix, daemon_path(), *self.options], stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, args=(self.process.stderr, self._queue), daemon=True).start()
        self.wait_line("ready")

    @staticmethod
    def _read(stream, lines):
        with contextlib.suppress(ValueError):
            for line in stream:
                lines.put(line)
        lines.put("(end of log)")

    def wait_line(self, *words, within=WITHIN):
        """The next log line with all words in it."""
        end = time.monotonic() + within
        while True:
            try:
                line = self._queue.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line with {words}:\n{''.join(self.lines)}") from None
            self.lines.append(line)
            if all(word in line for word in words):
                return line
            assert line != "(end of log)", f"the daemon ended:\n{''.join(self.lines)}"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def raw(self, data, path=SOCKET):
        return self.lab.call(_ask, path, data)

    def ask(self, command, container="c1", **members):
        request = {"command": command, "network": "net", "container": container, "ifname": "eth0", **members}
        return json.loads(self.raw(json.dumps(request).encode() + b"\n"))

    def add(self, container="c1", **members):
        return self.ask("ADD", container, netns=f"/run/netns/{container}", **members)

    def delete(self, container="c1", **members):
        return self.ask("DEL", container, **members)

    def states(self):
        return [json.loads(self.lab.read(f"{STATE}/{name}")) for name in self.lab.files(STATE) if name.endswith(".json")]

    def sockets(self):
        return self.lab.call(_sockets, self.process.pid)


def _ask(path, data):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(WITHIN)
        s.connect(path)
        s.sendall(data)
        return b"".join(iter(lambda: s.recv(65536), b""))


def _sockets(pid):
    links = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return [link for link in links if link.startswith("socket:")]


def wire(lab, containers, server="srv"):
    """A bridge in namespace `server`, 10.9.0.1/16, and each container's eth0 on it."""
    lab.netns(server)
    lab.run(["ip", "-batch", "-"], netns=server, input="link set lo up\nlink add br0 type bridge\n"
            "addr add 10.9.0.1/16 dev br0\naddr add 10.9.0.2/16 dev br0\nlink set br0 up\n")
    for n, name in enumerate(containers):
        lab.netns(name)
        lab.run(["ip", "link", "add", f"p{n}", "type", "veth", "peer", "name", "eth0", "netns", name], netns=server)
        lab.run(["ip", "link", "set", f"p{n}", "master", "br0", "up"], netns=server)


def wire6(lab, server="srv"):
    """2001:db8:9::1/64 on the bridge, which can be used at once."""
    lab.run(["sysctl", "-qw", "net.ipv6.conf.br0.accept_dad=0"], netns=server)
    lab.run(["ip", "addr", "add", "2001:db8:9::1/64", "dev", "br0", "nodad"], netns=server)
    until(lambda: not [a for link in lab.ip("-6", "addr", "show", "dev", "br0", netns=server)
                       for a in link.get("addr_info", []) if a.get("tentative")])


# Routers advertise the prefix and that addresses come by DHCPv6.
DNSMASQ6 = ("--enable-ra", "--dhcp-range=2001:db8:9::1000,2001:db8:9::1fff,64,1h")


def dnsmasq(lab, *options, netns="srv"):
    """Runs dnsmasq until its socket is there; its log is in /run/dnsmasq.log."""
    process = lab.start(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=br0", "--log-dhcp",
                         "--dhcp-leasefile=/run/dnsmasq.leases", "--dhcp-range=10.9.1.1,10.9.2.250,255.255.0.0,1h",
                         "--dhcp-authoritative", "--no-ping", "--user=root", "--log-facility=/run/dnsmasq.log", *options],
                        netns=netns)
    until(lambda: "DHCP, IP range" in _log(lab) or process.poll() is not None)
    assert process.poll() is None, _log(lab)
    return process


def _log(lab):
    try:
        return lab.read("/run/dnsmasq.log")
    except FileNotFoundError:
        return ""


def server_log(lab):
    return _log(lab)


def until(condition, within=WITHIN):
    """Polls what has no event to wait for: files and kernel tables of another process."""
    end = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.02)
    return value


DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = range(1, 8)


class Server:
    """Answers on br0 of a namespace. `lease` seconds; behaviour is changed by attributes while it runs.

    Everything received is put into `seen` as (type, address asked for or held, client id)."""

    def __init__(self, lab, netns="srv", lease=4):
        self.lease, self.answering, self.nak, self.offset, self.router = lease, True, False, 0, "10.9.0.1"
        self.seen, self.addresses, self.extra = queue.Queue(), {}, b""
        self.sock = lab.call(self._open, netns=netns)
        self._end, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @staticmethod
    def _open():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"br0")
        s.bind(("", 67))
        return s

    def close(self):
        os.write(self._wake, b"x")
        self._thread.join()
        self.sock.close()

    def wait(self, kind, within=WITHIN):
        end = time.monotonic() + within
        while True:
            seen = self.seen.get(timeout=max(0.01, end - time.monotonic()))
            if seen[0] == kind:
                return seen

    def _serve(self):
        while self._end not in select.select([self.sock, self._end], [], [])[0]:
            self._handle(self.sock.recv(2048))

    def _handle(self, m):
        options, at = {}, 240
        while at < len(m) and m[at] != 255:
            if m[at] == 0:
                at += 1
                continue
            options[m[at]] = m[at + 2:at + 2 + m[at + 1]]
            at += 2 + m[at + 1]
        kind, client = options[53][0], options.get(61, m[28:34])
        address = socket.inet_ntoa(m[12:16]) if any(m[12:16]) else socket.inet_ntoa(options.get(50, bytes(4)))
        self.seen.put((kind, address, client))
        if not self.answering or kind not in (DISCOVER, REQUEST):
            return
        number = self.addresses.setdefault(client, len(self.addresses))
        ours = str(ipaddress.ip_address("10.9.3.1") + number + self.offset)
        answer = OFFER if kind == DISCOVER else NAK if self.nak else ACK
        body = bytearray(240)
        body[:3], body[4:8], body[28:34], body[236:240] = b"\2\1\6", m[4:8], m[28:34], m[236:240]
        given = [(53, bytes([answer])), (54, socket.inet_aton("10.9.0.1"))]
        if answer != NAK:
            body[16:20] = socket.inet_aton(ours)
            given += [(51, struct.pack("!I", self.lease)), (1, socket.inet_aton("255.255.0.0")),
                      (3, socket.inet_aton(self.router))]
        for code, value in given:
            body += bytes([code, len(value)]) + value
        body += self.extra + b"\xff"
        self.sock.sendto(body, ("255.255.255.255", 68))


SOLICIT, ADVERTISE, REQUEST6, RENEW, REBIND, REPLY, RELEASE6 = 1, 2, 3, 5, 6, 7, 8
NO_ADDRS, NO_BINDING = 2, 3


class Server6:
    """DHCPv6 on br0 of a namespace, with leases of seconds. Received messages are put into `seen` as (type, address, client).

    `status`: of the IA_NA in replies, by the type of what they answer."""

    def __init__(self, lab, netns="srv", lease=4):
        self.lease, self.answering, self.status, self.offset, self.extra = lease, True, {}, 0, b""
        self.seen, self.addresses = queue.Queue(), {}
        self.sock = lab.call(self._open, netns=netns)
        self._end, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @staticmethod
    def _open():
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"br0")
        s.bind(("::", 547))
        group = socket.inet_pton(socket.AF_INET6, "ff02::1:2") + struct.pack("@I", socket.if_nametoindex("br0"))
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        return s

    close, wait = Server.close, Server.wait

    def _serve(self):
        while self._end not in select.select([self.sock, self._end], [], [])[0]:
            self._handle(*self.sock.recvfrom(2048))

    @staticmethod
    def _options(b):
        options = {}
        while b:
            code, n = struct.unpack("!HH", b[:4])
            options[code], b = b[4:4 + n], b[4 + n:]
        return options

    def _handle(self, m, sender):
        kind, options = m[0], self._options(m[4:])
        client, ia = options[1], options[3]
        held = self._options(ia[12:]).get(5)
        self.seen.put((kind, socket.inet_ntop(socket.AF_INET6, held[:16]) if held else None, client))
        assert sender[0].startswith("fe80::") and sender[1] == 546
        if not self.answering or kind not in (SOLICIT, REQUEST6, RENEW, REBIND):
            return
        number = self.addresses.setdefault(client, len(self.addresses))
        ours = ipaddress.ip_address("2001:db8:9::3001") + number + self.offset
        option = lambda code, value: struct.pack("!HH", code, len(value)) + value   # noqa: E731
        given = option(5, ours.packed + struct.pack("!II", self.lease, self.lease))
        if kind in self.status:
            given = option(13, struct.pack("!H", self.status[kind]))
        body = bytes([ADVERTISE if kind == SOLICIT else REPLY]) + m[1:4] + option(1, client) + option(2, b"\0\3\0\1server")
        self.sock.sendto(body + option(3, ia[:4] + bytes(8) + given) + self.extra, sender)
