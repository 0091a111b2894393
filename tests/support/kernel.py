# SPDX-License-Identifier: GPL-2.0-or-later
"""The few system calls that Python 3.11 lacks."""
import ctypes
import os
import socket

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2
SO_NETNS_COOKIE = 71

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags):
    _check(_libc.unshare(flags), "unshare")


def setns(fd, kind):
    _check(_libc.setns(fd, kind), "setns")


def mount(source, target, fstype=None, flags=0, data=None):
    def encode(text):
        return None if text is None else os.fsencode(text)
    _check(_libc.mount(encode(source), encode(target), encode(fstype), ctypes.c_ulong(flags), encode(data)),
           f"mount {target}")


def umount(target):
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def open_ns(kind):
    """A descriptor of the calling thread's own namespace, `kind` being "net" or "mnt"."""
    return os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def netns_cookie():
    """SO_NETNS_COOKIE of the calling thread's network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), "little")
