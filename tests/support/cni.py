# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs plugin executables as a container runtime does (CNI specification 1.1.0, sections 2 and 3).

    cni = Cni(lab)
    cni.add("bridge", conf).json["ips"]         # ADD of container "c1", eth0, /run/netns/c1
    cni.delete("bridge", conf, netns="")
    chain = Chain(cni, {"cniVersion": ..., "name": ..., "plugins": [...]})
    chain.add("c1", capabilities={"portMappings": [...]})

The executables come from $FAIRLEAD_PLUGIN_DIR, else from build/plugins of the tree, where each has a folder.
"""
import copy
import dataclasses
import json
import os
import pathlib

_TREE = pathlib.Path(__file__).resolve().parents[2]
_UNSET = object()
LIBEXEC = "FAIRLEAD_LIBEXEC_DIR"


def plugin_dir():
    return os.environ.get("FAIRLEAD_PLUGIN_DIR") or str(_TREE / "build" / "plugins")


def sanitized():
    """Are the executables built with ASan, as scripts/test names that build?"""
    return "ASAN_OPTIONS" in os.environ and "asan" in plugin_dir()


def libexec(name):
    """A program of the suite that is no plugin: $FAIRLEAD_LIBEXEC_DIR, beside the installed plugins, or in the build tree."""
    plugins = pathlib.Path(plugin_dir())
    folders = [plugins / "../../../usr/local/libexec/fairlead", plugins / "../../../usr/libexec/fairlead",
               plugins / "firewall", plugins.parent / "dhcp", plugins.parent / "dns", plugins.parent / "overlay",
               _TREE / "build/plugins/firewall", _TREE / "build/dhcp", _TREE / "build/dns", _TREE / "build/overlay"]
    if LIBEXEC in os.environ:
        folders.insert(0, pathlib.Path(os.environ[LIBEXEC]))
    for folder in folders:
        if (folder / name).exists():
            return str((folder / name).resolve())
    raise FileNotFoundError(f"{name} is in none of {folders}")


@dataclasses.dataclass
class Outcome:
    """What one call of a plugin came to."""
    plugin: str
    command: str
    status: int
    stdout: str
    stderr: str

    @property
    def ok(self):
        return self.status == 0

    @property
    def json(self):
        """stdout decoded; None when it is empty."""
        if not self.stdout.strip():
            return None
        try:
            return json.loads(self.stdout)
        except ValueError as error:
            raise AssertionError(f"{self}: stdout is not JSON") from error

    @property
    def code(self):
        return None if self.ok else (self.json or {}).get("code")

    @property
    def message(self):
        """msg and details of the error object."""
        answer = {} if self.ok else self.json or {}
        return " ".join(str(answer[key]) for key in ("msg", "details") if answer.get(key))

    def expect(self):
        """Must have succeeded; returns self."""
        assert self.ok, str(self)
        return self

    def refused(self, code=None, *words):
        """Must have failed with this code and these words in the message; returns self."""
        assert not self.ok, f"{self.plugin} {self.command} succeeded: {self.stdout}"
        assert self.status == 1, str(self)
        codes = code if isinstance(code, tuple) else (code,)
        assert code is None or self.code in codes, f"wanted code {code}: {self}"
        for word in words:
            assert word in self.message, f"wanted {word!r} in the message: {self}"
        return self

    def addresses(self):
        """Addresses of an ADD's result (>= 0.3.0), without the prefix length."""
        return [ip["address"].split("/")[0] for ip in self.json["ips"]]

    @property
    def address(self):
        return self.addresses()[0]

    def __str__(self):
        return f"{self.plugin} {self.command}: exit {self.status}\n{self.stdout}{self.stderr}"


