# SPDX-License-Identifier: GPL-2.0-or-later
"""Network configurations and small readings that several test files share."""
import copy
import json
import os
import time

import pytest

# Debian's reference plugins end at 1.0.0: set this to run the tests against them.
VERSION = os.environ.get("FAIRLEAD_TEST_VERSION", "1.1.0")
SUBNET, GATEWAY = "10.1.0.0/24", "10.1.0.1"
SUBNET6, GATEWAY6 = "fd00:1::/64", "fd00:1::1"


def host_local(*subnets, routes=(), **more):
    """An ipam object with one range set for each subnet (a str, or a dict with the range's keys)."""
    ranges = [[{"subnet": subnet} if isinstance(subnet, str) else dict(subnet)] for subnet in subnets]
    ipam = {"type": "host-local", "ranges": ranges, **more}
    if routes:
        ipam["routes"] = [{"dst": dst} for dst in routes]
    return ipam


def bridge(name="net", version=VERSION, subnets=(SUBNET,), ipam=None, **more):
    """A network that most people would write: a gateway with masquerade and a default route."""
    config = {"cniVersion": version, "name": name, "type": "bridge", "bridge": f"{name}0",
              "isDefaultGateway": True, "ipMasq": True, "hairpinMode": True,
              "ipam": ipam or host_local(*subnets)}
    config.update(more)
    return {key: value for key, value in config.items() if value is not None}


def dual(name="net", **more):
    return bridge(name, subnets=(SUBNET, SUBNET6), **more)


def second(name="other", **more):
    """Another network beside bridge()."""
    return bridge(name, subnets=("10.2.0.0/24",), **more)


def publish(config, *mappings, **more):
    """The configuration with runtimeConfig.portMappings; each mapping a dict, or (host port, container port)."""
    config = copy.deepcopy(config)
    ports = [m if isinstance(m, dict) else port(*m) for m in mappings]
    config.setdefault("runtimeConfig", {}).update(portMappings=ports, **more)
    return config


def port(host, container, protocol="tcp", **more):
    return {"hostPort": host, "containerPort": container, "protocol": protocol, **more}


def runtime(config, **values):
    config = copy.deepcopy(config)
    config.setdefault("runtimeConfig", {}).update(values)
    return config


def with_previous(config, result):
    return {**config, "prevResult": result}


def conflist(*plugins, name="net", version="1.0.0"):
    return {"cniVersion": version, "name": name, "plugins": list(plugins)}


def attach(cni, config, *containers, **kwargs):
    """ADD of the bridge for each container; their first addresses."""
    return [cni.add("bridge", config, name, **kwargs).expect().address for name in containers]


def warm(cni, config, plugin="bridge"):
    """One container came and went: the bridge and the rules are there, as they stay."""
    cni.lab.netns("warm")
    cni.add(plugin, config, "warm").expect()
    cni.delete(plugin, config, "warm").expect()
    cni.lab.remove_netns("warm")


def filter_bridged(lab, value):
    """Whether bridged packets pass the host's rules; skips where br_netfilter is not there."""
    name = "net/bridge/bridge-nf-call-iptables"
    if not lab.exists(f"/proc/sys/{name}"):
        if value:
            pytest.skip("no br_netfilter")
        return
    lab.sysctl(name, value)


def link(lab, name, netns=None):
    """`ip -d link show NAME`, or None."""
    found = [entry for entry in lab.ip("-d", "link", netns=netns) if entry["ifname"] == name]
    return found[0] if found else None


def bridge_ports(lab, bridge_name):
    return [entry["ifname"] for entry in lab.ip("link") if entry.get("master") == bridge_name]


def addresses(lab, name, netns=None):
    """Global addresses of a link, with prefix length."""
    return [f"{info['local']}/{info['prefixlen']}" for entry in lab.ip("addr", netns=netns)
            if entry["ifname"] == name for info in entry["addr_info"] if info["scope"] == "global"]


def default_route(lab, netns, family="-4"):
    routes = [r for r in lab.ip(family, "route", netns=netns) if r["dst"] == "default"]
    return routes[0].get("gateway") if routes else None


def nft_elements(lab, table="fairlead"):
    """{set or map name: [elements as nft -j has them]} of table inet TABLE; {} without the table."""
    import json
    found = lab.run(["nft", "-j", "list", "table", "inet", table], check=False)
    if found.returncode:
        return {}
    sets = [next(iter(e.values())) for e in json.loads(found.stdout)["nftables"] if "set" in e or "map" in e]
    return {s["name"]: s.get("elem", []) for s in sets}


def eventually(check, seconds=5):
    """Ask until `check()` is true: for what the kernel does in its own time and tells nobody."""
    end = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < end, "it did not come to be"
    return answer
