"""Is the floor's final state ours? A ratio between programs that do different work says nothing."""

import json
import subprocess

PORT_FLAGS = ("hairpin", "guard", "root_block", "fastleave", "learning", "flood", "mcast_flood", "isolated",
              "neigh_suppress", "locked", "proxy_arp")


def shown(*argv):
    return json.loads(subprocess.run(argv, capture_output=True, check=True).stdout or "[]")


def sandbox_state(netns):
    inside = ("nsenter", f"--net={netns}", "ip", "-j")
    state = {}
    for link in shown(*inside, "addr", "show"):
        name = link["ifname"]
        state[f"{name} flags"] = sorted(link["flags"])
        state[f"{name} mtu"] = link["mtu"]
        state[f"{name} IPv4 addresses"] = [(a["prefixlen"], a["scope"], "broadcast" in a)
                                           for a in link["addr_info"] if a["family"] == "inet"]
        state[f"{name} IPv6 addresses"] = len([a for a in link["addr_info"] if a["family"] == "inet6"])
    state["routes"] = sorted((r["dst"], r.get("gateway", ""), r.get("scope", "")) for r in shown(*inside, "route"))
    return state


def port_state(netns, bridge):
    """The host's end: the port whose peer is the sandbox's eth0."""
    eth0 = shown("nsenter", f"--net={netns}", "ip", "-j", "link", "show", "eth0")[0]
    for link in shown("ip", "-j", "-d", "link", "show", "master", bridge):
        if link["ifindex"] == eth0.get("link_index"):
            port = link["linkinfo"]["info_slave_data"]
            return {f"port {flag}": port.get(flag) for flag in PORT_FLAGS} | {"host end mtu": link["mtu"]}
    return {"host end": "not a port of the bridge"}


def element_state(table, container_id):
    done = subprocess.run(["nft", "list", "table", "inet", table], capture_output=True, text=True, check=True)
    return {"published elements": done.stdout.count(f'"{container_id}/')}


def differences(one, other):
    return [f"{key}: {one.get(key)} / {other.get(key)}" for key in sorted(one.keys() | other.keys())
            if one.get(key) != other.get(key)]


def bridge_state(netns, bridge, table, container_id):
    return sandbox_state(netns) | port_state(netns, bridge) | element_state(table, container_id)


def macvlan_state(netns):
    inside = ("nsenter", f"--net={netns}")
    link = shown(*inside, "ip", "-j", "-d", "link", "show", "eth0")[0]
    notify = subprocess.run([*inside, "cat", "/proc/sys/net/ipv4/conf/eth0/arp_notify"], capture_output=True,
                            text=True, check=True)
    return sandbox_state(netns) | {"eth0 kind": link["linkinfo"]["info_kind"], "arp_notify": notify.stdout.strip(),
                                   "eth0 mode": link["linkinfo"]["info_data"]["mode"], "master": link.get("link_index")}


def compare(world, ours, floor, containers, look):
    """Adds one container by each; returns the differences, "key: ours / the floor's". look(subject, container)."""
    states = []
    for subject, container in zip((ours, floor), containers):
        world.run([subject.add(container)])
        states.append(look(subject, container))
    world.run([ours.delete(containers[0]), floor.delete(containers[1])])
    return differences(*states)
