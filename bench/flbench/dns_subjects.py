"""Who answers in the case dns. Each subject starts one server, which knows all the names."""

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

from .dns_measure import Cores, processes, wait_for_answer
from .world import SCRATCH, BenchError

OURS = "fairlead"
BARE = "bare"
REWRITTEN = "bare 53"
RESOLVER = "fairlead-dnsd"
HOLD = ("unshare", "--pid", "--fork", "--kill-child", "sh", "-c", '"$@" && exec sleep infinity', "sh")


@dataclass
class Server:
    """One that runs. netns: of dnsperf. netns_list: a file that names all the sandboxes."""

    name: str
    process: subprocess.Popen
    netns: str
    netns_list: str
    address: str
    port: int
    logfile: str
    pids: list = field(default_factory=list)  # whose CPU and memory count: all that run its executable

    def alive(self):
        return self.process.poll() is None

    def log(self):
        with open(self.logfile, encoding="utf-8", errors="replace") as f:
            return f.read()[-300:].strip()

    def stop(self):
        """Nothing that a server has is wanted later: it need not tidy up."""
        everyone = processes(self.process.pid)
        self.process.kill()
        self.process.wait()
        end = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{pid}") for pid in everyone) and time.monotonic() < end:
            time.sleep(0.02)


class DnsSubject:
    name = ""
    binary = ""
    port = 53
    address = "127.0.0.1"
    many = False  # can listen in each of many sandboxes

    def available(self):
        return bool(self.binary) and os.access(self.binary, os.X_OK)

    def command(self, directory, names):
        """The command line, after writing to directory what the server reads. It may leave for the background."""
        raise NotImplementedError

    def start(self, _world, names, sandboxes, cores):
        """Runs it in the first sandbox, for a client there. Returns a Server that has answered."""
        directory = self.directory()
        return self.settled(self.launch(["nsenter", f"--net={sandboxes[0]}", *self.command(directory, names)],
                                        directory, sandboxes, cores), names)

    def directory(self):
        """A fresh one."""
        return tempfile.mkdtemp(prefix=f"dns-{self.name}-", dir=SCRATCH)

    def launch(self, argv, directory, sandboxes, cores):
        """
        Runs argv on the server's processor. It ends when we do, however that happens: by its pid namespace, whose
        first process is a shell that goes with unshare (servers go to the background, or change their user, and
        then no longer get a signal for the death of their parent).
        """
        netns_list = write(directory, "sandboxes", sandboxes)
        logfile = f"{directory}/log"
        with open(logfile, "wb") as log:
            process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *Cores.on(cores.server), *HOLD, *argv],
                                       cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return Server(self.name, process, sandboxes[0], netns_list, self.address, self.port, logfile)

    def settled(self, server, names):
        """Waits until it answers, and finds its processes."""
        try:
            wait_for_answer(server, names)
        except BenchError:
            server.stop()
            raise
        server.pids = [p for p in processes(server.process.pid) if executable(p) == os.path.realpath(self.binary)]
        return server


