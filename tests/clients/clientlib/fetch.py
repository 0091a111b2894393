# SPDX-License-Identifier: GPL-2.0-or-later
"""Print what http://ADDRESS:PORT/ answers. Sockets only: a static busybox's resolver code crashes outside its image."""
import socket
import sys


def main(address, port, seconds):
    with socket.create_connection((address, int(port)), float(seconds)) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        reply = b"".join(iter(lambda: sock.recv(4096), b""))
    sys.stdout.write(reply.partition(b"\r\n\r\n")[2].decode())


main(*sys.argv[1:])
