# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel holds for a lab, told by ip, bridge and nft, and without what changes by itself.

    before = take(lab, ["c1"])
    ...
    assert not diff(before, take(lab, ["c1"]))

A snapshot is a dict: "host/links", "c1/routes4", "nft", "sysctls", ... -> list of one-line strings, sorted.
Left out: counters, timers, indexes of pairs, carrier and operational state (the kernel settles these
later), learned neighbours and FDB entries, link-local addresses (they come when duplicate detection ends).
"""
import collections
import functools
import json
import os
import re
import subprocess

_LINK_DROP = {"operstate", "stats", "stats64", "link_index", "link_netnsid", "ifindex", "link_netns",
              "root_id", "root_port", "root_path_cost", "topology_change", "topology_change_detected",
              "state", "designated_bridge", "designated_root", "forward_delay", "no", "num_tx_queues",
              "num_rx_queues", "gso_max_size", "gso_max_segs", "tso_max_size", "tso_max_segs", "gro_max_size",
              "gso_ipv4_max_size", "gro_ipv4_max_size", "addr_info", "linkmode", "qdisc", "config_pending",
              "topology_change_ack", "broadcast", "port_id", "id"}
_FLAGS_DROP = {"LOWER_UP", "NO-CARRIER"}
_NFT_DROP = {"handle", "counter", "expires", "packets", "bytes"}
_SYSCTLS = [f"net/ipv4/conf/{{}}/{key}" for key in ("forwarding", "route_localnet", "rp_filter", "arp_notify", "proxy_arp")]
_SYSCTLS += [f"net/ipv6/conf/{{}}/{key}" for key in ("forwarding", "accept_ra", "disable_ipv6", "accept_dad", "proxy_ndp")]
_GLOBAL = ["net/ipv4/ip_forward", "net/netfilter/nf_conntrack_max", "net/ipv4/ip_nonlocal_bind",
           "net/bridge/bridge-nf-call-iptables"]
_MOVING = re.compile(r'("(?:handle|packets|bytes|expires)":) \d+')
# The key of a range set's next-fit position: pool id (4 bytes), then "c".
_CURSOR = re.compile(r"leases (?:\\[0-9a-f]{2}|.){4}c")
# The sections that one process tells, in the order of its answers, and how it is asked: a start costs more than an answer.
_COMMANDS = [
    (("links", "neighbours"), ["ip", "-j", "-d", "-batch", "-"], "addr\nneigh show nud permanent\n"),
    (("routes4", "rules4"), ["ip", "-j", "-4", "-batch", "-"], "route show table all\nrule\n"),
    (("routes6", "rules6"), ["ip", "-j", "-6", "-batch", "-"], "route show table all\nrule\n"),
    (("fdb",), ["bridge", "-j", "fdb"], ""),
    (("nft",), ["nft", "-j", "list", "ruleset"], ""),
]


def take(lab, containers=(), hooks=(), stores=True):
    """A snapshot of the private host and of the named namespaces.

    Each hook gets the lab and returns a dict of further sections. `stores` adds what store_hook tells.
    """
    waiting = [(netns or "host", lab.submit(_sections, *command, netns=netns))
               for netns in (None, *containers) for command in _COMMANDS]
    snapshot = {}
    for netns in (None, *containers):
        snapshot[f"{netns or 'host'}/sysctls"] = sorted(_normalise("sysctls", lab.call(_sysctls, netns=netns)))
    for where, future in waiting:
        snapshot.update((f"{where}/{section}", lines) for section, lines in future.result().items())
    for hook in (*hooks, *([store_hook] if stores else [])):
        snapshot.update(hook(lab))
    return snapshot


def diff(before, after):
    """Readable difference of two snapshots; "" when they are equal."""
    lines = []
    for section in sorted(before.keys() | after.keys()):
        old = collections.Counter(before.get(section, []))
        new = collections.Counter(after.get(section, []))
        if old != new:
            lines.append(f"== {section}")
            lines += [f"- {line}" for line in sorted((old - new).elements())]
            lines += [f"+ {line}" for line in sorted((new - old).elements())]
    return "\n".join(lines)


def store_hook(lab):
    """Records of the state directories (LMDB, read by mdb_dump), and the reference's lease files.

    A table or entry is a line, so that a leaked record shows up by name. Next-fit positions are left out by
    `forget_cursors`, because they are meant to move.
    """
    sections = {}
    root = os.environ.get("FAIRLEAD_STATE_DIR", "/run/fairlead")
    for cookie in lab.files(root):
        dump = lab.run(["mdb_dump", "-a", "-p", f"{root}/{cookie}"], check=False)
        sections["store"] = sections.get("store", []) + forget_cursors(_records(dump.stdout))
    leases = "/var/lib/cni/networks"
    for network in lab.files(leases):
        names = [n for n in lab.files(f"{leases}/{network}") if n != "lock" and not n.startswith("last_reserved")]
        sections[f"leases/{network}"] = [f"{n} {lab.read(f'{leases}/{network}/{n}')!r}" for n in names]
    return {name: lines for name, lines in sections.items() if lines}


def forget_cursors(records):
    return [r for r in records if r.split(" ", 1)[0] not in ("meta", "pools") and not _CURSOR.match(r)]


def _records(text):
    """Lines "TABLE KEY = VALUE" of the output of mdb_dump -a -p."""
    table, key, records, data = "", None, [], False
    for line in text.splitlines():
        if line.startswith("database="):
            table = line[9:]
        elif line in ("HEADER=END", "DATA=END"):
            data = line == "HEADER=END"
        elif data and line.startswith(" "):
            if key is None:
                key = line[1:]
            else:
                records.append(f"{table} {key} = {line[1:]}")
                key = None
    return sorted(records)


def _sections(names, argv, commands):
    """{section: answer}: each is one line, in their order."""
    lines = subprocess.run(argv, capture_output=True, text=True, check=True, input=commands).stdout.splitlines()
    assert len(lines) == len(names), f"{argv}: {lines}"
    return {name: _lines(name, _MOVING.sub(r"\1 0", line)) for name, line in zip(names, lines)}


@functools.lru_cache(64)
def _lines(section, answer):
    """Most answers are those that were there before."""
    return sorted(_normalise(section, json.loads(answer)))


def _sysctls():
    names = list(_GLOBAL)
    for family in ("ipv4", "ipv6"):
        for link in os.listdir(f"/proc/sys/net/{family}/conf"):
            names += [name.format(link) for name in _SYSCTLS if f"/{family}/" in name]
    return {name: _value(name) for name in names}


def _value(name):
    try:
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None


def _normalise(section, data):
    if section == "sysctls":
        return [f"{name} = {value}" for name, value in data.items() if value is not None]
    if section == "links":
        return [line for link in data for line in _link(link)]
    if section == "nft":
        return [_line(_nft(entry)) for entry in data.get("nftables", []) if "metainfo" not in entry]
    if section.startswith("routes"):
        return [_line(_route(route)) for route in data if not _automatic(route)]
    if section == "fdb":
        return [_line(entry) for entry in data if entry.get("state") == "permanent" and
                not entry["mac"].startswith(("33:33:", "01:00:5e:"))]
    return [_line(entry) for entry in data]


def _link(link):
    name = link["ifname"]
    yield f"{name}: {_line(_strip(link))}"
    for address in link.get("addr_info", []):
        if address.get("scope") != "link" and "local" in address:
            kept = {k: v for k, v in address.items() if k in ("local", "prefixlen", "broadcast", "scope", "label", "address")}
            yield f"{name}: address {_line(kept)}"


def _strip(value):
    if isinstance(value, dict):
        return {k: _strip(v) for k, v in value.items()
                if k not in _LINK_DROP and not k.endswith(("_timer", "_age", "_time", "_cnt"))}
    if isinstance(value, list):
        return sorted(v for v in value if v not in _FLAGS_DROP)
    return value


def _route(route):
    kept = {k: v for k, v in route.items() if k not in ("expires", "used", "age")}
    kept["flags"] = [flag for flag in route.get("flags", []) if flag not in ("linkdown", "dead")]
    return kept


def _automatic(route):
    """Routes that the kernel makes for link-local and multicast addresses, and for each IPv6 address to itself, whenever it gets to it."""
    return str(route.get("dst", "")).startswith(("fe80:", "ff00:")) and route.get("protocol") == "kernel" \
        or route.get("type") == "anycast" or route.get("type") == "local" and ":" in str(route.get("dst", ""))


def _nft(value):
    if isinstance(value, dict):
        kept = {k: _nft(v) for k, v in value.items() if k not in _NFT_DROP}
        if isinstance(kept.get("elem"), list):
            kept["elem"] = sorted(kept["elem"], key=_line)
        return kept
    if isinstance(value, list):
        return [_nft(v) for v in value]
    return value


def _line(value):
    return re.sub(r'"([A-Za-z_][\w-]*)"', r"\1", json.dumps(value, sort_keys=True))
