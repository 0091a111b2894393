# SPDX-License-Identifier: GPL-2.0-or-later
"""ADD, DEL and kill at random on all nodes of a cluster at once: does an address ever have two owners?

    result = Rounds(cluster, cycles=10000, seed=1).run(seconds=900)
    print(result); assert not result.faults

A pool of 61 addresses serves up to 48 containers (blocks: two of 64), so that every address is used again and again. Threads (a few on
each node) attach and detach; plugins are killed at a random moment of their life, agents and members of etcd from
time to time. An owner is a container whose ADD has succeeded and whose DEL has not begun. Beside that,

* every transaction of the store is looked at: at no revision do two endpoints have an address, or an address another
  owner than the endpoint that says so;
* the kernels of all nodes are sampled (sampler.py), and held against the owners afterwards: how long after the end
  of an ADD did a node lead its address to somebody else?
"""
import base64
import collections
import contextlib
import http.client
import ipaddress
import json
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from .cni import LIBEXEC, _sanitizer_options, libexec_dir, plugin_dir
from .truth import store_differences

CONF = {"cniVersion": "1.1.0", "name": "web", "type": "overlay", "mode": "etcd"}
CONFIGS = {
    "keys": {**CONF, "subnets": ["10.5.0.0/26"]},
    # Two blocks for three nodes, of each family.
    "blocks": {**CONF, "subnets": ["10.5.0.0/25", "fd05::/121"], "overlayMode": "l3"},
}
TRY_AGAIN, NO_AGENT, ATTACHED = 11, 50, 102
PERIOD = 0.01           # between two samples of all nodes
LONGEST = 0.12          # seconds of an ADD's life in which it is killed
DEL_TRIES = 60
SO_PEERCRED = 17


class Result:
    def __init__(self):
        self.counts = collections.Counter()
        self.faults = []            # sentences
        self.refusals = collections.Counter()
        self.events = []            # (time, what was killed or started)
        self.misled = {}            # (node, elsewhere or nowhere) -> (begin, end, address, where it led), the longest
        self.seconds = 0.0

    def __str__(self):
        counted = ", ".join(f"{n} {what}" for what, n in sorted(self.counts.items()))
        return f"{self.seconds:.0f} s: {counted}; {len(self.faults)} faults"


class Container:
    def __init__(self, node, name):
        self.node, self.name, self.attached = node, name, False
        self.env = {"PATH": os.environ["PATH"], "CNI_CONTAINERID": name, "CNI_NETNS": f"/run/netns/{name}",
                    "CNI_IFNAME": "eth0", "CNI_PATH": plugin_dir(), LIBEXEC: libexec_dir(), **_sanitizer_options()}


