# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks resolvers from inside a namespace of a lab, by dnspython or byte by byte; and a name server for the outside.

    config = dns.named(dns.network(), "web", aliases=["www"])
    cni.add("bridge", config, "c1").expect()
    assert dns.lookup(lab, "c2", "www") == ["10.1.0.2"]
    answer = dns.ask(lab, "c2", "web", "MX", tcp=True)      # a dns.message.Message
"""
import contextlib
import os
import select
import signal
import socket
import struct
import threading

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset

from . import configs

ADDRESS = "127.0.0.11"
TIMEOUT = 5.0           # of a broken run
FOREIGN = "203.0.113.5"     # what Upstream says of every name
TABLE = "fairlead_dns"


# ---- configurations ----

def network(name="net", dns=None, **more):
    """A bridge network whose containers have a resolver; `dns` is added to its object."""
    return configs.bridge(name, dns={"enabled": True, **(dns or {})}, **more)


def dual(name="net", dns=None, **more):
    return configs.dual(name, dns={"enabled": True, **(dns or {})}, **more)


def second(dns=None, **more):
    return configs.second(dns={"enabled": True, **(dns or {})}, **more)


def named(config, name=None, aliases=None, hostname=None, **runtime):
    """The configuration with the names that a runtime gives a container."""
    config = configs.runtime(config, **runtime)
    args = {key: value for key, value in (("name", name), ("hostname", hostname)) if value is not None}
    if args:
        config["args"] = {"cni": args}
    if aliases is not None:
        config["runtimeConfig"]["aliases"] = aliases
    return config


def attach(cni, config, container, name=None, **kwargs):
    """ADD of the bridge with names; the container's addresses."""
    call = {key: kwargs.pop(key) for key in ("ifname", "args", "env") if key in kwargs}
    return cni.add("bridge", named(config, name, **kwargs), container, **call).expect().addresses()


def lo_up(lab, *names):
    """As runtimes have it. ADD sets it up where it is not, since 127.0.0.11 needs it, and it stays so."""
    for name in names:
        lab.run(["ip", "link", "set", "lo", "up"], netns=name)


# ---- asking ----

def query(name, kind="A", **how):
    """A query as stubs send it: recursion desired, no EDNS unless `payload` or `use_edns` is given."""
    how.setdefault("use_edns", 0 if "payload" in how else -1)
    return dns.message.make_query(name, kind, **how)


def ask(lab, netns, name, kind="A", tcp=False, server=ADDRESS, port=53, timeout=TIMEOUT, **how):
    """The answer, whatever its rcode. `name` may be a whole dns.message.Message."""
    message = name if isinstance(name, dns.message.Message) else query(name, kind, **how)
    send = dns.query.tcp if tcp else dns.query.udp
    return lab.call(send, message, server, timeout, port, netns=netns)


def lookup(lab, netns, name, kind="A", **how):
    """Addresses (or other data, as text) of a name that must be known: in their order, [] without any."""
    answer = ask(lab, netns, name, kind, **how)
    assert rcode(answer) == "NOERROR", answer
    return data(answer)


def knows(lab, netns, name, **how):
    """Is it a name of a container there? Others are forwarded, which tests do not allow unless they say so."""
    answer = ask(lab, netns, name, **how)
    return rcode(answer) == "NOERROR" and FOREIGN not in data(answer)


def data(answer):
    """What the records of the answer section hold, as text."""
    return [item.to_text() for rrset in answer.answer for item in rrset]


def additional(answer):
    """[(name, address)] of the additional section."""
    return [(rrset.name.to_text(), item.to_text()) for rrset in answer.additional for item in rrset]


def parse(wire):
    return dns.message.from_wire(wire)


def flags(answer):
    """Those of the header, as "QR AA RA"."""
    return dns.flags.to_text(answer.flags)


def rcode(answer):
    return dns.rcode.to_text(answer.rcode())


def soa(answer):
    """Owner of the authority section's SOA; None without one."""
    owner = [rrset.name.to_text() for rrset in answer.authority if rrset.rdtype == dns.rdatatype.SOA]
    return owner[0] if owner else None


def no_data(answer):
    """NOERROR, no answer, a SOA: there is such a name, and nothing of this type."""
    return rcode(answer) == "NOERROR" and not answer.answer and soa(answer) is not None


def no_name(answer):
    return rcode(answer) == "NXDOMAIN" and not answer.answer and soa(answer) is not None


