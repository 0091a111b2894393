# SPDX-License-Identifier: GPL-2.0-or-later
"""A private host with an outside world and containers, made in a few milliseconds.

    with Lab() as lab:
        lab.netns("c1")                               # /run/netns/c1, nothing in it but lo (down)
        lab.run(["ip", "link"])                       # on the private host
        lab.run(["ip", "link"], netns="c1")
        lab.tcp_server("c1", port=80)
        lab.probe("outside", "192.0.2.1", 8080).peer  # asks from outside

The host has its own network and mount namespace: /run, /etc/cni, /etc/fairlead and /var/lib/cni are empty
tmpfs, /sys belongs to the new namespace. Interface `up0` (192.0.2.1/24, 2001:db8::1/64) leads to namespace
`outside` (192.0.2.2, 2001:db8::2); each is the other's default route.

There is no helper process: namespaces belong to threads, so worker threads of this process enter
them (unshare(CLONE_FS), setns) and start programs or open sockets from there. The main thread stays
where it was. When the process ends, however it ends, everything is gone.
"""
import concurrent.futures
import contextlib
import glob
import json
import os
import signal
import subprocess
import threading

from . import kernel, probes

HOST4, OUTSIDE4 = "192.0.2.1", "192.0.2.2"
HOST6, OUTSIDE6 = "2001:db8::1", "2001:db8::2"
REFUSED_AFTER = 0.4     # seconds after which silence counts as a drop
PRIVATE = ("/etc/cni", "/var/lib/cni", "/etc/fairlead")     # each lab's own, beside /run
ANSWER_WITHIN = 5.0     # bound for a broken run; answers come in microseconds

_HOST_BATCH = f"""\
link set lo up
link add up0 type veth peer name eth0 netns outside
addr add {HOST4}/24 dev up0
addr add {HOST6}/64 dev up0 nodad
link set up0 up
route add default via {OUTSIDE4}
route add default via {OUTSIDE6}
"""
_OUTSIDE_BATCH = f"""\
link set lo up
addr add {OUTSIDE4}/24 dev eth0
addr add {OUTSIDE6}/64 dev eth0 nodad
link set eth0 up
route add default via {HOST4}
route add default via {HOST6}
"""


