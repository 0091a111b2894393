# SPDX-License-Identifier: GPL-2.0-or-later
"""Environment, stdin, versions: what holds for every plugin whatever it does."""
import json

from support import shapes
from support.shapes import VERSIONS, at_least

from .core import DELETE, NotApplicable, check, require

SINCE = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}
REQUIRED = {"ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"), "DEL": ("CNI_CONTAINERID", "CNI_IFNAME"),
            "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME")}
BAD_IDS = ("../c1", "a/b", "-a", ".a", "a b", "\u00e9")
BAD_IFNAMES = (".", "..", "a/b", "a:b", "a b", "sixteen-letters-")
KUBERNETES = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=0f"


def error(outcome, code=None):
    """The refusal must be an error object on stdout; with this code."""
    require(not outcome.ok, f"accepted: {outcome}")
    require(outcome.status > 0, f"died by a signal: {outcome}")
    answer = outcome.json
    whole = isinstance(answer, dict) and isinstance(answer.get("code"), int) and isinstance(answer.get("msg"), str)
    require(whole and answer["code"] > 0 and answer["msg"], f"no error object with code and msg on stdout: {outcome}")
    codes = code if isinstance(code, tuple) else (code,)
    require(code is None or answer["code"] in codes, f"wanted code {code}: {outcome}")
    return answer


def said(answer):
    """All words of an error object."""
    return f"{answer['msg']} {answer.get('details', '')}"


def newer_verbs(target):
    return "" if target.supports("1.1.0") else "the plugin ends before CNI 1.1.0"


# ---- VERSION, no command, unknown command ----

@check("version.object", shared=True)
def version_object(world):
    """VERSION prints an object with the versions, in order and known ones, and exits 0."""
    answer = world.bare("VERSION", {"cniVersion": world.version}, path=None).expect().json
    whole = isinstance(answer, dict) and set(answer) == {"cniVersion", "supportedVersions"}
    require(whole, f"not cniVersion and supportedVersions: {answer}")
    found = answer["supportedVersions"]
    require(found and found == [v for v in VERSIONS if v in found], f"supportedVersions: {found}")
    require(answer["cniVersion"] in VERSIONS, f"cniVersion: {answer['cniVersion']}")


@check("version.echo", shared=True)
def version_echo(world):
    """VERSION answers with the cniVersion of the input."""
    for version in world.target.versions:
        answer = world.bare("VERSION", {"cniVersion": version}, path=None).expect().json
        require(answer["cniVersion"] == version, f"asked in {version}, answered {answer['cniVersion']}")


@check("version.no-input", shared=True)
def version_no_input(world):
    """VERSION works with nothing on stdin."""
    world.bare("VERSION", "", path=None).expect()


@check("about", shared=True)
def about(world):
    """Without CNI_COMMAND a text about the plugin, on stderr if it exits 0."""
    outcome = world.call(None, "", container=None, ifname=None, netns=None, path=None)
    require(outcome.status in (0, 1), f"{outcome}")
    require(outcome.stderr.strip() or not outcome.ok, f"nothing said: {outcome}")
    require(not outcome.ok or not outcome.stdout, f"a text on stdout: {outcome}")


@check("command.unknown", shared=True)
def command_unknown(world):
    """An unknown CNI_COMMAND is refused with code 4."""
    for command in ("NONSENSE", "add", "ADD "):
        error(world.call(command, world.config()), 4)


@check("error.object", shared=True)
def error_object(world):
    """An error object has cniVersion, code and msg, and nothing unknown."""
    shapes.check_error(error(world.call("ADD", world.config(), env={"CNI_IFNAME": None})))


# ---- environment ----

def _missing(target):
    return [(f"{verb}.{name}", (verb, name)) for verb, names in REQUIRED.items() for name in names]


@check("env.missing", shared=True, cases=_missing)
def env_missing(world, verb, name):
    """A missing variable is refused with code 4 and its name, for each verb."""
    answer = error(world.call(verb, world.config(), env={name: None}), 4)
    require(name in said(answer), f"{name} is not named: {answer}")


