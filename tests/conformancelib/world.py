# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory of plugins, and a private host on which one of them is driven."""
import dataclasses
import json
import os
import shutil
import tempfile
import time

from support import shapes, snapshot
from support.cni import Cni
from support.lab import HOST6, Lab

from .core import DELETE, NETWORK, POOL_ROUTE, NotApplicable, Plugin, merge, require

SETTLES_WITHIN = 1.5    # seconds in which the kernel takes away what hung on a vanished namespace
_STATE = ("/run", "/var/lib/cni")
_BASE = {
    "bridge": {"bridge": "base0", "isGateway": True, "ipam": {
        "type": "host-local", "ranges": [[{"subnet": "10.201.0.0/24"}]],
        "routes": [{"dst": POOL_ROUTE, "gw": "10.201.0.1"}, {"dst": "0.0.0.0/0"}]}},
    "ptp": {"ipam": {
        "type": "host-local", "ranges": [[{"subnet": "10.201.0.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": POOL_ROUTE}]}},
}


class Directory:
    """Executables by name, brought into one flat folder so that plugins find each other."""

    def __init__(self, path):
        self.path = path
        self.found = {}
        for name in sorted(os.listdir(path)):
            file = os.path.join(path, name)
            if os.path.isdir(file):     # a build tree has a folder for each
                file = os.path.join(file, name)
            if os.path.isfile(file) and os.access(file, os.X_OK):
                self.found[name] = os.path.abspath(file)
        self.flat = tempfile.mkdtemp(prefix="cni-conformance.")
        os.chmod(self.flat, 0o755)
        for name, file in self.found.items():
            os.symlink(file, os.path.join(self.flat, name))

    def close(self):
        shutil.rmtree(self.flat, ignore_errors=True)

    def mentions(self, name, word):
        with open(self.found[name], "rb") as file:
            return word.encode() in file.read()


@dataclasses.dataclass
class Target:
    """A plugin of a directory, and what is known of it so far."""
    spec: Plugin
    directory: Directory
    versions: list = dataclasses.field(default_factory=list)    # from its own VERSION
    lacks: str = ""                                             # kernel option that is missing
    broken: str = ""                                            # why no ADD can succeed

    @property
    def newest(self):
        return self.versions[-1] if self.versions else "1.0.0"

    def supports(self, version):
        return version in self.versions

    def bads(self):
        """Bad configurations, without those of keys that this release does not know."""
        return [b for b in self.spec.bad if not b.newer or self.directory.mentions(self.spec.name, b.key())]


@dataclasses.dataclass
class Attachment:
    container: str
    ifname: str
    inside: str         # namespace's name in the lab; None: the host's own
    netns: str          # its path
    config: dict        # as ADD got it
    result: dict = None
    base: tuple = None  # plugin, configuration and result of the plugin before it in the chain
    files: list = dataclasses.field(default_factory=list)

    def final(self, **override):
        """The configuration as CHECK and DEL get it: with the result of the chain."""
        return merge(self.config, {"prevResult": self.result, **override})


class World:
    def __init__(self, target, version=None):
        self.target, self.spec = target, target.spec
        self.version = version or target.newest
        self.lab = Lab()
        self.cni = Cni(self.lab, target.directory.flat)
        self._sandboxes = set()
        self._settled = False
        try:
            if self.spec.prepare:
                self.spec.prepare(self)
        except BaseException:
            self.lab.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lab.close()

    # ---- configuration and calls ----

    def config(self, container="c1", override=None, version=None):
        config = {"cniVersion": version or self.version, "name": NETWORK, "type": self.spec.name}
        config = merge(config, self.spec.config)
        if self.spec.each:
            config = merge(config, self.spec.each(container))
        return merge(config, override)

    def sandbox(self, container="c1"):
        """The path of the container's namespace, which is made when it is not there."""
        if self.spec.netns:
            return self.spec.netns(self, container)
        if container not in self._sandboxes:
            self._sandboxes.add(container)
            self.lab.netns(container)
            if self.spec.role == "sandbox":     # the kernel's own addresses come with the first "up", and stay
                self.lab.run(["ip", "link", "set", "lo", "up"], netns=container)
                self.lab.run(["ip", "link", "set", "lo", "down"], netns=container)
        return f"/run/netns/{container}"

    def inside(self, container="c1"):
        if self.spec.own_netns:
            return None
        return os.path.basename(self.sandbox(container))

    def remove_sandbox(self, container):
        self._sandboxes.discard(container)
        self.lab.remove_netns(container)

    def call(self, verb, config, container="c1", **kwargs):
        kwargs.setdefault("ifname", self.spec.ifname)
        if "netns" not in kwargs:
            kwargs["netns"] = self.sandbox(container) if container else None
        return self.cni.call(verb, self.spec.name, config, container, **kwargs)

    def bare(self, verb, config, **kwargs):
        """GC, STATUS: no container."""
        return self.call(verb, config, container=None, ifname=None, netns=None, **kwargs)

    # ---- attachments ----

    def base_add(self, container, version=None):
        """The plugin that comes before a chained one, from the same directory."""
        found = [name for name in _BASE if name in self.target.directory.found]
        if not found:
            raise NotApplicable("there is neither bridge nor ptp in the directory to chain to")
        if container not in self._sandboxes:
            self._sandboxes.add(container)
            self.lab.netns(container)
        config = {"cniVersion": version or self.version, "name": NETWORK, "type": found[0], **_BASE[found[0]]}
        return found[0], config, self.cni.add(found[0], config, container).expect().json

    def start(self, container="c1", override=None, version=None):
        """Everything before the plugin's own ADD."""
        base = self.base_add(container, version) if self.spec.chained else None
        config = self.config(container, override, version)
        if base and "prevResult" not in (override or {}):
            config["prevResult"] = base[2]
        netns = self.sandbox(container)
        return Attachment(container, self.spec.ifname, self.inside(container), netns, config, base=base)

    def add(self, at, **kwargs):
        before = self.state_files()
        outcome = self.call("ADD", at.config, at.container, **kwargs)
        if outcome.ok:
            at.result = outcome.json
            require(isinstance(at.result, dict), f"ADD succeeded without printing a result: {outcome}")
            at.files = sorted(path for path, seen in self.state_files().items() if before.get(path) != seen)
        return outcome

    def attach(self, container="c1", override=None, version=None, **kwargs):
        at = self.start(container, override, version)
        self.add(at, **kwargs).expect()
        return at

    def delete(self, at, **override):
        return self.call("DEL", at.final(**override), at.container)

    def finish(self, at, netns=None):
        """DEL of the chain's first plugin, when there is one."""
        if at.base:
            plugin, config, result = at.base
            path = at.netns if netns is None else netns
            self.cni.delete(plugin, merge(config, {"prevResult": result}), at.container, netns=path).expect()

    def check(self, at, **override):
        return self.call("CHECK", at.final(**override), at.container)

    def warm(self):
        """One attachment came and went: what stays for good is there now. Nothing where no ADD can succeed."""
        if self.target.lacks or self.target.broken:
            return
        at = self.attach("warm")
        outcome = self.delete(at)
        require(outcome.ok, f"DEL after the first ADD: {outcome}")
        self.finish(at)

    def gc(self, valid, override=None):
        entries = [{"containerID": at.container, "ifname": at.ifname} for at in valid]
        config = merge(self.config("c1"), {"cni.dev/valid-attachments": entries, **(override or {})})
        return self.bare("GC", config)

    # ---- what is there ----

    def _wait_for_lab(self):
        """The kernel adds the local route of the uplink's IPv6 address a moment after the address."""
        deadline = time.monotonic() + SETTLES_WITHIN
        while not self._settled and time.monotonic() < deadline:
            routes = self.lab.ip("-6", "route", "show", "table", "local")
            links = [link["ifname"] for link in self.lab.ip("link")]
            self._settled = "up0" not in links or any(route["dst"] == HOST6 for route in routes)

    def snapshot(self, *containers, ignore=()):
        self._wait_for_lab()
        names = [c for c in containers if c in self._sandboxes]
        hooks = [_state] + ([self.spec.sections] if self.spec.sections else [])
        found = snapshot.take(self.lab, names, hooks=hooks, stores=False)
        return _without(found, (*ignore, *(f"{name}/{part}" for name in names for part in self.spec.stays)))

    def clean(self, before, *containers, what="left", only_new=False, ignore=()):
        """The snapshot must become what it was before."""
        deadline = time.monotonic() + SETTLES_WITHIN
        before = _without(before, ignore)
        while True:
            lines = snapshot.diff(before, self.snapshot(*containers, ignore=ignore))
            if only_new:
                lines = "\n".join(line for line in lines.splitlines() if line.startswith("+"))
            if not lines:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}:\n{lines}")
            time.sleep(0.05)

    def link_inside(self, at):
        found = [link for link in self.lab.ip("addr", netns=at.inside) if link["ifname"] == at.ifname]
        return found[0] if found else None

    def state_files(self):
        return self.lab.call(_walk, _STATE)

    def settle(self, at):
        """CHECK must pass once things have converged, which the specification allows to take a moment."""
        deadline = time.monotonic() + SETTLES_WITHIN
        outcome = self.check(at)
        while not outcome.ok and time.monotonic() < deadline:
            time.sleep(0.05)
            outcome = self.check(at)
        require(outcome.ok, f"CHECK after ADD: {outcome}")


