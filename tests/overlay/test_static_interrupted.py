# SPDX-License-Identifier: GPL-2.0-or-later
"""ADD and DEL killed, or made to fail, at each of their system calls in turn (by strace's injection)."""
import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))

from support import configs, snapshot  # noqa: E402
from test_abandoned import inject, trace  # noqa: E402
from test_interrupted import NEVER_FAILS  # noqa: E402

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


def some(calls):
    """Every third, with the first and the last; all with FAIRLEAD_EVERY_CALL=1, which takes minutes."""
    if os.environ.get("FAIRLEAD_EVERY_CALL"):
        return calls
    return calls[:1] + calls[1:-1:3] + calls[-1:]


class Bench:
    """One node of two, with a network that was used once and has nobody left."""

    def __init__(self, nodes):
        self.node, self.lab, self.cni = nodes[0], nodes[0].lab, nodes[0].cni
        self.config = configs.publish(nodes.config(0, inside=(4, 6)), (8080, 80), configs.port(5353, 53, "udp"))
        self.node.attach(self.config, "c1")
        self.cni.delete("overlay", self.config, "c1").expect()
        self.before = self.state()

    def state(self):
        return snapshot.take(self.lab, ("c1",))

    def left(self):
        return snapshot.diff(self.before, self.state())

    def clean_up(self, index):
        """By turns with DEL and with a GC for which nothing is valid."""
        if index % 2:
            self.cni.delete("overlay", self.config).expect()
        else:
            self.cni.gc("overlay", self.config).expect()

    def report(self, problems, name, number):
        left = self.left()
        if left:
            problems.append(f"{name} #{number}: {left}")
            self.cni.delete("overlay", self.config)


@pytest.fixture
def bench(nodes):
    return Bench(nodes)


@pytest.mark.parametrize("turn", [0, 1])
def test_killed_add_is_undone_by_del_or_gc(bench, turn):
    calls = some(trace(bench.cni, bench.lab, "ADD", bench.config, "c1"))
    bench.cni.delete("overlay", bench.config).expect()
    problems = []
    for index, (name, number) in enumerate(calls):
        bench.cni.call("ADD", "overlay", bench.config, prefix=inject("signal=KILL", name, number))
        bench.clean_up(index + turn)
        bench.report(problems, name, number)
    assert not problems, f"{len(problems)} of {len(calls)} calls:\n" + "\n".join(problems)


def test_killed_add_is_followed_by_one_that_works(bench, nodes):
    """Half a tunnel is finished by whoever comes next."""
    calls = some(trace(bench.cni, bench.lab, "ADD", bench.config, "c1"))
    bench.cni.delete("overlay", bench.config).expect()
    nodes[1].attach(nodes.config(1), "c1")
    nodes[1].lab.tcp_server("c1", port=80)
    problems = []
    for name, number in calls:
        bench.cni.call("ADD", "overlay", bench.config, prefix=inject("signal=KILL", name, number))
        result = bench.cni.add("overlay", bench.config)
        if result.code == 102:      # killed when all was done
            bench.cni.delete("overlay", bench.config).expect()
            result = bench.cni.add("overlay", bench.config)
        result.expect()
        bench.cni.check("overlay", configs.with_previous(bench.config, result.json)).expect()
        if not bench.lab.reaches("c1", "10.5.2.10", 80):
            problems.append(f"{name} #{number}")
        bench.cni.delete("overlay", bench.config).expect()
    assert not problems, f"{len(problems)} of {len(calls)} calls:\n" + "\n".join(problems)


@pytest.mark.parametrize("turn", [0, 1])
def test_killed_del_is_finished_by_del_or_gc(bench, turn):
    bench.cni.add("overlay", bench.config).expect()
    calls = some(trace(bench.cni, bench.lab, "DEL", bench.config, "c1"))
    problems = []
    for index, (name, number) in enumerate(calls):
        bench.cni.add("overlay", bench.config).expect()
        bench.cni.call("DEL", "overlay", bench.config, prefix=inject("signal=KILL", name, number))
        bench.clean_up(index + turn)
        bench.report(problems, name, number)
    assert not problems, f"{len(problems)} of {len(calls)} calls:\n" + "\n".join(problems)


@pytest.mark.parametrize("error", ["EPERM", "ENOMEM"])
def test_failed_add_leaves_nothing_and_succeeds_next(bench, error):
    calls = [c for c in trace(bench.cni, bench.lab, "ADD", bench.config, "c1") if c[0] not in NEVER_FAILS]
    bench.cni.delete("overlay", bench.config).expect()
    failed, problems = 0, []
    for name, number in calls:
        outcome = bench.cni.call("ADD", "overlay", bench.config, prefix=inject(f"error={error}", name, number))
        if not outcome.ok:
            failed += 1
            # Where stdout itself fails there is nothing to read.
            if name != "write" and not outcome.message:
                problems.append(f"{name} #{number}: no error object: {outcome}")
            bench.report(problems, name, number)
            bench.cni.add("overlay", bench.config).expect()
        bench.cni.delete("overlay", bench.config).expect()
        bench.report(problems, f"{name}, after DEL", number)
    assert failed > 20
    assert not problems, f"{len(problems)} of {len(calls)} calls:\n" + "\n".join(problems)
