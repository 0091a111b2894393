# SPDX-License-Identifier: GPL-2.0-or-later
"""A private host: own network, mounts and processes; beside it a namespace `outside`, joined by up0."""
import fcntl
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ADDRESS = "192.0.2.1"
_HOLDER = pathlib.Path(__file__).with_name("holder.py")
_FETCH = _HOLDER.with_name("fetch.py")
_DISK = pathlib.Path("/var/tmp")
_PREFIX = "fl-clients-"
_CGROUPS = pathlib.Path("/sys/fs/cgroup")


def wait_readable(stream, seconds, what):
    """Wait for output or its end; the bound is for a broken run, not part of the timing."""
    if not select.select([stream], [], [], seconds)[0]:
        raise TimeoutError(f"{what}: nothing within {seconds} s")


class Host:
    def __init__(self):
        # A real disk: overlayfs refuses to lie on another overlay, and vfs copies would fill a tmpfs.
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_DISK))
        self._lock = _locked(self.scratch)
        _sweep()
        self.cgroup = "/" + self.scratch.name
        self._daemons = []
        self._proc = subprocess.Popen(
            ["unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc", sys.executable, str(_HOLDER)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            wait_readable(self._proc.stdout, 30, "test host")
            if self._proc.stdout.readline() != b"ready\n":
                raise RuntimeError("the test host could not be prepared")
        except BaseException:
            self.close()
            raise
        self.root = pathlib.Path(f"/proc/{self._proc.pid}/root")

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()

    def namespace(self, kind):
        return f"/proc/{self._proc.pid}/ns/{kind}"

    def _enter(self, argv):
        # unshare forked the holder: its own pid namespace is the outer one, its children's the new one.
        return ["nsenter", "--net=" + self.namespace("net"), "--mount=" + self.namespace("mnt"),
                "--pid=" + self.namespace("pid_for_children"), "--", *map(str, argv)]

    def popen(self, *argv, **keywords):
        return subprocess.Popen(self._enter(argv), **keywords)

    def run(self, *argv, check=True, timeout=60, **keywords):
        if "input" not in keywords:
            keywords["stdin"] = subprocess.DEVNULL
        done = subprocess.run(self._enter(argv), text=True, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, **keywords)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def out(self, *argv, **keywords):
        return self.run(*argv, **keywords).stdout

    def outside(self, *argv, **keywords):
        return self.run("ip", "netns", "exec", "outside", *argv, **keywords)

    def daemon(self, *argv, log, env=None):
        """Start a process that close() ends; its output goes to scratch/LOG."""
        with open(self.scratch / log, "ab") as stream:
            proc = self.popen(*argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=env)
        self._daemons.append(proc)
        return proc

    def end(self, daemon, seconds=20):
        """Kill a daemon. nsenter is its parent and only relays, so the process itself gets the signal."""
        children = pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
        for pid in children:
            os.kill(int(pid), signal.SIGKILL)
        daemon.wait(seconds)
        self._daemons.remove(daemon)

    def get(self, port, address=ADDRESS, where="outside", timeout=3):
        """The page at address:port, asked from `where`: outside, host, or a namespace's path. None: no answer."""
        argv = [sys.executable, "-I", "-S", _FETCH, address, str(port), str(timeout)]
        if where != "host":
            path = "/run/netns/outside" if where == "outside" else where
            argv = ["nsenter", "--net=" + path, "--", *argv]
        done = self.run(*argv, check=False, timeout=timeout + 10)
        return done.stdout if done.returncode == 0 else None

    def close(self):
        for proc in self._daemons:
            proc.terminate()
        self._proc.stdin.close()
        try:
            self._proc.wait(20)
        except subprocess.TimeoutExpired:
            self._proc.kill()
            self._proc.wait(10)
        self._proc.stdout.close()
        for proc in self._daemons:
            proc.wait(20)
        _remove(self.scratch)
        os.close(self._lock)


def _locked(scratch):
    """A descriptor that holds the folder's lock, or None when its owner lives."""
    descriptor = os.open(scratch, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _sweep():
    """Files and empty cgroups are all that killed tests leave; the next ones remove them."""
    for scratch in _DISK.glob(_PREFIX + "*"):
        # Another run may have made its folder and not locked it yet.
        if time.time() - scratch.stat().st_mtime < 10:
            continue
        lock = _locked(scratch)
        if lock is not None:
            _remove(scratch)
            os.close(lock)


def _remove(scratch):
    # cgroups live in the machine's tree and outlast their namespace; ours are all below one name.
    for top in [*_CGROUPS.glob("*/" + scratch.name), _CGROUPS / scratch.name]:
        for folder, _dirs, _files in os.walk(top, topdown=False):
            _rmdir_when_empty(folder)
    shutil.rmtree(scratch, ignore_errors=True)


def _rmdir_when_empty(folder, seconds=5):
    """A cgroup is busy until its killed processes are reaped, and no event tells when."""
    end = time.monotonic() + seconds
    while True:
        try:
            return os.rmdir(folder)
        except FileNotFoundError:
            return None
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
