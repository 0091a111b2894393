# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic that flows while something happens, and is counted.

    with Streams() as streams:
        flow = streams.between((lab1, "c1"), (lab2, "c2", "10.5.0.7"))
        ...
        report = flow.stop()        # Report(sent=, lost=, gap=, retransmitted=)

Between two containers, for each address: a UDP stream each way, numbered, and a TCP connection whose words are echoed.
One thread serves all of them. What is lost is what never arrived; the gap is the longest time between two arrivals.
"""
import dataclasses
import select
import socket
import struct
import threading
import time

EVERY = 0.002
DRAIN = 0.5
RECV = 1 << 16
TCP_INFO, TOTAL_RETRANS = socket.TCP_INFO, 100      # offset in struct tcp_info


@dataclasses.dataclass
class Report:
    sent: int
    lost: int               # datagrams
    gap: float              # seconds
    retransmitted: int      # segments
    echoed: int             # bytes that the TCP connection sent and had again; of several the one with the fewest

    def __str__(self):
        return (f"{self.lost} of {self.sent} datagrams lost, longest gap {self.gap * 1000:.0f} ms, "
                f"{self.retransmitted} segments sent again, {self.echoed} bytes echoed")


class Datagrams:
    def __init__(self, source, target, address):
        self.receiver = target[0].call(_bound, address, netns=target[1])
        self.sender = source[0].call(socket.socket, family(address), socket.SOCK_DGRAM, netns=source[1])
        self.sender.setblocking(False)
        self.sender.connect(self.receiver.getsockname()[:2])
        self.sent, self.seen, self.gap, self.last = 0, set(), 0.0, None

    def tick(self):
        try:
            self.sender.send(struct.pack("!I", self.sent))
        except OSError:     # an ICMP error of an earlier one: a loss
            pass
        self.sent += 1

    def drain(self):
        while True:
            try:
                data = self.receiver.recv(64)
            except BlockingIOError:
                return
            now = time.monotonic()
            self.seen.add(struct.unpack("!I", data)[0])
            self.gap = max(self.gap, now - (self.last or now))
            self.last = now

    def close(self):
        self.receiver.close()
        self.sender.close()


class Connection:
    def __init__(self, source, target, address):
        # No tail loss probes: a few milliseconds without an acknowledgement are no loss where processors are busy.
        for lab, netns in (source[:2], target[:2]):
            lab.sysctl("net.ipv4.tcp_early_retrans", 0, netns=netns)
        listener = target[0].call(_listening, address, netns=target[1])
        self.client = source[0].call(socket.socket, family(address), socket.SOCK_STREAM, netns=source[1])
        self.client.settimeout(5)
        self.client.connect(listener.getsockname()[:2])
        self.server, _ = listener.accept()
        listener.close()
        for sock in (self.client, self.server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = self.echoed = 0
        self.broken = None

    def tick(self):
        try:
            if self.sent - self.echoed < RECV:
                self.sent += self.client.send(b"x" * 64)
        except BlockingIOError:
            pass
        except OSError as error:
            self.broken = error

    def drain(self):
        try:
            if data := self._read(self.server):
                self.server.send(data)
            self.echoed += len(self._read(self.client))
        except BlockingIOError:
            pass
        except OSError as error:
            self.broken = error

    def retransmitted(self):
        total = 0
        for sock in (self.client, self.server):
            info = sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 128)
            total += struct.unpack_from("=I", info, TOTAL_RETRANS)[0]
        return total

    @staticmethod
    def _read(sock):
        try:
            return sock.recv(RECV)
        except BlockingIOError:
            return b""

    def close(self):
        self.client.close()
        self.server.close()


class Flow:
    """All that runs between two containers."""

    def __init__(self, streams, a, b):
        self.streams = streams
        self.connections = [Connection(a, b, address) for address in b[2:]]
        self.datagrams = [Datagrams(*way) for way in [(a, b, address) for address in b[2:]] + [(b, a, address) for address in a[2:]]]
        self.sending = True

    @property
    def parts(self):
        return [*self.connections, *self.datagrams]

    def report(self):
        return Report(sum(d.sent for d in self.datagrams), sum(d.sent - len(d.seen) for d in self.datagrams),
                      max(d.gap for d in self.datagrams), sum(c.retransmitted() for c in self.connections),
                      min(c.echoed for c in self.connections))

    def unanswered(self):
        return sum(c.sent - c.echoed for c in self.connections)

    def stop(self, seconds=DRAIN):
        """Sends no more; waits for what is on its way."""
        self.sending = False
        begin = time.monotonic()
        while (now := time.monotonic() - begin) < max(seconds, DRAIN) and (self.unanswered() or (now < DRAIN and self.report().lost)):
            time.sleep(EVERY)
        with self.streams.lock:
            self.streams.flows.remove(self)
            report = self.report()
            broken, unanswered = [c.broken for c in self.connections if c.broken], self.unanswered()
            for part in self.parts:
                part.close()
        assert not broken and not unanswered, f"the connection: {broken}, {unanswered} bytes not echoed; {report}"
        return report


class Streams:
    def __init__(self):
        self.lock = threading.Lock()
        self.flows, self._running = [], True
        self._thread = threading.Thread(target=self._run, name="streams", daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._running = False
        self._thread.join()
        for flow in self.flows:
            for part in flow.parts:
                part.close()

    def between(self, a, b):
        """Each is (lab, namespace, its address, maybe that of the other family)."""
        flow = Flow(self, a, b)
        with self.lock:
            self.flows.append(flow)
        return flow

    def _run(self):
        due = time.monotonic()
        while self._running:
            due += EVERY
            with self.lock:
                for flow in self.flows:
                    for part in flow.parts:
                        if flow.sending:
                            part.tick()
                        part.drain()
            wait = due - time.monotonic()
            if wait > 0:
                select.select([], [], [], wait)
            else:
                due = time.monotonic()


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _bound(address):
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((address, 0))
    sock.setblocking(False)
    return sock


def _listening(address):
    sock = socket.socket(family(address), socket.SOCK_STREAM)
    sock.bind((address, 0))
    sock.listen(1)
    return sock
