# SPDX-License-Identifier: GPL-2.0-or-later
"""An answer is right the moment ADD returns, and gone the moment DEL returns. FAIRLEAD_ROUNDS=10000 is the long run."""
import os
import socket

import dns.message
import dns.rcode

from support import configs

ROUNDS = int(os.environ.get("FAIRLEAD_ROUNDS", "240"))
WORKERS = 8


class Asker:
    """A connected socket to 127.0.0.11 in a namespace."""

    def __init__(self, lab, netns):
        self.socket = lab.call(self._open, netns=netns)

    @staticmethod
    def _open():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(5)
        s.connect(("127.0.0.11", 53))
        return s

    def ask(self, name):
        """(rcode, addresses)"""
        query = dns.message.make_query(name, "A")
        self.socket.send(query.to_wire())
        answer = dns.message.from_wire(self.socket.recv(4096))
        assert answer.id == query.id
        return answer.rcode(), [r.to_text() for rrset in answer.answer for r in rrset]


def rounds(lab, cni, conf, who, count):
    """The same name each time, with another address: what is stale would show."""
    observer, used = Asker(lab, "observer"), set()
    for _ in range(count):
        address = cni.add("bridge", conf, who, args=f"K8S_POD_NAME={who}").expect().address
        used.add(address)
        inside = Asker(lab, who)
        for asker in (observer, inside):
            for name in (who, f"{who}.net"):
                assert asker.ask(name) == (dns.rcode.NOERROR, [address])
        assert inside.ask("observer")[1] == ["10.1.0.2"]
        inside.socket.close()
        cni.delete("bridge", conf, who).expect()
        assert observer.ask(who) == (dns.rcode.NXDOMAIN, [])
    observer.socket.close()
    return used


def test_rounds(lab, cni):
    conf = configs.bridge(subnets=("10.1.0.0/16",), dns={"enabled": True, "forward": False})
    names = [f"w{i}" for i in range(WORKERS)]
    for name in ("observer", *names):
        lab.netns(name)
    cni.add("bridge", conf, "observer", args="K8S_POD_NAME=observer").expect()
    running = [lab.submit(rounds, lab, cni, conf, name, ROUNDS // WORKERS) for name in names]
    for each in running:
        assert len(each.result()) > 1
    cni.delete("bridge", conf, "observer").expect()