class Rounds:
    def __init__(self, cluster, cycles, seed=1, config="keys", threads=4, each=4, kill_plugins=0.25, kill_agents=1.5, kill_members=4.0):
        """`kill_agents`, `kill_members`: a time between two, in seconds."""
        self.cluster, self.left, self.threads = cluster, cycles, threads
        self.kill_plugins, self.kill_agents, self.kill_members = kill_plugins, kill_agents, kill_members
        self.random = random.Random(seed)
        self.result = Result()
        self.lock = threading.Lock()
        self.owners = {}            # address -> container, from the end of its ADD to the begin of its DEL
        self.history = []           # (begin, end, address, MAC, node) of owners
        self.began = {}             # container -> (time, address, MAC)
        self.stopping, self.mended = threading.Event(), threading.Event()
        self.input = json.dumps(CONFIGS[config]).encode()
        self.binary = cluster[0].cni.executable("overlay")
        self.containers = [[Container(node, f"n{node.index}c{k}") for k in range(threads * each)] for node in cluster]
        for containers in self.containers:
            for container in containers:
                container.node.lab.netns(container.name)

    # ---- all of it ----

    def run(self, seconds):
        begin = time.monotonic()
        sampler, views = self._start_sampler()
        watcher = threading.Thread(target=self._watch_store)
        chaos = [threading.Thread(target=f, args=a) for f, a in
                 [(self._kill_agents, (random.Random(self.random.random()),)), (self._kill_members, (random.Random(self.random.random()),))]]
        for thread in [watcher, *chaos]:
            thread.start()
        jobs = [node.lab.submit(self._work, self.containers[node.index][k::self.threads], random.Random(self.random.random()),
                                begin + seconds) for node in self.cluster for k in range(self.threads)]
        try:
            for job in jobs:
                job.result()
            self.stopping.set()
            for thread in chaos:
                thread.join()
            self.result.seconds = time.monotonic() - begin
            self._mend()
        finally:
            self.stopping.set()
            self.mended.set()
            sampler.stdin.close()
            for thread in (watcher, views):
                thread.join()
            sampler.wait(timeout=30)
        self._judge()
        return self.result

    def detach_all(self):
        """Every container that is left; what is then in the store is nobody's."""
        jobs = [node.lab.submit(self._detach_each, self.containers[node.index][k::self.threads]) for node in self.cluster
                for k in range(self.threads)]
        for job in jobs:
            job.result()

    # ---- attaching and detaching ----

    def _work(self, containers, rnd, end):
        """In a thread that is on the node."""
        try:
            while time.monotonic() < end and self._take_cycle():
                container = rnd.choice(containers)
                if container.attached:
                    self._detach(container, rnd)
                self._attach(container, rnd)
                if rnd.random() < 0.3:
                    self._detach(container, rnd)
        except Exception as error:      # noqa: BLE001, a fault of the driver is one of the run
            self._fault(f"{type(error).__name__}: {error}")

    def _take_cycle(self):
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def _attach(self, container, rnd):
        self._count("ADD")
        status, out = self._call(container, "ADD", rnd)
        if status == 0:
            self._own(container, json.loads(out))
            container.attached = True
        elif status < 0:
            self._count("ADD killed")
            # A runtime tries again, or gives up.
            if rnd.random() < 0.5:
                self._detach(container, rnd)
                return
            status, out = self._call(container, "ADD")
            if status == 0:
                self._own(container, json.loads(out))
                container.attached = True
            else:
                # It may have been killed behind its last write.
                self._refused(container, out, ATTACHED)
                self._detach(container, rnd)
        else:
            self._refused(container, out)

    def _refused(self, container, out, *more):
        error = json.loads(out)
        self._count(f"ADD refused ({error['code']})")
        with self.lock:
            self.result.refusals[re.sub(r"\d+|[0-9a-f]{12,}", "N", f"{error['msg']} {error.get('details', '')}")[:200]] += 1
        if error["code"] not in (TRY_AGAIN, NO_AGENT, *more):
            self._fault(f"{container.name}: {error}")

    def _own(self, container, result):
        now = time.monotonic()
        addresses, mac = [ip["address"].split("/")[0] for ip in result["ips"]], result["interfaces"][2]["mac"]
        with self.lock:
            for address in addresses:
                other = self.owners.get(address)
                if other and other is not container:
                    self.result.counts["conflicts"] += 1
                    self.result.faults.append(f"{address} is {other.name}'s and {container.name}'s")
                self.owners[address] = container
            self.began[container] = now, addresses, mac

    def _disown(self, container):
        with self.lock:
            if container in self.began:
                begin, addresses, mac = self.began.pop(container)
                for address in addresses:
                    self.history.append((begin, time.monotonic(), address, mac, container.node.index))
                    if self.owners.get(address) is container:
                        del self.owners[address]
        container.attached = False

    def _detach(self, container, rnd=None):
        self._disown(container)
        self._count("DEL")
        if rnd and rnd.random() < self.kill_plugins / 2:
            status, _ = self._call(container, "DEL", rnd, certain=True)
            self._count("DEL killed" if status < 0 else "DEL in time")
        for _ in range(DEL_TRIES):
            status, out = self._call(container, "DEL")
            if status == 0:
                return
            self._count("DEL refused")
            self.stopping.wait(0.5)
        self._fault(f"{container.name}: no end of its DEL: {out}")

    def _detach_each(self, containers):
        for container in containers:
            self._detach(container)

    def _call(self, container, command, rnd=None, certain=False):
        """Status (-9: killed) and output; with `rnd` it is maybe killed at some moment."""
        process = subprocess.Popen([self.binary], env={**container.env, "CNI_COMMAND": command}, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            kill = rnd and (certain or rnd.random() < self.kill_plugins)
            out, _ = process.communicate(self.input, timeout=rnd.random() ** 2 * LONGEST if kill else 60)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            if not kill:
                self._fault(f"{container.name}: {command} took a minute")
        return process.returncode, out

    # ---- what is killed ----

    def _kill_agents(self, rnd):
        # The first one soon: some hundred cycles are over in seconds.
        pause = rnd.uniform(0.1, 0.5)
        while not self.stopping.wait(pause):
            pause = rnd.uniform(0.1, 2 * self.kill_agents)
            node = rnd.choice(self.cluster.nodes)
            if pid := agent_of(node):
                os.kill(pid, signal.SIGKILL)
                self._count("agents killed")
                self._event(f"{node.name}: agent killed")
            # Or the next ADD starts one.
            if rnd.random() < 0.5:
                self.stopping.wait(rnd.uniform(0, 1))
                start(node)

    def _kill_members(self, rnd):
        etcd = self.cluster.etcd
        while len(etcd.names) > 1 and not self.stopping.wait(rnd.uniform(0.5, 2 * self.kill_members)):
            name = rnd.choice(etcd.names)
            etcd.kill(name)
            self._count("members killed")
            self._event(f"{name} killed")
            self.stopping.wait(rnd.uniform(0.5, 3))
            etcd.start(name, wait=False)
            self._event(f"{name} started")
            with contextlib.suppress(AssertionError):
                etcd.wait_healthy([name])

    def _mend(self):
        """Everything runs, the agents as children of this process."""
        self.cluster.etcd.wait_healthy()
        for node in self.cluster:
            end = time.monotonic() + 20
            while True:     # one that is just starting does not listen yet
                for pid in agent_and_keeper(node):
                    os.kill(pid, signal.SIGKILL)
                try:
                    node.start()
                    break
                except AssertionError:
                    if time.monotonic() > end:
                        raise

    # ---- watching ----

    def _start_sampler(self):
        labs = [node.lab for node in self.cluster]
        self.views = []
        # No `start()` of a lab: it is in none of them.
        process = subprocess.Popen([sys.executable, str(pathlib.Path(__file__).with_name("sampler.py")), str(PERIOD),
                                    *(lab.path_to() for lab in labs)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert json.loads(process.stdout.readline()) == {"ready": True}
        reader = threading.Thread(target=self._read_views, args=(process.stdout,))
        reader.start()
        return process, reader

    def _read_views(self, stream):
        for line in stream:
            item = json.loads(line)
            if "wrong" in item:
                self._fault(f"node{item['i'] + 1}: {item['wrong']}")
            elif "view" in item:
                self.views.append((item["t"], item["i"], item["view"]))
            else:
                self.result.counts["samples"] += item["samples"]
        stream.close()

    def _watch_store(self):
        self.cluster.etcd.lab.call(self._follow_store)

    def _follow_store(self):
        """All at some revision, then each transaction after it; at another member when one dies."""
        store = Store(self)
        while True:
            try:
                at_end = self.mended.is_set()
                store.follow(at_end)
                if at_end:
                    return
            except (OSError, ValueError, KeyError, http.client.HTTPException):
                self.mended.wait(0.1)
                if at_end and not self.cluster.etcd.processes:
                    return

    def _judge(self):
        """Views against owners."""
        with self.lock:
            now = time.monotonic()
            history = self.history + [(t, now, address, mac, c.node.index) for c, (t, addresses, mac) in self.began.items()
                                      for address in addresses]
        vteps = [f"192.0.2.{i + 1}" for i in range(len(self.cluster))]
        by_address = collections.defaultdict(list)
        for item in sorted(history):
            by_address[item[2]].append(item)
        for i in range(len(self.cluster)):
            views = [(t, view) for t, k, view in self.views if k == i]
            for elsewhere in (True, False):
                self.result.misled[i, elsewhere] = longest_misdirection(views, by_address, i, vteps, elsewhere)

    # ---- small ----

    def _count(self, what):
        with self.lock:
            self.result.counts[what] += 1

    def _event(self, what):
        with self.lock:
            self.result.events.append((time.monotonic(), what))

    def around(self):
        """What happened while the longest misdirection of each node lasted, for a report."""
        lines = []
        for (i, elsewhere), (begin, end, *what) in sorted(self.result.misled.items()):
            near = [f"{t - begin:+.1f} {text}" for t, text in self.result.events if begin - 5 < t < end + 1]
            lines.append(f"node{i + 1} led {'elsewhere' if elsewhere else 'nowhere'} for {end - begin:.3f} s: {what} {near}")
        return lines

    def _fault(self, text):
        with self.lock:
            self.result.faults.append(text)


class Store:
    """Endpoints, nodes and addresses of the store, transaction by transaction."""

    def __init__(self, rounds):
        self.rounds, self.etcd = rounds, rounds.cluster.etcd
        self.prefix = rounds.cluster.prefix
        self.values, self.revision = None, 0

    def follow(self, to_the_end=False):
        url = self.rounds.random.choice(self.etcd.names)
        host = self.etcd.address(url)
        connection = http.client.HTTPConnection(host, 2379, timeout=3)
        head = self._ask(connection, "range", {"key": text(self.prefix), "range_end": text(after(self.prefix))})
        if self.values is None:
            self.values = {plain(kv["key"]): json_or_text(kv["value"]) for kv in head.get("kvs", [])}
            self.revision = int(head["header"]["revision"])
        last = int(head["header"]["revision"])
        connection.request("POST", "/v3/watch", json.dumps({"create_request": {
            "key": text(self.prefix), "range_end": text(after(self.prefix)), "start_revision": str(self.revision + 1)}}))
        stream = connection.getresponse()
        while line := stream.readline():
            answer = json.loads(line)["result"]
            if answer.get("canceled"):
                raise ValueError(answer)
            self._apply(answer.get("events", []))
            if to_the_end and self.revision >= last:
                break
            if self.rounds.mended.is_set() and not to_the_end:
                break
        connection.close()

    def _ask(self, connection, what, body):
        connection.request("POST", f"/v3/kv/{what}", json.dumps(body))
        return json.loads(connection.getresponse().read())

    def _apply(self, events):
        """Events of one revision belong together."""
        by_revision = collections.defaultdict(list)
        for event in events:
            by_revision[int(event["kv"]["mod_revision"])].append(event)
        for revision, changes in sorted(by_revision.items()):
            if revision <= self.revision:
                continue
            for event in changes:
                key = plain(event["kv"]["key"])
                if event.get("type") == "DELETE":
                    self.values.pop(key, None)
                else:
                    self.values[key] = json_or_text(event["kv"]["value"])
            self.revision = revision
            self.rounds.result.counts["revisions"] += 1
            self._check()

    def _check(self):
        records = {key[len(self.prefix):]: value for key, value in self.values.items()}
        if any(key.startswith("net/") for key in records):
            for text in store_differences(records, CONF["name"]):
                self.rounds._fault(f"revision {self.revision}: {text}")


def agent_of(node):
    """Process id of whoever listens as the node's agent, or None."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        try:
            node.lab.call(sock.connect, f"/run/fairlead/{node.lab.cookie()}/overlay.sock")
        except OSError:
            return None
        pid = struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, SO_PEERCRED, 12))[0]
    return pid or None


def agent_and_keeper(node):
    """One in the background has a parent, which would start another: that one first."""
    pid = agent_of(node)
    if not pid:
        return []
    with open(f"/proc/{pid}/status") as file:
        parent = int(re.search(r"^PPid:\s*(\d+)$", file.read(), re.M)[1])
    names = [pathlib.Path(f"/proc/{p}/comm").read_text() for p in (parent, pid)]
    return [parent, pid] if names[0] == names[1] else [pid]


def start(node):
    """An agent, if no ADD was faster."""
    if node.process:
        node.process.poll()
    node.start(wait=False)


def leads_to(view, address):
    """(MAC, place) of an address in a node's view: its entry, else that of the route to its block; None: there is none."""
    if address in view:
        return view[address]
    ip = ipaddress.ip_address(address)
    return view.get(str(ipaddress.ip_network((ip, ip.max_prefixlen - 6), strict=False)))


def longest_misdirection(views, by_address, i, vteps, elsewhere):
    """Of a node: (begin, end, ...) of how long after its ADD an owner's address led elsewhere, or nowhere."""
    longest = (0.0, 0.0)
    for k, (t, view) in enumerate(views):
        until = views[k + 1][0] if k + 1 < len(views) else t
        for address, history in by_address.items():
            found = leads_to(view, address)
            for begin, end, _, own, node in history if found else ():
                overlap = min(until, end) - max(t, begin)
                if overlap <= 0:
                    continue
                mac, place = found
                if node != i:       # where the host routes, no MAC is known of a container of another node
                    right = mac in (own, None) and place == vteps[node]
                else:
                    right = mac == own and (place is None or place.startswith("port"))
                # A neighbour whose MAC is behind no port and no VTEP leads nowhere.
                if not right and bool(place) == elsewhere and min(until, end) - begin > longest[1] - longest[0]:
                    longest = begin, min(until, end), address, mac, place
    return longest


def text(data):
    return base64.b64encode(data.encode()).decode()


def plain(data):
    return base64.b64decode(data).decode()


def json_or_text(data):
    data = plain(data)
    return json.loads(data) if data.startswith("{") else data


def after(prefix):
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
