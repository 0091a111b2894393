"""Who is measured. Each subject turns a Container into the jobs that add and delete it."""

import ipaddress
import json
import os
import subprocess
from dataclasses import dataclass, field

from .world import SCRATCH, BenchError, Job, Step

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
FIRST_OF_MANY = 20000  # host ports of the cases with many ports; single ones are below
RANGE_SHIFT = 7  # container port minus host port, in the shifted cases


@dataclass(frozen=True)
class Ports:
    """kind: one; range (equal, told as a range); shifted (told as a range); list (shifted, told one by one)."""

    kind: str = "one"
    count: int = 1
    protocol: str = "tcp"

    def mappings(self, host_port):
        """As portMappings; "range" is our extension, which netavark has as well."""
        if self.kind == "one":
            return [self._mapping(host_port, 80)]
        first = FIRST_OF_MANY
        if self.kind == "range":
            return [self._mapping(first, first) | {"range": self.count}]
        if self.kind == "shifted":
            return [self._mapping(first, first + RANGE_SHIFT) | {"range": self.count}]
        return [self._mapping(first + i, first + i + RANGE_SHIFT) for i in range(self.count)]

    def expanded(self, host_port):
        """Without ranges, for those who do not know them."""
        return [self._mapping(m["hostPort"] + i, m["containerPort"] + i)
                for m in self.mappings(host_port) for i in range(m.get("range", 1))]

    def _mapping(self, host, container):
        return {"hostPort": host, "containerPort": container, "protocol": self.protocol}

    def __str__(self):
        return f"{self.count} {self.protocol} {'port' if self.count == 1 else self.kind}"


@dataclass(frozen=True)
class Container:
    serial: int  # unique in a run
    netns: str
    ports: Ports = Ports()

    @property
    def id(self):
        return f"bench-{self.serial}"


@dataclass
class Subject:
    name: str = ""
    slow: bool = False  # measured in fewer rounds
    base_port: int = 1024
    resident: Container = None
    resident_serial: int = -1  # another one where two share names, ports or addresses

    def takes(self, _ports):
        """Whether these ports end in a reasonable time."""
        return True

    def available(self):
        return True

    def warm_up(self, world):
        """
        Brings the steady state about: the first container makes the bridge and the rules, and it stays, because
        a network that loses its last container and gets its first is more work than the one that is measured.
        """
        self.resident = Container(self.resident_serial, world.sandboxes(1)[0])
        world.run([self.add(self.resident)])
        self.look_at(self.resident)

    def look_at(self, container):
        pass

    def host_port(self, container):
        return self.base_port + container.serial % 8000

    def result(self, container, step=""):
        return f"{SCRATCH}/{self.name}-{container.id}{step}"

    def tag(self, container, verb):
        return f"{self.name}/{verb}/{container.id}"


def cni_env(command, container, path):
    return {"CNI_COMMAND": command, "CNI_CONTAINERID": container.id, "CNI_NETNS": container.netns,
            "CNI_IFNAME": "eth0", "CNI_PATH": path, "PATH": PATH}


@dataclass
class Chain(Subject):
    """Plugins, each in turn with the result of the one before, as libcni runs a list of them."""

    directory: str = ""
    network: str = ""
    base_port: int = 1024

    def plugins(self):
        """Their configurations, without what all have, in the order of ADD."""
        raise NotImplementedError

    def available(self):
        return all(os.access(f"{self.directory}/{p['type']}", os.X_OK) for p in self.plugins())

    def mappings(self, c):
        return c.ports.mappings(self.host_port(c))

    def step(self, command, plugin, c, prev, out):
        config = {"cniVersion": "1.0.0", "name": self.network} | plugin
        if "portMappings" in config.get("capabilities", {}):
            config["runtimeConfig"] = {"portMappings": self.mappings(c)}
        if prev:
            config["prevResult"] = "@PREV@"
        text = json.dumps(config).replace('"@PREV@"', "@PREV@")
        return Step([f"{self.directory}/{plugin['type']}"], cni_env(command, c, self.directory), text, out=out,
                    prev=prev)

    def add(self, c):
        steps, prev, plugins = [], "", self.plugins()
        for i, plugin in enumerate(plugins):
            out = self.result(c, "" if i == len(plugins) - 1 else f"-{plugin['type']}")
            steps.append(self.step("ADD", plugin, c, prev, out))
            prev = out
        return Job(self.tag(c, "add"), steps)

    def delete(self, c):
        return Job(self.tag(c, "del"), [self.step("DEL", plugin, c, self.result(c), self.result(c, "-del"))
                                        for plugin in reversed(self.plugins())])


