# SPDX-License-Identifier: GPL-2.0-or-later
"""Capabilities: what is missing is named, and what is not needed is dropped before the kernel is asked for anything."""
import re
import shutil

import pytest

from support import configs, snapshot


@pytest.mark.parametrize("capability", ["net_admin", "sys_admin"])
def test_missing_capability_is_named(lab, cni, capability):
    before = snapshot.take(lab, ("c1",))
    outcome = cni.add("bridge", configs.bridge(), prefix=["setpriv", f"--bounding-set=-{capability}"])
    outcome.refused(105, f"CAP_{capability.upper()}")
    assert not snapshot.diff(before, snapshot.take(lab, ("c1",)))


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_only_two_are_kept_and_the_bounding_set_is_left(lab, cni):
    cni.add("bridge", configs.bridge(), prefix=["strace", "-o", "/run/trace", "-e", "trace=capset,sendmsg,prctl"]).expect()
    lines = lab.read("/run/trace").splitlines()
    sets = [i for i, line in enumerate(lines) if line.startswith("capset(")]
    kept = re.findall(r"CAP_\w+", lines[sets[0]].split("permitted=")[1].split(",")[0])
    assert sorted(kept) == ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]
    assert sets[0] < next(i for i, line in enumerate(lines) if line.startswith("sendmsg("))
    assert not any("PR_CAPBSET_DROP" in line for line in lines)
