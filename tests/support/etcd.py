# SPDX-License-Identifier: GPL-2.0-or-later
"""A cluster of etcd in the lab, one namespace a member, and the client under test.

    with Cluster(lab, members=3) as etcd:
        etcd.tool("put", "a/b", "c")              # cluster-tool's answer, decoded
        etcd.kill(etcd.leader()); etcd.start("m1")
        etcd.partition("m2"); etcd.heal("m2")

Members are m1, m2, ... at 10.77.0.11, .12, ... behind a bridge of the private host, 10.77.0.1; or on a bridge that
is there (`wire`). Data lies in the lab's own /run, which is a tmpfs. etcdctl is the independent witness.
FAIRLEAD_ETCD names the folder of another etcd than the system's.
"""
import contextlib
import dataclasses
import http.client
import json
import os
import select
import signal
import subprocess
import time

from .tools import built

NET = "10.77.0"
FOLDER = "/run/etcd"
BINARIES = os.environ.get("FAIRLEAD_ETCD", "/usr/bin")
START_WITHIN = 20.0
METRICS = 2381      # and whether the member is well, without certificates or passwords


@dataclasses.dataclass
class Wire:
    """What the members are plugged into. `gateway`: the bridge is made, and is their way to everywhere else."""
    bridge: str = "br-etcd"
    net: str = NET
    first: int = 11
    mtu: int = 1500
    gateway: bool = True


