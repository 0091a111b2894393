"""The case overlay: two nodes and a cluster's store of three members, as tests/support has them.

Throughput against a VXLAN, bridge and pairs made by hand between the same nodes, in turns; what an ADD costs
beside one of the bridge and a transaction of the store; and what 10,000 endpoints of other nodes take.
"""

import http.client
import ipaddress
import json
import os
import socket
import sys
import threading
import time
from base64 import b64encode

from .report import align, median
from .world import BenchError, say

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests"))

STREAM_SECONDS = 0.25
SETUPS = 8
TURNS = 12
ADDS = 60
ENDPOINTS = 10000
OVERLAY = {"cniVersion": "1.1.0", "name": "ov", "type": "overlay", "mode": "etcd", "ipMasq": True, "subnets": ["10.5.0.0/16"]}
SMALL = {**OVERLAY, "name": "small", "subnets": ["10.7.0.0/24"]}
BRIDGE = {"cniVersion": "1.1.0", "name": "br", "type": "bridge", "bridge": "br9", "isGateway": True, "ipMasq": True,
          "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.6.0.0/16"}]]}}
HAND_VNI = 77


class OverlayTable:
    name = "overlay"

    def __init__(self):
        self.values = {}    # what -> (number, unit)

    def rows(self):
        return [{"what": what, "value": value, "unit": unit} for what, (value, unit) in self.values.items()]

    def lines(self):
        return align([("overlay", "", "")] + [(what, f"{value:.2f}", unit) for what, (value, unit) in self.values.items()],
                     right_from=1)

    def judge(self, check):
        value = {what: number for what, (number, _) in self.values.items()}
        if "throughput / by hand" in value:
            check(value["throughput / by hand"] >= 0.95,
                  f"overlay: throughput {value['throughput / by hand']:.2f} of one made by hand (>= 0.95)")
        for name in ("/24", "/16") if "transaction" in value else ():
            over, limit = value[f"ADD {name} over bridge"], max(2.0, 1.5 * value["transaction"])
            check(over <= limit, f"overlay: ADD in a {name} {over:.2f} ms over bridge (<= {limit:.2f}: 2, or 1.5 transactions)")
        if "10,000 endpoints: programmed" in value:
            check(value["10,000 endpoints: programmed"] <= 3,
                  f"overlay: 10,000 endpoints after {value['10,000 endpoints: programmed']:.2f} s (<= 3)")
            check(value["10,000 endpoints: memory"] <= 30,
                  f"overlay: agent {value['10,000 endpoints: memory']:.1f} MB (<= 30)")


class OverlayCase:
    def __init__(self, bench, plugins):
        self.table = OverlayTable()
        self.plugins = plugins
        bench.report.sections.append(self.table)

    def run(self):
        os.environ["FAIRLEAD_PLUGIN_DIR"] = self.plugins
        # pylint: disable=import-outside-toplevel
        from support.cluster import Cluster
        if not os.path.exists(os.path.join(self.plugins, "overlay")):
            raise BenchError("no plugin overlay")
        # Alone: what other nodes' agents do when they hear of it would be done on these processors too.
        with Cluster(nodes=1, members=3) as cluster:
            self.adds(cluster)
        with Cluster(nodes=2, members=1) as cluster:
            self.streams(cluster)
        with Cluster(nodes=2, members=1) as cluster:
            self.many(cluster)

    def put(self, what, value, unit):
        self.table.values[what] = (value, unit)
        say(f"overlay: {what} {value:.2f} {unit}")

    # ---- ADD ----

    def adds(self, cluster):
        node, configs = cluster[0], {"/24": SMALL, "/16": OVERLAY, "bridge": BRIDGE}
        took = {f"{verb} {name}": [] for verb in ("ADD", "DEL") for name in configs}
        store = Store(node.lab, cluster.etcd.url("m1"))
        node.lab.netns("first")
        for config in configs.values():
            node.cni.add(config["type"], config, "first", ifname=config["name"]).expect()
        for i in range(ADDS):
            node.lab.netns(f"a{i}")
            for name in sorted(configs, key=lambda name, i=i: (len(name) + i) % 3):     # in turns
                took[f"ADD {name}"].append(timed(node.cni.add, configs[name]["type"], configs[name], f"a{i}"))
            took.setdefault("transaction", []).append(store.transaction(i))
            for name, config in configs.items():
                took[f"DEL {name}"].append(timed(node.cni.delete, config["type"], config, f"a{i}"))
        for what, values in took.items():
            self.put(what, median(values), "ms")
        for name in ("/24", "/16"):
            self.put(f"ADD {name} over bridge", median(took[f"ADD {name}"]) - median(took["ADD bridge"]), "ms")

    # ---- throughput ----

    def streams(self, cluster):
        rates = {"ours": [], "hand": []}
        # Devices that are made again, in whatever way, are up to a tenth faster or slower than before. And by turns, each
        # a pair: what else the machine does changes slowly, and meets both.
        for _ in range(SETUPS):
            ends = {name: [make(node) for node in cluster] for name, make in (("ours", ours), ("hand", by_hand))}
            for turn in range(TURNS):
                for name in rates if turn % 2 else reversed(list(rates)):
                    rates[name].append(stream(cluster[0].lab, cluster[1].lab, name, ends[name][1]))
            for node in cluster:
                node.cni.delete("overlay", OVERLAY, "ours").expect()
                for name in rates:
                    node.lab.remove_netns(name)
                for link in ("hx", "hb"):
                    node.lab.run(["ip", "link", "del", link])
        self.put("throughput, ours", median(rates["ours"]), "Gbit/s")
        self.put("throughput, by hand", median(rates["hand"]), "Gbit/s")
        self.put("throughput / by hand", median([ours / hand for ours, hand in zip(rates["ours"], rates["hand"])]), "")

    # ---- 10,000 endpoints ----

    def many(self, cluster):
        node = cluster[0]
        node.lab.netns("c1")
        node.cni.add("overlay", OVERLAY, "c1").expect()
        net = cluster.keys("net/")[0].split("/")[1]
        node.stop()
        cluster[1].lab.call(fill, cluster.etcd.address("m1"), cluster.prefix, net)
        begin = time.perf_counter()
        node.start()
        vni = next(iter(node.tunnels()))
        while len(node.neighbours(vni)) < ENDPOINTS + 1:
            time.sleep(0.02)
        self.put("10,000 endpoints: programmed", time.perf_counter() - begin, "s")
        with open(f"/proc/{node.process.pid}/status", encoding="ascii") as status:
            peak = next(line for line in status if line.startswith("VmHWM"))
        self.put("10,000 endpoints: memory", int(peak.split()[1]) / 1000, "MB")