def truncated(answer):
    return bool(answer.flags & dns.flags.TC)


def reverse(address):
    return dns.reversename.from_address(address).to_text()


# ---- bytes ----

def udp(lab, netns, server=ADDRESS, port=53):
    """A connected UDP socket in the namespace."""
    return lab.call(_connected, socket.SOCK_DGRAM, server, port, netns=netns)


def tcp(lab, netns, server=ADDRESS, port=53, receive=None):
    """A connection; `receive`: bytes that its receive buffer takes."""
    return lab.call(_connected, socket.SOCK_STREAM, server, port, receive, netns=netns)


def framed(data):
    """A message as it stands on a TCP connection."""
    return struct.pack("!H", len(data)) + data


def read_messages(sock, count=None):
    """Messages from a TCP connection, `count` or until its end."""
    found, buffered = [], b""
    while count is None or len(found) < count:
        more = sock.recv(65536)
        if not more:
            break
        buffered += more
        while len(buffered) >= 2 and len(buffered) >= 2 + struct.unpack("!H", buffered[:2])[0]:
            length = struct.unpack("!H", buffered[:2])[0]
            found.append(buffered[2:2 + length])
            buffered = buffered[2 + length:]
    return found


def ended(sock):
    """Has the other side closed the connection? Waits for it."""
    try:
        return sock.recv(4096) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def _connected(kind, server, port, receive=None):
    sock = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, kind)
    sock.settimeout(TIMEOUT)
    if receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.connect((server, port))
    return sock


# ---- the world around ----

@contextlib.contextmanager
def upstream(lab, netns="outside", address="192.0.2.2"):
    """A name server that says FOREIGN of every name, the host's only one; see Upstream.asked."""
    server = Upstream(lab.call(_bound, address, netns=netns))
    host_servers(lab, f"nameserver {address}\n")
    try:
        yield server
    finally:
        server.close()


def host_servers(lab, text):
    """The private host's own resolv.conf from now on."""
    if not lab.exists("/run/resolv.conf"):
        lab.write("/run/resolv.conf", text)
        lab.run(["mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf"])
    else:
        lab.write("/run/resolv.conf", text)


def _bound(address):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 53))
    return sock


class Upstream:
    def __init__(self, sock):
        self.asked = []         # names, in order, without the final dot
        self._sock = sock
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="upstream", daemon=True)
        self._thread.start()

    def close(self):
        self._stop.close()
        self._thread.join()
        self._sock.close()
        self._stopped.close()

    def _serve(self):
        while True:
            ready, _, _ = select.select([self._sock, self._stopped], [], [])
            if self._stopped in ready:
                return
            wire, peer = self._sock.recvfrom(65536)
            message = dns.message.from_wire(wire)
            question = message.question[0]
            self.asked.append(question.name.to_text(omit_final_dot=True))
            answer = dns.message.make_response(message)
            if question.rdtype == dns.rdatatype.A:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", FOREIGN))
            with contextlib.suppress(OSError):
                self._sock.sendto(answer.to_wire(), peer)


def state_dir(lab):
    """The state directory of the private host."""
    [cookie] = lab.files("/run/fairlead")
    return f"/run/fairlead/{cookie}"


def worker(lab):
    """Process id of the half that answers: another one when it had to be started again."""
    pid = daemon(lab)
    [child] = lab.read(f"/proc/{pid}/task/{pid}/children").split()
    return int(child)


def kill(lab):
    """The daemon, with whoever would start it again; its worker ends by itself."""
    pid, answering = daemon(lab), worker(lab)
    keeper = int(lab.read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[1])
    for victim in (keeper, pid) if keeper > 1 else (pid,):
        os.kill(victim, signal.SIGKILL)
    configs.eventually(lambda: not any(running(lab, victim) for victim in (pid, answering)))


def running(lab, pid):
    try:
        return lab.read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu(lab, pid):
    """Seconds that the process has computed."""
    return int(lab.read(f"/proc/{pid}/schedstat").split()[0]) / 1e9


def rewritten(lab, netns):
    """Is port 53 led to our socket there?"""
    return not lab.run(["nft", "list", "table", "ip", TABLE], netns=netns, check=False).returncode


def daemon(lab):
    """Process id of the daemon's privileged half; None when none is at work."""
    for cookie in lab.files("/run/fairlead"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(lab.read(f"/run/fairlead/{cookie}/dns.lock"))
    return None
