# SPDX-License-Identifier: GPL-2.0-or-later
"""What several network namespaces' kernels lead addresses to, read again and again by netlink; a program of its own.

    python3 sampler.py PERIOD PATH...       PATHs of network namespaces

A line of JSON for each change: {"t": CLOCK_MONOTONIC, "i": index of the path, "view": {address: [MAC, place]}},
where place is a VTEP, a port ("port INDEX"), or null. A route of mode l3 is in it by its prefix, a host's by the address, with
null for the MAC unless the host has a container with it. {"wrong": ...} for what must never be: an address with two
neighbours, a prefix with two routes, a MAC behind two VTEPs or ports. The last one, at end of input, has the number of samples.
"""
import ctypes
import json
import os
import select
import socket
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
RTM_NEWROUTE, RTM_GETROUTE, RTM_NEWNEIGH, RTM_GETNEIGH = 24, 26, 28, 30
NLM_F_REQUEST, NLM_F_DUMP, NLMSG_ERROR, NLMSG_DONE = 1, 0x300, 2, 3
AF_BRIDGE, NUD_PERMANENT = 7, 0x80
NDA_DST, NDA_LLADDR, NDA_MASTER = 1, 2, 9
RTA_DST, RTA_GATEWAY, RTPROT_OURS = 1, 5, 102


def open_in(path):
    fd = os.open(path, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), path)
    os.close(fd)
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((0, 0))
    return sock


def attributes(data, at, end):
    found = {}
    while at + 4 <= end:
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            break
        found[kind] = data[at + 4:at + size]
        at += (size + 3) & ~3
    return found


def dump(sock, request, family):
    """Bodies of the answers."""
    sock.send(struct.pack("=IHHIIB11x", 28, request, NLM_F_REQUEST | NLM_F_DUMP, 1, 0, family))
    while True:
        data, at = sock.recv(1 << 18), 0
        while at + 16 <= len(data):
            size, kind = struct.unpack_from("=IH", data, at)
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                raise OSError(-struct.unpack_from("=i", data, at + 16)[0], f"request {request}")
            if kind in (RTM_NEWNEIGH, RTM_NEWROUTE):
                yield data[at + 16:at + size]
            at += (size + 3) & ~3


def neighbours(sock, family):
    """(ifindex, state, attributes) of each."""
    for body in dump(sock, RTM_GETNEIGH, family):
        index, state = struct.unpack_from("=iH", body, 4)
        yield index, state, attributes(body, 12, len(body))


def routes(sock, family):
    """(prefix, next hop or None) of each of ours; a host's prefix is its address."""
    for body in dump(sock, RTM_GETROUTE, family):
        a = attributes(body, 12, len(body))
        if body[5] == RTPROT_OURS:
            address, whole = socket.inet_ntop(family, a[RTA_DST]), 32 if family == socket.AF_INET else 128
            yield (address if body[1] == whole else f"{address}/{body[1]}",
                   socket.inet_ntop(family, a[RTA_GATEWAY]) if RTA_GATEWAY in a else None)


def look(sock):
    """{address: [MAC, place]} and what must never be."""
    known, ways, vteps, ports, wrong = {}, {}, {}, {}, []
    for family in (socket.AF_INET, socket.AF_INET6):
        for index, state, a in neighbours(sock, family):
            address = socket.inet_ntop(family, a[NDA_DST]) if NDA_DST in a else ""
            if not state & NUD_PERMANENT or NDA_LLADDR not in a or address.startswith(("224.", "239.", "255.", "ff")):
                continue
            if address in known:
                wrong.append(f"{address} has two neighbours")
            known[address] = a[NDA_LLADDR].hex(":")
        for prefix, via in routes(sock, family):
            if prefix in ways:
                wrong.append(f"{prefix} has two routes")
            ways[prefix] = via
    for index, state, a in neighbours(sock, AF_BRIDGE):
        mac = a[NDA_LLADDR].hex(":")
        if NDA_DST in a:
            vteps.setdefault(mac, set()).add(socket.inet_ntop(socket.AF_INET if len(a[NDA_DST]) == 4 else socket.AF_INET6, a[NDA_DST]))
        elif NDA_MASTER in a:
            ports.setdefault(mac, set()).add(index)
    for where in (vteps, ports):
        wrong += [f"{mac} is behind {sorted(found)}" for mac, found in where.items() if len(found) > 1 and mac[1] in "26ae"]

    def place(mac):
        if mac in vteps:
            return min(vteps[mac])
        return f"port {min(ports[mac])}" if mac in ports else None
    view = {prefix: [None, place(known.get(via) if via else None)] for prefix, via in ways.items()}
    return {**view, **{address: [mac, place(mac)] for address, mac in known.items()}}, wrong


def main(period, paths):
    socks = [open_in(path) for path in paths]
    last, samples = [None] * len(socks), 0
    print(json.dumps({"ready": True}), flush=True)
    while not select.select([sys.stdin], [], [], period)[0]:
        for i, sock in enumerate(socks):
            now = time.monotonic()
            view, wrong = look(sock)
            samples += 1
            if wrong:
                print(json.dumps({"t": now, "i": i, "wrong": wrong}), flush=True)
            if view != last[i]:
                last[i] = view
                print(json.dumps({"t": now, "i": i, "view": view}), flush=True)
    print(json.dumps({"samples": samples}), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