@check("env.no-path", works=True)
def env_no_path(world):
    """CNI_PATH is optional where nothing is delegated."""
    override = {}
    if world.spec.delegates:
        if not world.spec.l2:
            raise NotApplicable("always delegates to IPAM")
        override = {"ipam": DELETE, "isGateway": DELETE, "ipMasq": DELETE}
    at = world.start(override=override)
    outcome = world.add(at, path=None)
    require(outcome.ok, f"ADD without CNI_PATH: {outcome}")


@check("env.containerid", shared=True)
def env_containerid(world):
    """CNI_CONTAINERID with characters outside the specification's is refused with code 4."""
    for value in BAD_IDS:
        error(world.call("ADD", world.config(), env={"CNI_CONTAINERID": value}), 4)


@check("env.ifname", shared=True)
def env_ifname(world):
    """CNI_IFNAME that no interface can have is refused with code 4."""
    for value in BAD_IFNAMES:
        error(world.call("ADD", world.config(), env={"CNI_IFNAME": value}), 4)


def _netns(target):
    if target.spec.is_ipam or not target.spec.needs_netns:
        return "does not enter the namespace"
    return "takes no namespace but the host's" if target.spec.own_netns else ""


@check("netns.absent", applies=_netns)
def netns_absent(world):
    """ADD with a CNI_NETNS that does not exist is refused and leaves nothing."""
    world.warm()
    at = world.start()
    before = world.snapshot()
    error(world.call("ADD", at.config, netns="/run/netns/never-was"))
    world.clean(before)


@check("netns.not-one", applies=_netns)
def netns_not_one(world):
    """ADD with a CNI_NETNS that is a plain file is refused and leaves nothing."""
    world.warm()
    at = world.start()
    world.lab.write("/run/netns/plain", "x")
    before = world.snapshot()
    error(world.call("ADD", at.config, netns="/run/netns/plain"))
    world.clean(before)


def _own(target):
    if target.spec.is_ipam or not target.spec.needs_netns:
        return "does not enter the namespace"
    return "takes the host's namespace" if target.spec.own_netns else ""


@check("netns.own", applies=_own)
def netns_own(world):
    """ADD with the host's own namespace is refused and leaves the host as it was."""
    world.warm()
    at = world.start()
    world.lab.alias_netns("own")
    before = world.snapshot()
    error(world.call("ADD", at.config, netns="/run/netns/own"))
    world.clean(before)


@check("netns.own-del", applies=_own)
def netns_own_del(world):
    """DEL with the host's own namespace, by a recycled path, leaves the host's interfaces alone."""
    world.lab.alias_netns("own")
    at = world.start()
    before = world.snapshot()
    for ifname in dict.fromkeys((world.spec.ifname, "lo", "up0")):
        world.call("DEL", at.config, ifname=ifname, netns="/run/netns/own")
    world.clean(before)


# ---- versions ----

@check("version.unsupported", shared=True)
def version_unsupported(world):
    """A cniVersion that the plugin does not list is refused with code 1."""
    for version in ("9.9.9", "1.0", "latest"):
        error(world.call("ADD", world.config(version=version)), 1)


def _versions(target):
    return [(version, (version,)) for version in target.versions]


@check("add", works=True, cases=_versions)
def add_version(world, version):
    """ADD in each supported version prints one result object of exactly that version's shape; DEL prints nothing."""
    spec = world.spec
    if spec.chained and not at_least(version, "0.3.0"):
        raise NotApplicable("prevResult came with CNI 0.3.0")
    at = world.start(version=version)
    outcome = world.add(at)
    if not spec.addresses and not (spec.config.get("ipam")) and not at_least(version, "0.3.0"):
        if not outcome.ok:
            error(outcome)
            raise NotApplicable("a result without an address does not exist in this version")
    outcome.expect()
    shapes.check_result(outcome.json, version, spec.is_ipam)
    _refers(world, at, version)
    done = world.call("DEL", at.final() if at_least(version, "0.4.0") else at.config)
    require(done.ok, f"DEL: {done}")
    require(done.stdout == "", f"DEL printed on stdout: {done}")


