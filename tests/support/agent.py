# SPDX-License-Identifier: GPL-2.0-or-later
"""An agent of overlay networks that knows no cluster: it speaks overlay/request.h, and does as a test says.

    with Agent(lab) as agent:                       # listens at STATE/overlay.sock of the lab
        cni.add("overlay", agent.config(), "c1").expect()
        assert agent.asked("ALLOCATE")[0]["container"] == "c1"
        agent.plan["JOIN"] = fail(errno.EEXIST, 102, "another VNI")     # or silent, die, other_magic, other_size

`plan` maps an operation's name to what is done with it: a function of (agent, connection, request) that
returns an answer's fields, bytes to be sent as they are, or None for no answer; or a list of them, one for
each request (the last one stays). Threads of this process serve; a request is a dict of its fields.
"""
import contextlib
import errno
import functools
import ipaddress
import json
import os
import select
import socket
import subprocess
import threading
import time

from .tools import built

NODE4, NODE6 = "10.5.255.1", "fd05::ff:1"


@functools.cache
def layout():
    return json.loads(subprocess.run([built("overlay-layout", "overlay")], stdout=subprocess.PIPE, check=True).stdout)


# ---- the structs ----

def _get(data, offset, size, kind):
    part = data[offset:offset + size]
    if kind == "int":
        return int.from_bytes(part, "little")
    if kind == "text":
        assert 0 in part, "a string without its end"
        return part[:part.index(0)].decode()
    if kind == "names":
        step = layout()["HOST"]
        return [_get(part, at, step, "text") for at in range(0, size, step)]
    if kind == "mac":
        return part.hex(":")
    family, bytes_at = layout()["address"]
    raw = part[bytes_at:bytes_at + 16]
    address = {0: None, socket.AF_INET: raw[:4], socket.AF_INET6: raw}[part[family]]
    text = None if address is None else str(ipaddress.ip_address(address))
    return text if kind == "address" or text is None else f"{text}/{part[layout()['prefix_length']]}"


def _put(data, offset, size, kind, value):
    if value is None:
        return
    if kind == "int":
        data[offset:offset + size] = int(value).to_bytes(size, "little", signed=value < 0)
    elif kind == "text":
        raw = value if isinstance(value, bytes) else value.encode() + b"\0"
        data[offset:offset + len(raw)] = raw
    elif kind == "mac":
        data[offset:offset + 6] = bytes.fromhex(value.replace(":", ""))
    else:
        text, _, length = value.partition("/")
        address = ipaddress.ip_address(text)
        family, bytes_at = layout()["address"]
        data[offset + family] = socket.AF_INET if address.version == 4 else socket.AF_INET6
        data[offset + bytes_at:offset + bytes_at + len(address.packed)] = address.packed
        if kind == "prefix":
            data[offset + layout()["prefix_length"]] = int(length)


def decode(data):
    """A request's fields, with its operation's name as `op`."""
    fields = layout()["request"]["fields"]
    found = {name: _get(data, *where) for name, where in fields.items()}
    found["aliases"] = found["aliases"][:found["n_aliases"]]
    found["op"] = next(name for name, number in layout().items() if number == found["op"] and name.isupper() and name != "HOST")
    return found


def encode(**values):
    data = bytearray(layout()["answer"]["size"])
    for name, value in {"magic": layout()["MAGIC"], **values}.items():
        _put(data, *layout()["answer"]["fields"][name], value)
    return bytes(data)


# ---- what is done with a request ----

def fail(number, code, text):
    return lambda *_: {"result": -number, "code": code, "text": text}


def silent(agent, connection, request):
    return None


def die(agent, connection, request):
    """The connection ends, as if its process had been killed; the next one is served."""
    connection.shutdown(socket.SHUT_RDWR)
    return None


def other_magic(agent, connection, request):
    return encode(magic=layout()["MAGIC"] + 1)


def other_size(agent, connection, request):
    return encode()[:-4]


def changed(**fields):
    """The usual answer with other fields."""
    return lambda agent, connection, request: {**agent.usual(request), **fields}


# ---- what SHOW tells ----

def me(**more):
    return {"kind": "agent", "node": "node1", "cluster": "fairlead", "epoch": 1, "vtep4": "192.0.2.1", "vtep6": None,
            "mtu": 1500, "endpoint": "http://192.0.2.101:2379", "version": "3.4.23", "reachable": True, "error": None, "leaseSeconds": 15,
            "since": 1700000000, "lease": 15, "revision": 5, "alarms": [], "releases": 0, "stats": {"events": 1}, **more}


def node(name="node1", state="alive", vtep4="192.0.2.1", mtu=1500, networks=(), **more):
    return {"kind": "node", "name": name, "state": state, "since": 1700000000, "vtep4": vtep4, "vtep6": None, "mtu": mtu,
            "epoch": 1, "self": name == "node1", "networks": list(networks), **more}


def network(name="web", vni=0x100000, subnet="10.128.0.0/24", nodes=(), **more):
    return {"kind": "network", "name": name, "id": "0123", "vni": vni, "port": 4789, "mode": "l2", "mtu": 1450,
            "internal": False, "broadcast": False, "subnets": [{"subnet": subnet, "gateway": "10.128.0.1", "node": "10.128.0.2"}],
            "joined": True, "synced": True, "local": 0, "remote": 0, "nodes": list(nodes), **more}


