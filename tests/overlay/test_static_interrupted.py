# SPDX-License-Identifier: GPL-2.0-or-later
"""Mode "static": ADD and DEL killed, or made to fail, at their system calls in turn."""
import shutil

import pytest

from support import configs
from support.interrupted import Interrupted, some

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


@pytest.fixture
def bench(nodes):
    """One node of two, with a network that was used once and has nobody left."""
    node = nodes[0]
    config = configs.publish(nodes.config(0, inside=(4, 6)), (8080, 80), configs.port(5353, 53, "udp"))
    node.attach(config, "c1")
    node.cni.delete("overlay", config, "c1").expect()
    return Interrupted(node.lab, node.cni, config, some)


@pytest.mark.parametrize("turn", [0, 1])
def test_killed_add_is_undone_by_del_or_gc(bench, turn):
    bench.killed_add(turn)


def test_killed_add_is_followed_by_one_that_works(bench, nodes):
    """Half a tunnel is finished by whoever comes next."""
    nodes[1].attach(nodes.config(1), "c1")
    nodes[1].lab.tcp_server("c1", port=80)

    def works(outcome):
        bench.cni.check("overlay", configs.with_previous(bench.config, outcome.json)).expect()
        return "" if bench.lab.reaches("c1", "10.5.2.10", 80) else "the other node is not reached"
    bench.killed_add_and_another(works)


@pytest.mark.parametrize("turn", [0, 1])
def test_killed_del_is_finished_by_del_or_gc(bench, turn):
    bench.killed_del(turn)


@pytest.mark.parametrize("error", ["EPERM", "ENOMEM"])
def test_failed_add_leaves_nothing_and_succeeds_next(bench, error):
    bench.failed_add(error, choose=some)