def _refers(world, at, version):
    """The result tells of the interface that is really there."""
    if not at_least(version, "0.3.0"):
        return
    listed = [i["name"] for i in at.result.get("interfaces", [])]
    require(not world.spec.shows or world.spec.shows in listed, f"{world.spec.shows} is not in the result: {listed}")
    if not world.spec.makes_link:
        return
    link = world.link_inside(at)
    require(link, f"no {at.ifname} in the sandbox")
    mine = [i for i in at.result.get("interfaces", []) if i.get("sandbox") == at.netns]
    require([i["name"] for i in mine] == [at.ifname], f"interfaces of the sandbox: {mine}")
    require(mine[0].get("mac", link["address"]) == link["address"], f"the link's MAC is {link['address']}: {mine}")
    there = {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]}
    for ip in at.result.get("ips", []):
        require(ip["address"] in there, f"{ip['address']} is not on {at.ifname}: {sorted(there)}")


def _verbs(target):
    return [(f"{verb}.{version}", (verb, version)) for verb, since in SINCE.items() for version in target.versions
            if not at_least(version, since) and (verb == "CHECK" or target.supports("1.1.0"))]


@check("version.too-old", shared=True, cases=_verbs)
def version_too_old(world, verb, version):
    """CHECK before 0.4.0, GC and STATUS before 1.1.0 are refused with code 1."""
    config = {**world.config(version=version), "cni.dev/valid-attachments": []}
    error(world.call(verb, config) if verb == "CHECK" else world.bare(verb, config), 1)


# ---- stdin ----

def _raw(name, text, codes):
    return name, (text, codes)


def _texts(_):
    full = json.dumps({"cniVersion": "0.4.0", "name": "conf", "type": "x"})
    return [_raw("empty", "", (6, 7)), _raw("truncated", full[:-5], 6), _raw("not-json", "cniVersion: 0.4.0", 6),
            _raw("list", "[1]", 6), _raw("text", '"x"', 6), _raw("deep", '{"a":' * 100 + "1", 6),
            _raw("nul", "\0" * 16, 6)]


@check("json", shared=True, cases=_texts)
def json_bad(world, text, codes):
    """What is no JSON object on stdin is refused with code 6, for ADD, DEL and, where there is one, CHECK."""
    for verb in ("ADD", "DEL", "CHECK"):
        error(world.call(verb, text), codes)


@check("json.deep-value")
def json_deep_value(world):
    """A complete object with a value nested 100 and 100,000 deep ends in an answer, not in a crash."""
    for depth in (100, 100000):
        config = json.dumps({**world.config(), "prevResult": "DEEP"})
        outcome = world.call("ADD", config.replace('"DEEP"', "[" * depth + "]" * depth))
        if not outcome.ok:
            error(outcome)


def _names(_):
    return [("missing", (None,)), ("empty", ("",)), ("slash", ("a/b",)), ("dash", ("-a",)), ("space", ("a b",))]


@check("name", shared=True, cases=_names)
def name_bad(world, value):
    """A missing or invalid network name is refused with code 7."""
    config = world.config()
    config.pop("name")
    if value is not None:
        config["name"] = value
    for verb in ("ADD", "DEL"):
        error(world.call(verb, config), 7)


@check("name.type", shared=True)
def name_type(world):
    """A network name that is no string is refused."""
    error(world.call("ADD", {**world.config(), "name": 5}), (6, 7))


@check("json.unknown-keys", works=True)
def json_unknown_keys(world):
    """Keys that nobody knows are ignored, and null is as if the key were absent."""
    extra = {"x.example/key": {"y": [1, None]}, "disableGC": True, "dns": None, "args": None}
    if not world.spec.each:
        extra["runtimeConfig"] = None
    world.attach(override=extra)


# ---- CNI_ARGS ----

@check("args.foreign", works=True)
def args_foreign(world):
    """A Kubernetes runtime's CNI_ARGS with IgnoreUnknown=1 are accepted."""
    at = world.attach(args=KUBERNETES)
    require(world.call("DEL", at.final(), args=KUBERNETES).ok, "DEL with the same CNI_ARGS")


@check("args.empty", works=True)
def args_empty(world):
    """CNI_ARGS may be set and empty."""
    world.attach(args="")


def _mac(target):
    return "" if target.spec.mac else "sets no MAC"


def _ip(target):
    return "" if target.spec.ip else "gives no address"


