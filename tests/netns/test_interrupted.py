# SPDX-License-Identifier: GPL-2.0-or-later
"""ADD and DEL killed, or made to fail, at each of their system calls in turn."""
import shutil

import pytest

from support import configs
from support.interrupted import Interrupted

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


@pytest.fixture
def bench(lab, cni):
    config = configs.publish(configs.bridge(), (8080, 80), configs.port(5353, 53, "udp"))
    configs.warm(cni, config)
    return Interrupted(lab, cni, config)


@pytest.mark.parametrize("turn", [0, 1])
def test_killed_add_is_undone_by_del_or_gc(bench, turn):
    bench.killed_add(turn)


@pytest.mark.parametrize("turn", [0, 1])
def test_killed_del_is_finished_by_del_or_gc(bench, turn):
    bench.killed_del(turn)


@pytest.mark.parametrize("error", ["EPERM", "ENOMEM"])
def test_failed_add_leaves_nothing_and_succeeds_next(bench, error):
    bench.failed_add(error)
