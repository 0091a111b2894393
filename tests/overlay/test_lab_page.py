# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/overlay-lab.md, line by line: every command succeeds, and shows what the page says."""
import os
import pathlib
import subprocess

from support import pages
from support.cni import plugin_dir
from support.lab import PRIVATE

TREE = pathlib.Path(__file__).resolve().parents[2]
CHANGING = [(r"10\.128\.0\.(?!0/|1/)\d+", "ADDRESS"), (r"\b\d+ (s|min)\b", "AGE"), (r"fl[ox][0-9a-f]{8}", "LINK")]


def test_page(tmp_path):
    for folder in PRIVATE:      # of all labs: this one must not take them from others
        os.makedirs(folder, exist_ok=True)
    env = {**os.environ, "OVERLAY_LAB_DIR": str(tmp_path / "lab"), "FAIRLEAD_PLUGIN_DIR": plugin_dir(), "LC_ALL": "C.UTF-8"}
    shell = subprocess.Popen(["bash"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             cwd=TREE)
    try:
        assert pages.replay(TREE / "docs/overlay-lab.md", shell, CHANGING) > 20
    finally:
        subprocess.run([TREE / "scripts/overlay-lab", "down"], env=env, stdout=subprocess.DEVNULL, check=True)
        shell.kill()
        shell.communicate()