def timed(call, plugin, config, name):
    begin = time.perf_counter()
    call(plugin, config, name, ifname=config["name"]).expect()
    return (time.perf_counter() - begin) * 1e3


def b64(text):
    return b64encode(text.encode()).decode()


class Store:
    """What an endpoint costs the store, asked between ADDs as the agent asks it: on a connection that stays."""

    def __init__(self, lab, url):
        self.lab, self.connection = lab, http.client.HTTPConnection(url.split("//")[1])

    def transaction(self, i):
        """Milliseconds of one that compares four keys and creates two of them."""
        keys = [b64(f"/bench/{kind}/{i}") for kind in "abcd"]
        body = json.dumps({"compare": [{"target": "CREATE", "result": "EQUAL", "key": key, "create_revision": "0"} for key in keys],
                           "success": [{"request_put": {"key": key, "value": b64("x" * 200)}} for key in keys[:2]],
                           "failure": [{"request_range": {"key": key}} for key in keys]})
        return self.lab.call(self.ask, body)

    def ask(self, body):
        begin = time.perf_counter()
        self.connection.request("POST", "/v3/kv/txn", body)
        self.connection.getresponse().read()
        return (time.perf_counter() - begin) * 1e3


def fill(host, prefix, net):
    connection, first = http.client.HTTPConnection(host, 2379), int(ipaddress.ip_address("10.5.100.0"))
    for start in range(0, ENDPOINTS, 100):
        puts = []
        for i in range(start, start + 100):
            record = {"v": 1, "node": "node2", "container": f"{i:064x}", "ifname": "eth0", "epoch": 1,
                      "mac": f"02:00:00:{i >> 16:02x}:{i >> 8 & 255:02x}:{i & 255:02x}",
                      "ip4": str(ipaddress.ip_address(first + i)), "name": f"web-{i}", "created": 1700000000}
            puts.append({"request_put": {"key": b64(f"{prefix}ep/{net}/{i:032x}"), "value": b64(json.dumps(record))}})
        connection.request("POST", "/v3/kv/txn", json.dumps({"success": puts}))
        if connection.getresponse().read().find(b"succeeded") < 0:
            raise BenchError("etcd took no endpoints")


def ours(node):
    node.lab.netns("ours")
    return node.cni.add("overlay", OVERLAY, "ours").expect().json["ips"][0]["address"].split("/")[0]


def by_hand(node):
    """The same devices, made by ip and bridge; the address of its container."""
    run, i = node.lab.run, node.index
    other = 1 - i
    mtu = 1450
    node.lab.netns("hand")
    for line in ("link add hb type bridge", f"link set hb mtu {mtu} up",
                 f"link add hx mtu 1500 type vxlan id {HAND_VNI} dstport 4790 local 192.0.2.{i + 1} nolearning",
                 "link set hx master hb up", f"link add hv mtu {mtu} type veth peer name eth0 mtu {mtu} netns /run/netns/hand",
                 "link set hv master hb up"):
        run(["ip", *line.split()])
    run(["bridge", "fdb", "append", "00:00:00:00:00:00", "dev", "hx", "dst", f"192.0.2.{other + 1}"])
    run(["ip", "addr", "add", f"10.77.0.{i + 1}/24", "dev", "eth0"], netns="hand")
    run(["ip", "link", "set", "eth0", "up"], netns="hand")
    return f"10.77.0.{i + 1}"


def stream(sender, receiver, space, address):
    """Gbit/s of one TCP stream, its two ends on processors of their own: where the kernel would put them changes the rate by a third."""
    got, listener = [], receiver.call(listen, netns=space)
    cores, last = sorted(os.sched_getaffinity(0)), os.sched_getaffinity(0)

    def take():
        os.sched_setaffinity(0, cores[-1:])     # of this thread
        sock, _ = listener.accept()
        total, buffer = 0, bytearray(1 << 20)
        begin = time.perf_counter()
        while n := sock.recv_into(buffer):
            total += n
        got.append(total * 8 / (time.perf_counter() - begin) / 1e9)
        sock.close()
    thread = threading.Thread(target=take)
    thread.start()
    sock = sender.call(socket.create_connection, (address, listener.getsockname()[1]), 5, netns=space)
    end, block = time.perf_counter() + STREAM_SECONDS, bytes(1 << 20)
    os.sched_setaffinity(0, cores[:1])
    try:
        while time.perf_counter() < end:
            sock.sendall(block)
    finally:
        os.sched_setaffinity(0, last)
    sock.close()
    thread.join()
    listener.close()
    return got[0]


def listen():
    return socket.create_server(("", 0))
