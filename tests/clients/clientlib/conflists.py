# SPDX-License-Identifier: GPL-2.0-or-later
"""Network configurations as people write them for the clients."""


def _ipam(subnet):
    # Without a gateway podman's `network inspect` refuses the network.
    gateway = subnet.rsplit(".", 1)[0] + ".1"
    return {"type": "host-local", "routes": [{"dst": "0.0.0.0/0"}],
            "ranges": [[{"subnet": subnet, "gateway": gateway}]]}


def podman_style(name="net-chain", bridge="fl-chain0", subnet="10.71.0.0/24"):
    """What `podman network create` writes for its CNI backend."""
    return {"cniVersion": "0.4.0", "name": name, "plugins": [
        {"type": "bridge", "bridge": bridge, "isGateway": True, "ipMasq": True, "hairpinMode": True,
         "ipam": _ipam(subnet), "capabilities": {"ips": True}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "firewall", "backend": ""},
        {"type": "tuning"}]}


def single_bridge(name="net-single", bridge="fl-single0", subnet="10.72.0.0/24"):
    """One plugin that does all: only a bridge that publishes ports itself can serve this."""
    return {"cniVersion": "1.0.0", "name": name, "plugins": [
        {"type": "bridge", "bridge": bridge, "isGateway": True, "ipMasq": True, "hairpinMode": True,
         "ipam": _ipam(subnet),
         "capabilities": {"portMappings": True, "ips": True, "mac": True, "aliases": True}}]}


def with_names(name="net-names", bridge="fl-names0", subnet="10.74.0.0/24", servers=("192.0.2.2",)):
    """A resolver in each container; foreign names from these servers."""
    return {"cniVersion": "1.0.0", "name": name, "plugins": [
        {"type": "bridge", "bridge": bridge, "isGateway": True, "ipMasq": True, "hairpinMode": True,
         "ipam": _ipam(subnet), "dns": {"enabled": True, "nameservers": list(servers)},
         "capabilities": {"portMappings": True, "ips": True, "mac": True, "aliases": True}}]}


def macvlan(name="net-macvlan", master="up0", first="192.0.2.100"):
    """On the segment that leads to `outside`."""
    ipam = {"type": "host-local", "routes": [{"dst": "0.0.0.0/0"}],
            "ranges": [[{"subnet": "192.0.2.0/24", "gateway": "192.0.2.2", "rangeStart": first}]]}
    return {"cniVersion": "0.4.0", "name": name, "plugins": [
        {"type": "macvlan", "master": master, "mode": "bridge", "ipam": ipam, "capabilities": {"ips": True}}]}


# Everything that is chained in practice, as distributions and nerdctl write it.
CHAIN = [{"type": "portmap", "capabilities": {"portMappings": True}}, {"type": "firewall", "ingressPolicy": "same-bridge"},
         {"type": "tuning", "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}},
         {"type": "bandwidth", "capabilities": {"bandwidth": True}}]


def kubernetes(name="pods", bridge="fl-pods0", subnet="10.73.0.0/24", style="bridge+portmap"):
    """A node's network: bridge and portmap; the bridge with all its capabilities; or the bridge and every chained plugin."""
    bridge_plugin = {"type": "bridge", "bridge": bridge, "isGateway": True, "ipMasq": True,
                     "hairpinMode": True, "ipam": _ipam(subnet)}
    if style == "bridge":
        bridge_plugin["capabilities"] = dict.fromkeys(
            ("portMappings", "ips", "mac", "ipRanges", "aliases", "dns", "bandwidth"), True)
    chained = {"bridge+portmap": CHAIN[:1], "bridge": [], "chain": CHAIN}[style]
    return {"cniVersion": "0.4.0", "name": name, "plugins": [bridge_plugin, *chained]}
