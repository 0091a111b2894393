# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests to a node's agent, byte by byte.

    with connect(node) as sock:
        sock.send(request(node, op=layout()["STATUS"]))
        assert result(sock.recv(65536)) == 0
"""
import os
import socket

from .agent import layout


def connect(node):
    state = f"/run/fairlead/{node.lab.cookie()}"

    def make():
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(12)
        sock.connect(f"{state}/{layout()['SOCKET']}")
        return sock
    return node.lab.call(make)


def request(where, /, **values):
    size, fields = layout()["request"]["size"], layout()["request"]["fields"]
    data = bytearray(size)
    stat = where.lab.call(os.stat, f"/run/fairlead/{where.lab.cookie()}")
    for name, value in {"magic": layout()["MAGIC"], "dev": stat.st_dev, "ino": stat.st_ino, **values}.items():
        offset, length, kind = fields[name]
        raw = value.to_bytes(length, "little") if isinstance(value, int) else value
        data[offset:offset + len(raw)] = raw
    return bytes(data)


def result(data):
    offset, size, _ = layout()["answer"]["fields"]["result"]
    return int.from_bytes(data[offset:offset + size], "little", signed=True)
