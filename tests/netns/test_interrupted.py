# SPDX-License-Identifier: GPL-2.0-or-later
"""ADD and DEL killed, or made to fail, at each of their system calls in turn (by strace's injection)."""
import shutil

import pytest

from support import configs, snapshot
from test_abandoned import inject, trace

# The process ends in them, they cannot fail, or (brk) they tell failure by another value than an error.
NEVER_FAILS = {"exit_group", "getpid", "geteuid", "getuid", "rt_sigreturn", "brk"}

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


def network():
    return configs.publish(configs.bridge(), (8080, 80), configs.port(5353, 53, "udp"))


@pytest.fixture
def before(lab, cni):
    """The state to come back to: the network was used once, nobody is attached."""
    configs.warm(cni, network())
    return snapshot.take(lab, ("c1",))


def left(lab, before):
    return snapshot.diff(before, snapshot.take(lab, ("c1",)))


def clean_up(cni, index):
    """By turns with DEL and with a GC for which nothing is valid."""
    if index % 2:
        cni.delete("bridge", network()).expect()
    else:
        cni.gc("bridge", network()).expect()


@pytest.mark.parametrize("turn", [0, 1])
def test_killed_add_is_undone_by_del_or_gc(lab, cni, before, turn):
    calls = trace(cni, lab, "ADD", network(), "c1")
    cni.delete("bridge", network()).expect()
    problems = []
    for index, (name, number) in enumerate(calls):
        cni.call("ADD", "bridge", network(), prefix=inject("signal=KILL", name, number))
        clean_up(cni, index + turn)
        if left(lab, before):
            problems.append(f"{name} #{number}: {left(lab, before)}")
            cni.delete("bridge", network())
    assert not problems, f"{len(problems)} of {len(calls)} calls:\n" + "\n".join(problems)


@pytest.mark.parametrize("turn", [0, 1])
def test_killed_del_is_finished_by_del_or_gc(lab, cni, before, turn):
    cni.add("bridge", network()).expect()
    calls = trace(cni, lab, "DEL", network(), "c1")
    problems = []
    for index, (name, number) in enumerate(calls):
        cni.add("bridge", network()).expect()
        cni.call("DEL", "bridge", network(), prefix=inject("signal=KILL", name, number))
        clean_up(cni, index + turn)
        if left(lab, before):
            problems.append(f"{name} #{number}: {left(lab, before)}")
            cni.delete("bridge", network())
    assert not problems, f"{len(problems)} of {len(calls)} calls:\n" + "\n".join(problems)


@pytest.mark.parametrize("error", ["EPERM", "ENOMEM"])
def test_failed_add_leaves_nothing_and_succeeds_next(lab, cni, before, error):
    calls = [c for c in trace(cni, lab, "ADD", network(), "c1") if c[0] not in NEVER_FAILS]
    cni.delete("bridge", network()).expect()
    failed, problems = 0, []
    for name, number in calls:
        outcome = cni.call("ADD", "bridge", network(), prefix=inject(f"error={error}", name, number))
        if not outcome.ok:
            failed += 1
            # Where stdout itself fails there is nothing to read.
            if name != "write" and not outcome.message:
                problems.append(f"{name} #{number}: no error object: {outcome}")
            if left(lab, before):
                problems.append(f"{name} #{number}: {outcome.message}: {left(lab, before)}")
                cni.delete("bridge", network())
            cni.add("bridge", network()).expect()
        cni.delete("bridge", network()).expect()
        if left(lab, before):
            problems.append(f"{name} #{number}, after DEL: {left(lab, before)}")
    assert failed > 20
    assert not problems, f"{len(problems)} of {len(calls)} calls:\n" + "\n".join(problems)
