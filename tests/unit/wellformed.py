#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of hostile names is XML, with as many boxes and lines as there are. Argument: test-netctl_draw."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.svg import NS, Picture  # noqa: E402

picture = Picture(subprocess.run([sys.argv[1], "svg"], stdout=subprocess.PIPE, check=True).stdout)
assert len(picture.sandboxes) == 2 and len(picture.networks) == 2
assert picture.containers[0].startswith("c<script>&\"'\\") and picture.containers[1] == "d"
assert {element.tag[len(NS):] for element in picture.root.iter()} <= {
    "svg", "title", "style", "defs", "marker", "path", "rect", "text", "g", "circle"}
assert not picture.overflows() and not picture.overlaps()