def executable(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:  # it has ended
        return None


def write(directory, name, lines):
    path = f"{directory}/{name}"
    with open(path, "w", encoding="ascii") as f:
        f.writelines(f"{line}\n" for line in lines)
    return path


class Aardvark(DnsSubject):
    name = "aardvark"
    binary = "/usr/lib/podman/aardvark-dns"
    port = 5301

    def command(self, directory, names):
        """The client is a container, too: for another, aardvark-dns looks through the names one by one."""
        config = f"{directory}/config"
        os.makedirs(config)
        containers = [("client", self.address)] + names.pairs
        write(config, "bench", [self.address] + [f"{i:064x} {address}  {name}"
                                                 for i, (name, address) in enumerate(containers)])
        return [self.binary, "--config", config, "--port", str(self.port), "run"]


class Dnsmasq(DnsSubject):
    name = "dnsmasq"
    binary = "/usr/sbin/dnsmasq"
    port = 5302

    def command(self, directory, names):
        hosts = write(directory, "hosts", [f"{address} {name}" for name, address in names.pairs])
        return [self.binary, "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                f"--addn-hosts={hosts}", f"--port={self.port}", f"--listen-address={self.address}",
                "--bind-interfaces", "--user=root", "--pid-file=", "--log-facility=-"]


class Unbound(DnsSubject):
    name = "unbound"
    binary = "/usr/sbin/unbound"
    port = 5303

    def command(self, directory, names):
        """One zone holds all: without it, unbound makes a zone of each name."""
        config = ["server:", 'chroot: ""', 'username: ""', f'directory: "{directory}"', 'pidfile: ""',
                  "use-syslog: no", "num-threads: 1", "do-ip6: no", f"interface: {self.address}@{self.port}",
                  'module-config: "iterator"', 'local-zone: "." static']
        config += [f'local-data: "{name}. 0 A {address}"' for name, address in names.pairs]
        config += ["remote-control:", "control-enable: no"]
        return [self.binary, "-d", "-p", "-c", write(directory, "unbound.conf", config)]


class Knotd(DnsSubject):
    name = "knotd"
    binary = "/usr/sbin/knotd"
    port = 5304

    def command(self, directory, names):
        zone = write(directory, "zone", [". 0 SOA ns. admin. 1 3600 3600 3600 0", ". 0 NS ns.", "ns. 0 A 127.0.0.1"]
                     + [f"{name}. 0 A {address}" for name, address in names.pairs])
        config = ["server:", f"  rundir: {directory}", f"  listen: {self.address}@{self.port}", "  udp-workers: 1",
                  "  tcp-workers: 1", "  background-workers: 1", "database:", f"  storage: {directory}",
                  "zone:", '  - domain: "."', f"    file: {zone}", "    zonefile-sync: -1",
                  "    journal-content: none"]
        return [self.binary, "-c", write(directory, "knot.conf", config)]


class Bare(DnsSubject):
    """The yardstick: bench/dns-bare.c."""

    name = BARE
    port = 5305
    many = True

    def __init__(self, binary):
        self.binary = binary

    def start(self, _world, names, sandboxes, cores):
        directory = self.directory()
        argv = [self.binary, "--names", names.file, "--address", self.address, "--port", str(self.port)]
        netns_list = write(directory, "listen", sandboxes)
        return self.settled(self.launch(argv + ["--netns-list", netns_list], directory, sandboxes, cores), names)


class RewrittenBare(Bare):
    """
    The yardstick on a port that rules lead 53 to, as ours is: what anybody can do who leaves port 53 to the container.
    The client pays for half of it, and it is the client that limits the queries a second.
    """

    name = REWRITTEN
    address = "127.0.0.12"
    port = 53
    behind = 5306
    many = False

    def start(self, _world, names, sandboxes, cores):
        rules = "".join(f"add rule ip rewritten output ip {way} {self.address} {proto} {side} {old} notrack {proto} {side} "
                        f"set {new} accept\n" for proto in ("udp", "tcp") for way, side, old, new in (
                            ("daddr", "dport", self.port, self.behind), ("saddr", "sport", self.behind, self.port)))
        text = ("table ip rewritten { chain output { type filter hook output priority raw; oif != lo accept; }; }\n"
                + rules)
        subprocess.run(["nsenter", f"--net={sandboxes[0]}", "nft", "-f", "-"], input=text, text=True, check=True)
        directory = self.directory()
        argv = [self.binary, "--names", names.file, "--address", self.address, "--port", str(self.behind)]
        netns_list = write(directory, "listen", sandboxes[:1])
        return self.settled(self.launch(argv + ["--netns-list", netns_list], directory, sandboxes, cores), names)


class FairleadDns(DnsSubject):
    """Ours: outside of the sandboxes, with sockets inside of each."""

    name = OURS
    address = "127.0.0.11"
    many = True

    def __init__(self, binary):
        self.binary = binary

    def start(self, world, names, sandboxes, cores):
        """With the records of the names and the sandboxes in its state, as ADDs would have written them."""
        directory = self.directory()
        state = f"{directory}/state"
        os.mkdir(state, 0o700)
        self.fill(world, names, sandboxes, directory, state)
        argv = [self.binary, "--state", state, "--linger", "0"]
        return self.settled(self.launch(argv, directory, sandboxes, cores), names)

    def fill(self, world, names, sandboxes, directory, state):
        """In few transactions: as many ADDs take minutes."""
        done = subprocess.run([world.tool("dns-fill"), state, names.file, write(directory, "fill", sandboxes)],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"dns-fill: {done.stderr.strip()}")


def dns_subjects(world, resolver):
    """In the table's order."""
    return [FairleadDns(resolver), Aardvark(), Dnsmasq(), Unbound(), Knotd(), Bare(world.tool("dns-bare")),
            RewrittenBare(world.tool("dns-bare"))]
