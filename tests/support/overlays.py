# SPDX-License-Identifier: GPL-2.0-or-later
"""Containers on overlay networks of a cluster (support.cluster): configurations, ADD and DEL, and what becomes of them.

    conf = overlays.config("web", "10.5.0.0/24")
    address = overlays.add(cluster[0], conf, "c1", called="db", aliases=["store"]).expect().address
    overlays.delete(cluster[0], conf, "c1").expect()
    kept = overlays.Kept(cluster); kept.add(...); kept.end()
"""
import json

from . import dns

VNI = 0x100000      # of the first network that names none


def config(name="web", *subnets, **more):
    """With a resolver; None takes a key away."""
    conf = {"cniVersion": "1.1.0", "name": name, "type": "overlay", "mode": "etcd", "ipMasq": True,
            "dns": {"enabled": True, "forward": False}, "subnets": list(subnets or ("10.5.0.0/24",)), **more}
    return {key: value for key, value in conf.items() if value is not None}


def add(node, conf, container, called=None, aliases=None, **runtime):
    """Makes the namespace where it is not there; the outcome."""
    lab = node.lab
    if not lab.exists(f"/run/netns/{container}"):
        lab.netns(container)
        dns.lo_up(lab, container)
    return node.cni.add("overlay", dns.named(conf, called or container, aliases, **runtime), container)


def delete(node, conf, container):
    return node.cni.delete("overlay", conf, container)


class Kept:
    """add() and delete() that know what is there, so that end() takes away what a test left."""

    def __init__(self, cluster):
        self.cluster, self.there = cluster, {}

    def add(self, node, conf, container, *args, **runtime):
        self.there[node.index, conf["name"], container] = conf
        return add(node, conf, container, *args, **runtime)

    def delete(self, node, conf, container):
        self.there.pop((node.index, conf["name"], container), None)
        return delete(node, conf, container)

    def end(self):
        for (i, _, container), conf in list(self.there.items()):
            self.delete(self.cluster[i], conf, container).expect()
        for node in self.cluster:
            for name in node.lab.files("/run/netns"):
                node.lab.remove_netns(name)
        self.cluster.wait(lambda: not self.cluster.keys("ep/"), 15, "the end of all endpoints")


def serve(node, container, port=80):
    for address in ("0.0.0.0", "::"):
        for server in (node.lab.tcp_server, node.lab.udp_server):
            server(container, address, port)


def bridge_of(node, vni=VNI):
    return node.tunnels()[vni]["master"]


def flood(node, vni=VNI):
    """VTEPs that get broadcasts."""
    entries = json.loads(node.lab.run(["bridge", "-j", "fdb", "show", "dev", node.tunnels()[vni]["ifname"]]).stdout)
    return sorted(entry["dst"] for entry in entries if entry["mac"] == "00:00:00:00:00:00" and "dst" in entry)