class Lab:
    def __init__(self):
        self._fds = {}          # namespace name (None: the host) -> descriptor
        self._processes = []
        self._reactor = probes.Reactor()
        self._lock = threading.Lock()
        self._in_fresh_thread(self._create)
        self._workers = concurrent.futures.ThreadPoolExecutor(96, "lab", self._enter)
        try:
            self.netns("outside")
            self._wire()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End every program that is left and let go of the namespaces."""
        self._end_daemons()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        self._processes.clear()
        self._reactor.close()
        self._workers.shutdown(wait=True)
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
        os.close(self._mounts)

    # ---- namespaces ----

    def netns(self, name):
        """Create a container namespace; returns its path, for CNI_NETNS."""
        path = f"/run/netns/{name}"
        self.call(self._create_netns, name, path)
        return path

    def remove_netns(self, name):
        """As `ip netns del`; servers in it are closed, because a socket keeps a namespace alive."""
        for server in [s for s in self._servers() if s.netns == name]:
            server.close()
        self.call(self._remove_path, f"/run/netns/{name}")
        with self._lock:
            os.close(self._fds.pop(name))

    def alias_netns(self, name, of=None):
        """Another path, /run/netns/NAME, to a namespace (None: the host's own)."""
        path = f"/run/netns/{name}"
        self.call(self._bind_netns, path, netns=of)
        return path

    def cookie(self, netns=None):
        return self.call(kernel.netns_cookie, netns=netns)

    # ---- running things ----

    def call(self, function, *args, netns=None, **kwargs):
        """Run a Python function in a worker thread on the private host, network as `netns` says.

        Files are the private host's. Note that /proc/self is the process; /proc/thread-self and
        /proc/sys/net follow the thread.
        """
        return self.submit(function, *args, netns=netns, **kwargs).result()

    def submit(self, function, *args, netns=None, **kwargs):
        """As call(), but returns a Future: many may run at once."""
        return self._workers.submit(self._call_in, netns, function, args, kwargs)

    def run(self, argv, netns=None, input=None, env=None, timeout=60, check=True, text=True):
        """Run a program to its end; a subprocess.CompletedProcess. `env` replaces the environment."""
        if text and isinstance(input, bytes):
            input = input.decode()
        result = self.call(subprocess.run, argv, input=input, env=env, timeout=timeout, text=text,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, netns=netns,
                           stdin=subprocess.DEVNULL if input is None else None)
        if check and result.returncode != 0:
            raise AssertionError(f"{argv}: exit {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def start(self, argv, netns=None, env=None, **kwargs):
        """Start a program; a Popen. It ends with the lab at the latest, or with this process."""
        # A caller in the background ignores some signals (nohup, CI), and that would be inherited.
        argv = ["env", "--default-signal=HUP,INT,QUIT", "setpriv", "--pdeathsig", "KILL", *argv]
        process = self.call(subprocess.Popen, argv, netns=netns, env=env, **kwargs)
        self._processes.append(process)
        return process

    def stop(self, process, how=signal.SIGTERM):
        process.send_signal(how)
        return process.wait(timeout=30)

    def ip(self, *args, netns=None):
        """`ip -j ARGS`, decoded."""
        out = self.run(["ip", "-j", *args], netns=netns).stdout
        return json.loads(out) if out.strip() else []

    def nft(self, text, netns=None, check=True):
        """Feed commands to nft."""
        return self.run(["nft", "-f", "-"], netns=netns, input=text, check=check)

    def sysctl(self, name, value=None, netns=None):
        """Read, or write, net.* sysctls; use slashes when an interface's name has a dot."""
        path = "/proc/sys/" + (name if "/" in name else name.replace(".", "/"))
        if value is None:
            return self.call(_read, path, netns=netns).strip()
        self.call(_write, path, str(value), netns=netns)
        return str(value)

    def read(self, path):
        return self.call(_read, path)

    def write(self, path, text):
        self.call(_write, path, text)

    def exists(self, path):
        return self.call(os.path.lexists, path)

    def files(self, path):
        """Sorted names in a folder of the private host; [] when it is absent."""
        return self.call(_names, path)

    # ---- traffic ----

    def tcp_server(self, netns=None, address="0.0.0.0", port=0, name=None):
        return self._server("tcp", netns, address, port, name)

    def udp_server(self, netns=None, address="0.0.0.0", port=0, name=None):
        return self._server("udp", netns, address, port, name)

    def probe(self, netns, address, port, proto="tcp", timeout=ANSWER_WITHIN, source=None):
        """Ask the echo server there; a probes.Answer. Raises probes.Unreachable."""
        return self.call(probes.probe, proto, address, port, timeout, source, netns=netns)

    def client(self, netns, address, port, proto="tcp", timeout=ANSWER_WITHIN, source=None):
        """A connected socket, for flows that live longer; ask it with probes.ask()."""
        return self.call(probes.open_client, proto, address, port, timeout, source, netns=netns)

    def reaches(self, netns, address, port, proto="tcp"):
        try:
            self.probe(netns, address, port, proto)
        except probes.Unreachable:
            return False
        return True

    def blocked(self, netns, address, port, proto="tcp", timeout=REFUSED_AFTER):
        """True when there is no answer; waits much less than reaches() would."""
        try:
            self.probe(netns, address, port, proto, timeout)
        except probes.Unreachable:
            return True
        return False

    # ---- inside ----

    def _server(self, proto, netns, address, port, name):
        sock = self.call(probes.listen, proto, address, port, netns=netns)
        return self._reactor.add(sock, proto, name or netns or "host", netns)

    def _servers(self):
        return self._reactor.servers()

    @staticmethod
    def _in_fresh_thread(function):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(function).result()

    def _create(self):
        kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWNET)
        kernel.mount(None, "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        for folder in PRIVATE:
            os.makedirs(folder, exist_ok=True)
        for folder in ("/run", *PRIVATE):
            kernel.mount("tmpfs", folder, "tmpfs", data="mode=0755")
        kernel.mount("sysfs", "/sys", "sysfs")
        for folder in ("/run/netns", "/run/lock", "/etc/cni/net.d"):
            os.mkdir(folder)
        self._fds[None] = kernel.open_ns("net")
        self._mounts = kernel.open_ns("mnt")

    def _end_daemons(self):
        """Those that plugins started: they are nobody's children."""
        for lock in self.call(glob.glob, "/run/fairlead/*/dns.lock") + self.call(glob.glob, "/run/fairlead/*/overlay.lock"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
                os.kill(int(self.read(lock)), signal.SIGTERM)

    def _enter(self):
        kernel.unshare(kernel.CLONE_FS)
        kernel.setns(self._mounts, kernel.CLONE_NEWNS)
        kernel.setns(self._fds[None], kernel.CLONE_NEWNET)

    def _call_in(self, netns, function, args, kwargs):
        if netns is None:
            return function(*args, **kwargs)
        with self._lock:
            fd = os.dup(self._fds[netns])
        try:
            kernel.setns(fd, kernel.CLONE_NEWNET)
            return function(*args, **kwargs)
        finally:
            kernel.setns(self._fds[None], kernel.CLONE_NEWNET)
            os.close(fd)

    def _create_netns(self, name, path):
        kernel.unshare(kernel.CLONE_NEWNET)
        try:
            self._bind_netns(path)
            fd = kernel.open_ns("net")
        finally:
            kernel.setns(self._fds[None], kernel.CLONE_NEWNET)
        with self._lock:
            self._fds[name] = fd

    @staticmethod
    def _bind_netns(path):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o444))
        kernel.mount("/proc/thread-self/ns/net", path, flags=kernel.MS_BIND)

    @staticmethod
    def _remove_path(path):
        with contextlib.suppress(FileNotFoundError):
            kernel.umount(path)
            os.unlink(path)

    def _wire(self):
        # Link-local addresses without their second of duplicate detection.
        self.sysctl("net/ipv6/conf/default/accept_dad", 0, netns="outside")
        self.run(["ip", "-batch", "-"], input=_HOST_BATCH)
        self.sysctl("net/ipv6/conf/up0/accept_dad", 0)
        self.run(["ip", "-batch", "-"], input=_OUTSIDE_BATCH, netns="outside")


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def _write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _names(path):
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []
