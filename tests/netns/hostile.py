# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of hostile inputs: what is wrong, which code answers it, which words name it.

A row of CONFIG is (path, bad values, code, words): each value is put at the path of a good configuration.
Codes: 6 for a wrong JSON type, 7 for a value that is out of bounds, 4 for the environment.
"""
import copy
import dataclasses
import json

from support import configs

LONG = "x" * 5000
BOOLEANS = ["isGateway", "isDefaultGateway", "forceAddress", "ipMasq", "hairpinMode", "promiscMode", "portIsolation",
            "enabledad", "disableContainerInterface", "macspoofchk", "preserveDefaultVlan", "internal", "icc",
            "isolate", "guarded"]

# path -> values of a wrong type (code 6), values out of bounds (code 7)
BRIDGE = {
    "name": ([5, True, [], {}], ["", "a/b", "../x", "-x", ".x", "a b", "a\n", "\N{LATIN SMALL LETTER E WITH ACUTE}",
                                 "n" * 201, LONG]),
    "bridge": ([5, True, [], {}], ["b" * 16, "a/b", ".", "..", "a b", "a:b", LONG]),
    "mtu": (["1500", 1.5, True, [], {}], [-1, 67, 65536, 2**31, 2**63 - 1]),
    "vlan": (["5", 1.5, {}], [-1, 4095, 2**40]),
    "vlanTrunk": ([{}, "5", [5], [[]]], []),
    "vlanTrunk[0].id": (["5"], [-1, 4095]),
    "vlanTrunk[0].minID": (["5", {}], [-1, 4095]),
    "ipMasqBackend": ([5, []], ["pf", LONG]),
    "snatAddress": ([5, {}], ["x", "10.0.0", "10.0.0.1/24", LONG]),
    "gatewayMode": ([5, True], ["x", "nat ", LONG]),
    "dns": (["x", [], 5], []),
    "dns.nameservers": (["x", {}, [5]], []),
    "dns.search": (["x", [[]]], []),
    "ipam": (["host-local", [], 5], []),
    "ipam.type": ([5, {}, []], ["../bridge", "a/b", "/bin/true"]),
    "runtimeConfig": (["x", [], 5], []),
    "runtimeConfig.mac": ([5, []], ["zz", "02:00:00:00:00", "02:00:00:00:00:00:01", "01:00:5e:00:00:01",
                                    "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", LONG]),
    "args": (["x", []], []),
    "args.cni": (["x", []], []),
    "args.cni.mac": ([5], ["zz"]),
    "args.cni.ips": (["10.1.0.5", {}, [5]], [["x"]]),
}
PORTS = {
    "runtimeConfig.portMappings": ([{}, "8080:80", 5, [5], ["8080"], [[]]], []),
    "runtimeConfig.portMappings[0].hostPort": (["80", 80.5, {}], [-1, 65536, 2**32 + 80]),
    "runtimeConfig.portMappings[0].containerPort": (["80", [], 1.5], [-1, 0, 65536, 2**32 + 80]),
    "runtimeConfig.portMappings[0].protocol": ([6, []], ["icmp", "tcp6", "tcp ", LONG]),
    "runtimeConfig.portMappings[0].hostIP": ([5, []], ["x", "192.0.2.1/24", "1.2.3", "::g", LONG]),
    "runtimeConfig.portMappings[0].range": (["5", {}], [-1, 65537]),
    "runtimeConfig.portMappings[0].hostPortEnd": (["5"], [-1, 65536, 1]),
}
IPAM = {
    "ipam.ranges": ([{}, "x", [5], [{}], [["x"]]], [[[]]]),
    "ipam.ranges[0][0].subnet": ([5, [], {}], ["x", "10.1.0.0", "10.1.0.0/33", "10.1.0.1/24", "10.1.0.0/31",
                                               "10.1.0.0/-1", "10.1.0.0/24x", "fd00::/129", "::ffff:10.1.0.0/120", LONG]),
    "ipam.ranges[0][0].rangeStart": ([5], ["x", "10.9.0.1", "fd00::1", "10.1.0.256"]),
    "ipam.ranges[0][0].rangeEnd": ([5], ["x", "10.9.0.1", "10.1.0.0/24"]),
    "ipam.ranges[0][0].gateway": ([5], ["x", "fd00::1"]),
    "ipam.ranges[0][0].exclude": ([5, "x", [5]], [["x"], ["10.1.0.0/33"]]),
    "ipam.routes": ([{}, "x", [5]], []),
    "ipam.routes[0].dst": ([5], ["x", "10.0.0.0", "10.0.0.0/40"]),
    "ipam.routes[0].gw": ([5], ["x", "10.0.0.1/24"]),
    "ipam.routes[0].mtu": (["5"], [-1, 2**33]),
    "ipam.dataDir": ([5, []], [LONG]),
    "ipam.resolvConf": ([5, []], []),
    "runtimeConfig.ips": (["10.1.0.5", {}, [5]], [["x"], ["10.1.0.300"]]),
    "runtimeConfig.ipRanges": (["x", {}, [5], [{}]], []),
    "runtimeConfig.ipRanges[0][0].subnet": ([5], ["x", "10.1.0.1/24"]),
}
CONTAINER_IDS = ["a/b", "../x", "-x", ".x", "_x", "a b", "a\n", "a\tb", "a;b", "\N{LATIN SMALL LETTER E WITH ACUTE}",
                 "a" * 201, LONG, "$(id)"]
IFNAMES = [".", "..", "a/b", "a:b", "a b", "a\tb", "a\nb", "x" * 16, LONG, "\N{EM SPACE}x", "a\N{NO-BREAK SPACE}b"]
ARGUMENTS = ["MAC=zz", "MAC", "MAC=01:00:5e:00:00:01", "A==B", "MAC=02:00:00:00:00:01=1", ";MAC=x"]
NETNS = ["/run/netns/absent", "/etc/passwd", "/etc", "/dev/null", "relative", "/run/fifo", "/proc/self/ns/mnt",
         "/proc/self/ns", "/" + LONG, "/run/netns/plain"]
GARBAGE = ["", " ", "null", "true", "5", '"x"', "[]", "[{}]", "{", "}", "{}}", "{} x", "{'a':1}", '{"a":}', '{"a":1,}',
           '{"name":"net",\x00}', '\ufeff{"name":"net"}', '{"name":"a\\u0000b"}', '{"mtu":1e999}', '{"mtu":NaN}',
           '{"mtu":0x10}', '{"mtu":01}', '{"name":"\ud800"}', '{"name":"\\ud800"}', "[" * 100000, '{"a":' * 100000,
           '{"name":"' + "x" * 100, b'{"name":"\xff\xfe"}', b"\x00" * 64, b"\xff" * 64, "// comment\n{}"]


@dataclasses.dataclass
class Case:
    title: str
    config: object
    code: object
    words: tuple = ()
    env: dict = dataclasses.field(default_factory=dict)
    command: str = "ADD"


def _steps(path):
    for part in path.replace("[", ".[").split("."):
        yield int(part[1:-1]) if part.startswith("[") else part


def put(config, path, value):
    """A copy of the configuration with the value at "a.b[0].c"; what is missing on the way is made."""
    config = copy.deepcopy(config)
    steps, place = list(_steps(path)), config
    for step, following in zip(steps, steps[1:]):
        empty = [] if isinstance(following, int) else {}
        if isinstance(step, int):
            while len(place) <= step:
                place.append(copy.deepcopy(empty))
            place = place[step]
        else:
            place = place.setdefault(step, empty)
    if isinstance(steps[-1], int):
        place.append(value)
    else:
        place[steps[-1]] = value
    return config


def of_table(good, table):
    for path, (types, values) in table.items():
        for code, bad in ((6, types), (7, values)):
            for value in bad:
                yield Case(f"{path} = {json.dumps(value)[:60]}", put(good, path, value), code, (path,))


def booleans(good):
    for key in BOOLEANS:
        for value in ("true", 1, {}):
            yield Case(f"{key} = {value!r}", {**good, key: value}, 6, (key,))


def combinations(good):
    """Keys that are good each, but not together."""
    def case(code, words, **keys):
        return Case(f"{keys}", {**good, **keys}, code, words)
    yield case(7, ("hairpinMode", "promiscMode"), hairpinMode=True, promiscMode=True)
    yield case(7, ("vlanTrunk[0]",), vlanTrunk=[{"minID": 20, "maxID": 10}])
    yield case(7, ("vlanTrunk[0]",), vlanTrunk=[{"minID": 20}])
    yield case(7, ("disableContainerInterface",), disableContainerInterface=True)
    yield case(7, ("internal", "isDefaultGateway"), internal=True)
    yield case(7, ("portMappings[0]",), runtimeConfig={"portMappings": [configs.port(9000, 9000, range=60000)]})
    yield case(7, ("portMappings[0]",), runtimeConfig={"portMappings": [configs.port(90, 60000, range=9000)]})
    yield case(7, ("portMappings[0]",), runtimeConfig={"portMappings": [configs.port(90, 80, hostPortEnd=99, range=5)]})
    yield case(7, ("portMappings[0].containerPort",), runtimeConfig={"portMappings": [{"hostPort": 90}]})
    yield case((5, 7), ("resolvConf",), ipam={**good["ipam"], "resolvConf": "/nonexistent/resolv.conf"})
    yield case(7, ("name",), name=None)
    without = {key: value for key, value in good.items() if key != "name"}
    yield Case("no name", without, 7, ("name",))


def environment(good):
    for value in CONTAINER_IDS:
        yield Case(f"CNI_CONTAINERID={value[:40]!r}", good, 4, ("CNI_CONTAINERID",), {"CNI_CONTAINERID": value})
    for value in IFNAMES:
        yield Case(f"CNI_IFNAME={value[:40]!r}", good, 4, ("CNI_IFNAME",), {"CNI_IFNAME": value})
    for value in ARGUMENTS:
        yield Case(f"CNI_ARGS={value!r}", good, 4, ("CNI_ARGS",), {"CNI_ARGS": value})
    for value in NETNS:
        words = (value,) if len(value) < 100 else ("CNI_NETNS",)
        yield Case(f"CNI_NETNS={value[:40]!r}", good, (3, 4, 8), words, {"CNI_NETNS": value})


def garbage(good):
    for command in ("ADD", "DEL", "CHECK", "GC", "STATUS"):
        for text in GARBAGE:
            yield Case(f"{command} {text[:40]!r}", text, 6, (), command=command)
    whole = json.dumps(good)
    for end in range(1, len(whole), 7):
        yield Case(f"cut at {end}", whole[:end], 6)
    yield Case("64 MB", whole[:-1] + ', "x": "' + "y" * 2**26 + '"}', (5, 6, 7))


def results(good):
    """prevResult as it never comes: CHECK and chained ADD must answer with an error, or ignore what they may."""
    fine = {"cniVersion": configs.VERSION, "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}],
            "ips": [{"address": "10.1.0.9/24", "interface": 0}]}
    bad = {
        "prevResult": ["x", [], 5],
        "prevResult.ips": ["x", {}, [5], ["10.1.0.9/24"]],
        "prevResult.ips[0].address": [5, "x", "10.1.0.9", "10.1.0.9/33", LONG],
        "prevResult.ips[0].gateway": [5, "x"],
        "prevResult.ips[0].interface": ["0", -1, 5, 2**40],
        "prevResult.interfaces": ["x", {}, [5]],
        "prevResult.interfaces[0].name": [5, LONG],
        "prevResult.interfaces[0].sandbox": [5],
        "prevResult.interfaces[0].mac": [5],
        "prevResult.routes": ["x", [5], [{"dst": "x"}], [{"dst": 5}]],
        "prevResult.dns": ["x", {"nameservers": 5}],
        "prevResult.cniVersion": [5, "9.9.9"],
    }
    for path, values in bad.items():
        for value in values:
            for command in ("ADD", "CHECK"):
                codes, words = ((1, 6, 7), ("prevResult",)) if command == "ADD" else ((1, 6, 7, 104), ())
                yield Case(f"{command} {path} = {json.dumps(value)[:60]}", put({**good, "prevResult": fine}, path, value),
                           codes, words, command=command)


def attachments(good):
    """What a GC may not take for the list of valid attachments: it would then remove everything."""
    key = "cni.dev/valid-attachments"
    for value in ("x", {}, 5, [5], ["c1"], [{"containerID": 5, "ifname": "eth0"}], [{"containerID": "c1"}],
                  [{"ifname": "eth0"}], [{"containerID": "c1", "ifname": []}]):
        yield Case(f"GC {key} = {value!r}", {**good, key: value}, (6, 7), (key,), command="GC")
