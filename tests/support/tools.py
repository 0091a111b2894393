# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of the build folder that show a part of the libraries, and real daemons with private files."""
import os
import pathlib
import select
import socket
import time

from .cni import plugin_dir


def built(name, folder="unit"):
    """tests/FOLDER/NAME of the build that the executables under test come from."""
    for top in pathlib.Path(plugin_dir()).resolve().parents:
        if (top / "build.ninja").exists():
            return str(top / "tests" / folder / name)
    raise FileNotFoundError(f"no build folder above {plugin_dir()}")


def private(lab, *folders, keep=True):
    """Changes below these folders stay in the lab: a tmpfs lies over each, with a copy (`keep`) or empty."""
    copy = 'cp -a "$1"/. /run/copy' if keep else ":"
    for folder in folders:
        lab.run(["sh", "-ec", f'mkdir /run/copy; mount -t tmpfs -o mode=0755 tmpfs /run/copy; {copy}; '
                 'mount --move /run/copy "$1"; rmdir /run/copy', "sh", folder])


class Readiness:
    """Waits for a daemon that tells by sd_notify(3) that it is ready."""

    def __init__(self, path):
        self.path = str(path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.path)

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while select.select([self._sock], [], [], max(0, end - time.monotonic()))[0]:
            if b"READY=1" in self._sock.recv(4096):
                return
        raise TimeoutError(f"no daemon was ready within {seconds} s")

    def close(self):
        self._sock.close()
        os.unlink(self.path)