def _state(lab):
    """Leases as files of the reference, and other plugins' records where mdb_dump can read them."""
    if shutil.which("mdb_dump"):
        return snapshot.store_hook(lab)
    return {f"files{root}": sorted(lab.call(_walk, (root,))) for root in ("/var/lib/cni",)}


def _without(found, prefixes):
    kept = {name: lines for name, lines in found.items() if not name.startswith(tuple(prefixes) or ("\0",))}
    # Tables that iptables makes by looking at them; what is in a table counts.
    return {name: [line for line in lines if not (name.endswith("/nft") and line.startswith("{table:"))]
            for name, lines in kept.items()}


def _walk(roots):
    """{path: what changes when the file is written}."""
    found = {}
    for root in roots:
        for folder, _, names in os.walk(root):
            for path in (os.path.join(folder, name) for name in names if not folder.startswith("/run/netns")):
                info = os.lstat(path)
                found[path] = (info.st_mtime_ns, info.st_size)
    return found


def kernel_lacks(spec, probes):
    """The CONFIG_ options that the plugin needs and this kernel does not have, ", " between them."""
    with Lab() as lab:
        missing = []
        for kind in spec.kernel:
            argv, option = probes[kind]
            if lab.run(["ip", *argv], check=False).returncode:
                missing.append(option)
            lab.run(["ip", "link", "del", "probe"], check=False)
    return ", ".join(missing)