def host_local(subnet):
    return {"type": "host-local", "subnet": subnet, "routes": [{"dst": "0.0.0.0/0"}]}


@dataclass
class Fairlead(Chain):
    name: str = "fairlead"
    network: str = "bench"
    hairpin: bool = False
    lo: bool = False

    def plugins(self):
        return [{"type": "bridge", "bridge": "fl0", "isGateway": True, "ipMasq": True,
                 "capabilities": {"portMappings": True}, "ipam": host_local("10.99.0.0/16")}]

    def look_at(self, container):
        """The floor must do what we do: is the hairpin flag set, lo up?"""
        shown = subprocess.run(["ip", "-j", "-d", "link", "show", "master", "fl0"], capture_output=True, check=True)
        for link in json.loads(shown.stdout):
            if link.get("linkinfo", {}).get("info_slave_data", {}).get("hairpin"):
                self.hairpin = True
        shown = subprocess.run(["nsenter", f"--net={container.netns}", "ip", "-j", "link", "show", "lo"],
                               capture_output=True, check=True)
        self.lo = "UP" in json.loads(shown.stdout)[0]["flags"]


@dataclass
class Floor(Subject):
    name: str = "floor"
    binary: str = "floor"
    base_port: int = 9100
    table: str = ""
    bridge: str = "floor0"
    assertion: str = ""
    hairpin: bool = False
    lo: bool = False
    world: object = None
    subnet: object = field(default_factory=lambda: ipaddress.ip_network("10.99.0.0/16"))

    def choose_table(self, world, wanted, ours):
        """In our own table and on our own bridge where they are, so that both meet the same; else in its own."""
        self.world = world
        self.hairpin = ours is not None and ours.hairpin
        self.lo = ours is not None and ours.lo
        if ours is not None:
            self.bridge = "fl0"  # the kernel's own cost grows with the ports of a bridge
        if ours is not None and wanted in ("auto", "fairlead"):
            try:
                self.table = "fairlead"
                self.assertion = world.call("fl-bench", "nft-set", "fairlead", "skeleton").strip()
                self.warm_up(world)
                return
            except BenchError:
                if wanted == "fairlead":
                    raise
        self.table, self.assertion = self.name.replace("-", "_"), ""
        if ours is None:
            self.bridge = f"{self.name}0"
            self.subnet = ipaddress.ip_network("10.96.0.0/16" if self.name == "floor" else "10.94.0.0/16")
        world.call("floor", "setup", "--table", self.table, "--bridge", self.bridge,
                   "--address", f"{self.subnet[1]}/16")
        self.warm_up(world)

    def arguments(self, c):
        argv = [self.world.tool(self.binary), "--bridge", self.bridge, "--table", self.table,
                "--name", f"f{c.serial & 0xffff}", "--address", f"{self.subnet[0x8000 + c.serial % 0x7fff]}/16",
                "--gateway", str(self.subnet[1])]
        if self.assertion:
            argv += ["--assert", self.assertion]
        if self.hairpin:
            argv.append("--hairpin")
        if self.lo:
            argv.append("--lo")
        first = c.ports.mappings(self.host_port(c))[0]
        argv += ["--host-port", str(first["hostPort"]), "--container-port", str(first["containerPort"]),
                 "--shifted" if c.ports.kind in ("shifted", "list") else "--ports", str(c.ports.count)]
        return argv + (["--udp", "--ct-flush"] if c.ports.protocol == "udp" else [])

    def job(self, c, verb):
        return Job(self.tag(c, verb), [Step([*self.arguments(c), verb], cni_env(verb.upper(), c, ""))])

    def add(self, c):
        return self.job(c, "add")

    def delete(self, c):
        return self.job(c, "del")


