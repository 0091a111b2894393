# SPDX-License-Identifier: GPL-2.0-or-later
"""The shared snapshots, taken of a test host.

A host's namespaces belong to its processes, so a thread of ours enters them for as long as it looks.
"""
import concurrent.futures
import os
import pathlib
import subprocess
import time

from support import kernel, snapshot


class _View:
    """As much of a Lab as support.snapshot needs."""

    def __init__(self, host, pool):
        self._host, self._pool = host, pool

    def submit(self, function, *args, netns=None):
        assert netns is None
        return self._pool.submit(function, *args)

    def call(self, function, *args, netns=None):
        return self.submit(function, *args, netns=netns).result()

    def run(self, argv, check=True):
        return self._pool.submit(subprocess.run, argv, check=check, text=True, stdout=subprocess.PIPE).result()

    def files(self, path):
        return self._pool.submit(lambda: sorted(os.listdir(path)) if os.path.isdir(path) else []).result()

    def read(self, path):
        return self._pool.submit(lambda: pathlib.Path(path).read_text()).result()


def _enter(host):
    # Both opened first: the host's own /proc does not know our process numbers.
    with open(host.namespace("mnt"), "rb") as mounts, open(host.namespace("net"), "rb") as network:
        kernel.unshare(kernel.CLONE_FS)
        kernel.setns(mounts.fileno(), kernel.CLONE_NEWNS)
        kernel.setns(network.fileno(), kernel.CLONE_NEWNET)


def client_files(view):
    """What libcni and the runtimes themselves keep of a container's network."""
    return {"results": view.files("/var/lib/cni/results"), "namespaces": view.files("/run/netns")}


def take(host):
    with concurrent.futures.ThreadPoolExecutor(1, initializer=_enter, initargs=(host,)) as pool:
        return snapshot.take(_View(host, pool), hooks=[client_files])


def difference(before, take_again, seconds=2.0):
    """What differs from `before`, once the kernel has come to rest; "" when nothing does.

    A namespace that nobody holds is taken apart by a kernel worker, and the other ends of its veth pairs go with it
    some milliseconds later. Looking again is the only way to know that all of it is done.
    """
    end = time.monotonic() + seconds
    while True:
        found = snapshot.diff(before, take_again())
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.02)
