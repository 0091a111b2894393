# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/tutorial.md, line by line: every command succeeds, and shows what the page says."""
import os
import pathlib
import subprocess

from support import pages
from support.netctl import program

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/tutorial.md"


def test_tutorial(lab, netctl, upstream):
    env = {**netctl.environment(), "PATH": f"{os.path.dirname(program())}:{os.environ['PATH']}", "HOME": "/run"}
    shell = lab.start(["sh"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/run")
    assert pages.replay(PAGE, shell) > 12
    shell.stdin.close()
