# SPDX-License-Identifier: GPL-2.0-or-later
"""Mode "etcd": ADD and DEL killed, or made to fail, at their system calls in turn; what the cluster gave is given back."""
import shutil

import pytest

from support import configs
from support.agent import Agent
from support.cni import Cni
from support.interrupted import Interrupted, some

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


class Bench(Interrupted):
    """A host with an agent, and a network that was used once."""

    def __init__(self, lab, agent):
        self.agent = agent
        config = configs.publish(agent.with_ipv6().config(), (8080, 80))
        lab.netns("c1")
        cni = Cni(lab)
        cni.add("overlay", config).expect()
        cni.delete("overlay", config).expect()
        super().__init__(lab, cni, config, some)

    def left(self):
        return (f"given: {self.agent.given}" if self.agent.given else "") + super().left()

    def forget(self):
        super().forget()
        self.agent.given.clear()


@pytest.fixture
def bench(lab):
    with Agent(lab) as agent:
        yield Bench(lab, agent)


@pytest.mark.parametrize("turn", [0, 1])
def test_killed_add_is_undone_by_del_or_gc(bench, turn):
    given = []
    bench.killed_add(turn, seen=lambda: given.append(bool(bench.agent.given)))
    assert sum(given) > 10


def test_killed_add_is_followed_by_one_that_works(bench):
    def works(outcome):
        bench.cni.check("overlay", configs.with_previous(bench.config, outcome.json)).expect()
    bench.killed_add_and_another(works)


@pytest.mark.parametrize("turn", [0, 1])
def test_killed_del_is_finished_by_del_or_gc(bench, turn):
    bench.killed_del(turn)


@pytest.mark.parametrize("error", ["EPERM", "ENOMEM"])
def test_failed_add_leaves_nothing_and_succeeds_next(bench, error):
    bench.failed_add(error, choose=some)
