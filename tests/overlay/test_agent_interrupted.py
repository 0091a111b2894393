# SPDX-License-Identifier: GPL-2.0-or-later
"""Mode "etcd": ADD and DEL killed, or made to fail, at their system calls in turn; what the cluster gave is given back."""
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))

from support import configs, snapshot  # noqa: E402
from support.agent import Agent  # noqa: E402
from support.cni import Cni  # noqa: E402
from test_abandoned import inject, trace  # noqa: E402
from test_interrupted import NEVER_FAILS  # noqa: E402
from test_static_interrupted import some  # noqa: E402

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


class Bench:
    """A host with an agent, and a network that was used once."""

    def __init__(self, lab, agent):
        self.lab, self.agent, self.cni = lab, agent, Cni(lab)
        self.config = configs.publish(agent.with_ipv6().config(), (8080, 80))
        lab.netns("c1")
        self.cni.add("overlay", self.config).expect()
        self.cni.delete("overlay", self.config).expect()
        self.before = snapshot.take(lab, ("c1",))

    def calls(self, command):
        return some(trace(self.cni, self.lab, command, self.config, "c1"))

    def left(self):
        given = f"given: {self.agent.given}" if self.agent.given else ""
        return given + snapshot.diff(self.before, snapshot.take(self.lab, ("c1",)))

    def clean_up(self, index):
        """By turns with DEL and with a GC for which nothing is valid."""
        outcome = self.cni.delete("overlay", self.config) if index % 2 else self.cni.gc("overlay", self.config)
        outcome.expect()

    def report(self, problems, name, number):
        left = self.left()
        if left:
            problems.append(f"{name} #{number}: {left}")
            self.cni.delete("overlay", self.config)
            self.agent.given.clear()


@pytest.fixture
def bench(lab):
    with Agent(lab) as agent:
        yield Bench(lab, agent)


def verdict(problems, calls):
    assert not problems, f"{len(problems)} of {len(calls)} calls:\n" + "\n".join(problems)


@pytest.mark.parametrize("turn", [0, 1])
def test_killed_add_is_undone_by_del_or_gc(bench, turn):
    calls = bench.calls("ADD")
    bench.cni.delete("overlay", bench.config).expect()
    problems, given = [], 0
    for index, (name, number) in enumerate(calls):
        bench.cni.call("ADD", "overlay", bench.config, prefix=inject("signal=KILL", name, number))
        given += bool(bench.agent.given)
        bench.clean_up(index + turn)
        bench.report(problems, name, number)
    verdict(problems, calls)
    assert given > 10


def test_killed_add_is_followed_by_one_that_works(bench):
    calls = bench.calls("ADD")
    bench.cni.delete("overlay", bench.config).expect()
    problems = []
    for name, number in calls:
        bench.cni.call("ADD", "overlay", bench.config, prefix=inject("signal=KILL", name, number))
        result = bench.cni.add("overlay", bench.config)
        if result.code == 102:      # killed when all was done
            bench.cni.delete("overlay", bench.config).expect()
            result = bench.cni.add("overlay", bench.config)
        result.expect()
        bench.cni.check("overlay", configs.with_previous(bench.config, result.json)).expect()
        bench.cni.delete("overlay", bench.config).expect()
        bench.report(problems, name, number)
    verdict(problems, calls)


@pytest.mark.parametrize("turn", [0, 1])
def test_killed_del_is_finished_by_del_or_gc(bench, turn):
    bench.cni.add("overlay", bench.config).expect()
    calls = bench.calls("DEL")
    problems = []
    for index, (name, number) in enumerate(calls):
        bench.cni.add("overlay", bench.config).expect()
        bench.cni.call("DEL", "overlay", bench.config, prefix=inject("signal=KILL", name, number))
        bench.clean_up(index + turn)
        bench.report(problems, name, number)
    verdict(problems, calls)


@pytest.mark.parametrize("error", ["EPERM", "ENOMEM"])
def test_failed_add_leaves_nothing_and_succeeds_next(bench, error):
    calls = [c for c in bench.calls("ADD") if c[0] not in NEVER_FAILS]
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
    verdict(problems, calls)