def _hung_up(connection):
    """Its other end is closed, and it is served still."""
    poll = select.poll()
    try:
        poll.register(connection, select.POLLRDHUP)
    except ValueError:      # closed meanwhile
        return False
    return any(events & (select.POLLRDHUP | select.POLLHUP) for _, events in poll.poll(0))


class Agent:
    def __init__(self, lab, start=True):
        self.lab = lab
        self.plan, self.requests = {}, []
        self.network = {"network.id": "0123456789abcdef", "network.vni": 5001, "network.port": 4789, "network.mtu": 1450,
                        "network.underlay_mtu": 1500, "network.local": "192.0.2.1", "network.mac": "02:aa:00:00:00:01",
                        "network.n_subnets": 1, "network.subnets[0].subnet": "10.5.0.0/16",
                        "network.subnets[0].gateway": "10.5.0.1", "network.subnets[0].node": NODE4}
        self.shown = [me()]     # objects that follow the answer to SHOW
        self.given = {}         # (container, ifname) -> addresses
        self.serial, self._number = 9, 0
        self._lock = threading.Lock()
        self._listener, self._threads, self._connections = None, [], []
        self.state = f"/run/fairlead/{lab.cookie()}"
        if start:
            self.start()

    def with_ipv6(self):
        self.network.update({"network.n_subnets": 2, "network.subnets[1].subnet": "fd05::/64",
                             "network.subnets[1].gateway": "fd05::1", "network.subnets[1].node": NODE6})
        return self

    @staticmethod
    def config(name="ov", **more):
        config = {"cniVersion": "1.1.0", "name": name, "type": "overlay", "mode": "etcd", "ipMasq": True, **more}
        return {key: value for key, value in config.items() if value is not None}

    # ---- listening ----

    def start(self):
        self._listener = self.lab.call(self._listen)
        self._spawn(self._accept, self._listener)

    def stop(self):
        """As when its process ends: what was given stays with the cluster."""
        if self._listener:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.stop()
        for thread in self._threads:
            thread.join(timeout=10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _listen(self):
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        path = f"{self.state}/{layout()['SOCKET']}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.bind(path)
        sock.listen(1024)
        return sock

    def _spawn(self, function, *args):
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.append(connection)
                self._number += 1
            self._spawn(self._serve, connection, self._number)

    def _serve(self, connection, number):
        try:
            with contextlib.suppress(OSError):
                self._answer_all(connection, number)
        finally:
            with self._lock:
                self._connections.remove(connection)
            connection.close()

    def _answer_all(self, connection, number):
        while data := connection.recv(65536):
            assert len(data) == layout()["request"]["size"], len(data)
            request = {**decode(data), "connection": number}
            if request["op"] == "RELEASE":
                self._hear_the_dead(connection)
            answer = self._answer(connection, request)
            if answer is not None:
                connection.send(answer if isinstance(answer, bytes) else encode(**answer))
            if request["op"] == "SHOW" and answer == {}:
                for item in self.shown:
                    connection.send(json.dumps(item).encode() + b"\n")
                return

    def _hear_the_dead(self, connection):
        """What a plugin had asked for before it was killed comes before what is asked after its end, as in one event loop."""
        with self._lock:
            others = [other for other in self._connections if other is not connection]
        for other in others:
            end = time.monotonic() + 5
            while _hung_up(other) and time.monotonic() < end:
                time.sleep(0.001)

    # ---- answering ----

    def _answer(self, connection, request):
        with self._lock:
            self.requests.append(request)
            todo = self.plan.get(request["op"])
            if isinstance(todo, list):
                todo = todo.pop(0) if len(todo) > 1 else todo[0]
        return todo(self, connection, request) if todo else self.usual(request)

    def usual(self, request):
        """What an agent whose cluster answers says."""
        with self._lock:
            return getattr(self, "_" + request["op"].lower())(request)

    def _join(self, request):
        return dict(self.network)

    _create = _join

    def _status(self, request):
        return {}

    _remove = _show = _evict = _leave = _resync = _status

    def _allocate(self, request):
        key = request["container"], request["ifname"]
        if key not in self.given:
            self.serial += 1
            own = (f"10.5.{1 + self.serial // 256}.{self.serial % 256}", f"fd05::1:{self.serial}")
            asked = (request["ips[0]"], request["ips[1]"])
            self.given[key] = [asked[i] or own[i] for i in range(self.network["network.n_subnets"])]
        return {f"ips[{i}]": address for i, address in enumerate(self.given[key])}

    def _release(self, request):
        self.given.pop((request["container"], request["ifname"]), None)
        return {}

    def _check(self, request):
        have = self.given.get((request["container"], request["ifname"]))
        if have != [request[f"ips[{i}]"] for i in range(self.network["network.n_subnets"])]:
            return {"result": -errno.EUCLEAN, "code": 104, "text": f"the cluster has {have}"}
        return {}

    # ---- what was asked ----

    def asked(self, op=None):
        with self._lock:
            return [request for request in self.requests if op in (None, request["op"])]

    def forget(self):
        with self._lock:
            self.requests.clear()

    @property
    def ops(self):
        return [request["op"] for request in self.asked()]
