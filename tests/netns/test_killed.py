# SPDX-License-Identifier: GPL-2.0-or-later
"""What a killed ADD may not do to others: to the runtime that tries again, and to the next writer of the state."""
import shutil

import pytest

from support import configs, snapshot
from support.interrupted import inject, some, trace

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


@pytest.fixture
def points(lab, cni):
    """Some (system call, its how-manieth invocation) of an ADD of c1, on a network that is in use by c2."""
    cni.add("bridge", configs.dual(), "c2").expect()
    found = some(trace(cni, lab, "ADD", config(), "c1"))
    cni.delete("bridge", config()).expect()
    return found


def config():
    return configs.publish(configs.dual(), (8080, 80), configs.port(5353, 53, "udp"), configs.port(9000, 9000, range=10))


def test_tried_again_without_del(lab, cni, points):
    """A runtime that tries again at once gets its container all the same."""
    before = snapshot.take(lab, ["c1", "c2"])
    problems = []
    for name, number in points:
        killed = cni.call("ADD", "bridge", config(), prefix=inject("signal=KILL", name, number))
        outcome = killed if killed.ok else cni.add("bridge", config())
        # An attachment that was complete when its ADD died may be reported as such.
        if not outcome.ok and "already" not in outcome.message:
            problems.append(f"{name} #{number}: {outcome}")
        cni.delete("bridge", config()).expect()
        left = snapshot.diff(before, snapshot.take(lab, ["c1", "c2"]))
        if left:
            problems.append(f"{name} #{number}: {left}")
    assert not problems, f"{len(problems)} of {len(points)} steps:\n" + "\n".join(problems)


def test_others_go_on(lab, cni, points):
    """A writer may die with the lock in its hands."""
    lab.netns("c3")
    for name, number in points:
        cni.call("ADD", "bridge", config(), prefix=inject("signal=KILL", name, number))
        cni.add("bridge", configs.dual(), "c3").expect()
        cni.delete("bridge", configs.dual(), "c3").expect()
        cni.delete("bridge", config()).expect()