# ---- a delegated IPAM plugin ----

FAKE = "conformance-ipam"
_FAKE = """#!/bin/sh
# Logs the call, prints what /run/fake-ipam says for the verb, exits as it says.
d=/run/fake-ipam
cat >$d/stdin.$CNI_COMMAND
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME" >>$d/log
[ ! -f $d/out.$CNI_COMMAND ] || cat $d/out.$CNI_COMMAND
[ ! -f $d/exit.$CNI_COMMAND ] || exit $(cat $d/exit.$CNI_COMMAND)
"""
FAKE_ADDRESS, FAKE_GATEWAY = "10.202.0.7/24", "10.202.0.1"


def install_fake(directory):
    path = os.path.join(directory.flat, FAKE)
    with open(path, "w", encoding="ascii") as file:
        file.write(_FAKE)
    os.chmod(path, 0o755)


class FakeIpam:
    """Decides what the fake answers, and tells how it was called."""

    def __init__(self, world):
        self.world, self.lab = world, world.lab
        self.lab.call(os.makedirs, "/run/fake-ipam", exist_ok=True)
        self.answer(self.result())

    def result(self, **override):
        old = not shapes.at_least(self.world.version, "1.0.0")
        return {"cniVersion": self.world.version,
                "ips": [{"address": FAKE_ADDRESS, "gateway": FAKE_GATEWAY, **({"version": "4"} if old else {})}],
                "routes": [{"dst": dst, "gw": FAKE_GATEWAY} for dst in ("0.0.0.0/0", POOL_ROUTE)],
                "dns": {"nameservers": ["192.0.2.53"]}, **override}

    def answer(self, result, verb="ADD", status=0):
        self.lab.write(f"/run/fake-ipam/out.{verb}", result if isinstance(result, str) else json.dumps(result))
        self.lab.write(f"/run/fake-ipam/exit.{verb}", str(status))

    def fail(self, verb, code=123, message="the fake pool is dry"):
        self.answer({"cniVersion": self.world.version, "code": code, "msg": message}, verb, 1)

    def calls(self):
        path = "/run/fake-ipam/log"
        return self.lab.read(path).splitlines() if self.lab.exists(path) else []

    def stdin(self, verb):
        return json.loads(self.lab.read(f"/run/fake-ipam/stdin.{verb}"))

    @staticmethod
    def override():
        return {"ipam": {"type": FAKE, "ranges": DELETE, "routes": DELETE}}

