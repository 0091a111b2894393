# SPDX-License-Identifier: GPL-2.0-or-later
"""The table: for each plugin a configuration that works, ones that must not, and what can be damaged."""
from .core import DELETE, POOL_ROUTE, SUBNET, Bad, Plugin
from . import damage

KERNEL = {
    "macvlan": (["link", "add", "link", "up0", "name", "probe", "type", "macvlan", "mode", "bridge"], "CONFIG_MACVLAN"),
    "ipvlan": (["link", "add", "link", "up0", "name", "probe", "type", "ipvlan"], "CONFIG_IPVLAN"),
    "vlan": (["link", "add", "link", "up0", "name", "probe", "type", "vlan", "id", "7"], "CONFIG_VLAN_8021Q"),
    "bridge": (["link", "add", "probe", "type", "bridge"], "CONFIG_BRIDGE"),
    "vxlan": (["link", "add", "probe", "type", "vxlan", "id", "7", "dstport", "4789"], "CONFIG_VXLAN"),
    "veth": (["link", "add", "probe", "type", "veth", "peer", "name", "probe1"], "CONFIG_VETH"),
    "dummy": (["link", "add", "probe", "type", "dummy"], "CONFIG_DUMMY"),
    "vrf": (["link", "add", "probe", "type", "vrf", "table", "10"], "CONFIG_NET_VRF"),
    "ifb": (["link", "add", "probe", "type", "ifb"], "CONFIG_IFB"),
    "tun": (["tuntap", "add", "probe", "mode", "tap"], "CONFIG_TUN"),
}

_POOL = {"type": "host-local", "ranges": [[{"subnet": SUBNET}]], "routes": [{"dst": POOL_ROUTE, "gw": "10.201.0.1"}]}
_LINK = ("address", "route", "link", "down")
_ADDRESS_OUTSIDE = ["203.0.113.9"]


def _first(container):
    return sum(container.encode()) % 200 + 20


def _type(key, value, **more):
    return Bad(f"{key}-type", {key: value}, (key,), **more)


def _ipam(short, names, newer=False, at_del=True, **override):
    return Bad(short, {"ipam": override}, names, newer, at_del)


_IPAM_BAD = (
    Bad("ipam-type", {"ipam": "host-local"}, ("ipam",), at_del=False),
    _ipam("ipam.type-type", ("type", "ipam"), at_del=False, type=5),
    _ipam("ipam.type-path", ("type", "ipam", "plugin"), at_del=False, type="../host-local"),
)
_MTU = (_type("mtu", "big"), Bad("mtu-negative", {"mtu": -1}, ("mtu",)), Bad("mtu-huge", {"mtu": 1 << 20}, ("mtu",)))
_MAC = (Bad("runtimeConfig.mac", {"runtimeConfig": {"mac": "nonsense"}}, ("mac",)),
        Bad("runtimeConfig.mac-multicast", {"runtimeConfig": {"mac": "03:00:00:00:00:01"}}, ("mac",)))
_DNS = (Bad("dns-type", {"dns": ["192.0.2.53"]}, ("dns",)),
        Bad("dns.nameservers-type", {"dns": {"nameservers": "192.0.2.53"}}, ("nameservers",)))