def _args(target):
    return "" if target.spec.mac or target.spec.ip else "reads no CNI_ARGS"


def _no_mac(world):
    """tuning's own key would win."""
    return {"mac": DELETE} if world.spec.chained else None


@check("args.malformed", applies=_args)
def args_malformed(world):
    """CNI_ARGS that are not KEY=VALUE pairs are refused."""
    at = world.start()
    error(world.call("ADD", at.config, args="nonsense"))


@check("args.mac", works=True, applies=_mac)
def args_mac(world):
    """MAC in CNI_ARGS is the interface's."""
    at = world.attach(args="IgnoreUnknown=1;MAC=02:00:00:00:00:77", override=_no_mac(world))
    link = world.link_inside(at)
    require(link and link["address"] == "02:00:00:00:00:77", f"MAC is {link and link['address']}")


@check("args.mac-alone", works=True, applies=_mac)
def args_mac_alone(world):
    """MAC in CNI_ARGS does not need IgnoreUnknown, though an IPAM plugin does not know it."""
    at = world.attach(args="MAC=02:00:00:00:00:77", override=_no_mac(world))
    link = world.link_inside(at)
    require(link and link["address"] == "02:00:00:00:00:77", f"MAC is {link and link['address']}")


@check("args.mac-bad", applies=_mac)
def args_mac_bad(world):
    """A MAC in CNI_ARGS that is none is refused."""
    at = world.start(override=_no_mac(world))
    error(world.call("ADD", at.config, args="IgnoreUnknown=1;MAC=nonsense"))


def _requested(world, at):
    ips = at.result.get("ips", [])
    return [ip["address"].split("/")[0] for ip in ips]


@check("args.ip", works=True, applies=_ip)
def args_ip(world):
    """IP in CNI_ARGS is the address that is given."""
    at = world.attach(args="IgnoreUnknown=1;IP=10.201.0.77")
    require(_requested(world, at) == ["10.201.0.77"], f"ips: {at.result.get('ips')}")


@check("args.ip-bad", applies=_ip)
def args_ip_bad(world):
    """An IP in CNI_ARGS that is no address is refused."""
    at = world.start()
    error(world.call("ADD", at.config, args="IgnoreUnknown=1;IP=nonsense"))


@check("runtime.mac", works=True, applies=_mac)
def runtime_mac(world):
    """runtimeConfig.mac is the interface's MAC, before that of CNI_ARGS."""
    override = {"runtimeConfig": {"mac": "02:00:00:00:00:78"}}
    if world.spec.chained:
        override["mac"] = DELETE
    at = world.attach(args="IgnoreUnknown=1;MAC=02:00:00:00:00:77", override=override)
    link = world.link_inside(at)
    require(link and link["address"] == "02:00:00:00:00:78", f"MAC is {link and link['address']}")


@check("runtime.ips", works=True, applies=_ip)
def runtime_ips(world):
    """runtimeConfig.ips is the address that is given."""
    at = world.attach(override={"runtimeConfig": {"ips": ["10.201.0.79/24"]}})
    require(_requested(world, at) == ["10.201.0.79"], f"ips: {at.result.get('ips')}")


# ---- key case ----

def _portmap(target):
    return "" if target.spec.name == "portmap" else "reads no portMappings"


@check("case.portMappings", works=True, applies=_portmap)
def case_port_mappings(world):
    """The spelling that containerd sends (HostPort, ContainerPort, ...) publishes the port."""
    at = world.attach(override={"runtimeConfig": {"portMappings": [
        {"HostPort": 8088, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""}]}})
    world.lab.tcp_server(at.inside, port=80)
    require(world.lab.reaches("outside", "192.0.2.1", 8088), "the port does not answer")


# ---- a kernel without support ----

@check("kernel-named", applies=lambda target: "" if target.lacks else "the kernel has what it needs")
def kernel_named(world):
    """On a kernel without the kind of interface, ADD fails, names what is missing and leaves nothing."""
    at = world.start()
    before = world.snapshot("c1")
    answer = error(world.call("ADD", at.config))
    require("CONFIG_" in said(answer) or "kernel" in said(answer).lower(),
            f"the message does not tell that the kernel lacks {world.target.lacks}: {answer}")
    world.clean(before, "c1")