class Cluster:
    def __init__(self, lab, members=1, tls=False, client_certs=False, args=(), token="one", wire=None):
        self.lab, self.args, self.token, self.wire = lab, list(args), token, wire or Wire()
        self.names = [f"m{i + 1}" for i in range(members)]
        self.scheme = "https" if tls or client_certs else "http"
        self.client_certs = client_certs
        self.processes = {}
        self.generation = 0
        self.user = None
        self._wire()
        if self.scheme == "https":
            make_certificates(lab, [self.address(name) for name in self.names])
        for name in self.names:
            self.start(name, wait=False)
        self.wait_healthy()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in list(self.processes):
            self.kill(name)

    # ---- members ----

    def address(self, name):
        return f"{self.wire.net}.{self.wire.first - 1 + int(name[1:])}"

    def url(self, name):
        return f"{self.scheme}://{self.address(name)}:2379"

    def start(self, name, wait=True, state="new"):
        peers = ",".join(f"{n}=http://{self.address(n)}:2380" for n in self.names)
        argv = [f"{BINARIES}/etcd", "--name", name, "--data-dir", self._data(name), "--logger", "zap",
                "--log-outputs", f"{FOLDER}/{name}.log", "--listen-client-urls", self.url(name),
                "--advertise-client-urls", self.url(name), "--listen-peer-urls", f"http://{self.address(name)}:2380",
                "--initial-advertise-peer-urls", f"http://{self.address(name)}:2380", "--initial-cluster", peers,
                "--initial-cluster-token", self.token, "--initial-cluster-state", state,
                "--listen-metrics-urls", f"http://{self.address(name)}:{METRICS}", *self.args]
        if self.scheme == "https":
            argv += ["--cert-file", f"{FOLDER}/server.pem", "--key-file", f"{FOLDER}/server.key"]
        if self.client_certs:       # the file alone would want them too
            argv += ["--trusted-ca-file", f"{FOLDER}/ca.pem", "--client-cert-auth"]
        self.processes[name] = self.lab.start(argv, netns=name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if wait:
            self.wait_healthy([name])

    def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait(timeout=10)

    def stop(self, name):
        self.lab.stop(self.processes.pop(name))

    def replace(self, name):
        """Another member takes its place, with nothing in its store; the others go on."""
        others = [n for n in self.names if n != name]
        self.kill(name)
        listed = json.loads(self.ctl("member", "list", "-w", "json", names=others).stdout)["members"]
        [old] = [member["ID"] for member in listed if member.get("name") == name]
        self.wait_healthy(others)       # it may have been the leader
        self.ctl("member", "remove", f"{old:x}", names=others)
        self.wait_healthy(others)
        self.ctl("member", "add", name, f"--peer-urls=http://{self.address(name)}:2380", names=others)
        self.lab.run(["rm", "-r", self._data(name)])
        self.start(name, state="existing")

    def pause(self, name):
        self.processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name):
        self.processes[name].send_signal(signal.SIGCONT)

    def partition(self, name):
        self.lab.run(["ip", "link", "set", f"to-{name}", "down"])

    def isolate(self, name):
        """Cut off from the other members, and from nobody else."""
        for other in self.names:
            if other != name:
                self.lab.run(["ip", "route", "add", "blackhole", self.address(other)], netns=name)

    def heal(self, name):
        self.lab.run(["ip", "link", "set", f"to-{name}", "up"])

    def leader(self):
        """The name of the leading member."""
        for status in json.loads(self.ctl("endpoint", "status", "-w", "json").stdout):
            if status["Status"]["leader"] == status["Status"]["header"]["member_id"]:
                return next(n for n in self.names if self.url(n) == status["Endpoint"])
        raise AssertionError("no leader")

    def wait_healthy(self, names=None, seconds=START_WITHIN):
        end = time.monotonic() + seconds
        for name in names or self.names:
            while not self.lab.call(_healthy, self.address(name)):
                if time.monotonic() > end:
                    raise AssertionError(f"{name} is not healthy:\n{self.lab.read(f'{FOLDER}/{name}.log')[-3000:]}")
                time.sleep(0.02)

    # ---- etcdctl ----

    def ctl(self, *args, names=None, check=True, user=None):
        argv = [f"{BINARIES}/etcdctl", "--dial-timeout=1s", "--command-timeout=2s", "--endpoints",
                ",".join(self.url(n) for n in names or self.names)]
        if self.scheme == "https":
            argv += ["--cacert", f"{FOLDER}/ca.pem", "--cert", f"{FOLDER}/client.pem", "--key", f"{FOLDER}/client.key"]
        if user or self.user:
            argv += ["--user", user or self.user]
        return self.lab.run([*argv, *args], env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"}, check=check)

    def ctl_txn(self, operations):
        """A transaction of lines as etcdctl reads them."""
        self.lab.run([f"{BINARIES}/etcdctl", "--endpoints", self.url(self.names[0]), "txn"], input="\n" + "\n".join(operations) + "\n\n\n",
                     env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"})

    def enable_auth(self):
        """Users root:secret, and agent:word whose role reaches below /test/v1/ alone."""
        for words in ("user add root:secret", "role add root", "user grant-role root root", "user add agent:word",
                      "role add agent", "role grant-permission agent --prefix=true readwrite /test/v1/",
                      "user grant-role agent agent", "auth enable"):
            self.ctl(*words.split())
        self.user = "root:secret"

    def snapshot(self, path=f"{FOLDER}/snapshot.db"):
        self.ctl("snapshot", "save", path, names=self.names[:1])
        return path

    def restore(self, path=f"{FOLDER}/snapshot.db", token=None):
        """All members from a backup; with another token they are another cluster."""
        for name in list(self.processes):
            self.kill(name)
        self.generation += 1
        self.token = token or self.token
        peers = ",".join(f"{n}=http://{self.address(n)}:2380" for n in self.names)
        for name in self.names:
            self.lab.run([_restorer(), "snapshot", "restore", path, "--name", name, "--data-dir", self._data(name),
                          "--initial-cluster", peers, "--initial-cluster-token", self.token, "--initial-advertise-peer-urls",
                          f"http://{self.address(name)}:2380"], env={"ETCDCTL_API": "3"})
            self.start(name, wait=False)
        self.wait_healthy()

    # ---- the client under test ----

    def argv(self, *args, names=None, tls=True):
        argv = [built("cluster-tool", "overlay"), *(f"--endpoint={self.url(n)}" for n in names or self.names)]
        if self.scheme == "https" and tls:
            argv.append(f"--ca={FOLDER}/ca.pem")
            if self.client_certs:
                argv += [f"--cert={FOLDER}/client.pem", f"--key={FOLDER}/client.key"]
        return [*argv, *map(str, args)]

    def tool(self, *args, names=None, tls=True, timeout=30):
        """Runs the client to its end; the object that it printed last."""
        return answer(self.lab, self.argv(*args, names=names, tls=tls), timeout)

    def follow(self, *args, names=None):
        return Follower(self.lab, self.argv(*args, names=names))

    def follow_command(self, *args, names=None):
        """Another command, in the background."""
        return Lines(self.lab, self.argv(*args, names=names))

    def script(self, *args, names=None):
        return Script(self.lab, self.argv(*args, "script", names=names))

    # ---- inside ----

    def _data(self, name):
        return f"{FOLDER}/{name}.{self.generation}"

    def _wire(self):
        self.lab.run(["mkdir", "-p", FOLDER])
        wire, batch = self.wire, []
        if wire.gateway:
            batch = [f"link add {wire.bridge} type bridge", f"addr add {wire.net}.1/24 dev {wire.bridge}",
                     f"link set {wire.bridge} up"]
        for name in self.names:
            self.lab.netns(name)
            batch += [f"link add to-{name} mtu {wire.mtu} type veth peer name eth0 mtu {wire.mtu} netns {name}",
                      f"link set to-{name} master {wire.bridge} up"]
        self.lab.run(["ip", "-batch", "-"], input="\n".join(batch))
        route = f"route add default via {wire.net}.1\n" if wire.gateway else ""
        for name in self.names:
            self.lab.run(["ip", "-batch", "-"], netns=name, input="link set lo up\nlink set eth0 up\n"
                         f"addr add {self.address(name)}/24 dev eth0\n{route}")


def _restorer():
    """etcdctl does it until 3.5."""
    return next(path for path in (f"{BINARIES}/etcdutl", f"{BINARIES}/etcdctl") if os.path.exists(path))


def _healthy(address):
    """It has a leader, and reads what a majority has."""
    with contextlib.closing(http.client.HTTPConnection(address, METRICS, timeout=2)) as connection:
        try:
            connection.request("GET", "/health")
            return json.load(connection.getresponse())["health"] == "true"
        except (OSError, http.client.HTTPException, ValueError):
            return False


def answer(lab, argv, timeout=30):
    out = lab.run(argv, timeout=timeout, check=False)
    lines = out.stdout.splitlines()
    assert lines and out.returncode >= 0, f"{argv}: exit {out.returncode}\n{out.stdout[-2000:]}{out.stderr[-4000:]}"
    return json.loads(lines[-1])


class Lines:
    """JSON objects from a program's standard output, waited for."""

    def __init__(self, lab, argv, **kwargs):
        self.lab, self.seen, self._rest = lab, [], b""
        self.process = lab.start(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

    def next(self, seconds=10.0):
        """The next object, or None when there is none in time."""
        end = time.monotonic() + seconds
        while b"\n" not in self._rest:
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                return None
            data = self.process.stdout.read1(1 << 16)
            if not data:
                return None
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        self.seen.append(json.loads(line))
        return self.seen[-1]

    def until(self, wanted, seconds=10.0):
        """The first object that `wanted` likes; fails when there is none in time."""
        end = time.monotonic() + seconds
        while (item := self.next(max(0, end - time.monotonic()))) is not None:
            if wanted(item):
                return item
        raise AssertionError(f"not seen within {seconds} s; last: {self.seen[-8:]} "
                             f"exit {self.process.poll()}")

    def close(self):
        self.process.kill()
        self.process.wait(timeout=10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.close()


class Follower(Lines):
    """`cluster-tool watch`, open when this returns."""

    def __init__(self, lab, argv, wait=True):
        super().__init__(lab, argv)
        if wait:
            self.opened()

    def opened(self, seconds=10.0):
        return self.until(lambda item: item.get("state") == "open", seconds)["endpoint"]

    def events(self, n, seconds=30.0):
        """The next `n` events."""
        found = []
        end = time.monotonic() + seconds
        while len(found) < n:
            found.append(self.until(lambda item: "event" in item, max(0, end - time.monotonic())))
        return found


class Script(Lines):
    """One client that is told what to do."""

    def __init__(self, lab, argv):
        super().__init__(lab, argv, stdin=subprocess.PIPE)

    def do(self, *words, seconds=20.0):
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
        self.process.stdin.flush()
        return self.until(lambda item: "state" not in item, seconds)


# ---- certificates ----

def _sign(lab, ca, name, subject, extensions):
    lab.write(f"{FOLDER}/{name}.ext", extensions)
    lab.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
             "-keyout", f"{FOLDER}/{name}.key", "-out", f"{FOLDER}/{name}.csr"])
    lab.run(["openssl", "x509", "-req", "-in", f"{FOLDER}/{name}.csr", "-CA", f"{FOLDER}/{ca}.pem", "-CAkey",
             f"{FOLDER}/{ca}.key", "-CAcreateserial", "-days", "1", "-extfile", f"{FOLDER}/{name}.ext", "-out",
             f"{FOLDER}/{name}.pem"])


def make_certificates(lab, addresses):
    """server, client (without a common name), named (with one), all by `ca`; and `other`, a CA of nothing."""
    for ca in ("ca", "other"):
        lab.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                 "-subj", f"/CN={ca}", "-keyout", f"{FOLDER}/{ca}.key", "-out", f"{FOLDER}/{ca}.pem"])
    names = ",".join(f"IP:{address}" for address in addresses)
    # The gateway shows the server's certificate to its own server: it must be good for a client too.
    _sign(lab, "ca", "server", "/O=etcd", f"subjectAltName={names},IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    _sign(lab, "ca", "client", "/O=fairlead", "extendedKeyUsage=clientAuth\n")
    _sign(lab, "ca", "named", "/CN=agent", "extendedKeyUsage=clientAuth\n")