@dataclass
class Reference(Chain):
    """The Go plugins that do what our bridge does alone."""

    name: str = "reference"
    slow: bool = True
    directory: str = "/usr/lib/cni"
    network: str = "ref"

    def takes(self, ports):
        return ports.count <= 100

    def available(self):
        return super().available() and os.access(f"{self.directory}/host-local", os.X_OK)

    def mappings(self, c):
        return c.ports.expanded(self.host_port(c))

    def plugins(self):
        return [{"type": "bridge", "bridge": "ref0", "isGateway": True, "ipMasq": True,
                 "ipam": host_local("10.98.0.0/16")},
                {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}},
                {"type": "firewall"}]


@dataclass
class Netavark(Subject):
    name: str = "netavark"
    slow: bool = True
    binary: str = "/usr/lib/podman/netavark"
    subnet: object = field(default_factory=lambda: ipaddress.ip_network("10.95.0.0/16"))

    def takes(self, ports):
        return ports.kind == "range" or ports.count <= 100

    def available(self):
        return os.access(self.binary, os.X_OK)

    def options(self, c):
        network = {"name": "nv", "id": "e" * 64, "driver": "bridge", "network_interface": "nv0", "internal": False,
                   "ipv6_enabled": False, "dns_enabled": False, "ipam_options": {"driver": "host-local"},
                   "subnets": [{"subnet": str(self.subnet), "gateway": str(self.subnet[1])}]}
        mappings = [{"host_ip": "", "host_port": m["hostPort"], "container_port": m["containerPort"],
                     "range": m.get("range", 1), "protocol": m["protocol"]}
                    for m in c.ports.mappings(self.host_port(c))]
        # netavark derives its chains' names from the beginning of the id
        return {"container_id": f"{c.serial & 0xffffffff:08x}".ljust(64, "0"), "container_name": c.id,
                "networks": {"nv": {"interface_name": "eth0", "static_ips": [str(self.subnet[c.serial % 60000 + 2])]}},
                "network_info": {"nv": network}, "port_mappings": mappings}

    def job(self, c, verb, subcommand):
        argv = [self.binary, "--config", f"{SCRATCH}/netavark", subcommand, c.netns]
        return Job(self.tag(c, verb), [Step(argv, {"PATH": PATH, "NETAVARK_FW": "iptables"},
                                            json.dumps(self.options(c)), out=self.result(c, f"-{verb}"))])

    def add(self, c):
        return self.job(c, "add", "setup")

    def delete(self, c):
        return self.job(c, "del", "teardown")


@dataclass
class HostLocal(Subject):
    """host-local alone: ours when directory is our plugins', else the reference. No link is made."""

    directory: str = ""
    pool: str = "pool"
    data: str = ""

    def available(self):
        return os.access(f"{self.directory}/host-local", os.X_OK)

    def job(self, c, verb):
        config = {"cniVersion": "1.0.0", "name": self.pool, "type": "bridge", "ipam": {
            "type": "host-local", "subnet": "10.97.0.0/16", "dataDir": self.data, "routes": [{"dst": "0.0.0.0/0"}]}}
        return Job(self.tag(c, verb), [Step([f"{self.directory}/host-local"],
                                            cni_env(verb.upper(), c, self.directory), json.dumps(config),
                                            out=self.result(c, f"-{verb}"))])

    def add(self, c):
        return self.job(c, "add")

    def delete(self, c):
        return self.job(c, "del")