class Cni:
    def __init__(self, lab, bindir=None):
        self.lab = lab
        self.bindir = bindir or plugin_dir()

    def executable(self, plugin):
        path = os.path.join(self.bindir, plugin)
        return os.path.join(path, plugin) if os.path.isdir(path) else path

    def call(self, command, plugin, config, container="c1", ifname="eth0", netns=_UNSET, args=None,
             path=_UNSET, env=None, binary=None, prefix=()):
        """One call.

        `config` is a dict, or str/bytes as they are. `netns` is a path or the name of a namespace of the
        lab; when absent, the container's. Each variable with value None is left out of the environment;
        `env` is applied last. `prefix` is put before the executable (strace and its options).
        """
        netns = container if netns is _UNSET else netns
        if netns and "/" not in netns:
            netns = f"/run/netns/{netns}"
        path = self.bindir if path is _UNSET else path
        variables = {"PATH": os.environ["PATH"], "CNI_COMMAND": command, "CNI_CONTAINERID": container,
                     "CNI_NETNS": netns, "CNI_IFNAME": ifname, "CNI_ARGS": args, "CNI_PATH": path,
                     LIBEXEC: libexec_dir(),
                     **_sanitizer_options(), **(env or {})}
        variables = {key: value for key, value in variables.items() if value is not None}
        if prefix:      # the leak check attaches to the process, which a tracer prevents
            variables["ASAN_OPTIONS"] = variables.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        data = json.dumps(config) if isinstance(config, dict) else config
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogatepass")
        done = self.lab.run([*prefix, binary or self.executable(plugin)], input=data or b"", env=variables,
                            check=False, text=False)
        return Outcome(plugin, command or "", done.returncode, done.stdout.decode(errors="replace"),
                       done.stderr.decode(errors="replace"))

    def add(self, plugin, config, container="c1", **kwargs):
        return self.call("ADD", plugin, config, container, **kwargs)

    def delete(self, plugin, config, container="c1", **kwargs):
        return self.call("DEL", plugin, config, container, **kwargs)

    def check(self, plugin, config, container="c1", **kwargs):
        return self.call("CHECK", plugin, config, container, **kwargs)

    def gc(self, plugin, config, valid=(), **kwargs):
        """`valid`: pairs of container id and interface that are still there."""
        attachments = [{"containerID": c, "ifname": i} for c, i in valid]
        config = {**config, "cni.dev/valid-attachments": attachments}
        return self.call("GC", plugin, config, container=None, ifname=None, netns=None, **kwargs)

    def status(self, plugin, config, **kwargs):
        return self.call("STATUS", plugin, config, container=None, ifname=None, netns=None, **kwargs)

    def version(self, plugin, config="", **kwargs):
        return self.call("VERSION", plugin, config, container=None, ifname=None, netns=None, path=None, **kwargs)


def libexec_dir():
    try:
        return os.path.dirname(libexec("fairlead-firewalld"))
    except FileNotFoundError:       # somebody else's plugins
        return None


def _sanitizer_options():
    names = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "LD_LIBRARY_PATH", "FAIRLEAD_STATE_DIR")
    return {name: os.environ[name] for name in names if name in os.environ}


class Chain:
    """A network configuration list, driven as libcni does it, with a cache of results."""

    def __init__(self, cni, conflist):
        self.cni, self.conflist = cni, conflist
        self.cache = {}     # (container, ifname) -> (final result, capability arguments, CNI_ARGS)

    def configs(self, previous=None, capabilities=None, extra=None):
        """The configuration that each plugin gets, in order; prevResult is the caller's for the first."""
        out = []
        for plugin in self.conflist["plugins"]:
            config = copy.deepcopy(plugin)
            declared = config.pop("capabilities", {})
            config["cniVersion"], config["name"] = self.conflist["cniVersion"], self.conflist["name"]
            runtime = {key: value for key, value in (capabilities or {}).items() if declared.get(key)}
            if runtime:
                config["runtimeConfig"] = runtime
            if previous is not None:
                config["prevResult"] = previous
            config.update(extra or {})
            out.append(config)
        return out

    def add(self, container="c1", ifname="eth0", capabilities=None, args=None, **kwargs):
        """ADD through the chain. Stops at the first failure, whose outcome it returns."""
        previous = outcome = None
        for config in self.configs(None, capabilities):
            if previous is not None:
                config["prevResult"] = previous
            outcome = self.cni.add(config["type"], config, container, ifname=ifname, args=args, **kwargs)
            if not outcome.ok:
                return outcome
            previous = outcome.json
        self.cache[container, ifname] = previous, capabilities, args
        return outcome

    def delete(self, container="c1", ifname="eth0", forget=True, **kwargs):
        """DEL in reverse with the final result. Returns the first failure, else the last outcome."""
        previous, capabilities, args = self.cache.get((container, ifname), (None, None, None))
        kwargs.setdefault("args", args)
        for config in reversed(self.configs(previous, kwargs.pop("capabilities", capabilities))):
            outcome = self.cni.delete(config["type"], config, container, ifname=ifname, **kwargs)
            if not outcome.ok:
                return outcome
        if forget:
            self.cache.pop((container, ifname), None)
        return outcome

    def check(self, container="c1", ifname="eth0", **kwargs):
        previous, capabilities, args = self.cache[container, ifname]
        kwargs.setdefault("args", args)
        for config in self.configs(previous, capabilities):
            outcome = self.cni.check(config["type"], config, container, ifname=ifname, **kwargs)
            if not outcome.ok:
                return outcome
        return outcome

    def gc(self, valid=(), **kwargs):
        """As libcni: DEL of cached attachments that are not valid, then GC of every plugin."""
        for container, ifname in [key for key in self.cache if key not in set(valid)]:
            self.delete(container, ifname, netns="")
        outcomes = [self.cni.gc(config["type"], config, valid, **kwargs) for config in self.configs()]
        return next((outcome for outcome in outcomes if not outcome.ok), outcomes[-1])

    def status(self, **kwargs):
        for config in self.configs():
            outcome = self.cni.status(config["type"], config, **kwargs)
            if not outcome.ok:
                return outcome
        return outcome