BRIDGE = Plugin(
    "bridge", "main",
    {"bridge": "cbr0", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": _POOL},
    kernel=("bridge", "veth"), delegates=True, l2=True, addresses=False, mac=True, ip=True, master="cbr0",
    tamper=(*_LINK, "mac", "port", "nft", "state"),
    bad=(
        _type("bridge", 5), Bad("bridge-name", {"bridge": "a/b"}, ("bridge",)),
        Bad("bridge-long", {"bridge": "a-name-of-20-letters"}, ("bridge",)),
        Bad("bridge-foreign", {"bridge": "up0"}, ("bridge",)),
        _type("isGateway", "yes"), _type("isDefaultGateway", 1), _type("ipMasq", "true"), _type("forceAddress", 0),
        _type("hairpinMode", []), _type("promiscMode", "no"),
        Bad("hairpin-promisc", {"hairpinMode": True, "promiscMode": True}, ("hairpin", "promisc")),
        *_MTU, _type("vlan", "7"), Bad("vlan-high", {"vlan": 5000}, ("vlan",)),
        Bad("vlan-negative", {"vlan": -1}, ("vlan",)),
        _type("vlanTrunk", 5, newer=True),
        Bad("vlanTrunk-high", {"vlanTrunk": [{"id": 5000}]}, ("vlanTrunk", "trunk", "id"), newer=True),
        Bad("vlanTrunk-reversed", {"vlanTrunk": [{"minID": 20, "maxID": 10}]}, ("minID", "maxID"), newer=True),
        Bad("vlanTrunk-half", {"vlanTrunk": [{"minID": 20}]}, ("minID", "maxID"), newer=True),
        _type("macspoofchk", "on", newer=True), _type("enabledad", 3, newer=True),
        _type("portIsolation", "x", newer=True),
        _type("preserveDefaultVlan", "x", newer=True),
        Bad("disableContainerInterface-ipam", {"disableContainerInterface": True}, ("disableContainerInterface",),
            newer=True),
        Bad("ipMasqBackend", {"ipMasqBackend": "nonsense"}, ("ipMasqBackend", "backend"), newer=True),
        *_MAC, *_DNS, *_IPAM_BAD,
        _ipam("ipam.subnet", ("subnet",), ranges=[[{"subnet": "nonsense"}]]),
        Bad("runtimeConfig-type", {"runtimeConfig": []}, ("runtimeConfig",)),
    ))

PTP = Plugin(
    "ptp", "main", {"ipMasq": True, "ipam": _POOL}, kernel=("veth",), delegates=True, ip=True,
    tamper=(*_LINK, "mac", "host-end", "nft", "state"),
    bad=(_type("ipMasq", "true"), *_MTU, *_DNS, *_IPAM_BAD,
         Bad("ipam-missing", {"ipam": DELETE}, ("ipam",), at_del=False),
         Bad("ipMasqBackend", {"ipMasqBackend": "nonsense"}, ("ipMasqBackend", "backend"), newer=True)))

OVERLAY = Plugin(
    "overlay", "main",
    {"vni": 7, "peers": ["192.0.2.1", "192.0.2.2"], "nodeAddress": ["10.201.0.254/24", "10.202.0.254/24"], "ipMasq": True, "ipam": _POOL},
    kernel=("bridge", "veth", "vxlan"), delegates=True, l2=True, addresses=False, mac=True, ip=True,
    tamper=(*_LINK, "mac", "nft", "state"),
    bad=(
        Bad("vni-missing", {"vni": DELETE}, ("vni",), at_del=False), _type("vni", "7"), Bad("vni-zero", {"vni": 0}, ("vni",)),
        Bad("vni-high", {"vni": 1 << 24}, ("vni",)), _type("port", "4789"), Bad("port-high", {"port": 65536}, ("port",)),
        Bad("peers-missing", {"peers": DELETE}, ("peers",), at_del=False), _type("peers", "192.0.2.2"),
        Bad("peers-item", {"peers": [5]}, ("peers",)), Bad("peers-nonsense", {"peers": ["nonsense"]}, ("peers", "nonsense")),
        Bad("peers-twice", {"peers": ["192.0.2.2", "192.0.2.2"]}, ("peers", "twice")),
        Bad("peers-families", {"peers": ["192.0.2.2", "2001:db8::2"]}, ("peers", "family")),
        Bad("peers-multicast", {"peers": ["239.1.1.1"]}, ("peers", "239.1.1.1")),
        Bad("peers-no-vtep", {"peers": [{"nodeAddress": "10.201.0.253/24"}]}, ("vtep",)),
        _type("local", 5), Bad("local-absent", {"local": "nowhere0"}, ("local", "nowhere0")),
        Bad("local-family", {"local": "2001:db8::1"}, ("local", "family")),
        Bad("local-missing", {"peers": []}, ("local",)),
        Bad("nodeAddress-missing", {"nodeAddress": DELETE}, ("nodeAddress",), at_del=False), _type("nodeAddress", 5),
        Bad("nodeAddress-nonsense", {"nodeAddress": "nonsense"}, ("nodeAddress",)),
        Bad("nodeAddress-no-length", {"nodeAddress": "10.201.0.254"}, ("nodeAddress",)),
        Bad("nodeAddress-net", {"nodeAddress": "10.201.0.0/24"}, ("nodeAddress", "10.201.0.0/24")),
        Bad("nodeAddress-twice", {"nodeAddress": ["10.201.0.254/24", "10.201.0.253/24"]}, ("nodeAddress", "subnet")),
        Bad("nodeAddress-elsewhere", {"nodeAddress": "10.202.0.254/24"}, ("nodeAddress", SUBNET), at_del=False),
        Bad("nodeAddress-internal", {"internal": True}, ("internal", "nodeAddress")),
        Bad("peer-inside", {"peers": ["192.0.2.1", "10.201.0.9"]}, ("peers", "10.201.0.9")),
        _type("mode", 5), Bad("mode", {"mode": "nonsense"}, ("mode",)), Bad("mode-etcd", {"mode": "etcd"}, ("mode", "etcd")),
        Bad("mtu-type", {"mtu": []}, ("mtu",)), Bad("mtu-text", {"mtu": "big"}, ("mtu",)), Bad("mtu-negative", {"mtu": -1}, ("mtu",)),
        Bad("mtu-huge", {"mtu": 65536}, ("mtu",)), _type("broadcast", "yes"), Bad("broadcast-off", {"broadcast": False}, ("broadcast",)),
        _type("internal", "yes"), _type("isolate", "yes"), _type("guarded", "yes"), _type("ipMasq", "true"), _type("attachable", 1),
        *_MAC, *_DNS, *_IPAM_BAD,
        _ipam("ipam.subnet-auto", ("ipam.subnet",), ranges=DELETE, subnet="auto"),
    ))

MACVLAN = Plugin(
    "macvlan", "main", {"master": "up0", "mode": "bridge", "ipam": _POOL}, kernel=("macvlan",), delegates=True, l2=True,
    addresses=False, mac=True, ip=True, master="up0", tamper=(*_LINK, "mac", "state"),
    bad=(_type("master", 5), Bad("master-absent", {"master": "nowhere0"}, ("master", "nowhere0")),
         _type("mode", 5), Bad("mode", {"mode": "nonsense"}, ("mode",)), *_MTU,
         Bad("mtu-above-master", {"mtu": 9000}, ("mtu",)), _type("linkInContainer", "yes", newer=True),
         _type("bcqueuelen", "x", newer=True), *_MAC, *_DNS, *_IPAM_BAD))

IPVLAN = Plugin(
    "ipvlan", "main", {"master": "up0", "mode": "l2", "ipam": _POOL}, kernel=("ipvlan",), delegates=True, ip=True,
    master="up0", tamper=(*_LINK, "state"),
    bad=(_type("master", 5), Bad("master-absent", {"master": "nowhere0"}, ("master", "nowhere0")), _type("mode", 5),
         Bad("mode", {"mode": "nonsense"}, ("mode",)), *_MTU, Bad("mtu-above-master", {"mtu": 9000}, ("mtu",)),
         _type("linkInContainer", "yes", newer=True), *_DNS, *_IPAM_BAD))

VLAN = Plugin(
    "vlan", "main", {"master": "up0", "vlanId": 7, "ipam": _POOL}, kernel=("vlan",), delegates=True, ip=True,
    master="up0", tamper=(*_LINK, "state"),
    bad=(Bad("master-missing", {"master": DELETE}, ("master",), at_del=False), _type("master", 5),
         Bad("master-absent", {"master": "nowhere0"}, ("master", "nowhere0")), _type("vlanId", "7"),
         Bad("vlanId-high", {"vlanId": 5000}, ("vlan",)), Bad("vlanId-negative", {"vlanId": -1}, ("vlan",)),
         *_MTU, Bad("mtu-above-master", {"mtu": 9000}, ("mtu",)), _type("linkInContainer", "yes", newer=True),
         *_DNS, *_IPAM_BAD))

HOST_DEVICE = Plugin(
    "host-device", "main", {"ipam": _POOL}, kernel=("veth",), delegates=True, l2=True, addresses=False, ip=True,
    each=lambda container: {"device": f"hd-{container}"}, prepare=damage.host_devices, borrows=True,
    # Not "state": without its record a device comes back, but nobody knows any more whether it was up.
    tamper=("address", "route", "link", "down"),
    bad=(_type("device", 5), Bad("device-absent", {"device": "nowhere0"}, ("device", "nowhere0")),
         Bad("device-missing", {"device": DELETE}, ("device",)),
         Bad("hwaddr", {"device": DELETE, "hwaddr": "nonsense"}, ("hwaddr", "address")),
         Bad("hwaddr-absent", {"device": DELETE, "hwaddr": "02:00:00:00:00:fe"},
             ("hwaddr", "address", "02:00:00:00:00:fe")),
         Bad("kernelpath-relative", {"device": DELETE, "kernelpath": "devices/x"}, ("kernelpath", "path")),
         Bad("pciBusID", {"device": DELETE, "pciBusID": "nonsense"}, ("pciBusID", "pci")),
         *_DNS, *_IPAM_BAD))

DUMMY = Plugin(
    "dummy", "main", {"ipam": _POOL}, kernel=("dummy",), delegates=True, ip=True, tamper=(*_LINK, "state"),
    bad=(Bad("ipam-missing", {"ipam": DELETE}, ("ipam",), at_del=False), *_DNS, *_IPAM_BAD))

TAP = Plugin(
    "tap", "main", {"ipam": _POOL}, kernel=("tun",), delegates=True, l2=True, addresses=False, mac=True, ip=True,
    tamper=("address", "link", "state"),
    bad=(_type("multiQueue", "yes"), *_MTU, _type("mac", 5), Bad("mac", {"mac": "nonsense"}, ("mac",)),
         _type("owner", "root"), _type("group", "root"), Bad("owner-negative", {"owner": -1}, ("owner",)), *_MAC, *_DNS,
         *_IPAM_BAD))

LOOPBACK = Plugin(
    "loopback", "sandbox", shows="lo", ifname="lo", exclusive=False, stateful=False, tamper=("lo-down",),
    bad=(Bad("prevResult-type", {"prevResult": "x"}, ("prevResult",), at_del=False),))

# A container's lo stays up: others of its networks may need it.
NONE = Plugin("none", "sandbox", shows="lo", exclusive=False, stateful=False, addresses=False, tamper=("lo-down",),
              stays=("links", "routes"))

HOST = Plugin("host", "sandbox", shows="up0", own_netns=True, exclusive=False, stateful=False, addresses=False,
              prepare=damage.host_alias, netns=lambda world, container: "/run/netns/own")

CONTAINER = Plugin(
    "container", "sandbox", {"container": "owner"}, shows="eth0", exclusive=False, stateful=False, addresses=False,
    prepare=damage.owner, netns=lambda world, container: "/run/netns/owner", kernel=("bridge", "veth"),
    bad=(Bad("container-missing", {"container": DELETE}, ("container",), at_del=False), _type("container", 5),
         Bad("container-unknown", {"container": "nobody"}, ("nobody", "container"))))

HOST_LOCAL = Plugin(
    "host-local", "ipam", {"ipam": _POOL}, ip=True, needs_netns=False, tamper=("state",),
    bad=(
        Bad("ipam-missing", {"ipam": DELETE}, ("ipam",), at_del=False),
        Bad("ipam-type", {"ipam": []}, ("ipam",), at_del=False),
        _ipam("ranges-type", ("ranges",), ranges={}), _ipam("ranges-none", ("range", "subnet"), ranges=[]),
        _ipam("ranges-empty-set", ("range",), ranges=[[]]),
        _ipam("subnet", ("subnet",), ranges=[[{"subnet": "nonsense"}]]),
        _ipam("subnet-no-length", ("subnet",), ranges=[[{"subnet": "10.201.0.0"}]]),
        _ipam("subnet-host-bits", ("subnet", "network"), ranges=[[{"subnet": "10.201.0.5/24"}]]),
        _ipam("subnet-small", ("subnet", "network"), ranges=[[{"subnet": "10.201.0.0/32"}]]),
        _ipam("subnet-missing", ("subnet",), ranges=[[{"rangeStart": "10.201.0.5"}]]),
        _ipam("rangeStart", ("rangeStart",), ranges=[[{"subnet": SUBNET, "rangeStart": "nonsense"}]]),
        _ipam("rangeStart-outside", ("rangeStart",), ranges=[[{"subnet": SUBNET, "rangeStart": "10.202.0.5"}]]),
        _ipam("rangeEnd-outside", ("rangeEnd",), ranges=[[{"subnet": SUBNET, "rangeEnd": "10.202.0.5"}]]),
        _ipam("range-reversed", ("rangeStart", "rangeEnd"),
              ranges=[[{"subnet": SUBNET, "rangeStart": "10.201.0.9", "rangeEnd": "10.201.0.5"}]]),
        _ipam("gateway", ("gateway",), ranges=[[{"subnet": SUBNET, "gateway": "nonsense"}]]),
        _ipam("ranges-overlap", ("overlap",), ranges=[[{"subnet": SUBNET}], [{"subnet": SUBNET}]]),
        _ipam("ranges-families", ("famil", "mixed", "protocol"),
              ranges=[[{"subnet": SUBNET}, {"subnet": "fd00:201::/64"}]]),
        _ipam("routes-type", ("routes",), routes="198.51.100.0/24"),
        _ipam("routes-dst", ("dst", "route"), routes=[{"dst": "nonsense"}]),
        _ipam("routes-gw", ("gw", "route"), routes=[{"dst": POOL_ROUTE, "gw": "nonsense"}]),
        _ipam("dataDir-type", ("dataDir",), dataDir=5),
        _ipam("resolvConf-absent", ("resolvConf", "resolv"), resolvConf="/run/no.conf"),
        Bad("args.cni.ips", {"args": {"cni": {"ips": ["nonsense"]}}}, ("ips", "ip")),
        Bad("args.cni.ips-outside", {"args": {"cni": {"ips": _ADDRESS_OUTSIDE}}}, ("ips", "203.0.113.9")),
        Bad("runtimeConfig.ips", {"runtimeConfig": {"ips": ["nonsense"]}}, ("ips", "ip"), newer=True),
        Bad("runtimeConfig.ipRanges", {"runtimeConfig": {"ipRanges": [[{"subnet": "nonsense"}]]}},
            ("ipRanges", "subnet")),
    ))

STATIC = Plugin(
    "static", "ipam",
    {"ipam": {"type": "static", "addresses": [{"address": "10.201.0.5/24", "gateway": "10.201.0.1"}],
              "routes": [{"dst": POOL_ROUTE, "gw": "10.201.0.1"}]}},
    needs_netns=False, exclusive=False, stateful=False,
    bad=(
        Bad("ipam-missing", {"ipam": DELETE}, ("ipam",), at_del=False),
        _ipam("addresses-type", ("addresses",), addresses="10.201.0.5/24"),
        _ipam("address", ("address",), addresses=[{"address": "nonsense"}]),
        _ipam("address-no-length", ("address",), addresses=[{"address": "10.201.0.5"}]),
        _ipam("address-missing", ("address",), addresses=[{"gateway": "10.201.0.1"}]),
        _ipam("gateway", ("gateway",), addresses=[{"address": "10.201.0.5/24", "gateway": "nonsense"}]),
        _ipam("routes-dst", ("dst", "route"), routes=[{"dst": "nonsense"}]),
        Bad("args.cni.ips", {"args": {"cni": {"ips": ["nonsense"]}}}, ("ips", "ip")),
        Bad("runtimeConfig.ips", {"runtimeConfig": {"ips": ["nonsense"]}}, ("ips", "ip")),
    ))

DHCP = Plugin(
    "dhcp", "ipam", {"ipam": {"type": "dhcp"}}, needs_netns=False, exclusive=False, stateful=False, daemon="dhcp.sock",
    bad=(_ipam("daemonSocketPath-type", ("daemonSocketPath",), daemonSocketPath=5),
         _ipam("provide-type", ("provide",), provide="x"), _ipam("request-type", ("request",), request="x")))


def _ports(*mappings):
    return {"runtimeConfig": {"portMappings": list(mappings)}}


def _port(**override):
    return {key: value for key, value in {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", **override}.items()
            if value is not None}


PORTMAP = Plugin(
    "portmap", "chained", {"snat": True}, each=lambda container: _ports(_port(hostPort=8000 + _first(container))),
    needs_netns=False, exclusive=False, master="base0", tamper=("nft",),
    bad=(
        _type("snat", "yes"), _type("masqAll", 1, newer=True), _type("markMasqBit", "13"),
        Bad("markMasqBit-high", {"markMasqBit": 32}, ("markMasqBit", "masqMarkBit")),
        Bad("markMasqBit-negative", {"markMasqBit": -1}, ("markMasqBit", "masqMarkBit")),
        Bad("markMasqBit-chain", {"markMasqBit": 5, "externalSetMarkChain": "KUBE-MARK-MASQ"},
            ("markMasqBit", "externalSetMarkChain")),
        _type("conditionsV4", "x"),
        Bad("portMappings-type", {"runtimeConfig": {"portMappings": "8080:80"}}, ("portMappings",)),
        Bad("hostPort-type", _ports(_port(hostPort="8080")), ("hostPort",)),
        Bad("hostPort-negative", _ports(_port(hostPort=-1)), ("hostPort", "host port")),
        Bad("hostPort-high", _ports(_port(hostPort=70000)), ("hostPort", "host port")),
        Bad("containerPort-zero", _ports(_port(containerPort=0)), ("containerPort", "container port")),
        Bad("containerPort-high", _ports(_port(containerPort=70000)), ("containerPort", "container port")),
        Bad("protocol", _ports(_port(protocol="nonsense")), ("protocol",)),
        Bad("hostIP", _ports(_port(hostIP="nonsense")), ("hostIP",)),
        Bad("port-twice", _ports(_port(), _port(containerPort=81)), ("8080", "hostPort")),
    ))

FIREWALL = Plugin(
    "firewall", "chained", {}, needs_netns=False, exclusive=False, master="base0", tamper=("nft",),
    bad=(_type("backend", 5), Bad("backend", {"backend": "nonsense"}, ("backend",)), _type("firewalldZone", 5),
         _type("iptablesAdminChainName", 5), _type("ingressPolicy", 5, newer=True),
         Bad("ingressPolicy", {"ingressPolicy": "nonsense"}, ("ingressPolicy", "ingress policy"), newer=True)))

TUNING = Plugin(
    "tuning", "chained", {"sysctl": {"net.ipv4.conf.all.log_martians": "1"}, "mtu": 1400, "promisc": True},
    each=lambda container: {"mac": f"02:00:00:00:77:{_first(container):02x}"}, exclusive=False, stateful=False,
    tamper=("mac", "mtu", "promisc", "sysctl"), mac=True,
    bad=(_type("sysctl", "x"), Bad("sysctl-value", {"sysctl": {"net.ipv4.conf.all.log_martians": []}}, ("sysctl",)),
         Bad("sysctl-foreign", {"sysctl": {"kernel.panic": "5"}}, ("kernel.panic",)),
         Bad("sysctl-path", {"sysctl": {"net/../kernel/panic": "5"}}, ("sysctl", "net/../kernel/panic")),
         Bad("sysctl-absent", {"sysctl": {"net.ipv4.no_such_key": "5"}}, ("no_such_key",)),
         Bad("mac", {"mac": "nonsense"}, ("mac",)), _type("mac", 5), _type("mtu", "big"),
         Bad("mtu-negative", {"mtu": -1}, ("mtu",)), _type("promisc", "yes"), _type("allmulti", "yes"),
         _type("txQLen", "x", newer=True)))

_RATES = {"ingressRate": 1000000, "ingressBurst": 1000000, "egressRate": 1000000, "egressBurst": 1000000}
BANDWIDTH = Plugin(
    "bandwidth", "chained", _RATES, needs_netns=False, exclusive=False, kernel=("ifb",), master="base0",
    tamper=("qdisc",), sections=damage.qdiscs,
    bad=(_type("ingressRate", "fast"), _type("egressBurst", "x"),
         Bad("ingressRate-negative", {"ingressRate": -1}, ("ingressRate", "ingress")),
         Bad("ingressBurst-missing", {"ingressBurst": DELETE}, ("burst",)),
         Bad("ingressRate-missing", {"ingressRate": DELETE}, ("rate",)),
         Bad("egressBurst-missing", {"egressBurst": DELETE}, ("burst",)),
         Bad("egressBurst-huge", {"egressBurst": 1 << 36}, ("burst",)),
         Bad("runtimeConfig.bandwidth-type", {"runtimeConfig": {"bandwidth": "fast"}}, ("bandwidth",))))

# A container's lo stays up: 127.0.0.11 needs it.
DNS = Plugin(
    "dns", "chained", {"dns": {"search": ["conf.example"]}}, each=lambda container: {"args": {"cni": {"name": f"name-{container}"}}},
    exclusive=False, master="base0", stays=("links", "routes"),
    bad=(*_DNS, *(Bad(f"dns.{key}-type", {"dns": {key: value}}, (key,), newer=True) for key, value in
                  (("enabled", "yes"), ("forward", 1), ("cache", "no"), ("listen", "53"), ("hosts", "db:192.0.2.1"))),
         Bad("dns.nameservers", {"dns": {"nameservers": ["nonsense"]}}, ("nameservers",)),
         Bad("dns.listen-zero", {"dns": {"listen": 0}}, ("listen",)),
         Bad("dns.hosts", {"dns": {"hosts": ["nonsense"]}}, ("hosts",)),
         Bad("runtimeConfig.aliases-type", {"runtimeConfig": {"aliases": "www"}}, ("aliases",)),
         Bad("args.cni.hostname", {"args": {"cni": {"hostname": "a b"}}}, ("hostname",))))

SBR = Plugin("sbr", "chained", {}, exclusive=False, stateful=False, tamper=("rule",),
             bad=(_type("table", "x", newer=True), Bad("table-negative", {"table": -1}, ("table",), newer=True),
                  _type("addSourceHints", "x", newer=True)))

VRF = Plugin(
    "vrf", "chained", {"vrfname": "blue"}, kernel=("vrf",), exclusive=False, stateful=False, tamper=("unslave",),
    bad=(Bad("vrfname-missing", {"vrfname": DELETE}, ("vrfname", "vrf name"), at_del=False), _type("vrfname", 5),
         _type("table", "x"), Bad("table-negative", {"table": -1}, ("table",))))

PLUGINS = {plugin.name: plugin for plugin in (
    BRIDGE, OVERLAY, PTP, MACVLAN, IPVLAN, VLAN, HOST_DEVICE, DUMMY, TAP, LOOPBACK, NONE, HOST, CONTAINER, HOST_LOCAL, STATIC,
    DHCP, PORTMAP, FIREWALL, TUNING, BANDWIDTH, DNS, SBR, VRF)}


def unknown(name):
    """A plugin that the table does not have: what the protocol alone asks of it."""
    return Plugin(name, "main", {}, daemon="", needs_netns=False, stateful=False, exclusive=False)
