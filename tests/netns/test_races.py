# SPDX-License-Identifier: GPL-2.0-or-later
"""Two processes at once, one of them held at the system call where the other may come in between."""
import re
import shutil

import pytest

from support import configs
from support.interrupted import CALL
from test_macvlan import config, lan  # noqa: F401 (a fixture)

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")

HELD = 2.0      # seconds, of which the other one needs a hundredth


def calls(cni, lab, conf, container):
    """[(system call, its how-manieth invocation, line of strace)] of an ADD, which is taken back."""
    for prefix in ([], ["strace", "-v", "-s", "4000", "-o", "/run/trace"]):     # the first names the sandbox
        cni.add(conf["type"], conf, container, prefix=prefix).expect()
        cni.delete(conf["type"], conf, container).expect()
    counts, found = {}, []
    for line in lab.read("/run/trace").splitlines():
        name = CALL.match(line)
        if name:
            counts[name[1]] = counts.get(name[1], 0) + 1
            found.append((name[1], counts[name[1]], line))
    return found


def add_held(cni, lab, conf, container, name, number, before):
    """A Future of an ADD that is about to do this call; `before`: the call in front of it."""
    out = "/run/held"
    future = lab.submit(cni.add, conf["type"], conf, container, prefix=[
        "strace", "-o", out, "-e", f"trace={name},{before[0]}", "-e", f"inject={name}:delay_enter={int(HELD * 1e6)}:when={number}"])
    seen = re.compile(rf"^{before[0]}\(", re.M)
    configs.eventually(lambda: lab.exists(out) and len(seen.findall(lab.read(out))) >= before[1])
    return future


def test_two_make_the_hosts_macvlan(lan, cni):  # noqa: F811
    conf = config(hostAccess=True)
    trace = calls(cni, lan, conf, "c1")
    at = next(i for i, (_, _, line) in enumerate(trace) if re.search(r'^send.*RTM_NEWLINK.*"flh', line))
    slow = add_held(cni, lan, conf, "c1", *trace[at][:2], before=trace[at - 1])
    address = cni.add("macvlan", conf, "c2").expect().address
    slow.result().expect()
    for name, to in (("c1", slow.result().address), ("c2", address)):
        assert lan.reaches(None, to, lan.tcp_server(name).port)


def test_promiscuous_mode_of_a_network_that_ends(lan, cni):  # noqa: F811
    """The other network's last endpoint goes when the master was looked at, and before the records were."""
    ends, begins = config("ends", promisc=True), config("begins", promisc=True)
    cni.add("macvlan", ends, "c1").expect()
    trace = calls(cni, lan, begins, "c2")
    at = next(i for i, (_, _, line) in enumerate(trace) if re.search(r'^recv.*"lan0"', line))
    # The answer is there when the question was sent.
    slow = add_held(cni, lan, begins, "c2", *trace[at][:2], before=trace[at - 1])
    cni.delete("macvlan", ends, "c1").expect()
    assert "PROMISC" not in configs.link(lan, "lan0")["flags"]
    slow.result().expect()
    assert "PROMISC" in configs.link(lan, "lan0")["flags"]
    cni.delete("macvlan", begins, "c2").expect()
    assert "PROMISC" not in configs.link(lan, "lan0")["flags"]
