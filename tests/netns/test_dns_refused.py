# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrong values of what concerns names: code 6 or 7, the key's path in the message, and a host that stays as it was."""
import pytest

import hostile
from support import configs, dns, shapes, snapshot
from support.cni import Cni
from support.lab import Lab

BRIDGE = dns.network("bad", bridge="bad0", subnets=("10.7.0.0/24",))
CHAINED = {"cniVersion": configs.VERSION, "name": "bad", "type": "dns", "prevResult": {
    "cniVersion": configs.VERSION, "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}],
    "ips": [{"address": "10.7.0.9/24", "interface": 0}]}}
# path -> values of a wrong type (code 6), values out of bounds (code 7)
KEYS = {
    "dns": (["x", [], 5, True], []),
    "dns.forward": (["true", 1, [], {}], []),
    "dns.cache": (["true", 1, [], {}], []),
    "dns.listen": (["true", "53", 53.5, [], {}], [0, -1, 65536, 2**40]),
    "dns.hosts": (["db:10.0.0.1", {}, 5, [5], [["db:10.0.0.1"]]],
                  [[""], ["db"], ["db:"], [":10.0.0.1"], ["db:10.0.0"], ["db:10.0.0.1/24"], ["a b:10.0.0.1"], ["a\nb:10.0.0.1"],
                   ["db:host-gateways"], ["fine:10.0.0.1", "db"], ["x" * 254 + ":10.0.0.1"], ["-x y:10.0.0.1"]]),
    "dns.nameservers": (["x", {}, [5]], [["x"], ["192.0.2.1/24"], ["192.0.2.1", ""], ["192.0.2.1:53"]]),
    "dns.search": (["x", {}, [5], [[]]], [["a b"], ["a\nb"], [""], ["a", "b\tc"], ["x" * 255]]),
    "dns.options": (["x", {}, [5]], [["a b"], ["a\nnameserver 192.0.2.1"], [""]]),
    "dns.domain": ([5, [], {}, True], ["x" * 256, "a b", "a\n10.0.0.1 b", "a..b", ".a"]),
    "args.cni.name": ([5, [], {}, True], ["x" * 254, hostile.LONG]),
    "args.cni.hostname": ([5, [], {}, True], ["a b", "", "a/b", "a\nb", "x" * 254, hostile.LONG]),
    "runtimeConfig.aliases": (["x", 5, True, [5], [[]], ["a", None], {"bad": "x"}, {"bad": [5]}],
                              [[""], ["x" * 254], ["a", hostile.LONG], {"bad": [""]}]),
    "runtimeConfig.dns": (["x", [], 5, True], []),
    "runtimeConfig.dns.servers": (["x", {}, 5, [5]], [["x"], ["192.0.2.1", "192.0.2"]]),
    "runtimeConfig.dns.searches": (["x", {}, [5]], [["a b"], [""], ["a\nb"]]),
    "runtimeConfig.dns.options": (["x", {}, [5]], [["a b"], ["a\nb"]]),
}
ENABLED = {"dns.enabled": (["true", 1, [], {}], [])}
GROUPS = {
    "bridge": ("bridge", [*hostile.of_table(BRIDGE, ENABLED), *hostile.of_table(BRIDGE, KEYS)]),
    "dns": ("dns", [*hostile.of_table(CHAINED, ENABLED), *hostile.of_table(CHAINED, KEYS)]),
    "disabled": ("bridge", hostile.of_table({**BRIDGE, "dns": {}}, {**ENABLED, **{key: (types, []) for key, (types, _) in KEYS.items()}})),
}


@pytest.fixture(scope="module")
def busy():
    with Lab() as lab:
        lab.netns("c1")
        lab.netns("c2")
        cni = Cni(lab)
        dns.lo_up(lab, "c1")
        dns.attach(cni, dns.network(), "c2", "web")
        yield cni


def problem(cni, plugin, case):
    outcome = cni.call(case.command, plugin, case.config)
    try:
        outcome.refused(case.code, *case.words)
        shapes.check_error(outcome.json)
    except AssertionError as error:
        return f"{case.title}: {error}"
    return None


@pytest.mark.parametrize("group", GROUPS)
def test_refused(busy, group):
    plugin, cases = GROUPS[group]
    before = snapshot.take(busy.lab, ["c1", "c2"])
    problems = [p for p in (problem(busy, plugin, case) for case in cases) if p]
    assert not problems, f"{len(problems)}:\n" + "\n".join(problems)
    assert not snapshot.diff(before, snapshot.take(busy.lab, ["c1", "c2"]))
    assert dns.knows(busy.lab, "c2", "web")


@pytest.mark.parametrize("plugin, config", [("bridge", BRIDGE), ("dns", CHAINED)])
def test_too_much_in_all(busy, plugin, config):
    """Records have room for so many settings and aliases; what is too much is refused and nothing is left."""
    before = snapshot.take(busy.lab, ["c1", "c2"])
    many = [f"fd00:1111:2222:3333:4444:5555:6666:{i:x}" for i in range(60)]
    busy.add(plugin, {**config, "dns": {"enabled": True, "nameservers": many}}).refused(7, "dns", "bytes")
    busy.add(plugin, configs.runtime(config, aliases=["a" * 60 + str(i) for i in range(40)])).refused(7, "runtimeConfig.aliases", "bytes")
    busy.add(plugin, {**config, "dns": {"enabled": True, "hosts": ["a:10.0.0.1"] * 1025}}).refused(7, "dns.hosts")
    assert not snapshot.diff(before, snapshot.take(busy.lab, ["c1", "c2"]))


def test_names_that_cannot_be_asked_for(busy):
    """A name that is no host name does not keep a container from the network: it has its short id."""
    for name in ("a b", "", "ü", "a_b/c", "-x"):
        [one] = dns.attach(busy, dns.network(), "c1", name)
        assert dns.lookup(busy.lab, "c2", "c1") == [one]
        busy.delete("bridge", dns.network(), "c1").expect()


def test_del_with_a_broken_configuration(busy):
    """It goes by the record."""
    before = snapshot.take(busy.lab, ["c1"])
    dns.attach(busy, dns.network(), "c1", "other")
    busy.delete("bridge", dns.network(dns={"enabled": 5, "listen": "x", "hosts": 5}), "c1").expect()
    assert not snapshot.diff(before, snapshot.take(busy.lab, ["c1"]))
    assert busy.lab.files(f"{dns.state_dir(busy.lab)}/files") == ["c2"]
